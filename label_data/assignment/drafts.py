"""Drafts: unfinished rankings, stored so that they reappear in another browser. A task has at most one.

A draft is a JSON object that the ranking screen writes and reads. The store uses two of its fields: `at`, the time of
the annotator's last change (milliseconds since 1970, by the browser's clock), and `revises`, the submission that the
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
from label_data.sentences import say
from label_data.store.projects import current_settings
from label_data.store.single_records import UPSERT

LONGEST_DRAFT = 500_000
"""Maximum characters of a draft: room for the longest demonstration and everything else."""

_LOCK_TASK = (
    select(schema.tasks.c.number).where(schema.tasks.c.token == bindparam("of_token")).with_for_update(key_share=True)
)


def save_draft(store: Store, token: str, annotator: str, draft: Mapping[str, Any]) -> bool:
    """Store the annotator's draft of this task and renew the task's lease; return False if the draft came too late.

    It is too late if a newer draft is stored, or if the task was ranked (or its ranking revised) since the draft was
    started. Raises InputError if the task is not this annotator's or the draft is not valid.
    """
    changed_at = draft.get("at")
    if not isinstance(changed_at, int | float) or isinstance(changed_at, bool):
        raise InputError("label_data.assignment.draft_time", value=changed_at)
    if not math.isfinite(changed_at) or changed_at < 0:
        raise InputError("label_data.assignment.draft_time", value=changed_at)
    try:
        content = check_text(canonical(dict(draft)), say("label_data.assignment.draft"), LONGEST_DRAFT)
    except InputError:
        raise
    except ValueError as error:
        raise InputError("label_data.assignment.bad_draft", problem=str(error)) from None
    drafts = schema.drafts
    with writing(store, concurrently=True) as connection:
        task = task_row(connection, token, annotator)
        connection.execute(_LOCK_TASK, {"of_token": token})
        if current_submission(connection, token) != draft.get("revises"):
            return False
        now = connection.execute(select(schema.now_us())).scalar_one()
        edited = min(int(changed_at * 1000), now)  # a browser's fast clock must not block later drafts
        newest = connection.scalar(select(drafts.c.edited_us).where(drafts.c.task == token))
        if newest is not None and newest > edited:
            return False
        insert = UPSERT[connection.dialect.name](drafts).values(task=token, content=content, edited_us=edited)
        values = {"content": content, "edited_us": edited}
        connection.execute(insert.on_conflict_do_update(index_elements=["task"], set_=values))
        renew(connection, token, current_settings(connection, task.project)[0])
    return True
