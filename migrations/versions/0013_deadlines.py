"""Deadlines of jobs: how long one may be silent, and how long it may run."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute(
        """
        ALTER TABLE job_templates
            ADD COLUMN silence_seconds integer CHECK (silence_seconds >= 1),
            ADD COLUMN limit_seconds integer CHECK (limit_seconds >= 1)
        """
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("ALTER TABLE job_templates DROP COLUMN silence_seconds, DROP COLUMN limit_seconds")
