"""The first tables"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """The first tables."""
    op.create_table(
        "annotators",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("folded_name", sa.String(length=200), nullable=False),
        sa.Column("added_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotators")),
        sa.UniqueConstraint("folded_name", name=op.f("uq_annotators_folded_name")),
    )
    op.create_table(
        "jobs",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("stop_asked", sa.Integer(), nullable=False),
        sa.Column("added_us", sa.BigInteger(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=True),
        sa.Column("finished_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_jobs")),
        sa.UniqueConstraint("id", name=op.f("uq_jobs_id")),
    )
    op.create_index(op.f("ix_jobs_kind"), "jobs", ["kind"], unique=False)
    op.create_table(
        "project_revisions",
        sa.Column("project", sa.String(length=100), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("saved_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "revision", name=op.f("pk_project_revisions")),
    )
    op.create_table(
        "prompts",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("messages", sa.Text(), nullable=False),
        sa.Column("category", sa.String(length=100), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("added_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_prompts")),
        sa.UniqueConstraint("id", name=op.f("uq_prompts_id")),
    )
    op.create_table(
        "completions",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("prompt_id", sa.String(length=32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("policy_revision", sa.Text(), nullable=False),
        sa.Column("sampling", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=True),
        sa.Column("finish_reason", sa.Text(), nullable=False),
        sa.Column("added_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["prompt_id"], ["prompts.id"], name=op.f("fk_completions_prompt_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_completions")),
        sa.UniqueConstraint("id", name=op.f("uq_completions_id")),
    )
    op.create_index(op.f("ix_completions_prompt_id"), "completions", ["prompt_id"], unique=False)
    op.create_table(
        "items",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("project", sa.String(length=100), nullable=False),
        sa.Column("prompt_id", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("leased", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["prompt_id"], ["prompts.id"], name=op.f("fk_items_prompt_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_items")),
        sa.UniqueConstraint("project", "prompt_id", name=op.f("uq_items_project_prompt_id")),
    )
    op.create_index("ix_items_project_state_number", "items", ["project", "state", "number"], unique=False)
    op.create_table(
        "tasks",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("item", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("annotator", sa.String(length=32), nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("assigned_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["annotator"], ["annotators.id"], name=op.f("fk_tasks_annotator")),
        sa.ForeignKeyConstraint(["item"], ["items.number"], name=op.f("fk_tasks_item")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_tasks")),
        sa.UniqueConstraint("item", "annotator", name=op.f("uq_tasks_item_annotator")),
        sa.UniqueConstraint("token", name=op.f("uq_tasks_token")),
    )
    op.create_index("ix_tasks_annotator_state", "tasks", ["annotator", "state"], unique=False)
    op.create_index("ix_tasks_state_expires_us", "tasks", ["state", "expires_us"], unique=False)
    op.create_table(
        "rankings",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("submission", sa.String(length=200), nullable=False),
        sa.Column("judgement_sha256", sa.String(length=64), nullable=False),
        sa.Column("prompt_id", sa.String(length=32), nullable=False),
        sa.Column("annotator", sa.String(length=200), nullable=False),
        sa.Column("task", sa.String(length=32), nullable=True),
        sa.Column("revises", sa.String(length=200), nullable=True),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("order", sa.Text(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("strength", sa.Text(), nullable=False),
        sa.Column("flags", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("started_us", sa.BigInteger(), nullable=True),
        sa.Column("submitted_us", sa.BigInteger(), nullable=True),
        sa.Column("assisted", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=10), nullable=False),
        sa.Column("project", sa.String(length=100), nullable=False),
        sa.Column("project_revision", sa.Integer(), nullable=True),
        sa.Column("stored_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["prompt_id"], ["prompts.id"], name=op.f("fk_rankings_prompt_id")),
        sa.ForeignKeyConstraint(["revises"], ["rankings.submission"], name=op.f("fk_rankings_revises")),
        sa.ForeignKeyConstraint(["task"], ["tasks.token"], name=op.f("fk_rankings_task")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_rankings")),
        sa.UniqueConstraint("revises", name=op.f("uq_rankings_revises")),
        sa.UniqueConstraint("submission", name=op.f("uq_rankings_submission")),
    )
    op.create_index(op.f("ix_rankings_annotator"), "rankings", ["annotator"], unique=False)
    op.create_index(op.f("ix_rankings_prompt_id"), "rankings", ["prompt_id"], unique=False)
    op.create_index(
        "uq_rankings_task",
        "rankings",
        ["task"],
        unique=True,
        sqlite_where=sa.text("revises IS NULL"),
        postgresql_where=sa.text("revises IS NULL"),
    )
    if op.get_bind().dialect.name == "sqlite":  # PostgreSQL's triggers: 0003
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER rankings_no_{action.lower()} BEFORE {action} ON rankings "
                "BEGIN SELECT RAISE(ABORT, 'rankings are append-only'); END"
            )
