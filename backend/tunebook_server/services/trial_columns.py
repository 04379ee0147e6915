"""The trials of a study as columns, kept per process and brought up to date by what has changed since."""

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tunebook_server.domain.study import Study
from tunebook_server.domain.trial_columns import TrialColumns, fingerprint, merge
from tunebook_server.services.kept import KeptStudies
from tunebook_server.storage import trial_columns as storage
from tunebook_server.storage.engine import Engine, transaction


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`version` changes exactly when a column does: metric points and notes leave it as it is."""

    columns: TrialColumns
    version: str


@dataclass(slots=True)
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    revision: int = -1
    space_version: int = -1
    read_at: datetime | None = None
    snapshot: Snapshot | None = None


_studies = KeptStudies(_Kept)


def read(engine: Engine, study: Study) -> Snapshot:
    """As new as `study`, or newer. One request reads while others of the same study wait for it."""
    kept = _studies.entry(engine, study.id)
    with kept.lock:
        if kept.snapshot is not None and study.space_version == kept.space_version:
            if study.revision == kept.revision:
                return kept.snapshot
            # A revision that goes back is another database under the same name: a restored backup.
            since = kept.read_at if study.revision > kept.revision else None
        else:
            since = None
        kept.snapshot = _read(engine, study, kept, since)
        kept.revision, kept.space_version = study.revision, study.space_version
        return kept.snapshot


def _read(engine: Engine, study: Study, kept: _Kept, since: datetime | None) -> Snapshot:
    overlap = timedelta(seconds=storage.OVERLAP_SECONDS)
    with transaction(engine) as connection:
        changes = storage.changed(
            connection, study_id=study.id, space=study.space, since=since and since - overlap
        )
    kept.read_at = changes.read_at
    columns = changes.columns
    if since is not None and kept.snapshot is not None:
        columns = merge(kept.snapshot.columns, columns)
    return Snapshot(columns, fingerprint(columns))
