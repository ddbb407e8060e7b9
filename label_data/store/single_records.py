"""Add a single completion, demonstration or ranking to the store, once; `adding` adds many. Turn records into rows."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Table, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from label_data.canonical import canonical, canonical_bytes
from label_data.database import schema
from label_data.database.engine import Store, change, writing
from label_data.errors import InputError
from label_data.records import Completion, Demonstration, Prompt, Ranking
from label_data.store.counting import LOCKED_ITEM, settle_task
from label_data.store.current_rankings import is_newest, is_withdrawn
from label_data.store.projects import current_settings

UPSERT: dict[str, Callable[[Table], sqlite.Insert | postgresql.Insert]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}
"""Dialect -> its INSERT, which can handle conflicts."""

# Statements are built once: building them for each call took half the time.
_completions, _demonstrations = schema.completions, schema.demonstrations
_rankings = schema.rankings
_APPEND_UNLESS_STORED = {
    dialect: insert(_rankings).values(stored_us=schema.now_us()).on_conflict_do_nothing().returning(_rankings.c.number)
    for dialect, insert in UPSERT.items()
}
_APPEND_NOW_UNLESS_STORED = {
    dialect: append.values(submitted_us=schema.now_us()) for dialect, append in _APPEND_UNLESS_STORED.items()
}
_STORED = select(_rankings.c.judgement_sha256).where(_rankings.c.submission == bindparam("of_submission"))
_REVISED = select(
    _rankings.c.task, _rankings.c.item, is_newest().label("is_newest"), is_withdrawn().label("is_withdrawn")
).where(_rankings.c.submission == bindparam("of_submission"))
_TASK_OF = (
    select(schema.tasks)
    .join(_rankings, _rankings.c.task == schema.tasks.c.token)
    .where(_rankings.c.submission == bindparam("of_submission"), _rankings.c.revises.is_not(None))
)


def prompt_row(prompt: Prompt) -> dict[str, Any]:
    """Return the prompt as a row, without its time."""
    return {
        "id": prompt.id,
        "messages": canonical_bytes(prompt.as_dicts).decode(),
        "category": prompt.category,
        "source": prompt.source,
        "licence": prompt.licence,
    }


def add_completion(connection: Connection, completion: Completion) -> int:
    """Add the completion within an open transaction; return 1, or 0 if it is stored already."""
    return insert_new(connection, _completions, **completion_row(completion), added_us=schema.now_us())


def completion_row(completion: Completion) -> dict[str, Any]:
    """Return the completion as a row, without its time."""
    return {
        "id": completion.id,
        "prompt_id": completion.prompt_id,
        "text": completion.text,
        "policy": completion.policy,
        "policy_revision": completion.policy_revision,
        "sampling": canonical(dict(completion.sampling)) if completion.sampling else "{}",
        "seed": completion.seed,
        "finish_reason": completion.finish_reason,
    }


def add_demonstration(connection: Connection, demonstration: Demonstration) -> int:
    """Append the demonstration within an open transaction; return 1, or 0 if it is stored already."""
    return insert_new(connection, _demonstrations, **demonstration_row(demonstration), stored_us=schema.now_us())


def demonstration_row(demonstration: Demonstration) -> dict[str, Any]:
    """Return the demonstration as a row, without its time."""
    return {
        "id": demonstration.id,
        "prompt_id": demonstration.prompt_id,
        "annotator": demonstration.annotator,
        "edited_from": demonstration.edited_from,
        "text": demonstration.text,
        "submission": demonstration.submission,
        "written_us": demonstration.written,
        "source": demonstration.source,
        "project": demonstration.project,
        "project_revision": demonstration.project_revision,
    }


def insert_new(connection: Connection, table: Table, key: Sequence[str] = ("id",), **values: Any) -> int:
    """Insert the row unless there is one with its key; return 1 or 0."""
    insert = UPSERT[connection.dialect.name](table).values(**values)
    statement = insert.on_conflict_do_nothing(index_elements=list(key)).returning(table.c[key[0]])
    return len(connection.execute(statement).all())


def save_ranking(store: Store, ranking: Ranking) -> str:
    """Append the ranking and return "saved", or "repeat" if its submission is stored already with the same content.

    Raises InputError if the submission is stored with other content, or the ranking it revises was revised already.
    """
    with writing(store) as connection:
        outcome = add_ranking(connection, ranking)
        if outcome == "saved":
            recount_revision(connection, ranking)
        return outcome


def add_ranking(connection: Connection, ranking: Ranking, task: str | None = None, item: int | None = None) -> str:
    """Append the ranking within an open transaction, as `save_ranking` does.

    Returns "ranked already" if the task already has a first ranking with another submission.

    Args:
        connection: the open transaction.
        ranking: the ranking.
        task: token of the task that the ranking answers now; None for an imported ranking.
        item: number of the item, and so of the project, to which the ranking belongs. A revision belongs to the task
            and item of the ranking that it revises.
    """
    is_submitted_now = task is not None
    digest = ranking.judgement_sha256
    if ranking.revises is not None:
        if _is_stored(connection, ranking, digest):
            return "repeat"
        revised = connection.execute(_REVISED, {"of_submission": ranking.revises}).first()
        if revised is None:
            raise InputError("label_data.store.revised_missing", ranking=ranking.revises)
        if not revised.is_newest:
            raise InputError("label_data.store.revised_twice", ranking=ranking.revises)
        if revised.is_withdrawn:
            raise InputError("label_data.store.revised_withdrawn", ranking=ranking.revises)
        task, item = revised.task, revised.item
    values = ranking_row(ranking, digest, task, item)
    if is_submitted_now:
        append = _APPEND_NOW_UNLESS_STORED[connection.dialect.name]
        del values["submitted_us"]
    else:
        append = _APPEND_UNLESS_STORED[connection.dialect.name]
    if change(connection, append, **values).first() is not None:
        return "saved"
    return "repeat" if _is_stored(connection, ranking, digest) else "ranked already"


def _is_stored(connection: Connection, ranking: Ranking, digest: str) -> bool:
    """Return whether the submission is stored with the same content. Raises InputError if with other content."""
    stored = connection.scalar(_STORED, {"of_submission": ranking.submission})
    if stored not in (None, digest):
        raise InputError("label_data.store.other_content", submission=ranking.submission)
    return stored is not None


def ranking_row(ranking: Ranking, digest: str, task: str | None, item: int | None) -> dict[str, Any]:
    """Return the ranking as a row, without the time when it was stored. `digest` is its `judgement_sha256`."""
    return {
        "submission": ranking.submission,
        "judgement_sha256": digest,
        "prompt_id": ranking.prompt_id,
        "annotator": ranking.annotator,
        "task": task,
        "item": item,
        "purpose": ranking.purpose if ranking.tests_annotator else "",  # the item names its known ranking
        "revises": ranking.revises,
        "shown": canonical_bytes(ranking.shown).decode(),
        "order": canonical_bytes(ranking.order).decode(),
        "outcome": ranking.outcome,
        "strength": canonical(ranking.strength),
        "flags": canonical(ranking.sorted_flags),
        "reason": ranking.reason,
        "seconds": ranking.seconds,
        "started_us": ranking.started,
        "submitted_us": ranking.submitted,
        "assisted": int(ranking.assisted),
        "source": ranking.source,
        "project": ranking.project,
        "project_revision": ranking.project_revision,
        "ratings": canonical(dict(ranking.ratings)) if ranking.ratings else "{}",
        "spans": canonical([[span.completion, span.start, span.end, span.kind] for span in ranking.spans]),
    }


def recount_revision(connection: Connection, ranking: Ranking) -> None:
    """Count the task of an imported revision again: a skip may have become an order."""
    task = connection.execute(_TASK_OF, {"of_submission": ranking.submission}).first()
    if task is not None:
        item = connection.execute(LOCKED_ITEM, {"item_number": task.item}).one()
        settings, _ = current_settings(connection, task.project)
        state = schema.SKIPPED if ranking.outcome == "skipped" else schema.DONE
        settle_task(connection, item, task, state, settings.annotators_per_prompt)
