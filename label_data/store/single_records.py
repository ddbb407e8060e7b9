"""One prompt's completion, demonstration or ranking at a time, kept once; many at once are `adding`."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from label_data.canonical import canonical, canonical_bytes
from label_data.database import schema
from label_data.database.engine import Store, change, writing
from label_data.errors import InputError
from label_data.records import Completion, Demonstration, Prompt, Ranking
from label_data.store.counting import LOCKED_ITEM, settle_task
from label_data.store.projects import current_settings

UPSERT = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}

# Statements are built once: building them for each call took half the time.
_completions, _demonstrations = schema.completions, schema.demonstrations
_rankings, _later, _retractions = schema.rankings, schema.rankings.alias("later"), schema.retractions
_APPEND_UNLESS_STORED = {
    dialect: new(_rankings).values(stored_us=schema.now_us()).on_conflict_do_nothing().returning(_rankings.c.number)
    for dialect, new in UPSERT.items()
}
_APPEND_NOW_UNLESS_STORED = {
    dialect: append.values(submitted_us=schema.now_us()) for dialect, append in _APPEND_UNLESS_STORED.items()
}
_STORED = select(_rankings.c.judgement_sha256).where(_rankings.c.submission == bindparam("of_submission"))
_REVISED = (
    select(_rankings.c.task, _rankings.c.item, _later.c.number.label("later"), _retractions.c.retracted_us)
    .join(_later, _later.c.revises == _rankings.c.submission, isouter=True)
    .join(_retractions, _retractions.c.submission == _rankings.c.submission, isouter=True)
    .where(_rankings.c.submission == bindparam("of_submission"))
)
_TASK_OF = (
    select(schema.tasks)
    .join(_rankings, _rankings.c.task == schema.tasks.c.token)
    .where(_rankings.c.submission == bindparam("of_submission"), _rankings.c.revises.is_not(None))
)


def prompt_row(prompt: Prompt) -> dict[str, Any]:
    """Return the prompt as a row, without when it was added."""
    return {
        "id": prompt.id,
        "messages": canonical_bytes(prompt.as_dicts).decode(),
        "category": prompt.category,
        "source": prompt.source,
        "licence": prompt.licence,
    }


def add_completion(connection: Connection, completion: Completion) -> int:
    """Add inside a transaction that is open already; return 1, or 0 if it is there."""
    return insert_new(connection, _completions, **completion_row(completion), added_us=schema.now_us())


def completion_row(completion: Completion) -> dict[str, Any]:
    """Return the completion as a row, without when it was added."""
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
    """Append inside a transaction that is open already; return 1, or 0 if it is there."""
    return insert_new(connection, _demonstrations, **demonstration_row(demonstration), stored_us=schema.now_us())


def demonstration_row(demonstration: Demonstration) -> dict[str, Any]:
    """Return the demonstration as a row, without when it was stored."""
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
    """Insert the row unless one with its key is there; return 1 or 0."""
    new = UPSERT[connection.dialect.name](table).values(**values)
    told = new.on_conflict_do_nothing(index_elements=list(key)).returning(table.c[key[0]])
    return len(connection.execute(told).all())


def save_ranking(store: Store, ranking: Ranking) -> str:
    """Append the ranking; return "saved", or "repeat" if this submission is already stored with the same content.

    Raises InputError if the submission is stored with other content, or the ranking it revises was revised already.
    """
    with writing(store) as connection:
        outcome = add_ranking(connection, ranking)
        if outcome == "saved":
            recount_revision(connection, ranking)
        return outcome


def add_ranking(connection: Connection, ranking: Ranking, task: str | None = None, item: int | None = None) -> str:
    """Append inside a transaction that is open already; see `save_ranking`.

    Return "ranked already", too: the task has another first ranking.

    `task`: token of the task that it answers just now; `item`: number of the item, and so the project, to which it
    belongs. One that revises another belongs to the task and item of that one.
    """
    is_now = task is not None
    digest = ranking.judgement_sha256
    if ranking.revises is not None:
        if _is_stored(connection, ranking, digest):
            return "repeat"
        revised = connection.execute(_REVISED, {"of_submission": ranking.revises}).first()
        if revised is None:
            raise InputError(f"Ranking {ranking.revises} is not stored, so it can't be revised. Reload the page.")
        if revised.later is not None:
            raise InputError(f"Ranking {ranking.revises} was revised already. Reload, and change the newest one.")
        if revised.retracted_us is not None:
            raise InputError(f"Ranking {ranking.revises} was withdrawn, so it can't be revised. Reload the page.")
        task, item = revised.task, revised.item
    values = ranking_row(ranking, digest, task, item)
    if is_now:
        append = _APPEND_NOW_UNLESS_STORED[connection.dialect.name]
        del values["submitted_us"]
    else:
        append = _APPEND_UNLESS_STORED[connection.dialect.name]
    if change(connection, append, **values).first() is not None:
        return "saved"
    return "repeat" if _is_stored(connection, ranking, digest) else "ranked already"


def _is_stored(connection: Connection, ranking: Ranking, digest: str) -> bool:
    """Say whether the submission is stored with the same content; InputError if it is with another one."""
    stored = connection.scalar(_STORED, {"of_submission": ranking.submission})
    if stored not in (None, digest):
        raise InputError(
            f"Submission {ranking.submission} is stored already with another judgement. "
            "Nothing was changed; reload the page and rank again."
        )
    return stored is not None


def ranking_row(ranking: Ranking, digest: str, task: str | None, item: int | None) -> dict[str, Any]:
    """Return the ranking, whose judgement has this sha256, as a row, without when it was stored."""
    return {
        "submission": ranking.submission,
        "judgement_sha256": digest,
        "prompt_id": ranking.prompt_id,
        "annotator": ranking.annotator,
        "task": task,
        "item": item,
        "purpose": ranking.purpose if ranking.tests_annotator else "",  # which is the key, the item says
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
    """Count anew the task whose ranking this one, which came in a file, revises; a skip may have become an order."""
    task = connection.execute(_TASK_OF, {"of_submission": ranking.submission}).first()
    if task is not None:
        item = connection.execute(LOCKED_ITEM, {"item_number": task.item}).one()
        settings, _ = current_settings(connection, task.project)
        state = schema.SKIPPED if ranking.outcome == "skipped" else schema.DONE
        settle_task(connection, item, task, state, settings.annotators_per_prompt)
