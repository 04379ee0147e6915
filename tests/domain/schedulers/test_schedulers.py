"""The promise of every scheduler, and what each of them decides."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.spaces import documents
from tunebook_server.domain.chunk import NO_POINTS, Points
from tunebook_server.domain.curve import Score, after, score, summarise
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.schedulers import SCHEDULERS, Kind, Scheduler, scheduler
from tunebook_server.domain.schedulers.bandit import Gain, modelled
from tunebook_server.domain.schedulers.evaluations import RUNGS_A_REPORT, Arrival, arrivals
from tunebook_server.domain.schedulers.hyperband import brackets
from tunebook_server.domain.schedulers.perturbing import perturbed
from tunebook_server.domain.schedulers.population import Member, Population
from tunebook_server.domain.schedulers.scheduler import Earlier
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.study import StudyDesign
from tunebook_server.domain.trial import Configuration, Value

GEOMETRIC = {"min_steps": 5, "max_steps": 200, "reduction_factor": 3}
OPTIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "asha": GEOMETRIC,
    "hyperband": GEOMETRIC,
    "bohb": GEOMETRIC,
    "median": {"min_steps": 5, "interval": 10},
    "pbt": {"interval": 20, "max_steps": 200},
}
ALL = {name: scheduler(name, options) for name, options in OPTIONS.items()}
NOTHING = Score(None, None, None, 0)
ERROR = Objective("valid/error")
ODD = [0.0, -0.0, 1e300, -1e300, 1e-300, 5e-324, math.inf]


def test_every_scheduler_is_here() -> None:
    assert set(ALL) == set(SCHEDULERS)


@pytest.mark.parametrize("each", ALL.values(), ids=ALL)
class TestPromise:
    @given(step=st.integers(0, 500), number=st.integers(0, 10_000))
    def test_rungs_are_in_order_and_found_again(self, each: Scheduler, step: int, number: int) -> None:
        bracket = each.bracket(number)
        first, coming, last = (
            each.next_rung(bracket, None),
            each.next_rung(bracket, step),
            each.last_rung(bracket, step),
        )
        if coming is not None:
            assert coming > step
            assert each.last_rung(bracket, coming) == coming
        if last is not None:
            assert first is not None
            assert first <= last <= step
            assert each.next_rung(bracket, last - 1) == last
        else:
            assert first is None or first > step

    def test_any_value_will_do(self, each: Scheduler) -> None:
        for loss in ODD:
            for earlier in ([], [loss], ODD, [0.5] * 50):
                found = each.decide(loss, having(earlier))
                assert found.kind in Kind
                assert (found.kind is Kind.CONTINUE) == (found.reason == "")
                assert each.decide(loss, having(earlier[::-1])) == found

    def test_options_are_named_written_out_and_read_again(self, each: Scheduler) -> None:
        assert {option.name for option in each.options} == set(each.document())
        assert scheduler(each.name, each.document()) == each
        for option in each.options:
            if option.default is not None and option.name not in OPTIONS[each.name]:
                assert each.document()[option.name] == (option.default or [])

    def test_wrong_options_are_named(self, each: Scheduler) -> None:
        for option in each.options:
            with pytest.raises(Invalid) as caught:
                scheduler(each.name, {**OPTIONS[each.name], option.name: "much"})
            assert caught.value.field == f"scheduler.options.{option.name}"
        with pytest.raises(Invalid) as caught:
            scheduler(each.name, {**OPTIONS[each.name], "patience": 3})
        assert "patience" in caught.value.message

    @given(
        values=st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1, max_size=60),
        stride=st.integers(1, 9),
        cuts=st.sets(st.integers(1, 59)),
    )
    def test_batches_change_nothing(
        self, each: Scheduler, values: list[float], stride: int, cuts: set[int]
    ) -> None:
        """However a curve is cut into reports, it reaches the same rungs with the same values."""
        first = each.next_rung(0, None)
        if first is None:
            return
        curve = Points(stride * np.arange(1, len(values) + 1), np.array(values))
        whole, after = reached(each, curve, first, NOTHING)
        ends = sorted(cut for cut in cuts if cut < len(values))
        found: list[Arrival] = []
        at: int | None = first
        before, start = NOTHING, 0
        for end in [*ends, len(values)]:
            part = Points(curve.steps[start:end], curve.values[start:end])
            if at is not None:
                more, at = reached(each, part, at, before)
                found += more
            before = score_after(before, part)
            start = end
        assert (found, at) == (whole, after)


def having(losses: Sequence[float], went_on: Sequence[bool] = ()) -> Earlier:
    return Earlier(np.array(losses, np.float64), np.array(went_on or [True] * len(losses), np.bool_))


def halved(asha: Scheduler, losses: Sequence[float]) -> list[bool]:
    """Which of the trials that come with these losses, one after another, go on."""
    went_on: list[bool] = []
    for place, loss in enumerate(losses):
        went_on.append(asha.decide(loss, having(losses[:place], went_on)).kind is Kind.CONTINUE)
    return went_on


def reached(
    each: Scheduler, curve: Points, decide_at: int, before: Score
) -> tuple[list[Arrival], int | None]:
    return arrivals(each, bracket=0, decide_at=decide_at, objective=ERROR, before=before, evaluations=curve)


def score_after(before: Score, part: Points) -> Score:
    return after(ERROR, before, score(ERROR, summarise(part)))


def test_a_report_of_a_million_evaluations_is_judged_at_the_last_rungs_alone() -> None:
    curve = Points(np.arange(1, 1_000_001), np.linspace(1.0, 0.1, 1_000_000))
    median = scheduler("median", {"min_steps": 1, "interval": 1})
    found, after = reached(median, curve, 1, NOTHING)
    assert [each.rung for each in found] == list(range(1_000_001 - RUNGS_A_REPORT, 1_000_001))
    assert after == 1_000_001


@pytest.mark.parametrize("factor", [2, 3, 16])
def test_rungs_far_apart_cost_no_more_than_near_ones(factor: int) -> None:
    """A round of Hyperband between 1 and 2^63 would have 10^19 trials."""
    wide = scheduler("hyperband", {"min_steps": 1, "max_steps": 2**63 - 1, "reduction_factor": factor})
    found = [wide.bracket(number) for number in range(4_000)]
    assert set(found) == set(range(max(found) + 1))
    counts = [found.count(bracket) for bracket in range(max(found) + 1)]
    assert counts == sorted(counts, reverse=True)


def test_no_evaluation_reaches_nothing() -> None:
    assert reached(ALL["asha"], NO_POINTS, 5, NOTHING) == ([], 5)


def test_an_evaluation_that_passes_rungs_counts_for_the_last_of_them() -> None:
    curve = Points(np.array([50, 100]), np.array([0.5, 0.4]))
    assert reached(ALL["asha"], curve, 5, NOTHING) == ([Arrival(45, 0.5)], 135)


@pytest.mark.parametrize("each", [ALL["asha"], ALL["hyperband"], ALL["median"]], ids=lambda each: each.name)
def test_one_that_diverges_stops_at_its_next_rung_however_good_it_was(each: Scheduler) -> None:
    curve = Points(np.array([1, 5, 15]), np.array([0.01, math.nan, math.inf]))
    found, _ = reached(each, curve, 5, NOTHING)
    assert [arrival.loss for arrival in found] == [math.inf, math.inf]
    assert each.decide(math.inf, having([9.0] * 9)).kind is Kind.STOP


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.integers(2, 5))
def test_halving_lets_about_a_share_go_on(losses: list[float], factor: int) -> None:
    asha = scheduler("asha", {**GEOMETRIC, "reduction_factor": factor})
    went_on = [loss for loss, on in zip(losses, halved(asha, losses), strict=True) if on]
    assert losses[0] in went_on
    assert min(losses) in went_on
    # Each place among the first n / factor is taken anew only by one that is better than all but those.
    most = len(losses) / factor + factor * (1 + math.log(len(losses)))
    assert len(went_on) <= most or sorted(losses, reverse=True) == losses


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 1.0])
def test_of_equal_losses_as_many_go_on_as_have_a_place(share: float) -> None:
    """Accuracies at the level of chance, small validation sets: a tie starves nobody."""
    tied = np.random.default_rng(1).random(300) < share
    went_on = halved(ALL["asha"], np.where(tied, 0.1, 0.2).tolist())
    assert abs(sum(went_on) - 100) <= 10
    assert share < 0.5 or not any(went_on[place] for place in np.flatnonzero(~tied)[5:])


@pytest.mark.parametrize(("last", "factor", "sizes"), [(4, 3, [81, 34, 15, 8, 5]), (2, 4, [16, 6, 3])])
def test_brackets_have_the_sizes_of_hyperband(last: int, factor: int, sizes: list[int]) -> None:
    """Li et al. 2018, table 1 (R = 81): n = 81, 34, 15, 8, 5."""
    cycle = brackets(last, factor)
    assert [cycle.count(bracket) for bracket in range(last + 1)] == sizes
    for count in range(1, len(cycle)):
        for bracket, size in enumerate(sizes):
            assert abs(cycle[:count].count(bracket) - size * count / len(cycle)) <= 1.5


def test_the_median_rule_waits_for_enough_trials() -> None:
    median = ALL["median"]
    assert median.decide(9.0, having([1.0] * 4)).kind is Kind.CONTINUE
    assert median.decide(9.0, having([1.0] * 5)).kind is Kind.STOP
    assert median.decide(1.0, having([1.0] * 5)).kind is Kind.CONTINUE


class TestPopulation:
    pbt = Population(interval=20, max_steps=200, kept=("width",))

    def parent(self, own: int, losses: list[float], seed: int = 0) -> int | None:
        members = [Member(place, loss) for place, loss in enumerate(losses)]
        others = [each for each in members if each.trial_id != own]
        found = self.pbt.parent(members[own], others, np.random.default_rng(seed))
        return None if found is None else found.trial_id

    def test_who_lags_copies_one_that_leads(self) -> None:
        losses = [8.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
        assert {self.parent(0, losses, seed) for seed in range(20)} == {1, 2}
        assert self.parent(7, losses) in (1, 2)
        assert all(self.parent(own, losses) is None for own in range(1, 7))

    def test_few_members_and_infinite_leaders_give_no_parent(self) -> None:
        assert self.parent(0, [9.0, 1.0, 1.0]) is None
        assert self.parent(0, [math.inf] * 8) is None
        assert self.parent(7, [0.0, *[math.inf] * 7]) == 0

    def test_one_that_has_diverged_since_is_no_parent(self) -> None:
        members = [Member(place, float(place), sound=place != 0) for place in range(8)]
        found = {self.pbt.parent(members[7], members[:7], np.random.default_rng(seed)) for seed in range(20)}
        assert found == {members[1]}

    @given(document=documents(), seed=st.integers(0, 2**31))
    def test_perturbed_values_are_in_the_space(self, document: list[dict[str, object]], seed: int) -> None:
        space = SearchSpace.parse(document)
        chance = np.random.default_rng(seed)
        values = space.from_unit(chance.random(len(space.dimensions)))
        for _ in range(5):
            values = perturbed(space, values, self.pbt, chance)
            assert space.check(values) == values

    def test_numbers_move_by_the_factor_and_kept_ones_not_at_all(self) -> None:
        space = SearchSpace.parse(
            [
                {"name": "rate", "type": "float", "low": 1e-5, "high": 10.0, "scale": "log"},
                {"name": "width", "type": "integer", "low": 8, "high": 512},
                {"name": "layers", "type": "integer", "low": 1, "high": 9},
                {"name": "dropout", "type": "float", "low": 0.0, "high": 0.8},
            ]
        )
        start = {"rate": 1e-2, "width": 64, "layers": 2, "dropout": 0.4}
        calm = Population(interval=20, max_steps=200, anew=0.0, kept=("width",))
        found = [perturbed(space, start, calm, np.random.default_rng(seed)) for seed in range(40)]
        assert {round(float(each["rate"]), 6) for each in found} == {0.008, 0.0125}
        assert {each["width"] for each in found} == {64}
        assert {each["layers"] for each in found} == {1, 3}
        assert {round(float(each["dropout"]), 6) for each in found} == {0.2, 0.6}

    def test_kept_ones_stay_in_a_space_that_was_narrowed(self) -> None:
        space = SearchSpace.parse(
            [
                {"name": "width", "type": "integer", "low": 8, "high": 128},
                {"name": "norm", "type": "categorical", "choices": ["batch", "layer"]},
                {"name": "rate", "type": "float", "low": 1e-4, "high": 1e-2, "scale": "log"},
            ]
        )
        parent: Configuration = {"width": 512, "norm": "group", "rate": 0.5}
        kept = ("width", "norm")
        found = perturbed(space, parent, Population(20, 200, kept=kept), np.random.default_rng(0))
        gains = [Gain({**parent, "rate": 10.0**-place, "norm": "batch"}, 10, -place) for place in range(2, 8)]
        modelled_ = modelled(space, parent, gains, kept=kept, seed=0, place=0)
        assert modelled_ is not None
        for each in (found, modelled_):
            assert (each["width"], each["norm"]) == (512, "group")
            assert 1e-4 <= float(each["rate"]) <= 1e-2


class TestBandit:
    space = SearchSpace.parse(
        [
            {"name": "rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"},
            {"name": "width", "type": "integer", "low": 8, "high": 512},
            {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adam"]},
        ]
    )
    parent: ClassVar[Configuration] = {"rate": 0.5, "width": 64, "optimizer": "adam"}

    def gains(self, count: int) -> list[Gain]:
        """The nearer the rate is to 0.01, the more a member gains."""
        rates = 10.0 ** np.random.default_rng(0).uniform(-4, 0, count)
        return [
            Gain({**self.parent, "rate": float(rate)}, 10 * (1 + place % 3), abs(math.log10(rate / 0.01)) - 2)
            for place, rate in enumerate(rates)
        ]

    def copy(self, gains: list[Gain], place: int = 0) -> dict[str, Value] | None:
        return modelled(self.space, self.parent, gains, kept=("width",), seed=3, place=place)

    def test_a_copy_goes_where_members_gained_most(self) -> None:
        found = [self.copy(self.gains(24), place) for place in range(6)]
        assert all(each is not None and self.space.check(each) == each for each in found)
        rates = [float(each["rate"]) for each in found if each is not None]
        assert 0.002 < np.median(rates) < 0.05
        assert all(each is not None and each["width"] == 64 for each in found)
        assert all(each is not None and each["optimizer"] == "adam" for each in found)
        assert found[0] == self.copy(self.gains(24))

    def test_few_gains_say_nothing(self) -> None:
        assert self.copy(self.gains(3)) is None
        assert self.copy([Gain(self.parent, 10, math.nan)] * 9) is None


class TestDesign:
    def parse(self, **more: object) -> StudyDesign:
        space = [{"name": "rate", "type": "float", "low": 1e-5, "high": 1.0, "scale": "log"}]
        return StudyDesign.parse(
            {"name": "s", "objective": {"metric": "m"}, "budget": {"trials": 8}, "space": space, **more}
        )

    def fault(self, **more: object) -> str:
        with pytest.raises(Invalid) as caught:
            self.parse(**more)
        return caught.value.field

    def test_it_is_read_and_written(self) -> None:
        design = self.parse(scheduler={"name": "asha", "options": {"min_steps": 5, "max_steps": 200}})
        assert design.scheduler_options == GEOMETRIC
        assert StudyDesign.parse(design.document()) == design
        assert "scheduler" not in self.parse().document()

    def test_one_rung_is_enough(self) -> None:
        design = self.parse(scheduler={"name": "asha", "options": {"min_steps": 500, "max_steps": 1000}})
        assert design.scheduling().next_rung(0, None) == 500

    def test_the_last_bracket_of_hyperband_is_never_judged(self) -> None:
        for longest in (40_000, 40_500):
            found = scheduler("hyperband", {"min_steps": 500, "max_steps": longest})
            brackets_ = {found.bracket(number) for number in range(1000)}
            judged = [found.next_rung(bracket, None) for bracket in sorted(brackets_)]
            assert judged == [500, 1500, 4500, 13_500, None]

    def test_every_fault_is_named(self) -> None:
        assert self.fault(scheduler={"name": "ahsa"}) == "scheduler.name"
        assert self.fault(scheduler={"name": "asha"}) == "scheduler.options.min_steps"
        short = {"min_steps": 200, "max_steps": 200}
        assert self.fault(scheduler={"name": "asha", "options": short}) == "scheduler.options.min_steps"
        turns = {"interval": 20, "max_steps": 200}
        assert self.fault(scheduler={"name": "pbt", "options": turns}) == "scheduler.name"
        blind = {"name": "bohb", "options": GEOMETRIC}
        assert self.fault(scheduler=blind, sampler={"name": "halton"}) == "sampler.name"

    def test_bohb_brings_its_sampler(self) -> None:
        assert self.parse(scheduler={"name": "bohb", "options": GEOMETRIC}).sampler == "tpe"

    def test_the_playbook_is_heard_where_one_is_chosen(self) -> None:
        (warning,) = self.parse(scheduler={"name": "asha", "options": GEOMETRIC}).warnings()
        assert warning.field == "scheduler.name"
        assert "same number of steps" in warning.remedy
