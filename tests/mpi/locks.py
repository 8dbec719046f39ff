"""One run at a time holds a checkpoint folder: of several that start at once one goes on, one that is dead is
replaced, one that was frozen and wakes up after it was replaced writes nothing more.

    locks.py [PROGRAM] [COUNT] [PART...]        COUNT: double starts of each kind, 5 if not given"""

import contextlib
import ctypes
import ctypes.util
import json
import os
import random
import re
import signal
import sys
import time

import restart
import support

SEED = 11
HANG = 30  # seconds
KILLED = restart.KILLED
DOUBLE_STARTS = 5
SPILL_WRITE = restart.SPILL_WRITE


def small_corpus(work, count=600):
    support.write(f"{work}/corpus/a.jsonl", restart.lines(21, count))
    support.write(f"{work}/corpus/b.jsonl", support.records(22, count))
    return f"{work}/corpus"


def is_refused(checks, outcome, label, pid=None):
    """69, with a message of who holds it and what to do."""
    if not checks.ended(outcome, 69, label):
        return
    words = [re.escape(os.uname().nodename), rf"process {pid or '[1-9][0-9]*'}\b", "--break-lock", r"\.ckpt", "since .* UTC"]
    for word in words:
        checks.that(any(re.search(word, e) for e in outcome.errors()), f"{label}: no error has '{word}'", outcome)
    checks.equal(len(outcome.errors()), 1, f"{label}: errors", outcome)


# ---- several at once -------------------------------------------------------------------------------------------------


def start_at_once(checks, bench, rng, number, ranks, dead, label):
    """One of them makes the result; each other one is refused, or came so late that the result was there."""
    output = bench.output()
    if dead:
        checks.ended(bench.run(output, dead, "call=place,path=mapped,error=KILL"), KILLED, f"{label}: the dead holder")
    with contextlib.ExitStack() as stack:
        started = []
        for _ in range(number):
            started.append(stack.enter_context(restart.ended_after(bench.start(output, ranks))))
            time.sleep(rng.choice((0, 0, 0, 0.01, 0.03)))
        ended = [support.finish(process, HANG) for process in started]
    wrote = [o for o in ended if o.code == 0 and "complete already" not in o.err]
    checks.equal(len(wrote), 1, f"{label}: runs that made the result; codes {[o.code for o in ended]}", ended[0])
    late = 0
    for outcome in ended:
        if outcome.code == 0 and not outcome.timed_out:
            continue
        if outcome.code == 2:
            late += 1
            checks.that(any("--force" in e for e in outcome.errors()), f"{label}: 2 without its message", outcome)
            continue
        is_refused(checks, outcome, label)
    checks.equal(restart.made(output) if os.path.exists(output) else None, bench.wanted, f"{label}: the result")
    checks.that(not os.path.exists(output + ".ckpt"), f"{label}: the checkpoint is left: "
                f"{os.listdir(output + '.ckpt') if os.path.exists(output + '.ckpt') else ''}")
    checks.equal(restart.partials(output), [], f"{label}: partial files")
    return late


