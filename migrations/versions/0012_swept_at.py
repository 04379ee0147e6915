"""When the sweep last passed: a gap is a time in which nobody could beat."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("ALTER TABLE server ADD COLUMN swept_at timestamptz NOT NULL DEFAULT now()")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("ALTER TABLE server DROP COLUMN swept_at")
