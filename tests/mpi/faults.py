"""Calls of the system that fail, or are the last one: the run ends with the right code and a message within
seconds, and the same command without the fault gives the bytes of an undisturbed run.

faults.py [PROGRAM] [COUNT | all] [PART ...]: COUNT cases of each kind instead of those of the short form."""

import errno
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import support

SOON = 10  # seconds, 5 asked for: a failure that takes longer counts as a hang
SEED = 20240501
ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EMFILE", "ENFILE", "EROFS", "EACCES")
CALLS = ("open", "read", "write", "sync", "close", "rename", "link", "remove", "reserve", "folder", "stat")
FAULT = re.compile(r"fault on purpose: (\w+) of (.*): (\w+)$", re.M)
DONE = re.compile(r"(?:(\d+) segments are done and|what earlier attempts did is) kept in")  # the latter: it had not looked yet

# Calls that may fail without harm to the result, so that a run may go on: their kind, and what of the path is left
# without the folder of the case. What is removed at the end is of no use any more. Whether a file exists is asked
# before it is opened, and opening it tells the rest.
HARMLESS = (
    ("remove", r"out\.h5\.ckpt/.*"),
    ("folder", r"out\.h5\.ckpt"),
    ("stat", r"out\.h5\.ckpt(/(attempt-\d+|stop))?"),
    ("stat", r".*/corpus"),
    ("stat", r".*/lexicon/\w+\.tsv"),
)
NO_RECORD = "the record of the run could not be written"  # it is no part of the result


class Sample:
    """So many of a list, drawn with a seed; all of it in the long form."""

    def __init__(self, count):
        self.count = count  # None: the short form; 0: all
        self.rng = random.Random(SEED)

    def of(self, items, short):
        items = list(items)
        wanted = short if self.count is None else self.count
        return items if wanted == 0 or wanted >= len(items) else self.rng.sample(items, wanted)

    def ranks(self):
        return self.rng.choice((0, 0, 0, 0, 1, 2, 3, 4))


def goes_on(checks, case, label, ranks):
    """The same command without the fault. A run that was killed when its checkpoint was gone already has left a
    whole result, and the next run refuses to replace it."""
    complete = case.whole() and not os.path.exists(f"{case.checkpoint}/result")
    again = case.run(ranks)
    label = f"{label}: the next run, {ranks} ranks"
    if complete and again.code == 2:
        checks.that("exists" in again.err and case.whole(), f"{label}: the whole result is not kept", again)
        return again
    if checks.ended(again, 0, label):
        checks.that(case.whole(), f"{label}: other bytes than those of an undisturbed run", again)
        checks.equal(case.leftovers(), [], f"{label}: left behind", again)
    return again


def starts(bench):
    return None, bench.halfway, bench.mapped


def name_of(bench, start):
    return {None: "from nothing", bench.halfway: "from a part", bench.mapped: "from the reduce phase"}[start]


# ---- killed at a call -------------------------------------------------------------------------------------------


def count_calls(bench, start, more=""):
    case = bench.case(start)
    outcome = case.run(fault=f"count={case.path}/calls{more}")
    counts = {}
    with open(f"{case.path}/calls-0", encoding="ascii") as file:
        for line in file:
            name, number = line.split()[:2]
            counts[name] = number
    bench.checks.ended(outcome, 0, "counting calls")
    case.remove()
    return {name: int(counts[name]) for name in CALLS}


def check_kills(checks, bench, sample):
    """Killed in front of the Nth call, from nothing, from a part of the work and from its reduce phase; and at each place
    with a name."""
    cases = []
    for start in starts(bench):
        counts = count_calls(bench, start)
        cases += [(start, f"call=any,error=KILL,at={n}") for n in range(1, sum(counts.values()) + 1)]
        for call in CALLS:  # the rare calls are the ones that matter
            if counts[call] < 60:
                cases += [(start, f"call={call},error=KILL,at={n}") for n in range(1, counts[call] + 1)]
    cases = sample.of([c for c in cases if c[0] != bench.mapped], 7) + sample.of([c for c in cases if c[0] == bench.mapped], 7)
    places = ("planned", "recovered", "mapped", "reduced", "written", "publish", "published")
    cases += sample.of([(start, f"call=place,path={place},error=KILL") for place in places for start in starts(bench)], 4)
    for start, fault in cases:
        label = f"{fault}, {name_of(bench, start)}"
        case = bench.case(start)
        killed = case.run(fault=fault)
        if checks.ended(killed, 137, label):
            goes_on(checks, case, label, sample.ranks())
        case.remove()
    for place, rank in sample.of([(p, r) for p in places for r in range(3)], 2):
        if place in ("publish", "published") and rank > 0:
            continue  # only rank 0 comes there
        label = f"rank {rank} of 3 is killed at {place}"
        case = bench.case(bench.halfway)
        killed = case.run(3, f"call=place,path={place},error=KILL,rank={rank}", limit=20)
        if not killed.timed_out:
            checks.that(killed.code != 0, f"{label}: exit code 0", killed)
        checks.that(not killed.timed_out, f"{label}: hangs", killed)
        goes_on(checks, case, label, sample.ranks())
        case.remove()


