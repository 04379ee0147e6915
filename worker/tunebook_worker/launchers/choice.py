"""Which launcher a worker has, by its options."""

from collections.abc import Callable, Mapping

from tunebook_worker.launchers.engine import Engine
from tunebook_worker.launchers.kubernetes import Kubernetes
from tunebook_worker.launchers.launcher import Launcher
from tunebook_worker.launchers.local import LocalLauncher
from tunebook_worker.launchers.placed import EngineLauncher
from tunebook_worker.launchers.ray import Ray
from tunebook_worker.launchers.slurm import Slurm
from tunebook_worker.options import Options


def launcher(options: Options, *, changed: Callable[[], None]) -> Launcher:
    """Raises WrongConfiguration where the engine's own cannot be used."""
    if options.engine is None:
        return LocalLauncher(changed)
    return EngineLauncher(
        ENGINES[options.engine.launcher](options),
        jobs_folder=options.jobs_folder,
        poll_seconds=options.engine.poll_seconds,
        default_gpus=min(1, options.engine.gpus),
        changed=changed,
    )


def _slurm(options: Options) -> Engine:
    """By Slurm's commands: no library."""
    engine = options.engine
    assert engine is not None
    return Slurm(folder=options.own_folder, options=engine.slurm_options, labels=engine.slurm_labels)


def _kubernetes(options: Options) -> Engine:
    """By the package `kubernetes`, which is imported when this is called."""
    assert options.engine is not None
    assert options.engine.kubernetes is not None
    return Kubernetes(options=options.engine.kubernetes, data=options.folder, worker=options.name)


def _ray(options: Options) -> Engine:
    """By Ray's HTTP interface: no library."""
    assert options.engine is not None
    assert options.engine.ray is not None
    return Ray(options.engine.ray, grace_seconds=options.grace_seconds)


ENGINES: Mapping[str, Callable[[Options], Engine]] = {
    "slurm": _slurm,
    "kubernetes": _kubernetes,
    "ray": _ray,
}
