"""What is kept of checkpoints: size, hash and metric of each, its removal, and the policy of a study."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    # In the order in which reports lock: trials, attempts, studies last.
    # 'open': its checkpoints are to be judged again when it has ended; 'kept' and 'settled': they were.
    op.execute(
        "ALTER TABLE trials ADD COLUMN retention text CHECK (retention IN ('open', 'kept', 'settled'))"
    )
    op.execute("CREATE INDEX trials_unsettled ON trials (id) WHERE retention = 'open'")
    op.execute(
        """
        ALTER TABLE attempts
            ADD COLUMN resumed_from_epoch integer,
            ADD COLUMN resume_note text NOT NULL DEFAULT ''
        """
    )
    op.execute(
        """
        ALTER TABLE checkpoints
            ADD COLUMN metric_step bigint,
            ADD COLUMN size_bytes bigint CHECK (size_bytes >= 0),
            ADD COLUMN content_hash text NOT NULL DEFAULT '',
            ADD COLUMN condemned_at timestamptz,
            ADD COLUMN removal_reason text NOT NULL DEFAULT '',
            ADD COLUMN removed_at timestamptz,
            ADD CONSTRAINT checkpoints_removal CHECK (removed_at IS NULL OR condemned_at IS NOT NULL)
        """
    )
    op.execute(
        """
        CREATE INDEX checkpoints_condemned ON checkpoints (condemned_at)
            WHERE condemned_at IS NOT NULL AND removed_at IS NULL
        """
    )
    # Nothing was ever removed from the studies that exist, and nobody has asked for it.
    op.execute("""ALTER TABLE studies ADD COLUMN checkpoints jsonb NOT NULL DEFAULT '{"keep": "all"}'""")
    op.execute("ALTER TABLE studies ALTER COLUMN checkpoints SET DEFAULT '{}'")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("DROP INDEX trials_unsettled")
    op.execute("ALTER TABLE trials DROP COLUMN retention")
    op.execute("ALTER TABLE attempts DROP COLUMN resumed_from_epoch, DROP COLUMN resume_note")
    op.execute("DROP INDEX checkpoints_condemned")
    op.execute(
        """
        ALTER TABLE checkpoints
            DROP CONSTRAINT checkpoints_removal,
            DROP COLUMN metric_step, DROP COLUMN size_bytes, DROP COLUMN content_hash,
            DROP COLUMN condemned_at, DROP COLUMN removal_reason, DROP COLUMN removed_at
        """
    )
    op.execute("ALTER TABLE studies DROP COLUMN checkpoints")
