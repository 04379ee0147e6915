"""The columns of the table of trials: the usual ones, and any others that the address names."""

import html
import re
from urllib.parse import urlencode

import pytest
from sqlalchemy import Engine

from tests.api.site import Site, World
from tests.domain.filters import SPACE
from tests.pages.test_pages import browse
from tests.services.making import ACTOR, make_study
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.search_space import Float, SearchSpace
from tunebook_server.pages.trial_table import PARAMETERS_SHOWN, chosen, offered
from tunebook_server.services import trials

WIDE = SearchSpace(tuple(Float(f"rate.{number}", 0.0, 1.0) for number in range(200)))


def test_many_hyperparameters_are_offered_and_some_are_shown(engine: Engine) -> None:
    study = make_study(engine, space=WIDE)
    usual = [column.name for column in chosen(study, ())]
    assert sum(name.startswith("parameters.") for name in usual) == PARAMETERS_SHOWN
    everything = [column.name for column in offered(study)]
    assert sum(name.startswith("parameters.") for name in everything) == 200
    assert [column.name for column in chosen(study, list(reversed(everything)) * 2)] == everything
    with pytest.raises(Invalid, match="no column 'colour'"):
        chosen(study, ["state", "colour"])


def test_every_column_of_awkward_names_is_shown_and_sorted_by(site: Site, world: World) -> None:
    study = make_study(site.engine, space=SPACE)
    for _ in range(3):
        trials.enqueue(site.engine, study_id=study.id, actor=ACTOR)
    columns = offered(study)
    names = [("columns", column.name) for column in columns]
    for sort in [column.sort for column in columns if column.sort]:
        path = f"/studies/{study.id}/trials?{urlencode([*names, ('sort', sort)])}"
        answer = browse(site, path)
        assert answer.status_code == 200, sort
        assert len(re.findall("<th ", answer.text)) == len(columns) + 1
        assert answer.text.count("aria-sort=") == 1
        links = [html.unescape(link) for link in re.findall(r'href="(\?[^"]*)"', answer.text)]
        assert all(urlencode([name]) in link for link in links[-3:] for name in names)
