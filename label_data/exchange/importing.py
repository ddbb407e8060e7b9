"""Import files into the store, all or nothing, and preview what an import would add."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from label_data.database.engine import Store
from label_data.errors import InputError
from label_data.exchange.hub import fetch, is_on_hub
from label_data.exchange.known_formats import MAPPED, READERS, recognised
from label_data.formats import prompts
from label_data.records import Group
from label_data.sentences import Sentence, plain, say
from label_data.store.adding import Added, GroupError, add_groups
from label_data.store.projects import PROJECT

ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".csv", ".csv.gz", ".txt", ".txt.gz", ".parquet")
"""Endings of names that say how to read a file. In a folder only such files are read; any other file named by itself
is read as JSON lines."""
NOT_READ = say("label_data.exchange.file_not_read", endings=", ".join(ENDINGS))
PREVIEWED = 3
"""Groups that a preview shows."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The result of an import."""

    added: Added
    repeated: Added
    """Content that was in the store already, or earlier in the files: kept once."""
    left_out: Counter[Sentence]
    """Reason -> how many; each reason says whether it means rows or fields."""
    files: tuple[tuple[str, Sentence, int], ...] = ()
    """For each file its path, what it was read as, and how many groups it gave."""


@dataclass(frozen=True, slots=True)
class Preview:
    """The content of some files, of which nothing was stored."""

    found: Added
    """A prompt in several rows is counted in each."""
    left_out: Counter[Sentence]
    files: tuple[tuple[str, Sentence, int], ...]
    """For each file its path, what it was read as, and how many groups it gave."""
    first: tuple[Group, ...]


@dataclass(slots=True)
class _Reading:
    """Files that are being read, and what they held so far."""

    files: Iterable[Path | str]
    format_: str
    column: str
    category: str
    names: Mapping[str, str] | None
    source: str
    licence: str
    called: str = ""
    """The owner's name of the file, if the copy that is read has another name."""
    left_out: Counter[Sentence] = field(default_factory=Counter)
    prompts: int = 0
    completions: int = 0
    rankings: int = 0
    read_as: list[tuple[str, Sentence, int]] = field(default_factory=list)
    begun: list[tuple[int, str]] = field(default_factory=list)
    """How many groups were read before each file, and the file."""

    def groups(self) -> Iterator[Group]:
        """Yield the groups of all files, each with its source and licence."""
        for file in self.files:
            if is_on_hub(file):
                with TemporaryDirectory() as folder:
                    fetched = fetch(str(file), Path(folder), self.left_out)
                    origin = self.source or str(file), self.licence or fetched.licence
                    yield from self._groups_of(fetched.file, str(file), *origin)
            else:
                for path in files_in(Path(file), self.left_out):
                    yield from self._groups_of(path, str(path), self.source, self.licence)

    def _groups_of(self, path: Path, shown: str, source: str, licence: str) -> Iterator[Group]:
        before = self.prompts
        self.begun.append((before, shown))
        name, kind = (self.format_, plain(self.format_)) if self.format_ else recognised(path, self.names)
        read = READERS[name]
        if name == prompts.NAME:
            read = partial(prompts.read, column=self.column, category=self.category)
        elif name in {module.NAME for module in MAPPED}:
            read = partial(read, names=self.names)
        elif self.names:
            raise InputError("label_data.exchange.fixed_names", file=shown, format=name)
        origin = {name: value for name, value in (("source", source), ("licence", licence)) if value}
        for group in read(path, self.left_out):
            self.prompts += 1
            self.completions += len(group.completions)
            self.rankings += len(group.rankings)
            if self.called and group.prompt.source == path.name and not source:
                group = replace(group, prompt=replace(group.prompt, source=self.called))
            yield replace(group, prompt=replace(group.prompt, **origin)) if origin else group
        self.read_as.append((shown, kind, self.prompts - before))

    @property
    def content(self) -> Added:
        """How much the files held so far."""
        return Added(self.prompts, self.completions, self.rankings)


def import_files(
    store: Store,
    files: Iterable[Path | str],
    format_: str = "",
    column: str = prompts.COLUMN,
    category: str = "",
    names: Mapping[str, str] | None = None,
    on_progress: Callable[[int], object] = lambda groups: None,
    project: str = PROJECT,
    source: str = "",
    licence: str = "",
    called: str = "",
) -> Imported:
    """Add the content of the files to the project, in one transaction: after an InputError nothing is added.

    `files` are files, folders (see `files_in`) and data sets on the hub (see `hub`). `format_` is one of
    `known_formats.READERS`, or empty to recognise each file by its first row. `column` and `category` are for prompts
    (see `read_prompts`), `names` for the formats in `known_formats.MAPPED`. `source` and `licence` replace the source
    and licence that the files state; a prompt that the store already has keeps its own. `called` is the owner's name of
    a file whose copy is read: it becomes the source instead of the copy's name. `on_progress` gets the number of rows
    so far.
    """
    reading = _Reading(files, format_, column, category, names, source, licence, called)
    try:
        added = add_groups(store, reading.groups(), project, on_progress)
    except GroupError as error:
        before, file = max(start for start in reading.begun if start[0] < error.number)
        rows = error.number - before
        raise InputError("label_data.exchange.in_group", file=file, rows=rows, problem=error.sentence) from None
    offered = reading.content
    repeated = Added(
        offered.prompts - added.prompts - added.joined,
        offered.completions - added.completions,
        offered.rankings - added.rankings,
    )
    return Imported(added, repeated, +reading.left_out, tuple(reading.read_as))


def preview(
    files: Iterable[Path | str],
    format_: str = "",
    column: str = prompts.COLUMN,
    category: str = "",
    names: Mapping[str, str] | None = None,
    on_progress: Callable[[int], object] = lambda groups: None,
    source: str = "",
    licence: str = "",
    called: str = "",
) -> Preview:
    """Read the files as `import_files` does, but store nothing, and return their content.

    Raises InputError where an import would, except for a ranking that contradicts one in the store.
    """
    reading = _Reading(files, format_, column, category, names, source, licence, called)
    first: list[Group] = []
    for number, group in enumerate(reading.groups(), start=1):
        if number <= PREVIEWED:
            first.append(group)
        on_progress(number)
    return Preview(reading.content, +reading.left_out, tuple(reading.read_as), tuple(first))


def files_in(path: Path, left_out: Counter[Sentence]) -> list[Path]:
    """Return the path itself; for a folder, the files in it and its subfolders that can be read, sorted by name.

    Files of other endings are counted in `left_out`; names with a leading dot are ignored. Raises InputError at a
    folder without a file to read.
    """
    if not path.is_dir():
        return [path]
    files = [file for file in sorted(path.rglob("*")) if file.is_file()]
    visible = [file for file in files if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    readable = [file for file in visible if file.name.lower().endswith(ENDINGS)]
    left_out[NOT_READ] += len(visible) - len(readable)
    if not readable:
        raise InputError("label_data.exchange.folder_empty", folder=path, endings=", ".join(ENDINGS))
    return readable


def saved_upload(folder: Path, name: str, content: bytes) -> Path:
    """Write an uploaded file into the folder and return its path; only the ending comes from the given name.

    A name from a browser may be "../../x", have a NUL, or be longer than a disk allows: it is never used as a path.
    """
    ending = next((ending for ending in ENDINGS if name.lower().endswith(ending)), "")
    path = folder / f"upload{ending}"
    path.write_bytes(content)
    return path
