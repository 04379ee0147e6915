import gzip
import re
from importlib import resources

from tests.api.site import Site
from tunebook_frontend import static_folder, templates_folder
from tunebook_server.pages import assets

SCRIPTS = sorted((static_folder / "js").glob("*.js"))


def test_our_own_javascript_stays_small() -> None:
    lines = {script.name: len(script.read_text().splitlines()) for script in SCRIPTS}
    assert sum(lines.values()) < 1_000, lines


def test_scripts_say_what_they_are_for() -> None:
    for script in SCRIPTS:
        assert re.match(r"/\*\* .+\*/\n|// .+\n", script.read_text()), script.name


def test_templates_hold_no_script_and_no_style() -> None:
    """The CSP would refuse them; attributes of style may stand. A report is a file that stands alone."""
    for template in set(templates_folder.glob("*.html")) - {templates_folder / "report.html"}:
        source = template.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)", source), template.name
        assert "<style" not in source, template.name
        assert not re.search(r"\son[a-z]+=", source), template.name
        assert "|safe" not in source, template.name


def test_colours_stand_in_one_file() -> None:
    pages = (static_folder / "css" / "pages.css").read_text()
    assert not re.search(r"#[0-9a-f]{3,8}\b", re.sub(r"#[a-z]+ ", "", pages))
    for script in SCRIPTS:
        assert not re.search(r"#[0-9a-f]{6}\b", script.read_text()), script.name


def test_distances_are_on_the_grid() -> None:
    pages = (static_folder / "css" / "pages.css").read_text()
    distances = re.findall(r"(?:gap|margin[a-z-]*|padding[a-z-]*): ([^;]+);", pages)
    off = {
        value
        for distance in distances
        for value in re.findall(r"(?<![\w.])(\d+)px", distance)
        if int(value) % 4 and int(value) > 3
    }
    assert off <= {"6", "14"}, off


def test_an_asset_is_immutable_under_its_hash(site: Site) -> None:
    answer = site.get(assets.url("css/pages.css"), by=None)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"].startswith("text/css")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.text == (static_folder / "css" / "pages.css").read_text()
    plain = site.get(assets.url("js/page.js"), by=None, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers


def test_plotly_comes_out_of_its_wheel(site: Site) -> None:
    answer = site.get(assets.plotly_url(), by=None)
    assert re.fullmatch(r"/static/plotly-[0-9a-f]{12}\.min\.js", assets.plotly_url())
    assert answer.content == (resources.files("plotly") / "package_data" / "plotly.min.js").read_bytes()
    assert len(gzip.compress(answer.content, 6)) < 1_600_000


def test_nothing_else_can_be_asked_for(site: Site) -> None:
    version = assets.version()
    for path in (
        "css/pages.css",
        f"{version}/../../pyproject.toml",
        f"{version}/css/../../__init__.py",
        f"{version}/%2e%2e/__init__.py",
        f"{version}//etc/passwd",
        f"{version}/css",
        "000000000000/css/pages.css",
        "plotly-000000000000.min.js",
        f"{version}/css/pages.css%00",
        f"{version}\\css\\pages.css",
    ):
        answer = site.get(f"/static/{path}", by=None)
        assert answer.status_code == 404, path
        assert "content-encoding" not in answer.headers
