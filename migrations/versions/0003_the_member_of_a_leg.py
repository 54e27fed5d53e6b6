"""What the bridge calls the call that an endpoint was told to make."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("leg", schema=None) as batch_op:
        batch_op.add_column(sa.Column("member", sa.String(), nullable=False, server_default=""))
    with op.batch_alter_table("leg", schema=None) as batch_op:
        batch_op.alter_column("member", server_default=None)  # it was for the rows that were there
