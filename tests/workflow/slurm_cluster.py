"""A SLURM of one node on this machine, of Debian's slurm-wlm and munge, without accounting."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CONF = Path("/etc/slurm/slurm.conf")  # Snakemake's plug-in leaves SLURM_CONF out of what jobs get
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel")


def why_not() -> str:
    """Say why a cluster cannot be started here; empty: it can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} is not installed; apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "a SLURM for the tests is started by root only"
    return f"{CONF} is there already: a SLURM of this machine" if CONF.exists() else ""


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """Start it, and end it."""
    host = socket.gethostname().split(".")[0]
    folder.mkdir(mode=0o755, parents=True)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    munge = folder / "munge.socket"
    ports = _free_ports(2)
    CONF.parent.mkdir(exist_ok=True)
    CONF.write_text(
        f"""ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={munge}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1
KillWait=2
OverTimeLimit=0
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=64000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
    )
    processes = []
    try:
        for name in ("state", "spool"):
            (folder / name).mkdir()
        for command in (
            ["munged", "--foreground", "--force", f"--socket={munge}", f"--key-file={key}",
             f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log",
             f"--seed-file={folder}/munge.seed"],
            ["slurmctld", "-D", "-i"],
            ["slurmd", "-D", "-N", host],
        ):  # fmt: skip
            with open(folder / f"{command[0]}.out", "w") as out:
                processes.append(subprocess.Popen(command, stdout=out, stderr=out))
            time.sleep(0.5)
        _wait_until_idle(folder)
        yield
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
        CONF.unlink()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _wait_until_idle(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        done = subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True)
        if done.stdout.strip() in ("idle", "mixed"):
            return
        time.sleep(0.2)
    logs = "".join(f"{path.name}:\n{path.read_text()}" for path in folder.glob("*.out"))
    pytest.skip(f"SLURM does not start on this machine:\n{logs[-4000:]}")
