"""Data sets on the Hugging Face hub: download one row by row into a file, and upload an export with its card.

The hub knows you by the token in the environment (HF_TOKEN) or of `hf auth login`; the token is never printed.
"""

import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from label_data.errors import InputError
from label_data.sentences import Sentence, say

PREFIX = "hub:"
"""hub:OWNER/NAME, hub:OWNER/NAME:CONFIG or hub:OWNER/NAME:CONFIG:SPLIT; CONFIG may be empty, and a folder may replace
OWNER/NAME."""
NOT_FINITE = say("label_data.exchange.not_finite")


@dataclass(frozen=True, slots=True)
class Fetched:
    """A data set of the hub as a local file."""

    file: Path
    licence: str
    """The licence that its card names; empty if it names none."""


def is_on_hub(name: Path | str) -> bool:
    """Return whether this names a data set on the hub, not a file."""
    return str(name).startswith(PREFIX)


def fetch(name: str, folder: Path, left_out: Counter[Sentence]) -> Fetched:
    """Stream a data set of the hub into one file of JSON lines in the folder; all splits unless one is named.

    A value that JSON does not have becomes text or null; numbers that are not finite are counted in `left_out`. Raises
    InputError if there is no such data set, configuration or split, or if the hub can't be reached.
    """
    from datasets import IterableDataset, load_dataset  # takes seconds to import, and only this function needs it

    path, config, split = (*name.removeprefix(PREFIX).split(":", 2), "", "")[:3]
    try:
        loaded = load_dataset(path, config or None, split=split or None, streaming=True)
        splits = [loaded] if isinstance(loaded, IterableDataset) else list(loaded.values())
        file = folder / f"{Path(path).name or 'data'}.jsonl"
        with file.open("w", encoding="utf-8") as out:
            for rows in splits:
                out.writelines(f"{_line(row, left_out)}\n" for row in rows)
    except (OSError, ValueError) as error:
        _refuse(name, error)
    return Fetched(file, next((rows.info.license or "" for rows in splits), ""))


def _line(row: dict[str, Any], left_out: Counter[Sentence]) -> str:
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False, default=_as_json)
    except ValueError:
        return json.dumps(_finite(row, left_out), ensure_ascii=False, default=_as_json)


def _finite(value: Any, left_out: Counter[Sentence]) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner, left_out) for name, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner, left_out) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        left_out[NOT_FINITE] += 1
        return None
    return value


def _as_json(value: object) -> dict[str, int] | str:
    """Return a JSON value for a value of another type: the size of bytes, text for times and pictures."""
    return {"binary": len(value)} if isinstance(value, bytes) else str(value)


def push(file: Path, card: str, name: str, private: bool = True) -> str:
    """Upload the file and its card to the data set OWNER/NAME, in one commit, and return the commit's address.

    A new data set is created, `private` or not; an existing one keeps its visibility. Raises InputError if the hub
    refuses, for example without a token that may write.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(library_name="label_data")
    files: dict[str, Path | bytes] = {file.name: file, "README.md": card.encode()}
    try:
        api.create_repo(name, repo_type="dataset", private=private, exist_ok=True)
        adding = [CommitOperationAdd(path_in_repo=path, path_or_fileobj=content) for path, content in files.items()]
        commit = api.create_commit(name, adding, commit_message=f"Export {file.name}", repo_type="dataset")
    except (OSError, ValueError) as error:  # errors of the hub and of the connection, and an invalid name
        _refuse(f"{PREFIX}{name}", error)
    return str(commit.commit_url)


def _refuse(name: str, error: Exception) -> NoReturn:
    message = " ".join(str(error).split())[:300].rstrip(".")
    raise InputError("label_data.exchange.hub", name=name, message=message) from None
