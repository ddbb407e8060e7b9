"""Under which terms a prompt came"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Under which terms a prompt came, with its completions and rankings: nobody has said so far."""
    op.add_column("prompts", sa.Column("licence", sa.Text(), server_default="", nullable=False))
