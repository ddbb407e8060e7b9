"""Half-done rankings, kept so that they come back in another browser: one a task, replaced as it grows.

A draft is a JSON object that the ranking screen writes and reads. The store looks at two fields of it: `at`, when the
annotator last changed it (milliseconds since 1970, by the browser's clock), and `revises`, the submission that the
ranking would replace, null for a task not ranked yet.
"""

import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, select

from label_data.assignment.leases import renew
from label_data.assignment.own_rankings import current_submission
from label_data.assignment.tasks import task_row
from label_data.canonical import canonical
from label_data.database import schema
from label_data.database.engine import Store, writing
from label_data.errors import InputError
from label_data.records import check_text
from label_data.store.projects import current_settings
from label_data.store.single_records import UPSERT

LONGEST_DRAFT = 500_000
"""Characters; room for a demonstration of the greatest length and all that goes with it."""

_LOCK_TASK = (
    select(schema.tasks.c.number).where(schema.tasks.c.token == bindparam("of_token")).with_for_update(key_share=True)
)


def save_draft(store: Store, token: str, annotator: str, draft: Mapping[str, Any]) -> bool:
    """Keep the annotator's draft of this task; False if it came too late, and what is kept stays.

    The lease of its task starts anew: a draft shows that somebody is at work.

    Too late: a newer draft is kept, or the task was ranked (or its ranking revised) since the draft was begun.
    Raises InputError if the task is not this annotator's or the draft is none.
    """
    at = draft.get("at")
    if type(at) not in (int, float) or not math.isfinite(at) or at < 0:
        raise InputError(f"The draft was changed at {at!r}; give milliseconds since 1970. Reload the page.")
    try:
        content = check_text(canonical(dict(draft)), "The draft", LONGEST_DRAFT)
    except ValueError as error:
        raise InputError(f"The draft can't be kept: {error}") from None
    drafts = schema.drafts
    with writing(store, concurrently=True) as connection:
        task = task_row(connection, token, annotator)
        connection.execute(_LOCK_TASK, {"of_token": token})
        if current_submission(connection, token) != draft.get("revises"):
            return False
        now = connection.scalar(select(schema.now_us()))
        edited = min(int(at * 1000), now)  # a browser whose clock runs ahead must not win for ever
        newest = connection.scalar(select(drafts.c.edited_us).where(drafts.c.task == token))
        if newest is not None and newest > edited:
            return False
        new = UPSERT[connection.dialect.name](drafts).values(task=token, content=content, edited_us=edited)
        changed = {"content": content, "edited_us": edited}
        connection.execute(new.on_conflict_do_update(index_elements=["task"], set_=changed))
        renew(connection, token, current_settings(connection, task.project)[0])
    return True
