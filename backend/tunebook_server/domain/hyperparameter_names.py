"""What a hyperparameter is, by the name that people give it: `lr`, `learningRate` and `critic.base_lr` are
learning rates.

Letter case and separators do not count. A name is looked up whole, and after its last dot; a name of several
words (and a few single ones, `ENDINGS`) also counts at the end of a longer one.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

Kind = Literal[
    "learning_rate",
    "momentum",
    "beta1",
    "beta2",
    "epsilon",
    "one_minus",
    "weight_decay",
    "dropout",
    "label_smoothing",
    "batch_size",
    "train_steps",
    "train_epochs",
    "warmup_steps",
    "warmup_epochs",
    "warmup_share",
    "optimizer",
    "schedule",
    "decay_factor",
    "t_max",
    "t_0",
    "t_mult",
    "cycle",
    "half_cycle",
    "architecture",
]

NAMES: Mapping[Kind, str] = {
    "learning_rate": "learning_rate lr l_rate eta_max",
    "momentum": "momentum sgd_momentum nesterov_momentum mom",
    "beta1": "beta1 adam_beta1 b1",
    "beta2": "beta2 adam_beta2 b2",
    "epsilon": "epsilon eps adam_epsilon adam_eps optimizer_epsilon optimizer_eps",
    "one_minus": "one_minus_momentum one_minus_beta one_minus_beta1 one_minus_beta2 one_minus_b1"
    " one_minus_b2",
    "weight_decay": "weight_decay wd l2 l2_reg l2_regularization l2_penalty l2_strength",
    "dropout": "dropout dropout_rate dropout_prob dropout_probability drop_rate drop_path_rate drop_path",
    "label_smoothing": "label_smoothing label_smoothing_factor smoothing",
    "batch_size": "batch_size minibatch_size bs",
    "train_steps": (
        "max_train_steps train_steps training_steps max_steps num_steps n_steps total_steps steps"
        " num_train_steps"
        " num_training_steps max_iterations num_iterations iterations max_iters num_iters iters"
    ),
    "train_epochs": "epochs num_epochs max_epochs n_epochs train_epochs training_epochs num_train_epochs",
    "warmup_steps": "warmup_steps num_warmup_steps warmup warmup_iters warmup_iterations",
    "warmup_epochs": "warmup_epochs num_warmup_epochs",
    "warmup_share": "warmup_ratio warmup_fraction warmup_proportion warmup_share warmup_frac",
    "optimizer": "optimizer optimiser optim opt optimizer_name optimizer_type optimiser_name",
    "schedule": (
        "schedule scheduler lr_schedule lr_scheduler learning_rate_schedule learning_rate_scheduler"
        " lr_scheduler_type lr_schedule_type schedule_name schedule_type"
    ),
    "decay_factor": (
        "lr_decay lr_decay_rate lr_decay_factor lr_gamma learning_rate_decay decay_factor decay_rate"
    ),
    "t_max": "t_max",
    "t_0": "t_0",
    "t_mult": "t_mult",
    "cycle": "cycle_steps cycle_length cycle_len cycle_epochs",
    "half_cycle": "step_size_up",
    "architecture": (
        "architecture arch model model_name model_type backbone num_layers n_layers layers depth num_blocks"
        " width hidden_size hidden_dim hidden_units units hidden_layers num_hidden_layers activation"
        " activation_function num_heads n_heads embed_dim embedding_dim d_model normalization norm"
        " kernel_size filters num_filters channels num_channels"
    ),
}
ENDINGS = frozenset(("lr", "momentum", "beta1", "beta2", "dropout", "optimizer", "optimiser"))
"""Single words that mean the same at the end of a longer name."""
OTHERWISE = frozenset(("eval", "valid", "validation", "val", "test", "min", "minimum", "final", "end"))
"""Words that make another thing of any name: an `eval_batch_size`, the `min_lr` of a schedule."""

REGULARISATION: frozenset[Kind] = frozenset(("weight_decay", "dropout", "label_smoothing"))
"""Strengths: 0 is off."""
LOGARITHMIC: frozenset[Kind] = frozenset(("learning_rate", "weight_decay", "epsilon", "one_minus"))
"""Positive, and searched over decades (Deep Learning Tuning Playbook)."""
NEAR_ONE: frozenset[Kind] = frozenset(("momentum", "beta1", "beta2"))
"""What matters of them is their distance from 1."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_KINDS: Mapping[str, Kind] = {
    name.replace("_", ""): kind for kind, names in NAMES.items() for name in names.split()
}
_AT_END = ENDINGS | {
    name.replace("_", "") for names in NAMES.values() for name in names.split() if "_" in name
}


@lru_cache(maxsize=4096)
def kind(name: str) -> Kind | None:
    """None for a name that says nothing."""
    words = _words(name)
    if OTHERWISE & set(words):
        return None
    for whole in ("".join(_words(name.rpartition(".")[2])), "".join(words)):
        if whole in _KINDS:
            return _KINDS[whole]
    for place in range(1, len(words)):
        ending = "".join(words[place:])
        if ending in _AT_END:
            return _KINDS[ending]
    return None


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]
