"""The catalogue of figures: what each is called, what to look for in it, and which choices it offers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tunebook_server.domain.samplers import sampler
from tunebook_server.domain.samplers.learner import Learner
from tunebook_server.domain.search_space import Float, Integer
from tunebook_server.domain.study import Study
from tunebook_server.figures.labels import key_words
from tunebook_server.services import figures

BRACKETS_MOST = 20
Option = tuple[str, str]
"""Value and words."""
CLIP: Sequence[Option] = (("", "clipped"), ("off", "full"))
SCALE: Sequence[Option] = (("", "auto"), ("linear", "linear"), ("log", "log"))
SMOOTH: Sequence[Option] = (("0", "raw"), ("8", "8 points"), ("32", "32 points"))
BEST: Sequence[Option] = tuple((str(count), str(count)) for count in (3, 5, 10, 20, 50))


@dataclass(frozen=True, slots=True)
class Choice:
    """A select of the page: its name in the address, its label, and what it offers for a study."""

    name: str
    label: str
    options: Callable[[Study], Sequence[Option]]
    default: int = 0
    """The place of the option that holds where the address says nothing."""


@dataclass(frozen=True, slots=True)
class Entry:
    kind: str
    title: str
    look_for: str
    choices: Sequence[Choice] = ()
    rows: bool = False
    """As high as it has rows; the others fill the window."""


def _keys(study: Study, wanted: Callable[[object], bool]) -> Sequence[Option]:
    keys = [study.space.key(parameter) for parameter in study.space.varied if wanted(parameter)]
    return [(key, " · ".join([key_words(key)[0], *key_words(key)[1]])) for key in keys]


def varied(study: Study) -> Sequence[Option]:
    return _keys(study, lambda _: True)


def numeric(study: Study) -> Sequence[Option]:
    return _keys(study, lambda parameter: isinstance(parameter, Float | Integer))


def scientific(study: Study) -> Sequence[Option]:
    return _keys(study, lambda parameter: getattr(parameter, "role", "") == "scientific")


def across(study: Study) -> Sequence[Option]:
    """Numeric ones, last those that exist for some scientific values only: those would have one colour."""
    names = {key_words(key)[0] for key, _ in scientific(study)}

    def is_owned(option: Option) -> bool:
        return any(condition.partition("=")[0] in names for condition in key_words(option[0])[1])

    return sorted(numeric(study), key=is_owned)


def upwards(study: Study) -> Sequence[Option]:
    """Numeric ones: the first has trials in common with the first of `numeric`, where any has."""
    first, *others = numeric(study) or [("", "")]
    conditions = key_words(first[0])[1]

    def is_apart(option: Option) -> bool:
        pairs = zip(conditions, key_words(option[0])[1], strict=False)
        return any(one != other for one, other in pairs)

    return [*sorted(others, key=is_apart), *([first] if first[0] else [])]


def optional(study: Study) -> Sequence[Option]:
    return [("", "nothing"), *scientific(study)]


def best(study: Study) -> Sequence[Option]:
    return [(str(study.best_trial_id), "the best")] if study.best_trial_id is not None else []


def brackets(study: Study) -> Sequence[Option]:
    """Those that have a rung at all, and by how many trials they are told apart."""
    scheduler = study.scheduling()
    firsts = [(bracket, scheduler.next_rung(bracket, None)) for bracket in range(BRACKETS_MOST)]
    if scheduler.copies or firsts[0][1] is None:
        return []
    if scheduler.next_rung(1, None) == firsts[0][1]:
        return [("0", "all trials")]
    return [(str(bracket), f"from step {first:,}") for bracket, first in firsts if first is not None]


def against(study: Study) -> Sequence[Option]:
    """Metrics that the study trades off or bounds."""
    chosen = sampler(study.sampler, study.sampler_options)
    metrics = [each.metric for each in chosen.trade_offs] if isinstance(chosen, Learner) else []
    metrics += [each.metric for each in study.constraints]
    return [(name, name) for name in dict.fromkeys(metrics)]


def perturbed(study: Study) -> Sequence[Option]:
    return varied(study) if study.scheduling().copies else []


def of(options: Sequence[Option]) -> Callable[[Study], Sequence[Option]]:
    return lambda _: options


AXIS_CHOICES = (Choice("clip", "Objective axis", of(CLIP)), Choice("y", "Scale", of(SCALE)))
CATALOGUE: Sequence[Entry] = (
    Entry(
        "axis",
        "Objective by hyperparameter",
        "Do the best trials crowd at an edge of the range? Then the search space was too small.",
        (Choice("parameter", "Hyperparameter", varied), *AXIS_CHOICES),
    ),
    Entry(
        "isolation",
        "Isolation",
        "The best trial of each scientific value over the nuisance hyperparameters, with its interval: "
        "where the intervals overlap, nothing has won.",
        (Choice("parameter", "Scientific hyperparameter", scientific),),
    ),
    Entry(
        "curves",
        "Training curves",
        "Does validation turn up while training still falls? Is it still falling at the end?",
        (
            Choice("best", "Best trials", of(BEST), default=1),
            Choice("smooth", "Smoothing", of(SMOOTH)),
            Choice("x", "Step axis", of((("", "linear"), ("log", "log")))),
            Choice("y", "Scale", of(SCALE)),
        ),
    ),
    Entry(
        "best-of-k",
        "Best of k trials",
        "Is the box at the end still wide, or still falling? Then more trials would have found more.",
    ),
    Entry(
        "best-steps",
        "Best step",
        "Are most best steps near the end? Train longer. Near the start? Train shorter.",
    ),
    Entry("history", "Optimisation history", "Has the best value stopped to improve?", AXIS_CHOICES),
    Entry("parallel", "Parallel coordinates", "Which ranges do the best trials share?"),
    Entry(
        "importance",
        "Importance",
        "Which hyperparameters must be tuned again, and which hardly matter?",
        rows=True,
    ),
    Entry(
        "contour",
        "Contour of two hyperparameters",
        "Is the good region tilted? Then the two must be tuned together.",
        (Choice("x", "Across", numeric), Choice("y", "Upwards", upwards)),
    ),
    Entry(
        "interaction",
        "Interaction",
        "Which best values move with the scientific one (tune them again), and which are flat (fix them)?",
        (Choice("parameter", "Scientific hyperparameter", scientific),),
        rows=True,
    ),
    Entry(
        "slice",
        "Slice by scientific value",
        "Does the best place of a hyperparameter differ between the scientific values?",
        (Choice("parameter", "Hyperparameter", across), Choice("by", "Coloured by", scientific)),
    ),
    Entry(
        "gradient-norm",
        "Gradient norm",
        "Do spikes come before jumps of the loss?",
        (Choice("trial", "Trial", best),),
    ),
    Entry(
        "gradient-norm-histogram",
        "Gradient norm, distribution",
        "A clipping threshold belongs near the 90th percentile.",
        (Choice("trial", "Trial", best),),
    ),
    Entry(
        "distribution",
        "Distribution of objectives",
        "Which value is better not only at its best, but for most configurations?",
        (Choice("by", "Split by", optional),),
    ),
    Entry(
        "predicted",
        "Predicted and observed",
        "Does a model know a trial from the others? Then a sampler that learns has something to go by.",
    ),
    Entry(
        "feasibility",
        "Feasibility",
        "Where do trials fail for their values? Cut that region off, or make it a finding.",
        (Choice("x", "Across", numeric), Choice("y", "Upwards", upwards)),
    ),
    Entry(
        "pareto",
        "Pareto front",
        "What does a better objective cost? Trials off the front are beaten in both metrics.",
        (Choice("metric", "Against", against),),
    ),
    Entry(
        "hypervolume",
        "Hypervolume",
        "Does the front still grow? Then more trials would find better trade-offs.",
        (Choice("metric", "Against", against),),
    ),
    Entry(
        "rungs",
        "Rungs",
        "Do lines cross after a rung? Then the scheduler judges too early: raise min_steps.",
        (Choice("bracket", "Bracket", brackets),),
    ),
    Entry(
        "lineage",
        "Lineage",
        "Where do the members' values go as training goes on, and does one family take over all of them?",
        (Choice("parameter", "Hyperparameter", perturbed),),
    ),
    Entry("timeline", "Timeline", "When did which worker run what, and where did it wait?", rows=True),
)


def entries(study: Study) -> list[Entry]:
    """Those that can be drawn for this study: with something to choose wherever a choice is to be made."""
    known = [entry for entry in CATALOGUE if entry.kind in figures.KINDS]
    return [entry for entry in known if all(choice.options(study) for choice in entry.choices)]


def chosen(entry: Entry, study: Study, query: Mapping[str, str]) -> dict[str, str]:
    """The options of the figure's address: those of the page's where they are offered, else the defaults."""
    options = {}
    for choice in entry.choices:
        offered = [value for value, _ in choice.options(study)]
        given = query.get(choice.name, "")
        default = offered[min(choice.default, len(offered) - 1)]
        options[choice.name] = given if given in offered else default
    return options
