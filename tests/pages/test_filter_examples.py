from hypothesis import given
from hypothesis import strategies as st

from tests.domain.spaces import documents
from tunebook_server.domain.filters import check
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.pages.filter_examples import examples


@given(
    documents(),
    st.sampled_from(["valid/error", "p0", "a b", "none", "state"]),
    st.sampled_from(["minimize", "maximize"]),
    st.none() | st.floats(),
)
def test_every_example_can_be_read(
    document: list[dict[str, object]], metric: str, direction: str, best: float | None
) -> None:
    space = SearchSpace.parse(document)
    found = examples(space, Objective(metric, direction), best)  # type: ignore[arg-type]
    assert len(found) >= 2
    for expression in found:
        assert check.read(expression, space=space, metric=metric)
