"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bridge",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("control_host", sa.String(), nullable=False),
        sa.Column("control_port", sa.Integer(), nullable=True),
        sa.Column("control_username", sa.String(), nullable=False),
        sa.Column("control_secret", sa.String(), nullable=False),
        sa.Column("conference_address", sa.String(), nullable=False),
        sa.Column("first_number", sa.Integer(), nullable=False),
        sa.Column("last_number", sa.Integer(), nullable=False),
        sa.Column("ports", sa.Integer(), nullable=True),
        sa.Column("pace_per_s", sa.Float(), nullable=True),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bridge")),
    )
    with op.batch_alter_table("bridge", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_bridge_name"), ["name"], unique=True)

    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("mark", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.create_table(
        "site",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("contact_role", sa.String(), nullable=False),
        sa.Column("contact_email", sa.String(), nullable=False),
        sa.Column("time_zone", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_site")),
    )
    with op.batch_alter_table("site", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_site_code"), ["code"], unique=True)

    op.create_table(
        "endpoint",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("control_host", sa.String(), nullable=False),
        sa.Column("control_port", sa.Integer(), nullable=True),
        sa.Column("control_username", sa.String(), nullable=False),
        sa.Column("control_secret", sa.String(), nullable=False),
        sa.Column("ladder", sa.JSON(), nullable=False),
        sa.Column("max_kbps", sa.Integer(), nullable=True),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_endpoint_site_id_site")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoint")),
    )
    with op.batch_alter_table("endpoint", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_endpoint_name"), ["name"], unique=True)
        batch_op.create_index(batch_op.f("ix_endpoint_site_id"), ["site_id"], unique=False)

    op.create_table(
        "meeting",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("start", sa.String(), nullable=False),
        sa.Column("time_zone", sa.String(), nullable=False),
        sa.Column("duration_min", sa.Integer(), nullable=False),
        sa.Column("recurrence", sa.String(), nullable=True),
        sa.Column("exdates", sa.JSON(), nullable=False),
        sa.Column("bridge_id", sa.Integer(), nullable=False),
        sa.Column("all_sites", sa.Boolean(), nullable=False),
        sa.Column("lead_min", sa.Integer(), nullable=False),
        sa.Column("over_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["bridge_id"], ["bridge.id"], name=op.f("fk_meeting_bridge_id_bridge")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meeting")),
    )
    with op.batch_alter_table("meeting", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_meeting_bridge_id"), ["bridge_id"], unique=False)

    op.create_table(
        "room",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("backup_address", sa.String(), nullable=False),
        sa.Column("pin", sa.String(), nullable=False),
        sa.Column("bridge_id", sa.Integer(), nullable=True),
        sa.Column("number", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["bridge_id"], ["bridge.id"], name=op.f("fk_room_bridge_id_bridge")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_room")),
    )
    with op.batch_alter_table("room", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_room_name"), ["name"], unique=True)

    op.create_table(
        "endpoint_address",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("endpoint_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["endpoint.id"], name=op.f("fk_endpoint_address_endpoint_id_endpoint")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoint_address")),
        sa.UniqueConstraint("key", name=op.f("uq_endpoint_address_key")),
    )
    with op.batch_alter_table("endpoint_address", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_endpoint_address_endpoint_id"), ["endpoint_id"], unique=False)

    op.create_table(
        "meeting_link",
        sa.Column("meeting_id", sa.Integer(), nullable=False),
        sa.Column("room_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["meeting_id"], ["meeting.id"], name=op.f("fk_meeting_link_meeting_id_meeting")),
        sa.ForeignKeyConstraint(["room_id"], ["room.id"], name=op.f("fk_meeting_link_room_id_room")),
        sa.PrimaryKeyConstraint("meeting_id", "room_id", name=op.f("pk_meeting_link")),
    )
    op.create_table(
        "meeting_site",
        sa.Column("meeting_id", sa.Integer(), nullable=False),
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["meeting_id"], ["meeting.id"], name=op.f("fk_meeting_site_meeting_id_meeting")),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_meeting_site_site_id_site")),
        sa.PrimaryKeyConstraint("meeting_id", "site_id", name=op.f("pk_meeting_site")),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("meeting_id", sa.Integer(), nullable=False),
        sa.Column("occurrence_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("time_zone", sa.String(), nullable=False),
        sa.Column("bridge_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("tag", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("opens_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_reason", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["bridge_id"], ["bridge.id"], name=op.f("fk_run_bridge_id_bridge")),
        sa.ForeignKeyConstraint(["meeting_id"], ["meeting.id"], name=op.f("fk_run_meeting_id_meeting")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        sa.UniqueConstraint("meeting_id", "occurrence_at", name=op.f("uq_run_meeting_id_occurrence_at")),
    )
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_run_meeting_id"), ["meeting_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_run_state"), ["state"], unique=False)
        batch_op.create_index(
            "ux_run_number_open",
            ["bridge_id", "number"],
            unique=True,
            sqlite_where=sa.text("closed_at IS NULL"),
            postgresql_where=sa.text("closed_at IS NULL"),
        )

    op.create_table(
        "journal",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("participant", sa.String(), nullable=False),
        sa.Column("leg", sa.String(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_journal_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal")),
    )
    with op.batch_alter_table("journal", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_journal_run_id"), ["run_id"], unique=False)

    op.create_table(
        "participant",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("way", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("seen_by_endpoint", sa.String(), nullable=False),
        sa.Column("seen_by_bridge", sa.String(), nullable=False),
        sa.Column("muted", sa.Boolean(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("redials", sa.Integer(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("raw", sa.String(), nullable=False),
        sa.Column("in_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stopped_why", sa.String(), nullable=False),
        sa.Column("forgotten", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_participant_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_participant")),
        sa.UniqueConstraint("run_id", "kind", "code", name=op.f("uq_participant_run_id_kind_code")),
    )
    with op.batch_alter_table("participant", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_participant_run_id"), ["run_id"], unique=False)

    op.create_table(
        "shard",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_shard_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shard")),
    )
    with op.batch_alter_table("shard", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_shard_run_id"), ["run_id"], unique=False)

    op.create_table(
        "leg",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("shard_id", sa.String(), nullable=False),
        sa.Column("participant_id", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("rung", sa.Integer(), nullable=False),
        sa.Column("way", sa.String(), nullable=False),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("raw", sa.String(), nullable=False),
        sa.Column("coming_down", sa.String(), nullable=False),
        sa.Column("barred", sa.Boolean(), nullable=False),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dialed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("connected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("admitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cleared_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("memory", sa.JSON(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["participant_id"], ["participant.id"], name=op.f("fk_leg_participant_id_participant")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_leg_run_id_run")),
        sa.ForeignKeyConstraint(["shard_id"], ["shard.id"], name=op.f("fk_leg_shard_id_shard")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leg")),
        sa.UniqueConstraint("name", name=op.f("uq_leg_name")),
    )
    with op.batch_alter_table("leg", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_leg_participant_id"), ["participant_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_leg_run_id"), ["run_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_leg_shard_id"), ["shard_id"], unique=False)

    op.create_table(
        "shard_command",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("shard_id", sa.String(), nullable=False),
        sa.Column("verb", sa.String(), nullable=False),
        sa.Column("args", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("result", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["shard_id"], ["shard.id"], name=op.f("fk_shard_command_shard_id_shard")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shard_command")),
    )
    with op.batch_alter_table("shard_command", schema=None) as batch_op:
        batch_op.create_index(
            "ix_shard_command_open",
            ["shard_id"],
            unique=False,
            sqlite_where=sa.text("done_at IS NULL"),
            postgresql_where=sa.text("done_at IS NULL"),
        )

    op.create_table(
        "shard_lease",
        sa.Column("shard_id", sa.String(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["shard_id"], ["shard.id"], name=op.f("fk_shard_lease_shard_id_shard")),
        sa.PrimaryKeyConstraint("shard_id", name=op.f("pk_shard_lease")),
        sa.UniqueConstraint("shard_id", "epoch", name=op.f("uq_shard_lease_shard_id_epoch")),
    )


def downgrade() -> None:
    op.drop_table("shard_lease")
    with op.batch_alter_table("shard_command", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_shard_command_open",
            sqlite_where=sa.text("done_at IS NULL"),
            postgresql_where=sa.text("done_at IS NULL"),
        )

    op.drop_table("shard_command")
    with op.batch_alter_table("leg", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_leg_shard_id"))
        batch_op.drop_index(batch_op.f("ix_leg_run_id"))
        batch_op.drop_index(batch_op.f("ix_leg_participant_id"))

    op.drop_table("leg")
    with op.batch_alter_table("shard", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_shard_run_id"))

    op.drop_table("shard")
    with op.batch_alter_table("participant", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_participant_run_id"))

    op.drop_table("participant")
    with op.batch_alter_table("journal", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_journal_run_id"))

    op.drop_table("journal")
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_index(
            "ux_run_number_open",
            sqlite_where=sa.text("closed_at IS NULL"),
            postgresql_where=sa.text("closed_at IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_run_state"))
        batch_op.drop_index(batch_op.f("ix_run_meeting_id"))

    op.drop_table("run")
    op.drop_table("meeting_site")
    op.drop_table("meeting_link")
    with op.batch_alter_table("endpoint_address", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_endpoint_address_endpoint_id"))

    op.drop_table("endpoint_address")
    with op.batch_alter_table("room", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_room_name"))

    op.drop_table("room")
    with op.batch_alter_table("meeting", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_meeting_bridge_id"))

    op.drop_table("meeting")
    with op.batch_alter_table("endpoint", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_endpoint_site_id"))
        batch_op.drop_index(batch_op.f("ix_endpoint_name"))

    op.drop_table("endpoint")
    with op.batch_alter_table("site", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_site_code"))

    op.drop_table("site")
    op.drop_table("installation")
    with op.batch_alter_table("bridge", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_bridge_name"))

    op.drop_table("bridge")
