"""The lives of a job under Slurm: every one ends with the bytes of an undisturbed run, or as it is meant to.

    jobs.py [PROGRAM] [CASE...]

The job scripts of slurm/ run on a bed of two nodes (bed.py). Cases run side by side: their runs are slowed by
DHATU_FAULT, so that they wait more than they compute. Those that lose a node come last and lose the same one at once."""

import concurrent.futures
import glob
import os
import re
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "mpi"))

import support  # noqa: E402

import bed as slurm  # noqa: E402

SPILL_WRITE = "call=write,path=ckpt/spill"
OPTIONS = (*support.JOBS, "--segment-size", "64K", "--commit-interval", "1")
SIDE_BY_SIDE = 10
LOST = "node2"  # not where the batch script of a job of two nodes runs
LIMIT = 120  # seconds for a job to end
OVER = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE")
LOG_LINES = 40  # of each job's log, to show of a failure
JOURNAL_HEADER, JOURNAL_ENTRY = 64, 128  # bytes


class Failed(Exception):
    pass


class Suite:
    """The bed, a corpus, and what an undisturbed run makes of it."""

    def __init__(self, bed):
        self.bed, self.ending, self.has_opencl = bed, threading.Event(), support.opencl_devices() > 0
        self.corpus = support.small_corpus(f"{bed.folder}/work/corpus")
        output = f"{bed.folder}/work/undisturbed.h5"
        outcome = support.run(["run", *OPTIONS, "-o", output, self.corpus], limit=60, env={
            "DHATU_FAULT": f"{SPILL_WRITE},sleep=1,at=1000000;count={output}.calls"})
        if outcome.code != 0:
            raise slurm.BedError("an undisturbed run fails: " + outcome.tail())
        self.wanted = support.prints(output)
        report = support.run_report(output)
        self.documents = report["documents"]
        with open(f"{output}.calls-0", encoding="utf-8") as file:
            self.spill_writes = int(re.search(r"matched (\d+)", file.read()).group(1))
        self.loss = None
        self.alone = {node: threading.Lock() for node in slurm.NODES}  # whose job is to be preempted there


class Loss:
    """Cases lose a node together, as soon as each of them is ready for it or over. It stays lost until all have settled."""

    def __init__(self, bed, cases):
        self.bed, self.changed, self.lost = bed, threading.Condition(), False
        self.left = {"ready": set(cases), "settled": set(cases)}

    def reach(self, name, *stages):
        with self.changed:
            for stage in stages:
                self.left[stage].discard(name)
            self.changed.notify_all()

    def all_are(self, stage):
        with self.changed:
            if not self.changed.wait_for(lambda: not self.left[stage], LIMIT):
                raise Failed(f"other cases are not {stage}: " + " ".join(sorted(self.left[stage])))

    def lose(self, name):
        self.reach(name, "ready")
        self.all_are("ready")
        with self.changed:
            if not self.lost:
                self.lost = True
                self.bed.lose(LOST)
                self.bed.prefer(next(node for node in slurm.NODES if node != LOST))


