"""Prompts that wait for completions, and what was sampled for them."""

from collections.abc import Sequence

from sqlalchemy import select, update

from label_data.database import schema
from label_data.database.engine import Store, reading, writing
from label_data.records import Completion, Prompt
from label_data.store.projects import PROJECT
from label_data.store.queue import enqueue
from label_data.store.single_records import add_completion
from label_data.store.stored_groups import prompt_from_row


def waiting_prompts(store: Store, limit: int, project: str = PROJECT) -> list[Prompt]:
    """Return up to `limit` prompts that have no completions to rank yet, first added first."""
    items, prompts = schema.items, schema.prompts
    query = (
        select(prompts)
        .join(items, items.c.prompt_id == prompts.c.id)
        .where(items.c.project == project, items.c.state == schema.WAITING)
        .order_by(items.c.number)
        .limit(limit)
    )
    with reading(store) as connection:
        return [prompt_from_row(row) for row in connection.execute(query)]


def save_samples(store: Store, prompt: Prompt, completions: Sequence[Completion], project: str = PROJECT) -> str:
    """Keep what was sampled for one prompt, in one transaction, and return the prompt's state then.

    "ready" with two different completions or more, else "failed": a policy that always says the same gives nothing
    to rank, and asking it again would not help. A prompt that does not wait any more stays as it is: another worker
    sampled it, and what this one has is dropped.
    """
    items = schema.items
    mine = (items.c.project == project) & (items.c.prompt_id == prompt.id)
    with writing(store) as connection:
        before = connection.scalar(select(items.c.state).where(mine))
        if before != schema.WAITING:
            return before or schema.FAILED
        for completion in completions:
            add_completion(connection, completion)
        texts = {completion.folded for completion in completions}
        state = schema.READY if len(texts) >= 2 else schema.FAILED
        connection.execute(update(items).where(mine).values(state=state))
        enqueue(connection, project)
    return state


def retry_failed(store: Store, project: str = PROJECT) -> int:
    """Put the prompts whose sampling gave nothing to rank back to waiting; return how many."""
    items = schema.items
    failed = (items.c.project == project) & (items.c.state == schema.FAILED)
    with writing(store) as connection:
        return connection.execute(update(items).where(failed).values(state=schema.WAITING)).rowcount
