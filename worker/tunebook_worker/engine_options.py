"""What a worker whose trials run in a cluster is told besides."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from tunebook_worker import kubernetes_options, ray_options
from tunebook_worker.kubernetes_options import KubernetesOptions
from tunebook_worker.ray_options import RayOptions, WrongRayOption

LAUNCHERS = ("local", "slurm", "kubernetes", "ray")
GPUS_MOST, CPUS_MOST = 64, 4096
OURS = frozenset({"wrap", "array", "job-name", "output", "error", "parsable", "ntasks", "export", "input"})
_OPTION = re.compile(r"--([a-z][a-z0-9-]*)(=[^\x00-\x1f]*)?")
_LABEL = re.compile(r"(?P<key>[A-Za-z0-9_.-]{1,64})=(?P<value>[A-Za-z0-9_.-]{1,64}):(?P<option>.+)")


class WrongEngineOption(Exception):
    """The message names the variable and says what would be right."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    launcher: str
    poll_seconds: float
    gpus: int
    """The most that one job may ask for."""
    cpus: int
    slurm_options: tuple[str, ...]
    slurm_labels: Mapping[tuple[str, str], str]
    """A label that the worker offers, and the option that finds such nodes."""
    kubernetes: KubernetesOptions | None = None
    ray: RayOptions | None = None

    @property
    def labels(self) -> dict[str, str]:
        if self.kubernetes is not None:
            return dict(self.kubernetes.labels.keys())
        return dict(self.slurm_labels.keys() if self.ray is None else self.ray.labels.keys())


def read(environment: Mapping[str, str], *, launcher: str | None = None) -> EngineOptions | None:
    """None for a worker that trains on its own host. Raises WrongEngineOption."""
    chosen = launcher or environment.get("TUNEBOOK_LAUNCHER") or "local"
    if chosen not in LAUNCHERS:
        raise WrongEngineOption(f"--launcher {chosen}: one of {', '.join(LAUNCHERS)}.")
    if chosen == "local":
        return None
    return EngineOptions(
        launcher=chosen,
        poll_seconds=_seconds(environment, "TUNEBOOK_ENGINE_POLL_SECONDS", 5.0),
        gpus=_number(environment, "TUNEBOOK_ENGINE_GPUS", default=0, most=GPUS_MOST),
        cpus=_number(environment, "TUNEBOOK_ENGINE_CPUS", default=CPUS_MOST, most=CPUS_MOST),
        slurm_options=tuple(
            _options(environment.get("TUNEBOOK_SLURM_OPTIONS", ""), "TUNEBOOK_SLURM_OPTIONS")
        ),
        slurm_labels=_labels(environment.get("TUNEBOOK_SLURM_LABELS", "")),
        kubernetes=_kubernetes(environment) if chosen == "kubernetes" else None,
        ray=_ray(environment) if chosen == "ray" else None,
    )


def _kubernetes(environment: Mapping[str, str]) -> KubernetesOptions:
    start_seconds = _seconds(environment, "TUNEBOOK_KUBERNETES_START_SECONDS", 300.0)
    try:
        return kubernetes_options.read(environment, start_seconds=start_seconds)
    except ValueError as error:
        raise WrongEngineOption(str(error)) from None


def _ray(environment: Mapping[str, str]) -> RayOptions:
    try:
        return ray_options.read(environment)
    except WrongRayOption as error:
        raise WrongEngineOption(str(error)) from None


def _options(text: str, variable: str) -> list[str]:
    """Words as a shell would cut them, but none is ever given to one."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise WrongEngineOption(f"{variable}: {error}.") from None
    for word in words:
        found = _OPTION.fullmatch(word)
        if found is None:
            raise WrongEngineOption(f"{variable}: {word!r}: options of sbatch as --name or --name=value.")
        if found[1] in OURS:
            raise WrongEngineOption(f"{variable}: --{found[1]} is set by Tunebook itself.")
    return words


def _labels(text: str) -> dict[tuple[str, str], str]:
    labels: dict[tuple[str, str], str] = {}
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise WrongEngineOption(f"TUNEBOOK_SLURM_LABELS: {error}.") from None
    for word in words:
        found = _LABEL.fullmatch(word)
        if found is None:
            raise WrongEngineOption(f"TUNEBOOK_SLURM_LABELS: {word!r}: key=value:--option=value.")
        if found["key"] in dict(labels.keys()):
            raise WrongEngineOption(
                f"TUNEBOOK_SLURM_LABELS: {found['key']} twice; a worker has one value of each."
            )
        (labels[found["key"], found["value"]],) = _options(found["option"], "TUNEBOOK_SLURM_LABELS")
    return labels


def _number(environment: Mapping[str, str], variable: str, *, default: int, most: int) -> int:
    text = environment.get(variable, "") or str(default)
    if not text.isdecimal() or int(text) > most:
        raise WrongEngineOption(f"{variable}={text}: a whole number from 0 to {most}.")
    return int(text)


def _seconds(environment: Mapping[str, str], variable: str, default: float) -> float:
    text = environment.get(variable, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if not 0 < value <= 3600:
        raise WrongEngineOption(f"{variable}={text}: seconds, more than 0 and at most an hour.")
    return value
