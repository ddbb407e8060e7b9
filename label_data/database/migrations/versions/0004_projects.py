"""Several projects, the queue that annotators walk along, repeats and gold prompts, and withdrawn rankings"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Several projects, the queue that annotators walk along, repeats and gold prompts, and withdrawn rankings."""
    op.create_table(
        "projects",
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("added_us", sa.BigInteger(), nullable=False),
        sa.Column("next_place", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
    )
    op.create_table(
        "cursors",
        sa.Column("project", sa.String(length=100), nullable=False),
        sa.Column("annotator", sa.String(length=32), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["annotator"], ["annotators.id"], name=op.f("fk_cursors_annotator")),
        sa.PrimaryKeyConstraint("project", "annotator", name=op.f("pk_cursors")),
    )
    op.create_table(
        "retractions",
        sa.Column("submission", sa.String(length=200), nullable=False),
        sa.Column("retracted_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["submission"], ["rankings.submission"], name=op.f("fk_retractions_submission")),
        sa.PrimaryKeyConstraint("submission", name=op.f("pk_retractions")),
    )
    op.add_column("jobs", sa.Column("project", sa.String(length=100), server_default="", nullable=False))
    op.execute("UPDATE jobs SET project = 'default' WHERE kind IN ('sample', 'train')")
    op.add_column("items", sa.Column("skipped", sa.Integer(), server_default="0", nullable=False))
    op.add_column("items", sa.Column("place", sa.BigInteger(), nullable=True))
    op.add_column("items", sa.Column("gold", sa.String(length=200), nullable=True))
    op.add_column("rankings", sa.Column("purpose", sa.String(length=10), server_default="", nullable=False))
    # Alembic adds a reference in a statement of its own, which SQLite does not have.
    whole = "INTEGER" if op.get_bind().dialect.name == "sqlite" else "BIGINT"
    op.execute(f"ALTER TABLE rankings ADD COLUMN item {whole} CONSTRAINT fk_rankings_item REFERENCES items (number)")
    with op.batch_alter_table("tasks") as tasks:
        tasks.add_column(sa.Column("project", sa.String(length=100), server_default="default", nullable=False))
        tasks.add_column(sa.Column("purpose", sa.String(length=10), server_default="", nullable=False))
        tasks.add_column(sa.Column("counted", sa.Integer(), server_default="0", nullable=False))
        tasks.add_column(sa.Column("turn", sa.Integer(), server_default="0", nullable=False))
        tasks.drop_constraint("uq_tasks_item_annotator", type_="unique")
        tasks.create_unique_constraint(op.f("uq_tasks_item_annotator_purpose"), ["item", "annotator", "purpose"])
    op.execute("INSERT INTO projects (id, added_us, next_place) VALUES ('default', 0, 1)")
    if op.get_bind().dialect.name == "sqlite":  # no other store is older than this revision
        for action in ("update", "delete"):  # made again below
            op.execute(f"DROP TRIGGER rankings_no_{action}")
        _fill()
    op.create_index("ix_items_project_state_place", "items", ["project", "state", "place"])
    op.create_index(
        "ix_items_project_gold",
        "items",
        ["project", "number"],
        sqlite_where=sa.text("gold IS NOT NULL"),
        postgresql_where=sa.text("gold IS NOT NULL"),
    )
    op.drop_index("ix_tasks_state_expires_us", "tasks")
    op.create_index(
        "ix_tasks_open_expires_us",
        "tasks",
        ["expires_us"],
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index("ix_tasks_annotator_project_turn", "tasks", ["annotator", "project", "turn"])
    op.create_index("ix_rankings_annotator_stored_us", "rankings", ["annotator", "stored_us"])
    op.create_index(op.f("ix_rankings_item"), "rankings", ["item"])
    if op.get_bind().dialect.name == "sqlite":
        for table in ("rankings", "retractions"):
            _forbid_changes(table)
    else:
        op.execute(
            "CREATE TRIGGER retractions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON retractions "
            "FOR EACH STATEMENT EXECUTE FUNCTION append_only()"
        )
        op.execute("REVOKE DELETE, TRUNCATE ON retractions FROM PUBLIC, CURRENT_USER")


def _forbid_changes(table: str) -> None:
    for action in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} are append-only'); END"
        )


def _fill() -> None:
    """Say of what is there to which project it belongs, what counts, and in which order it waits.

    A skip no longer counts as one of the rankings that a prompt needs: its place is free for another annotator.
    """
    bind = op.get_bind()
    for statement in (
        "INSERT OR IGNORE INTO projects (id, added_us, next_place) "
        "SELECT project, MIN(saved_us), 1 FROM project_revisions GROUP BY project",
        # So far every prompt was in one project, so its rankings are that project's.
        "UPDATE rankings SET item = (SELECT MIN(number) FROM items WHERE items.project IN (SELECT id FROM projects) "
        "AND items.prompt_id = rankings.prompt_id)",
        "UPDATE tasks SET project = (SELECT project FROM items WHERE items.number = tasks.item)",
        "UPDATE tasks SET turn = counted_off.turn FROM (SELECT number, ROW_NUMBER() OVER "
        "(PARTITION BY annotator, project ORDER BY number) AS turn FROM tasks) AS counted_off "
        "WHERE counted_off.number = tasks.number",
        "INSERT INTO cursors (project, annotator, place, turn) "
        "SELECT project, annotator, 0, MAX(turn) FROM tasks GROUP BY project, annotator",
        "UPDATE tasks SET state = 'skipped' WHERE state = 'done' AND token IN (SELECT task FROM rankings "
        "WHERE outcome = 'skipped' AND submission NOT IN (SELECT revises FROM rankings WHERE revises IS NOT NULL))",
        "UPDATE tasks SET counted = 1 WHERE state = 'done'",
        "UPDATE items SET skipped = (SELECT COUNT(*) FROM tasks WHERE tasks.item = items.number "
        "AND tasks.state = 'skipped')",
        "UPDATE items SET done = done - skipped WHERE skipped > 0",
    ):
        op.execute(statement)
    newest = "SELECT project, settings, MAX(revision) FROM project_revisions GROUP BY project"
    asked = {
        project: json.loads(settings).get("annotators_per_prompt", 1)
        for project, settings, _ in bind.exec_driver_sql(newest)
    }
    for (project,) in bind.exec_driver_sql("SELECT id FROM projects").all():
        values = {"project": project, "asked": asked.get(project, 1)}
        for statement in (
            "UPDATE items SET state = 'ready' "
            "WHERE project = :project AND state = 'ranked' AND skipped > 0 AND done < :asked",
            "UPDATE items SET place = waiting.place FROM (SELECT number, ROW_NUMBER() OVER (ORDER BY number) AS place "
            "FROM items WHERE project = :project AND state = 'ready') AS waiting WHERE waiting.number = items.number",
            "UPDATE projects SET next_place = (SELECT COALESCE(MAX(place), 0) + 1 FROM items "
            "WHERE items.project = :project) WHERE id = :project",
        ):
            bind.execute(sa.text(statement), values)
