"""What a soak measured becomes one row a promise; all else on the page stays as it was written."""

from pathlib import Path

from tests.promises.record import Record, promise_of, read
from tests.promises.table import BEGIN, END, PAGE, rendered


def test_rows_of_this_run_replace_those_of_the_last(tmp_path: Path) -> None:
    file = tmp_path / "figures.jsonl"
    for record in (
        Record("R10", "N", {"kills": 200, "lost": 0}, seconds=61.2, at="2026-11-25"),
        Record("R9", "N", {"p95 ms": 1.25, "host": "a|b"}, at="2026-11-25"),
        Record("R9", "N", control="no keys: caught, 31 doubled", at="2026-11-25"),
        Record("R11", "N", failed="test_it", at="2026-11-25"),
    ):
        record.append_to(file)
    page = f"Before.\n{BEGIN}\n| R9 | old |\n| R7 | kept |\n{END}\nAfter.\n"
    once = rendered(page, read(file))
    assert once.startswith("Before.\n")
    assert once.endswith("\nAfter.\n")
    rows = [line for line in once.splitlines() if line.startswith("| R")]
    assert [row.split()[1] for row in rows] == ["R7", "R9", "R10", "R11"]
    assert rows[0] == "| R7 | kept |"
    assert "p95 ms 1.25, host a/b | no keys: caught, 31 doubled |" in rows[1]
    assert "61 s | kills 200, lost 0 |  |" in rows[2]
    assert "**test_it failed**" in rows[3]
    assert rendered(once, read(file)) == once


def test_the_page_has_a_place_for_the_table_and_says_what_each_promise_is() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.count(BEGIN) == page.count(END) == 1
    tested = {promise_of(path) for path in Path(__file__).parent.glob("test_*.py")} - {None}
    assert {promise for promise in tested if f"\n| {promise} | " not in page.partition(BEGIN)[0]} == set()
