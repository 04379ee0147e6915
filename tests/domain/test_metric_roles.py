"""Names as people and libraries write them."""

import pytest

from tunebook_server.domain.metric_roles import (
    MetricRole,
    find,
    is_better_higher,
    is_clipping_threshold,
    is_learning_rate,
    role_of,
    unit,
)

NAMES = {
    MetricRole.TRAINING_LOSS: ["train/loss", "training_loss", "trainLoss", "Train/Loss", "loss", "train.nll"],
    MetricRole.GRADIENT_NORM: [
        *("grad/norm", "train/grad_norm", "gradNorm", "gradient-norm", "gnorm"),
        *("grad_2.0_norm_total", "global_grad_norm"),
    ],
    MetricRole.STEP_TIME: [
        *("step_time", "time/step_seconds", "train/batch_time_ms", "seconds_per_step"),
        *("train/time", "iter_time", "timePerStep"),
    ],
    MetricRole.DATA_WAIT: [
        *("data_wait", "train/data_time", "time/data_seconds", "dataloader/wait"),
        *("input_wait_ms", "data_wait_share", "DataTime"),
    ],
    MetricRole.GPU_UTILISATION: ["gpu_util", "gpu/utilization", "gpu0/utilisation_percent"],
    MetricRole.LEARNING_RATE: ["lr", "learning_rate", "train/learning-rate", "learningRate", "lr/group0"],
}
OTHERS = ["valid/loss", "val_loss", "test/loss", "accuracy", "train/error", "grad_norm/layer1", "weight_norm"]
OTHERS += [
    "grad_norm_clipped",
    "eval/step_time",
    "optimizer_step_time",
    "gpu/memory_usage",
    "lr_decay",
    "time/epoch",
]
OTHERS += ["system/gpu0/utilisation_percent", "system/step_time"]
OTHERS += ["", "///", "norm", "step", "data", "warmup_lr_steps", "train", "регуляризация", "train/"]


@pytest.mark.parametrize(("role", "name"), [(role, name) for role, names in NAMES.items() for name in names])
def test_a_name_has_its_role(role: MetricRole, name: str) -> None:
    assert role_of(name) is role
    assert role_of(name.upper() if name.islower() else name) is role


@pytest.mark.parametrize("name", OTHERS)
def test_other_names_have_none(name: str) -> None:
    assert role_of(name) is None


def test_of_several_the_plainest_is_taken() -> None:
    assert find(["train/total_loss", "train/loss", "valid/loss"], MetricRole.TRAINING_LOSS) == "train/loss"
    assert find(["valid/loss"], MetricRole.TRAINING_LOSS) is None


def test_names_say_their_unit() -> None:
    assert unit("step_time_ms") == ("seconds", 1e-3)
    assert unit("seconds_per_step") == ("seconds", 1.0)
    assert unit("data_wait_percent") == ("share", 0.01)
    assert unit("data_wait") == ("", 1.0)


def test_hyperparameters_by_name() -> None:
    rates = ["learning_rate", "lr", "base_lr", "peakLearningRate"]
    assert [is_learning_rate(name) for name in rates] == [True] * len(rates)
    assert not any(
        is_learning_rate(name) for name in ("lr_decay", "learning_rate_warmup_steps", "color", "lrn")
    )
    clipping = ["clip", "clip_norm", "gradient_clipping", "gradClip", "max_grad_norm"]
    assert [is_clipping_threshold(name) for name in clipping] == [True] * len(clipping)
    assert not any(is_clipping_threshold(name) for name in ("clip_range", "clip_epsilon", "max_norm", "norm"))


@pytest.mark.parametrize(
    ("metrics", "higher"),
    [
        (
            ["valid/accuracy", "test_acc", "AUC", "val/rocAuc", "f1_macro", "mAP", "R2", "episode/reward"],
            True,
        ),
        (
            ["valid/loss", "valid/error", "accuracy_gap", "auc_error", "top1_error", "perplexity", "rmse"],
            False,
        ),
        (["map_seconds", "neg_return", "system/recall", "account", "remap"], False),
    ],
)
def test_names_of_what_is_better_when_there_is_more_of_it(metrics: list[str], higher: bool) -> None:
    assert [is_better_higher(metric) for metric in metrics] == [higher] * len(metrics)
