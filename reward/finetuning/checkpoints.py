"""Checkpoints count only whole: wherever training is cut off, it goes on from the last one that is all on the disk.

transformers writes the files of a checkpoint one after the other into a folder with its final name, so a folder alone
says nothing. Here it counts once a last, empty file is in it, made when all others are flushed.
"""

import re
import shutil
from pathlib import Path

from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from label_data.files.whole import flush

WHOLE = "whole"
_NAME = re.compile(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)")


def checkpoint_folder(folder: Path, step: int) -> Path:
    """Return where transformers keeps the checkpoint of this step."""
    return folder / f"{PREFIX_CHECKPOINT_DIR}-{step}"


def step_of(checkpoint: Path) -> int:
    """Return the step that a checkpoint was made after."""
    return int(checkpoint.name.rpartition("-")[2])


def mark_whole(checkpoint: Path) -> None:
    """Flush all that is in the checkpoint's folder to the disk, and let it count."""
    for path in (*checkpoint.rglob("*"), checkpoint):
        flush(path)
    (checkpoint / WHOLE).touch()
    flush(checkpoint)


def drop_partial(folder: Path) -> None:
    """Remove the checkpoints in the folder that were cut off while they were written."""
    for checkpoint in _checkpoints(folder):
        if not (checkpoint / WHOLE).exists():
            shutil.rmtree(checkpoint)


def last_whole(folder: Path) -> Path | None:
    """Return the newest whole checkpoint in the folder; None without any."""
    return max((one for one in _checkpoints(folder) if (one / WHOLE).exists()), key=step_of, default=None)


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if _NAME.fullmatch(path.name)] if folder.is_dir() else []