class Case:
    """A folder for the result, the checkpoint and the logs of one or more jobs."""

    def __init__(self, suite, name):
        self.suite, self.bed, self.name = suite, suite.bed, name
        self.folder = f"{suite.bed.folder}/work/{name}"
        os.mkdir(self.folder)
        os.chown(self.folder, self.bed.user, self.bed.user)
        self.output = f"{self.folder}/out.h5"
        self.checkpoint = f"{self.output}.ckpt"
        self.notes = []

    def note(self, text):
        self.notes.append(text)

    # ---- jobs ----------------------------------------------------------------------------------------------------

    def submit(self, options=(), run=(), seconds=0, ranks=2, script="dhatu.sbatch", environment=None):
        """seconds: what the spills alone are to take, the ranks together."""
        variables = dict(environment or {})
        if seconds:
            pause = max(1, round(seconds * ranks * 1000 / self.suite.spill_writes))
            variables["DHATU_FAULT"] = f"{SPILL_WRITE},sleep={pause},persist"
        number = self.bed.submit(
            ["--time=10", "--mem-per-cpu=500M", *options, f"{self.bed.folder}/prefix/share/dhatu/slurm/{script}", *OPTIONS, *run, "-o", self.output,
             self.suite.corpus], environment=variables, folder=self.folder)
        return number

    def wait(self, condition, what, limit=LIMIT):
        end = time.monotonic() + limit
        while True:
            found = condition()
            if found:
                return found
            if self.suite.ending.is_set():
                raise Failed(f"ended while it waited for {what}")
            if time.monotonic() > end:
                raise Failed(f"{what}: not in {limit} s")
            time.sleep(0.3)

    def over(self, number, limit=LIMIT):
        """What Slurm says of the job when it has ended and stays so."""
        def ended():
            job = self.bed.job(number)
            return job if job.get("JobState") in OVER else None
        self.wait(ended, f"the end of job {number}", limit)
        time.sleep(0.5)
        return self.wait(ended, f"the end of job {number}", limit)

    def committed(self, more_than=0):
        """Waits until segments are durable."""
        def entries():
            return sum((os.path.getsize(path) - JOURNAL_HEADER) // JOURNAL_ENTRY
                       for path in glob.glob(f"{self.checkpoint}/journal-*"))
        self.wait(lambda: entries() > more_than, "segments in the checkpoint folder", 60)

    def log(self, lines=None):
        """What the jobs said; of each the last lines."""
        return "".join(f"--- {os.path.basename(path)}\n" + "".join(read(path).splitlines(True)[-lines if lines else None:])
                       for path in sorted(glob.glob(f"{self.folder}/*.log")))

    def lose(self, goes_on=None, restarts="1"):
        """goes_on: the job that is to run on another node before the lost one comes back."""
        self.suite.loss.lose(self.name)
        if goes_on is not None:
            def runs():
                job = self.bed.job(goes_on)
                return job["Restarts"] == restarts and job["JobState"] != "PENDING"
            self.wait(runs, f"another start of job {goes_on}", 60)
            self.suite.loss.reach(self.name, "settled")

    # ---- checks --------------------------------------------------------------------------------------------------

    def that(self, condition, message):
        if not condition:
            raise Failed(message)

    def equal(self, got, wanted, what):
        self.that(got == wanted, f"{what}: {got!r} instead of {wanted!r}")

    def whole(self):
        """The result is that of the undisturbed run, and nothing else is left."""
        self.equal(support.prints(self.output), self.suite.wanted, "the hashes of the result")
        self.that(not os.path.exists(self.checkpoint), "the checkpoint folder is still there")
        return support.run_report(self.output)

    def completed(self, number, restarts=None, limit=LIMIT):
        """The job ended with 0 and the result is whole. restarts: as many, or at least as many as (N, None)."""
        job = self.over(number, limit)
        self.equal((job["JobState"], job["ExitCode"]), ("COMPLETED", "0:0"), f"state and exit code of job {number}")
        report = self.whole()
        count = int(job["Restarts"])
        self.note(f"restarts {count}, recovered {report['recovered']['documents']} of {self.suite.documents} documents")
        if restarts is not None:
            least, most = restarts if isinstance(restarts, tuple) else (restarts, restarts)
            self.that(count >= least and (most is None or count <= most), f"{count} restarts instead of {restarts}")
        if count > 0:
            self.that(report["recovered"]["documents"] > 0, "nothing was recovered from the checkpoint")
        return report


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def hosts_of(report):
    return sorted({figures["host"] for figures in report["rank_figures"]})


def devices_of(report):
    """The host of each rank that has a device."""
    return [figures["host"] for figures in report["rank_figures"] if figures.get("device")]


TWO_NODES = ("--nodes=2", "--ntasks-per-node=2")
TWO_RANKS = ("--nodes=2", "--ntasks-per-node=1")
ONE_NODE = ("--nodes=1", "--ntasks-per-node=2")


# ---- undisturbed ---------------------------------------------------------------------------------------------------


def two_nodes(case, launcher):
    number = case.submit(TWO_NODES, environment={"DHATU_LAUNCHER": launcher})
    report = case.completed(number, restarts=0)
    case.equal(hosts_of(report), list(slurm.NODES), "hosts of the ranks")
    case.equal(len(report["rank_figures"]), 4, "ranks")


def gpu(case):
    """The GPU is made up: OpenCL on the CPU is the device."""
    number = case.submit(["--nodes=1", "--ntasks-per-node=3"], ["--backend", "opencl"], script="dhatu-gpu.sbatch")
    report = case.completed(number, restarts=0)
    case.equal((len(report["rank_figures"]), devices_of(report)), (3, ["node2"]), "ranks, and where those with a device are")


# ---- left as asked, and requeued -----------------------------------------------------------------------------------


def time_limit(case, launcher):
    """Slurm's smallest limit is a minute, and it looks every 30 s: the signal comes 0 to 30 s after the first start,
    and about 16 s after the later ones."""
    number = case.submit([*ONE_NODE, "--nodelist=node1", "--time=1", "--signal=B:USR1@45"], seconds=70,
                         environment={"DHATU_LAUNCHER": launcher})
    case.completed(number, restarts=(2, None), limit=210)


