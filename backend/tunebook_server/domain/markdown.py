"""Text in Markdown (CommonMark 0.31 with GitHub's tables and autolinks): what people wrote stays words, and
becomes no heading, link, list, HTML or mention."""

import re
from collections.abc import Sequence

# A backslash before ASCII punctuation makes it literal (CommonMark, section 2.4).
_ALWAYS = re.compile(r"[\\`*_{}\[\]<>()#|~&:$!^+=]")
_AT_START = re.compile(r"^(-|\d+(?=\.))")
_ADDRESS = re.compile(r"(?i)(?<=www)\.")
_WORD_JOINER = "\u2060"


def inline(text: str) -> str:
    """One line, whatever the text holds: for a heading, a list item, a cell or a line of a paragraph."""
    line = _ALWAYS.sub(r"\\\g<0>", " ".join(text.split()))
    line = _AT_START.sub(lambda start: "\\-" if start[0] == "-" else f"{start[0]}\\", line)
    # Neither a backslash nor an entity keeps an @ from GitHub's mail links and mentions.
    return _ADDRESS.sub(r"\\.", line).replace("@", f"@{_WORD_JOINER}")


def paragraphs(text: str) -> str:
    """Several lines as they were broken, empty ones between paragraphs."""
    blocks = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join("\\\n".join(map(inline, block.strip().splitlines())) for block in blocks)


def bullets(lines: Sequence[str]) -> str:
    """A list of lines that are Markdown already."""
    return "\n".join(f"- {line}" for line in lines)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells that are Markdown already, of one line each."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
