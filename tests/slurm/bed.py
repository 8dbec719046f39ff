"""A real Slurm of two nodes on one machine: munged, slurmctld, and a slurmd a node.

    bed.py [COMMAND...]      starts a bed, runs the command (a shell) in it as an ordinary user, ends the bed

node1 has CPUs only; node2 has what passes for a GPU: Slurm is told of one, and OpenCL is seen there alone.

Every node has its own name spaces of mounts, network, host name and processes, and all of them lie in name spaces
of the bed, so that nothing outside is changed: no interface, no user, no service, no control group. One folder below
/var/tmp is seen by all nodes and plays the network file system. Whatever ends the program ends the bed: its processes
die with their first one, that one with this program, and a folder that was left goes when the next bed starts.

Wanted: root, and slurmctld, slurmd, slurm-client, munge, iproute2, util-linux. Environment: DHATU, the program."""

import contextlib
import fcntl
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
BASE = "/var/tmp"
NAME = "dhatu-bed-"
NODES = ("node1", "node2")
USER = "bed"
SKIPPED = 77
START = 60  # seconds
OLD = 60  # seconds after which a folder without a lock belongs to nobody
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "ip", "unshare", "nsenter", "setpriv", "mpirun")

# Why each line: a requeued job is not to wait for the credential of its first start (cred_expire), nor a job for the
# scheduler (SchedulerParameters); heterogeneous jobs are started by the backfill scheduler alone. The CPUs, the memory
# and the GPU of the nodes are made up (config_overrides). node1 is taken first (Weight): else a heterogeneous job's first
# component would be given the GPU's node, which its second one needs, and the job would wait for ever.
CONFIGURATION = """\
ClusterName=bed
SlurmctldHost=control
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
SlurmctldDebug=info
SlurmdDebug=info
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
MpiDefault=pmix
ReturnToService=2
JobRequeue=1
KillWait=5
MinJobAge=1800
SlurmdTimeout=15
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
DefMemPerCPU=1000
NodeName=node1 CPUs=32 RealMemory=200000 Weight=1 State=UNKNOWN
NodeName=node2 CPUs=32 RealMemory=200000 Weight=2 Gres=gpu:h100:1 State=UNKNOWN
PartitionName=main Nodes={nodes} Default=YES PriorityTier=1 PreemptMode=OFF MaxTime=INFINITE
PartitionName=low Nodes={nodes} PriorityTier=1 PreemptMode=REQUEUE GraceTime=5 MaxTime=INFINITE
PartitionName=low-at-once Nodes={nodes} PriorityTier=1 PreemptMode=REQUEUE GraceTime=0 MaxTime=INFINITE
PartitionName=urgent Nodes={nodes} PriorityTier=10 PreemptMode=OFF MaxTime=INFINITE
"""


class BedError(Exception):
    pass


