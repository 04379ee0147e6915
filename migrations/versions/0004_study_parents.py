"""Studies remember which studies they follow, and what they changed against each."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute(
        """
        CREATE TABLE study_parents (
            study_id bigint NOT NULL REFERENCES studies (id) ON DELETE CASCADE,
            place smallint NOT NULL CHECK (place >= 0),
            parent_id bigint NOT NULL REFERENCES studies (id) ON DELETE CASCADE,
            changes jsonb NOT NULL DEFAULT '[]',
            PRIMARY KEY (study_id, place),
            UNIQUE (study_id, parent_id),
            CHECK (study_id <> parent_id)
        )
        """
    )
    op.execute("CREATE INDEX study_parents_parent ON study_parents (parent_id)")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("DROP TABLE study_parents")
