"""Schedulers: rungs where trials are judged, decisions on the way to jobs, copies; who drew a trial."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

OUTCOMES = "'completed', 'infeasible', 'stopped', 'failed', 'lost', 'released', 'preempted'"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    # In the order in which reports lock: trials, attempts, studies last.
    op.execute(
        """
        ALTER TABLE trials
            ADD COLUMN turn bigint NOT NULL DEFAULT 0 CHECK (turn >= 0),
            ADD COLUMN decide_at bigint,
            ADD COLUMN decision text NOT NULL DEFAULT '' CHECK (decision IN ('', 'stop', 'pause')),
            ADD COLUMN decision_reason text NOT NULL DEFAULT '',
            ADD COLUMN copied_checkpoint_id bigint CONSTRAINT trials_copied_checkpoint
                REFERENCES checkpoints ON DELETE SET NULL,
            ADD COLUMN copied_epoch integer,
            ADD COLUMN drawn_by text NOT NULL DEFAULT ''
        """
    )
    op.execute("DROP INDEX trials_queued")
    op.execute("CREATE INDEX trials_queued ON trials (study_id, turn, number) WHERE state = 'queued'")
    op.execute(
        """
        CREATE INDEX trials_copied ON trials (copied_checkpoint_id) WHERE copied_checkpoint_id IS NOT NULL
        """
    )
    op.execute(
        f"""
        ALTER TABLE attempts
            ADD COLUMN resumed_from_trial_id bigint REFERENCES trials ON DELETE SET NULL,
            ADD COLUMN parameters json,
            DROP CONSTRAINT attempts_outcome_check,
            ADD CONSTRAINT attempts_outcome_check CHECK (outcome IN ({OUTCOMES}, 'paused'))
        """
    )
    op.execute(
        """
        ALTER TABLE studies
            ADD COLUMN scheduler text NOT NULL DEFAULT 'none',
            ADD COLUMN scheduler_options jsonb NOT NULL DEFAULT '{}',
            ADD COLUMN constraints jsonb NOT NULL DEFAULT '[]'
        """
    )
    op.execute(
        """
        CREATE TABLE rungs (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            study_id bigint NOT NULL REFERENCES studies ON DELETE CASCADE,
            trial_id bigint NOT NULL REFERENCES trials ON DELETE CASCADE,
            bracket smallint NOT NULL CHECK (bracket >= 0),
            step bigint NOT NULL,
            loss double precision NOT NULL CHECK (loss <> 'NaN'),
            decision text NOT NULL CHECK (decision IN ('continue', 'stop', 'pause', 'resume', 'copy')),
            decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            UNIQUE (trial_id, step)
        )
        """
    )
    op.execute("CREATE INDEX rungs_judged ON rungs (study_id, bracket, step)")
    op.execute("CREATE INDEX rungs_order ON rungs (study_id, id)")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("DROP TABLE rungs")
    op.execute("DROP INDEX trials_copied")
    op.execute("DROP INDEX trials_queued")
    op.execute("CREATE INDEX trials_queued ON trials (study_id, number) WHERE state = 'queued'")
    op.execute(
        """
        ALTER TABLE trials
            DROP COLUMN turn, DROP COLUMN decide_at, DROP COLUMN decision, DROP COLUMN decision_reason,
            DROP COLUMN copied_checkpoint_id, DROP COLUMN copied_epoch, DROP COLUMN drawn_by
        """
    )
    op.execute("UPDATE attempts SET outcome = 'released' WHERE outcome = 'paused'")
    op.execute(
        f"""
        ALTER TABLE attempts
            DROP COLUMN resumed_from_trial_id, DROP COLUMN parameters,
            DROP CONSTRAINT attempts_outcome_check,
            ADD CONSTRAINT attempts_outcome_check CHECK (outcome IN ({OUTCOMES}))
        """
    )
    gone = ("scheduler", "scheduler_options", "constraints")
    op.execute("ALTER TABLE studies " + ", ".join(f"DROP COLUMN {name}" for name in gone))
