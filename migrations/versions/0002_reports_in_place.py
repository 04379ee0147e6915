"""Reports update rows in place: a count of them on each trial, room on pages, no index on what each changes.

`reports` rises with every accepted batch, so that a batch can be written on what the last one left, in one
statement that writes nothing where another came between.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("ALTER TABLE trials ADD COLUMN reports bigint NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE trials SET (fillfactor = 80)")
    # Every report raises its study's revision. Looking at all studies for the changed ones is cheap.
    op.execute("DROP INDEX studies_changed")
    op.execute("ALTER TABLE studies SET (fillfactor = 50)")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("ALTER TABLE studies RESET (fillfactor)")
    op.execute("CREATE INDEX studies_changed ON studies (changed_at)")
    op.execute("ALTER TABLE trials RESET (fillfactor)")
    op.execute("ALTER TABLE trials DROP COLUMN reports")
