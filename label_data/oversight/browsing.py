"""Browse a project's data: search and filter prompts, and show a prompt's history.

SQL applies filters and limits, so a page costs what it shows plus what it skips. The next page starts below the number
of the last prompt shown, not at an offset, which would count from the start again.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal, TypeVar, get_args

from sqlalchemy import ColumnElement, Connection, Text, func, select

from label_data.database import schema
from label_data.database.engine import AnyRow, AnySelect, Store, reading
from label_data.errors import InputError
from label_data.records import Demonstration, Group, Ranking, Role
from label_data.settings import ProjectSettings, settings_from
from label_data.store.current_rankings import is_current
from label_data.store.stored_groups import groups_in, messages_from_json

SEARCH_ROWS = 500
"""Prompts read at a time when searching for a text."""
MOST_CHOICES = 500
"""Maximum values that a filter offers for a field, in sorted order."""
MOST_COUNTED = 1_000
"""Maximum prompts that a search counts."""

_prompts, _items, _completions, _rankings = schema.prompts, schema.items, schema.completions, schema.rankings
_PROMPT_TEXT = func.substr(_prompts.c.messages, 2, func.length(_prompts.c.messages) - 2, type_=Text())
"""The texts of a prompt, without the JSON list, keys and roles around them. A text can't contain those, because its
quotes are escaped, nor the line breaks that replace them between turns."""
for _markup in ('{"content":"', *(f'","role":"{role}"}}' for role in get_args(Role))):
    _PROMPT_TEXT = func.replace(_PROMPT_TEXT, _markup, "\n", type_=Text())
_PROMPT_TEXT = func.replace(_PROMPT_TEXT, "\n,\n", "\n", type_=Text())


_Key = TypeVar("_Key")
Place = Literal["prompt", "completions", "reasons"]
"""Where to search for a text: in messages, in completions, or in the reasons of rankings."""


@dataclass(frozen=True, slots=True)
class PromptFilter:
    """Conditions on prompts. All must hold; an empty field is no condition."""

    text: str = ""
    """Text to search for where `text_in` says, ignoring the case of a to z."""
    text_in: Place = "prompt"
    category: str = ""
    source: str = ""
    """Source of the prompt: a file's name."""
    licence: str = ""
    policy: str = ""
    """Policy of one of the completions."""
    annotator: str = ""
    """Pseudonym of an annotator. All conditions on rankings must hold for the same current ranking."""
    outcome: str = ""
    """Outcome of a current ranking."""
    flag: str = ""
    """Stored name of a flag that a current ranking gives one of the completions."""
    since: int | None = None
    """Earliest time of a current ranking, in microseconds since 1970, UTC: when it was submitted, or else stored."""
    before: int | None = None
    """End of that time range, exclusive."""
    state: str = ""


@dataclass(frozen=True, slots=True)
class PromptSummary:
    """A prompt in a list of search results."""

    number: int
    """Number of its item. The next page starts below the last number of this one."""
    prompt_id: str
    text: str
    """Text of its last message."""
    turns: int
    category: str
    source: str
    state: str
    completions: int
    rankings: int
    """Number of rankings, including revised and withdrawn ones."""


@dataclass(frozen=True, slots=True)
class Choices:
    """The values of each field among a project's prompts, up to `MOST_CHOICES` per field."""

    categories: tuple[str, ...]
    sources: tuple[str, ...]
    licences: tuple[str, ...]
    policies: tuple[str, ...]
    annotators: Mapping[str, str]
    """Pseudonym, or name from a file -> name to show."""


@dataclass(frozen=True, slots=True)
class SettingsRevision:
    """A revision of a project's settings."""

    settings: ProjectSettings
    saved: int | None
    """Microseconds since 1970, UTC; None for a project's initial settings."""


@dataclass(frozen=True, slots=True)
class VersionEntry:
    """A version of the data that contains the prompt."""

    name: str
    side: str
    """train or held_out."""
    made: int
    """Microseconds since 1970, UTC."""


@dataclass(frozen=True, slots=True)
class History:
    """Everything that the store has about a prompt in a project."""

    group: Group
    """The prompt with all rankings ever stored, in that order, including revised and withdrawn ones."""
    state: str
    added: int
    """Microseconds since 1970, UTC, like all times here."""
    stored: Mapping[str, int]
    """Submission -> when the ranking was stored."""
    withdrawn: Mapping[str, int]
    """Submission -> when the ranking was withdrawn."""
    names: Mapping[str, str]
    """Annotator -> name to show."""
    revisions: Mapping[tuple[str, int], SettingsRevision]
    """(project, revision) named by a ranking or demonstration -> settings, if this store has them."""
    versions: tuple[VersionEntry, ...]
    """The project's versions that contain the prompt, oldest first."""