def check_doubles(checks, work, count):
    bench = restart.Bench(checks, work, small_corpus(work))
    rng = random.Random(SEED)
    kinds = ((2, 1, 0, count), (2, 1, 1, count), (5, 1, 0, (count + 1) // 2), (5, 1, 2, (count + 3) // 4),
             (2, 2, 0, (count + 1) // 2), (2, 2, 1, (count + 3) // 4))
    for number, ranks, dead, times in kinds:
        label = f"{number} runs of {ranks} ranks at once" + (", a dead holder" if dead else "")
        late = sum(start_at_once(checks, bench, rng, number, ranks, dead, label) for _ in range(times))
        print(f"{label}: {times} times, {late} came when all was done", flush=True)


# ---- a frozen holder ---------------------------------------------------------------------------------------------------


def listing(output):
    """Name -> (size, time, hash) of all that a run writes."""
    folder, name = os.path.split(output)
    found = {}
    for at, _, names in os.walk(folder):
        for n in names:
            path = os.path.join(at, n)
            if os.path.relpath(path, folder).startswith(name):
                facts = os.stat(path)
                found[os.path.relpath(path, folder)] = (facts.st_size, facts.st_mtime_ns, support.sha256(path)[:16])
    return found


def without_epoch(files, epoch):
    return {n: f for n, f in files.items() if not re.search(rf"/(spill|journal)-{epoch:06d}-\d+$", n)}


@contextlib.contextmanager
def frozen(checks, bench, output, ranks, fault, label, more=()):
    """A run that is stopped where the fault says so: every rank by itself, or the others when one has come there.
    With two STOPs what was spilled at the first one is committed. Yields (process, pids)."""
    with restart.ended_after(bench.start(output, ranks, fault, more)) as process:
        pids = restart.wait_stopped(process, ranks if "ckpt/spill" in fault else 1)
        if fault.count("STOP") > 1:
            time.sleep(1.1)  # more than --commit-interval
            restart.go_on(pids)
            restart.wait_for(lambda: restart.journal_entries(output + ".ckpt") or process.poll() is not None, 5)
            pids = restart.wait_stopped(process, ranks)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        checks.equal(len(pids), ranks, f"{label}: ranks that stop")
        yield process, pids


def wakes_up(checks, process, pids, label):
    restart.go_on(pids)
    outcome = support.finish(process, 15)
    if checks.ended(outcome, 69, f"{label}: wakes up"):
        checks.that(outcome.seconds < 5, f"{label}: wakes up and ends after {outcome.seconds:.1f} s", outcome)
        checks.that("a later run has taken the checkpoint over" in outcome.err, f"{label}: does not say why", outcome)


MAP = f"{SPILL_WRITE},at=3,error=STOP"
WRITE = "call=write,path=.h5.partial,error=STOP"


def check_frozen(checks, work, count):
    """long: frozen for longer than the second between two looks at the lock, so that nothing at all is written;
    else it may write to files of its own attempt before it looks."""
    full = count > DOUBLE_STARTS
    bench = restart.Bench(checks, work, small_corpus(work))
    cases = [(f"{MAP};{SPILL_WRITE},at=5,error=STOP", 1, True), (MAP, 3, True), (MAP, 1, False), (WRITE, 1, True),
             (WRITE, 3, False), ("call=place,path=planned,error=STOP", 1, True),
             ("call=place,path=mapped,error=STOP", 1, False), ("call=place,path=written,error=STOP", 1, False),
             ("call=place,path=publish,error=STOP", 1, False)]
    if full:
        places = [f"call=place,path={place},error=STOP" for place in restart.PLACES[:6]]
        cases += [(fault, ranks, long) for fault in (MAP, WRITE, *places) for ranks in (1, 2, 4) for long in (True, False)]
    for fault, ranks, long in cases:
        where = re.sub("call=|path=|,error=STOP", "", fault)
        check_takeover(checks, bench, fault, ranks, long, f"frozen at {where}, {ranks} ranks{', for long' * long}")
    for fault in (MAP, WRITE):
        check_folder_gone(checks, bench, fault, f"frozen at {fault}, and the folder is gone")
    check_two_frozen(checks, bench)


def check_takeover(checks, bench, fault, ranks, long, label):
    output = bench.output()
    keep = ["--keep-checkpoint"]
    with frozen(checks, bench, output, ranks, fault, label, keep) as (process, pids):
        if len(pids) != ranks:
            return
        is_refused(checks, bench.run(output, 1, more=keep), f"{label}: a second run", pids[0])
        second = bench.run(output, 2 if ranks > 1 else 1, more=[*keep, "--break-lock"])
        bench.is_good(second, output, f"{label}: --break-lock", kept=True)
        checks.that(re.search(rf"--break-lock takes it from .*process {pids[0]}\b", second.err),
                    f"{label}: --break-lock does not say from whom it takes the folder", second)
        before = listing(output)
        time.sleep(1.1 if long else 0)
        wakes_up(checks, process, pids, label)
        after = listing(output)
        new = set(without_epoch(after, 1)) if not long else set(after)
        checks.equal(sorted(new - set(before)), [], f"{label}: files made after it woke up")
        old = without_epoch(before, 1)
        checks.equal(sorted(n for n in old if after.get(n) != old[n]), [], f"{label}: files that changed after it woke up")
    again = bench.run(output, 1, more=keep)
    bench.is_good(again, output, f"{label}: the same command again", kept=True)
    checks.that("complete already" in again.err, f"{label}: the same command again is not complete", again)


def check_folder_gone(checks, bench, fault, label):
    """The second run has finished and removed the folder: it must not come back."""
    output = bench.output()
    with frozen(checks, bench, output, 1, fault, label) as (process, pids):
        bench.is_good(bench.run(output, 1, more=["--break-lock"]), output, f"{label}: --break-lock")
        before = listing(output)
        wakes_up(checks, process, pids, label)
        checks.equal(listing(output), before, f"{label}: what it writes")
        checks.that(not os.path.exists(output + ".ckpt"), f"{label}: the folder is there again")


def check_two_frozen(checks, bench):
    """The new holder is at work when the old one wakes up, and goes on undisturbed."""
    output = bench.output()
    label = "the new holder is at work"
    with frozen(checks, bench, output, 1, MAP, label) as (old, old_pids), \
            frozen(checks, bench, output, 2, MAP, label, ["--break-lock"]) as (new, new_pids):
        wakes_up(checks, old, old_pids, label)
        is_refused(checks, bench.run(output, 1), f"{label}: a third run", new_pids[0] if new_pids else None)
        restart.go_on(new_pids)
        bench.is_good(support.finish(new, HANG), output, label)


# ---- holders of other hosts and of Slurm ---------------------------------------------------------------------------------


def xxh3_of(data):
    """None where there is no libxxhash."""
    for name in (ctypes.util.find_library("xxhash"), "libxxhash.so.0"):
        with contextlib.suppress(OSError, TypeError, AttributeError):
            function = ctypes.CDLL(name).XXH3_64bits
            function.restype = ctypes.c_uint64
            function.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
            return function(data, len(data))
    return None


def rewrite(ckpt, **fields):
    """Changes what the last attempt's file says, check included."""
    name = max(n for n in os.listdir(ckpt) if re.fullmatch(r"attempt-\d+", n))
    with open(f"{ckpt}/{name}", "rb") as file:
        data = file.read()
    facts = json.loads(data)
    facts.pop("check")
    covered = data[:data.rindex(b',"check"')]
    if json.dumps(facts, separators=(",", ":")).encode()[:-1] != covered:
        raise RuntimeError(f"an attempt's file looks different: {data!r}")
    facts.update(fields)
    covered = json.dumps(facts, separators=(",", ":")).encode()[:-1]
    support.write(f"{ckpt}/{name}", covered + b',"check":"%016x"}\n' % xxh3_of(covered))


def start_time(pid):
    with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
        return int(file.read().rsplit(")", 1)[1].split()[19])


def fake_squeue(work, answer, code=0):
    """A folder with a squeue that notes its arguments and answers."""
    folder = f"{work}/bin"
    script = f"#!/bin/sh\necho \"$@\" >>{folder}/asked\n{answer}\nexit {code}\n"
    path = support.write(f"{folder}/squeue", script.encode())
    os.chmod(path, 0o755)
    with contextlib.suppress(OSError):
        os.unlink(f"{folder}/asked")
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


class Holder:
    """Checkpoints of a run that was killed when mapped; what the next run makes of the holder's file."""

    def __init__(self, checks, bench):
        self.checks, self.bench = checks, bench
        self.output = bench.output()
        self.kill()

    def kill(self):
        outcome = self.bench.run(self.output, 1, "call=place,path=mapped,error=KILL")
        self.checks.ended(outcome, KILLED, "the dead holder")

    def meets(self, label, code, words=(), env=None, more=(), limit=HANG):
        """code: 69, or 0: the folder is taken without a question. The next case finds a killed run again."""
        command = self.bench.command(self.output, *more)
        outcome = support.run(command, env=env, limit=limit)
        if code == 0:
            self.bench.is_good(outcome, self.output, label)
            if not more:
                self.checks.that("--break-lock" not in outcome.err, f"{label}: a question was asked", outcome)
            with contextlib.suppress(OSError):
                os.unlink(self.output)
            self.kill()
        elif self.checks.ended(outcome, code, label):
            for word in words:
                self.checks.that(any(re.search(word, e) for e in outcome.errors()), f"{label}: no error has '{word}'", outcome)
        return outcome

    def is_seen_as(self, state, label, env=None):
        outcome = support.run(["status", "--json", self.output + ".ckpt"], env=env, limit=HANG)
        if self.checks.ended(outcome, 0, f"{label}: status"):
            self.checks.equal(json.loads(outcome.out)["state"], state, f"{label}: state")


OTHER_HOST = {"host": "node99", "boot": "01234567-89ab-cdef-0123-456789abcdef", "pid": 4242}


def check_hosts(checks, work, count):
    bench = restart.Bench(checks, work, small_corpus(work, 200))
    holder = Holder(checks, bench)
    ckpt = holder.output + ".ckpt"
    name = f"{ckpt}/attempt-000001"
    restart.flip(name, 20)
    holder.meets("a damaged attempt's file", 69, ["attempt 1, whose file is damaged", "--break-lock"])
    holder.is_seen_as("unknown", "a damaged attempt's file")
    outcome = holder.meets("a damaged attempt's file, --break-lock", 0, more=["--break-lock"])
    checks.that("--break-lock takes it from attempt 1" in outcome.err, "--break-lock: says nothing", outcome)
    if xxh3_of(b"") is None:
        checks.note("no libxxhash: holders of other hosts are left out")
        return
    rewrite(ckpt, **OTHER_HOST)
    for ranks in (1, 2):
        outcome = bench.run(holder.output, ranks)
        checks.ended(outcome, 69, f"the holder is on another host, {ranks} ranks")
        for word in ("may be held", "node99", "process 4242", "--break-lock"):
            checks.that(any(word in e for e in outcome.errors()), f"another host: no error has '{word}'", outcome)
    holder.is_seen_as("unknown", "another host")
    outcome = holder.meets("another host, --break-lock", 0, more=["--break-lock"])
    checks.that(re.search("takes it from .*node99, process 4242", outcome.err), "another host: no warning", outcome)
    rewrite(ckpt, boot=OTHER_HOST["boot"])
    holder.is_seen_as("dead", "this host was booted anew")
    holder.meets("this host was booted anew", 0)
    rewrite(ckpt, pid_space=1)
    holder.meets("another container", 69, ["may be held", "--break-lock"])
    rewrite(ckpt, pid_space=os.stat("/proc/self/ns/pid").st_ino, pid=os.getpid(), pid_start=start_time(os.getpid()))
    holder.is_seen_as("running", "a process that lives")
    holder.meets("a process that lives", 69, ["is held", rf"process {os.getpid()}\b"])
    rewrite(ckpt, pid_start=start_time(os.getpid()) - 1)
    holder.is_seen_as("dead", "another process of the same number")
    holder.meets("another process of the same number", 0)
    check_slurm(checks, work, holder, count)


def check_slurm(checks, work, holder, count):
    ckpt = holder.output + ".ckpt"
    cases = (("runs", "echo RUNNING", 0, 69, "running"), ("waits to run again", "echo PENDING", 0, 0, "dead"),
             ("is being ended", "echo COMPLETING", 0, 69, "running"),
             ("an array, one runs", "echo COMPLETED; echo RUNNING", 0, 69, "running"),
             ("completed", "echo COMPLETED", 0, 0, "dead"), ("cancelled", "echo CANCELLED", 0, 0, "dead"),
             ("is known no more", "echo 'slurm_load_jobs error: Invalid job id specified' >&2", 1, 0, "dead"),
             ("is not listed", "", 0, 0, "dead"),
             ("is not to be known", "echo 'Unable to contact slurm controller' >&2", 1, 69, "unknown"),
             ("a warning only", "echo 'squeue: some warning'", 0, 69, "unknown"))
    job = {"job": "123456", **OTHER_HOST}
    for label, answer, code, wanted, state in cases:
        label = f"the holder's Slurm job {label}"
        env = fake_squeue(work, answer, code)
        rewrite(ckpt, **job)
        asked = False
        holder.is_seen_as(state, label, env)
        holder.meets(label, wanted, ["node99", "Slurm job 123456", "is held" if state == "running" else "may be held"], env)
        with contextlib.suppress(OSError), open(f"{work}/bin/asked", encoding="utf-8") as file:
            asked = "123456" in file.read()
        checks.that(asked, f"{label}: squeue is not asked for it")
    rewrite(ckpt, **job)
    env = {**fake_squeue(work, "echo RUNNING"), "SLURM_JOB_ID": "123456", "SLURM_RESTART_COUNT": "1"}
    holder.meets("Slurm has restarted the job", 0, env=env)
    if count > DOUBLE_STARTS:
        rewrite(ckpt, **job)
        env = fake_squeue(work, "sleep 100")
        outcome = holder.meets("squeue does not answer", 69, ["may be held"], env)
        checks.that(outcome.seconds < 15, f"squeue does not answer: waited {outcome.seconds:.0f} s", outcome)


# ---- all of it -------------------------------------------------------------------------------------------------------------

PARTS = {"doubles": check_doubles, "frozen": check_frozen, "hosts": check_hosts}


def main():
    """locks.py [PROGRAM] [COUNT] [PART...]"""
    parts, count = support.words_given(PARTS)
    checks = support.Checks()
    support.program()
    print(f"seed {SEED}")
    support.run_in_folders(PARTS, parts, lambda check, work: check(checks, work, count or DOUBLE_STARTS), 3)
    checks.exit()


if __name__ == "__main__":
    sys.exit(main())
