"""Which versions hold a prompt, without looking through all of them"""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Which versions hold a prompt, without looking through all of them."""
    op.create_index("ix_version_rows_prompt_id", "version_rows", ["prompt_id"])
