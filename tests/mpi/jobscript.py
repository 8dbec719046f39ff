"""The job scripts of slurm/ without Slurm: srun, mpirun, scontrol, squeue and dhatu are played by one small program that
does what the case says and keeps what it was asked. tests/slurm has the same lives on a real Slurm.

    jobscript.py [home | arguments | sites | ends | signals | refusals]...
"""

import os
import shutil
import signal
import subprocess
import time

from support import Checks, run_in_folders, skip, words_given

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPTS = os.path.join(os.path.dirname(os.path.dirname(HERE)), "slurm")
LIMIT = 30

# It is called by the name of what it plays. Everything it is asked goes to calls, a line a call, words between |.
PLAYER = r"""#!/bin/bash
name=${0##*/}
{ printf '%s' "$name"; printf '|%s' "$@"; echo; } >>"$CASE/calls"
answer() { if [[ -e $CASE/$1 ]]; then cat "$CASE/$1"; else echo "$2"; fi; }
case "$name $1 $2" in
    "scontrol show job") answer facts "JobId=7 Requeue=1 JobState=RUNNING EndTime=2026-01-01T00:00:00 WorkDir=/" ;;
    "scontrol requeue "*)
        answer refusal "" >&2
        exit "$(answer requeue 0)"
        ;;
    "squeue "*) answer waiting "" ;;
    "srun --mpi=list "*) echo "pmix" ;;
    "srun "* | "mpirun "*)
        echo launched >>"$CASE/launched"
        [[ -e $CASE/idle ]] || answer attempt 1 >"$CASE/attempt.now"
        if [[ -e $CASE/wait ]]; then
            trap 'echo USR1 >>"$CASE/signals"' USR1
            until [[ -e $CASE/release ]]; do /bin/sleep 0.05; done
        fi
        printf '%s ' "${SLURM_EXPORT_ENV-}" "${SLURM_MEM_PER_NODE-none}" "${SLURM_GPUS_PER_NODE-none}" >>"$CASE/environment"
        if [[ -e $CASE/makes ]]; then
            echo done >"$CASE/state"
            touch "$PWD/o"
            rm -f "$CASE/attempt.now"
        fi
        exit "$(answer code 0)"
        ;;
    "sleep "*) /bin/sleep 0.01 ;;
    "dhatu --version "*) echo "dhatu 0.0" ;;
    "dhatu run --where") printf 'result %s\ncheckpoint %s.ckpt\nstate %s\n' "$PWD/$(answer folder o)" "$PWD/o" "$(answer state absent)" ;;
    "dhatu plan --brief") answer estimate "about a minute" ;;
    "dhatu status "*)
        case "$*" in
            *--json*) echo "{\"attempt\":$(cat "$CASE/attempt.now" 2>/dev/null || echo null),\"ranks\":1}" ;;
            *--restart-limit*) exit "$(answer worth 0)" ;;
        esac
        ;;
esac
"""
NAMES = ("srun", "mpirun", "scontrol", "squeue", "dhatu")


