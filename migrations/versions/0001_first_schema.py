"""The first schema: access, studies, trials, metric chunks, the embedded broker.

Rules: imports nothing of ours; one step; expand, then fill, then enforce; locks wait 2 s at most.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE server (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    generation uuid NOT NULL DEFAULT gen_random_uuid(),
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO server DEFAULT VALUES;

-- Access ---------------------------------------------------------------------------------------
CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    is_admin boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz
);
CREATE TABLE login_codes (
    code_hash bytea PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE TABLE sessions (
    id_hash bytea PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE TABLE login_attempts (
    address text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX login_attempts_at ON login_attempts (at);

-- Projects and what may be launched --------------------------------------------------------------
CREATE TABLE projects (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
    goal text NOT NULL DEFAULT '',
    note text NOT NULL DEFAULT '',
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE job_templates (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id bigint NOT NULL REFERENCES projects ON DELETE CASCADE,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    version integer NOT NULL CHECK (version >= 1),
    argv text[] NOT NULL CHECK (cardinality(argv) >= 1),
    folder text NOT NULL,
    environment text[] NOT NULL DEFAULT '{}',
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (project_id, name, version)
);

-- Studies ------------------------------------------------------------------------------------------
CREATE TABLE studies (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id bigint NOT NULL REFERENCES projects ON DELETE CASCADE,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    goal text NOT NULL DEFAULT '',
    note text NOT NULL DEFAULT '',
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'paused', 'finished')),
    metric text NOT NULL,
    direction text NOT NULL CHECK (direction IN ('minimize', 'maximize')),
    evaluation text NOT NULL CHECK (evaluation IN ('best', 'last')),
    sampler text NOT NULL,
    sampler_options jsonb NOT NULL DEFAULT '{}',
    seed bigint NOT NULL,
    budget integer NOT NULL CHECK (budget BETWEEN 1 AND 1000000),
    parallel integer NOT NULL CHECK (parallel BETWEEN 1 AND 100000),
    max_attempts integer NOT NULL DEFAULT 3 CHECK (max_attempts BETWEEN 1 AND 100),
    job_template_id bigint REFERENCES job_templates,
    space_version integer NOT NULL DEFAULT 1,
    next_number integer NOT NULL DEFAULT 0,
    next_sample_index integer NOT NULL DEFAULT 0,
    best_trial_id bigint,
    revision bigint NOT NULL DEFAULT 1,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE INDEX studies_project ON studies (project_id, id);
CREATE INDEX studies_changed ON studies (changed_at);
CREATE INDEX studies_open ON studies (id) WHERE state = 'running';
CREATE TABLE search_spaces (
    study_id bigint NOT NULL REFERENCES studies ON DELETE CASCADE,
    version integer NOT NULL CHECK (version >= 1),
    space json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (study_id, version)
);
-- Trials by state, kept by a trigger, so that no page counts a history.
CREATE TABLE study_counts (
    study_id bigint NOT NULL REFERENCES studies ON DELETE CASCADE,
    state text NOT NULL,
    trials integer NOT NULL,
    PRIMARY KEY (study_id, state)
);

-- Workers -------------------------------------------------------------------------------------------
CREATE TABLE workers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
    host text NOT NULL DEFAULT '',
    slots integer NOT NULL DEFAULT 0,
    labels jsonb NOT NULL DEFAULT '{}',
    version text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    last_seen_at timestamptz,
    stopped_at timestamptz
);

-- Trials ----------------------------------------------------------------------------------------------
CREATE TABLE trials (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    study_id bigint NOT NULL REFERENCES studies ON DELETE CASCADE,
    number integer NOT NULL CHECK (number >= 0),
    space_version integer NOT NULL,
    sample_index integer,
    state text NOT NULL CHECK (state IN
        ('queued', 'claimed', 'running', 'completed', 'infeasible', 'stopped', 'failed')),
    epoch integer NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    parameters json NOT NULL,
    seed bigint NOT NULL,
    client_id text CHECK (length(client_id) BETWEEN 1 AND 200),
    worker_id bigint REFERENCES workers,
    lease_expires_at timestamptz,
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    cancel_requested_at timestamptz,
    hinted_at timestamptz,
    reason text NOT NULL DEFAULT '',
    poisoned boolean NOT NULL DEFAULT false,
    note text NOT NULL DEFAULT '',
    objective double precision CHECK (objective <> 'NaN'),
    best_step bigint,
    objective_points bigint NOT NULL DEFAULT 0,
    last_step bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    queued_at timestamptz NOT NULL DEFAULT now(),
    claimed_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    changed_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (study_id, number),
    CONSTRAINT leased_while_held CHECK ((state IN ('claimed', 'running')) = (lease_expires_at IS NOT NULL)),
    CONSTRAINT held_has_epoch CHECK (state NOT IN ('claimed', 'running') OR epoch >= 1),
    CONSTRAINT ended_has_time CHECK
        ((state IN ('completed', 'infeasible', 'stopped', 'failed')) = (finished_at IS NOT NULL))
);
CREATE INDEX trials_leases ON trials (lease_expires_at) WHERE lease_expires_at IS NOT NULL;
CREATE INDEX trials_queued ON trials (study_id, number) WHERE state = 'queued';
CREATE INDEX trials_state ON trials (study_id, state, number);
CREATE INDEX trials_objective ON trials (study_id, objective, number);
CREATE INDEX trials_changed ON trials (study_id, changed_at);
CREATE INDEX trials_worker ON trials (worker_id) WHERE state IN ('claimed', 'running');
CREATE UNIQUE INDEX trials_client ON trials (study_id, client_id) WHERE state IN ('claimed', 'running');
ALTER TABLE studies ADD CONSTRAINT studies_best_trial
    FOREIGN KEY (best_trial_id) REFERENCES trials ON DELETE SET NULL;

CREATE FUNCTION count_trials() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.state = NEW.state THEN RETURN NULL; END IF;
    -- Counts are locked below their study, always: two rows of counts in two orders would deadlock.
    PERFORM FROM studies WHERE id = COALESCE(NEW.study_id, OLD.study_id) FOR NO KEY UPDATE;
    IF TG_OP IN ('UPDATE', 'DELETE') THEN
        UPDATE study_counts SET trials = trials - 1 WHERE study_id = OLD.study_id AND state = OLD.state;
    END IF;
    IF TG_OP IN ('UPDATE', 'INSERT') THEN
        INSERT INTO study_counts (study_id, state, trials) VALUES (NEW.study_id, NEW.state, 1)
        ON CONFLICT (study_id, state) DO UPDATE SET trials = study_counts.trials + 1;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER trials_counted AFTER INSERT OR DELETE OR UPDATE OF state ON trials
    FOR EACH ROW EXECUTE FUNCTION count_trials();

CREATE TABLE attempts (
    trial_id bigint NOT NULL REFERENCES trials ON DELETE CASCADE,
    epoch integer NOT NULL CHECK (epoch >= 1),
    worker_id bigint REFERENCES workers,
    host text NOT NULL DEFAULT '',
    claimed_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    last_beat_at timestamptz,
    ended_at timestamptz,
    outcome text CHECK (outcome IN
        ('completed', 'infeasible', 'stopped', 'failed', 'lost', 'released', 'preempted')),
    charged boolean NOT NULL DEFAULT true,
    reason text NOT NULL DEFAULT '',
    exit_status integer,
    environment jsonb NOT NULL DEFAULT '{}',
    resumed_from_step bigint,
    finish_hash bytea,
    checkpoint_folder text,
    dropped_points bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (trial_id, epoch)
);
CREATE UNIQUE INDEX attempts_folder ON attempts (trial_id, checkpoint_folder);
CREATE TABLE checkpoints (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trial_id bigint NOT NULL REFERENCES trials ON DELETE CASCADE,
    epoch integer NOT NULL,
    step bigint NOT NULL,
    uri text NOT NULL,
    metric double precision,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (trial_id, epoch, step)
);

-- Metrics: chunks, not rows per point ---------------------------------------------------------------
CREATE TABLE metrics (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    study_id bigint NOT NULL REFERENCES studies ON DELETE CASCADE,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    UNIQUE (study_id, name)
);
CREATE TABLE metric_batches (
    trial_id bigint NOT NULL REFERENCES trials ON DELETE CASCADE,
    epoch integer NOT NULL,
    sequence bigint NOT NULL CHECK (sequence >= 0),
    content_hash bytea NOT NULL,
    points integer NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (trial_id, epoch, sequence)
);
-- One row per curve: what tables and tooltips show without reading a chunk.
CREATE TABLE curves (
    trial_id bigint NOT NULL REFERENCES trials ON DELETE CASCADE,
    metric_id integer NOT NULL REFERENCES metrics ON DELETE CASCADE,
    epoch integer NOT NULL,
    points bigint NOT NULL,
    first_step bigint NOT NULL,
    last_step bigint NOT NULL,
    last_value double precision NOT NULL,
    min_value double precision,
    min_step bigint,
    max_value double precision,
    max_step bigint,
    nonfinite_points bigint NOT NULL DEFAULT 0,
    loose_chunks integer NOT NULL DEFAULT 0,
    loose boolean NOT NULL GENERATED ALWAYS AS (loose_chunks >= 2) STORED,
    PRIMARY KEY (trial_id, metric_id, epoch)
) WITH (fillfactor = 70);
-- On a column that rarely changes, and with room on the page: a report then updates no index.
CREATE INDEX curves_loose ON curves (trial_id) WHERE loose;
-- level 0 holds every point, written by reports and joined by compaction; level 1 one of 16, each further
-- level one of 8 of those below, among them every extreme. `points` counts what a chunk stands for.
CREATE TABLE metric_chunks (
    trial_id bigint NOT NULL,
    metric_id integer NOT NULL,
    epoch integer NOT NULL,
    level smallint NOT NULL DEFAULT 0,
    sequence bigint NOT NULL,
    last_sequence bigint NOT NULL,
    points integer NOT NULL CHECK (points >= 1),
    first_step bigint NOT NULL,
    last_step bigint NOT NULL,
    min_value double precision,
    max_value double precision,
    steps bytea NOT NULL,
    series bytea NOT NULL,
    PRIMARY KEY (trial_id, metric_id, epoch, level, sequence),
    FOREIGN KEY (trial_id, metric_id, epoch) REFERENCES curves ON DELETE CASCADE
);
ALTER TABLE metric_chunks ALTER COLUMN steps SET STORAGE EXTERNAL, ALTER COLUMN series SET STORAGE EXTERNAL;
CREATE TABLE log_chunks (
    trial_id bigint NOT NULL REFERENCES trials ON DELETE CASCADE,
    epoch integer NOT NULL,
    sequence bigint NOT NULL,
    first_byte bigint NOT NULL,
    content bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (trial_id, epoch, sequence)
);

-- Tokens: hashed; a trial's token names its epoch and the database's generation ------------------------
CREATE TABLE tokens (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('pat', 'wrk', 'trl')),
    token_hash bytea NOT NULL UNIQUE,
    last4 text NOT NULL,
    name text NOT NULL DEFAULT '',
    user_id bigint REFERENCES users ON DELETE CASCADE,
    worker_id bigint REFERENCES workers ON DELETE CASCADE,
    trial_id bigint REFERENCES trials ON DELETE CASCADE,
    epoch integer,
    generation uuid,
    scopes text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    CHECK ((kind = 'pat') = (user_id IS NOT NULL)),
    CHECK ((kind = 'trl') = (trial_id IS NOT NULL AND epoch IS NOT NULL AND generation IS NOT NULL))
);
CREATE INDEX tokens_trial ON tokens (trial_id) WHERE trial_id IS NOT NULL;
CREATE TABLE idempotency_keys (
    actor text NOT NULL,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 200),
    request_hash bytea NOT NULL,
    status integer,
    body bytea,
    headers jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (actor, key)
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    action text NOT NULL,
    object text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}'
);

-- The broker of the embedded default: a kombu transport on this same database -----------------------------
CREATE TABLE broker_messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue text NOT NULL,
    priority smallint NOT NULL DEFAULT 0,
    payload json NOT NULL,
    sent_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    taken_at timestamptz,
    taken_by integer
);
CREATE INDEX broker_messages_ready ON broker_messages (queue, priority DESC, id) WHERE taken_by IS NULL;
CREATE INDEX broker_messages_taken ON broker_messages (taken_by) WHERE taken_by IS NOT NULL;
CREATE INDEX broker_messages_expiring ON broker_messages (expires_at) WHERE expires_at IS NOT NULL;
-- taken_by and owner: the key under which a living consumer holds an advisory lock.
CREATE TABLE broker_bindings (
    exchange text NOT NULL,
    routing_key text NOT NULL,
    pattern text NOT NULL DEFAULT '',
    queue text NOT NULL,
    owner integer,
    PRIMARY KEY (exchange, routing_key, pattern, queue)
);
"""

TABLES = [
    "broker_bindings",
    "broker_messages",
    "audit",
    "idempotency_keys",
    "tokens",
    "log_chunks",
    "metric_chunks",
    "curves",
    "metric_batches",
    "metrics",
    "checkpoints",
    "attempts",
    "trials",
    "workers",
    "study_counts",
    "search_spaces",
    "studies",
    "job_templates",
    "projects",
    "login_attempts",
    "sessions",
    "login_codes",
    "users",
    "server",
]


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute(UPGRADE)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("ALTER TABLE studies DROP CONSTRAINT studies_best_trial")
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION count_trials")
