"""What a worker for a cluster is told, and what it says when that is wrong."""

import pytest

from tunebook_worker.engine_options import WrongEngineOption, read


def test_a_worker_trains_on_its_own_host_unless_told_otherwise() -> None:
    assert read({}) is None
    assert read({"TUNEBOOK_LAUNCHER": "slurm"}, launcher="local") is None


def test_options_and_labels_reach_sbatch_as_they_are() -> None:
    options = read(
        {
            "TUNEBOOK_LAUNCHER": "slurm",
            "TUNEBOOK_SLURM_OPTIONS": "--partition=a100 --comment='two words; $(rm)' --hold",
            "TUNEBOOK_SLURM_LABELS": "gpu=h200:--constraint=h200&nvlink zone=a:--partition=a",
        }
    )
    assert options is not None
    assert options.slurm_options == ("--partition=a100", "--comment=two words; $(rm)", "--hold")
    assert options.slurm_labels[("gpu", "h200")] == "--constraint=h200&nvlink"
    assert options.labels == {"gpu": "h200", "zone": "a"}


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("TUNEBOOK_LAUNCHER", "cloud", "--launcher cloud"),
        ("TUNEBOOK_SLURM_OPTIONS", "--partition a100", "'a100'"),
        ("TUNEBOOK_SLURM_OPTIONS", "-p", "'-p'"),
        ("TUNEBOOK_SLURM_OPTIONS", "--comment='open", "No closing quotation"),
        ("TUNEBOOK_SLURM_OPTIONS", "--wrap=id", "--wrap is set by Tunebook itself"),
        ("TUNEBOOK_SLURM_OPTIONS", "--job-name=x", "--job-name"),
        ("TUNEBOOK_SLURM_LABELS", "gpu:--constraint=a", "key=value:--option=value"),
        ("TUNEBOOK_SLURM_LABELS", "gpu=a:--constraint=a gpu=b:--constraint=b", "gpu twice"),
        ("TUNEBOOK_SLURM_LABELS", "gpu=a:script", "'script'"),
        ("TUNEBOOK_ENGINE_GPUS", "65", "TUNEBOOK_ENGINE_GPUS=65"),
        ("TUNEBOOK_ENGINE_CPUS", "-1", "TUNEBOOK_ENGINE_CPUS=-1"),
        ("TUNEBOOK_ENGINE_POLL_SECONDS", "nan", "TUNEBOOK_ENGINE_POLL_SECONDS=nan"),
    ],
)
def test_a_wrong_option_is_named(variable: str, text: str, said: str) -> None:
    with pytest.raises(WrongEngineOption, match=said):
        read({"TUNEBOOK_LAUNCHER": "slurm", variable: text})