def asked(case, launcher):
    number = case.submit(TWO_RANKS, seconds=20, environment={"DHATU_LAUNCHER": launcher})
    case.committed()
    case.bed.out(["scancel", "--batch", "--signal=USR1", number])
    left_as_asked(case, number)


def left_as_asked(case, number):
    report = case.completed(number, restarts=1)
    case.that("signal USR1: dhatu is asked" in case.log(), "the log does not name the signal")
    case.that("75" in case.log(), "the log does not name exit code 75")
    return report


def cancelled(case, launcher):
    """It is not requeued; one that was submitted to follow it goes on."""
    by = {"DHATU_LAUNCHER": launcher}
    number = case.submit(TWO_RANKS, seconds=20, environment=by)
    again = case.submit([*TWO_RANKS, f"--dependency=afterany:{number}"], environment=by)
    case.committed()
    case.bed.out(["scancel", number])
    job = case.over(number, 30)
    case.equal((job["JobState"], job["Restarts"]), ("CANCELLED", "0"), "state and restarts of the cancelled job")
    report = case.completed(again, restarts=0)
    case.that(report["recovered"]["documents"] > 0, "the later job begins from the start")
    case.equal(case.bed.job(number)["JobState"], "CANCELLED", "the cancelled job, later")


def preempted(case, launcher, node, seconds=15, partition="low"):
    """Both want more than half of the node's memory. In GraceTime Slurm signals steps only, so that no rank of mpirun
    hears of it, and ends the job when it looks at limits, every 30 s: such a job must last longer."""
    with case.suite.alone[node]:
        number = case.submit([*ONE_NODE, f"--partition={partition}", "--mem-per-cpu=60000", f"--nodelist={node}"],
                             seconds=seconds, environment={"DHATU_LAUNCHER": launcher})
        case.committed()
        urgent = case.bed.submit(["--partition=urgent", "--mem=120000", f"--nodelist={node}", "--output=/dev/null",
                                  "--wrap=sleep 2"], folder=case.folder)
        case.wait(lambda: case.bed.job(urgent)["JobState"] == "COMPLETED", "the urgent job", 60)
        case.completed(number, restarts=1)


def requeued(case, launcher):
    number = case.submit(TWO_RANKS, seconds=15, environment={"DHATU_LAUNCHER": launcher})
    case.committed()
    case.bed.out(["scontrol", "requeue", number])
    case.completed(number, restarts=1)


def chain(case):
    """Each task leaves by itself; the next goes on; those behind the end have nothing to do."""
    number = case.submit([*TWO_RANKS, "--array=1-4%1"], ["--max-time", "10s"], seconds=6)
    jobs = [case.over(f"{number}_{i}") for i in range(1, 5)]
    case.note("exit codes " + " ".join(job["ExitCode"] for job in jobs))
    case.equal((jobs[0]["ExitCode"], jobs[-1]["ExitCode"]), ("75:0", "0:0"), "exit codes of the first and the last task")
    case.equal([job["Restarts"] for job in jobs], ["0"] * 4, "restarts of the tasks")
    case.that(case.whole()["recovered"]["documents"] > 0, "no task goes on with what is there")


def chain_end(case):
    """The last task has no successor: it is requeued, and it alone."""
    number = case.submit([*TWO_RANKS, "--array=1-2%1"], ["--max-time", "10s"], seconds=9)
    last = case.over(f"{number}_2")
    first = case.over(f"{number}_1")
    case.note(f"exit codes {first['ExitCode']} {last['ExitCode']}, restarts {first['Restarts']} {last['Restarts']}")
    case.equal((first["ExitCode"], first["Restarts"]), ("75:0", "0"), "exit code and restarts of the first task")
    case.equal(last["ExitCode"], "0:0", "exit code of the last task")
    case.that(int(last["Restarts"]) >= 1, "the last task was not requeued")
    case.that(case.whole()["recovered"]["documents"] > 0, "no task goes on with what is there")


def locked(case):
    first = case.submit(TWO_RANKS, seconds=15)
    case.committed()
    second = case.submit(TWO_RANKS)
    job = case.over(second, 60)
    case.equal((job["JobState"], job["ExitCode"], job["Restarts"]), ("FAILED", "69:0", "0"), "state, exit code, restarts")
    said = "".join(read(path) for path in glob.glob(f"{case.folder}/*{second}*.log"))
    case.that(re.search(rf"\b{first}\b", said), f"the second job's log does not name job {first}")
    case.completed(first, restarts=0)


