"""Endpoints that answer by themselves while a meeting's window is open, and what they are owed."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("endpoint", schema=None) as batch_op:
        batch_op.add_column(sa.Column("auto_answer", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("endpoint", schema=None) as batch_op:
        batch_op.alter_column("auto_answer", server_default=None)  # it was for the rows that were there
    op.create_table(
        "auto_answer_lease",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("endpoint_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("muted", sa.Boolean(), nullable=True),
        sa.Column("microphone_muted", sa.Boolean(), nullable=True),
        sa.Column("until_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("giving_back_until_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["endpoint_id"],
            ["endpoint.id"],
            name=op.f("fk_auto_answer_lease_endpoint_id_endpoint"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_auto_answer_lease_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_auto_answer_lease")),
        sa.UniqueConstraint("endpoint_id", name=op.f("uq_auto_answer_lease_endpoint_id")),
    )
    with op.batch_alter_table("auto_answer_lease", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_auto_answer_lease_run_id"), ["run_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_auto_answer_lease_until_at"), ["until_at"], unique=False)


def downgrade() -> None:
    op.drop_table("auto_answer_lease")
    with op.batch_alter_table("endpoint", schema=None) as batch_op:
        batch_op.drop_column("auto_answer")
