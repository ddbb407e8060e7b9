"""Versions of the data, and the models trained on them"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TABLES = ("versions", "version_rows", "version_models")


def upgrade() -> None:
    """Versions of the data, and the models trained on them."""
    op.create_table(
        "versions",
        sa.Column("number", COUNTER, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("project", sa.String(length=100), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("card", sa.Text(), nullable=False),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_versions")),
        sa.UniqueConstraint("name", name=op.f("uq_versions_name")),
    )
    op.create_table(
        "version_rows",
        sa.Column("version", COUNTER, autoincrement=False, nullable=False),
        sa.Column("place", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("prompt_id", sa.String(length=32), nullable=False),
        sa.Column("side", sa.String(length=10), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["version"], ["versions.number"], name=op.f("fk_version_rows_version")),
        sa.ForeignKeyConstraint(["prompt_id"], ["prompts.id"], name=op.f("fk_version_rows_prompt_id")),
        sa.PrimaryKeyConstraint("version", "place", name=op.f("pk_version_rows")),
    )
    op.create_table(
        "version_models",
        sa.Column("number", COUNTER, nullable=False),
        sa.Column("version", COUNTER, nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("report_sha256", sa.String(length=64), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("trained_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["version"], ["versions.number"], name=op.f("fk_version_models_version")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_version_models")),
    )
    op.create_index(op.f("ix_version_models_version"), "version_models", ["version"])
    for table in TABLES:
        if op.get_bind().dialect.name == "sqlite":
            for action in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} are append-only'); END"
                )
        else:
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION append_only()"
            )
            op.execute(f"REVOKE DELETE, TRUNCATE ON {table} FROM PUBLIC, CURRENT_USER")
