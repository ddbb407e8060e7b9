"""Read prompts with all their records as database rows, from which `stored_groups` and `bare_groups` make groups."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import orjson
from sqlalchemy import BindParameter, ColumnElement, Connection, Table, bindparam, select

from label_data.database import schema
from label_data.database.engine import AnyRow, AnySelect
from label_data.store.current_rankings import is_newest, is_withdrawn

PAGE_SIZE = 200
"""Prompts per page."""

_prompts, _completions, _demonstrations = schema.prompts, schema.completions, schema.demonstrations
_rankings, _items = schema.rankings, schema.items
_other_ranking, _project_item = _rankings.alias("other_ranking"), _items.alias("project_item")
_project: BindParameter[str] = bindparam("project")
_after: BindParameter[int] = bindparam("after")
_up_to: BindParameter[int] = bindparam("up_to")


class Columns(NamedTuple):
    """The columns to read from each table. Rows are unpacked by position: by name, that takes longer than reading them.

    The first column is the number of a prompt, and the prompt's id in the other tables.
    """

    prompts: tuple[str, ...]
    completions: tuple[str, ...]
    rankings: tuple[str, ...]
    demonstrations: tuple[str, ...]


class GroupRows(NamedTuple):
    """Rows of prompts, and of their records by the prompt's id; oldest first."""

    prompts: Sequence[AnyRow]
    completions: dict[str, list[AnyRow]]
    rankings: dict[str, list[AnyRow]]
    demonstrations: dict[str, list[AnyRow]]
    keys: set[str]
    """Submissions of the gold rankings of these prompts."""


class _Queries(NamedTuple):
    prompts: AnySelect
    completions: AnySelect
    rankings: AnySelect
    demonstrations: AnySelect
    keys: AnySelect


def pages(
    connection: Connection,
    columns: Columns,
    ranked_only: bool = False,
    revised: bool = False,
    project: str | None = None,
    retracted: bool = False,
) -> Iterator[GroupRows]:
    """Yield the rows of all prompts, oldest first, `PAGE_SIZE` prompts at a time; see `stored_groups.groups`."""
    options = columns, ranked_only, revised, project is not None, retracted
    with_gaps, without_gaps = _of_page(*options, gaps=True), _of_page(*options, gaps=False)
    last = -1
    while prompts := connection.execute(with_gaps.prompts, {"project": project, "after": last}).all():
        first, last = prompts[0].number, prompts[-1].number
        parameters = {"project": project, "after": first - 1, "up_to": last}
        queries = without_gaps if last - first + 1 == len(prompts) else with_gaps
        yield _rows(connection, prompts, queries, parameters)


def rows_of_prompts(
    connection: Connection,
    columns: Columns,
    prompt_ids: Sequence[str],
    revised: bool = False,
    project: str | None = None,
    retracted: bool = False,
) -> GroupRows:
    """Return the rows of these prompts, in this order. The prompts must be in the store."""
    queries = _of_ids(columns, revised, project is not None, retracted)
    parameters = {"project": project, "prompts": list(prompt_ids)}
    prompts = {row.id: row for row in connection.execute(queries.prompts, parameters).all()}
    return _rows(connection, [prompts[id] for id in prompt_ids], queries, parameters)


def _rows(
    connection: Connection, prompts: Sequence[AnyRow], queries: _Queries, parameters: dict[str, Any]
) -> GroupRows:
    def by_prompt(query: AnySelect) -> dict[str, list[AnyRow]]:
        rows: defaultdict[str, list[AnyRow]] = defaultdict(list)
        for row in connection.execute(query, parameters).all():
            rows[row[0]].append(row)
        return rows

    return GroupRows(
        prompts,
        completions=by_prompt(queries.completions),
        rankings=by_prompt(queries.rankings),
        demonstrations=by_prompt(queries.demonstrations),
        keys=set(connection.scalars(queries.keys, parameters)),
    )


def json_value(text: str) -> Any:
    """Return the value of a JSON column. Most are empty, and need no parsing."""
    return [] if text == "[]" else {} if text == "{}" else orjson.loads(text)


# Queries are built once: building them for each call took longer than reading their results.


@cache
def _of_page(
    columns: Columns, ranked_only: bool, revised: bool, of_project: bool, retracted: bool, gaps: bool
) -> _Queries:
    """Return the query for the next page of prompts, and the queries for the records of the prompts on it.

    Without `gaps`, every prompt between the first and last number is on the page, so the queries for records need not
    check each prompt again. Those checks took a third of the time of reading pairs.
    """
    conditions: list[ColumnElement[bool]] = []
    if ranked_only:
        conditions.append(select(_other_ranking.c.number).where(_other_ranking.c.prompt_id == _prompts.c.id).exists())
    if of_project:
        is_item = (_project_item.c.prompt_id == _prompts.c.id) & (_project_item.c.project == _project)
        conditions.append(select(_project_item.c.number).where(is_item).exists())

    def records_of(table: Table, names: Iterable[str]) -> AnySelect:
        query = select(*(table.c[name] for name in names)).join(_prompts, _prompts.c.id == table.c.prompt_id)
        query = query.where(_prompts.c.number > _after, _prompts.c.number <= _up_to, *(conditions if gaps else ()))
        return query.order_by(_prompts.c.number, table.c.number)

    prompts = select(*(_prompts.c[name] for name in columns.prompts)).where(_prompts.c.number > _after, *conditions)
    page = prompts.order_by(_prompts.c.number).limit(PAGE_SIZE)
    return _queries(page, records_of, columns, revised, of_project, retracted)


@cache
def _of_ids(columns: Columns, revised: bool, of_project: bool, retracted: bool) -> _Queries:
    """Return the queries for the prompts with given ids and for their records."""
    ids: BindParameter[str] = bindparam("prompts", expanding=True)

    def records_of(table: Table, names: Iterable[str]) -> AnySelect:
        query = select(*(table.c[name] for name in names)).where(table.c.prompt_id.in_(ids))
        return query.order_by(table.c.prompt_id, table.c.number)  # ordered by number alone, SQLite scans all items

    prompts = select(*(_prompts.c[name] for name in columns.prompts)).where(_prompts.c.id.in_(ids))
    return _queries(prompts, records_of, columns, revised, of_project, retracted)


def _queries(
    prompts: AnySelect,
    records_of: Callable[[Table, Iterable[str]], AnySelect],
    columns: Columns,
    revised: bool,
    of_project: bool,
    retracted: bool,
) -> _Queries:
    """Return the queries. `records_of` returns the query for the rows of a table that belong to the prompts."""

    def current_records_of(table: Table, names: Iterable[str]) -> AnySelect:
        query = records_of(table, names)
        if not revised:
            query = query.where(is_newest(table.c.submission))
        if not retracted:
            query = query.where(~is_withdrawn(table.c.submission))
        if of_project and table is _rankings:
            query = query.where(_is_of_project(_rankings.c.item))
        elif of_project:
            of_other_project = select(_other_ranking.c.number).where(
                _other_ranking.c.submission == table.c.submission, ~_is_of_project(_other_ranking.c.item)
            )
            query = query.where(~of_other_project.exists())
        return query

    return _Queries(
        prompts,
        records_of(_completions, columns.completions),
        current_records_of(_rankings, columns.rankings),
        current_records_of(_demonstrations, columns.demonstrations),
        records_of(_items, ("gold",)).where(_items.c.gold.is_not(None)),
    )


def _is_of_project(item: ColumnElement[int]) -> ColumnElement[bool]:
    return select(_items.c.number).where(_items.c.number == item, _items.c.project == _project).exists()
