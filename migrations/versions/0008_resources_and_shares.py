"""What jobs need, what workers offer, and how studies and projects share the workers."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute(
        """
        ALTER TABLE job_templates
            ADD COLUMN gpus integer CHECK (gpus >= 0),
            ADD COLUMN cpus integer NOT NULL DEFAULT 0 CHECK (cpus >= 0),
            ADD COLUMN labels jsonb NOT NULL DEFAULT '{}',
            ADD COLUMN processes integer NOT NULL DEFAULT 1 CHECK (processes >= 1),
            ADD COLUMN queue text NOT NULL DEFAULT 'trials'
        """
    )
    op.execute(
        """
        ALTER TABLE workers
            ADD COLUMN gpus integer NOT NULL DEFAULT 0 CHECK (gpus >= 0),
            ADD COLUMN cpus integer NOT NULL DEFAULT 0 CHECK (cpus >= 0)
        """
    )
    op.execute(
        """
        ALTER TABLE projects
            ADD COLUMN weight double precision NOT NULL DEFAULT 1 CHECK (weight > 0 AND weight <= 1000),
            ADD COLUMN parallel integer CHECK (parallel >= 0)
        """
    )
    op.execute(
        """
        ALTER TABLE studies
            ADD COLUMN weight double precision NOT NULL DEFAULT 1 CHECK (weight > 0 AND weight <= 1000),
            ADD COLUMN priority integer NOT NULL DEFAULT 0,
            ADD COLUMN last_claim_at timestamptz
        """
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("ALTER TABLE studies DROP COLUMN weight, DROP COLUMN priority, DROP COLUMN last_claim_at")
    op.execute("ALTER TABLE projects DROP COLUMN weight, DROP COLUMN parallel")
    op.execute("ALTER TABLE workers DROP COLUMN gpus, DROP COLUMN cpus")
    op.execute(
        """
        ALTER TABLE job_templates DROP COLUMN gpus, DROP COLUMN cpus, DROP COLUMN labels,
            DROP COLUMN processes, DROP COLUMN queue
        """
    )
