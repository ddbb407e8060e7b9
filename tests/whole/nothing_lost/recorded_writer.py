"""A writer whose file operations are recorded.

python -m tests.whole.nothing_lost.recorded_writer FOLDER STEPS SYNCHRONOUS

It creates or upgrades the store and closes it now and then, like an app that is restarted.
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
    """Take `steps` steps on a store whose connections all use this `synchronous` setting."""
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
