"""How fast data comes in and goes out, beside what the same bytes cost without this program.

    python -m benchmarks.import_export --rows 1000000

Makes a file of hh-rlhf rows with the lengths of that data set, every prompt its own, and then, each in a process of
its own: loads it with datasets.load_dataset; imports it into an empty store; exports that store for TRL; exports
another, of as many comparisons from rankings of four completions; writes as many bytes as that export has, one after
the other, with one fsync at the end. Aims: importing takes at most three times as long as datasets loading the same
file, exporting at most twice as long as writing its bytes, and memory does not grow with the rows. Seconds are of the
clock and of the processor (user and system), memory is the most that was resident.
"""

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.support.invented_prompts import WORDS, invented_groups
from label_data.database.engine import open_store
from label_data.records import Group, Ranking
from label_data.store.adding import add_groups

CHARACTERS = (250, 420)
"""Mean length of an hh-rlhf prompt's last turn with those before it, and of a completion, rounded."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one process took."""

    seconds: float
    processor: float
    megabytes: float


def main(
    rows: Annotated[int, typer.Option(help="rows, and comparisons")] = 1_000_000,
    folder: Annotated[
        Path | None, typer.Option(help="where the files go; by default a new folder for temporary files")
    ] = None,
) -> None:
    """Print a table of the four costs and two ratios."""
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        place = Path(inside)
        source, store, out, plain = (place / name for name in ("hh.jsonl", "store.db", "trl.jsonl", "plain"))
        write_hh_rows(source, rows)
        loading = (
            "import sys\nfrom datasets import load_dataset\n"
            "print(len(load_dataset('json', data_files=sys.argv[1], split='train', cache_dir=sys.argv[2])))"
        )
        loaded = cost([sys.executable, "-c", loading, str(source), str(place / "cache")])
        command = [sys.executable, "-m", "label_data"]
        imported = cost([*command, "import", str(source), "--store", str(store)])
        exported = cost([*command, "export", "--format", "trl", "--out", str(out), "--store", str(store)])
        fill_with_rankings_of_four(place / "four.db", rows // 6)
        four = cost([*command, "export", "--format", "trl", "--out", str(out), "--store", str(place / "four.db")])
        written = cost([sys.executable, "-c", COPY, str(out), str(plain)])
        size = source.stat().st_size / 1e6, out.stat().st_size / 1e6
    print(f"{rows:,} rows, {size[0]:,.0f} MB in, {size[1]:,.0f} MB out\n")
    print("| | seconds | processor | most memory |\n| --- | ---: | ---: | ---: |")
    figures = {"datasets loads the file": loaded, "import into a store": imported}
    figures |= {"export for TRL, pairs": exported, "export for TRL, rankings of four": four}
    figures |= {"write and fsync as many bytes": written}
    for name, took in figures.items():
        print(f"| {name} | {took.seconds:.1f} | {took.processor:.1f} | {took.megabytes:,.0f} MB |")
    print(f"\nimport: {imported.seconds / loaded.seconds:.1f} times datasets (aim 3), ", end="")
    print(f"export: {four.seconds / written.seconds:.1f} times the write (aim 2)")


COPY = """
import os, sys
with open(sys.argv[1], 'rb') as old, open(sys.argv[2], 'wb') as new:
    while piece := old.read(2**20):
        new.write(piece)
    new.flush()
    os.fsync(new.fileno())
"""


def write_hh_rows(path: Path, rows: int, seed: int = 0) -> None:
    """Write that many rows of hh-rlhf: lengths spread as an exponential around those of the data set."""
    draw = random.Random(seed)
    stock = " ".join(draw.choices(WORDS, k=200_000))

    def text(mean: int) -> str:
        start = draw.randrange(len(stock) - 20_000)
        return stock[start : start + min(20_000, 20 + int(draw.expovariate(1 / mean)))].strip()

    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            question = f"\n\nHuman: {number}. {text(CHARACTERS[0])}\n\nAssistant: "
            row = {"chosen": question + text(CHARACTERS[1]), "rejected": question + text(CHARACTERS[1])}
            file.write(f"{json.dumps(row)}\n")


def fill_with_rankings_of_four(path: Path, prompts: int) -> None:
    """Make a store of that many prompts, whose four completions are ranked without a tie: six comparisons each."""

    def ranked() -> Iterator[Group]:
        for group in invented_groups(prompts, 4):
            ids = tuple(completion.id for completion in group.completions)
            yield replace(group, rankings=(Ranking(group.prompt.id, "ana", ids, tuple((id,) for id in ids)),))

    store = open_store(path)
    add_groups(store, ranked())
    store.dispose()


def cost(command: list[str]) -> Cost:
    """Run the command and return what it took; raises RuntimeError if it fails."""
    began = time.perf_counter()
    process = os.posix_spawnp(command[0], command, os.environ)
    _, status, used = os.wait4(process, 0)
    if status:
        raise RuntimeError(f"{command} ended with status {status}")
    return Cost(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


if __name__ == "__main__":
    typer.run(main)
