"""The tables. Rankings, demonstrations, retractions and versions are append-only, by trigger; the rest can be rebuilt
from them or is bookkeeping.

Times are integers: microseconds since 1970, UTC, from the database's own clock. JSON columns hold canonical text.
A change here goes with a numbered revision in migrations/versions; a test compares the two.
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
"""A row number; SQLite counts up by itself only in a column declared INTEGER."""


class now_us(FunctionElement[int]):  # noqa: N801 - reads as the SQL function it stands for
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
"""`next_place`: the place that the next item to enter the project's queue gets; see `label_data.store.queue`."""

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
"""States of an item: to be sampled; to be ranked; ranked by as many as asked, or a gold prompt, whose ranking is known;
its completions were all alike."""

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
"""One prompt of one project. `done`, `leased`, `skipped`: how many rankings count, tasks are open, annotators skipped
it. `place`: in the project's queue (`label_data.store.queue`). `gold`: submission of the ranking that is known to be
right; such a prompt is handed out as a test of annotators alone. `least`: so many rankings are asked for, or as many as
the project asks for where that is more; above 0 where a ranking was doubted (`label_data.assignment.relabelling`)."""
Index(
    "ix_items_project_gold",
    items.c.project,
    items.c.number,
    sqlite_where=items.c.gold.is_not(None),
    postgresql_where=items.c.gold.is_not(None),
)

OPEN, DONE, EXPIRED, SKIPPED, RETRACTED = "open", "done", "expired", "skipped", "retracted"
"""States of a task: with its annotator; ranked; taken back because its lease ran out; skipped, which is a ranking of
that outcome; its ranking was withdrawn."""

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
"""An item leased to an annotator. `project`: the item's. `purpose`: as `Ranking.purpose`. `counted`: is its ranking one
of those that the item's `done` counts? `turn`: which of this annotator's tasks in this project it is, from 1."""


def task_is(state: str) -> ColumnElement[bool]:
    """Is the task in this state?

    A literal: for a bound value SQLite finds no partial index, and looks for one again whenever the statement is run,
    which takes several times as long as running it.
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
"""How far an annotator has walked along a project's queue, and how many tasks they were given there."""

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
"""`item`: the item of the project for which it was made or imported."""
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
"""Rankings that their annotator withdrew, every revision of one by itself."""

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
"""A prompt of a version, and what the version holds of it, by id: no text is there twice."""

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
"""Reward models that were trained on a version."""

APPEND_ONLY = (rankings, demonstrations, retractions, versions, version_rows, version_models)
"""Tables whose rows triggers keep from being changed or deleted."""

drafts = Table(
    "drafts",
    metadata,
    Column("task", String(32), ForeignKey("tasks.token"), primary_key=True),
    Column("content", Text, nullable=False),
    Column("edited_us", BigInteger, nullable=False),
)
"""Rankings not submitted yet, one a task, as the browser wrote them."""

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
"""`project`: whose prompts it samples or whose rankings it trains on; empty if it is nobody's."""

workers = Table(
    "workers",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("place", Text, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("seen_us", BigInteger, nullable=False),
)
"""Worker processes that run, each seen again every few seconds. One that is not is gone, and its jobs are others'."""
