"""Whole checkpoints: an interrupted run resumes from the last checkpoint that was written completely.

transformers writes the files of a checkpoint one after the other into a folder with its final name, so the folder alone
does not show that the checkpoint is complete. Here a checkpoint counts only if it contains an empty marker file, which
is written after all other files are flushed.
"""

import re
import shutil
from pathlib import Path

from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from label_data.files.whole import flush

WHOLE = "whole"
"""Name of the marker file."""
_NAME = re.compile(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)")


def checkpoint_folder(folder: Path, step: int) -> Path:
    """Return the folder where transformers saves the checkpoint of this step."""
    return folder / f"{PREFIX_CHECKPOINT_DIR}-{step}"


def step_of(checkpoint: Path) -> int:
    """Return the step after which the checkpoint was saved."""
    return int(checkpoint.name.rpartition("-")[2])


def mark_whole(checkpoint: Path) -> None:
    """Flush all files of the checkpoint to the disk, then mark it as whole."""
    for path in (*checkpoint.rglob("*"), checkpoint):
        flush(path)
    (checkpoint / WHOLE).touch()
    flush(checkpoint)


def drop_partial(folder: Path) -> None:
    """Delete the checkpoints in the folder that are not whole."""
    for checkpoint in _checkpoints(folder):
        if not (checkpoint / WHOLE).exists():
            shutil.rmtree(checkpoint)


def last_whole(folder: Path) -> Path | None:
    """Return the newest whole checkpoint in the folder, or None if there is none."""
    whole = [checkpoint for checkpoint in _checkpoints(folder) if (checkpoint / WHOLE).exists()]
    return max(whole, key=step_of, default=None)


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if _NAME.fullmatch(path.name)] if folder.is_dir() else []
