"""Ratings and spans of a ranking, demonstrations, and drafts"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Ratings and spans of a ranking, demonstrations, and drafts."""
    op.add_column("rankings", sa.Column("ratings", sa.Text(), server_default="{}", nullable=False))
    op.add_column("rankings", sa.Column("spans", sa.Text(), server_default="[]", nullable=False))
    op.create_table(
        "demonstrations",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("prompt_id", sa.String(length=32), nullable=False),
        sa.Column("annotator", sa.String(length=200), nullable=False),
        sa.Column("edited_from", sa.String(length=32), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("submission", sa.String(length=200), nullable=False),
        sa.Column("written_us", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.String(length=10), nullable=False),
        sa.Column("project", sa.String(length=100), nullable=False),
        sa.Column("project_revision", sa.Integer(), nullable=True),
        sa.Column("stored_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["edited_from"], ["completions.id"], name=op.f("fk_demonstrations_edited_from")),
        sa.ForeignKeyConstraint(["prompt_id"], ["prompts.id"], name=op.f("fk_demonstrations_prompt_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_demonstrations")),
        sa.UniqueConstraint("id", name=op.f("uq_demonstrations_id")),
    )
    op.create_index(op.f("ix_demonstrations_prompt_id"), "demonstrations", ["prompt_id"], unique=False)
    op.create_table(
        "drafts",
        sa.Column("task", sa.String(length=32), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("edited_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["task"], ["tasks.token"], name=op.f("fk_drafts_task")),
        sa.PrimaryKeyConstraint("task", name=op.f("pk_drafts")),
    )
    if op.get_bind().dialect.name == "sqlite":  # PostgreSQL's triggers: 0003
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER demonstrations_no_{action.lower()} BEFORE {action} ON demonstrations "
                "BEGIN SELECT RAISE(ABORT, 'demonstrations are append-only'); END"
            )
