"""Thresholds of the checklist that a study overrides, by name."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("ALTER TABLE studies ADD COLUMN checks jsonb NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("ALTER TABLE studies DROP COLUMN checks")
