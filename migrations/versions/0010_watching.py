"""What people watch while jobs run: drained workers, the sweep's own totals, logs and attempts by place."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("ALTER TABLE workers ADD COLUMN drain_requested_at timestamptz")
    op.execute(
        """
        CREATE TABLE control_totals (
            name text PRIMARY KEY CHECK (name <> ''),
            total double precision NOT NULL,
            changed_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )
    # Pieces stand in the order of arrival, not of their sequence: a byte is found by the byte.
    op.execute("CREATE UNIQUE INDEX log_chunks_bytes ON log_chunks (trial_id, epoch, first_byte)")
    op.execute("CREATE INDEX attempts_ended ON attempts (ended_at)")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("DROP INDEX attempts_ended")
    op.execute("DROP INDEX log_chunks_bytes")
    op.execute("DROP TABLE control_totals")
    op.execute("ALTER TABLE workers DROP COLUMN drain_requested_at")
