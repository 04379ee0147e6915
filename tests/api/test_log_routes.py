"""The log over HTTP: found, read upwards, downloaded; and nothing in it runs, anywhere."""

import base64

from tests.api.site import Site, World, ok, problem

HOSTILE = (
    b"\x1b[31mred\x1b[0m \x1b]8;;https://evil.example\x07link\x1b]8;;\x07 <script>alert(1)</script>\r\n"
    b"\xe2\x80\xaeesrever \x00\x07 NaN\n"
)


def printed(site: Site, world: World, content: bytes, sequence: int = 0) -> str:
    body = {"epoch": 1, "sequence": sequence, "content_base64": base64.b64encode(content).decode()}
    ok(site.post(f"/api/v1/trials/{world.trial}:log", body, by="trial"))
    return f"/api/v1/trials/{world.trial}/log"


def test_plain_text_is_inert(site: Site, world: World) -> None:
    log = printed(site, world, HOSTILE)
    assert ok(site.get(log))["content"] == HOSTILE.decode()
    plain = ok(site.get(log, params={"plain": "true"}))
    assert plain["content"] == "red link <script>alert(1)</script>\n<U+202E>esrever \u2400\u2407 NaN\n"
    assert (plain["at_end"], plain["size_bytes"]) == (True, len(HOSTILE))
    browser = site.session()
    for path in (f"/trials/{world.trial}", f"/trials/{world.trial}/log", f"/trials/{world.trial}/log?q=nan"):
        page = site.get(path, by=None, headers=browser)
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        for letter in ("\x1b", "\u202e", "\x00", "\x07"):
            assert letter not in page.text, (path, letter)


def test_words_are_found_from_either_side(site: Site, world: World) -> None:
    log = printed(site, world, b"nan one NaN two NAN")
    forward = ok(site.get(f"{log}/search", params={"text": "nan", "after": 1}))
    assert (forward["match"]["first_byte"], forward["match"]["before"]) == (8, "nan one ")
    backward = ok(site.get(f"{log}/search", params={"text": "nan", "before": 16}))
    assert (backward["match"]["first_byte"], backward["match"]["text"]) == (8, "NaN")
    none = ok(site.get(f"{log}/search", params={"text": "inf"}))
    assert (none["match"], none["complete"], none["scanned_to"]) == (None, True, 19)
    for params in (
        {"text": ""},
        {"text": "x" * 201},
        {"text": "a\x00"},
        {"text": "a", "after": 1, "before": 2},
    ):
        problem(site.get(f"{log}/search", params=params), 422)
    problem(site.get("/api/v1/trials/999999/log/search", params={"text": "a"}), 404)


def test_the_whole_log_is_a_file(site: Site, world: World) -> None:
    log = printed(site, world, HOSTILE)
    answer = site.get(f"{log}.txt")
    assert answer.content == HOSTILE
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert (
        answer.headers["content-disposition"] == f'attachment; filename="trial-{world.trial}-attempt-1.log"'
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    problem(site.get(f"{log}.txt", by="trial"), 403)
    problem(site.get("/api/v1/trials/999999/log.txt"), 404)
    assert site.get(f"{log}.txt", params={"epoch": 7}).content == b""
