"""Files into the store, all or nothing, and the store into a file."""

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
from label_data.store.adding import Added, GroupError, add_groups
from label_data.store.projects import PROJECT

ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".csv", ".csv.gz", ".txt", ".txt.gz", ".parquet")
"""Ends of names that say how a file is read; of a folder only these are, and of any other one as JSON lines."""
NOT_READ = f"file in a folder that ends in none of {', '.join(ENDINGS)}"
SHOWN = 3
"""Groups of a preview."""


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
class Preview:
    """What some files hold, and nothing of it stored."""

    found: Added
    """A prompt that stands in several rows is counted in each."""
    left_out: Counter[str]
    files: tuple[tuple[str, str, int], ...]
    """Path, what it was read as, and how many groups it gave, for each file."""
    first: tuple[Group, ...]


@dataclass(slots=True)
class _Reading:
    """Files that are being read, and what was found so far."""

    files: Iterable[Path | str]
    format_: str
    column: str
    category: str
    names: Mapping[str, str] | None
    source: str
    licence: str
    called: str = ""
    """What its owner calls the one file, where it has another name here."""
    left_out: Counter[str] = field(default_factory=Counter)
    prompts: int = 0
    completions: int = 0
    rankings: int = 0
    read_as: list[tuple[str, str, int]] = field(default_factory=list)
    begun: list[tuple[int, str]] = field(default_factory=list)
    """How many groups were read before each file."""

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
        name, said = (self.format_, self.format_) if self.format_ else recognised(path, self.names)
        read = READERS[name]
        if name == prompts.NAME:
            read = partial(prompts.read, column=self.column, category=self.category)
        elif name in {module.NAME for module in MAPPED}:
            read = partial(read, names=self.names)
        elif self.names:
            raise InputError(f"{shown}: format {name} has fields of fixed names. Leave the mapping out.")
        origin = {name: told for name, told in (("source", source), ("licence", licence)) if told}
        for group in read(path, self.left_out):
            self.prompts += 1
            self.completions += len(group.completions)
            self.rankings += len(group.rankings)
            if self.called and group.prompt.source == path.name and not source:
                group = replace(group, prompt=replace(group.prompt, source=self.called))
            yield replace(group, prompt=replace(group.prompt, **origin)) if origin else group
        self.read_as.append((shown, said, self.prompts - before))

    @property
    def found(self) -> Added:
        """What the files held so far."""
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
    """Add what the files hold to the project, in one transaction: with an InputError nothing is added.

    `files` are files, folders (see `files_in`) and data sets on the hub (see `hub`). `format_` is one of
    `known_formats.READERS`, or empty to recognise each file by its first row; `column` and `category` are for
    prompts (see `read_prompts`), `names` for the formats in `known_formats.MAPPED`. `source` and `licence` say
    where the prompts come from and under which terms, in place of what the files say; a prompt that the store has
    keeps its own. `called` is the name of a file whose copy is read: it stands as the source where the copy's would.
    `on_progress` gets the number of rows so far.
    """
    reading = _Reading(files, format_, column, category, names, source, licence, called)
    try:
        added = add_groups(store, reading.groups(), project, on_progress)
    except GroupError as error:
        before, file = max(start for start in reading.begun if start[0] < error.number)
        raise InputError(f"{file}, {error.number - before} rows read: {error}") from None
    offered = reading.found
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
    """Read all that the files hold, as `import_files` does, store nothing, and return what was found.

    Raises InputError where an import would, save for a ranking that contradicts one in a store.
    """
    reading, first = _Reading(files, format_, column, category, names, source, licence, called), []
    for number, group in enumerate(reading.groups(), start=1):
        if number <= SHOWN:
            first.append(group)
        on_progress(number)
    return Preview(reading.found, +reading.left_out, tuple(reading.read_as), tuple(first))


def files_in(path: Path, left_out: Counter[str]) -> list[Path]:
    """Return the path itself, or of a folder and those in it the files that can be read, sorted by name.

    Files of other endings are counted in `left_out`; what is hidden by a leading dot is passed by. Raises InputError
    at a folder with nothing to read.
    """
    if not path.is_dir():
        return [path]
    inside = [file for file in sorted(path.rglob("*")) if file.is_file()]
    seen = [file for file in inside if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    known = [file for file in seen if file.name.lower().endswith(ENDINGS)]
    left_out[NOT_READ] += len(seen) - len(known)
    if not known:
        raise InputError(f"{path}: found no file in this folder that ends in one of {', '.join(ENDINGS)}.")
    return known


def saved_upload(folder: Path, name: str, content: bytes) -> Path:
    """Write an uploaded file into the folder and return its path, of which only the ending comes from its name.

    A name that a browser sends may be "../../x", hold a NUL, or be longer than a disk allows: it is never a path.
    """
    ending = next((ending for ending in ENDINGS if name.lower().endswith(ending)), "")
    path = folder / f"upload{ending}"
    path.write_bytes(content)
    return path