def search_prompts(
    store: Store, project: str, conditions: PromptFilter, limit: int = 20, below: int | None = None
) -> tuple[PromptSummary, ...]:
    """Return up to `limit` matching prompts of the project, newest first; `below`: only those below this number."""
    with reading(store) as connection:
        rows = list(islice(_matching_rows(connection, project, conditions, below, limit), limit))
        ids = [row.prompt_id for row in rows]
        numbers = [row.number for row in rows]
        completions = _counts(connection, _completions.c.prompt_id, _completions.c.prompt_id.in_(ids))
        rankings = _counts(connection, _rankings.c.item, _rankings.c.item.in_(numbers))
    summaries = []
    for row in rows:
        messages = messages_from_json(row.messages)
        summaries.append(
            PromptSummary(
                row.number,
                row.prompt_id,
                messages[-1].content,
                len(messages),
                row.category,
                row.source,
                row.state,
                completions.get(row.prompt_id, 0),
                rankings.get(row.number, 0),
            )
        )
    return tuple(summaries)


def _counts(connection: Connection, key: ColumnElement[_Key], condition: ColumnElement[bool]) -> dict[_Key, int]:
    """Return how many rows have each value of the key, of those that meet the condition."""
    rows = connection.execute(select(key, func.count()).where(condition).group_by(key))
    return {row[0]: row[1] for row in rows}


def count_prompts(store: Store, project: str, conditions: PromptFilter) -> int:
    """Return how many prompts of the project match, counting at most `MOST_COUNTED`."""
    with reading(store) as connection:
        matching = _matching_rows(connection, project, conditions, None, MOST_COUNTED)
        return sum(1 for _ in islice(matching, MOST_COUNTED))


def _matching_rows(
    connection: Connection, project: str, conditions: PromptFilter, below: int | None, limit: int
) -> Iterator[AnyRow]:
    """Yield the rows of the matching prompts, newest first, read a few at a time."""
    text = conditions.text.casefold().strip() if conditions.text_in == "prompt" else ""
    query = _query(project, conditions).limit(SEARCH_ROWS if text else limit)
    while rows := connection.execute(query if below is None else query.where(_items.c.number < below)).all():
        for row in rows:  # SQL searches JSON, in which a backslash escapes, so matches are checked again
            if not text or any(text in message.content.casefold() for message in messages_from_json(row.messages)):
                yield row
        below = rows[-1].number


def _query(project: str, conditions: PromptFilter) -> AnySelect:
    query: AnySelect = (
        select(*_items.c["number", "prompt_id", "state"], *_prompts.c["messages", "category", "source", "licence"])
        .join(_prompts, _prompts.c.id == _items.c.prompt_id)
        .where(_items.c.project == project)
        .order_by(_items.c.number.desc())
    )
    text = conditions.text.strip()
    if text and conditions.text_in == "prompt":
        query = query.where(_PROMPT_TEXT.icontains(json.dumps(text, ensure_ascii=False)[1:-1], autoescape=True))
    if text and conditions.text_in == "completions":
        has_text = (_completions.c.prompt_id == _items.c.prompt_id) & _completions.c.text.icontains(
            text, autoescape=True
        )
        query = query.where(select(_completions.c.number).where(has_text).exists())
    for name in ("category", "source", "licence"):
        if getattr(conditions, name):
            query = query.where(_prompts.c[name] == getattr(conditions, name))
    if conditions.state:
        query = query.where(_items.c.state == conditions.state)
    if conditions.policy:
        is_by_policy = (_completions.c.prompt_id == _items.c.prompt_id) & (_completions.c.policy == conditions.policy)
        query = query.where(select(_completions.c.number).where(is_by_policy).exists())
    of_ranking = _of_ranking(conditions)
    if of_ranking:
        is_of_item = _rankings.c.item == _items.c.number
        query = query.where(select(_rankings.c.number).where(is_of_item, *of_ranking, is_current()).exists())
    return query


def _of_ranking(conditions: PromptFilter) -> list[ColumnElement[bool]]:
    """Return the conditions that must all hold for one ranking."""
    table, text = _rankings.c, conditions.text.strip()
    time = func.coalesce(table.submitted_us, table.stored_us)
    required: list[ColumnElement[bool]] = []
    if conditions.annotator:
        required.append(table.annotator == conditions.annotator)
    if conditions.outcome:
        required.append(table.outcome == conditions.outcome)
    if conditions.flag:
        required.append(table.flags.contains(json.dumps(conditions.flag, ensure_ascii=False), autoescape=True))
    if conditions.since is not None:
        required.append(time >= conditions.since)
    if conditions.before is not None:
        required.append(time < conditions.before)
    if text and conditions.text_in == "reasons":
        required.append(table.reason.icontains(text, autoescape=True))
    return required