class Job:
    """One start of a job script in a folder of its own."""

    def __init__(self, work, script="dhatu.sbatch", arguments=("-o", "o", "in put"), environment=None, copy=False, **case):
        self.case = os.path.join(work, f"case {len(os.listdir(work))}")
        os.makedirs(f"{self.case}/bin")
        self._write("bin/player", PLAYER)
        os.chmod(f"{self.case}/bin/player", 0o755)
        for name in NAMES + (("sleep",) if "quick_sleep" in case else ()):
            os.symlink("player", f"{self.case}/bin/{name}")
        for name, text in case.items():
            self._write(name, str(text))
        path = os.path.join(SCRIPTS, script)
        if copy:  # as slurmd does
            path = shutil.copy(path, f"{self.case}/slurm_script")
        variables = {
            "PATH": f"{self.case}/bin:/usr/bin:/bin", "CASE": self.case, "SLURM_JOB_ID": "7", "SLURM_NTASKS": "4",
            "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_CLUSTER_NAME": "test", **(environment or {})}
        self.process = subprocess.Popen(["bash", path, *arguments], env=variables, cwd=self.case, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.code, self.log = None, ""

    def _write(self, name, text):
        with open(f"{self.case}/{name}", "w", encoding="utf-8") as file:
            file.write(text)

    def release(self):
        self._write("release", "")

    def finish(self):
        try:
            self.log, _ = self.process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            self.release()
            self.process.kill()
            self.log, _ = self.process.communicate()
            self.log += "\nHANGS"
        self.code = self.process.returncode
        return self

    def lines(self, name):
        try:
            with open(f"{self.case}/{name}", encoding="utf-8") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def calls(self, start):
        return [line for line in self.lines("calls") if line.startswith(start)]

    def wait_for(self, name):
        end = time.monotonic() + LIMIT
        while not self.lines(name) and time.monotonic() < end:
            time.sleep(0.02)


def expect(checks, what, job, code, says="", requeued=None, launched=None):
    job.finish()
    print_log = checks.equal(job.code, code, f"{what}: exit code") and checks.that(says in job.log, f"{what}: does not say {says!r}")
    if requeued is not None:
        print_log &= checks.equal(len(job.calls("scontrol|requeue|")), int(requeued), f"{what}: requeues")
    if launched is not None:
        print_log &= checks.equal(len(job.lines("launched")), int(launched), f"{what}: launches")
    if not print_log:
        print(job.log)


def check_home(checks, work):
    """sbatch runs a copy: where it finds the rest."""
    nowhere = os.path.join(work, "empty")
    os.mkdir(nowhere)
    prefix = os.path.join(work, "pre fix")
    shutil.copytree(SCRIPTS, f"{prefix}/share/dhatu/slurm", ignore=shutil.ignore_patterns("packaging"))
    submitted = f"JobId=7 Requeue=1 JobState=RUNNING\n   Command={SCRIPTS}/dhatu.sbatch -o /a/b.sbatch x\n   WorkDir=/"
    cases = {
        "DHATU_HOME": (dict(environment={"DHATU_HOME": SCRIPTS}), SCRIPTS),
        "DHATU_HOME, a prefix": (dict(environment={"DHATU_HOME": prefix}), f"{prefix}/share"),
        "the job's command": (dict(facts=submitted), SCRIPTS),
        "the folder of the submission": (dict(environment={"SLURM_SUBMIT_DIR": os.path.dirname(SCRIPTS)}), SCRIPTS),
    }
    for what, (case, home) in cases.items():
        case.setdefault("environment", {})["DHATU_SITE"] = "mars"  # the message names the folder
        expect(checks, f"home by {what}", Job(work, copy=True, **case), 2, f"there is no {home}", launched=False)
    expect(checks, "home nowhere", Job(work, copy=True), 2, "set DHATU_HOME", launched=False)


def check_arguments(checks, work):
    arguments = ("-j", "a,b", "-o", "o", "in put", "it's", "")
    job = Job(work, arguments=arguments)
    expect(checks, "arguments", job, 0, "dhatu run -j a,b -o o 'in put' 'it'\\''s' ''", requeued=False)
    program = f"{job.case}/bin/dhatu"
    checks.equal(job.calls("srun|--wait"), ["|".join(("srun", "--wait=60", program, "run", *arguments))], "what srun gets")
    checks.equal(job.calls("dhatu|plan"), ["|".join(("dhatu", "plan", "--brief", "--nodes", "2", "--ranks-per-node", "2", *arguments))],
                 "what plan gets")
    checks.that("  estimate    about a minute" in job.log, "the estimate is in the header")
    job = Job(work, arguments=("x",), environment={"DHATU_LAUNCHER": "mpirun", "DHATU_LAUNCHER_OPTIONS": "--map-by core"})
    expect(checks, "mpirun", job, 0)
    checks.equal(job.calls("mpirun"), ["|".join(("mpirun", "-n", "4", "--map-by", "core", f"{job.case}/bin/dhatu", "run", "x"))],
                 "what mpirun gets")
    components = {"SLURM_HET_SIZE": "2", "SLURM_NTASKS_HET_GROUP_0": "3", "SLURM_NTASKS_HET_GROUP_1": "2",
                  "SLURM_JOB_NUM_NODES_HET_GROUP_0": "2"}
    job = Job(work, "dhatu-het.sbatch", ("x",), components)
    expect(checks, "components", job, 0)
    checks.equal([call.split("|")[1:3] for call in job.calls("srun|--wait")], [["--wait=60", "--het-group=0-1"]], "joined")
    checks.that("  launch      5 ranks by srun" in job.log, "ranks of all components")
    expect(checks, "components by mpirun", Job(work, "dhatu-het.sbatch", ("x",), {**components, "DHATU_LAUNCHER": "mpirun"}), 2,
           "joined by srun only", launched=False)
    job = Job(work, "dhatu-gpu.sbatch", ("x",), {"SLURM_GPUS_PER_NODE": "h100:2"}, estimate="estimate: a minute\nestimate: 1 GB")
    expect(checks, "GPUs", job, 0, "  estimate    a minute\n  estimate    1 GB\n")
    checks.that("|--gpus|2|x" in job.calls("dhatu|plan")[0], "the GPUs of a node")
    expect(checks, "no estimate", Job(work, environment={"DHATU_ESTIMATE": "no"}), 0)


def modules_of(work, script, environment):
    """The modules that a script loads."""
    function = {"BASH_FUNC_module%%": '() { echo "$2" >>"$CASE/modules"; [[ $2 != absent ]]; }'}
    job = Job(work, script, environment={**function, **environment}).finish()
    return job.code, job.lines("modules")


def check_sites(checks, work):
    usual = ["StdEnv/2023", "gcc", "openmpi", "hdf5-mpi"]
    cases = (
        ("dhatu.sbatch", {"CC_CLUSTER": "narval"}, usual),
        ("dhatu-gpu.sbatch", {"CC_CLUSTER": "narval"}, usual + ["cuda"]),
        ("dhatu.sbatch", {"SLURM_CLUSTER_NAME": "rorqual"}, usual),
        ("dhatu.sbatch", {"SLURM_CLUSTER_NAME": "grillium"}, usual),
        ("dhatu.sbatch", {"CC_CLUSTER": "my-cloud"}, usual),
        ("dhatu.sbatch", {}, []),
        ("dhatu.sbatch", {"DHATU_SITE": "alliance", "LOADEDMODULES": "StdEnv/2020:gcc/9"}, ["openmpi", "hdf5-mpi"]),
        ("dhatu.sbatch", {"DHATU_SITE": "alliance", "DHATU_MODULES": "a b/1"}, ["a", "b/1"]),
        ("dhatu.sbatch", {"DHATU_SITE": "trillium", "DHATU_MODULES": "none"}, []),
    )
    for script, environment, wanted in cases:
        checks.equal(modules_of(work, script, environment), (0, wanted), f"modules with {environment}")
    checks.equal(modules_of(work, "dhatu.sbatch", {"DHATU_MODULES": "absent"}), (2, ["absent"]), "a module that is not there")
    for name, site in (("narval", "alliance"), ("trillium", "trillium"), ("cloud", "magic-castle")):
        job = Job(work, environment={"CC_CLUSTER": name, "DHATU_MODULES": "none"})
        expect(checks, f"site of {name}", job, 0, f"  site        {site}\n")
    path = os.path.join(work, "my site.sh")
    with open(path, "w", encoding="utf-8") as file:
        file.write("default DHATU_SCRATCH /of/mine\ndefault SLURM_CLUSTER_NAME other\n")
    job = Job(work, environment={"DHATU_SITE": path})
    expect(checks, "a site of one's own", job, 0, "  scratch     /of/mine")
    checks.that(" on test," in job.log, "a default does not replace what is set")


def check_ends(checks, work):
    """What follows from each exit code."""
    array = {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_MAX": "9"}
    facts = "JobId=7 Requeue=%d JobState=%s EndTime=x"
    expect(checks, "done", Job(work), 0, requeued=False, launched=True)
    expect(checks, "was done", Job(work, state="done"), 2, "exists", requeued=False, launched=False)
    for variable in ("SLURM_JOB_DEPENDENCY", "SLURM_RESTART_COUNT"):
        job = Job(work, state="done", environment={variable: "1"})
        expect(checks, f"was done, {variable}", job, 0, "nothing is left to do", requeued=False, launched=False)
    job = Job(work, state="done", environment=array)
    expect(checks, "was done by a task before", job, 0, "nothing is left to do", requeued=False, launched=False)
    for arguments in (("x",), ("-f", "x")):
        job = Job(work, code=139, makes="", arguments=arguments)
        expect(checks, f"a crash behind the end, {arguments}", job, 0, "came behind the end", requeued=False, launched=1)
    job = Job(work, arguments=("-o", "a\nb", "x"), folder="a\nb")
    expect(checks, "a line end in a path", job, 2, "line ends", launched=False)
    leaked = {"SLURM_MEM_PER_CPU": "100", "SLURM_MEM_PER_NODE": "9", "SLURM_GPUS_PER_NODE": "h100:1", "SLURM_EXPORT_ENV": "NONE"}
    job = Job(work, environment=leaked)
    expect(checks, "variables of another allocation", job, 0)
    checks.equal("".join(job.lines("environment")).split(), ["ALL", "none", "none"], "what the launcher gets")
    checks.equal("".join(Job(work, "dhatu-gpu.sbatch", environment=leaked).finish().lines("environment")).split(),
                 ["ALL", "none", "h100:1"], "what the launcher of GPUs gets")
    unreachable = "Unable to contact slurm controller"
    job = Job(work, code=75, requeue=1, refusal=unreachable, quick_sleep="")
    job.finish()
    checks.equal(len(job.calls("scontrol|requeue|")), 6, "tries to reach Slurm")
    checks.that(unreachable in job.log and "Slurm did not requeue" in job.log, "Slurm cannot be reached: what is said")
    expect(checks, "Slurm says nothing", Job(work, code=75, facts="", quick_sleep=""), 75, "Slurm does not answer", requeued=False)
    expect(checks, "was done, --force", Job(work, state="done", arguments=("-qf", "x")), 0, launched=True)
    for code in (75, 137, 139, 143, 1):
        expect(checks, f"left with {code}", Job(work, code=code), code, "the job is requeued", requeued=True)
    for code in (2, 65, 70, 74, 78):
        expect(checks, f"error {code}", Job(work, code=code), code, "does not cure it", requeued=False)
    expect(checks, "locked", Job(work, code=69), 69, "another run holds", requeued=False)
    for code in (75, 1, 127):
        expect(checks, f"{code} without an attempt", Job(work, code=code, idle=""), code, "did not begin", requeued=False)
    expect(checks, "no progress", Job(work, code=75, worth=1), 75, "is not requeued", requeued=False)
    job = Job(work, code=75, environment={"DHATU_RESTART_LIMIT": "8"})
    expect(checks, "limit", job, 75, requeued=True)
    checks.equal(job.calls("dhatu|status")[-1].split("|")[-2:], ["--restart-limit", "8"], "the limit")
    expect(checks, "DHATU_REQUEUE=no", Job(work, code=75, environment={"DHATU_REQUEUE": "no"}), 75, "submit the same", requeued=False)
    expect(checks, "--no-requeue", Job(work, code=75, facts=facts % (0, "RUNNING")), 75, "submit the same", requeued=False)
    expect(checks, "cancelled", Job(work, code=75, facts=facts % (1, "CANCELLED")), 75, "CANCELLED", requeued=False)
    expect(checks, "refused", Job(work, code=75, requeue=1), 75, "Slurm did not requeue", requeued=True)
    expect(checks, "in a chain", Job(work, code=75, waiting="5_[3-9]", environment=array), 75, "next task", requeued=False)
    job = Job(work, code=75, environment=array)
    expect(checks, "last of a chain", job, 75, "is requeued", requeued=True)
    checks.equal(job.calls("scontrol|requeue"), ["scontrol|requeue|5_2"], "of an array one task is requeued")
    job = Job(work, code=75)
    expect(checks, "no array", job, 75, requeued=True)
    checks.equal(job.calls("scontrol|requeue"), ["scontrol|requeue|7"], "what is requeued")
    expect(checks, "a launcher that crashes", Job(work, code=139, idle=""), 139, "tried once more", requeued=False, launched=2)
    expect(checks, "a launcher that fails", Job(work, code=1, idle=""), 1, "tried once more", requeued=False, launched=2)
    expect(checks, "ranks that crash", Job(work, code=139), 139, requeued=True, launched=1)


def check_signals(checks, work):
    for name in ("USR1", "TERM"):
        job = Job(work, code=75, wait="")
        job.wait_for("launched")
        job.process.send_signal(getattr(signal, f"SIG{name}"))
        if name == "USR1":
            job.wait_for("signals")
        job.process.send_signal(getattr(signal, f"SIG{name}"))  # a second one changes nothing
        time.sleep(0.2)
        job.release()
        asked = name == "USR1"
        expect(checks, name, job, 75, "asked to commit" if asked else "Slurm ends this start", requeued=asked)
        checks.equal(job.lines("signals"), ["USR1"] if asked else [], f"{name}: what the launcher gets")


def check_refusals(checks, work):
    array = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_JOB_ID": "5"}
    cases = {
        "--force in an array": dict(arguments=("--force", "x"), environment=array),
        "DHATU_FORCE in an array": dict(environment={**array, "DHATU_FORCE": "yes"}),
        "--fresh in an array": dict(arguments=("--fresh", "x"), environment=array),
        "an unknown site": dict(environment={"DHATU_SITE": "mars"}),
        "an unknown launcher": dict(environment={"DHATU_LAUNCHER": "aprun"}),
        "a limit that is no number": dict(environment={"DHATU_RESTART_LIMIT": "many"}),
        "a program that is not there": dict(environment={"DHATU_PROGRAM": "/not/there"}),
        "no job": dict(environment={"SLURM_JOB_ID": ""}),
    }
    for what, case in cases.items():
        expect(checks, what, Job(work, **case), 2, "dhatu-job: ", requeued=False, launched=False)
    expect(checks, "--fresh", Job(work, arguments=("--fresh", "x")), 0, launched=True)


PARTS = {"home": check_home, "arguments": check_arguments, "sites": check_sites, "ends": check_ends, "signals": check_signals,
         "refusals": check_refusals}


def main():
    if shutil.which("bash", path="/usr/bin:/bin") is None:
        skip("no bash")
    checks = Checks()
    chosen, _ = words_given(PARTS)
    run_in_folders(PARTS, chosen, lambda check, work: check(checks, work))
    checks.exit()


if __name__ == "__main__":
    main()
