"""How many rankings of one prompt are asked for, where a ranking of it is doubted"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """How many rankings of one prompt are asked for, where a ranking of it is doubted: of none so far."""
    op.add_column("items", sa.Column("least", sa.Integer(), server_default="0", nullable=False))