def choices(store: Store, project: str) -> Choices:
    """Return the values that filters can offer for this project."""
    prompts = select(_items.c.prompt_id).where(_items.c.project == project)
    items = select(_items.c.number).where(_items.c.project == project)
    with reading(store) as connection:
        annotators = _values(connection, _rankings.c.annotator, _rankings.c.item.in_(items))
        names = _names(connection, set(annotators))
        return Choices(
            _values(connection, _prompts.c.category, _prompts.c.id.in_(prompts)),
            _values(connection, _prompts.c.source, _prompts.c.id.in_(prompts)),
            _values(connection, _prompts.c.licence, _prompts.c.id.in_(prompts)),
            _values(connection, _completions.c.policy, _completions.c.prompt_id.in_(prompts)),
            dict(sorted(names.items(), key=lambda item: item[1].casefold())),
        )


def _values(connection: Connection, column: ColumnElement[str], condition: ColumnElement[bool]) -> tuple[str, ...]:
    """Return the column's distinct values that are not empty, sorted, up to `MOST_CHOICES`."""
    query = select(column).where(condition, column != "").distinct().order_by(column).limit(MOST_CHOICES)
    return tuple(connection.scalars(query))


def _names(connection: Connection, annotators: set[str]) -> dict[str, str]:
    """Return the name of each annotator; an annotator from a file keeps the name in the file."""
    table = schema.annotators
    rows = connection.execute(select(table.c.id, table.c.name).where(table.c.id.in_(annotators)))
    names = {row.id: row.name for row in rows}
    return {annotator: names.get(annotator, annotator) for annotator in annotators}


def annotator_names(store: Store) -> dict[str, str]:
    """Return pseudonym -> name for all annotators of the store."""
    table = schema.annotators
    with reading(store) as connection:
        return {row.id: row.name for row in connection.execute(select(table.c.id, table.c.name))}


def history(store: Store, project: str, prompt_id: str) -> History:
    """Return everything about the prompt in the project. Raises InputError if the project does not have the prompt."""
    with reading(store) as connection:
        is_item = (_items.c.project == project) & (_items.c.prompt_id == prompt_id)
        item = connection.execute(select(_items.c.number, _items.c.state).where(is_item)).first()
        if item is None:
            raise InputError("label_data.oversight.no_prompt", project=project, prompt=prompt_id)
        added = connection.scalar(select(_prompts.c.added_us).where(_prompts.c.id == prompt_id)) or 0
        (group,) = groups_in(connection, [prompt_id], revised=True, project=project, retracted=True)
        submissions = [ranking.submission for ranking in group.rankings]
        is_ranking = _rankings.c.submission.in_(submissions)
        stored = connection.execute(select(_rankings.c.submission, _rankings.c.stored_us).where(is_ranking))
        is_withdrawn = schema.retractions.c.submission.in_(submissions)
        withdrawn = connection.execute(select(schema.retractions).where(is_withdrawn))
        records: list[Ranking | Demonstration] = [*group.rankings, *group.demonstrations]
        revisions = {
            (record.project, record.project_revision) for record in records if record.project_revision is not None
        }
        return History(
            group,
            item.state,
            added,
            {row.submission: row.stored_us for row in stored},
            {row.submission: row.retracted_us for row in withdrawn},
            _names(connection, {record.annotator for record in records}),
            dict(_revisions(connection, revisions)),
            tuple(_versions(connection, project, prompt_id)),
        )


def _versions(connection: Connection, project: str, prompt_id: str) -> Iterator[VersionEntry]:
    versions, rows = schema.versions, schema.version_rows
    query = (
        select(versions.c.name, rows.c.side, versions.c.made_us)
        .join(rows, rows.c.version == versions.c.number)
        .where(rows.c.prompt_id == prompt_id, versions.c.project == project)
        .order_by(versions.c.number)
    )
    for row in connection.execute(query):
        yield VersionEntry(row.name, row.side, row.made_us)


def _revisions(
    connection: Connection, revisions: set[tuple[str, int]]
) -> Iterator[tuple[tuple[str, int], SettingsRevision]]:
    """Yield the settings of the (project, revision)s that the store has."""
    table = schema.project_revisions
    for project, revision in sorted(revisions):
        query = select(table).where(table.c.project == project, table.c.revision == revision)
        row = connection.execute(query).first()
        if row is not None:
            yield (project, revision), SettingsRevision(settings_from(json.loads(row.settings)), row.saved_us)
        elif revision == 0:
            yield (project, revision), SettingsRevision(ProjectSettings(), None)


def rankings_fingerprint(store: Store, project: str) -> tuple[int, int, int, int]:
    """Return numbers that change with every ranking, withdrawal and gold prompt of the project, to date a report by.

    They are the number of the newest ranking, the number of rankings (a lower row number may be committed later than a
    higher one), the number of withdrawn rankings of all projects, and the number of gold prompts.
    """
    items = select(_items.c.number).where(_items.c.project == project)
    with reading(store) as connection:
        newest, rankings = connection.execute(
            select(func.max(_rankings.c.number), func.count()).where(_rankings.c.item.in_(items))
        ).one()
        withdrawn = connection.scalar(select(func.count()).select_from(schema.retractions))
        gold = connection.scalar(select(func.count()).where(_items.c.project == project, _items.c.gold.is_not(None)))
    return newest or 0, rankings, withdrawn or 0, gold or 0
