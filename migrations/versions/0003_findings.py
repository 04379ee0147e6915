"""Findings: what the checklist says of a study, and the revision that it rests on."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute(
        """
        CREATE TABLE findings (
            study_id bigint PRIMARY KEY REFERENCES studies ON DELETE CASCADE,
            revision bigint NOT NULL,
            items json NOT NULL,
            computed_at timestamptz NOT NULL DEFAULT now(),
            cpu_seconds double precision NOT NULL CHECK (cpu_seconds >= 0)
        )
        """
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("DROP TABLE findings")
