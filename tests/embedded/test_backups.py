"""What a backup refuses, what a full disk leaves, and a database that was restored by other means."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from tests.backups import (
    TUNEBOOK,
    command,
    environment,
    execute,
    fresh,
    manifest_of,
    plainly_restored,
    rows,
)
from tests.services.making import ACTOR, make_study
from tunebook_server.domain.backup import FOOTER_BYTES, BadBackup, read_manifest
from tunebook_server.embedded.postgres import Postgres
from tunebook_server.services import access, restoring, trials
from tunebook_server.storage.engine import connect

UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]


@pytest.fixture
def file(database_url: str, engine: Engine, tmp_path: Path) -> Path:
    """A backup with one running trial."""
    study = make_study(engine, launched=False)
    trials.ask(engine, study_id=study.id, client_id="loop", actor=ACTOR)
    path = tmp_path / "one.backup"
    assert command("backup", str(path), TUNEBOOK_DATABASE_URL=database_url).returncode == 0
    return path


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[str]:
    with fresh(postgres) as url:
        yield url


@pytest.mark.parametrize("damage", ["cut", "bit", "manifest", "other", "empty"])
def test_a_damaged_file_is_refused_before_anything_is_touched(file: Path, empty: str, damage: str) -> None:
    whole = file.read_bytes()
    middle = len(whole) // 2
    file.write_bytes(
        {
            "cut": whole[:middle],
            "bit": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "manifest": whole[: -FOOTER_BYTES - 9] + b"?" + whole[-FOOTER_BYTES - 8 :],
            "other": b"PGDMP" + whole[5:-FOOTER_BYTES],
            "empty": b"",
        }[damage]
    )
    done = command("restore", str(file), TUNEBOOK_DATABASE_URL=empty)
    assert done.returncode == 1
    assert "cannot be restored" in done.stderr
    assert "Traceback" not in done.stderr
    assert rows(empty, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_every_lost_byte_at_the_end_is_noticed(file: Path) -> None:
    whole = file.read_bytes()
    for lost in range(1, 200):
        file.write_bytes(whole[:-lost])
        with file.open("rb") as opened, pytest.raises(BadBackup):
            read_manifest(opened)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"migration": "9999"}, "newer Tunebook"),
        ({"postgres": 99}, "Postgres 99"),
        ({"content_sha256": "0" * 64}, "not what was backed up"),
        ({"format": 2}, "format 2"),
    ],
)
def test_what_does_not_fit_is_refused(file: Path, empty: str, change: dict[str, object], words: str) -> None:
    """A manifest that says otherwise stands for a file from elsewhere, or a restore that went wrong."""
    import hashlib

    manifest = manifest_of(file)
    whole = file.read_bytes()
    known = json.loads(whole[manifest.archive_bytes : -FOOTER_BYTES])
    content = json.dumps({**known, **change}, sort_keys=True).encode()
    footer = b"tunebook backup %012d %s\n\n" % (len(content), hashlib.sha256(content).hexdigest().encode())
    file.write_bytes(whole[: manifest.archive_bytes] + content + footer)
    done = command("restore", str(file), TUNEBOOK_DATABASE_URL=empty)
    assert done.returncode == 1
    assert words in done.stderr
    assert rows(empty, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_nothing_is_replaced_without_force(file: Path, database_url: str, engine: Engine) -> None:
    before = file.read_bytes()
    done = command("backup", str(file), TUNEBOOK_DATABASE_URL=database_url)
    assert (done.returncode, file.read_bytes()) == (1, before)
    assert "--force" in done.stderr
    assert command("backup", str(file), "--force", TUNEBOOK_DATABASE_URL=database_url).returncode == 0
    full = command("restore", str(file), TUNEBOOK_DATABASE_URL=database_url)
    assert (full.returncode, "--force" in full.stderr) == (1, True)
    with engine.connect():
        used = command("restore", str(file), "--force", TUNEBOOK_DATABASE_URL=database_url)
    assert (used.returncode, "in use by" in used.stderr) == (1, True)
    engine.dispose()
    assert command("restore", str(file), "--force", TUNEBOOK_DATABASE_URL=database_url).returncode == 0


def test_tables_of_others_are_never_dropped(file: Path, empty: str) -> None:
    execute(empty, "CREATE TABLE payroll (id int)")
    done = command("restore", str(file), "--force", TUNEBOOK_DATABASE_URL=empty)
    assert done.returncode == 1
    assert "payroll" in done.stderr


def test_a_full_disk_leaves_no_half_file(database_url: str, engine: Engine, tmp_path: Path) -> None:
    if subprocess.run([*UNSHARE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount of its own is allowed here")
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO audit (actor, action, object)"
                " SELECT gen_random_uuid(), gen_random_uuid(), n FROM generate_series(1, 30000) AS n"
            )
        )
    script = 'mount -t tmpfs -o size=256k none "$0" && cd "$0" && "$@"; status=$?; ls -A; exit $status'
    backup = [*TUNEBOOK, "backup", str(tmp_path / "one.backup")]
    done = subprocess.run(
        [*UNSHARE, "sh", "-c", script, str(tmp_path), *backup],
        env=environment(TUNEBOOK_DATABASE_URL=database_url),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_password_stands_in_no_argument(tmp_path: Path) -> None:
    from tunebook_server.embedded import programs

    told = programs.surroundings("postgresql://ada:hunter2@db.example.org:5433/tune?sslmode=require")
    expected = {"PGUSER": "ada", "PGPASSWORD": "hunter2", "PGHOST": "db.example.org", "PGPORT": "5433"}
    assert {**expected, "PGDATABASE": "tune", "PGSSLMODE": "require"}.items() <= told.items()


def test_a_plain_restore_is_noticed_once(file: Path, empty: str, engine: Engine) -> None:
    assert restoring.notice(engine) is None  # it looks where it is, for the first time
    assert restoring.notice(engine) is None
    with engine.begin() as connection:
        place = connection.execute(text("SELECT place FROM server")).scalar_one()
    plainly_restored(empty, file)
    execute(empty, f"UPDATE server SET place = '{place}'")  # the backup was made before anybody looked
    restored = connect(empty)
    try:
        marked = restoring.notice(restored)
        assert marked is not None
        assert (marked.requeued, marked.stopped, marked.tokens_revoked) == (1, 0, 0)
        assert restoring.notice(restored) is None
    finally:
        restored.dispose()


def test_a_mark_requeues_what_ran_stops_what_was_cancelled_and_gives_no_number_twice(engine: Engine) -> None:
    study = make_study(engine, launched=False, max_attempts=1)
    first, second = trials.ask(engine, study_id=study.id, client_id="loop", count=2, actor=ACTOR)
    trials.cancel(engine, trial_id=second.trial.id, actor=ACTOR)
    owner = access.create_owner_token(engine, name="laptop")
    marked = restoring.mark(engine, revoke_tokens=False)
    assert (marked.requeued, marked.stopped) == (1, 1)
    assert access.authenticate(engine, bearer=owner, session=None).name == "owner"
    again, new = trials.ask(engine, study_id=study.id, client_id="loop", count=2, actor=ACTOR)
    assert again.trial.id == first.trial.id
    assert again.trial.attempts == 1
    assert new.trial.id - second.trial.id > 1_000_000
    assert min(again.trial.epoch, new.trial.epoch) > 1_000_000
    assert restoring.mark(engine, revoke_tokens=True).tokens_revoked == 1
