"""What somebody who looks through a project's data wants to see: prompts by what is known of them, and their history.

Filters and limits are SQL's business, so a page of a large store costs what it shows, and a walk past what does not
fit; a page is told by the number of the last prompt on it, not by an offset, which would count from the start again.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal, get_args

from sqlalchemy import ColumnElement, Connection, Row, Select, Text, func, select

from label_data.database import schema
from label_data.database.engine import Store, reading
from label_data.errors import InputError
from label_data.records import Group, Role
from label_data.settings import ProjectSettings, settings_from
from label_data.store.stored_groups import groups_in, messages_from_json

AT_ONCE = 500
"""Prompts that are read together when a text is searched for."""
MOST_CHOICES = 500
"""Values of one field that a filter offers, in their order."""
MOST_COUNTED = 1_000
"""Prompts that a search counts at most."""

_prompts, _items, _completions, _rankings = schema.prompts, schema.items, schema.completions, schema.rankings
_later = _rankings.alias("later")
_SAID = func.substr(_prompts.c.messages, 2, func.length(_prompts.c.messages) - 2, type_=Text())
"""The texts of a prompt without the list, keys and roles around them: text can't hold those, for its quotes are
escaped, nor the line breaks put between the turns instead."""
for _around in ('{"content":"', *(f'","role":"{role}"}}' for role in get_args(Role))):
    _SAID = func.replace(_SAID, _around, "\n", type_=Text())
_SAID = func.replace(_SAID, "\n,\n", "\n", type_=Text())


Place = Literal["prompt", "completions", "reasons"]
"""Where a text is searched for: any message, any completion, or why somebody ranked them so."""


@dataclass(frozen=True, slots=True)
class PromptFilter:
    """Which prompts are wanted: all that is said must hold, and empty says nothing."""

    text: str = ""
    """Stands where `text_in` says; upper and lower case of a to z are one."""
    text_in: Place = "prompt"
    category: str = ""
    source: str = ""
    """Where the prompt came from: a file's name."""
    licence: str = ""
    policy: str = ""
    """Wrote one of the completions."""
    annotator: str = ""
    """Pseudonym of somebody with a current ranking of the prompt: one that all else asked of rankings holds for too."""
    outcome: str = ""
    """Of a current ranking."""
    flag: str = ""
    """That a current ranking gives one of the completions, by the name that is stored."""
    since: int | None = None
    """Microseconds since 1970, UTC, at which a current ranking was made, or stored if nobody knows, or later."""
    before: int | None = None
    """And earlier than this."""
    state: str = ""


@dataclass(frozen=True, slots=True)
class PromptSummary:
    """One prompt of a list."""

    number: int
    """Of its item: the next page begins below the last one's."""
    prompt_id: str
    text: str
    """Of its last message."""
    turns: int
    category: str
    source: str
    state: str
    completions: int
    rankings: int
    """Revised and withdrawn ones among them."""


@dataclass(frozen=True, slots=True)
class Choices:
    """The values that a project's prompts have in each field, up to `MOST_CHOICES` of them."""

    categories: tuple[str, ...]
    sources: tuple[str, ...]
    licences: tuple[str, ...]
    policies: tuple[str, ...]
    annotators: Mapping[str, str]
    """Pseudonym, or the name that a file gave -> the name to show."""


@dataclass(frozen=True, slots=True)
class SettingsRevision:
    """Settings under which something was judged."""

    settings: ProjectSettings
    saved: int | None
    """Microseconds since 1970, UTC; None for those that a project begins with."""


@dataclass(frozen=True, slots=True)
class VersionEntry:
    """A version of the data that holds the prompt."""

    name: str
    side: str
    """train or held_out."""
    made: int
    """Microseconds since 1970, UTC."""


@dataclass(frozen=True, slots=True)
class History:
    """All that the store knows of one prompt in one project."""

    group: Group
    """With every ranking that was ever stored, in that order: revised and withdrawn ones too."""
    state: str
    added: int
    """Microseconds since 1970, UTC, as every time here."""
    stored: Mapping[str, int]
    """Submission -> when the store took the ranking."""
    withdrawn: Mapping[str, int]
    """Submission -> when it was withdrawn."""
    names: Mapping[str, str]
    """Annotator -> the name to show."""
    revisions: Mapping[tuple[str, int], SettingsRevision]
    """(project, revision) that a ranking or demonstration names -> the settings, where this store has them."""
    versions: tuple[VersionEntry, ...]
    """Of the project's data, oldest first."""


