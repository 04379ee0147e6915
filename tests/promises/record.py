"""What a promise measured, kept as JSON lines: one for every test that measured or failed."""

import json
import re
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

Value = int | float | str


@dataclass(frozen=True)
class Record:
    promise: str
    """"R7"."""
    tier: str
    """P, or N under --soak."""
    measured: dict[str, Value] = field(default_factory=dict)
    control: str = ""
    """What became of the broken variant: "synchronous_commit=off: caught, 225 lost"."""
    failed: str = ""
    """The name of the test that failed."""
    seconds: float = 0.0
    at: str = field(default_factory=lambda: time.strftime("%Y-%m-%d"))

    def line(self) -> str:
        """For people, in one line."""
        parts = [f"{name.replace('_', ' ')} {_plain(value)}" for name, value in self.measured.items()]
        if self.control:
            parts.append(f"control – {self.control}")
        return f"{self.promise} {self.tier}: {', '.join(parts)}"

    def append_to(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(self), ensure_ascii=False) + "\n")


def read(path: Path) -> list[Record]:
    return [Record(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def promise_of(path: Path) -> str | None:
    """A file is named for its promise: `test_r07_acknowledged_points.py` is R7."""
    found = re.fullmatch(r"test_r(\d+)_\w+\.py", path.name)
    return f"R{int(found[1])}" if found and path.parent == Path(__file__).parent else None


def _plain(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else value
