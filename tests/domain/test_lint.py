"""Each rule of the lint speaks where its fault is, is silent where it is not, and its mend silences it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.spaces import Entry, documents
from tunebook_server.domain.changes_applied import applied
from tunebook_server.domain.hyperparameter_names import NAMES, kind
from tunebook_server.domain.lint import RULES, Advice, lint
from tunebook_server.domain.lint.rules import ADVICE_MOST
from tunebook_server.domain.samplers.grid import CONFIGURATIONS_MOST, Grid
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.study import StudyDesign

LR = {"name": "learning_rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"}


def number(
    name: str, low: float, high: float, scale: str = "log", kind: str = "float", **more: object
) -> Entry:
    return {"name": name, "type": kind, "low": low, "high": high, "scale": scale, **more}


def choice(name: str, *choices: object, role: str = "nuisance", **more: object) -> Entry:
    return {"name": name, "type": "categorical", "choices": list(choices), "role": role, **more}


def fixed(name: str, value: object, **more: object) -> Entry:
    return {"name": name, "type": "fixed", "value": value, **more}


def design(*space: Entry, trials: int = 60, **more: Any) -> StudyDesign:
    whole = {"name": "x", "objective": {"metric": "valid/loss"}, "budget": {"trials": trials}, **more}
    return StudyDesign.parse({**whole, "space": list(space)})


def of_rule(rule: str, found: StudyDesign) -> list[Advice]:
    return [advice for advice in lint(found) if advice.rule == rule]


ARCHITECTURE = choice("num_layers", 2, 4, role="scientific")
OPTIMIZER = choice("optimizer", "sgd", "adam", role="scientific")
ADAM: Any = {"when": {"optimizer": ["adam"]}}
GOAL: Any = {"goal": "Exploit: the final search for the best error"}

CASES: list[tuple[str, StudyDesign, StudyDesign]] = [
    ("train_steps_varied", design(LR, choice("max_train_steps", 100, 900)), design(LR, fixed("epochs", 9))),
    ("train_steps_varied", design(LR, number("epochs", 1, 50, "log", "integer")), design(LR)),
    ("batch_size_tuned", design(LR, choice("batch_size", 64, 256)), design(LR, fixed("batch_size", 64))),
    (
        "batch_size_tuned",
        design(LR, choice("batch_size", 64, 256, role="scientific"), fixed("weight_decay", 1e-4)),
        design(LR, ARCHITECTURE, fixed("weight_decay", 1e-4)),
    ),
    ("optimizer_held", design(ARCHITECTURE, fixed("lr", 0.1)), design(ARCHITECTURE, LR)),
    ("optimizer_held", design(ARCHITECTURE, LR, fixed("momentum", 0.9)), design(LR, fixed("momentum", 0.9))),
    (
        "optimizer_held",
        design(ARCHITECTURE, LR, fixed("schedule", "step")),
        design(fixed("schedule", "step"), LR),
    ),
    (
        "optimizer_held",
        design(ARCHITECTURE, LR, fixed("beta2", 0.99), trials=100),
        design(ARCHITECTURE, LR, fixed("beta2", 0.99), trials=99),
    ),
    ("learning_rate_scientific", design({**LR, "role": "scientific"}), design(LR)),
    (
        "strength_scientific",
        design(LR, choice("dropout", 0, 0.2, 0.5, role="scientific")),
        design(
            LR,
            {"name": "use_dropout", "type": "boolean", "role": "scientific"},
            number("dropout", 0.1, 0.5, "linear", when={"use_dropout": [True]}),
        ),
    ),
    (
        "strength_scientific",
        design(OPTIMIZER, LR, number("weight_decay", 1e-6, 1e-2, role="scientific", **ADAM)),
        design(OPTIMIZER, LR, number("weight_decay", 1e-6, 1e-2, **ADAM)),
    ),
    (
        "strength_scientific",
        design(
            {"name": "decay", "type": "boolean"},
            number("weight_decay", 1e-6, 1e-2, role="scientific", when={"decay": [True]}),
            LR,
        ),
        design(
            choice("use", "none", "yes", role="scientific"), number("wd", 1e-6, 1.0, when={"use": ["yes"]})
        ),
    ),
    (
        "range_shared",
        design(LR, OPTIMIZER),
        design(OPTIMIZER, {**LR, **ADAM}, {**LR, "when": {"optimizer": ["sgd"]}}),
    ),
    (
        "range_shared",
        design(choice("optimizer", "a", "b", "c"), {**LR, "when": {"optimizer": ["a", "c"]}}),
        design(choice("optimizer", "a", "b", "c"), {**LR, "when": {"optimizer": ["a"]}}),
    ),
    ("range_scale", design(number("lr", 0.0, 1.0, "linear")), design(number("dropout", 0.0, 1.0, "linear"))),
    ("range_scale", design(number("wd", 1e-4, 1e-2, "linear")), design(number("wd", 1e-4, 1e-2))),
    ("range_scale", design(number("lr", 0.1, 0.3)), design(number("lr", 0.1, 0.3), **GOAL)),
    (
        "range_scale",
        design(number("momentum", 0.5, 0.99, "linear")),
        design(number("momentum", 0.5, 0.9, "linear")),
    ),
    ("range_scale", design(number("momentum", 0.0, 1.0, "linear")), design(choice("momentum", 0.9, 0.99))),
    ("too_few_trials", design(LR, ARCHITECTURE, trials=9), design(LR, ARCHITECTURE, trials=10)),
    ("too_few_trials", design(LR, number("wd", 1e-6, 1.0), trials=19), design(LR, trials=5)),
    ("too_few_trials", design(choice("a", 1, 2, 3, role="scientific"), trials=14), design(LR, trials=15)),
    (
        "too_few_trials",
        design(LR, choice("a", 1, 2, role="scientific"), sampler={"name": "grid"}, trials=4),
        design(LR, choice("a", 1, 2, role="scientific"), sampler={"name": "grid"}, trials=10),
    ),
    ("sampler", design(LR, trials=9, **GOAL), design(LR, trials=10, **GOAL)),
    ("sampler", design(LR, sampler={"name": "grid"}, trials=5, **GOAL), design(LR, trials=5)),
    (
        "adam_budget",
        design(LR, choice("beta1", 0.9, 0.99), trials=9),
        design(LR, choice("b1", 0.9, 0.99), trials=10),
    ),
    (
        "adam_budget",
        design(LR, number("epsilon", 1e-9, 1.0), trials=24),
        design(LR, number("eps", 1e-9, 1), trials=25),
    ),
    (
        "adam_budget",
        design(OPTIMIZER, LR, choice("adam_beta2", 0.9, 0.99, **ADAM), trials=198),
        design(OPTIMIZER, LR, choice("adam_beta2", 0.9, 0.99, **ADAM), trials=200),
    ),
    (
        "adam_budget",
        design(LR, number("epsilon", 1e-9, 1.0), trials=24),
        design(OPTIMIZER, LR, number("eps", 1e-9, 1.0, when={"optimizer": ["sgd"]}), trials=24),
    ),
    (
        "cycle_unfinished",
        design(LR, fixed("T_max", 50), fixed("steps", 100)),
        design(LR, fixed("T_max", 20), fixed("steps", 100)),
    ),
    (
        "cycle_unfinished",
        design(LR, fixed("T_0", 10), fixed("T_mult", 2), fixed("epochs", 100)),
        design(LR, fixed("T_0", 10), fixed("T_mult", 2), fixed("epochs", 70)),
    ),
    (
        "cycle_unfinished",
        design(LR, fixed("t_0", 30), fixed("t_mult", 1), fixed("epochs", 100)),
        design(LR, fixed("t_0", 25), fixed("t_mult", 1), fixed("epochs", 100)),
    ),
    (
        "cycle_unfinished",
        design(LR, number("t_0", 5, 60, "log", "integer"), fixed("epochs", 101)),
        design(LR, choice("t_0", 5, 20), fixed("epochs", 100), fixed("steps", 1007)),
    ),
    (
        "cycle_unfinished",
        design(LR, fixed("step_size_up", 20), fixed("max_train_steps", 100)),
        design(LR, fixed("step_size_up", 25), fixed("max_train_steps", 100)),
    ),
    (
        "warmup_long",
        design(LR, fixed("warmup_steps", 1_000), fixed("max_train_steps", 10_000)),
        design(LR, fixed("warmup_steps", 500), fixed("max_train_steps", 10_000)),
    ),
    (
        "warmup_long",
        design(LR, choice("warmup_steps", 10, 1_000, 100_000), fixed("max_train_steps", 10_000)),
        design(LR, choice("warmup_steps", 10, 100), fixed("max_train_steps", 10_000)),
    ),
    (
        "warmup_long",
        design(
            LR, number("warmup_epochs", 1, 40, "log", "integer"), fixed("epochs", 90), fixed("steps", 9_000)
        ),
        design(LR, number("warmup_epochs", 1, 4, "log", "integer"), fixed("epochs", 90)),
    ),
    (
        "warmup_long",
        design(LR, number("warmup_ratio", 0.0, 0.3, "linear"), fixed("epochs", 90)),
        design(LR, number("warmup_ratio", 0.0, 0.05, "linear"), fixed("epochs", 90)),
    ),
    ("warmup_long", design(LR, fixed("warmup_ratio", 0.08)), design(LR, fixed("warmup_steps", 8))),
]


def test_each_rule_is_tried() -> None:
    assert {rule for rule, _, _ in CASES} == set(RULES)
    assert len(RULES) == 12


@pytest.mark.parametrize(("rule", "broken", "sound"), CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)])
def test_a_rule_speaks_and_its_mend_silences_it(rule: str, broken: StudyDesign, sound: StudyDesign) -> None:
    assert of_rule(rule, sound) == []
    (advice,) = of_rule(rule, broken)
    for text in (advice.sentence, advice.reason, advice.source, advice.title, advice.field):
        assert text
    again = applied(broken, advice.changes)
    assert again != broken
    assert of_rule(rule, again) == []


def test_an_adaptive_sampler_is_for_a_study_that_asks_nothing() -> None:
    """No such sampler is registered yet, so a design document cannot name one."""
    asking = StudyDesign("x", "", design(LR).objective, design(LR, ARCHITECTURE).space, 60, sampler="tpe")
    (advice,) = RULES["sampler"](asking)
    assert applied(asking, advice.changes).sampler == "halton"
    hunting = StudyDesign("x", "", design(LR).objective, design(LR).space, 60, sampler="tpe")
    assert list(RULES["sampler"](hunting)) == []


def test_the_sources_own_examples() -> None:
    """1,000 warmup steps before 10,000 train 11,000; T_0 = 10 and T_mult = 2 restart at 10, 30 and 70."""
    (advice,) = of_rule(
        "warmup_long", design(LR, fixed("warmup_steps", 1000), fixed("max_train_steps", 10_000))
    )
    assert advice.title == "Train max_train_steps 11,000"
    run = applied(design(LR, fixed("warmup_steps", 1000), fixed("max_train_steps", 10_000)), advice.changes)
    assert run.space.document()[2]["value"] == 11_000
    for length in (10, 30, 70, 150):
        assert not of_rule(
            "cycle_unfinished", design(LR, fixed("T_0", 10), fixed("T_mult", 2), fixed("epochs", length))
        )


def test_a_split_range_has_one_entry_an_optimizer() -> None:
    broken = design(LR, choice("optimizer", "sgd", "adam", "lion", role="scientific"))
    (advice,) = of_rule("range_shared", broken)
    assert applied(broken, advice.changes).space.keys == (
        "optimizer",
        "optimizer=sgd/learning_rate",
        "optimizer=adam/learning_rate",
        "optimizer=lion/learning_rate",
    )


def test_what_was_written_by_hand_has_advice_without_a_mend() -> None:
    manual = {"name": "manual", "options": {"configurations": [{"learning_rate": 0.1, "steps": 5}]}}
    (advice,) = lint(design(LR, choice("steps", 5, 9), sampler=manual, trials=1))
    assert (advice.rule, advice.changes, advice.title) == ("train_steps_varied", (), "")


def test_many_optimizers_are_split_by_hand() -> None:
    many = design(
        choice("optimizer", *(f"o{number}" for number in range(1000))),
        *[{**LR, "name": f"p{number}.lr"} for number in range(30)],
    )
    advices = of_rule("range_shared", many)
    assert 10 < len(advices) < ADVICE_MOST
    assert {advice.changes for advice in advices} == {()}


def test_a_design_by_the_book_has_no_advice() -> None:
    sound = design(
        OPTIMIZER,
        {**LR, **ADAM},
        {**LR, "when": {"optimizer": ["sgd"]}},
        choice("momentum", 0.9, 0.95, 0.99, when={"optimizer": ["sgd"]}),
        fixed("batch_size", 64),
        fixed("max_train_steps", 4_000),
        fixed("warmup_steps", 100),
    )
    assert lint(sound) == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("lr", "learning_rate"),
        ("learningRate", "learning_rate"),
        ("LEARNING-RATE", "learning_rate"),
        ("critic.base_lr", "learning_rate"),
        ("optim.criticLearningRate", "learning_rate"),
        ("adam_beta_1", "beta1"),
        ("weightDecay", "weight_decay"),
        ("per_device_train_batch_size", "batch_size"),
        ("T_max", "t_max"),
        ("num_warmup_steps", "warmup_steps"),
        ("one_minus_beta1", "one_minus"),
        ("eval_batch_size", None),
        ("min_lr", None),
        ("eval_steps", None),
        ("log_steps", None),
        ("label_smoothing_epsilon", None),
        ("seed", None),
        ("_", None),
    ],
)
def test_names_are_known_in_any_spelling(name: str, meant: str | None) -> None:
    assert kind(name) == meant


def test_no_name_means_two_things() -> None:
    written = [name.replace("_", "") for names in NAMES.values() for name in names.split()]
    assert len(set(written)) == len(written)
    for meant, names in NAMES.items():
        for name in names.split():
            for spelling in (name, name.upper(), name.replace("_", "-"), f"model.{name}"):
                assert kind(spelling) == meant, spelling


@st.composite
def named_documents(draw: st.DrawFn) -> list[Entry]:
    """Any valid space, some of its hyperparameters under names that the lint knows."""
    space = draw(documents())
    known = sorted(name for names in NAMES.values() for name in names.split())
    parents = {parent.rpartition("/")[2] for entry in space for parent in entry.get("when", {})}  # type: ignore[attr-defined]
    seen = {str(entry["name"]) for entry in space}
    for name in sorted(seen - parents):
        fresh = draw(st.sampled_from([name, *known]))
        if fresh not in ("optimizer", "num_layers", *(entry["name"] for entry in space)):
            for entry in space:
                if entry["name"] == name:
                    entry["name"] = fresh
    optimizer = draw(st.sampled_from(["optimizer", "num_layers", "switch"]))
    return [choice(optimizer, "sgd", "adam", role=draw(st.sampled_from(["scientific", "nuisance"]))), *space]


@given(
    st.one_of(documents(), named_documents()),
    st.integers(1, 200),
    st.sampled_from(["halton", "grid"]),
    st.sampled_from(["", "the final run"]),
)
def test_lint_takes_any_design_and_every_mend_is_a_design(
    space: Any, trials: int, sampler: str, goal: str
) -> None:
    options = {"options": {"points_per_dimension": 2}} if sampler == "grid" else {}
    size = Grid(others=2).size(SearchSpace.parse(space)) or 1
    if sampler == "grid":
        if size > CONFIGURATIONS_MOST:
            sampler, options = "halton", {}
        else:
            trials = min(trials, size)
    found = design(*space, trials=trials, sampler={"name": sampler, **options}, goal=goal)
    advices = lint(found)
    assert len(advices) <= ADVICE_MOST
    assert len({advice.name for advice in advices}) == len(advices)
    for advice in advices:
        assert advice.field.split(".")[0] in ("space", "budget", "sampler")
        again = applied(found, advice.changes)
        assert StudyDesign.parse(again.document()) == again
        if advice.changes:
            assert advice.name not in [other.name for other in lint(again)], advice
