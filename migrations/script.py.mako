"""${message}

Rules: imports nothing of ours; one step; expand, then fill, then enforce; locks wait 2 s at most.
"""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
