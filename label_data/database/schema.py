"""The tables. Triggers make rankings, demonstrations, retractions and versions append-only; the other tables can be
rebuilt from them or are bookkeeping.

Times are integers: microseconds since 1970, UTC, by the database's own clock. JSON columns hold canonical text.
A change of a table needs a numbered revision in migrations/versions; a test compares the two.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
Counter = BigInteger().with_variant(Integer, "sqlite")
"""A row number. SQLite numbers rows by itself only in a column declared INTEGER."""


class now_us(FunctionElement[int]):  # noqa: N801 - named like the SQL function it stands for
    """The database's clock, in microseconds since 1970, UTC."""

    type = BigInteger()
    inherit_cache = True


@compiles(now_us, "sqlite")
def _sqlite_now(element: Any, compiler: Any, **options: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"


@compiles(now_us, "postgresql")
def _postgresql_now(element: Any, compiler: Any, **options: Any) -> str:
    return "(extract(epoch from clock_timestamp()) * 1000000)::bigint"


projects = Table(
    "projects",
    metadata,
    Column("id", String(100), primary_key=True),
    Column("added_us", BigInteger, nullable=False),
    Column("next_place", BigInteger, nullable=False),
)
"""`next_place`: the place of the next item that enters the project's queue; see `label_data.store.queue`."""

project_revisions = Table(
    "project_revisions",
    metadata,
    Column("project", String(100), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("settings", Text, nullable=False),
    Column("saved_us", BigInteger, nullable=False),
)

annotators = Table(
    "annotators",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("folded_name", String(200), nullable=False, unique=True),
    Column("added_us", BigInteger, nullable=False),
)

prompts = Table(
    "prompts",
    metadata,
    Column("number", Counter, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("messages", Text, nullable=False),
    Column("category", String(100), nullable=False),
    Column("source", Text, nullable=False),
    Column("added_us", BigInteger, nullable=False),
    Column("licence", Text, nullable=False, server_default=""),
)

completions = Table(
    "completions",
    metadata,
    Column("number", Counter, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("prompt_id", String(32), ForeignKey("prompts.id"), nullable=False, index=True),
    Column("text", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("policy_revision", Text, nullable=False),
    Column("sampling", Text, nullable=False),
    Column("seed", BigInteger),
    Column("finish_reason", Text, nullable=False),
    Column("added_us", BigInteger, nullable=False),
)

WAITING, READY, RANKED, FAILED = "waiting", "ready", "ranked", "failed"
"""States of an item: awaiting completions; to be ranked; ranked by as many annotators as requested, or a gold prompt;
sampling failed because all completions were equal."""

items = Table(
    "items",
    metadata,
    Column("number", Counter, primary_key=True),
    Column("project", String(100), nullable=False),
    Column("prompt_id", String(32), ForeignKey("prompts.id"), nullable=False),
    Column("state", String(10), nullable=False),
    Column("done", Integer, nullable=False),
    Column("leased", Integer, nullable=False),
    Column("skipped", Integer, nullable=False, server_default="0"),
    Column("place", BigInteger),
    Column("gold", String(200)),
    Column("least", Integer, nullable=False, server_default="0"),
    UniqueConstraint("project", "prompt_id"),
    Index("ix_items_project_state_number", "project", "state", "number"),
    Index("ix_items_project_state_place", "project", "state", "place"),
)
"""A prompt in a project. `done`: number of rankings that count. `leased`: number of open tasks. `skipped`: number of
annotators who skipped it. `place`: place in the project's queue (`label_data.store.queue`). `gold`: submission of the
known ranking of a gold prompt, which is given to annotators only as a test. `least`: minimum number of rankings
requested, if the project's own number is lower; above 0 after a relabelling (`label_data.assignment.relabelling`)."""
Index(
    "ix_items_project_gold",
    items.c.project,
    items.c.number,
    sqlite_where=items.c.gold.is_not(None),
    postgresql_where=items.c.gold.is_not(None),
)

OPEN, DONE, EXPIRED, SKIPPED, RETRACTED = "open", "done", "expired", "skipped", "retracted"
"""States of a task: leased to its annotator; ranked; lease expired or released; skipped, which is a ranking with that
outcome; its ranking was withdrawn."""

tasks = Table(
    "tasks",
    metadata,
    Column("number", Counter, primary_key=True),
    Column("token", String(32), nullable=False, unique=True),
    Column("item", Counter, ForeignKey("items.number"), nullable=False),
    Column("annotator", String(32), ForeignKey("annotators.id"), nullable=False),
    Column("shown", Text, nullable=False),
    Column("state", String(10), nullable=False),
    Column("assigned_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("project", String(100), nullable=False, server_default="default"),
    Column("purpose", String(10), nullable=False, server_default=""),
    Column("counted", Integer, nullable=False, server_default="0"),
    Column("turn", Integer, nullable=False, server_default="0"),
    UniqueConstraint("item", "annotator", "purpose"),
    Index("ix_tasks_annotator_state", "annotator", "state"),
    Index("ix_tasks_annotator_project_turn", "annotator", "project", "turn"),
)
"""An item leased to an annotator. `project`: the item's project. `purpose`: as `Ranking.purpose`. `counted`: 1 if the
item's `done` counts its ranking. `turn`: its number among the annotator's tasks in the project, from 1."""


def task_is(state: str) -> ColumnElement[bool]:
    """Return the condition that a task is in this state.

    The state is a literal: with a bound value SQLite does not use a partial index, and plans the statement again for
    every execution, which takes several times as long as the execution.
    """
    return tasks.c.state == literal_column(f"'{state}'", String)


is_open = task_is(OPEN)
Index("ix_tasks_open_expires_us", tasks.c.expires_us, sqlite_where=is_open, postgresql_where=is_open)

cursors = Table(
    "cursors",
    metadata,
    Column("project", String(100), primary_key=True),
    Column("annotator", String(32), ForeignKey("annotators.id"), primary_key=True),
    Column("place", BigInteger, nullable=False),
    Column("turn", Integer, nullable=False),
)
"""How far an annotator has advanced in a project's queue, and how many tasks of the project they were given."""

rankings = Table(
    "rankings",
    metadata,
    Column("number", Counter, primary_key=True),
    Column("submission", String(200), nullable=False, unique=True),
    Column("judgement_sha256", String(64), nullable=False),
    Column("prompt_id", String(32), ForeignKey("prompts.id"), nullable=False, index=True),
    Column("annotator", String(200), nullable=False, index=True),
    Column("task", String(32), ForeignKey("tasks.token")),
    Column("revises", String(200), ForeignKey("rankings.submission"), unique=True),
    Column("shown", Text, nullable=False),
    Column("order", Text, nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("strength", Text, nullable=False),
    Column("flags", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("seconds", Float),
    Column("started_us", BigInteger),
    Column("submitted_us", BigInteger),
    Column("assisted", Integer, nullable=False),
    Column("source", String(10), nullable=False),
    Column("project", String(100), nullable=False),
    Column("project_revision", Integer),
    Column("stored_us", BigInteger, nullable=False),
    Column("ratings", Text, nullable=False, server_default="{}"),
    Column("spans", Text, nullable=False, server_default="[]"),
    Column("item", Counter, ForeignKey("items.number"), index=True),
    Column("purpose", String(10), nullable=False, server_default=""),
    Index("ix_rankings_annotator_stored_us", "annotator", "stored_us"),
)
"""`item`: the item of the project for which the ranking was made or imported."""
Index(
    "uq_rankings_task",
    rankings.c.task,
    unique=True,
    sqlite_where=rankings.c.revises.is_(None),
    postgresql_where=rankings.c.revises.is_(None),
)

demonstrations = Table(
    "demonstrations",
    metadata,
    Column("number", Counter, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("prompt_id", String(32), ForeignKey("prompts.id"), nullable=False, index=True),
    Column("annotator", String(200), nullable=False),
    Column("edited_from", String(32), ForeignKey("completions.id")),
    Column("text", Text, nullable=False),
    Column("submission", String(200), nullable=False),
    Column("written_us", BigInteger),
    Column("source", String(10), nullable=False),
    Column("project", String(100), nullable=False),
    Column("project_revision", Integer),
    Column("stored_us", BigInteger, nullable=False),
)

retractions = Table(
    "retractions",
    metadata,
    Column("submission", String(200), ForeignKey("rankings.submission"), primary_key=True),
    Column("retracted_us", BigInteger, nullable=False),
)
"""Rankings withdrawn by their annotator. Every revision of a withdrawn ranking has a row."""

versions = Table(
    "versions",
    metadata,
    Column("number", Counter, primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("project", String(100), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("manifest", Text, nullable=False),
    Column("card", Text, nullable=False),
    Column("made_us", BigInteger, nullable=False),
)
"""Versions of a project's data; see `label_data.versions.version`."""

version_rows = Table(
    "version_rows",
    metadata,
    Column("version", Counter, ForeignKey("versions.number"), primary_key=True, autoincrement=False),
    Column("place", BigInteger, primary_key=True, autoincrement=False),
    Column("prompt_id", String(32), ForeignKey("prompts.id"), nullable=False, index=True),
    Column("side", String(10), nullable=False),
    Column("content", Text, nullable=False),
)
"""A prompt of a version, with the ids of its records in that version; texts are not stored again."""

version_models = Table(
    "version_models",
    metadata,
    Column("number", Counter, primary_key=True),
    Column("version", Counter, ForeignKey("versions.number"), nullable=False, index=True),
    Column("folder", Text, nullable=False),
    Column("report_sha256", String(64), nullable=False),
    Column("summary", Text, nullable=False),
    Column("trained_us", BigInteger, nullable=False),
)
"""Reward models trained on a version."""

APPEND_ONLY = (rankings, demonstrations, retractions, versions, version_rows, version_models)
"""Tables whose rows cannot be changed or deleted, by trigger."""

drafts = Table(
    "drafts",
    metadata,
    Column("task", String(32), ForeignKey("tasks.token"), primary_key=True),
    Column("content", Text, nullable=False),
    Column("edited_us", BigInteger, nullable=False),
)
"""Drafts: rankings not submitted yet, one per task, as the browser wrote them."""

jobs = Table(
    "jobs",
    metadata,
    Column("number", Counter, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("kind", String(20), nullable=False, index=True),
    Column("arguments", Text, nullable=False),
    Column("state", String(10), nullable=False),
    Column("done", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("message", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("stop_asked", Integer, nullable=False),
    Column("added_us", BigInteger, nullable=False),
    Column("started_us", BigInteger),
    Column("finished_us", BigInteger),
    Column("project", String(100), nullable=False, server_default=""),
    Column("worker", String(32)),
)
"""`project`: the project that the job works on; empty if it belongs to none."""

workers = Table(
    "workers",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("place", Text, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("seen_us", BigInteger, nullable=False),
)
"""Running worker processes. Each reports every few seconds; one that stops reporting is gone and loses its jobs."""
