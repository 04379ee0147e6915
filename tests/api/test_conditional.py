"""Nothing is read twice in vain, and nobody overwrites what they have not seen."""

import re

from tests.api.site import HOST, Site, World, ok, problem


def test_what_has_not_changed_is_not_sent_again(site: Site, world: World) -> None:
    tag = site.get(f"/api/v1/rounds/{world.round}").headers["etag"]
    assert site.get(f"/api/v1/rounds/{world.round}", headers={"If-None-Match": tag}).status_code == 304
    for path in (f"/api/v1/studies/{world.study}", f"/api/v1/trials/{world.trial}"):
        tag = site.get(path).headers["etag"]
        for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            answer = site.get(path, headers={"If-None-Match": known})
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
        batch = {
            "epoch": 1,
            "sequence": len(path),
            "series": {"valid/error": {"step": [len(path)], "value": [0.1]}},
        }
        ok(site.post(f"/api/v1/trials/{world.trial}:report", batch, by="trial"))
        changed = site.get(path, headers={"If-None-Match": tag})
        assert ok(changed)
        assert changed.headers["etag"] != tag


def test_a_figure_keeps_its_tag_while_nothing_in_it_changes(site: Site, world: World) -> None:
    path = f"/api/v1/studies/{world.study}/figures/history"
    tag = site.get(path).headers["etag"]
    ok(site.patch(f"/api/v1/studies/{world.study}", {"note": "seen"}))
    assert site.get(path, headers={"If-None-Match": tag}).status_code == 304
    ok(site.post(f"/api/v1/trials/{world.trial}:finish", {"epoch": 1, "state": "completed"}, by="trial"))
    assert site.get(path, headers={"If-None-Match": tag}).status_code == 200


def test_an_edit_of_what_was_not_seen_is_refused(site: Site, world: World) -> None:
    for path, field in (
        (f"/api/v1/studies/{world.study}", "note"),
        (f"/api/v1/trials/{world.trial}", "note"),
        (f"/api/v1/projects/{world.project}", "note"),
        (f"/api/v1/rounds/{world.round}", "conclusion"),
    ):
        seen = {"If-Match": site.get(path).headers["etag"]}
        first = site.patch(path, {field: "ada was here"}, headers=seen)
        ok(first)
        problem(site.patch(path, {field: "bob was here"}, headers=seen), 412, "stale")
        assert ok(site.get(path))[field] == "ada was here"
        ok(site.patch(path, {field: "bob too"}, headers={"If-Match": first.headers["etag"]}))
        ok(site.patch(path, {field: "whatever"}, headers={"If-Match": "*"}))
        ok(site.patch(path, {field: "without"}))
        for odd in ("17", '"', "é"):
            answer = site.patch(path, {field: "odd"}, headers={b"If-Match": odd.encode("latin-1")})
            assert answer.status_code in (412, 422), answer.text
            problem(answer)


def test_reports_do_not_stand_in_the_way_of_a_note(site: Site, world: World) -> None:
    path = f"/api/v1/studies/{world.study}"
    seen = {"If-Match": site.get(path).headers["etag"]}
    batch = {"epoch": 1, "sequence": 1, "series": {"valid/error": {"step": [9], "value": [0.1]}}}
    ok(site.post(f"/api/v1/trials/{world.trial}:report", batch, by="trial"))
    ok(site.patch(path, {"note": "while it trains"}, headers=seen))


def test_two_editors_never_overwrite_each_other_in_silence(site: Site, world: World) -> None:
    path = f"/api/v1/studies/{world.study}"
    accepted = 0
    for round_ in range(50):
        seen = {"If-Match": site.get(path).headers["etag"]}
        edits = [
            ("PATCH", path, {"json": {"note": f"{who} {round_}"}, "headers": seen}) for who in ("ada", "bob")
        ]
        answers = site.together(*edits)
        assert sorted(answer.status_code for answer in answers) == [200, 412]
        (winner,) = (answer for answer in answers if answer.status_code == 200)
        assert ok(site.get(path))["note"] == winner.json()["note"]
        accepted += 1
    assert accepted == 50


def test_the_page_of_a_trial_sends_what_it_was_made_from(site: Site, world: World) -> None:
    path = f"/trials/{world.trial}"
    form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": HOST}
    edition = re.search('name="edition" value="([0-9a-f]+)"', site.get(path).text)
    assert edition
    ok(site.patch(f"/api/v1{path}", {"note": "ada was here"}))
    late = site.request("POST", f"{path}/note", content=f"note=bob&edition={edition[1]}", headers=form)
    assert late.status_code == 412
    assert ok(site.get(f"/api/v1{path}"))["note"] == "ada was here"
