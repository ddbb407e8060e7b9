"""Prompts with all that belongs to them, as rows of the database: what `contents` and `bare_groups` make groups of."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import orjson
from sqlalchemy import ColumnElement, Connection, Row, Select, Table, bindparam, select

from label_data.database import schema

AT_ONCE = 200
"""Prompts of a page."""

_prompts, _completions, _demonstrations = schema.prompts, schema.completions, schema.demonstrations
_rankings, _retractions, _items = schema.rankings, schema.retractions, schema.items
_later, _other, _mine = _rankings.alias("later"), _rankings.alias("other"), _items.alias("mine")
_project, _after, _up_to = bindparam("project"), bindparam("after"), bindparam("up_to")


class Columns(NamedTuple):
    """What is read of each table, in the order in which a row is taken apart: by names that costs more than reading it.

    Prompts have their number first, all others the id of their prompt.
    """

    prompts: tuple[str, ...]
    completions: tuple[str, ...]
    rankings: tuple[str, ...]
    demonstrations: tuple[str, ...]


class GroupRows(NamedTuple):
    """Some prompts and what belongs to them, by the prompt's id and there first added first."""

    prompts: Sequence[Row[Any]]
    completions: dict[str, list[Row[Any]]]
    rankings: dict[str, list[Row[Any]]]
    demonstrations: dict[str, list[Row[Any]]]
    keys: set[str]
    """Submissions of the gold rankings among them."""


class _Queries(NamedTuple):
    prompts: Select[Any]
    completions: Select[Any]
    rankings: Select[Any]
    demonstrations: Select[Any]
    keys: Select[Any]


def pages(
    connection: Connection,
    columns: Columns,
    ranked_only: bool = False,
    revised: bool = False,
    project: str | None = None,
    retracted: bool = False,
) -> Iterator[GroupRows]:
    """Yield what is wanted of all prompts, first added first, `AT_ONCE` of them at a time; see `contents.groups`."""
    how = columns, ranked_only, revised, project is not None, retracted
    with_gaps, without = _of_page(*how, gaps=True), _of_page(*how, gaps=False)
    last = -1
    while prompts := connection.execute(with_gaps.prompts, {"project": project, "after": last}).all():
        first, last = prompts[0].number, prompts[-1].number
        among = {"project": project, "after": first - 1, "up_to": last}
        yield _rows(connection, prompts, without if last - first + 1 == len(prompts) else with_gaps, among)


def rows_of_prompts(
    connection: Connection,
    columns: Columns,
    prompt_ids: Sequence[str],
    revised: bool = False,
    project: str | None = None,
    retracted: bool = False,
) -> GroupRows:
    """Return what is wanted of these prompts, in this order; they must be in the store."""
    queries = _of_ids(columns, revised, project is not None, retracted)
    among = {"project": project, "prompts": list(prompt_ids)}
    found = {row.id: row for row in connection.execute(queries.prompts, among).all()}
    return _rows(connection, [found[id] for id in prompt_ids], queries, among)


def _rows(connection: Connection, prompts: Sequence[Row[Any]], queries: _Queries, among: dict[str, Any]) -> GroupRows:
    def by_prompt(query: Select[Any]) -> dict[str, list[Row[Any]]]:
        found = defaultdict(list)
        for row in connection.execute(query, among).all():
            found[row[0]].append(row)
        return found

    keys = set(connection.scalars(queries.keys, among))
    return GroupRows(prompts, *map(by_prompt, (queries.completions, queries.rankings, queries.demonstrations)), keys)


def json_value(text: str) -> Any:
    """Return what a JSON column holds: most often nothing, which need not be parsed."""
    return [] if text == "[]" else {} if text == "{}" else orjson.loads(text)


# The queries are built once: building them for each call took more than reading what they find.


@cache
def _of_page(
    columns: Columns, ranked_only: bool, revised: bool, of_project: bool, retracted: bool, gaps: bool
) -> _Queries:
    """Return how the prompts after a number are found, and what belongs to those up to another number.

    Without `gaps` every prompt between the two is wanted, which then need not be asked again of each: that took a third
    of the time of reading pairs.
    """
    wanted = []
    if ranked_only:
        wanted.append(select(_other.c.number).where(_other.c.prompt_id == _prompts.c.id).exists())
    if of_project:
        mine = _mine.c.prompt_id == _prompts.c.id, _mine.c.project == _project
        wanted.append(select(_mine.c.number).where(*mine).exists())

    def of(table: Table, names: Iterable[str]) -> Select[Any]:
        query = select(*(table.c[name] for name in names)).join(_prompts, _prompts.c.id == table.c.prompt_id)
        query = query.where(_prompts.c.number > _after, _prompts.c.number <= _up_to, *(wanted if gaps else ()))
        return query.order_by(_prompts.c.number, table.c.number)

    prompts = select(*(_prompts.c[name] for name in columns.prompts)).where(_prompts.c.number > _after, *wanted)
    return _queries(prompts.order_by(_prompts.c.number).limit(AT_ONCE), of, columns, revised, of_project, retracted)


@cache
def _of_ids(columns: Columns, revised: bool, of_project: bool, retracted: bool) -> _Queries:
    """Return how the prompts of some ids are found, and what belongs to them."""
    ids = bindparam("prompts", expanding=True)

    def of(table: Table, names: Iterable[str]) -> Select[Any]:
        query = select(*(table.c[name] for name in names)).where(table.c.prompt_id.in_(ids))
        return query.order_by(table.c.prompt_id, table.c.number)  # by number alone SQLite goes through all items

    prompts = select(*(_prompts.c[name] for name in columns.prompts)).where(_prompts.c.id.in_(ids))
    return _queries(prompts, of, columns, revised, of_project, retracted)


def _queries(
    prompts: Select[Any],
    of: Callable[[Table, Iterable[str]], Select[Any]],
    columns: Columns,
    revised: bool,
    of_project: bool,
    retracted: bool,
) -> _Queries:
    """Return the queries; `of` says how those rows of a table are found that belong to the prompts."""

    def wanted(table: Table, names: Iterable[str]) -> Select[Any]:
        query = of(table, names)
        if not revised:
            query = query.where(~select(_later.c.number).where(_later.c.revises == table.c.submission).exists())
        if not retracted:
            withdrawn = select(_retractions.c.submission).where(_retractions.c.submission == table.c.submission)
            query = query.where(~withdrawn.exists())
        if of_project and table is _rankings:
            query = query.where(_is_of_project(_rankings.c.item))
        elif of_project:
            elsewhere = select(_other.c.number).where(
                _other.c.submission == table.c.submission, ~_is_of_project(_other.c.item)
            )
            query = query.where(~elsewhere.exists())
        return query

    return _Queries(
        prompts,
        of(_completions, columns.completions),
        wanted(_rankings, columns.rankings),
        wanted(_demonstrations, columns.demonstrations),
        of(_items, ("gold",)).where(_items.c.gold.is_not(None)),
    )


def _is_of_project(item: ColumnElement[int]) -> ColumnElement[bool]:
    return select(_items.c.number).where(_items.c.number == item, _items.c.project == _project).exists()
