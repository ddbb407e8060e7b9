"""Score completions, or serve rewards over HTTP."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from label_data.commands.options import input_errors
from label_data.errors import InputError
from label_data.records import Message, Prompt, messages_from, user_prompt
from reward.commands.terminal import MODEL, first_line


def score(
    folder: Annotated[Path, typer.Argument(help="a folder that train made")],
    file: Annotated[
        Path | None, typer.Argument(help='JSON lines of {"prompt" or "messages", "completions"}; - for standard input')
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="one user message")] = None,
    completion: Annotated[list[str] | None, typer.Option(help="a text that answers it; repeat for each")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON lines")] = False,
) -> None:
    """Print the reward of every completion, best first, with its standard deviation where the model has one."""
    with input_errors():
        if (file is None) == (prompt is None):
            raise InputError("Give either a FILE (- for standard input) or --prompt with --completion, once for each.")
        asked = _asked(file) if file is not None else [(user_prompt(prompt or ""), _completions(completion))]
        from reward.model.model import RewardModel

        model = RewardModel.load(folder)
        for conversation, completions in asked:
            rewards, deviations = model.score_with_deviations(conversation.messages, completions)
            order = sorted(range(len(rewards)), key=lambda at: -rewards[at])
            if as_json:
                line = {"rewards": rewards, "order": [at + 1 for at in order], "standard_deviations": deviations}
                typer.echo(json.dumps(line, ensure_ascii=False))
                continue
            for place, at in enumerate(order, start=1):
                sure = "" if deviations is None else f" ± {deviations[at]:.4f}"
                typer.echo(f"{place}. {rewards[at]:+.4f}{sure}  completion {at + 1}: {first_line(completions[at])}")


def serve(
    model: Annotated[str, typer.Argument(help=MODEL)],
    host: Annotated[str, typer.Option(help="address to listen on; whoever reaches it may ask")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one")] = 8600,
) -> None:
    """Answer over HTTP: POST /score, OpenRLHF's /get_reward and vLLM's /classify; GET /health and /metrics."""
    with input_errors():
        from reward.serving.server import serve_model

        serve_model(model, host, port)


def _asked(file: Path) -> list[tuple[Prompt, list[str]]]:
    """Return the prompts and completions of a file of JSON lines, all checked before the first is scored."""
    name = "standard input" if str(file) == "-" else str(file)
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name} can't be read as UTF-8 text ({error}).") from None
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                found.append(_asked_in(json.loads(line)))
            except (json.JSONDecodeError, InputError) as error:
                raise InputError(f"{name}, line {number}: {error}") from None
    if not found:
        raise InputError(f'{name} is empty. Write one {{"prompt", "completions"}} object a line.')
    return found


def _asked_in(record: Any) -> tuple[Prompt, list[str]]:
    if not isinstance(record, dict) or ("prompt" in record) == ("messages" in record):
        raise InputError('not an object with either "prompt" (a text) or "messages" (a list).')
    if "messages" in record:
        return Prompt(messages_from(record["messages"], "messages")), _completions(record.get("completions"))
    return Prompt((Message("user", record["prompt"]),)), _completions(record.get("completions"))


def _completions(value: Any) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        raise InputError("there are no completions to score. Give at least one text.")
    return value