def no_progress(case):
    """Every attempt dies before it has done anything."""
    number = case.submit(TWO_RANKS, environment={"DHATU_FAULT": "call=place,path=recovered,error=KILL", "DHATU_RESTART_LIMIT": "2"})
    job = case.over(number, 90)
    case.note(f"state {job['JobState']}, exit code {job['ExitCode']}, restarts {job['Restarts']}")
    case.that(job["JobState"] == "FAILED" and not job["ExitCode"].startswith("0:"), "the job did not fail")
    case.equal(job["Restarts"], "1", "restarts of two starts without progress")
    case.completed(case.submit(TWO_RANKS), restarts=0)


# ---- several kinds of nodes ------------------------------------------------------------------------------------------


def submit_heterogeneous(case, seconds=0):
    return case.submit(["--ntasks-per-node=2", ":", "--ntasks-per-node=2", "--mem-per-cpu=500M", "--time=10"],
                       ["--backend", "opencl"], seconds=seconds, ranks=4, script="dhatu-het.sbatch")


def on_both_kinds(case, report):
    case.equal(hosts_of(report), list(slurm.NODES), "hosts of the ranks")
    case.equal((len(report["rank_figures"]), devices_of(report)), (4, ["node2"]), "ranks, and where those with a device are")


def heterogeneous(case):
    """One run on a node without devices and on one that has what passes for a GPU."""
    on_both_kinds(case, case.completed(submit_heterogeneous(case), restarts=0))


def heterogeneous_asked(case):
    number = submit_heterogeneous(case, seconds=12)
    case.committed()
    case.bed.out(["scancel", "--batch", "--signal=USR1", number])
    on_both_kinds(case, left_as_asked(case, number))


# ---- a node is lost --------------------------------------------------------------------------------------------------


def submit_to_be_lost(case, options=(), **more):
    """On the node alone that is going to be lost."""
    number = case.submit([*ONE_NODE, *options], seconds=15, **more)
    case.committed()
    case.equal(case.bed.job(f"{number}_1" if options else number)["NodeList"], LOST, "the job's node")
    return number


def node_lost(case, launcher):
    """slurmd, the job's processes and the network of its node are gone at once."""
    number = submit_to_be_lost(case, environment={"DHATU_LAUNCHER": launcher})
    case.lose(number)
    report = case.completed(number, restarts=1)
    case.equal(hosts_of(report), ["node1"], "hosts of the ranks that finished")


def chain_lost(case):
    """The next task goes on while the one that lost its node waits to be started again; no task may fail."""
    number = submit_to_be_lost(case, ["--array=1-4%1"])
    case.lose(f"{number}_2", restarts="0")
    jobs = [case.over(f"{number}_{i}") for i in range(1, 5)]
    case.note("restarts " + " ".join(job["Restarts"] for job in jobs))
    case.equal([job["ExitCode"] for job in jobs], ["0:0"] * 4, "exit codes of the tasks")
    case.equal([job["Restarts"] for job in jobs], ["1", "0", "0", "0"], "restarts of the tasks")
    case.that(case.whole()["recovered"]["documents"] > 0, "no task goes on with what is there")


def other_node_lost(case):
    """The batch script's node lives; the job starts again when the lost one is back. What Slurm left there of the job's
    first start (slurmd's spool folder, as on a node with a disk) makes the first srun fail, so that the script's second
    try is needed, too."""
    number = case.submit(TWO_RANKS, seconds=12)
    case.committed()
    case.that(case.bed.job(number)["BatchHost"] != LOST, "the batch script runs on the node that is to be lost")
    case.lose()
    case.wait(lambda: case.bed.job(number)["Restarts"] == "1", "the requeue", 60)
    case.suite.loss.reach(case.name, "settled")
    case.suite.loss.all_are("settled")
    case.bed.bring_back(LOST)
    report = case.completed(number, restarts=1)
    case.equal(hosts_of(report), list(slurm.NODES), "hosts of the ranks that finished")