def search_prompts(
    store: Store, project: str, wanted: PromptFilter, limit: int = 20, below: int | None = None
) -> tuple[PromptSummary, ...]:
    """Return up to `limit` of the project's prompts that fit, newest first; `below`: those before this number."""
    with reading(store) as connection:
        rows = []
        for row in _rows(connection, project, wanted, below, limit):
            rows.append(row)
            if len(rows) == limit:
                break
        ids = [row.prompt_id for row in rows]
        completions, rankings = (
            dict(
                connection.execute(
                    select(table.c.prompt_id, func.count())
                    .where(table.c.prompt_id.in_(ids), *conditions)
                    .group_by(table.c.prompt_id)
                ).all()
            )
            for table, conditions in (
                (_completions, ()),
                (_rankings, (_rankings.c.item.in_([row.number for row in rows]),)),
            )
        )
    return tuple(
        PromptSummary(
            row.number,
            row.prompt_id,
            messages[-1].content,
            len(messages),
            row.category,
            row.source,
            row.state,
            completions.get(row.prompt_id, 0),
            rankings.get(row.prompt_id, 0),
        )
        for row in rows
        for messages in [messages_from_json(row.messages)]
    )


def count_prompts(store: Store, project: str, wanted: PromptFilter) -> int:
    """Return how many of the project's prompts fit, counted up to `MOST_COUNTED` and no further."""
    with reading(store) as connection:
        return sum(1 for _ in islice(_rows(connection, project, wanted, None, MOST_COUNTED), MOST_COUNTED))


def _rows(connection: Connection, project: str, wanted: PromptFilter, below: int | None, limit: int) -> Iterator[Row]:
    """Yield the rows of the prompts that fit, newest first, read a few at a time."""
    text = wanted.text.casefold().strip() if wanted.text_in == "prompt" else ""
    query = _query(project, wanted).limit(AT_ONCE if text else limit)
    while rows := connection.execute(query if below is None else query.where(_items.c.number < below)).all():
        for row in rows:  # a backslash escapes in JSON, so what SQL found is looked at again
            if not text or any(text in message.content.casefold() for message in messages_from_json(row.messages)):
                yield row
        below = rows[-1].number


def _query(project: str, wanted: PromptFilter) -> Select:
    query = (
        select(_items.c["number", "prompt_id", "state"], _prompts.c["messages", "category", "source", "licence"])
        .join(_prompts, _prompts.c.id == _items.c.prompt_id)
        .where(_items.c.project == project)
        .order_by(_items.c.number.desc())
    )
    text = wanted.text.strip()
    if text and wanted.text_in == "prompt":
        query = query.where(_SAID.icontains(json.dumps(text, ensure_ascii=False)[1:-1], autoescape=True))
    if text and wanted.text_in == "completions":
        says_so = _completions.c.text.icontains(text, autoescape=True)
        query = query.where(
            select(_completions.c.number).where(_completions.c.prompt_id == _items.c.prompt_id, says_so).exists()
        )
    for name in ("category", "source", "licence"):
        if getattr(wanted, name):
            query = query.where(_prompts.c[name] == getattr(wanted, name))
    if wanted.state:
        query = query.where(_items.c.state == wanted.state)
    if wanted.policy:
        written = (_completions.c.prompt_id == _items.c.prompt_id) & (_completions.c.policy == wanted.policy)
        query = query.where(select(_completions.c.number).where(written).exists())
    of_ranking = _of_ranking(wanted)
    if of_ranking:
        judged = select(_rankings.c.number).where(_rankings.c.item == _items.c.number, *of_ranking, *_current())
        query = query.where(judged.exists())
    return query


def _of_ranking(wanted: PromptFilter) -> list[ColumnElement[bool]]:
    """Return the conditions on one and the same ranking."""
    table, text = _rankings.c, wanted.text.strip()
    made = func.coalesce(table.submitted_us, table.stored_us)
    asked = (
        (wanted.annotator, table.annotator == wanted.annotator),
        (wanted.outcome, table.outcome == wanted.outcome),
        (wanted.flag, table.flags.contains(json.dumps(wanted.flag, ensure_ascii=False), autoescape=True)),
        (wanted.since is not None, made >= (wanted.since or 0)),
        (wanted.before is not None, made < (wanted.before or 0)),
        (text and wanted.text_in == "reasons", table.reason.icontains(text, autoescape=True)),
    )
    return [condition for is_asked, condition in asked if is_asked]


def _current() -> tuple:
    """Return the conditions under which a ranking is neither revised nor withdrawn."""
    revised = select(_later.c.number).where(_later.c.revises == _rankings.c.submission)
    withdrawn = select(schema.retractions.c.submission).where(schema.retractions.c.submission == _rankings.c.submission)
    return ~revised.exists(), ~withdrawn.exists()


