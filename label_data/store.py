"""What the store is given: prompts, completions, demonstrations and rankings, each kept once."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from label_data import schema
from label_data.counting import LOCKED_ITEM, settle
from label_data.database import Store, writing
from label_data.projects import PROJECT, settings_in
from label_data.queueing import enqueue
from label_data.records import Completion, Demonstration, Group, InputError, Prompt, Ranking, canonical
from label_data.settings import ProjectSettings

_rankings, _later, _retractions = schema.rankings, schema.rankings.alias("later"), schema.retractions
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
_APPEND = insert(_rankings).values(stored_us=schema.now_us())
_APPEND_NOW = _APPEND.values(submitted_us=schema.now_us())
UPSERTING_INSERT = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


@dataclass(frozen=True, slots=True)
class Added:
    """What one call added; what was there already is not counted."""

    prompts: int = 0
    completions: int = 0
    rankings: int = 0

    def __add__(self, other: "Added") -> "Added":
        return Added(self.prompts + other.prompts, self.completions + other.completions, self.rankings + other.rankings)


def add_prompts(store: Store, prompts: Iterable[Prompt], project: str = PROJECT) -> int:
    """Add the prompts that are not there yet, all or none; return how many were new."""
    return add_groups(store, (Group(prompt) for prompt in prompts), project).prompts


def add_groups(
    store: Store,
    groups: Iterable[Group],
    project: str = PROJECT,
    on_progress: Callable[[int], object] = lambda groups: None,
) -> Added:
    """Add prompts with their completions and rankings in one transaction: all, or with an error none.

    A prompt without two different completions waits to be sampled; one with rankings counts as ranked; any other is
    ready to be ranked. Adding the same again adds nothing. `on_progress` gets the number of groups so far.
    """
    added = Added()
    with writing(store) as connection:
        settings, _ = settings_in(connection, project)
        for number, group in enumerate(groups, start=1):
            added += _add_group(connection, group, project, settings)
            on_progress(number)
        enqueue(connection, project)
    return added


def _add_group(connection: Connection, group: Group, project: str, settings: ProjectSettings) -> Added:
    prompt, items = group.prompt, schema.items
    new_prompt = _insert_new(
        connection,
        schema.prompts,
        id=prompt.id,
        messages=canonical(prompt.as_dicts),
        category=prompt.category,
        source=prompt.source,
        added_us=schema.now_us(),
    )
    new_completions = sum(add_completion(connection, completion) for completion in group.completions)
    for demonstration in group.demonstrations:
        add_demonstration(connection, demonstration)
    first = {"project": project, "prompt_id": prompt.id, "state": schema.WAITING, "done": 0, "leased": 0}
    new_item = _insert_new(connection, items, key=("project", "prompt_id"), **first)
    mine = (items.c.project == project) & (items.c.prompt_id == prompt.id)
    item = connection.execute(select(items.c.number, items.c.gold).where(mine).with_for_update(key_share=True)).one()
    saved = [ranking for ranking in group.rankings if add_ranking(connection, ranking, item=item.number) == "saved"]
    for ranking in saved:
        _settle_revision(connection, ranking)
    gold = _gold(group, item.gold)
    if new_item or new_completions or saved or gold != item.gold:
        firsts = sum(ranking.revises is None and not ranking.tests_annotator for ranking in saved)
        connection.execute(update(items).where(mine).values(done=items.c.done + firsts, gold=gold))
        texts = connection.scalars(select(schema.completions.c.text).where(schema.completions.c.prompt_id == prompt.id))
        now = connection.execute(select(items).where(mine)).one()
        if len({" ".join(text.split()) for text in texts}) >= 2:
            enough = now.done >= settings.annotators_per_prompt or saved or gold
            if enough:
                connection.execute(update(items).where(mine).values(state=schema.RANKED, place=None))
            elif now.state != schema.READY:
                connection.execute(update(items).where(mine).values(state=schema.READY, place=None))
    return Added(new_prompt, new_completions, len(saved))


def _gold(group: Group, gold: str | None) -> str | None:
    """Return the submission of the ranking that is the item's gold: the one it has, else the group's."""
    key = next((ranking.submission for ranking in group.rankings if ranking.purpose == "key"), None)
    if gold is not None and key not in (None, gold):
        raise InputError(
            f"Prompt {group.prompt.id} has a gold ranking already, {gold}, and the file another, {key}. "
            "Leave the purpose of one of them out."
        )
    return gold or key


def add_completion(connection: Connection, completion: Completion) -> int:
    """Add inside a transaction that is open already; return 1, or 0 if it is there."""
    return _insert_new(
        connection,
        schema.completions,
        id=completion.id,
        prompt_id=completion.prompt_id,
        text=completion.text,
        policy=completion.policy,
        policy_revision=completion.policy_revision,
        sampling=canonical(dict(completion.sampling)),
        seed=completion.seed,
        finish_reason=completion.finish_reason,
        added_us=schema.now_us(),
    )


def add_demonstration(connection: Connection, demonstration: Demonstration) -> int:
    """Append inside a transaction that is open already; return 1, or 0 if it is there."""
    return _insert_new(
        connection,
        schema.demonstrations,
        id=demonstration.id,
        prompt_id=demonstration.prompt_id,
        annotator=demonstration.annotator,
        edited_from=demonstration.edited_from,
        text=demonstration.text,
        submission=demonstration.submission,
        written_us=demonstration.written,
        source=demonstration.source,
        project=demonstration.project,
        project_revision=demonstration.project_revision,
        stored_us=schema.now_us(),
    )


def _insert_new(connection: Connection, table: Table, key: Sequence[str] = ("id",), **values: Any) -> int:
    """Insert the row unless one with its key is there; return 1 or 0."""
    new = UPSERTING_INSERT[connection.dialect.name](table).values(**values)
    told = new.on_conflict_do_nothing(index_elements=list(key)).returning(table.c[key[0]])
    return len(connection.execute(told).all())


def save_ranking(store: Store, ranking: Ranking) -> str:
    """Append the ranking; return "saved", or "repeat" if this submission is already stored with the same content.

    Raises InputError if the submission is stored with other content, or the ranking it revises was revised already.
    """
    with writing(store) as connection:
        outcome = add_ranking(connection, ranking)
        if outcome == "saved":
            _settle_revision(connection, ranking)
        return outcome


def add_ranking(connection: Connection, ranking: Ranking, task: str | None = None, item: int | None = None) -> str:
    """Append inside a transaction that is open already; see `save_ranking`.

    `task`: token of the task that it answers just now; `item`: number of the item, and so the project, to which it
    belongs. One that revises another belongs to the task and item of that one.
    """
    is_now = task is not None
    digest = hashlib.sha256(canonical(ranking.judgement).encode()).hexdigest()
    stored = connection.scalar(_STORED, {"of_submission": ranking.submission})
    if stored is not None:
        if stored != digest:
            raise InputError(
                f"Submission {ranking.submission} is stored already with another judgement. "
                "Nothing was changed; reload the page and rank again."
            )
        return "repeat"
    if ranking.revises is not None:
        revised = connection.execute(_REVISED, {"of_submission": ranking.revises}).first()
        if revised is None:
            raise InputError(f"Ranking {ranking.revises} is not stored, so it can't be revised. Reload the page.")
        if revised.later is not None:
            raise InputError(f"Ranking {ranking.revises} was revised already. Reload, and change the newest one.")
        if revised.retracted_us is not None:
            raise InputError(f"Ranking {ranking.revises} was withdrawn, so it can't be revised. Reload the page.")
        task, item = revised.task, revised.item
    values = {
        "submission": ranking.submission,
        "judgement_sha256": digest,
        "prompt_id": ranking.prompt_id,
        "annotator": ranking.annotator,
        "task": task,
        "item": item,
        "purpose": ranking.purpose if ranking.tests_annotator else "",  # which is the key, the item says
        "revises": ranking.revises,
        "shown": canonical(ranking.shown),
        "order": canonical(ranking.order),
        "outcome": ranking.outcome,
        "strength": canonical(ranking.strength),
        "flags": canonical(ranking.judgement["flags"]),
        "reason": ranking.reason,
        "seconds": ranking.seconds,
        "started_us": ranking.started,
        "assisted": int(ranking.assisted),
        "source": ranking.source,
        "project": ranking.project,
        "project_revision": ranking.project_revision,
        "ratings": canonical(dict(ranking.ratings)),
        "spans": canonical([[span.completion, span.start, span.end, span.kind] for span in ranking.spans]),
    }
    if is_now:
        connection.execute(_APPEND_NOW, values)
    else:
        connection.execute(_APPEND, values | {"submitted_us": ranking.submitted})
    return "saved"


def _settle_revision(connection: Connection, ranking: Ranking) -> None:
    """Count anew the task whose ranking this one, which came in a file, revises; a skip may have become an order."""
    task = connection.execute(_TASK_OF, {"of_submission": ranking.submission}).first()
    if task is not None:
        item = connection.execute(LOCKED_ITEM, {"item_number": task.item}).one()
        settings, _ = settings_in(connection, task.project)
        state = schema.SKIPPED if ranking.outcome == "skipped" else schema.DONE
        settle(connection, item, task, state, settings.annotators_per_prompt)
