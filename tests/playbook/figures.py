"""Studies of the shape of the Deep Learning Tuning Playbook's own figures 1, 2, 3, 7a and 7b.

The playbook shows pictures and not numbers: ranges, thresholds and errors here are ours, of the size that its
text names (ResNet-50 on ImageNet, validation error about 0.23, retrained about ±0.001).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Engine

from tests.playbook.trainings import Rule, Training, carry_out, diverging, exploding, learning, stuck
from tunebook_server.domain.changes import Change
from tunebook_server.domain.study import Study
from tunebook_server.domain.trial import Configuration
from tunebook_server.services import follow_ups

NO_BETTER_THAN_A_GUESS = 0.03  # of the trainings, for no reason that their values show
RETRAIN_DEVIATION, REPEATS = 0.001, 8
UNSTABLE_ABOVE = 0.5

Entry = Mapping[str, object]

RATE: Entry = {"name": "learning_rate", "type": "float", "scale": "log"}
MOMENTUM: Entry = {"name": "one_minus_momentum", "type": "float", "low": 0.01, "high": 0.3, "scale": "log"}
DECAY: Entry = {"name": "weight_decay", "type": "float", "low": 1e-6, "high": 1e-2, "scale": "log"}
SMOOTHING: Entry = {"name": "label_smoothing", "type": "float", "low": 0.0, "high": 0.2}


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A study that is still to be carried out."""

    document: Mapping[str, object]
    rule: Rule
    repeats: int = 0

    def study(self, engine: Engine) -> Study:
        return carry_out(engine, self.document, self.rule, repeats=self.repeats)


def bad_boundary() -> Rebuilt:
    """Figure 1, left: the best learning rates crowd at the upper edge."""
    space = [{**RATE, "low": 1e-4, "high": 0.1}, MOMENTUM]
    return Rebuilt(_document("figure 1, bad boundary", "Which learning rate?", 60, space), _bowl(1.0, 0.012))


def good_boundary() -> Rebuilt:
    """Figure 1, right: they lie inside, and the rates that diverge beyond them are in the range too."""
    space = [{**RATE, "low": 1e-3, "high": 4.5}, MOMENTUM]
    rule = _bowl(0.08, 0.03, diverges_above=2.4)
    return Rebuilt(_document("figure 1, good boundary", "Which learning rate?", 60, space), rule)


def weight_decays() -> Rebuilt:
    """Figure 2: the best error over the learning rates of each part of a range of weight decays."""
    space = [{**DECAY, "role": "scientific"}, {**RATE, "low": 1e-2, "high": 1.0}]

    def rule(configuration: Configuration, random: np.random.Generator) -> Training:
        miss = 0.012 * _decades(configuration, "weight_decay", 1e-4) ** 2
        return learning(0.23 + miss + 0.06 * _decades(configuration, "learning_rate", 0.1) ** 2, random)

    return Rebuilt(_document("figure 2, isolation", "Which weight decay?", 160, space), rule)


def activations(gain: float) -> Rebuilt:
    """Figure 2 for choices: one is better than the others by `gain`."""
    choices: Entry = {"name": "activation", "type": "categorical", "choices": ["relu", "gelu", "swish"]}
    space = [{**choices, "role": "scientific"}, {**RATE, "low": 1e-2, "high": 1.0}]

    def rule(configuration: Configuration, random: np.random.Generator) -> Training:
        better = gain if configuration["activation"] == "gelu" else 0.0
        miss = 0.02 * _decades(configuration, "learning_rate", 0.1) ** 2 + 0.003 * random.random()
        return learning(0.25 - better + miss, random)

    return Rebuilt(_document(f"figure 2, gain {gain}", "Which activation?", 90, space), rule)


def best_of(trials: int) -> Rebuilt:
    """Figure 3: a search over four hyperparameters, and what retraining alone changes."""
    space = [{**RATE, "low": 0.03, "high": 3.0}, MOMENTUM, DECAY, SMOOTHING]

    def rule(configuration: Configuration, random: np.random.Generator) -> Training:
        if float(configuration["learning_rate"]) > 2.2:
            return diverging(learning(0.3, random), 2_000)
        miss = 0.012 * abs(_decades(configuration, "learning_rate", 0.3))
        miss += 0.010 * abs(_decades(configuration, "one_minus_momentum", 0.08))
        miss += 0.003 * abs(_decades(configuration, "weight_decay", 1e-4))
        miss += 0.01 * abs(float(configuration["label_smoothing"]) - 0.1)
        return learning(0.23 + miss + RETRAIN_DEVIATION * random.standard_normal(), random)

    name = f"figure 3, best of {trials} trials"
    return Rebuilt(
        _document(name, "How good can ResNet-50 get?", trials + REPEATS, space), rule, repeats=REPEATS
    )


def unstable() -> Rebuilt:
    """Figure 7a: the higher the learning rate the better, up to where the loss jumps and stays high."""
    document = _document(
        "figure 7a, instability", "Which learning rate?", 50, [{**RATE, "low": 1e-3, "high": 2.0}]
    )
    objective = {"metric": "valid/error", "direction": "minimize", "evaluation": "last"}
    return Rebuilt({**document, "objective": objective}, _rising_to_the_edge(lost_share=0.5))


def double_check(engine: Engine, parent: Study, changes: Sequence[Change]) -> Study:
    """Figure 7b: the study that the finding of figure 7a proposes, in the same world."""
    design = follow_ups.draft(engine, study_id=parent.id, changes=changes).design
    return carry_out(engine, {**design.document(), "name": "figure 7b, double check"}, _rising_to_the_edge())


def _document(name: str, goal: str, budget: int, space: Sequence[Entry]) -> dict[str, object]:
    return {
        "name": name,
        "goal": goal,
        "objective": {"metric": "valid/error", "direction": "minimize", "evaluation": "best"},
        "sampler": {"name": "halton", "seed": 0},
        "budget": {"trials": budget, "parallel": budget},
        "space": list(space),
    }


def _bowl(best: float, steepness: float, *, diverges_above: float = np.inf) -> Rule:
    def rule(configuration: Configuration, random: np.random.Generator) -> Training:
        miss = steepness * _decades(configuration, "learning_rate", best) ** 2
        miss += 0.02 * _decades(configuration, "one_minus_momentum", 0.06) ** 2
        training = learning(0.24 + miss + 0.008 * random.exponential(), random)
        if float(configuration["learning_rate"]) > diverges_above:
            return diverging(training, 1_500)
        if random.random() < NO_BETTER_THAN_A_GUESS:
            return stuck(random)
        return training

    return rule


def _rising_to_the_edge(*, lost_share: float = 0.0) -> Rule:
    """`lost_share` of the unstable trainings end in NaN, the others in a high loss."""

    def rule(configuration: Configuration, random: np.random.Generator) -> Training:
        rate = float(configuration["learning_rate"])
        miss = 0.02 * _decades(configuration, "learning_rate", 5.0) ** 2
        training = learning(0.22 + miss + 0.008 * random.exponential(), random)
        if rate <= UNSTABLE_ABOVE:
            return training
        if random.random() < lost_share:
            return diverging(training, 10_000)
        return exploding(training, 10_000 if rate < 6 * UNSTABLE_ABOVE else 4_000)

    return rule


def _decades(configuration: Configuration, name: str, best: float) -> float:
    return float(np.log10(float(configuration[name]) / best))


FIGURES: Mapping[str, Callable[[], Rebuilt]] = {
    "1-bad": bad_boundary,
    "1-good": good_boundary,
    "2": weight_decays,
    "3": lambda: best_of(100),
    "7a": unstable,
}
