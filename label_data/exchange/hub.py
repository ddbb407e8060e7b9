"""Data sets on the Hugging Face hub: one read row by row into a file here, and an export put there with its card.

Who you are there is told by a token in the environment (HF_TOKEN) or by `hf auth login`; it is never printed.
"""

import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from label_data.errors import InputError

PREFIX = "hub:"
"""hub:OWNER/NAME, hub:OWNER/NAME:CONFIG, hub:OWNER/NAME:CONFIG:SPLIT, or with an empty CONFIG; a folder may stand
for OWNER/NAME."""
NOT_FINITE = "number that is not finite, read as none"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A data set of the hub as a file here."""

    file: Path
    licence: str
    """What its card names; empty if it names none."""


def is_on_hub(name: Path | str) -> bool:
    """Say whether this names a data set on the hub, not a file."""
    return str(name).startswith(PREFIX)


def fetch(name: str, folder: Path, left_out: Counter[str]) -> Fetched:
    """Stream a data set of the hub into one file of JSON lines in the folder, all its splits unless one is named.

    What JSON has no value for becomes text or none; numbers that are not finite are counted in `left_out`. Raises
    InputError if there is no such data set, configuration or split, or if the hub can't be reached.
    """
    from datasets import IterableDataset, load_dataset  # seconds to import, and for this alone

    path, config, split = (*name.removeprefix(PREFIX).split(":", 2), "", "")[:3]
    try:
        found = load_dataset(path, config or None, split=split or None, streaming=True)
        splits = [found] if isinstance(found, IterableDataset) else list(found.values())
        file = folder / f"{Path(path).name or 'data'}.jsonl"
        with file.open("w", encoding="utf-8") as out:
            for rows in splits:
                out.writelines(f"{_line(row, left_out)}\n" for row in rows)
    except (OSError, ValueError) as error:
        _refuse(name, error)
    return Fetched(file, next((rows.info.license or "" for rows in splits), ""))


def _line(row: dict[str, Any], left_out: Counter[str]) -> str:
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False, default=_as_json)
    except ValueError:
        return json.dumps(_finite(row, left_out), ensure_ascii=False, default=_as_json)


def _finite(value: Any, left_out: Counter[str]) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner, left_out) for name, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner, left_out) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        left_out[NOT_FINITE] += 1
        return None
    return value


def _as_json(value: Any) -> Any:
    """Return what JSON has for a value of another kind: a size for bytes, text for times and pictures."""
    return {"binary": len(value)} if isinstance(value, bytes) else str(value)


def push(file: Path, card: str, name: str, private: bool = True) -> str:
    """Put the file and its card into the data set OWNER/NAME, in one commit, and return the commit's address.

    The data set is made if it is not there, `private` or not; one that is there stays as visible as it is. Raises
    InputError if the hub refuses, for example without a token that may write.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(library_name="label_data")
    files = {file.name: file, "README.md": card.encode()}
    try:
        api.create_repo(name, repo_type="dataset", private=private, exist_ok=True)
        adding = [CommitOperationAdd(path_in_repo=path, path_or_fileobj=content) for path, content in files.items()]
        return api.create_commit(name, adding, commit_message=f"Export {file.name}", repo_type="dataset").commit_url
    except (OSError, ValueError) as error:  # the hub's own errors, those of the connection, and a name it can't have
        _refuse(f"{PREFIX}{name}", error)


def _refuse(name: str, error: Exception) -> NoReturn:
    said = " ".join(str(error).split())[:300].rstrip(".")
    raise InputError(
        f"{name}: the hub says: {said}. Check the name (hub:OWNER/NAME:CONFIG:SPLIT), the connection, and for what is "
        "not public the token in HF_TOKEN."
    ) from None
