"""Rounds: one goal, the studies that look for its answer, and what they have shown together."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute(
        """
        CREATE TABLE rounds (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            project_id bigint NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
            name text NOT NULL CHECK (name <> ''),
            goal text NOT NULL DEFAULT '',
            conclusion text NOT NULL DEFAULT '',
            revision bigint NOT NULL DEFAULT 1,
            created_by text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            changed_at timestamptz NOT NULL DEFAULT now(),
            UNIQUE (project_id, name),
            UNIQUE (project_id, id)
        )
        """
    )
    op.execute("ALTER TABLE studies ADD COLUMN round_id bigint")
    # Both columns: the round of a study is a round of its project.
    op.execute(
        """
        ALTER TABLE studies ADD CONSTRAINT studies_round FOREIGN KEY (project_id, round_id)
            REFERENCES rounds (project_id, id)
        """
    )
    op.execute("CREATE INDEX studies_of_round ON studies (round_id, id) WHERE round_id IS NOT NULL")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("DROP INDEX studies_of_round")
    op.execute("ALTER TABLE studies DROP CONSTRAINT studies_round")
    op.execute("ALTER TABLE studies DROP COLUMN round_id")
    op.execute("DROP TABLE rounds")