def choices(store: Store, project: str) -> Choices:
    """Return what filters on this project can offer."""
    mine = select(_items.c.prompt_id).where(_items.c.project == project)
    items = select(_items.c.number).where(_items.c.project == project)
    with reading(store) as connection:
        categories, sources, licences, policies, annotators = (
            tuple(
                connection.scalars(
                    select(column).where(of, column != "").distinct().order_by(column).limit(MOST_CHOICES)
                )
            )
            for column, of in (
                (_prompts.c.category, _prompts.c.id.in_(mine)),
                (_prompts.c.source, _prompts.c.id.in_(mine)),
                (_prompts.c.licence, _prompts.c.id.in_(mine)),
                (_completions.c.policy, _completions.c.prompt_id.in_(mine)),
                (_rankings.c.annotator, _rankings.c.item.in_(items)),
            )
        )
        names = _names(connection, set(annotators))
    return Choices(
        categories, sources, licences, policies, dict(sorted(names.items(), key=lambda one: one[1].casefold()))
    )


def _names(connection: Connection, annotators: set[str]) -> dict[str, str]:
    table = schema.annotators
    found = dict(connection.execute(select(table.c.id, table.c.name).where(table.c.id.in_(annotators))).all())
    return {one: found.get(one, one) for one in annotators}


def annotator_names(store: Store) -> dict[str, str]:
    """Return pseudonym -> name of everybody who ranks in this store."""
    table = schema.annotators
    with reading(store) as connection:
        return dict(connection.execute(select(table.c.id, table.c.name)).all())


def history(store: Store, project: str, prompt_id: str) -> History:
    """Return all that is known of the prompt in the project; InputError if it is none of the project's."""
    with reading(store) as connection:
        of_item = (_items.c.project == project) & (_items.c.prompt_id == prompt_id)
        item = connection.execute(select(_items.c["number", "state"]).where(of_item)).first()
        if item is None:
            raise InputError(f"Project {project} has no prompt {prompt_id}. Search for it again.")
        added = connection.scalar(select(_prompts.c.added_us).where(_prompts.c.id == prompt_id)) or 0
        (group,) = groups_in(connection, [prompt_id], revised=True, project=project, retracted=True)
        said = [ranking.submission for ranking in group.rankings]
        taken = select(_rankings.c["submission", "stored_us"]).where(_rankings.c.submission.in_(said))
        gone = select(schema.retractions).where(schema.retractions.c.submission.in_(said))
        judged = [*group.rankings, *group.demonstrations]
        under = {(one.project, one.project_revision) for one in judged if one.project_revision is not None}
        return History(
            group,
            item.state,
            added,
            dict(connection.execute(taken).all()),
            dict(connection.execute(gone).all()),
            _names(connection, {one.annotator for one in judged}),
            dict(_revisions(connection, under)),
            tuple(_versions(connection, project, prompt_id)),
        )


def _versions(connection: Connection, project: str, prompt_id: str) -> Iterator[VersionEntry]:
    made, held = schema.versions, schema.version_rows
    found = (
        select(made.c.name, held.c.side, made.c.made_us)
        .join(held, held.c.version == made.c.number)
        .where(held.c.prompt_id == prompt_id, made.c.project == project)
        .order_by(made.c.number)
    )
    for row in connection.execute(found):
        yield VersionEntry(row.name, row.side, row.made_us)


def _revisions(
    connection: Connection, under: set[tuple[str, int]]
) -> Iterator[tuple[tuple[str, int], SettingsRevision]]:
    table = schema.project_revisions
    for project, revision in sorted(under):
        asked = select(table).where(table.c.project == project, table.c.revision == revision)
        row = connection.execute(asked).first()
        if row is not None:
            yield (project, revision), SettingsRevision(settings_from(json.loads(row.settings)), row.saved_us)
        elif revision == 0:
            yield (project, revision), SettingsRevision(ProjectSettings(), None)


def rankings_fingerprint(store: Store, project: str) -> tuple[int, int, int, int]:
    """Return what changes with every ranking, withdrawal and gold prompt of the project: a report's date, as it were.

    The number of the newest ranking, how many there are (a lower number may be committed later than a higher one), how
    many were withdrawn, of any project, and how many gold prompts there are.
    """
    items = select(_items.c.number).where(_items.c.project == project)
    with reading(store) as connection:
        newest, rankings = connection.execute(
            select(func.max(_rankings.c.number), func.count()).where(_rankings.c.item.in_(items))
        ).one()
        withdrawn = connection.scalar(select(func.count()).select_from(schema.retractions))
        gold = connection.scalar(select(func.count()).where(_items.c.project == project, _items.c.gold.is_not(None)))
    return newest or 0, rankings, withdrawn or 0, gold or 0
