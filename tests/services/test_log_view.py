"""A log in pieces and by its words, with the stored chunks and the search's windows as they fall."""

import random
import tracemalloc

import pytest
from sqlalchemy import Engine

from tests.services.making import ACTOR, make_study
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.log_text import folded
from tunebook_server.services import log_view, logs, trials

MEBIBYTE = 1 << 20


@pytest.fixture
def trial_id(engine: Engine) -> int:
    study = make_study(engine, launched=False)
    (claim,) = trials.ask(engine, study_id=study.id, client_id="loop", actor=ACTOR)
    return claim.trial.id


def put(engine: Engine, trial_id: int, whole: bytes, size: int, start: int = 0) -> None:
    for place in range(0, len(whole), size):
        piece = whole[place : place + size]
        logs.append(engine, trial_id=trial_id, epoch=1, sequence=start + place // size, content=piece)


def places(engine: Engine, trial_id: int, words: str) -> list[int]:
    """All of them, by going from one to the next."""
    found: list[int] = []
    at = 0
    while True:
        searched = log_view.search(engine, trial_id=trial_id, words=words, after_byte=at)
        if searched.match is None:
            if searched.complete:
                return found
            at = searched.scanned_to
        else:
            found.append(searched.match.first_byte)
            at = searched.match.first_byte + 1


def places_backward(engine: Engine, trial_id: int, words: str) -> list[int]:
    found: list[int] = []
    at = 10**12
    while True:
        searched = log_view.search(engine, trial_id=trial_id, words=words, before_byte=at)
        if searched.match is None:
            if searched.complete:
                return found[::-1]
            at = searched.scanned_to
        else:
            found.append(searched.match.first_byte)
            at = searched.match.first_byte


def test_words_are_found_across_chunks_and_windows(
    engine: Engine, trial_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_view, "WINDOW_BYTES", 64)
    monkeypatch.setattr(log_view, "SCAN_BYTES", 300)
    dice = random.Random(3)
    text = "".join(dice.choice(["Größe ", "NaN", "na", "\n", "ГРОМ", "🙂", "loss="]) for _ in range(600))
    put(engine, trial_id, text.encode(), 37)
    for words in ("nan", "größe", "GRÖSSE", "гром\n", "🙂🙂", "absent", "n"):
        low = folded(words)
        expected = [
            len(text[:place].encode()) for place in range(len(text)) if folded(text).startswith(low, place)
        ]
        assert places(engine, trial_id, words) == expected, words
        assert places_backward(engine, trial_id, words) == expected, words


def test_windows_that_do_not_overlap_would_miss(
    engine: Engine, trial_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without the overlap the same look finds fewer places."""
    monkeypatch.setattr(log_view, "WINDOW_BYTES", 64)
    put(engine, trial_id, b"x" * 62 + b"word" + b"x" * 62, 10)
    assert places(engine, trial_id, "WORD") == [62]
    monkeypatch.setattr(log_view, "LETTER_BYTES", 1 / 4)
    with pytest.raises(AssertionError):
        assert places(engine, trial_id, "WORD") == [62]


def test_a_match_comes_with_its_surroundings(engine: Engine, trial_id: int) -> None:
    put(engine, trial_id, b"one\n\x1b[31mtwo Loss 3\x1b[0m\r\nfour\xe2\x80\xae", 5)
    match = log_view.search(engine, trial_id=trial_id, words="loss").match
    assert match is not None
    assert (match.before.text, match.text, match.after.text) == ("one\ntwo ", "Loss", " 3\nfour<U+202E>")
    for words in ("", "x" * 201):
        with pytest.raises(Invalid):
            log_view.search(engine, trial_id=trial_id, words=words)
    with pytest.raises(Invalid):
        log_view.search(engine, trial_id=trial_id, words="x", after_byte=1, before_byte=2)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pieces_join_again_from_either_end(engine: Engine, trial_id: int, limit: int) -> None:
    text = "aé🙂\n" * 20 + "ende"
    put(engine, trial_id, text.encode(), 11)
    forward, at = "", 0
    while True:
        piece = log_view.piece(engine, trial_id=trial_id, after_byte=at, limit_bytes=limit)
        forward, at = forward + piece.text, piece.next_byte
        if piece.at_end:
            break
    backward, at = "", piece.size_bytes
    while at:
        piece = log_view.piece(engine, trial_id=trial_id, before_byte=at, limit_bytes=limit)
        backward, at = piece.text + backward, piece.first_byte
    if limit >= 4:
        assert forward == text
        assert backward == text


def test_a_letter_that_is_still_being_printed_waits(engine: Engine, trial_id: int) -> None:
    first, last = "loss ↓".encode()[:-1], "loss ↓".encode()[-1:]
    put(engine, trial_id, first, 100)
    piece = log_view.piece(engine, trial_id=trial_id)
    assert (piece.text, piece.at_end) == ("loss ", True)
    put(engine, trial_id, last, 100, start=1)
    assert log_view.piece(engine, trial_id=trial_id, after_byte=piece.next_byte).text == "↓"


def test_the_longest_log_is_searched_in_bounded_memory(engine: Engine, trial_id: int) -> None:
    """64 MiB, letters that cost four bytes each in memory: some MiB at any time."""
    line = ("epoch 3 loss 0.25 " + "." * 100 + "🙂\n").encode()
    piece = (line * (MEBIBYTE // len(line))).ljust(MEBIBYTE, b"-")
    put(engine, trial_id, piece * 64, MEBIBYTE)
    tracemalloc.start()
    at, asked = 0, 0
    while True:
        searched = log_view.search(engine, trial_id=trial_id, words="absent", after_byte=at)
        at, asked = searched.scanned_to, asked + 1
        if searched.complete:
            break
    _, pieces = logs.whole(engine, trial_id=trial_id)
    assert sum(map(len, pieces)) == 64 * MEBIBYTE
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert asked == 4
    assert peak < 8 * MEBIBYTE
