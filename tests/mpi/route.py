"""Whole runs whose batches are computed elsewhere: by devices, by ranks that have nothing to read, on other nodes; and
what becomes of a run when those fail, hang, are stopped or killed. The result is always the same bytes.

    route.py [PROGRAM] [PART...] [long [SEED [SECONDS]]]

Devices are those of OpenCL, which PoCL makes of the processor; DHATU_FAULT breaks them. DHATU_PRETEND_NODE_RANKS makes
nodes of ranks, so that batches travel. long: random devices, nodes and faults, in chains of runs that go on."""

import contextlib
import gzip
import itertools
import os
import random
import signal
import sys
import tempfile
import time

import support
from restart import ended_after, go_on, wait_for, wait_stopped

LIMIT = 20  # seconds: a run that takes longer hangs
OPTIONS = (*support.JOBS, "--segment-size", "128K", "--batch-size", "16K")
OPENCL = ("--backend", "opencl", "--route", "device")
SMALL_TIMEOUT = ("--device-timeout", "1")
KILLED = 128 + signal.SIGKILL
BATCH = "call=device,path=batch"
HOSTILE_SIZE = 40


def apart(ranks=1):
    return {"DHATU_PRETEND_NODE_RANKS": str(ranks)}


# ---- corpora -------------------------------------------------------------------------------------------------------