def check_commits(checks, bench, sample):
    """Killed behind a first commit: what it made durable is not computed again. The run is stopped for more than the
    commit interval, so that it commits when it goes on."""
    counts = count_calls(bench, None)
    total = sum(counts.values())
    for at in sample.of(range(1, total, 7), 3):
        label = f"killed at call {at} of the second half"
        case = bench.case()
        fault = f"call=write,path=spill-,error=STOP,at=9;call=any,path={case.path},error=KILL,at={at + 40}"
        process = case.start(0, fault)
        pid = stopped(process)
        if pid:
            time.sleep(1.1)
            os.kill(pid, signal.SIGCONT)
        outcome = support.finish(process, 20)
        if not pid or outcome.code != 137:
            checks.that(outcome.code in (0, 137), f"{label}: exit code {outcome.code}", outcome)
            case.remove()
            continue
        committed = len(entries_of(case.checkpoint))
        whole = case.whole()
        again = goes_on(checks, case, label, sample.ranks())
        if again.code == 0 and not whole:
            checks.equal(support.run_report(case.output)["recovered"]["segments"], committed, f"{label}: segments recovered")
        case.remove()


def stopped(process, limit=10):
    """The process of the run, when it has stopped itself."""
    end = time.monotonic() + limit
    while time.monotonic() < end and process.poll() is None:
        for pid in support.ranks_of(process.pid):
            try:
                with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
                    if file.read().rsplit(")", 1)[1].split()[0] == "T":
                        return pid
            except OSError:
                pass
        time.sleep(0.01)
    return None


