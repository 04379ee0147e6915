import pytest
from sqlalchemy import Engine

from tests.services.making import ACTOR, make_study
from tunebook_server.domain.errors import Fenced, Invalid, Mismatch, NotFound
from tunebook_server.services import logs, trials
from tunebook_server.services.logs import LogTail
from tunebook_server.storage.logs import MAX_PIECE_BYTES


@pytest.fixture
def trial_id(engine: Engine) -> int:
    study = make_study(engine, launched=False)
    (claim,) = trials.ask(engine, study_id=study.id, client_id="loop", actor=ACTOR)
    return claim.trial.id


def test_output_reads_back_from_the_end_or_from_any_byte(engine: Engine, trial_id: int) -> None:
    whole = b"".join(f"line {number} \xff\0 ü\n".encode() for number in range(100))
    for sequence, start in enumerate(range(0, len(whole), 37)):
        piece = whole[start : start + 37]
        assert logs.append(engine, trial_id=trial_id, epoch=1, sequence=sequence, content=piece)
        assert not logs.append(engine, trial_id=trial_id, epoch=1, sequence=sequence, content=piece)
    assert logs.tail(engine, trial_id=trial_id) == LogTail(whole, 0, len(whole), 1, len(whole))
    end = logs.tail(engine, trial_id=trial_id, limit_bytes=50)
    assert (end.content, end.first_byte) == (whole[-50:], len(whole) - 50)
    found, after = b"", 0
    while True:
        part = logs.tail(engine, trial_id=trial_id, after_byte=after, limit_bytes=100)
        assert part.first_byte == after
        found, after = found + part.content, part.next_byte
        if not part.content:
            break
    assert found == whole
    assert logs.tail(engine, trial_id=trial_id, after_byte=10**12).content == b""


def test_each_attempt_has_its_own_output(engine: Engine, trial_id: int) -> None:
    logs.append(engine, trial_id=trial_id, epoch=1, sequence=0, content=b"first")
    trials.release(engine, trial_id=trial_id, epoch=1)
    study_id = trials.get(engine, trial_id=trial_id).study_id
    trials.ask(engine, study_id=study_id, client_id="loop", actor=ACTOR)
    with pytest.raises(Fenced):
        logs.append(engine, trial_id=trial_id, epoch=1, sequence=1, content=b"late")
    logs.append(engine, trial_id=trial_id, epoch=2, sequence=0, content=b"second")
    assert logs.tail(engine, trial_id=trial_id) == LogTail(b"second", 0, 6, 2, 6)
    assert logs.tail(engine, trial_id=trial_id, epoch=1).content == b"first"
    trials.finish(engine, trial_id=trial_id, epoch=2, state="stopped")
    assert not logs.append(engine, trial_id=trial_id, epoch=2, sequence=0, content=b"second")
    with pytest.raises(Fenced):
        logs.append(engine, trial_id=trial_id, epoch=2, sequence=1, content=b"late")


def test_what_cannot_be_kept_is_refused(engine: Engine, trial_id: int) -> None:
    logs.append(engine, trial_id=trial_id, epoch=1, sequence=0, content=b"a")
    with pytest.raises(Mismatch):
        logs.append(engine, trial_id=trial_id, epoch=1, sequence=0, content=b"b")
    with pytest.raises(NotFound):
        logs.append(engine, trial_id=trial_id + 1, epoch=1, sequence=0, content=b"a")
    for sequence, content in ((-1, b"a"), (2**63, b"a"), (1, b""), (1, bytes(MAX_PIECE_BYTES + 1))):
        with pytest.raises(Invalid):
            logs.append(engine, trial_id=trial_id, epoch=1, sequence=sequence, content=content)
    with pytest.raises(Invalid):
        logs.tail(engine, trial_id=trial_id, limit_bytes=0)


def test_the_output_of_an_attempt_is_bounded(engine: Engine, trial_id: int) -> None:
    piece = b"x" * MAX_PIECE_BYTES
    for sequence in range(logs.MAX_LOG_BYTES // MAX_PIECE_BYTES):
        logs.append(engine, trial_id=trial_id, epoch=1, sequence=sequence, content=piece)
    with pytest.raises(Invalid, match="reached"):
        logs.append(engine, trial_id=trial_id, epoch=1, sequence=10**6, content=b"x")


def test_nothing_printed_is_nothing(engine: Engine, trial_id: int) -> None:
    assert logs.tail(engine, trial_id=trial_id) == LogTail(b"", 0, 0, 0, 0)
