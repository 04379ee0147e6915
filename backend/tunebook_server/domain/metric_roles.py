"""What a metric or a hyperparameter is, told from its name.

Names are read as words: capitals, `/`, `_`, `-` and `.` separate them, and case does not count, so
`gradNorm`, `grad/norm` and `train/Grad-Norm` are one. Recognised are

- the training loss: `train/loss`, `training_loss`, `trainLoss`, `loss`, `train/cross_entropy`, `train/nll`;
- the gradient norm: `grad/norm`, `global_grad_norm`, `gradient_norm_total`, `gnorm` (before clipping, of the
  whole model: `grad_norm/layer1` and `grad_norm_clipped` are others);
- the step time: `step_time`, `time/step_seconds`, `batch_time_ms`, `seconds_per_step`, `train/time`;
- the data wait: `data_wait`, `data_time`, `time/data_seconds`, `input_wait_ms`, `dataloader/wait`, or as a
  part of the step time `data_wait_share`, `data_wait_percent`;
- the GPU utilisation: `gpu/utilization`, `gpu_util`, `gpu0/utilisation_percent`;
- the learning rate: `learning_rate`, `lr`, `base_lr`, `lr/group0`, not `lr_decay` or `warmup_lr_steps`.

Of some measures more is better, by their names: `valid/accuracy`, `test_acc`, `AUC`, `f1_macro`, `mAP`,
`episode/reward`, not `accuracy_gap` or `auc_error`.

A name that belongs to a validation or test split is none of these, save a GPU utilisation. What is sampled
beside a job (`system/…`) has no role: it is no word of the job's own.
"""

import re
from collections.abc import Iterable
from enum import StrEnum

from tunebook_server.domain.families import SPLITS
from tunebook_server.domain.system_metrics import is_system


class MetricRole(StrEnum):
    TRAINING_LOSS = "training loss"
    GRADIENT_NORM = "gradient norm"
    STEP_TIME = "step time"
    DATA_WAIT = "data wait"
    GPU_UTILISATION = "GPU utilisation"
    LEARNING_RATE = "learning rate"


SECONDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millis", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "usec", "micros", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nanoseconds"), 1e-9),
}
SHARES = {
    **dict.fromkeys(("share", "fraction", "ratio"), 1.0),
    **dict.fromkeys(("percent", "pct", "percentage"), 0.01),
}
_LOSSES = {
    *("loss", "totalloss", "meanloss", "avgloss", "batchloss", "lossmean"),
    *("crossentropy", "crossentropyloss", "ce", "celoss", "nll", "nllloss"),
}
_GRADIENTS = {"grad", "grads", "gradient", "gradients"}
_NORM_ENDS = {"norm", "gnorm", "global", "total", "all", "l2"}
_STEPS = {"step", "iter", "iteration", "batch"}
_NOT_THE_STEP = {"forward", "backward", "optimizer", "optimiser", "eval", "epoch", "total", "checkpoint"}
_INPUT = {"data", "dataloader", "input", "loader"}
_WAITS = {"wait", "waiting", "stall", "load", "loading", "fetch", "time"}
_UTILISATION = {"util", "utilization", "utilisation", "busy", "usage"}
_NOT_THE_CORES = {"memory", "mem", "temp", "temperature", "power", "fan"}
_NOT_THE_RATE = {
    *("decay", "warmup", "final", "min", "end", "multiplier", "mult", "factor", "scale", "schedule"),
    *("scheduler", "gamma", "ratio", "power", "steps", "step"),
}
_NOT_GRADIENT_CLIPPING = {"range", "epsilon", "eps", "ratio", "reward", "model", "text", "vision", "logit"}
_MORE_IS_BETTER = {
    *(
        "accuracy",
        "acc",
        "auc",
        "auroc",
        "rocauc",
        "auprc",
        "f1",
        "f1score",
        "fscore",
        "map",
        "ap",
        "precision",
    ),
    *(
        "recall",
        "sensitivity",
        "specificity",
        "dice",
        "iou",
        "miou",
        "jaccard",
        "kappa",
        "mcc",
        "ndcg",
        "mrr",
    ),
    *(
        "bleu",
        "rouge",
        "meteor",
        "r2",
        "psnr",
        "ssim",
        "reward",
        "rewards",
        "return",
        "returns",
        "throughput",
    ),
}
_TURNED_ROUND = {
    *("error", "err", "loss", "gap", "drop", "regret", "negative", "neg", "minus", "std", "variance", "var"),
    *("time", "seconds", "ms"),
}


