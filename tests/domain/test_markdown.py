"""What people wrote stays words in Markdown, as a parser of CommonMark and GitHub's tables reads it."""

from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.browser.test_hostile import PAYLOADS
from tunebook_server.domain.markdown import bullets, inline, paragraphs, table

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
ODD = "\\`*_{}[]<>()#|~&:$!^+=-.@ \n1ahw/\"'%;\t"
TEXTS = st.text(st.sampled_from(ODD), max_size=40) | st.text(st.characters(exclude_categories=["Cs", "Cc"]))
SNARES = (
    *PAYLOADS,
    "# heading",
    "- item",
    "1. item",
    "12) item",
    "---",
    "===",
    "a\n===\nb\n---",
    "> quote",
    "    code",
    "```\ncode\n```",
    "[link](https://evil.example)",
    "![picture](https://evil.example/a.png)",
    "[label]: https://evil.example",
    "<https://evil.example>",
    "a | b\n--- | ---",
    "\\",
    "a\\\nb",
    "*strong* _em_ ~~gone~~ `code`",
    "&lt;b&gt; &#64;",
)


def words(text: str) -> list[str]:
    return text.replace("\u2060", "").split()


def flat(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from flat(token.children or [])


def read(source: str) -> tuple[list[str], set[str]]:
    """The words of a source, and the kinds of its tokens."""
    tokens = list(flat(MARKDOWN.parse(source)))
    kinds = {token.type for token in tokens} - {"text", "text_special", "inline"}
    content = "".join(
        " " if token.type in ("hardbreak", "paragraph_close", "td_close", "th_close") else token.content
        for token in tokens
        if token.type != "inline"
    )
    return words(content), kinds


@given(TEXTS)
@example(" ")
def test_a_line_is_its_words_wherever_it_stands(text: str) -> None:
    line = inline(text)
    assert "\n" not in line
    assert read(f"## {line}") == (words(text), {"heading_open", "heading_close"})
    assert read(bullets([line]))[0] == words(text)
    assert read(f"x\n\n{line}")[1] == {"paragraph_open", "paragraph_close"}
    said, kinds = read(table([line, "b"], [[line, line]]))
    assert said == [*words(text), "b", *words(text), *words(text)]
    parts = ("table", "thead", "tbody", "tr", "th", "td")
    assert kinds == {f"{part}_{end}" for part in parts for end in ("open", "close")}


@given(TEXTS)
def test_lines_are_paragraphs_and_nothing_else(text: str) -> None:
    said, kinds = read(f"before\n\n{paragraphs(text)}\n\nafter")
    assert said == ["before", *words(text), "after"]
    assert kinds <= {"paragraph_open", "paragraph_close", "hardbreak"}


@pytest.mark.parametrize("text", SNARES)
def test_every_snare_is_words(text: str) -> None:
    said, kinds = read(f"before\n\n{paragraphs(text)}\n\nafter")
    assert said == ["before", *words(text), "after"]
    assert kinds <= {"paragraph_open", "paragraph_close", "hardbreak"}
    assert read(f"- {inline(text)}")[1] == {
        f"{part}_{end}" for part in ("bullet_list", "list_item", "paragraph") for end in ("open", "close")
    }


def test_addresses_are_no_links_to_github() -> None:
    """Its autolinks begin at `www.`, at a scheme with a colon, or round an @ (GFM, section 6.9)."""
    found = inline("www.evil.example WWW.x http://evil.example ada@evil.example @ada")
    meant = r"www\.evil.example WWW\.x http\://evil.example ada@-evil.example @-ada"
    assert found == meant.replace("@-", "@\u2060")


def test_the_parser_sees_what_is_not_escaped() -> None:
    assert "heading_open" in read("# heading")[1]
    assert "html_block" in read("<script>alert(1)</script>")[1]
    assert "link_open" in read("[a](b)")[1]