def missing():
    """Why no bed can be made here; "" if one can."""
    if os.geteuid() != 0:
        return "a bed of Slurm needs root"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return "not installed: " + ", ".join(absent)
    try:
        pwd.getpwnam("munge")
    except KeyError:
        return "there is no user munge"
    probe = subprocess.run(["unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "true"],
                           capture_output=True, text=True, check=False)
    return f"no name spaces: {probe.stderr.strip()}" if probe.returncode != 0 else ""


def skip_or_fail(reason):
    """Ends the program: where CI=true a bed is wanted, elsewhere the test is skipped."""
    if os.environ.get("CI") == "true":
        print("failed: no bed of Slurm, and CI is not to skip it:", reason)
        sys.exit(1)
    print("skipped:", reason)
    sys.exit(SKIPPED)


def new_folder():
    """(a folder for a bed, the lock that tells others that the bed lives)"""
    while True:
        folder = tempfile.mkdtemp(prefix=NAME, dir=BASE)
        lock = os.open(f"{folder}/lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(f"{folder}/lock"):
            return folder, lock
        os.close(lock)  # another start took it for dead before it was locked, and removed it


def remove_dead():
    """The folders that dead beds left."""
    for name in os.listdir(BASE):
        path = f"{BASE}/{name}"
        if not name.startswith(NAME) or os.path.islink(path):
            continue
        with contextlib.suppress(FileNotFoundError):  # another start is as far as this one
            if not os.path.exists(f"{path}/lock"):
                if time.time() - os.stat(path).st_mtime > OLD:
                    shutil.rmtree(path)
                continue
            lock = os.open(f"{path}/lock", os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
            except BlockingIOError:
                pass  # it lives
            finally:
                os.close(lock)


def free_id():
    """A number that is no user's and no group's."""
    used = {int(line.split(":")[2]) for path in ("/etc/passwd", "/etc/group") for line in open(path, encoding="utf-8")
            if line.count(":") >= 3}
    return next(number for number in range(61000, 62000) if number not in used)


class Bed:
    """Use it as a context; start it from the main thread: the bed dies with the thread that starts it."""

    def __init__(self, program=None):
        self.program = program or os.environ.get("DHATU", "")
        self.folder, self.lock, self.process, self.control = None, None, None, None
        self.user = free_id()

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *unused):
        self.stop()

    # ---- start and stop ------------------------------------------------------------------------------------------

    def start(self):
        remove_dead()
        self.folder, self.lock = new_folder()
        os.chmod(self.folder, 0o755)
        self._write_files()
        self._install()
        with open(f"{self.folder}/log/control", "wb") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork",
                 "--kill-child", f"{HERE}/control.sh", self.folder, *NODES],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        self._wait(lambda: os.path.exists(f"{self.folder}/run/started"), "name spaces and daemons")
        with open(f"{self.folder}/run/control.pid", encoding="ascii") as file:
            self.control = int(file.read())
        self._wait(self._all_idle, "nodes")

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self._wait_gone()
            self.process = None
        if self.folder is not None:
            shutil.rmtree(self.folder)
            os.close(self.lock)
            self.folder = None

    def _wait_gone(self):
        """The kernel ends the name space's processes after its first one: what they write is to be over."""
        end = time.monotonic() + START
        while self.control is not None and os.path.exists(f"/proc/{self.control}") and time.monotonic() < end:
            time.sleep(0.02)

    def _wait(self, condition, what):
        end = time.monotonic() + START
        while not condition():
            if self.process.poll() is not None:
                raise BedError(f"the bed ended while it waited for its {what}\n{self.logs()}")
            if time.monotonic() > end:
                raise BedError(f"the bed's {what} did not come in {START} s\n{self.logs()}")
            time.sleep(0.05)

    def _all_idle(self):
        return self.node_states() == {node: "idle" for node in NODES}

    def _write_files(self):
        folder = self.folder
        for name in ("munge", "run", "log", "state", "home", "work"):
            os.mkdir(f"{folder}/{name}")
        for name in ("home", "work"):
            os.chown(f"{folder}/{name}", self.user, self.user)
        os.chmod(f"{folder}/munge", 0o755)
        with open(os.open(f"{folder}/munge/key", os.O_WRONLY | os.O_CREAT, 0o400), "wb") as file:
            file.write(secrets.token_bytes(128))
        addresses = "".join(f"10.213.7.{i + 2} {node}\n" for i, node in enumerate(NODES))
        self._write("hosts", "127.0.0.1 localhost\n10.213.7.1 control\n" + addresses)
        for name, entry in (("passwd", f"{USER}:x:{self.user}:{self.user}::{folder}/home:/bin/bash\n"),
                            ("group", f"{USER}:x:{self.user}:\n")):
            with open(f"/etc/{name}", encoding="utf-8") as file:
                self._write(name, file.read() + entry)
        nodes = ",".join(NODES)
        self._write("slurm.conf", CONFIGURATION.format(folder=folder, nodes=nodes))
        self._write("cgroup.conf", "CgroupPlugin=cgroup/v1\n")
        self._write("gres.conf", "AutoDetect=off\nNodeName=node2 Name=gpu Type=h100 File=/dev/zero\n")

    def _write(self, name, text):
        with open(f"{self.folder}/{name}", "w", encoding="utf-8") as file:
            file.write(text)

    def _install(self):
        """The program, its data and the job scripts as `cmake --install` places them."""
        prefix = f"{self.folder}/prefix"
        os.makedirs(f"{prefix}/bin")
        if self.program:
            shutil.copy2(self.program, f"{prefix}/bin/dhatu")
        shutil.copytree(f"{SOURCE}/data/lexicon", f"{prefix}/share/dhatu/lexicon")
        if os.path.isdir(f"{SOURCE}/slurm"):
            shutil.copytree(f"{SOURCE}/slurm", f"{prefix}/share/dhatu/slurm")

    # ---- commands ------------------------------------------------------------------------------------------------

    def environment(self):
        """Of a user who has logged in to the bed."""
        return {
            "PATH": f"{self.folder}/prefix/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME": f"{self.folder}/home", "USER": USER, "LOGNAME": USER, "SHELL": "/bin/bash", "LC_ALL": "C.UTF-8",
            "SLURM_CONF": f"{self.folder}/slurm.conf",
            "HWLOC_COMPONENTS": "-opencl",  # PoCL's plug-in takes mpirun's signals away
            "OMPI_MCA_btl_tcp_if_include": "eth0", "OMPI_MCA_oob_tcp_if_include": "eth0",
            # Debian's own settings leave no component of one-sided communication that works between nodes over TCP.
            "OMPI_MCA_osc": "^ucx",
            "OMPI_MCA_mpi_yield_when_idle": "1",  # there are more ranks than cores
            "OMPI_MCA_btl_base_warn_component_unused": "0",
        }

    def command(self, command, environment=None, folder=None, root=False):
        """What runs a command on the bed's login node."""
        variables = {**self.environment(), **(environment or {})}
        who = [] if root else ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"]
        return ["nsenter", f"--target={self.control}", "--mount", "--net", "--uts", "--ipc", "--pid", *who,
                "env", "-i", f"--chdir={folder or self.folder + '/work'}", *(f"{k}={v}" for k, v in variables.items()),
                *map(str, command)]

    def run(self, command, limit=30, **options):
        """(exit code, standard output, standard error) of a command on the login node."""
        done = subprocess.run(self.command(command, **options), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", timeout=limit, check=False)
        return done.returncode, done.stdout, done.stderr

    def out(self, command, **options):
        code, out, err = self.run(command, **options)
        if code != 0:
            raise BedError(f"{' '.join(map(str, command))}: exit code {code}: {err.strip()}")
        return out

    def node_states(self):
        code, out, _ = self.run(["sinfo", "--noheader", "--Node", "--partition=main", "--format=%N %T"], root=True)
        return dict(line.split() for line in out.splitlines()) if code == 0 else {}

    def lose(self, node):
        """The node is gone: slurmd, the jobs' processes, the network."""
        with open(f"{self.folder}/run/{node}.pid", encoding="ascii") as file:
            first = file.read().strip()
        self.out(["kill", "-KILL", first], root=True)

    def bring_back(self, node):
        """A node that Slurm knows to be lost is started again."""
        with open(f"{self.folder}/run/again", "w", encoding="ascii") as file:
            file.write(f"{node}\n")
        self._wait(lambda: self.node_states().get(node) in ("idle", "mixed", "allocated"), node)

    def prefer(self, node):
        """Jobs that fit on each node go there."""
        for other in NODES:
            self.out(["scontrol", "update", f"NodeName={other}", f"Weight={1 if other == node else 2}"], root=True)

    # ---- jobs ----------------------------------------------------------------------------------------------------

    def submit(self, arguments, **options):
        """The number of the new job."""
        answer = self.out(["sbatch", "--parsable", *arguments], **options)
        return int(re.match(r"\d+", answer).group(0))

    def job(self, number):
        """What scontrol says of it, by name; {} if nothing."""
        code, out, _ = self.run(["scontrol", "show", "job", "--oneliner", number])
        return dict(re.findall(r"(\S+?)=(\S*)", out.splitlines()[0])) if code == 0 and out.strip() else {}

    # ---- what to show of a failure -------------------------------------------------------------------------------

    def logs(self, lines=25):
        """The queue, and the ends of the daemons' logs."""
        parts = []
        if self.control is not None and self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                parts.append("squeue:\n" + self.run(["squeue", "--all", "--states=all"], root=True)[1])
        for name in ("control", "slurmctld", *(f"node-{node}" for node in NODES), *(f"slurmd-{node}" for node in NODES)):
            path = f"{self.folder}/log/{name}"
            if os.path.exists(path) and os.path.getsize(path) > 0:
                with open(path, encoding="utf-8", errors="replace") as file:
                    parts.append(f"{name}:\n" + "".join(file.readlines()[-lines:]))
        return "\n".join(parts)


def leave_on_signals():
    """SIGTERM and SIGHUP end the program as SIGINT does, so that the bed is taken down."""
    def leave(number, frame):
        raise KeyboardInterrupt(signal.Signals(number).name)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, leave)


def main():
    reason = missing()
    if reason:
        skip_or_fail(reason)
    leave_on_signals()
    began = time.monotonic()
    try:
        with Bed() as bed:
            print(f"bed: {bed.folder}, ready after {time.monotonic() - began:.1f} s", file=sys.stderr)
            return subprocess.run(bed.command(sys.argv[1:] or ["bash"], folder=f"{bed.folder}/work"), check=False).returncode
    except KeyboardInterrupt as error:
        print(f"bed.py: ended by {error}", file=sys.stderr)
        return 128 + signal.SIGINT
    except BedError as error:
        print(f"bed.py: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
