"""The wheel, installed as a training host installs it: without extras, in an environment of its own."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
UV = [sys.executable, "-m", "uv", "--quiet", "--no-progress"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([*UV, "build", "--wheel", "--out-dir", folder, ROOT], check=True, timeout=300)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with nothing but the base install."""
    folder = tmp_path_factory.mktemp("base") / "venv"
    subprocess.run([*UV, "venv", "--python", sys.executable, folder], check=True, timeout=120)
    install = [*UV, "pip", "install", "--python", str(folder / "bin/python"), str(wheel)]
    subprocess.run(install, check=True, timeout=300)
    return folder / "bin"


def evaluate(base: Path, code: str) -> Any:
    """What the code prints, as JSON; isolated from this checkout."""
    done = subprocess.run(
        [base / "python", "-I", "-c", code], cwd=base, capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(done.stdout)


def test_the_base_install_is_urllib3_and_nothing_more(base: Path) -> None:
    code = """
import importlib.metadata, json, re
names = [re.sub(r"[-_.]+", "-", d.name).lower() for d in importlib.metadata.distributions()]
print(json.dumps(names))
"""
    assert set(evaluate(base, code)) == {"tunebook", "urllib3"}


BEFORE = "import json, sys\nbefore = set(sys.modules)  # some systems load a sitecustomize of their own\n"
FOREIGN = """
    foreign = {name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names
    print(json.dumps(sorted(name for name in foreign if not name.startswith("_"))))
"""


def test_importing_it_loads_the_standard_library_alone(base: Path) -> None:
    code = BEFORE + "import tunebook\nif True:\n" + FOREIGN
    assert evaluate(base, code) == ["tunebook"]


def test_the_first_request_loads_urllib3_alone(base: Path) -> None:
    code = (
        BEFORE
        + """
import tunebook
from tunebook.api import Api
try:
    Api("http://127.0.0.1:9", "x").get("/me")
except tunebook.Unreachable:
"""
        + FOREIGN
    )
    assert evaluate(base, code) == ["tunebook", "urllib3"]


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("up", "server"),
        ("server", "server"),
        ("control", "server"),
        ("backup", "server"),
        ("restore", "server"),
        ("worker", "worker"),
    ],
)
def test_commands_of_an_extra_say_which_one_is_missing(base: Path, command: str, extra: str) -> None:
    done = subprocess.run(
        [base / "tunebook", command], capture_output=True, text=True, check=False, timeout=60, cwd=base
    )
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first == f"tunebook: `tunebook {command}` needs the {extra} extra: pip install 'tunebook[{extra}]'"
    assert second.startswith("  missing: ")
    assert "celery" in second


def test_the_commands_of_the_base_install_work_there(base: Path) -> None:
    done = subprocess.run(
        [base / "tunebook", "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    for name in ("study", "trial", "login", "up", "worker"):
        assert f"    {name} " in done.stdout


def test_templates_assets_and_migrations_are_inside(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    for folder, packed in (
        ("frontend/tunebook_frontend", "tunebook_frontend"),
        ("migrations", "tunebook_migrations"),
    ):
        files = [f for f in (ROOT / folder).rglob("*") if f.is_file() and "__pycache__" not in f.parts]
        assert files
        missing = {f"{packed}/{f.relative_to(ROOT / folder)}" for f in files} - inside
        assert not missing
    for package in ("tunebook", "tunebook_server", "tunebook_worker", "tunebook_broker"):
        assert f"{package}/__init__.py" in inside
    assert not any(name.startswith(("tests/", "benchmarks/", "examples/")) for name in inside)