def hostile_lines(seed, count):
    """What does not fit the slot of a batch of 16 KiB: texts that grow when they are repaired, that have a token in
    every character, or that are larger than the batch; and empty ones."""
    rng = random.Random(seed)
    lines = []
    for i in range(count):
        size = rng.choice((0, 1, 30, 700, 5400, 8000, 16000, 16384, 20000))
        text = rng.choice((
            b"\xff" * size, "灯台の番人は船を書く".encode() * (size // 30), b"\xe7\x81 " * (size // 3), b"x" * size,
            b"a b " * (size // 4), b"happily " * (size // 8), "灯。".encode() * (size // 6)))
        lines.append(b'{"id":"hostile-%d","text":"%s"}\n' % (i, text))
    return lines


def make_corpus(root):
    """About 3 MB in hundreds of batches: a plain source, a stream, small texts."""
    lines = support.mixed_lines(1, 650) + hostile_lines(2, HOSTILE_SIZE)
    random.Random(3).shuffle(lines)
    support.write(f"{root}/plain.jsonl", b"".join(lines))
    stream = support.mixed_lines(4, 500) + hostile_lines(5, HOSTILE_SIZE)
    support.write(f"{root}/stream.jsonl.gz", support.multi_member(b"".join(stream)))
    rng = random.Random(6)
    for i in range(60):
        support.write(f"{root}/texts/t{i}.txt", support.sentences(rng, rng.randint(0, 40), "fr").encode())
    return root


def make_one_stream(path, repeats):
    """One large .gz, of which one rank reads all."""
    lines = b"".join(support.record(random.Random(i), i) + b"\n" for i in range(4000))
    return support.write(path, gzip.compress(lines, 6, mtime=0) * repeats)


# ---- runs ----------------------------------------------------------------------------------------------------------


class Report:
    """What the ranks of a run did."""

    def __init__(self, output):
        self.ranks = support.run_report(output)["rank_figures"]
        self.devices = {r: figures["device"] for r, figures in enumerate(self.ranks) if figures["device"] is not None}

    def batches(self, kind):
        return [figures["batches"][kind] for figures in self.ranks]

    def total(self, kind):
        return sum(self.batches(kind))

    def all(self):
        return self.total("here") + self.total("away")

    def by_devices(self):
        return sum(device["batches"] for device in self.devices.values())


class Bench:
    """A corpus, and what one rank makes of it by itself."""

    def __init__(self, checks, work, corpus, options=OPTIONS):
        self.checks, self.corpus, self.options = checks, corpus, options
        self.work = tempfile.mkdtemp(dir=work)
        self.count = itertools.count(1)
        self.runs = 0
        outcome, output = self.run(more=("--backend", "cpu", "--route", "self"))
        if not checks.ended(outcome, 0, "one rank by itself"):
            checks.exit()
        self.wanted = support.prints(output)
        self.batches = Report(output).all()

    def output(self):
        return f"{self.work}/out{next(self.count)}.h5"

    def start(self, output, ranks=0, more=(), fault=None, env=None, **options):
        self.runs += 1
        env = {**(env or {}), **({"DHATU_FAULT": fault} if fault else {})}
        return support.start(["run", *self.options, *more, "-o", output, self.corpus], ranks, env=env, **options)

    def run(self, ranks=0, more=(), output=None, limit=LIMIT, **options):
        output = output or self.output()
        return support.finish(self.start(output, ranks, more, **options), limit), output

    def is_good(self, outcome, output, label):
        """Ended with 0 and the same bytes. Its report, or None."""
        if not self.checks.ended(outcome, 0, label):
            return None
        self.checks.equal(support.prints(output), self.wanted, f"{label}: the result differs", outcome)
        self.checks.equal(outcome.errors(), [], f"{label}: errors", outcome)
        self.checks.that(not os.path.exists(output + ".ckpt"), f"{label}: the checkpoint is still there", outcome)
        report = Report(output)
        for name in (output + suffix for suffix in support.SUFFIXES):
            with contextlib.suppress(OSError):
                os.unlink(name)
        return report

    def good(self, label, ranks=0, more=(), **options):
        outcome, output = self.run(ranks, more, **options)
        return self.is_good(outcome, output, label), outcome

    def goes_on(self, output, label, ranks, more=(), **options):
        """The same command again, to the end."""
        outcome, output = self.run(ranks, more, output, **options)
        return self.is_good(outcome, output, f"{label}; then {ranks} ranks, {' '.join(more)}")


def check_device(bench, report, outcome, label, rank, state, reason=""):
    """The device of the rank ended so, and stderr says it where it was closed."""
    checks = bench.checks
    device = report.devices.get(rank) if report else None
    if not checks.that(device, f"{label}: rank {rank} has no device", outcome):
        return
    checks.equal(device["state"], state, f"{label}: state of the device", outcome)
    checks.that(reason in device["reason"], f"{label}: reason {device['reason']!r}", outcome)
    told = [line for line in outcome.err.splitlines() if f"the device of rank {rank} on" in line and "was closed" in line]
    checks.equal(len(told), 0 if state == "open" else 1, f"{label}: lines at the end about a closed device", outcome)
    checks.that(state == "open" or device["reason"] in told[-1], f"{label}: the line at the end has no reason", outcome)


# ---- the places where batches are computed -------------------------------------------------------------------------


def check_ranks(checks, work):
    """One large .gz: the rank that reads it gives batches to all that have nothing to read."""
    stream = make_one_stream(f"{work}/one.jsonl.gz", 10)
    bench = Bench(checks, work, stream, (*support.JOBS, "--batch-size", "256K"))
    for ranks in (2, 3, 4, 7):
        report, outcome = bench.good(f"one .gz, {ranks} ranks", ranks, ("--backend", "cpu"))
        if report is None:
            continue
        helped = report.batches("for_ranks")
        reader = max(range(ranks), key=lambda r: report.ranks[r]["documents"])
        idle = [count for r, count in enumerate(helped) if r != reader]
        checks.equal(helped[reader], 0, f"one .gz, {ranks} ranks: batches of others that the reader computed", outcome)
        checks.that(all(idle), f"one .gz, {ranks} ranks: ranks computed {helped} for others", outcome)
        checks.equal(sum(idle), report.total("away"), f"one .gz, {ranks} ranks: batches sent and computed", outcome)
        if ranks >= 4:
            checks.that(report.total("away") > report.all() / 2,
                        f"one .gz, {ranks} ranks: only {report.total('away')} of {report.all()} batches by others", outcome)
    report, outcome = bench.good("one .gz, 4 ranks, --route self", 4, ("--route", "self"))
    if report is not None:
        checks.equal(report.total("for_ranks") + report.total("away"), 0, "--route self: batches for others", outcome)


def check_nodes(checks, work):
    """Batches of nodes without a device travel to one that has some; those of other ranks of its node, too."""
    bench = Bench(checks, work, make_corpus(f"{work}/corpus"))
    for ranks, per_node, owner in ((2, 1, 0), (2, 1, 1), (3, 2, 0), (3, 2, 2), (3, 1, 1), (3, 3, 1), (4, 2, 3), (7, 2, 6)):
        label = f"{ranks} ranks, nodes of {per_node}, a device of rank {owner}"
        report, outcome = bench.good(label, ranks, OPENCL, env=apart(per_node), wrapper=support.seen_by(owner))
        if report is None:
            continue
        check_device(bench, report, outcome, label, owner, "open")
        checks.equal(list(report.devices), [owner], f"{label}: ranks with a device", outcome)
        checks.equal(report.by_devices(), report.total("sent_to_devices"), f"{label}: batches sent and done", outcome)
        checks.equal(report.total("away"), report.total("sent_to_devices"), f"{label}: batches away", outcome)
        checks.that(report.total("sent_to_devices") > bench.batches / 2, f"{label}: hardly a batch by the device", outcome)
        for rank, sent in enumerate(report.batches("sent_to_devices")):
            done = report.ranks[rank]["documents"]
            checks.that(sent > 0 or done < 100, f"{label}: rank {rank} sent none of its {done} documents", outcome)
        checks.that(report.total("here") > 0, f"{label}: what does not fit a slot is not done where it was read", outcome)
        checks.equal(report.total("redone") + report.total("late"), 0, f"{label}: batches done again", outcome)
    label = "4 ranks, nodes of 2, both with devices"
    report, outcome = bench.good(label, 4, OPENCL, env=apart(2))
    checks.equal(list(report.devices) if report else None, [0, 2], f"{label}: ranks with a device", outcome)
    for more in ((), ("--route", "self")):
        bench.good(f"3 ranks, nodes of 1, {more}", 3, ("--backend", "opencl", *more), env=apart(1), wrapper=support.seen_by(1))


def check_choice(checks, work):
    """--backend, --devices and --route as they were meant."""
    bench = Bench(checks, work, support.write(f"{work}/few.jsonl", support.records(1, 300)))
    two = {"POCL_DEVICES": "pthread pthread"}
    several = support.run(["devices", "--json"], env=two).out.count('"used_as"') > 2
    for more, wanted in ((("--devices", "none"), 0), (("--devices", "0"), 0), (("--devices", "1"), 1), (("--devices", "2"), 2),
                         (("--devices", "7"), 2), ((), 2), (("--route", "self"), 0)):
        if wanted == 2 and not several:
            checks.note("PoCL makes no second device")
            continue
        report, outcome = bench.good(f"opencl {more}", 3, ("--backend", "opencl", *more), env=two)
        checks.equal(sorted(report.devices) if report else None, list(range(wanted)), f"opencl {more}: ranks with devices", outcome)
    for more in (("--backend", "cpu"), ("--backend", "cpu", "--route", "device"), ("--backend", "cpu", "--devices", "1")):
        report, outcome = bench.good(f"{more}", 2, more)
        checks.equal(report.devices if report else None, {}, f"{more}: devices", outcome)
    report, outcome = bench.good("--backend auto", 2)
    accelerators = any(os.path.exists(path) for path in ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd", "/dev/dri"))
    if report is not None and not accelerators:
        checks.equal(report.devices, {}, "--backend auto without an accelerator: devices", outcome)
    for ranks in (0, 3):
        for more, words in ((("--devices", "junk"), ("--devices", "junk")), (("--devices", "-1"), ("--devices", "-1")),
                            (("--devices", "1x"), ("--devices", "1x")), (("--backend", "what"), ("what",)),
                            (("--route", "what"), ("what",)), (("--device-timeout", "0"), ("device-timeout",))):
            if ranks or more[0] == "--devices":
                refused(bench, ranks, more, words)
        refused(bench, ranks, ("--backend", "opencl"), ("opencl",), env={"OCL_ICD_VENDORS": "/nonexistent", "OCL_ICD_FILENAMES": ""})
        refused(bench, ranks, ("--backend", "cuda"), ("cuda",), env={"CUDA_VISIBLE_DEVICES": ""})
    for different, option in (("--route self", "route"), ("--devices none", "devices"), ("--device-timeout 7", "device-timeout")):
        wrapper = ("/bin/sh", "-c", f'case ${{OMPI_COMM_WORLD_RANK:-$PMI_RANK}} in 1) exec "$@" {different};; esac; exec "$@"', "sh")
        refused(bench, 3, (), (f"--{option}", "different"), wrapper=wrapper)


def refused(bench, ranks, more, words, **options):
    """Exit code 2, before anything is done, and one message that says what."""
    outcome, output = bench.run(ranks, more, **options)
    label = f"{' '.join(more)}, {ranks} ranks"
    if bench.checks.ended(outcome, 2, label):
        bench.checks.that(any(all(word in line for word in words) for line in outcome.errors()), f"{label}: what is told", outcome)
        bench.checks.that(not os.path.exists(output), f"{label}: there is a result")


# ---- devices that fail ---------------------------------------------------------------------------------------------


def failing_places(bench):
    """(label, ranks, options of run, the device's rank): alone, in a node, between nodes."""
    between = {"env": apart(1), "wrapper": support.seen_by(1)}
    return [("alone", 0, {}, 0), ("on a node", 3, {}, 0), ("between nodes", 3, between, 1)]


def check_lost(checks, work):
    """A device that fails: what it had is done elsewhere, and the run says so."""
    bench = Bench(checks, work, make_corpus(f"{work}/corpus"))
    for where, ranks, options, rank in failing_places(bench):
        label = f"{where}: cannot be opened"
        report, outcome = bench.good(label, ranks, OPENCL, fault="call=device,path=open,error=EIO", **options)
        checks.equal(report.devices if report else None, {}, f"{label}: devices", outcome)
        checks.that("is not used: " in outcome.err, f"{label}: no warning", outcome)
        report, outcome = bench.good(f"{where}: undisturbed", ranks, OPENCL, **options)
        last = report.by_devices() if report else 1
        for at in (1, 3, last) if ranks == 0 else (1, 3, last // 2):
            label = f"{where}: error at batch {at} of {last}"
            report, outcome = bench.good(label, ranks, OPENCL, fault=f"{BATCH},error=EIO,at={at}", **options)
            check_device(bench, report, outcome, label, rank, "lost")
            if report is not None:
                checks.that(report.total("redone") > 0, f"{label}: nothing was done again", outcome)
                checks.that(report.by_devices() < at, f"{label}: the device did {report.by_devices()}", outcome)
                checks.equal(report.total("late"), 0, f"{label}: batches that nobody answered for", outcome)
    check_reader_elsewhere(checks, work)


def check_reader_elsewhere(checks, work):
    """The rank of the device reads nothing: all that it computes is of others."""
    bench = Bench(checks, work, make_one_stream(f"{work}/one.jsonl.gz", 1), ("-j", "profile,digest", "--batch-size", "16K"))
    for fault, state in ((None, "open"), (f"{BATCH},error=EIO,at=5", "lost"), (f"{BATCH},error=ENOMEM,at=5", "open")):
        for _ in range(12):  # any rank may be the one that reads
            label = f"a device whose rank reads nothing, {fault}"
            report, outcome = bench.good(label, 4, OPENCL, fault=fault, env=apart(2), wrapper=support.seen_by(3))
            if report is None or report.ranks[3]["documents"] == 0:
                break
        check_device(bench, report, outcome, label, 3, state)
        if report is not None and checks.equal(report.ranks[3]["documents"], 0, f"{label}: documents of its rank", outcome):
            sent = report.total("sent_to_devices")
            checks.that(sent > 10 if state == "open" else sent >= 5, f"{label}: {sent} batches were sent", outcome)


def check_no_memory(checks, work):
    """A device without memory gets less at a time; it is not given up."""
    bench = Bench(checks, work, make_corpus(f"{work}/corpus"))
    for where, ranks, options, rank in failing_places(bench):
        # The last: a batch fails whatever its size, so that it comes to one document, which is done elsewhere.
        for more, least, most in (("at=2", 1, 1), ("chance=0.1,seed=3", 3, 1000), ("at=1,persist", 10, 1000)):
            label = f"{where}: no memory, {more}"
            report, outcome = bench.good(label, ranks, OPENCL, fault=f"{BATCH},error=ENOMEM,{more}", **options)
            check_device(bench, report, outcome, label, rank, "open")
            if report is not None and rank in report.devices:
                told = report.devices[rank]["no_memory"]
                checks.that(least <= told <= most, f"{label}: counted {told}", outcome)
                checks.that("persist" in more or report.by_devices() > bench.batches / 4,
                            f"{label}: the device did {report.by_devices()}", outcome)


def check_hung(checks, work):
    """A device that does not answer is left alone, and the process ends in spite of it."""
    bench = Bench(checks, work, make_corpus(f"{work}/corpus"))
    places = failing_places(bench) + [("two nodes", 4, {"env": apart(2), "wrapper": support.seen_by(2)}, 2)]
    for where, ranks, options, rank in places:
        for at in (1, 12) if ranks == 0 else (12,):
            label = f"{where}: hangs at batch {at}"
            report, outcome = bench.good(label, ranks, (*OPENCL, *SMALL_TIMEOUT), fault=f"{BATCH},error=ETIMEDOUT,at={at}", **options)
            check_device(bench, report, outcome, label, rank, "hung", "--device-timeout")
            checks.that(outcome.seconds < 15, f"{label}: took {outcome.seconds:.1f} s", outcome)
            checks.that(report is None or report.total("redone") > 0, f"{label}: nothing was done again", outcome)
    # The slots of a device that hangs are given up. With no memory for others there are fewer; with none the run ends.
    for at in (1, 3):
        label = f"hangs, and no memory for slots from the {at}. on"
        fault = f"{BATCH},error=ETIMEDOUT,at=8;call=allocate,error=ENOMEM,path=a batch,at={at},persist"
        outcome, output = bench.run(0, (*OPENCL, *SMALL_TIMEOUT), fault=fault)
        checks.ended(outcome, (0, 1), label)
        if outcome.code == 0:
            checks.equal(support.prints(output), bench.wanted, f"{label}: the result", outcome)
        else:
            checks.that("no memory for a batch is left" in outcome.err, f"{label}: what is told", outcome)
            bench.goes_on(output, label, 0, ("--backend", "cpu"))


def check_stopped(checks, work):
    """The rank of the device is stopped while it has batches of others, which give up on them; then it goes on."""
    bench = Bench(checks, work, make_corpus(f"{work}/corpus"))
    for where, ranks, options, rank in failing_places(bench)[1:] + [("two nodes", 4, {"env": apart(2), "wrapper": support.seen_by(2)}, 2)]:
        label = f"{where}: the rank of the device is stopped"
        output = bench.output()
        fault = f"{BATCH},error=STOP,at=4,rank={rank}"
        with ended_after(bench.start(output, ranks, (*OPENCL, *SMALL_TIMEOUT), fault, **options)) as process:
            pids = wait_stopped(process, 1)
            checks.equal(len(pids), ranks, f"{label}: ranks")
            time.sleep(2.5)  # others wait 1.5 s
            go_on(pids)
            outcome = support.finish(process, LIMIT)
        report = bench.is_good(outcome, output, label)
        if report is not None:
            late = report.batches("late")
            checks.that(sum(late) > 0 and late[rank] == 0, f"{label}: late {late}", outcome)
            checks.that(report.total("redone") >= sum(late), f"{label}: redone {report.total('redone')}, late {late}", outcome)


# ---- leaving, killed -----------------------------------------------------------------------------------------------


def leave_with_devices(bench, label, ranks, how, grace, fault, more=(), **options):
    """A rank stops at a batch, with others away; how(process, pids, output) gives a reason to leave; it goes on. What is
    kept is finished by another backend."""
    checks = bench.checks
    output = bench.output()
    more = (*OPENCL, "--grace", str(grace), "--commit-interval", "1", *more)
    with ended_after(bench.start(output, ranks, more, fault, **options)) as process:
        pids = wait_stopped(process, 1)
        if not checks.equal(len(pids), max(ranks, 1), f"{label}: ranks"):
            return
        began = time.monotonic()
        how(process, pids, output)
        go_on(pids)
        outcome = support.finish(process, LIMIT)
    seconds = time.monotonic() - began
    checks.ended(outcome, 75, label)
    allowed = grace + (1.2 if ranks else 0)  # a second is mpirun's, which ends ranks that are ending
    checks.that(seconds < allowed, f"{label}: took {seconds:.1f} s of {allowed}", outcome)
    checks.equal(outcome.errors(), [], f"{label}: errors", outcome)
    bench.goes_on(output, label, 2 if ranks != 2 else 3, ("--backend", "cpu"))


def check_leaving(checks, work):
    bench = Bench(checks, work, make_corpus(f"{work}/corpus"))

    def to(number):
        return lambda process, pids, output: os.kill(pids[0], number)  # a rank with a device

    def stop_file(process, pids, output):
        support.write(f"{output}.ckpt/stop", b"")
        time.sleep(2.2)  # it is looked for every two seconds

    def too_long(process, pids, output):
        time.sleep(2)

    between = {"env": apart(1), "wrapper": support.seen_by(1)}
    stop = f"{BATCH},error=STOP,at=20"
    for name, how, more in (("SIGUSR1", to(signal.SIGUSR1), ()), ("SIGTERM", to(signal.SIGTERM), ()), ("the stop file", stop_file, ()),
                            ("--max-time", too_long, ("--max-time", "3"))):
        leave_with_devices(bench, f"{name}, a node", 3, how, 8, stop, more)
        if name in ("SIGUSR1", "the stop file"):
            leave_with_devices(bench, f"{name}, between nodes", 3, how, 8, stop, more, **between)
    leave_with_devices(bench, "SIGUSR1, alone", 0, to(signal.SIGUSR1), 8, stop)
    check_leaving_ranks(checks, work)


def check_leaving_hung(checks, work):
    """The device hangs and its timeout is far away, but the end of the grace is not."""
    bench = Bench(checks, work, make_corpus(f"{work}/corpus"))
    stop = f"{BATCH},error=STOP,at=20"

    def how(process, pids, output):
        os.kill(pids[0], signal.SIGUSR1)

    between = {"env": apart(1), "wrapper": support.seen_by(1)}
    hangs = f"{BATCH},error=ETIMEDOUT,at=18;{stop}"
    leave_with_devices(bench, "SIGUSR1, a device that hangs", 0, how, 4, hangs)
    leave_with_devices(bench, "SIGUSR1, a device that hangs, a node", 3, how, 4, hangs)
    leave_with_devices(bench, "SIGUSR1, a device that hangs, between nodes", 3, how, 4, hangs, **between)


def check_leaving_ranks(checks, work):
    """The rank that reads is told to leave while ranks that have nothing to read compute for it."""
    bench = Bench(checks, work, make_one_stream(f"{work}/one.jsonl.gz", 12),
                  (*support.JOBS, "--batch-size", "64K", "--segment-size", "256K", "--commit-interval", "1"))
    output = bench.output()
    with ended_after(bench.start(output, 4, ("--backend", "cpu", "--grace", "8"), "call=write,path=ckpt/spill,at=6,error=STOP")) as process:
        pids = wait_stopped(process, 1)  # the one that reads
        for pid in pids:
            os.kill(pid, signal.SIGUSR1)
        time.sleep(0.3)
        go_on(pids)
        outcome = support.finish(process, 8)
    checks.ended(outcome, 75, "SIGUSR1 while idle ranks compute")
    bench.goes_on(output, "SIGUSR1 while idle ranks compute", 3, OPENCL)


def check_killed(checks, work):
    """Killed with batches away, finished by another backend on other ranks, both ways."""
    bench = Bench(checks, work, make_corpus(f"{work}/corpus"), (*OPTIONS, "--commit-interval", "1"))
    between = {"env": apart(1), "wrapper": support.seen_by(1)}
    spill = "call=write,path=ckpt/spill"
    cpu, opencl, auto = ("--backend", "cpu"), OPENCL, ("--backend", "opencl")
    cases = [("opencl, rank 0", 3, opencl, f"{BATCH},error=KILL,at=40", {}, (2, cpu, {})),
             ("opencl, between nodes", 3, opencl, f"{BATCH},error=KILL,at=40,rank=1", between, (0, cpu, {})),
             ("opencl, a rank without a device", 4, opencl, f"{spill},error=KILL,at=2,rank=2", {}, (7, opencl, {})),
             ("cpu", 2, cpu, f"{spill},error=KILL,at=9", {}, (3, opencl, {})),
             ("cpu, one rank", 0, cpu, f"{spill},error=KILL,at=9", {}, (3, opencl, between)),
             ("auto", 7, auto, f"{spill},error=KILL,at=2,rank=3", {}, (0, opencl, {}))]
    for name, ranks, more, fault, options, (then, other, others) in cases:
        output = bench.output()
        outcome, output = bench.run(ranks, more, output, fault=fault, **options)
        if outcome.code == 0:
            checks.note(f"killed, {name}: the run was over before")
            continue
        checks.ended(outcome, KILLED, f"killed, {name}")
        bench.goes_on(output, f"killed, {name}", then, other, **others)
    check_three_backends(bench)


def check_three_backends(bench):
    """Attempts of both backends in one checkpoint, each of which commits something before it is killed."""
    output = bench.output()
    for attempt, (ranks, more) in enumerate((((0, ("--backend", "cpu")), (0, OPENCL), (2, ("--backend", "cpu")), (3, OPENCL)))):
        fault = "call=write,path=ckpt/spill,error=STOP,at=3;call=write,path=ckpt/spill,error=KILL,at=5"
        with ended_after(bench.start(output, ranks, more, fault)) as process:
            pids = wait_stopped(process, 1)
            time.sleep(1.1)  # more than the interval of commits
            for _ in range(50):  # ranks stop one by one
                go_on(support.ranks_of(process.pid))
                if process.poll() is not None:
                    break
                time.sleep(0.1)
            outcome = support.finish(process, LIMIT)
        bench.checks.ended(outcome, (0, KILLED), f"attempt {attempt} with {more}")
        bench.checks.that(pids or attempt > 1, f"attempt {attempt} with {more}: it does not stop", outcome)
        if outcome.code == 0:
            bench.is_good(outcome, output, f"attempt {attempt} with {more}, to the end")
            return
    bench.goes_on(output, "four attempts of two backends", 2, OPENCL)


def check_limits(checks, work):
    """--max-bad and --strict are met while batches are away."""
    bench = Bench(checks, work, make_corpus(f"{work}/corpus"))
    between = {"env": apart(1), "wrapper": support.seen_by(1)}
    for ranks, options in ((0, {}), (3, {}), (3, between)):
        for more in (("--strict",), ("--max-bad", "20")):
            label = f"{' '.join(more)}, {ranks} ranks, {options.get('env')}"
            outcome, output = bench.run(ranks, (*OPENCL, *more), **options)
            checks.ended(outcome, 65, label)
            checks.that(not os.path.exists(output), f"{label}: there is a result")
    bench.good("--commit-interval 1", 3, (*OPENCL, "--commit-interval", "1"))
    bench.good("--commit-interval 1, between nodes", 3, (*OPENCL, "--commit-interval", "1"), **between)
    bench.good("--commit-interval 0", 3, (*OPENCL, "--commit-interval", "0"))


# ---- no room for slots ---------------------------------------------------------------------------------------------


def check_no_room(checks, work):
    """Without room in /dev/shm batches stay where they were read, or go to the rank's own device."""
    command = support.mount_command()
    if command is None:
        checks.note("mounting is not allowed here: no test of a full /dev/shm")
        return
    bench = Bench(checks, work, support.write(f"{work}/some.jsonl", support.records(1, 2500)), ("-j", "profile,digest", "--batch-size", "1M"))
    place = {"OMPI_MCA_btl_vader_backing_directory": f"{work}/vader", "OMPI_MCA_osc_sm_backing_directory": f"{work}/vader"}
    os.makedirs(f"{work}/vader")
    for ranks, more in ((4, ("--backend", "cpu")), (3, OPENCL), (2, ("--backend", "opencl"))):
        small = [*command, "sh", "-c", 'mount -t tmpfs -o size=4M tmpfs /dev/shm && exec "$@"', "sh"]
        label = f"no room in /dev/shm, {ranks} ranks, {' '.join(more)}"
        # All ranks in one name space: the wrapper starts mpirun.
        report, outcome = whole_in(bench, label, small, ranks, (*more, "-v"), place)
        checks.that("no room in /dev/shm" in outcome.err, f"{label}: nothing is said", outcome)
        if report is not None:
            checks.equal(report.total("sent_to_ranks") + report.total("for_ranks"), 0, f"{label}: batches for others", outcome)
            own = [r for r, sent in enumerate(report.batches("sent_to_devices")) if sent]
            checks.that(own in ([], [0]), f"{label}: ranks that use the device: {own}", outcome)


def whole_in(bench, label, command, ranks, more, env):
    """A run with its launcher inside of what `command` makes."""
    output = bench.output()
    inner = support.mpi_command(ranks)
    process = support.start(["run", *bench.options, *more, "-o", output, bench.corpus], 0, wrapper=[*command, *inner], env=env)
    outcome = support.finish(process, LIMIT)
    return bench.is_good(outcome, output, label), outcome


# ---- by chance -----------------------------------------------------------------------------------------------------


def random_fault(rng, ranks):
    kinds = [None, None, f"{BATCH},error=EIO", f"{BATCH},error=ENOMEM", f"{BATCH},error=ETIMEDOUT", f"{BATCH},error=KILL",
             "call=device,path=open,error=EIO", "call=write,path=ckpt/spill,error=KILL", f"{BATCH},error=STOP",
             "call=read,error=EINTR,chance=0.1,seed=4"]
    rule = rng.choice(kinds)
    if rule is None or "chance" in rule:
        return rule
    if "ENOMEM" in rule and rng.random() < 0.5:
        return f"{rule},chance={rng.random():.3f},seed={rng.randrange(1000)}"
    rank = f",rank={rng.randrange(max(ranks, 1))}" if rng.random() < 0.4 else ""
    return f"{rule},at={int(rng.random() ** 2 * 120) + 1}{rank}"


def random_run(bench, rng, output, label):
    """One attempt of a chain. True: it ended with a result."""
    checks = bench.checks
    ranks = rng.choice((0, 2, 3, 4, 5, 7))
    seen = rng.sample(range(max(ranks, 1)), rng.randint(1, max(ranks, 1)))
    more = ["--backend", rng.choice(("cpu", "opencl", "opencl", "opencl", "auto")), "--route", rng.choice(("auto", "device", "device", "self")),
            "--batch-size", rng.choice(("1K", "16K", "16K", "64K", "1M")), "--commit-interval", "1", *SMALL_TIMEOUT, "--grace", "8"]
    env = {"POCL_DEVICES": rng.choice(("pthread", "pthread pthread"))}
    if rng.random() < 0.6:
        env.update(apart(rng.randint(1, 3)))
    fault = random_fault(rng, ranks)
    stops = fault is not None and "STOP" in fault
    leaves = rng.random() < 0.15
    label = f"{label}: {ranks} ranks, devices of {seen}, {env}, {' '.join(more)}, {fault}{', SIGUSR1' if leaves else ''}"
    with ended_after(bench.start(output, ranks, more, fault, env=env, wrapper=support.seen_by(*seen) if ranks else ())) as process:
        if stops:
            wait_for(lambda: process.poll() is not None, rng.random() * 6)
            for _ in range(8):
                go_on(support.ranks_of(process.pid))
                time.sleep(0.2)
        if leaves:
            time.sleep(rng.random() * 2)
            for pid in support.ranks_of(process.pid)[:1]:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGUSR1)
        outcome = support.finish(process, LIMIT)
    codes = {0} | ({75, 128 + signal.SIGUSR1} if leaves else set()) | ({KILLED} if fault and "KILL" in fault else set())
    print(f"{label}: {outcome.code}, {outcome.seconds:.1f} s", flush=True)
    if not checks.ended(outcome, tuple(codes), label):
        print(outcome.err, flush=True)
        return outcome.timed_out
    checks.that("ignal" not in outcome.err or "exited on signal" in outcome.err, f"{label}: a crash", outcome)
    if outcome.code == 0:
        checks.equal(support.prints(output), bench.wanted, f"{label}: the result differs", outcome)
    return outcome.code == 0


def check_by_chance(checks, work, seed, seconds):
    bench = Bench(checks, work, make_corpus(f"{work}/corpus"), (*support.JOBS, "--segment-size", "128K"))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        output = bench.output()
        rng = random.Random(seed)
        for attempt in itertools.count(1):
            if random_run(bench, rng, output, f"seed {seed}, attempt {attempt}") or attempt == 12:
                break
        for name in (output + suffix for suffix in (*support.SUFFIXES, ".run.json")):
            with contextlib.suppress(OSError):
                os.unlink(name)
        seed += 1
    print(f"{bench.runs} runs, the next seed is {seed}")


# The long ones first: some run side by side.
PARTS = {"leaving": check_leaving, "killed": check_killed, "choice": check_choice, "lost": check_lost, "ranks": check_ranks,
         "leaving-hung": check_leaving_hung, "hung": check_hung, "memory": check_no_memory, "nodes": check_nodes,
         "stopped": check_stopped, "limits": check_limits, "room": check_no_room}


def main():
    checks = support.Checks()
    support.program()
    chosen, _ = support.words_given(PARTS)
    if support.opencl_devices() == 0:
        support.skip("no OpenCL device (pocl-opencl-icd makes one of the processor)")
    if "long" in sys.argv:
        numbers = [int(word) for word in sys.argv[sys.argv.index("long") + 1:]]
        with support.folder() as work:
            check_by_chance(checks, work, *(numbers + [1, 600][len(numbers):]))
    else:
        support.run_in_folders(PARTS, chosen, lambda check, work: check(checks, work), 3)
    checks.exit()


if __name__ == "__main__":
    sys.exit(main())
