"""Score completions, or serve rewards over HTTP."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from label_data.commands.options import input_errors
from label_data.errors import InputError
from label_data.records import Message, Prompt, messages_from, user_prompt
from label_data.sentences import Sentence, say
from reward.commands.terminal import MODEL, first_line


def score(
    folder: Annotated[Path, typer.Argument(help="folder written by train")],
    file: Annotated[
        Path | None, typer.Argument(help='JSON lines of {"prompt" or "messages", "completions"}; - for standard input')
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="prompt, as one user message")] = None,
    completion: Annotated[list[str] | None, typer.Option(help="completion to score; repeat for each")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON lines")] = False,
) -> None:
    """Print the reward of each completion, best first, with its standard deviation if the model has an estimate."""
    with input_errors():
        if (file is None) == (prompt is None):
            raise InputError("reward.commands.file_or_prompt")
        records = _read(file) if file is not None else [(user_prompt(prompt or ""), _completions(completion))]
        from reward.model.model import RewardModel

        model = RewardModel.load(folder)
        for conversation, completions in records:
            rewards, deviations = model.score_with_deviations(conversation.messages, completions)
            order = sorted(range(len(rewards)), key=rewards.__getitem__, reverse=True)
            if as_json:
                line = {"rewards": rewards, "order": [index + 1 for index in order], "standard_deviations": deviations}
                typer.echo(json.dumps(line, ensure_ascii=False))
                continue
            for place, index in enumerate(order, start=1):
                deviation = "" if deviations is None else f" ± {deviations[index]:.4f}"
                text = first_line(completions[index])
                typer.echo(f"{place}. {rewards[index]:+.4f}{deviation}  completion {index + 1}: {text}")


def serve(
    model: Annotated[str, typer.Argument(help=MODEL)],
    host: Annotated[
        str, typer.Option(help="address to listen on; anyone who reaches it can use the server")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on; 0 for any free port")] = 8600,
) -> None:
    """Serve rewards over HTTP: /score, OpenRLHF's /get_reward, vLLM's /classify, /health and /metrics."""
    with input_errors():
        from reward.serving.server import serve_model

        serve_model(model, host, port)


def _read(file: Path) -> list[tuple[Prompt, list[str]]]:
    """Return the prompts and completions of a file of JSON lines; all lines are checked before any is scored."""
    name: Sentence | Path = say("reward.commands.standard_input") if str(file) == "-" else file
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("reward.commands.not_utf8", file=name, error=error) from None
    records = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                records.append(_record(json.loads(line)))
            except (json.JSONDecodeError, InputError) as error:
                raise InputError("reward.commands.in_line", file=name, line=number, problem=error) from None
    if not records:
        raise InputError("reward.commands.nothing_to_score", file=name)
    return records


def _record(record: Any) -> tuple[Prompt, list[str]]:  # Any: whatever JSON the line holds
    """Return the prompt and the completions of one line."""
    if not isinstance(record, dict) or ("prompt" in record) == ("messages" in record):
        raise InputError("reward.commands.not_a_prompt")
    if "messages" in record:
        return Prompt(messages_from(record["messages"], "messages")), _completions(record.get("completions"))
    return Prompt((Message("user", record["prompt"]),)), _completions(record.get("completions"))


def _completions(value: object) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        raise InputError("reward.commands.no_completions")
    return value