def words(name: str) -> tuple[str, ...]:
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return tuple(re.findall(r"[a-z0-9]+", apart.lower()))


def role_of(metric: str) -> MetricRole | None:
    if is_system(metric):
        return None
    found = words(metric)
    split = next((SPLITS[word] for word in found[:1] if word in SPLITS and len(found) > 1), "")
    if split:
        found = found[1:]
    if _is_utilisation(found):
        return MetricRole.GPU_UTILISATION
    if split not in ("", "train"):
        return None
    if "".join(found) in _LOSSES:
        return MetricRole.TRAINING_LOSS
    for role, holds in (
        (MetricRole.GRADIENT_NORM, _is_gradient_norm),
        (MetricRole.DATA_WAIT, _is_data_wait),
        (MetricRole.STEP_TIME, _is_step_time),
        (MetricRole.LEARNING_RATE, _is_rate),
    ):
        if holds(found):
            return role
    return None


def find(metrics: Iterable[str], role: MetricRole) -> str | None:
    """The metric of that role; of several the one whose name says least besides."""
    found = [metric for metric in metrics if role_of(metric) is role]
    return min(found, key=lambda metric: (len(words(metric)), metric), default=None)


def is_learning_rate(name: str) -> bool:
    return _is_rate(words(name))


def is_better_higher(metric: str) -> bool:
    """Whether its name says so."""
    found = set(words(metric))
    return not is_system(metric) and bool(found & _MORE_IS_BETTER) and not found & _TURNED_ROUND


def is_clipping_threshold(name: str) -> bool:
    """`clip_norm`, `gradient_clipping`, `max_grad_norm`; not `clip_range` of a policy."""
    found = set(words(name))
    if found & _NOT_GRADIENT_CLIPPING:
        return False
    return any("clip" in word for word in found) or ({"max", "norm"} <= found and bool(found & _GRADIENTS))


def unit(metric: str) -> tuple[str, float]:
    """What the name says of its unit: ("seconds", 1e-3) of `step_time_ms`, ("share", 0.01) of `wait_percent`,
    ("", 1.0) where it says nothing."""
    found = words(metric)
    for word in (found[-1:] + found[-3:-2]) if "per" in found[-2:-1] else found[-1:]:
        if word in SECONDS:
            return "seconds", SECONDS[word]
        if word in SHARES:
            return "share", SHARES[word]
    return "", 1.0


def _is_gradient_norm(found: tuple[str, ...]) -> bool:
    if found[-1:] == ("gnorm",) or found[-1:] == ("gradnorm",):
        return True
    return "norm" in found and bool(_GRADIENTS & set(found)) and found[-1] in _NORM_ENDS


def _is_data_wait(found: tuple[str, ...]) -> bool:
    measured = bool({*found[-1:]} & (SECONDS.keys() | SHARES.keys()) or _WAITS & set(found))
    return measured and bool(_INPUT & set(found))


def _is_step_time(found: tuple[str, ...]) -> bool:
    if found == ("time",):
        return True
    timed = "time" in found or bool({*found[-1:], *found[-3:-2]} & SECONDS.keys())
    return timed and bool(_STEPS & set(found)) and not _NOT_THE_STEP & set(found)


def _is_utilisation(found: tuple[str, ...]) -> bool:
    cores = any(re.fullmatch(r"(gpu|cuda)\d*", word) for word in found)
    return cores and bool(_UTILISATION & set(found)) and not _NOT_THE_CORES & set(found)


def _is_rate(found: tuple[str, ...]) -> bool:
    return ("lr" in found or "learningrate" in "".join(found)) and not _NOT_THE_RATE & set(found)
