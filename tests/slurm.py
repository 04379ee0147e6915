"""A Slurm cluster of one node for tests: real slurmctld, slurmd and munged, on ports of their own."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.live import free_port, until

NEEDED = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scancel", "scontrol")
CONFIGURATION = """\
ClusterName=tunebook
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,sched_min_interval=100000,bf_interval=1
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=10
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=1000 Gres=gpu:2 Feature=fast State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=60 State=UP
"""


def why_not() -> str:
    """Empty where a cluster can be started."""
    missing = [name for name in NEEDED if shutil.which(name, path=_path()) is None]
    if missing:
        return f"needs {', '.join(missing)} (slurm-wlm, munge)"
    return "" if os.getuid() == 0 else "slurmd needs root"


def _path() -> str:
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


class Cluster:
    def __init__(self, folder: Path, *, cpus: int = 4) -> None:
        self.folder = folder
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        self._cpus = cpus
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                host=socket.gethostname(),
                folder=self.folder,
                controller_port=free_port(),
                node_port=free_port(),
                cpus=self._cpus,
            )
        )
        (self.folder / "gres.conf").write_text("Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n")
        files = {
            "socket": "munge.socket",
            "key-file": key.name,
            "pid-file": "munged.pid",
            "seed-file": "seed",
        }
        flags = [f"--{flag}={self.folder / name}" for flag, name in files.items()]
        self._run("munged", "--foreground", "--force", *flags, f"--log-file={self.folder / 'munged.log'}")
        until((self.folder / "munge.socket").exists, "munged listens")
        self.start_controller()
        self._run("slurmd", "-D", "-N", socket.gethostname())
        until(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%t"), "the node is idle")

    def start_controller(self) -> None:
        self._run("slurmctld", "-D")

    def stop_controller(self) -> None:
        """It has saved its state when this returns."""
        controller = self._daemons.pop("slurmctld")
        controller.terminate()
        controller.wait(20)

    def forget_all(self) -> None:
        """A controller whose state is lost."""
        self.stop_controller()
        shutil.rmtree(self.folder / "state")
        (self.folder / "state").mkdir()
        self.start_controller()

    def stop(self) -> None:
        self.ask("scancel", "--me")
        until(lambda: not self.ask("squeue", "--noheader"), "no job is left")
        for daemon in reversed(self._daemons.values()):
            daemon.send_signal(signal.SIGTERM)
        for daemon in self._daemons.values():
            daemon.wait(20)

    def ask(self, *argv: str) -> str:
        environment = {**os.environ, **self.environment}
        return subprocess.run(
            argv, env=environment, capture_output=True, text=True, check=False
        ).stdout.strip()

    def jobs(self, states: Sequence[str] = ("RUNNING",)) -> list[str]:
        """Their ids."""
        return self.ask("squeue", "--noheader", f"--states={','.join(states)}", "--format=%i").split()

    def _run(self, name: str, *arguments: str) -> None:
        program = shutil.which(name, path=_path())
        assert program is not None
        with (self.folder / f"{name}.out").open("ab") as output:
            self._daemons[name] = subprocess.Popen(
                [program, *arguments],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
