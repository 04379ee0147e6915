"""What a worker for a cluster is told, and what it says when that is wrong."""

import os
from pathlib import Path

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


def test_what_ray_is_told(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "headers").write_text('{"X-Team": "vision"}')
    options = read(
        {
            "TUNEBOOK_LAUNCHER": "ray",
            "TUNEBOOK_RAY_ADDRESS": "https://ray.example.org/cluster/",
            "TUNEBOOK_RAY_TOKEN_FILE": str(tmp_path / "token"),
            "TUNEBOOK_RAY_HEADERS_FILE": str(tmp_path / "headers"),
            "TUNEBOOK_RAY_RUNTIME_ENV": '{"env_vars": {"A": "b; $(rm)"}}',
            "TUNEBOOK_RAY_LABELS": "gpu=h200:accelerator_type:H200=0.001 zone=a:a=2",
        }
    )
    assert options is not None
    assert options.ray is not None
    assert options.ray.address == "https://ray.example.org/cluster"
    assert options.ray.headers() == {"X-Team": "vision", "Authorization": "Bearer secret"}
    assert options.ray.labels[("gpu", "h200")] == ("accelerator_type:H200", 0.001)
    assert options.labels == {"gpu": "h200", "zone": "a"}
    assert "secret" not in repr(options)
    (tmp_path / "token").write_text("renewed\n")
    assert options.ray.headers()["Authorization"] == "Bearer renewed"


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("TUNEBOOK_RAY_ADDRESS", "", "TUNEBOOK_RAY_ADDRESS: the address of Ray's dashboard"),
        ("TUNEBOOK_RAY_ADDRESS", "head:8265", "http://head:8265"),
        ("TUNEBOOK_RAY_ADDRESS", "ray://head:10001", "http://head:8265"),
        ("TUNEBOOK_RAY_ADDRESS", "http://head:99999", "http://head:8265"),
        ("TUNEBOOK_RAY_ADDRESS", "http://a:b@head:8265", "TUNEBOOK_RAY_HEADERS_FILE"),
        ("TUNEBOOK_RAY_TOKEN_FILE", "/nowhere/token", "/nowhere/token"),
        ("TUNEBOOK_RAY_TOKEN_FILE", os.devnull, "no token"),
        ("TUNEBOOK_RAY_HEADERS_FILE", os.devnull, "no JSON object of headers"),
        ("TUNEBOOK_RAY_RUNTIME_ENV", "{", "not JSON"),
        ("TUNEBOOK_RAY_RUNTIME_ENV", "[]", "a JSON object"),
        ("TUNEBOOK_RAY_RUNTIME_ENV", '{"env_vars": {"A": 1}}', "an object of texts"),
        (
            "TUNEBOOK_RAY_RUNTIME_ENV",
            '{"env_vars": {"TUNEBOOK_WORKER_TOKEN": "x"}}',
            "TUNEBOOK_WORKER_TOKEN is not",
        ),
        (
            "TUNEBOOK_RAY_RUNTIME_ENV",
            '{"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "3"}}',
            "STOP_WAIT_TIME_S is not",
        ),
        ("TUNEBOOK_RAY_LABELS", "gpu=h200:h200", "key=value:resource=amount"),
        ("TUNEBOOK_RAY_LABELS", "gpu=a:a=1 gpu=b:b=1", "gpu twice"),
        ("TUNEBOOK_RAY_LABELS", "gpu=a:GPU=1", "GPU is asked for by the template"),
        ("TUNEBOOK_RAY_LABELS", "gpu=a:a=1.5", "an amount as 0.01 or 2"),
        ("TUNEBOOK_RAY_LABELS", "gpu=a:a=0", "an amount as 0.01 or 2"),
        ("TUNEBOOK_RAY_LABELS", "gpu=a:a=1.1.1", "an amount as 0.01 or 2"),
        ("TUNEBOOK_RAY_LABELS", "gpu='open", "No closing quotation"),
    ],
)
def test_a_wrong_option_for_ray_is_named(variable: str, text: str, said: str) -> None:
    told = {"TUNEBOOK_LAUNCHER": "ray", "TUNEBOOK_RAY_ADDRESS": "http://head:8265", variable: text}
    with pytest.raises(WrongEngineOption, match=said):
        read(told)


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
