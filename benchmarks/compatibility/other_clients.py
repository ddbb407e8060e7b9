"""Let OpenRLHF's own client ask `python -m reward serve` for rewards, and vLLM's own classes read its `/classify`.

    python -m benchmarks.compatibility.other_clients MODEL [FILE] [--groups 20]

MODEL is the folder of a reward model. Prompts are those of `other_trainers.py` on which trainers differ, and so many of
FILE. OpenRLHF's executor gets each completion as tokens, once ended as the chat template ends it and once not, as a
policy's engine gives them; it turns them to text, sends that and reads the answer. What it has in the end is compared
with `POST /score`. vLLM's pydantic classes check the requests and the answers of `/classify`.

What is not installed is named. Beside requirements.txt: pip install --no-deps openrlhf==0.11.2 vllm==0.33.0, and what
they then ask for. What was found: docs/serving.md.
"""

import asyncio
import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Annotated, Any
from urllib.request import Request, urlopen

import typer

from benchmarks.compatibility.other_trainers import hard_groups
from label_data.exchange.known_formats import READERS, recognised
from label_data.records import Group
from reward.networks.backbones import load_tokenizer, model_folder


@contextmanager
def server(model: str) -> Iterator[str]:
    """Serve the model, and yield the address."""
    command = [sys.executable, "-m", "reward", "serve", model, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split(" at ")[1].split()[0]
        finally:
            process.terminate()


def answer(address: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return what the server says to this."""
    with urlopen(Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})) as response:
        return json.load(response)


def asked_by_openrlhf(address: str, folder: Path, groups: list[Group]) -> str:
    """Have its executor get the reward of each completion, and return how far that is from what /score says."""
    from openrlhf.utils.agent import SingleTurnAgentExecutor

    tokenizer = load_tokenizer(folder)
    executor = SingleTurnAgentExecutor(f"{address}/get_reward")

    def reward(prompt: str, completion: str) -> dict[str, Any]:
        class Engine:
            async def generate(self, *_: Any, **__: Any) -> Namespace:
                ids = tokenizer(completion, add_special_tokens=False)["input_ids"]
                return Namespace(outputs=[Namespace(token_ids=ids, finish_reason="stop", logprobs=None)])

        sampling = Namespace(max_tokens=1, logprobs=None)
        arguments = {"max_length": 2**20, "hf_tokenizer": tokenizer, "llm_engine": Engine()}
        return asyncio.run(executor.execute(prompt, "", sampling, **arguments))

    rewards, furthest = 0, 0.0
    for group in groups:
        turns = group.prompt.as_dicts
        prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        texts = [completion.text for completion in group.completions]
        scored = answer(f"{address}/score", {"messages": turns, "completions": texts})
        for text, expected in zip(texts, scored["rewards"], strict=True):
            for ending in (tokenizer.eos_token, ""):
                result = reward(prompt, text + ending)
                if result["reward"] is None or result["reward"] != result["scores"]:
                    raise RuntimeError(f"its executor has reward {result['reward']} and score {result['scores']}")
                rewards += 1
                furthest = max(furthest, abs(result["reward"][0] - expected))
    return f"{rewards:,} rewards, at most {furthest:.1g} from those of /score"


def read_by_vllm(address: str, _folder: Path, groups: list[Group]) -> str:
    """Have its classes check what it would be asked and what is answered, field by field."""
    from pydantic import TypeAdapter
    from vllm.entrypoints.pooling.classify.protocol import ClassificationRequest, ClassificationResponse

    for group in groups:
        message = {"role": "assistant", "content": group.completions[0].text}
        for body in (
            {"messages": [*group.prompt.as_dicts, message]},
            {"input": [completion.text for completion in group.completions]},
        ):
            TypeAdapter(ClassificationRequest).validate_python(body)
            result = answer(f"{address}/classify", body)
            theirs = ClassificationResponse.model_validate(result).model_dump()
            if theirs != result:
                raise RuntimeError(f"its classes read {theirs}, and what was answered is {result}")
    return f"{2 * len(groups):,} requests and answers, no field missing, added or changed"


CLIENTS: dict[str, Callable[[str, Path, list[Group]], str]] = {"openrlhf": asked_by_openrlhf, "vllm": read_by_vllm}


def main(
    model: Annotated[str, typer.Argument(help="folder of a reward model")],
    file: Annotated[Path | None, typer.Argument(help="data whose prompts and completions to ask about, too")] = None,
    groups: Annotated[int, typer.Option(help="of the file")] = 20,
) -> None:
    """Print a line for each client: what it was given, and how that compares."""
    request = [*hard_groups(), *(islice(READERS[recognised(file)[0]](file), groups) if file else ())]
    with server(model) as address:
        for package, ask in CLIENTS.items():
            try:
                version = metadata.version(package)
            except metadata.PackageNotFoundError:
                print(f"{package}: not installed")
                continue
            try:
                print(f"{package} {version}: {ask(address, model_folder(model), request)}")
            except Exception as error:  # of a package's many libraries: it is told, and the next one tried
                print(f"{package} {version}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    typer.run(main)
