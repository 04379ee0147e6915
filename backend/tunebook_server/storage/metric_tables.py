"""The tables of points and output, in pieces: part of the mirror in `tables`."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    UniqueConstraint,
    text,
)

from tunebook_server.storage.table_columns import identity, metadata, now, number, reference, words

metrics = Table(
    "metrics",
    metadata,
    identity(Integer),
    reference("study_id", "studies"),
    words("name"),
    UniqueConstraint("study_id", "name"),
)
metric_batches = Table(
    "metric_batches",
    metadata,
    reference("trial_id", "trials", primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("content_hash", LargeBinary, nullable=False),
    number("points"),
    now("received_at"),
)
curves = Table(
    "curves",
    metadata,
    reference("trial_id", "trials", primary_key=True),
    Column("metric_id", Integer, ForeignKey("metrics.id", ondelete="CASCADE"), primary_key=True),
    Column("epoch", Integer, primary_key=True),
    number("points", kind=BigInteger),
    number("first_step", kind=BigInteger),
    number("last_step", kind=BigInteger),
    Column("last_value", Double, nullable=False),
    Column("min_value", Double),
    Column("min_step", BigInteger),
    Column("max_value", Double),
    Column("max_step", BigInteger),
    number("nonfinite_points", "0", BigInteger),
    number("loose_chunks", "0"),
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
    number("last_sequence", kind=BigInteger),
    number("points"),
    number("first_step", kind=BigInteger),
    number("last_step", kind=BigInteger),
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
    reference("trial_id", "trials", primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    number("first_byte", kind=BigInteger),
    Column("content", LargeBinary, nullable=False),
    now("received_at"),
    Index("log_chunks_bytes", "trial_id", "epoch", "first_byte", unique=True),
)
