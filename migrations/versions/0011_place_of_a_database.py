"""Where the database was when its generation began, and the lowest epoch that this generation gives out."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute(
        """
        ALTER TABLE server
            ADD COLUMN place text NOT NULL DEFAULT '',
            ADD COLUMN first_epoch integer NOT NULL DEFAULT 1 CHECK (first_epoch >= 1)
        """
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("ALTER TABLE server DROP COLUMN place, DROP COLUMN first_epoch")
