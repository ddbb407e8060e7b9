"""Prompts that await completions, and the completions sampled for them."""

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
    """Return up to `limit` prompts that await completions, oldest first."""
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
    """Store the completions sampled for a prompt, in one transaction, and return the prompt's new state.

    The state is "ready" with at least two different completions, otherwise "failed": equal completions cannot be
    ranked, and sampling again would not help. If the prompt no longer awaits completions, another worker has sampled
    it; it stays as it is and these completions are dropped.
    """
    items = schema.items
    is_item = (items.c.project == project) & (items.c.prompt_id == prompt.id)
    with writing(store) as connection:
        before = connection.scalar(select(items.c.state).where(is_item))
        if before != schema.WAITING:
            return before or schema.FAILED
        for completion in completions:
            add_completion(connection, completion)
        texts = {completion.folded for completion in completions}
        state = schema.READY if len(texts) >= 2 else schema.FAILED
        connection.execute(update(items).where(is_item).values(state=state))
        enqueue(connection, project)
    return state


def retry_failed(store: Store, project: str = PROJECT) -> int:
    """Set the prompts whose sampling failed back to waiting; return how many."""
    items = schema.items
    failed = (items.c.project == project) & (items.c.state == schema.FAILED)
    with writing(store) as connection:
        return connection.execute(update(items).where(failed).values(state=schema.WAITING)).rowcount
