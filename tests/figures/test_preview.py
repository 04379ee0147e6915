import numpy as np

from tests.figures.columns import SPACE
from tests.figures.test_axis import array
from tunebook_server.figures import preview


def test_one_strip_a_hyperparameter_with_a_dot_a_configuration() -> None:
    random = np.random.default_rng(3)
    configurations = [SPACE.from_unit(random.random(len(SPACE.dimensions))) for _ in range(100)]
    plot = preview.compute(SPACE, configurations)
    assert [strip.scale.key for strip in plot.strips] == [SPACE.key(parameter) for parameter in SPACE.varied]
    drawn = preview.draw(plot)
    drawn.plotly()
    adam, nesterov = (len(plot.strips[place].places) for place in (1, 2))
    assert adam + nesterov == 100
    assert drawn.layout["yaxis"]["ticktext"][0].startswith("batch_norm")
    for trace in drawn.data:
        places = array(trace["x"])
        assert ((places >= 0) & (places <= 1)).all()
    assert drawn.data[-1]["text"][0] in ("nesterov", "adam")
