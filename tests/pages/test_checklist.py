"""What the findings of a page say where none of them warns."""

import pytest

from tunebook_server.domain.findings import Verdict
from tunebook_server.pages.findings import Card, Checklist


def card(verdict: Verdict) -> Card:
    return Card("0", "boundary", "", (), verdict, "", "", (), 0, "", "", "")


@pytest.mark.parametrize(
    ("verdicts", "says"),
    [
        ([Verdict.NOT_ENOUGH_DATA] * 3, "Too little data to say anything yet."),
        ([Verdict.PASS, Verdict.NOT_ENOUGH_DATA], "so far; some items want more data."),
        ([Verdict.PASS, Verdict.PASS], "Nothing speaks against what this study shows."),
    ],
)
def test_silence_is_no_praise_before_there_are_data(verdicts: list[Verdict], says: str) -> None:
    checklist = Checklist([], [card(verdict) for verdict in verdicts], (), behind=False, overrides=())
    assert checklist.silence.endswith(says)
