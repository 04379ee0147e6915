"""The tables as SQLAlchemy Core sees them: a mirror of the migrations, compared with them in a test.

Constraints that only the database checks (CHECK, triggers) stand in the migrations alone.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB, UUID
from sqlalchemy.types import TypeEngine

metadata = MetaData()

HELD = "state IN ('claimed', 'running')"


def _id(kind: type[TypeEngine[int]] = BigInteger) -> Column[int]:
    return Column("id", kind, Identity(always=True), primary_key=True)


def _reference(
    name: str, target: str, *, cascade: bool = True, nullable: bool = False, primary_key: bool = False
) -> Column[int]:
    foreign_key = ForeignKey(f"{target}.id", ondelete="CASCADE" if cascade else None)
    return Column(name, BigInteger, foreign_key, nullable=nullable, primary_key=primary_key)


def _now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


def _time(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True))


def _text(name: str, default: str | None = None) -> Column[str]:
    return Column(name, Text, nullable=False, server_default=default)


def _number(name: str, default: str | None = None, kind: type[TypeEngine[int]] = Integer) -> Column[int]:
    return Column(name, kind, nullable=False, server_default=text(default) if default else None)


server = Table(
    "server",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("generation", UUID(as_uuid=True), nullable=False, server_default=func.gen_random_uuid()),
    _text("place", ""),
    _number("first_epoch", "1"),
    _now("created_at"),
    _now("swept_at"),
)

users = Table(
    "users",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True),
    Column("is_admin", Boolean, nullable=False, server_default=text("false")),
    _now("created_at"),
    _time("disabled_at"),
)
login_codes = Table(
    "login_codes",
    metadata,
    Column("code_hash", LargeBinary, primary_key=True),
    _reference("user_id", "users"),
    _now("created_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    _time("used_at"),
)
sessions = Table(
    "sessions",
    metadata,
    Column("id_hash", LargeBinary, primary_key=True),
    _reference("user_id", "users"),
    _now("created_at"),
    _now("last_seen_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
)
login_attempts = Table(
    "login_attempts",
    metadata,
    _text("address"),
    _now("at"),
    Index("login_attempts_at", "at"),
)

projects = Table(
    "projects",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True),
    _text("goal", ""),
    _text("note", ""),
    _number("revision", "1", BigInteger),
    _now("created_at"),
    _now("changed_at"),
    Column("weight", Double, nullable=False, server_default=text("1")),
    Column("parallel", Integer),
)
job_templates = Table(
    "job_templates",
    metadata,
    _id(),
    _reference("project_id", "projects"),
    _text("name"),
    _number("version"),
    Column("argv", ARRAY(Text), nullable=False),
    _text("folder"),
    Column("environment", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    _text("created_by"),
    _now("created_at"),
    Column("gpus", Integer),
    _number("cpus", "0"),
    Column("labels", JSONB, nullable=False, server_default=text("'{}'")),
    _number("processes", "1"),
    _text("queue", "trials"),
    Column("silence_seconds", Integer),
    Column("limit_seconds", Integer),
    UniqueConstraint("project_id", "name", "version"),
)

rounds = Table(
    "rounds",
    metadata,
    _id(),
    _reference("project_id", "projects"),
    _text("name"),
    _text("goal", ""),
    _text("conclusion", ""),
    _number("revision", "1", BigInteger),
    _text("created_by"),
    _now("created_at"),
    _now("changed_at"),
    UniqueConstraint("project_id", "name"),
    UniqueConstraint("project_id", "id"),
)
studies = Table(
    "studies",
    metadata,
    _id(),
    _reference("project_id", "projects"),
    Column("round_id", BigInteger),
    _text("name"),
    _text("goal", ""),
    _text("note", ""),
    _text("conclusion", ""),
    _text("state", "running"),
    _text("metric"),
    _text("direction"),
    _text("evaluation"),
    _text("sampler"),
    Column("sampler_options", JSONB, nullable=False, server_default=text("'{}'")),
    Column("checks", JSONB, nullable=False, server_default=text("'{}'")),
    _number("seed", kind=BigInteger),
    _number("budget"),
    _number("parallel"),
    _number("max_attempts", "3"),
    _reference("job_template_id", "job_templates", cascade=False, nullable=True),
    _number("space_version", "1"),
    _number("next_number", "0"),
    _number("next_sample_index", "0"),
    Column(
        "best_trial_id",
        BigInteger,
        ForeignKey("trials.id", name="studies_best_trial", ondelete="SET NULL", use_alter=True),
    ),
    _number("revision", "1", BigInteger),
    _text("created_by"),
    _now("created_at"),
    _now("changed_at"),
    _time("finished_at"),
    Column("weight", Double, nullable=False, server_default=text("1")),
    _number("priority", "0"),
    _time("last_claim_at"),
    Column("checkpoints", JSONB, nullable=False, server_default=text("'{}'")),
    ForeignKeyConstraint(
        ["project_id", "round_id"], ["rounds.project_id", "rounds.id"], name="studies_round"
    ),
    Index("studies_project", "project_id", "id"),
    Index("studies_of_round", "round_id", "id", postgresql_where=text("round_id IS NOT NULL")),
    Index("studies_open", "id", postgresql_where=text("state = 'running'")),
)
search_spaces = Table(
    "search_spaces",
    metadata,
    _reference("study_id", "studies", primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("space", JSON, nullable=False),
    _now("created_at"),
)
findings = Table(
    "findings",
    metadata,
    _reference("study_id", "studies", primary_key=True),
    _number("revision", kind=BigInteger),
    Column("items", JSON, nullable=False),
    _now("computed_at"),
    Column("cpu_seconds", Double, nullable=False),
)
study_counts = Table(
    "study_counts",
    metadata,
    _reference("study_id", "studies", primary_key=True),
    Column("state", Text, primary_key=True),
    _number("trials"),
)
study_parents = Table(
    "study_parents",
    metadata,
    _reference("study_id", "studies", primary_key=True),
    Column("place", SmallInteger, primary_key=True),
    _reference("parent_id", "studies"),
    Column("changes", JSONB, nullable=False, server_default=text("'[]'")),
    UniqueConstraint("study_id", "parent_id"),
    Index("study_parents_parent", "parent_id"),
)

workers = Table(
    "workers",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True),
    _text("host", ""),
    _number("slots", "0"),
    Column("labels", JSONB, nullable=False, server_default=text("'{}'")),
    _text("version", ""),
    _now("created_at"),
    _time("started_at"),
    _time("last_seen_at"),
    _time("stopped_at"),
    _number("gpus", "0"),
    _number("cpus", "0"),
    _time("drain_requested_at"),
)
control_totals = Table(
    "control_totals",
    metadata,
    Column("name", Text, primary_key=True),
    Column("total", Double, nullable=False),
    _now("changed_at"),
)

trials = Table(
    "trials",
    metadata,
    _id(),
    _reference("study_id", "studies"),
    _number("number"),
    _number("space_version"),
    Column("sample_index", Integer),
    _text("state"),
    _number("epoch", "0"),
    Column("parameters", JSON, nullable=False),
    _number("seed", kind=BigInteger),
    Column("client_id", Text),
    _reference("worker_id", "workers", cascade=False, nullable=True),
    _time("lease_expires_at"),
    _number("attempts", "0"),
    _time("cancel_requested_at"),
    _time("hinted_at"),
    _text("reason", ""),
    Column("poisoned", Boolean, nullable=False, server_default=text("false")),
    _text("note", ""),
    Column("objective", Double),
    Column("best_step", BigInteger),
    _number("objective_points", "0", BigInteger),
    Column("last_step", BigInteger),
    _number("reports", "0", BigInteger),
    _now("created_at"),
    _now("queued_at"),
    _time("claimed_at"),
    _time("started_at"),
    _time("finished_at"),
    _now("changed_at"),
    Column("retention", Text),
    UniqueConstraint("study_id", "number"),
    Index("trials_leases", "lease_expires_at", postgresql_where=text("lease_expires_at IS NOT NULL")),
    Index("trials_queued", "study_id", "number", postgresql_where=text("state = 'queued'")),
    Index("trials_state", "study_id", "state", "number"),
    Index("trials_objective", "study_id", "objective", "number"),
    Index("trials_changed", "study_id", "changed_at"),
    Index("trials_worker", "worker_id", postgresql_where=text(HELD)),
    Index("trials_unsettled", "id", postgresql_where=text("retention = 'open'")),
    Index("trials_client", "study_id", "client_id", unique=True, postgresql_where=text(HELD)),
)
attempts = Table(
    "attempts",
    metadata,
    _reference("trial_id", "trials", primary_key=True),
    Column("epoch", Integer, primary_key=True),
    _reference("worker_id", "workers", cascade=False, nullable=True),
    _text("host", ""),
    _now("claimed_at"),
    _time("started_at"),
    _time("last_beat_at"),
    _time("ended_at"),
    Column("outcome", Text),
    Column("charged", Boolean, nullable=False, server_default=text("true")),
    _text("reason", ""),
    Column("exit_status", Integer),
    Column("environment", JSONB, nullable=False, server_default=text("'{}'")),
    Column("resumed_from_step", BigInteger),
    Column("finish_hash", LargeBinary),
    Column("checkpoint_folder", Text),
    _number("dropped_points", "0", BigInteger),
    Column("resumed_from_epoch", Integer),
    _text("resume_note", ""),
    Index("attempts_folder", "trial_id", "checkpoint_folder", unique=True),
    Index("attempts_ended", "ended_at"),
)
checkpoints = Table(
    "checkpoints",
    metadata,
    _id(),
    _reference("trial_id", "trials"),
    _number("epoch"),
    _number("step", kind=BigInteger),
    _text("uri"),
    Column("metric", Double),
    _now("created_at"),
    Column("metric_step", BigInteger),
    Column("size_bytes", BigInteger),
    _text("content_hash", ""),
    _time("condemned_at"),
    _text("removal_reason", ""),
    _time("removed_at"),
    UniqueConstraint("trial_id", "epoch", "step"),
    Index(
        "checkpoints_condemned",
        "condemned_at",
        postgresql_where=text("condemned_at IS NOT NULL AND removed_at IS NULL"),
    ),
)

metrics = Table(
    "metrics",
    metadata,
    _id(Integer),
    _reference("study_id", "studies"),
    _text("name"),
    UniqueConstraint("study_id", "name"),
)
metric_batches = Table(
    "metric_batches",
    metadata,
    _reference("trial_id", "trials", primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("content_hash", LargeBinary, nullable=False),
    _number("points"),
    _now("received_at"),
)
curves = Table(
    "curves",
    metadata,
    _reference("trial_id", "trials", primary_key=True),
    Column("metric_id", Integer, ForeignKey("metrics.id", ondelete="CASCADE"), primary_key=True),
    Column("epoch", Integer, primary_key=True),
    _number("points", kind=BigInteger),
    _number("first_step", kind=BigInteger),
    _number("last_step", kind=BigInteger),
    Column("last_value", Double, nullable=False),
    Column("min_value", Double),
    Column("min_step", BigInteger),
    Column("max_value", Double),
    Column("max_step", BigInteger),
    _number("nonfinite_points", "0", BigInteger),
    _number("loose_chunks", "0"),
    Column("loose", Boolean, Computed("loose_chunks >= 2", persisted=True), nullable=False),
    Index("curves_loose", "trial_id", postgresql_where=text("loose")),
)
metric_chunks = Table(
    "metric_chunks",
    metadata,
    Column("trial_id", BigInteger, primary_key=True),
    Column("metric_id", Integer, primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("level", SmallInteger, primary_key=True, server_default=text("0")),
    Column("sequence", BigInteger, primary_key=True),
    _number("last_sequence", kind=BigInteger),
    _number("points"),
    _number("first_step", kind=BigInteger),
    _number("last_step", kind=BigInteger),
    Column("min_value", Double),
    Column("max_value", Double),
    Column("steps", LargeBinary, nullable=False),
    Column("series", LargeBinary, nullable=False),
    ForeignKeyConstraint(
        ["trial_id", "metric_id", "epoch"],
        ["curves.trial_id", "curves.metric_id", "curves.epoch"],
        ondelete="CASCADE",
    ),
)
log_chunks = Table(
    "log_chunks",
    metadata,
    _reference("trial_id", "trials", primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    _number("first_byte", kind=BigInteger),
    Column("content", LargeBinary, nullable=False),
    _now("received_at"),
    Index("log_chunks_bytes", "trial_id", "epoch", "first_byte", unique=True),
)

tokens = Table(
    "tokens",
    metadata,
    _id(),
    _text("kind"),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    _text("last4"),
    _text("name", ""),
    _reference("user_id", "users", nullable=True),
    _reference("worker_id", "workers", nullable=True),
    _reference("trial_id", "trials", nullable=True),
    Column("epoch", Integer),
    Column("generation", UUID(as_uuid=True)),
    Column("scopes", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    _now("created_at"),
    _time("expires_at"),
    _time("revoked_at"),
    _time("last_used_at"),
    Index("tokens_trial", "trial_id", postgresql_where=text("trial_id IS NOT NULL")),
)
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("actor", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_hash", LargeBinary, nullable=False),
    Column("status", Integer),
    Column("body", LargeBinary),
    Column("headers", JSONB),
    _now("created_at"),
    Index("idempotency_keys_created", "created_at"),
)
audit = Table(
    "audit",
    metadata,
    _id(),
    _now("at"),
    _text("actor"),
    _text("action"),
    _text("object"),
    Column("detail", JSONB, nullable=False, server_default=text("'{}'")),
)

broker_messages = Table(
    "broker_messages",
    metadata,
    _id(),
    _text("queue"),
    _number("priority", "0", SmallInteger),
    Column("payload", JSON, nullable=False),
    _now("sent_at"),
    _time("expires_at"),
    _time("taken_at"),
    Column("taken_by", Integer),
    Index(
        "broker_messages_ready",
        "queue",
        text("priority DESC"),
        "id",
        postgresql_where=text("taken_by IS NULL"),
    ),
    Index("broker_messages_taken", "taken_by", postgresql_where=text("taken_by IS NOT NULL")),
    Index("broker_messages_expiring", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
)
broker_bindings = Table(
    "broker_bindings",
    metadata,
    Column("exchange", Text, primary_key=True),
    Column("routing_key", Text, primary_key=True),
    Column("pattern", Text, primary_key=True, server_default=""),
    Column("queue", Text, primary_key=True),
    Column("owner", Integer),
)
