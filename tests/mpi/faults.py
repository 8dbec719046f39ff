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
DONE = re.compile(r"(\d+) segments are done and kept in")

# Calls that may fail without harm to the result, so that a run may go on: their kind, and what of the path is left
# without the folder of the case. What is removed at the end is of no use any more, and the record of the run is no
# part of the result.
HARMLESS = (
    ("remove", r"out\.h5\.ckpt/.*"),
    ("folder", r"out\.h5\.ckpt"),
    ("stat", r"out\.h5\.ckpt(/(attempt-\d+|stop))?"),
)


def expected_codes(outcome):
    return outcome.code == 0 or outcome.code == 74


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
    """Killed in front of the Nth call, from nothing and from a part of the work; and at each place with a name."""
    cases = []
    for start in (None, bench.halfway):
        counts = count_calls(bench, start)
        cases += [(start, f"call=any,error=KILL,at={n}") for n in range(1, sum(counts.values()) + 1)]
        for call in CALLS:  # the rare calls are the ones that matter
            if counts[call] < 60:
                cases += [(start, f"call={call},error=KILL,at={n}") for n in range(1, counts[call] + 1)]
    cases = sample.of(cases, 50)
    places = ("planned", "recovered", "mapped", "written", "publish", "published")
    cases += [(start, f"call=place,path={place},error=KILL") for place in places for start in (None, bench.halfway)]
    for start, fault in cases:
        label = f"{fault}, {'from a part' if start else 'from nothing'}"
        case = bench.case(start)
        killed = case.run(fault=fault)
        if checks.ended(killed, 137, label):
            goes_on(checks, case, label, sample.ranks())
        case.remove()
    for place, rank in sample.of([(p, r) for p in places for r in range(3)], 4):
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
    for at in sample.of(range(1, total, 7), 5):
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
            harmless = name in ("EINTR", "SHORT") or any(call == c and re.fullmatch(p, rest) for c, p in HARMLESS)
            checks.that(harmless, f"{label}: {name} of {call} of {rest} was passed over", outcome)
        return True
    errors = outcome.errors()
    checks.that(faults, f"{label}: no fault, but exit code 74", outcome)
    checks.that(not any(name in ("EINTR", "SHORT") for _, _, name in faults), f"{label}: is no error", outcome)
    told = any(path in line and os.strerror(getattr(errno, name)) in line for _, path, name in faults for line in errors)
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
    for start in (None, bench.halfway):
        counts = count_calls(bench, start)
        for call in CALLS:
            for n in range(1, counts[call] + 1):
                cases += [(start, 0, call, n, "")]
                cases += [(start, 0, call, n, ",persist")] * (n < 30)
    few = [c for c in cases if c[2] not in ("read", "stat", "open", "write")]
    many = [c for c in cases if c[2] in ("read", "stat", "open", "write")]
    chosen = sample.of(few, 25) + sample.of(many, 25)
    spread = [(start, 3, call, n, persist, rank) for start in (None, bench.halfway) for call in CALLS
              for n in (1, 2, 3, 5, 8, 12, 20) for persist in ("", ",persist") for rank in range(3)]
    chosen += sample.of(spread, 14)
    passed = {}
    for start, ranks, call, n, persist, *rank in chosen:
        errors = ERRORS + (("EINTR", "SHORT") if not persist and call in ("read", "write") else ("EINTR",) * (not persist))
        error = sample.rng.choice(errors)
        fault = f"call={call},error={error},at={n}{persist}" + (f",rank={rank[0]}" if rank else "")
        check_error(checks, bench, sample, start, ranks, fault, bool(persist), passed)
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
    label = f"{fault}, {ranks} ranks, {'from a part' if start else 'from nothing'}"
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
    if done and not persistent and not start:
        checks.equal(len(entries_of(case.checkpoint)), int(done.group(1)), f"{label}: segments said to be done")
    if not done and not start and not persistent and "remove" not in fault and "folder" not in fault:
        checks.that(not os.path.exists(case.checkpoint), f"{label}: kept a checkpoint with nothing in it", outcome)
    again = goes_on(checks, case, label, sample.ranks())
    if done and again.code == 0:
        checks.equal(support.run_report(case.output)["recovered"]["segments"], int(done.group(1)),
                     f"{label}: segments recovered", again)
    case.remove()


PARTS = {"kills": check_kills, "commits": check_commits, "errors": check_errors}


def main():
    checks = support.Checks()
    words = [word for word in sys.argv[1:] if word != os.environ.get("DHATU") and not os.access(word, os.X_OK)]
    count = next((0 if word == "all" else int(word) for word in words if word == "all" or word.isdigit()), None)
    only = [word for word in words if word in PARTS]
    print(f"seed {SEED}")
    with support.folder() as work:
        bench = support.Bench(checks, work)
        for name, check in PARTS.items():
            if not only or name in only:
                began = time.monotonic()
                check(checks, bench, Sample(count))
                print(f"{name}: {time.monotonic() - began:.1f} s", flush=True)
    checks.exit()


if __name__ == "__main__":
    sys.exit(main())
