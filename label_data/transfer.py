"""Files into the store, all or nothing, and the store into a file."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from label_data.contents import groups as stored_groups
from label_data.database import Store
from label_data.formats import MAPPED, READERS, WRITERS, groups, prompts, recognised, trl
from label_data.projects import PROJECT
from label_data.records import Group, InputError
from label_data.store import Added, GroupError, add_groups

UPLOAD_ENDINGS = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".txt", ".txt.gz", ".parquet")
"""Ends of names that say how a file is read; of any other it is read as JSON lines."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of the content of some files."""

    added: Added
    repeated: Added
    """In the store already, or earlier in the files: kept once."""
    left_out: Counter[str]
    """Reason -> how many; each says whether it means rows or fields."""
    files: tuple[tuple[str, str, int], ...] = ()
    """Path, what it was read as, and how many groups it gave, for each file."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of the content of the store."""

    rows: int
    left_out: Counter[str]
    """What the format has no place for -> how many."""


def import_files(
    store: Store,
    files: Iterable[Path],
    format_: str = "",
    column: str = prompts.COLUMN,
    category: str = "",
    names: Mapping[str, str] | None = None,
    on_progress: Callable[[int], object] = lambda groups: None,
    project: str = PROJECT,
) -> Imported:
    """Add what the files hold to the project, in one transaction: with an InputError nothing is added.

    `format_` is one of `label_data.formats.READERS`, or empty to recognise each file by its first row; `column` and
    `category` are for prompts (see `read_prompts`), `names` for the formats in `label_data.formats.MAPPED`.
    `on_progress` gets the number of rows so far.
    """
    left_out: Counter[str] = Counter()
    offered: Counter[str] = Counter()
    read_as: list[tuple[str, str, int]] = []
    begun: list[tuple[int, Path]] = []
    """Groups read before each file."""

    def found() -> Iterator[Group]:
        for file in files:
            before = offered["prompts"]
            begun.append((before, file))
            name, said = (format_, format_) if format_ else recognised(file, names)
            read = READERS[name]
            if name == prompts.NAME:
                read = partial(prompts.read, column=column, category=category)
            elif name in {module.NAME for module in MAPPED}:
                read = partial(read, names=names)
            elif names:
                raise InputError(f"{file}: format {name} has fields of fixed names. Leave the mapping out.")
            for group in read(file, left_out):
                offered.update(prompts=1, completions=len(group.completions), rankings=len(group.rankings))
                yield group
            read_as.append((str(file), said, offered["prompts"] - before))

    try:
        added = add_groups(store, found(), project, on_progress)
    except GroupError as error:
        before, file = max(start for start in begun if start[0] < error.number)
        raise InputError(f"{file}, {error.number - before} rows read: {error}") from None
    repeated = Added(*(offered[name] - getattr(added, name) for name in ("prompts", "completions", "rankings")))
    return Imported(added, repeated, +left_out, tuple(read_as))


def saved_upload(folder: Path, name: str, content: bytes) -> Path:
    """Write an uploaded file into the folder and return its path, of which only the ending comes from its name.

    A name that a browser sends may be "../../x", hold a NUL, or be longer than a disk allows: it is never a path.
    """
    ending = next((ending for ending in UPLOAD_ENDINGS if name.lower().endswith(ending)), "")
    path = folder / f"upload{ending}"
    path.write_bytes(content)
    return path


def export_file(
    store: Store, file: Path, format_: str, with_margin: bool = False, project: str | None = None
) -> Exported:
    """Write the store to the file in a format of `label_data.formats.WRITERS`, whole or not at all.

    `project`: only its prompts, and the rankings made for it; by default those of all projects.

    "groups" gets all there is, revised rankings included; "trl" the comparisons of current rankings, `with_margin`
    their strengths too. Raises InputError if the file can't be written, or if the store holds nothing for it.
    """
    left_out: Counter[str] = Counter()
    write = WRITERS[format_]
    if with_margin:
        if format_ != trl.NAME:
            raise InputError(f"Format {format_} keeps every strength by itself. Leave the margin out.")
        write = partial(trl.write, with_margin=True)
    rows = write(file, stored_groups(store, revised=format_ == groups.NAME, project=project), left_out)
    return Exported(rows, +left_out)
