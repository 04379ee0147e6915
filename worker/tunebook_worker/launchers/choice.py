"""Which launcher a worker has, by its options."""

from collections.abc import Callable

from tunebook_worker.launchers.engine import Engine
from tunebook_worker.launchers.launcher import Launcher
from tunebook_worker.launchers.local import LocalLauncher
from tunebook_worker.launchers.placed import EngineLauncher
from tunebook_worker.launchers.slurm import Slurm
from tunebook_worker.options import Options


def launcher(options: Options, *, changed: Callable[[], None]) -> Launcher:
    if options.engine is None:
        return LocalLauncher(changed)
    return EngineLauncher(
        _engine(options),
        jobs_folder=options.jobs_folder,
        poll_seconds=options.engine.poll_seconds,
        default_gpus=min(1, options.engine.gpus),
        changed=changed,
    )


def _engine(options: Options) -> Engine:
    assert options.engine is not None
    return Slurm(
        folder=options.own_folder, options=options.engine.slurm_options, labels=options.engine.slurm_labels
    )