CASES = {
    "time-limit-srun": lambda case: time_limit(case, "srun"),
    "time-limit-mpirun": lambda case: time_limit(case, "mpirun"),
    "asked-srun": lambda case: asked(case, "srun"),
    "asked-mpirun": lambda case: asked(case, "mpirun"),
    "heterogeneous-asked": heterogeneous_asked,
    "preempted-srun": lambda case: preempted(case, "srun", "node2"),
    "preempted-mpirun": lambda case: preempted(case, "mpirun", "node1", seconds=50),
    "chain-end": chain_end,
    "two-nodes-srun": lambda case: two_nodes(case, "srun"),
    "two-nodes-mpirun": lambda case: two_nodes(case, "mpirun"),
    "no-progress": no_progress,
    "requeued-srun": lambda case: requeued(case, "srun"),
    "requeued-mpirun": lambda case: requeued(case, "mpirun"),
    "locked": locked,
    "chain": chain,
    "cancelled-srun": lambda case: cancelled(case, "srun"),
    "cancelled-mpirun": lambda case: cancelled(case, "mpirun"),
    "preempted-at-once": lambda case: preempted(case, "srun", "node2", partition="low-at-once"),
    "gpu": gpu,
    "heterogeneous": heterogeneous,
    "node-lost-srun": lambda case: node_lost(case, "srun"),
    "node-lost-mpirun": lambda case: node_lost(case, "mpirun"),
    "other-node-lost": other_node_lost,
    "chain-lost": chain_lost,
}
NEED_OPENCL = ("gpu", "heterogeneous", "heterogeneous-asked")
ON_OTHER_NODE = ("time-limit-srun", "time-limit-mpirun", "preempted-mpirun")  # they go on beside a loss
LOSING = ("node-lost-srun", "node-lost-mpirun", "other-node-lost", "chain-lost")


def attempt_case(suite, name, folder):
    """(the case, what is wrong or None)"""
    case = Case(suite, folder)
    try:
        CASES[name](case)
        return case, None
    except (Failed, slurm.BedError, KeyError, OSError) as error:
        return case, f"{type(error).__name__}: {error}"
    finally:
        if suite.loss is not None:
            suite.loss.reach(name, "ready", "settled")


def crashed_in_start(case):
    """Open MPI 4.1.4 over TCP, when the machine is busy: about one of 200 starts ends in MPI_Init with a call of a null
    pointer (its transport gets a message that it is not ready for). That is no fault of what is tested here."""
    said = case.log()
    return "Failing at address: (nil)" in said and "dhatu did not begin" in said


def run_case(suite, name):
    began = time.monotonic()
    if name in NEED_OPENCL and not suite.has_opencl:
        wanted = os.environ.get("CI") == "true"
        print(f"{name}: {'FAILED' if wanted else 'skipped'}: OpenCL sees no device", flush=True)
        return not wanted
    case, problem = attempt_case(suite, name, name)
    if problem is not None and crashed_in_start(case) and not (suite.loss and suite.loss.lost):
        print(f"{name}: once more, since Open MPI crashed in a start: {problem}", flush=True)
        case, problem = attempt_case(suite, name, f"{name}-again")
    print(f"{name}: {'passed' if problem is None else 'FAILED'}, {time.monotonic() - began:.1f} s; {'; '.join(case.notes)}",
          flush=True)
    if problem is not None and not suite.ending.is_set():
        print(f"{name}: {problem}\n{case.log(LOG_LINES)}--- bed\n{suite.bed.logs()}", flush=True)
    return problem is None


def run_cases(suite, chosen):
    """True: all passed. The loss of a node comes last, beside those that stay on the other node."""
    pool = concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE)
    try:
        running = {name: pool.submit(run_case, suite, name) for name in chosen if name not in LOSING}
        passed = [future.result() for name, future in running.items() if name not in ON_OTHER_NODE]
        losing = [name for name in chosen if name in LOSING]
        if losing:
            suite.bed.prefer(LOST)
            suite.loss = Loss(suite.bed, losing)
        passed += [future.result() for future in [pool.submit(run_case, suite, name) for name in losing]]
        passed += [future.result() for name, future in running.items() if name in ON_OTHER_NODE]
        return all(passed)
    finally:
        suite.ending.set()
        pool.shutdown(cancel_futures=True)


def main():
    program = os.environ.get("DHATU") or (sys.argv[1] if len(sys.argv) > 1 else "")
    chosen = [name for name in CASES if name in sys.argv[1:]] or list(CASES)
    reason = slurm.missing() if os.access(program, os.X_OK) else "no program: set DHATU to the path of dhatu"
    if reason:
        slurm.skip_or_fail(reason)
    slurm.leave_on_signals()
    began = time.monotonic()
    try:
        with slurm.Bed(program) as bed:
            suite = Suite(bed)
            print(f"bed and undisturbed run: {time.monotonic() - began:.1f} s, {suite.documents} documents, "
                  f"{suite.spill_writes} writes of spills", flush=True)
            passed = run_cases(suite, chosen)
    except slurm.BedError as error:
        print("failed:", error)
        passed = False
    except KeyboardInterrupt as error:
        print("ended by", error)
        passed = False
    print(f"{'passed' if passed else 'FAILED'}: {len(chosen)} cases, {time.monotonic() - began:.1f} s")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
