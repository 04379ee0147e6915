"""What `import tunebook` offers is what it says, and the drawn tree of exceptions is the real one."""

import inspect
import re
import tomllib
from pathlib import Path

import tunebook
from tunebook import errors


def test_all_is_everything_public_and_sorted_as_ruff_sorts() -> None:
    for name in tunebook.__all__:
        assert getattr(tunebook, name) is not None
    public = {
        name
        for name, value in vars(tunebook).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "TYPE_CHECKING"
    }
    assert public <= set(tunebook.__all__)


def test_every_error_is_public_and_drawn_where_it_stands() -> None:
    classes = {name: value for name, value in vars(errors).items() if inspect.isclass(value)}
    defined = {name for name, value in classes.items() if issubclass(value, Exception)}
    assert defined <= set(tunebook.__all__)
    assert errors.__doc__ is not None
    drawn = re.findall(r"^([ │├└─]*)([A-Z]\w+)", errors.__doc__, re.MULTILINE)
    ancestors: list[str] = []
    seen = set()
    for indent, name in drawn:
        if name not in defined:
            continue
        depth = len(indent) // 4
        del ancestors[depth:]
        if ancestors:
            assert getattr(errors, name).__bases__ == (getattr(errors, ancestors[-1]),), name
        ancestors.append(name)
        seen.add(name)
    assert seen == defined


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert tunebook.__version__ == project["version"]


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(tunebook, "Clients")
