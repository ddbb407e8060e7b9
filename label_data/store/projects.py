"""Projects and their settings: every change is a revision, and nothing of an earlier one is lost.

A store has any number of projects. Prompts belong to a project by items, one a prompt and project; completions belong
to their prompt, whichever project had them sampled. A ranking carries the project it was made for, and the revision of
the settings in force when it was submitted: those against which it was checked.
"""

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Label, Row, bindparam, insert, select

from label_data.canonical import canonical
from label_data.database import schema
from label_data.database.engine import Store, reading, writing
from label_data.errors import InputError
from label_data.settings import ProjectSettings, settings_from
from label_data.store.counting import recount_project

PROJECT = "default"
"""The project that a new store has."""


@dataclass(frozen=True, slots=True)
class Project:
    """One project of a store."""

    id: str
    """Made from its first name; rankings carry it."""
    name: str
    """As its newest settings have it."""


_revisions = schema.project_revisions


def current_settings_columns(project: ColumnElement[str]) -> tuple[Label[Any], Label[Any]]:
    """Return what a statement selects, beside other things, to learn a project's settings: see `settings_from_row`."""
    newest = select().where(_revisions.c.project == project).order_by(_revisions.c.revision.desc()).limit(1)
    text, revision = (newest.add_columns(_revisions.c[name]) for name in ("settings", "revision"))
    return text.scalar_subquery().label("settings"), revision.scalar_subquery().label("revision")


_NEWEST = select(*current_settings_columns(bindparam("project", type_=_revisions.c.project.type)))


def projects(store: Store) -> list[Project]:
    """Return the store's projects, first added first."""
    with reading(store) as connection:
        return _projects_in(connection)


def _projects_in(connection: Connection) -> list[Project]:
    ids = connection.scalars(select(schema.projects.c.id).order_by(schema.projects.c.added_us, schema.projects.c.id))
    return [Project(id, current_settings(connection, id)[0].name) for id in ids.all()]


def project_named(store: Store, name: str = "") -> Project:
    """Return the project of this name or id, case aside; without one, the store's only project.

    Raises InputError, with the names there are, if there is no such project or several to choose from.
    """
    found = projects(store)
    wanted = " ".join(name.split()).casefold()
    fitting = [project for project in found if wanted in ("", project.id.casefold(), project.name.casefold())]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(repr(project.name) for project in found)
    if wanted:
        raise InputError(f"There is no project {name!r} in this store. It has {names}; name one with --project.")
    raise InputError(f"The store has {len(found)} projects: {names}. Name one with --project.")


def add_project(store: Store, name: str, settings: ProjectSettings | None = None) -> Project:
    """Add a project of this name, with the settings or else the defaults as revision 1, and return it."""
    settings = replace(settings or ProjectSettings(), name=" ".join(name.split()))
    with writing(store) as connection:
        _check_free(connection, settings.name)
        words = "".join(letter if letter.isalnum() else " " for letter in settings.name.casefold()).split()
        plain = "-".join(words)[:60] or "project"
        taken = set(connection.scalars(select(schema.projects.c.id)))
        id = next(id for id in (plain, *(f"{plain}-{n}" for n in range(2, len(taken) + 3))) if id not in taken)
        connection.execute(insert(schema.projects).values(id=id, added_us=schema.now_us(), next_place=1))
        _add_revision(connection, id, 1, settings)
    return Project(id, settings.name)


def _check_free(connection: Connection, name: str, but: str = "") -> None:
    for project in _projects_in(connection):
        if project.id != but and project.name.casefold() == name.casefold():
            raise InputError(f"There is a project {project.name!r} already. Give this one another name.")


def project_settings(store: Store, project: str = PROJECT) -> tuple[ProjectSettings, int]:
    """Return the project's newest settings and their revision; the defaults and 0 before any were saved."""
    with reading(store) as connection:
        return current_settings(connection, project)


def current_settings(connection: Connection, project: str) -> tuple[ProjectSettings, int]:
    """Return the newest settings inside a transaction that is open already."""
    return settings_from_row(connection.execute(_NEWEST, {"project": project}).one())


def settings_from_row(row: Row[Any]) -> tuple[ProjectSettings, int]:
    """Return the settings, and their revision, of a row that has the columns of `current_settings_columns`."""
    return (_settings(row.settings), row.revision) if row.revision else (ProjectSettings(), 0)


@lru_cache(maxsize=64)
def _settings(text: str) -> ProjectSettings:
    """Return the settings of a revision, read and checked once: every page and every answer asks for them."""
    return settings_from(json.loads(text))


def save_settings(store: Store, settings: ProjectSettings, project: str = PROJECT) -> int:
    """Keep the settings as a new revision and return its number; unchanged settings make no revision."""
    with writing(store) as connection:
        current, revision = current_settings(connection, project)
        if current == settings and revision:
            return revision
        _check_free(connection, settings.name, but=project)
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
