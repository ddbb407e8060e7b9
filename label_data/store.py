"""What the store is given: prompts, completions, demonstrations and rankings, each kept once."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from label_data import schema
from label_data.database import Store, writing
from label_data.projects import PROJECT, settings_in
from label_data.records import Completion, Demonstration, Group, InputError, Prompt, Ranking, canonical
from label_data.settings import ProjectSettings

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
    saved = [ranking for ranking in group.rankings if add_ranking(connection, ranking) == "saved"]
    new_rankings = len(saved)
    first = {"project": project, "prompt_id": prompt.id, "state": schema.WAITING, "done": 0, "leased": 0}
    new_item = _insert_new(connection, items, key=("project", "prompt_id"), **first)
    if new_item or new_completions or new_rankings:
        mine = (items.c.project == project) & (items.c.prompt_id == prompt.id)
        firsts = sum(ranking.revises is None for ranking in saved)
        connection.execute(update(items).where(mine).values(done=items.c.done + firsts))
        texts = connection.scalars(select(schema.completions.c.text).where(schema.completions.c.prompt_id == prompt.id))
        done = connection.scalar(select(items.c.done).where(mine))
        if len({" ".join(text.split()) for text in texts}) >= 2:
            enough = done >= settings.annotators_per_prompt or new_rankings
            connection.execute(update(items).where(mine).values(state=schema.RANKED if enough else schema.READY))
    return Added(new_prompt, new_completions, new_rankings)


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
        return add_ranking(connection, ranking)


def add_ranking(connection: Connection, ranking: Ranking, task: str | None = None) -> str:
    """Append inside a transaction that is open already; see `save_ranking`. `task`: token of the task it answers."""
    table = schema.rankings
    digest = hashlib.sha256(canonical(ranking.judgement).encode()).hexdigest()
    stored = connection.scalar(select(table.c.judgement_sha256).where(table.c.submission == ranking.submission))
    if stored is not None:
        if stored != digest:
            raise InputError(
                f"Submission {ranking.submission} is stored already with another judgement. "
                "Nothing was changed; reload the page and rank again."
            )
        return "repeat"
    if ranking.revises is not None:
        if connection.scalar(select(table.c.number).where(table.c.revises == ranking.revises)):
            raise InputError(f"Ranking {ranking.revises} was revised already. Reload, and change the newest one.")
        if not connection.scalar(select(table.c.number).where(table.c.submission == ranking.revises)):
            raise InputError(f"Ranking {ranking.revises} is not stored, so it can't be revised. Reload the page.")
    connection.execute(
        insert(table).values(
            submission=ranking.submission,
            judgement_sha256=digest,
            prompt_id=ranking.prompt_id,
            annotator=ranking.annotator,
            task=task,
            revises=ranking.revises,
            shown=canonical(ranking.shown),
            order=canonical(ranking.order),
            outcome=ranking.outcome,
            strength=canonical(ranking.strength),
            flags=canonical(ranking.judgement["flags"]),
            reason=ranking.reason,
            seconds=ranking.seconds,
            started_us=ranking.started,
            submitted_us=schema.now_us() if task else ranking.submitted,
            assisted=int(ranking.assisted),
            source=ranking.source,
            project=ranking.project,
            project_revision=ranking.project_revision,
            stored_us=schema.now_us(),
            ratings=canonical(dict(ranking.ratings)),
            spans=canonical([[span.completion, span.start, span.end, span.kind] for span in ranking.spans]),
        )
    )
    return "saved"
