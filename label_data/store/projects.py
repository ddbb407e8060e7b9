"""Projects and their settings. Every change of the settings is a new revision; earlier revisions are kept.

A store has any number of projects. An item puts a prompt into a project. Completions belong to their prompt, whichever
project sampled them. A ranking names its project and the revision of the settings against which it was checked, the
current one when it was submitted.
"""

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Label, bindparam, insert, select

from label_data.canonical import canonical
from label_data.database import schema
from label_data.database.engine import AnyRow, Store, reading, writing
from label_data.errors import InputError
from label_data.settings import ProjectSettings, settings_from
from label_data.store.counting import recount_project

PROJECT = "default"
"""Id of the project that a new store has."""


@dataclass(frozen=True, slots=True)
class Project:
    """One project of a store."""

    id: str
    """Made from the project's first name; rankings carry it."""
    name: str
    """The name in its current settings."""


_revisions = schema.project_revisions


def current_settings_columns(project: ColumnElement[str]) -> tuple[Label[Any], Label[Any]]:
    """Return the columns to add to a query for the project's current settings; `settings_from_row` reads them."""
    newest = select().where(_revisions.c.project == project).order_by(_revisions.c.revision.desc()).limit(1)
    text, revision = (newest.add_columns(_revisions.c[name]) for name in ("settings", "revision"))
    return text.scalar_subquery().label("settings"), revision.scalar_subquery().label("revision")


_NEWEST = select(*current_settings_columns(bindparam("project", type_=_revisions.c.project.type)))


def projects(store: Store) -> list[Project]:
    """Return the store's projects, oldest first."""
    with reading(store) as connection:
        return _projects_in(connection)


def _projects_in(connection: Connection) -> list[Project]:
    ids = connection.scalars(select(schema.projects.c.id).order_by(schema.projects.c.added_us, schema.projects.c.id))
    return [Project(id, current_settings(connection, id)[0].name) for id in ids.all()]


def project_named(store: Store, name: str = "") -> Project:
    """Return the project with this name or id, ignoring case; without a name, the store's only project.

    Raises InputError, listing the names, if there is no such project, or no name is given and there are several.
    """
    candidates = projects(store)
    folded = " ".join(name.split()).casefold()
    matching = [project for project in candidates if folded in ("", project.id.casefold(), project.name.casefold())]
    if len(matching) == 1:
        return matching[0]
    names = ", ".join(repr(project.name) for project in candidates)
    if folded:
        raise InputError("label_data.store.no_project", name=name, names=names)
    raise InputError("label_data.store.many_projects", count=len(candidates), names=names)


def add_project(store: Store, name: str, settings: ProjectSettings | None = None) -> Project:
    """Add a project with this name and return it. Revision 1 of its settings are those given, or the defaults."""
    settings = replace(settings or ProjectSettings(), name=" ".join(name.split()))
    with writing(store) as connection:
        _check_name(connection, settings.name)
        words = "".join(letter if letter.isalnum() else " " for letter in settings.name.casefold()).split()
        base = "-".join(words)[:60] or "project"
        taken = set(connection.scalars(select(schema.projects.c.id)))
        id, number = base, 1
        while id in taken:
            number += 1
            id = f"{base}-{number}"
        connection.execute(insert(schema.projects).values(id=id, added_us=schema.now_us(), next_place=1))
        _add_revision(connection, id, 1, settings)
    return Project(id, settings.name)


def _check_name(connection: Connection, name: str, of_project: str = "") -> None:
    """Raise InputError if another project has this name."""
    for project in _projects_in(connection):
        if project.id != of_project and project.name.casefold() == name.casefold():
            raise InputError("label_data.store.project_taken", name=project.name)


def project_settings(store: Store, project: str = PROJECT) -> tuple[ProjectSettings, int]:
    """Return the project's current settings and their revision; the defaults and 0 if none were saved."""
    with reading(store) as connection:
        return current_settings(connection, project)


def current_settings(connection: Connection, project: str) -> tuple[ProjectSettings, int]:
    """Return the project's current settings and their revision, within an open transaction."""
    return settings_from_row(connection.execute(_NEWEST, {"project": project}).one())


def settings_from_row(row: AnyRow) -> tuple[ProjectSettings, int]:
    """Return the settings and their revision from a row with the columns of `current_settings_columns`."""
    return (_settings(row.settings), row.revision) if row.revision else (ProjectSettings(), 0)


@lru_cache(maxsize=64)
def _settings(text: str) -> ProjectSettings:
    """Parse and check settings. Cached, because every page and every submitted ranking needs them."""
    return settings_from(json.loads(text))


def save_settings(store: Store, settings: ProjectSettings, project: str = PROJECT) -> int:
    """Save the settings as a new revision and return its number. Unchanged settings make no new revision."""
    with writing(store) as connection:
        current, revision = current_settings(connection, project)
        if current == settings and revision:
            return revision
        _check_name(connection, settings.name, of_project=project)
        _add_revision(connection, project, revision + 1, settings)
        if settings.annotators_per_prompt != current.annotators_per_prompt:
            recount_project(connection, project, current.annotators_per_prompt, settings.annotators_per_prompt)
        return revision + 1


def _add_revision(connection: Connection, project: str, revision: int, settings: ProjectSettings) -> None:
    connection.execute(
        insert(schema.project_revisions).values(
            project=project,
            revision=revision,
            settings=canonical(settings.as_dict()),
            saved_us=schema.now_us(),
        )
    )
