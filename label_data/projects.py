"""Projects and their settings: every change is a revision, and nothing of an earlier one is lost."""

import json

from sqlalchemy import Connection, insert, select, update

from label_data import schema
from label_data.database import Store, reading, writing
from label_data.records import canonical
from label_data.settings import ProjectSettings, settings_from

PROJECT = "default"
"""The one project of a store."""


def project_settings(store: Store, project: str = PROJECT) -> tuple[ProjectSettings, int]:
    """Return the project's newest settings and their revision; the defaults and 0 before any were saved."""
    with reading(store) as connection:
        return settings_in(connection, project)


def settings_in(connection: Connection, project: str) -> tuple[ProjectSettings, int]:
    """Return the newest settings inside a transaction that is open already."""
    table = schema.project_revisions
    newest = select(table).where(table.c.project == project).order_by(table.c.revision.desc()).limit(1)
    row = connection.execute(newest).first()
    return (settings_from(json.loads(row.settings)), row.revision) if row else (ProjectSettings(), 0)


def save_settings(store: Store, settings: ProjectSettings, project: str = PROJECT) -> int:
    """Keep the settings as a new revision and return its number; unchanged settings make no revision."""
    items = schema.items
    with writing(store) as connection:
        current, revision = settings_in(connection, project)
        if current == settings and revision:
            return revision
        connection.execute(
            insert(schema.project_revisions).values(
                project=project,
                revision=revision + 1,
                settings=canonical(settings.as_dict()),
                saved_us=schema.now_us(),
            )
        )
        ranked = items.c.state.in_((schema.READY, schema.RANKED)) & (items.c.project == project)
        enough = items.c.done >= settings.annotators_per_prompt
        connection.execute(update(items).where(ranked, enough).values(state=schema.RANKED))
        connection.execute(update(items).where(ranked, ~enough).values(state=schema.READY))
        return revision + 1
