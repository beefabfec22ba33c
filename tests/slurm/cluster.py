"""A SLURM cluster of four nodes on this machine: munged, slurmctld and slurmd, by hand, as root.

All its files are in one folder of its own, all its ports are free ones, and everything that it has
started carries a mark in its environment, by which `stop` finds it again. Nothing outside is
touched, a SLURM that the machine belongs to included.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil

NODES = 4
DAEMONS = ("munged", "slurmctld", "slurmd")
OVER = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL"}
"""States that a job does not leave by itself."""
_MARK = "IST_TEST_CLUSTER"
_PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"

# proctrack/linuxproc: there may be no control groups to write to. cred_expire: a job that is queued
# again waits for that long. MinJobAge: else a task of an array that takes more than five minutes
# is forgotten before the last one is over. Scheduling every second, since tests wait for it.
_CONFIGURATION = """
ClusterName=ist
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdSpoolDir={folder}/spool-%n
TmpFS={folder}/tmp-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SlurmdParameters=config_overrides
KillOnBadExit=1
ReturnToService=2
MessageTimeout=60
MinJobAge=86400
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobs.txt
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{nodes}
PartitionName=usual Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=9
"""


def obstacle() -> str:
    """Why no cluster can be started here; empty if one can."""
    if os.geteuid() != 0:
        return "not root"
    missing = [name for name in (*DAEMONS, "sbatch") if shutil.which(name, path=_PATH) is None]
    return f"no {', '.join(missing)}: install slurm-wlm and munge" if missing else ""


class Cluster:
    """The cluster; `environment` is what a user's shell has on it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ist-slurm-", dir="/tmp"))  # a short path
        scratch = self.folder / "scratch"
        scratch.mkdir()
        foreign = ("SLURM", "SBATCH", "SRUN", "PMI", "IST_")
        usual = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        usual.pop("NUMBA_CACHE_DIR", None)
        self.environment = usual | {
            "PATH": _PATH,
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "TMPDIR": str(scratch),
            _MARK: uuid.uuid4().hex,
        }
        self._daemons: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start the daemons and wait until all nodes are idle."""
        folder, host = self.folder, socket.gethostname().partition(".")[0]
        key = folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        port, *ports = _free_ports(NODES + 1)
        nodes = [
            f"NodeName=node{i} NodeAddr=127.0.0.1 NodeHostname={host} Port={number} CPUs=2"
            for i, number in enumerate(ports, start=1)
        ]
        text = _CONFIGURATION.format(host=host, port=port, folder=folder, nodes="\n".join(nodes))
        (folder / "slurm.conf").write_text(text)
        (folder / "state").mkdir()
        every = range(1, NODES + 1)
        for i in every:
            (folder / f"tmp-node{i}").mkdir()
            (folder / f"spool-node{i}").mkdir()
        names = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munged.pid"}
        names |= {"log-file": "munged.log", "seed-file": "munged.seed"}
        options = [f"--{option}={folder / name}" for option, name in names.items()]
        self._daemon("munged", "--foreground", "--force", *options)
        until("munged", lambda: (folder / "munge.socket").exists(), 120)
        self._daemon("slurmctld", "-D", "-c")
        for i in every:
            self._daemon("slurmd", "-D", "-N", f"node{i}")
        until("the nodes", lambda: self.nodes() == {f"node{i} idle" for i in every}, 240)

    def _daemon(self, *words: str) -> None:
        with (self.folder / f"{words[0]}.out").open("ab") as out:
            self._daemons.append(
                subprocess.Popen(
                    words,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                )
            )

    def stop(self) -> None:
        """End everything that belongs to the cluster, and remove its files."""
        self.do("scancel", "--full", "--user=root", check=False)
        deadline = time.monotonic() + 20
        while self.queue() and time.monotonic() < deadline:
            time.sleep(0.2)
        for daemon in self._daemons[1:]:  # they still need munged
            daemon.terminate()
        deadline = time.monotonic() + 5
        while any(d.poll() is None for d in self._daemons[1:]) and time.monotonic() < deadline:
            time.sleep(0.1)
        while members := self.processes():
            for process in members:
                try:
                    process.send_signal(signal.SIGKILL)
                except psutil.Error:
                    continue
            time.sleep(0.05)
        for daemon in self._daemons:
            daemon.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def processes(self, words: str = "") -> list[psutil.Process]:
        """The processes that belong to the cluster, with these words in their command line."""
        found = []
        for process in psutil.process_iter():
            try:
                mine = process.environ().get(_MARK) == self.environment[_MARK]
                if process.name() == "slurmstepd":  # writes its title over its environment
                    mine = any(str(self.folder) in file.path for file in process.open_files())
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    found += [process] if words in " ".join(process.cmdline()) else []
            except psutil.Error:
                continue
        return found

    def do(
        self, *words: str, folder: Path | None = None, check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """A command as a user of the cluster types it."""
        done = subprocess.run(
            words,
            env=self.environment | environment,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert not check or done.returncode == 0, f"{words}: {done.stderr}{done.stdout}"
        return done

    def nodes(self) -> set[str]:
        """The state of every node: ``node1 idle`` and so on."""
        return set(self.do("sinfo", "-hNo", "%N %T", check=False).stdout.splitlines())

    def words(self) -> str:
        """What the daemons said last."""
        logs = [*self.folder.glob("*.out"), *self.folder.glob("*.log")]
        return "\n".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in logs)

    def queue(self) -> list[str]:
        """The jobs that are waiting or running."""
        return self.do("squeue", "-ho", "%i", check=False).stdout.split()

    def show(self, job: str) -> dict[str, str]:
        """What SLURM says of a job."""
        words = self.do("scontrol", "-o", "show", "job", job).stdout.split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def wait(self, job: str, seconds: float = 600) -> dict[str, str]:
        """What SLURM says of a job once it is over."""
        until(f"job {job}", lambda: self.show(job)["JobState"] in OVER, seconds)
        return self.show(job)


def until(what: str, condition: Callable[[], bool], seconds: float) -> None:
    """Wait for a condition; a failure if it does not come true within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what} in vain"
        time.sleep(0.1)


def _bind(each: socket.socket) -> None:
    """To a port that no connection out of this machine is given: those have the higher numbers."""
    while True:
        try:
            return each.bind(("127.0.0.1", random.randrange(15000, 32000)))
        except OSError:
            continue


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            _bind(each)
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