def entries_of(checkpoint):
    """The whole entries of all journals."""
    names = [name for name in os.listdir(checkpoint) if name.startswith("journal-")] if os.path.isdir(checkpoint) else []
    return [(name, n) for name in names for n in range((os.path.getsize(f"{checkpoint}/{name}") - 64) // 128)]


# ---- errors of calls --------------------------------------------------------------------------------------------


def failed_as_asked(checks, case, label, outcome, persistent):
    """A run with an error. True: it came through with a right result."""
    if not checks.ended(outcome, (0, 74), label):
        return False
    checks.that(outcome.seconds < SOON, f"{label}: took {outcome.seconds:.1f} s", outcome)
    checks.that("Process received signal" not in outcome.err, f"{label}: crashed", outcome)
    faults = FAULT.findall(outcome.err)
    if outcome.code == 0:
        checks.that(case.whole(), f"{label}: exit code 0 with other bytes", outcome)
        for call, path, name in faults:
            rest = path.replace(case.path + "/", "")
            harmless = name in ("EINTR", "SHORT") or NO_RECORD in outcome.err or \
                any(call == c and re.fullmatch(p, rest) for c, p in HARMLESS)
            checks.that(harmless, f"{label}: {name} of {call} of {rest} was passed over", outcome)
        return True
    errors = outcome.errors()
    checks.that(faults, f"{label}: no fault, but exit code 74", outcome)
    checks.that(not any(name in ("EINTR", "SHORT") for _, _, name in faults), f"{label}: is no error", outcome)
    told = any(path in line and (call == "stat" or os.strerror(getattr(errno, name, 0)) in line)
               for call, path, name in faults for line in errors)
    checks.that(told, f"{label}: no error names path and reason", outcome)
    most = 1 if not persistent else 3
    checks.that(1 <= len(errors) <= most, f"{label}: {len(errors)} error messages", outcome)
    checks.that(not os.path.exists(case.output) or case.whole(), f"{label}: there is a wrong result", outcome)
    left = [name for name in case.leftovers() if ".partial" in name]
    if not any(call == "remove" for call, _, _ in faults):
        checks.equal(left, [], f"{label}: left behind", outcome)
    return False


def check_errors(checks, bench, sample):
    cases = []
    for start in starts(bench):
        counts = count_calls(bench, start)
        for call in CALLS:
            for n in range(1, counts[call] + 1):
                cases += [(start, 0, call, n, "")]
                cases += [(start, 0, call, n, ",persist")] * (n < 30)
    few = [c for c in cases if c[2] not in ("read", "stat", "open", "write")]
    many = [c for c in cases if c[2] in ("read", "stat", "open", "write")]
    chosen = sample.of(few, 15) + sample.of(many, 12)
    spread = [(start, 3, call, n, persist, rank) for start in starts(bench) for call in CALLS
              for n in (1, 2, 3, 5, 8, 12, 20) for persist in ("", ",persist") for rank in range(3)]
    chosen += sample.of(spread, 6)
    passed = {}
    for start, ranks, call, n, persist, *rank in chosen:
        errors = ERRORS + (("EINTR", "SHORT") if not persist and call in ("read", "write") else ("EINTR",) * (not persist))
        error = sample.rng.choice(errors)
        fault = f"call={call},error={error},at={n}{persist}" + (f",rank={rank[0]}" if rank else "")
        check_error(checks, bench, sample, start, ranks, fault, bool(persist), passed)
    for start, fault in ((None, "call=reserve,error=EINTR"), (None, "call=stat,error=EINTR,path=corpus/big"),
                         (None, "call=folder,error=EINTR,path=corpus/tree"), (bench.halfway, "call=stat,error=EINTR,path=ckpt/spill"),
                         (None, "call=stat,error=EIO,path=ckpt/stop,persist")):
        case = bench.case(start)
        outcome = case.run(fault=fault)
        if checks.ended(outcome, 0, fault):
            checks.that(case.whole(), f"{fault}: other bytes", outcome)
        case.remove()
    for at in range(4):  # short and interrupted all the time
        fault = f"call=any,error=EINTR,chance=0.3,seed={SEED + at};call=any,error=SHORT,chance=0.3,seed={at}"
        case = bench.case(bench.halfway if at % 2 else None)
        outcome = case.run((0, 3)[at // 2], fault)
        checks.ended(outcome, 0, fault)
        checks.that(case.whole(), f"{fault}: other bytes", outcome)
        case.remove()
    for what, number in sorted(passed.items()):
        print(f"  no harm: {what}, {number} times")


def check_error(checks, bench, sample, start, ranks, fault, persistent, passed):
    label = f"{fault}, {ranks} ranks, {name_of(bench, start)}"
    case = bench.case(start)
    outcome = case.run(ranks, fault)
    if failed_as_asked(checks, case, label, outcome, persistent):
        for call, path, error in FAULT.findall(outcome.err):
            if error in ("EINTR", "SHORT"):
                continue
            what = f"{call} of {re.sub('[0-9]+', 'N', path.replace(case.path + '/', ''))}"
            passed[what] = passed.get(what, 0) + 1
        case.remove()
        return
    done = DONE.search(outcome.err)
    said = int(done.group(1)) if done and done.group(1) else 0
    before = {bench.halfway: bench.segments_halfway, bench.mapped: bench.segments}.get(start, 0)
    if start and (not done or not done.group(1)):  # it ended before it had the folder, or before it had looked
        said = before
    begun = os.path.exists(f"{case.checkpoint}/manifest")
    if start:
        checks.that(said >= before, f"{label}: {said} segments are said to be done, {before} were before", outcome)
    elif not said and not persistent and "remove" not in fault and "folder" not in fault:
        checks.that(not begun, f"{label}: kept a checkpoint with nothing in it", outcome)
    again = goes_on(checks, case, label, sample.ranks())
    if again.code == 0 and "complete already" not in again.err:
        # What a commit wrote before it failed may be there, too.
        recovered = support.run_report(case.output)["recovered"]["segments"]
        checks.that(recovered >= said, f"{label}: {recovered} segments recovered, {said} were said to be done", again)
    case.remove()


def check_chains(checks, bench, sample):
    """Any call may fail or be the last one, in each attempt until one comes through."""
    for chain in sample.of(range(300), 2):
        began = time.monotonic()
        kind = ("error=EIO", "error=ENOSPC", "error=KILL")[chain % 3]
        case, attempts = bench.case(), 0
        outcome = None
        while attempts < 60 and (outcome is None or outcome.code not in (0, 2)) and not (outcome and outcome.timed_out):
            attempts += 1
            seed = 1000 * chain + attempts
            fault = f"call=any,{kind},chance=0.0012,seed={seed};call=read,error=SHORT,chance=0.01,seed={seed}"
            ranks = sample.rng.choice((0, 0, 0, 0, 3))
            label = f"chain {chain}, attempt {attempts}: {fault}, {ranks} ranks"
            outcome = case.run(ranks, fault, limit=20)
            if kind == "error=KILL":
                checks.that(not outcome.timed_out, f"{label}: hangs", outcome)
            else:
                checks.ended(outcome, (0, 2, 74), label)
            checks.that(not os.path.exists(case.output) or case.whole(), f"{label}: a wrong result", outcome)
        goes_on(checks, case, f"chain {chain} after {attempts} attempts", 0) if outcome.code != 0 else \
            checks.that(case.whole(), f"chain {chain}: other bytes after {attempts} attempts", outcome)
        print(f"  chain {chain}, {kind}: {attempts} attempts, {time.monotonic() - began:.1f} s")
        case.remove()


# ---- strace: also calls that are not dhatu's own ----------------------------------------------------------------

TRACED = ("write", "pwrite64", "pwritev", "fsync", "fdatasync", "sync_file_range", "rename", "renameat", "renameat2", "link",
          "linkat", "unlink", "unlinkat", "ftruncate", "fallocate", "openat", "mkdir", "rmdir")


def strace_works():
    probe = ["strace", "-f", "-o", "/dev/null", "-e", "trace=write", "-e", "inject=write:error=EIO:when=1000", "true"]
    return shutil.which("strace") is not None and subprocess.run(probe, capture_output=True, check=False).returncode == 0


def strace(call, what, *more):
    return ["strace", "-f", "-o", "/dev/null", *more, "-e", f"trace={call}", "-e", f"inject={call}:{what}"]


def trace(bench, start):
    """The calls of the first thread on files of the case: (call, its number among those of its kind, path)."""
    case = bench.case(start)
    log = f"{case.path}/log"
    known = subprocess.run(["strace", "-e", "trace=" + ",".join("?" + c for c in TRACED), "true"], capture_output=True,
                           check=False).returncode == 0
    names = ",".join(("?" if known else "") + call for call in TRACED)
    outcome = case.run(wrapper=["strace", "-f", "-y", "-s", "0", "-o", log, "-e", f"trace={names}"])
    bench.checks.ended(outcome, 0, "a traced run")
    found, count, first = [], {}, None
    with open(log, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = re.match(r"(\d+) +(\w+)\((.*)", line)
            if match and (first or match.group(1)) == match.group(1):
                first, call, rest = match.groups()
                count[call] = count.get(call, 0) + 1
                path = re.search(re.escape(case.path) + r"(/[^>\",]*)?", rest)
                if path and "/log" not in path.group(0):
                    found.append((call, count[call], path.group(1) or ""))
    case.remove()
    return found


def check_strace_kills(checks, bench, sample):
    if not strace_works():
        return checks.note("strace cannot be used: killing at system calls is left out")
    cases = []
    for start in (None, bench.halfway):
        cases += [(start, *call) for call in trace(bench, start)]
    commit = [c for c in cases if not c[3].startswith("/out.h5.partial")]
    result = [c for c in cases if c[3].startswith("/out.h5.partial")]
    print(f"  {len(cases)} calls, {len(result)} of them on partial results")
    hit = 0
    for start, call, n, path in sample.of(commit, 12) + sample.of(result, 3):
        label = f"strace kills at {call} {n} ({path}), {'from a part' if start else 'from nothing'}"
        case = bench.case(start)
        killed = case.run(wrapper=strace(call, f"signal=SIGKILL:when={n}"))
        if checks.ended(killed, (0, 137), label):
            hit += killed.code == 137
            goes_on(checks, case, label, sample.ranks())
        case.remove()
    checks.that(hit > 0, "strace has killed nothing")
    for start, call, n, path in sample.of([c for c in commit if "spill" in c[3] or "journal" in c[3]], 2):
        label = f"strace kills ranks at {call} {n} ({path})"
        case = bench.case(start)
        killed = case.run(2, wrapper=strace(call, f"signal=SIGKILL:when={n}"), limit=20)
        checks.that(not killed.timed_out, f"{label}: hangs", killed)
        goes_on(checks, case, label, sample.ranks())
        case.remove()
    return None


def check_strace_errors(checks, bench, sample):
    """The result's name is known beforehand where the checkpoint has its id already."""
    if not strace_works():
        return checks.note("strace cannot be used: errors of system calls are left out")
    with open(f"{bench.halfway}/manifest", "rb") as file:
        run_id = file.read(32)[16:20].hex()
    partial = f"out.h5.partial-{run_id}-000002"
    calls = [c for c in trace(bench, bench.halfway) if c[2] == "/" + partial]
    checks.that(len(calls) > 20, f"{len(calls)} calls on {partial}")
    count = {}
    for call, _, _ in calls:
        count[call] = count.get(call, 0) + 1
    cases = [(call, n, "") for call, most in count.items() for n in range(1, most + 1)]
    cases += [(call, n, "+") for call, n, _ in cases if n < 40]
    for call, n, more in sample.of(cases, 8):
        error = sample.rng.choice(("EIO", "ENOSPC", "EDQUOT"))
        label = f"strace: {error} of {call} {n}{more} on the partial result"
        case = bench.case(bench.halfway)
        outcome = case.run(wrapper=strace(call, f"error={error}:when={n}{more}", "-P", f"{case.path}/{partial}"), limit=20)
        checks.that("Process received signal" not in outcome.err and outcome.seconds < SOON, f"{label}: crashed or slow", outcome)
        if checks.ended(outcome, (0, 74), label) and outcome.code == 74:
            reason = re.escape(os.strerror(getattr(errno, error)))
            told = [line for line in outcome.errors() if "out.h5" in line and re.search(reason + "|HDF5", line)]
            checks.that(told, f"{label}: no error names path and reason", outcome)
            checks.that(not os.path.exists(case.output), f"{label}: there is a result", outcome)
            checks.that(call.startswith("unlink") or not [x for x in case.leftovers() if ".partial" in x],
                        f"{label}: left a partial result", outcome)
            again = goes_on(checks, case, label, sample.ranks())
            if again.code == 0:
                recovered = support.run_report(case.output)["recovered"]["segments"]
                checks.equal(recovered, bench.segments, f"{label}: segments recovered", again)
        elif outcome.code == 0:
            checks.that(case.whole(), f"{label}: other bytes", outcome)
        case.remove()
    return None


# ---- limits of the process --------------------------------------------------------------------------------------


def check_limits(checks, bench, sample):
    """Stopped at a place, given a limit that it meets, and continued."""
    kinds = [(resource.RLIMIT_NOFILE, extra) for extra in range(4)] + [(resource.RLIMIT_FSIZE, size) for size in (0, 100, 30000)]
    cases = [(place, kind, value) for place in ("planned", "recovered", "mapped", "written") for kind, value in kinds]
    for ranks, short in ((0, 7), (2, 3)):
        for place, kind, value in sample.of(cases, short):
            limited(checks, bench, sample, place, ranks, kind, value)
    for number in sample.of((4, 8, 12, 14, 16, 18, 20, 22, 24, 28, 32), 4):  # from the start: MPI itself may fail then, in its own way
        case = bench.case()
        outcome = case.run(wrapper=support.limited(resource.RLIMIT_NOFILE, number), limit=20)
        label = f"{number} open files from the start"
        checks.that(not outcome.timed_out, f"{label}: hangs", outcome)
        checks.that(outcome.code != 0 or case.whole(), f"{label}: exit code 0 without a right result", outcome)
        if outcome.code == 74:
            checks.that(any("Too many open files" in line for line in outcome.errors()), f"{label}: no reason is named", outcome)
        if outcome.code != 0:
            goes_on(checks, case, label, 0)
        case.remove()


def limited(checks, bench, sample, place, ranks, kind, value):
    name = "open files" if kind == resource.RLIMIT_NOFILE else "size of files"
    label = f"{name} limited at {place} to {value} more, {ranks} ranks"
    case = bench.case(bench.halfway)
    process = case.start(ranks, f"call=place,path={place},error=STOP,rank=0")
    pid = stopped(process)
    if not pid:
        outcome = support.finish(process, 5)
        return checks.fail(f"{label}: did not stop", outcome)
    if kind == resource.RLIMIT_NOFILE:
        value += len(os.listdir(f"/proc/{pid}/fd"))
    resource.prlimit(pid, kind, (value, value))
    os.kill(pid, signal.SIGCONT)
    outcome = support.finish(process, 20)
    checks.that("Process received signal" not in outcome.err, f"{label}: crashed", outcome)
    checks.that(outcome.seconds < SOON, f"{label}: took {outcome.seconds:.1f} s", outcome)
    of_mpi = re.search(r"error: .*MPI_\w+ failed", outcome.err)  # a call of MPI's met the limit
    if checks.ended(outcome, (0, 1, 74) if of_mpi else (0, 74), label):
        if outcome.code == 1:
            checks.that(not os.path.exists(case.output), f"{label}: there is a result", outcome)
            goes_on(checks, case, label, sample.ranks())
        elif outcome.code == 74:
            reason = "Too many open files" if kind == resource.RLIMIT_NOFILE else "File too large"
            told = any(case.path in line and (reason in line or "HDF5" in line) for line in outcome.errors()) or \
                any(bench.corpus in line and reason in line for line in outcome.errors())
            checks.that(told, f"{label}: no error names path and reason", outcome)
            checks.that(not os.path.exists(case.output) or case.whole(), f"{label}: there is a result", outcome)
            goes_on(checks, case, label, sample.ranks())
        else:
            checks.that(case.whole(), f"{label}: other bytes", outcome)
    case.remove()
    return None


# ---- full disks -------------------------------------------------------------------------------------------------


def check_disks(checks, bench, sample):
    """Mounts need a name space; a user's own will do, where the system allows one."""
    command = support.mount_command()
    if command is None:
        return checks.note("full disks are left out: no tmpfs can be mounted")
    words = [str(sample.count or "all")] if sample.count is not None else []
    done = subprocess.run([*command, sys.executable, "-B", os.path.abspath(__file__), support.program(), *words, "disks-inside"],
                          check=False)
    return checks.equal(done.returncode, 0, "full disks")


def check_disks_inside(checks, bench, sample):
    disk = support.Disk(bench.work)
    spills = sum(os.path.getsize(f"{bench.halfway}/{n}") for n in os.listdir(bench.halfway))
    result = os.path.getsize(f"{bench.work}/good.h5")
    try:
        for where in ("checkpoint", "result", "both"):
            full = {"checkpoint": 3 * spills, "result": result, "both": 3 * spills + result}[where]
            for part in sample.of((0.01, 0.1, 0.3, 0.5, 0.7, 0.85, 0.95), 2):
                fills_up(checks, bench, sample, disk, where, int(full * part))
        timed_commits(checks, bench, disk)
        places = (("checkpoint", "planned"), ("checkpoint", "recovered"), ("checkpoint", "written"), ("result", "mapped"),
                  ("result", "publish"))
        for where, place in places:
            read_only(checks, bench, sample, disk, where, place, 0)
        for where, place in sample.of(places, 2):
            read_only(checks, bench, sample, disk, where, place, 2)
    finally:
        disk.close()


def on_disk(bench, disk, where, halfway):
    """A case whose checkpoint, result or both lie on the disk."""
    case = bench.case()
    beside = where == "both" or where == "result"
    case.output = f"{disk.path if beside else case.path}/out.h5"
    case.checkpoint = f"{disk.path if where != 'result' else case.path}/ckpt"
    if halfway:
        shutil.copytree(bench.halfway, case.checkpoint)
    case.more = ("-c", case.checkpoint)
    return case


def whole_after(checks, bench, case, label, ranks, least):
    again = case.run(ranks, more=case.more)
    if checks.ended(again, 0, f"{label}: the next run with space"):
        checks.that(case.whole(), f"{label}: other bytes", again)
        recovered = support.run_report(case.output)["recovered"]["segments"]
        checks.that(recovered >= least, f"{label}: {recovered} segments recovered instead of {least} or more", again)
        left = os.listdir(case.checkpoint) if os.path.exists(case.checkpoint) else []
        checks.equal(left, [], f"{label}: the checkpoint is left behind")  # the folder is the user's own


def fills_up(checks, bench, sample, disk, where, space):
    ranks = sample.rng.choice((0, 0, 3))
    disk.empty(64 << 20)
    case = on_disk(bench, disk, where, where != "result")
    used = sum(os.path.getsize(f"{disk.path}/{n}") + 4096 for n in support.listing(disk.path))
    disk.resize(used + space)
    label = f"{space} bytes left for {where}, {ranks} ranks"
    outcome = case.run(ranks, more=case.more, limit=20)
    if checks.ended(outcome, (0, 74), label):
        if outcome.code == 74:
            errors = outcome.errors()
            checks.that(any(disk.path in line and ("No space left" in line or "HDF5" in line) for line in errors),
                        f"{label}: no error names path and reason", outcome)
            checks.that(outcome.seconds < SOON and "Process received signal" not in outcome.err, f"{label}: slow or crashed", outcome)
            checks.that(not os.path.exists(case.output), f"{label}: there is a result", outcome)
            checks.equal([n for n in support.listing(os.path.dirname(case.output)) if ".partial" in n], [], f"{label}: left")
            disk.resize(64 << 20)
            whole_after(checks, bench, case, label, sample.ranks(), bench.segments_halfway if where != "result" else 1)
        else:
            checks.that(case.whole(), f"{label}: other bytes", outcome)
    case.remove()


def timed_commits(checks, bench, disk):
    """A disk that fills up behind a first commit, of a run from nothing."""
    disk.empty(64 << 20)
    case = on_disk(bench, disk, "checkpoint", False)
    process = case.start(0, "call=write,path=spill-,error=STOP,at=9", more=case.more)
    pid = stopped(process)
    label = "a disk that fills up behind a commit"
    if not pid:
        return checks.fail(f"{label}: did not stop", support.finish(process, 5))
    time.sleep(1.1)
    used = sum(os.path.getsize(f"{disk.path}/{n}") + 4096 for n in support.listing(disk.path))
    disk.resize(used + (300 << 10))
    os.kill(pid, signal.SIGCONT)
    outcome = support.finish(process, 20)
    if checks.ended(outcome, 74, label):
        checks.that(DONE.search(outcome.err) and int(DONE.search(outcome.err).group(1)) > 0, f"{label}: nothing is kept", outcome)
        disk.resize(64 << 20)
        whole_after(checks, bench, case, label, 3, len(entries_of(case.checkpoint)))
    case.remove()
    return None


def read_only(checks, bench, sample, disk, where, place, ranks):
    label = f"the disk of the {where} becomes read-only at {place}, {ranks} ranks"
    disk.empty(64 << 20)
    case = on_disk(bench, disk, where, True)
    process = case.start(ranks, f"call=place,path={place},error=STOP,rank=0", more=case.more)
    pid = stopped(process)
    if not pid:
        return checks.fail(f"{label}: did not stop", support.finish(process, 5))
    time.sleep(0.2)  # for the other rank to come to its barrier
    try:
        disk.resize(64 << 20, ",ro")
    except subprocess.CalledProcessError:
        os.kill(pid, signal.SIGCONT)
        support.finish(process, 20)
        return checks.note(f"{label}: left out, a file is open")
    os.kill(pid, signal.SIGCONT)
    outcome = support.finish(process, 20)
    if checks.ended(outcome, 74, label):
        checks.that(any(disk.path in line and ("Read-only" in line or "HDF5" in line) for line in outcome.errors()),
                    f"{label}: no error names path and reason", outcome)
        checks.that(outcome.seconds < SOON, f"{label}: took {outcome.seconds:.1f} s", outcome)
        checks.that(not os.path.exists(case.output), f"{label}: there is a result", outcome)
    disk.resize(64 << 20, ",rw")
    whole_after(checks, bench, case, label, sample.ranks(), bench.segments_halfway)
    case.remove()
    return None


# The long ones first: some run side by side.
PARTS = {"errors": check_errors, "kills": check_kills, "strace-kills": check_strace_kills, "commits": check_commits,
         "strace-errors": check_strace_errors, "chains": check_chains, "limits": check_limits, "disks": check_disks,
         "disks-inside": check_disks_inside}


def main():
    """faults.py [PROGRAM] [COUNT|all] [PART...]"""
    checks = support.Checks()
    only, count = support.words_given(PARTS)
    print(f"seed {SEED}")
    with support.folder() as work:
        bench = support.Bench(checks, work)
        support.run_parts(PARTS, only or [name for name in PARTS if name != "disks-inside"],
                          lambda check: check(checks, bench, Sample(count)), 3)
    checks.exit()


if __name__ == "__main__":
    sys.exit(main())
