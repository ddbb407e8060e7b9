"""The writer whose file operations are recorded.

python -m tests.whole.nothing_lost.recorded_writer FOLDER STEPS SYNCHRONOUS

It makes the store, or upgrades the one that is there, and closes it now and then, as an app does that is started anew.
"""

import sys
from pathlib import Path

from sqlalchemy import event

from label_data.database.engine import open_store
from tests.whole.nothing_lost.history import History
from tests.whole.nothing_lost.kills import prepare
from tests.whole.nothing_lost.writer import Writer

PROMPTS = 80
STEPS_A_LIFE = 25


def write(folder: Path, steps: int, synchronous: str) -> None:
    """Do so many steps in a store whose every connection is told when to wait for the disk."""
    path = folder / "store.db"
    store = open_store(path)

    @event.listens_for(store, "connect")
    def _set(connection, _record):
        connection.execute(f"PRAGMA synchronous={synchronous}")

    annotator, *_ = prepare(store, PROMPTS)
    history = History(folder / "ann.history", annotator)
    for life in range(0, steps, STEPS_A_LIFE):
        writer = Writer(store, annotator, history, outlasts_server=False)
        for _ in range(min(STEPS_A_LIFE, steps - life)):
            writer.step()
        store.dispose()


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
