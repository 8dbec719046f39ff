"""A run that was killed, or left as asked, goes on with the same command and gives the same bytes, on any number
of ranks; what is finished is not computed again; what must not go on refuses and says why.

    restart.py [PROGRAM] [long] [PART...]

Runs are stopped at a known place (DHATU_FAULT, error=STOP), so that a signal or a look at the checkpoint comes
when the run is there, and not by chance."""

import bz2
import contextlib
import gzip
import json
import os
import random
import re
import shutil
import signal
import struct
import sys
import time

import determinism
import support

RANKS = (1, 2, 3, 4, 7)  # 1: without mpirun
SEED = 7
HANG = 30  # seconds
KILLED = 128 + signal.SIGKILL
PLACES = ("planned", "recovered", "mapped", "reduced", "written", "publish", "published")
ALL_RANKS_COME_TO = PLACES[:5]
BASE = ("-j", "profile,digest", "--segment-size", "64K", "--commit-interval", "1")
SPILL_WRITE = "call=write,path=ckpt/spill"


# ---- runs --------------------------------------------------------------------------------------------------------


class Bench:
    """A corpus, and what an undisturbed run makes of it."""

    def __init__(self, checks, work, source, options=()):
        self.checks, self.work, self.source = checks, work, source
        self.options = [*BASE, *options]
        self.count = 0
        output = f"{work}/undisturbed.h5"
        outcome = support.run(self.command(output))
        if not checks.ended(outcome, 0, "an undisturbed run"):
            checks.exit()
        self.wanted = made(output)
        self.report = support.run_report(output)
        self.documents = self.report["documents"]
        self.segments = segments_made(self.report)
        self.bad = sum(1 for _ in support.quarantine(output))
        self.source_bytes = sum(os.path.getsize(path) for path in determinism.files_of(source)) \
            if os.path.isdir(source) else os.path.getsize(source)

    def output(self):
        self.count += 1
        return f"{self.work}/out{self.count}.h5"

    def command(self, output, *more):
        return ["run", *self.options, *more, "-o", output, self.source]

    def start(self, output, ranks=1, fault=None, more=()):
        return support.start(self.command(output, *more), ranks if ranks > 1 else 0,
                             env={"DHATU_FAULT": fault} if fault else None)

    def run(self, output, ranks=1, fault=None, more=(), limit=HANG):
        return support.finish(self.start(output, ranks, fault, more), limit)

    def is_good(self, outcome, output, label, kept=False):
        """Ended with 0, the same bytes, and nothing left behind."""
        if not self.checks.ended(outcome, 0, label):
            return False
        same = self.checks.equal(made(output), self.wanted, f"{label}: the result differs", outcome)
        self.checks.equal(os.path.exists(output + ".ckpt"), kept, f"{label}: is the checkpoint there", outcome)
        left = partials(output)
        self.checks.equal(left, [], f"{label}: partial files")
        return same

    def goes_on(self, output, ranks, label, more=(), kept=False):
        """The same command again, to the end. Its run.json, or None."""
        label = f"{label}; then {ranks} rank{'s' * (ranks > 1)}"
        return self.went_on(self.run(output, ranks, more=more), output, label, kept)

    def went_on(self, outcome, output, label, kept=False):
        if not self.is_good(outcome, output, label, kept):
            return None
        report = support.run_report(output)
        done = report["recovered"]["documents"] + documents_made(report)
        self.checks.equal(done, self.documents, f"{label}: documents recovered and computed")
        done = report["recovered"]["segments"] + segments_made(report)
        self.checks.equal(done, self.segments, f"{label}: segments recovered and computed")
        return report


def made(output):
    return [support.sha256(output + suffix)[:16] for suffix in ("", ".quarantine.jsonl")]


def partials(output):
    folder, name = os.path.split(output)
    return [n for n in os.listdir(folder) if n.startswith(name) and ".partial" in n]


def documents_made(report):
    return sum(figures["documents"] for figures in report["rank_figures"])


def segments_made(report):
    return sum(figures["segments"] for figures in report["rank_figures"])


def other_ranks(rng, ranks):
    return rng.choice([r for r in RANKS if r != ranks])


@contextlib.contextmanager
def ended_after(process):
    """Nothing of a run outlives its test."""
    try:
        yield process
    finally:
        if process.poll() is None:
            support.finish(process, 0)


def process_fact(pid, pattern):
    try:
        with open(f"/proc/{pid}/status", encoding="latin-1") as file:
            found = re.search(pattern, file.read())
    except OSError:
        return ""
    return found.group(1) if found else ""


def wait_for(condition, limit=HANG):
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def wait_stopped(process, count):
    """The pids of all ranks, rank 0 first, when `count` of them are stopped; [] if that does not come to be."""
    def stopped():
        return [p for p in support.ranks_of(process.pid) if process_fact(p, r"State:\s+(\w)") == "T"]
    wait_for(lambda: len(stopped()) >= count or process.poll() is not None)
    return support.ranks_of(process.pid) if len(stopped()) >= count else []


def is_pending(pid, number):
    return any(int(process_fact(pid, key + r":\s+(\w+)") or "0", 16) >> (number - 1) & 1 for key in ("ShdPnd", "SigPnd"))


def go_on(pids):
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGCONT)


def launcher_of(process):
    return [p for p in support.descendants(process.pid) if p not in support.ranks_of(process.pid)][0]


def kill_in_map(bench, output, commit_at, kill_at, more=()):
    """One rank, killed at its spill's write number kill_at; what it had at number commit_at is committed."""
    fault = f"{SPILL_WRITE},at={commit_at},error=STOP;{SPILL_WRITE},at={kill_at},error=KILL"
    with ended_after(bench.start(output, 1, fault, more)) as process:
        pids = wait_stopped(process, 1)
        time.sleep(1.1)  # more than --commit-interval
        go_on(pids)
        outcome = support.finish(process, HANG)
    return bench.checks.ended(outcome, KILLED, f"killed at write {kill_at}")


def leave(bench, output, ranks, fault, numbers, target, more=(), limit=HANG):
    """Every rank stops where the fault says so, gets the signals, and goes on. target: "launcher", or a rank.
    Returns the outcome; its seconds count from the signal."""
    checks = bench.checks
    label = f"{'+'.join(n.name for n in numbers)} to {target}, {ranks} ranks"
    with ended_after(bench.start(output, ranks, fault, more)) as process:
        everywhere = "ckpt/spill" in fault or "call=place" in fault
        pids = wait_stopped(process, ranks if everywhere else 1)
        if not checks.that(len(pids) == ranks, f"{label}: the ranks do not stop"):
            return None
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        goal = launcher_of(process) if target == "launcher" else pids[target]
        for number in numbers:
            os.kill(goal, number)
            if number != signal.SIGTERM:
                marked = pids if target == "launcher" else [goal]
                checks.that(wait_for(lambda: all(is_pending(p, number) for p in marked), 10),
                            f"{label}: {number.name} does not come to the ranks")
        if target != "launcher" and ranks > 1:
            go_on([goal])  # it leaves; the others are to follow
            time.sleep(0.2)
        go_on(pids)
        return support.finish(process, limit)


# ---- what is in a checkpoint ---------------------------------------------------------------------------------------

ENTRY = struct.Struct("=4sIQIIQIIQQQQQQQQIIQQ")
HEADER_SIZE = 64


def journal_entries(ckpt):
    """All entries of all journals: {epoch, rank, source, begin, offset, size, documents, text, file, bad}."""
    found = []
    for name in sorted(os.listdir(ckpt)) if os.path.isdir(ckpt) else ():
        if not re.fullmatch(r"journal-\d+-\d+", name):
            continue
        with open(f"{ckpt}/{name}", "rb") as file:
            data = file.read()[HEADER_SIZE:]
        for at in range(0, len(data) // ENTRY.size * ENTRY.size, ENTRY.size):
            f = ENTRY.unpack_from(data, at)
            found.append({"epoch": f[3], "rank": f[4], "source": f[6], "begin": f[8], "offset": f[9], "size": f[10],
                          "documents": f[13], "text": f[14], "file": f[15], "bad": f[16]})
    return found


def distinct(entries):
    return list({(e["source"], e["begin"]): e for e in entries}.values())


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))


def damage(ckpt, entry):
    flip(f"{ckpt}/spill-{entry['epoch']:06d}-{entry['rank']:06d}", entry["offset"] + entry["size"] // 2)


def checkpoint_files(ckpt, kinds=("spill", "journal")):
    return sorted(n for n in os.listdir(ckpt) if n.split("-")[0] in kinds) if os.path.isdir(ckpt) else []


def contents(folder, without=()):
    return {n: support.sha256(f"{folder}/{n}")[:16] for n in os.listdir(folder) if not n.startswith(tuple(without) or "/")}


def status(checks, ckpt, label):
    """What `dhatu status --json` says, or {}."""
    outcome = support.run(["status", "--json", ckpt], limit=HANG)
    if not checks.ended(outcome, 0, f"{label}: status --json"):
        return {}
    return json.loads(outcome.out)


# ---- corpora -------------------------------------------------------------------------------------------------------


def lines(seed, count):
    """As mixed_lines, with words between that do not compress well: a source whose compressed size is below that of
    a segment is no stream."""
    rng = random.Random(seed)
    out = []
    for i, line in enumerate(support.mixed_lines(seed, count)):
        words = " ".join(f"{rng.getrandbits(48):x}" for _ in range(40))
        out += [line, b'{"id":"noise-%d","text":"%s"}\n' % (i, words.encode())]
    return b"".join(out)


def make_corpus(root):
    """Large and small, plain and compressed, JSONL and text, good and bad."""
    support.write(f"{root}/big.jsonl", b"".join(support.mixed_lines(1, 1500)))
    support.write(f"{root}/member.jsonl.gz", support.multi_member(lines(2, 800)))
    support.write(f"{root}/block.jsonl.bz2", bz2.compress(lines(3, 400)))
    if shutil.which("zstd"):
        support.write(f"{root}/frame.jsonl.zst", support.zstd_frames(lines(4, 400)))
    support.write(f"{root}/cut.jsonl.gz", gzip.compress(support.records(5, 200), mtime=0)[:-9])
    support.write(f"{root}/empty.jsonl", b"")
    rng = random.Random(6)
    for i in range(150):
        support.write(f"{root}/tree/{i % 7}/t{i:03d}.txt", support.sentences(rng, rng.randint(0, 60)).encode())
    return root


def make_long(work, links, count=6000):
    """Much work from little disk: many links to one file."""
    one = support.write(f"{work}/one.jsonl", support.records(9, count))
    os.makedirs(f"{work}/long")
    for i in range(links):
        os.symlink(one, f"{work}/long/{i:04d}.jsonl")
    return f"{work}/long"


# ---- killed at named places ------------------------------------------------------------------------------------------


def check_places(checks, work, full):
    bench = Bench(checks, work, make_corpus(f"{work}/corpus"))
    rng = random.Random(SEED)
    cases = [(place, 1, None) for place in PLACES]
    several = [(place, 3, rank) for place in PLACES for rank in (None, 0, 1, 2)
               if rank in (None, 0) or place in ALL_RANKS_COME_TO]
    quick = [("recovered", 3, None), ("mapped", 3, 1), ("published", 3, None)]
    cases += several if full else quick
    for place, ranks, rank in cases:
        label = f"killed at {place}, {ranks} ranks" + (f", rank {rank}" if rank is not None else "")
        fault = f"call=place,path={place},error=KILL" + (f",rank={rank}" if rank is not None else "")
        # "publish" is in "published"; the first one that comes counts.
        output = bench.output()
        checks.ended(bench.run(output, ranks, fault), KILLED, label)
        checks.equal(os.path.exists(output), place == "published", f"{label}: is there a result")
        then = other_ranks(rng, ranks)
        if place == "published":
            before = os.stat(output).st_mtime_ns
            again = bench.run(output, then)
            bench.is_good(again, output, f"{label}; then {then} ranks")
            checks.that("complete already" in again.err, f"{label}: the rerun does not say that it is complete", again)
            checks.equal(os.stat(output).st_mtime_ns, before, f"{label}: the result was made again")
            continue
        report = bench.goes_on(output, then, label)
        if report is None:
            continue
        checks.equal(report["restarts"], 1, f"{label}: restarts")
        reduced = place in ("mapped", "reduced", "written", "publish")
        checks.equal(documents_made(report), 0 if reduced else bench.documents, f"{label}: documents computed again")
        checks.equal(report["recovered"]["segments"], bench.segments if reduced else 0, f"{label}: segments recovered")
    print(f"places: {len(cases)} kills")


# ---- killed in the map phase -----------------------------------------------------------------------------------------


def check_map(checks, work, full):
    bench = Bench(checks, work, make_corpus(f"{work}/corpus"))
    rng = random.Random(SEED + 1)
    for _ in range(12 if full else 1):
        output = bench.output()
        commit_at = rng.randint(5, 15)
        kill_at = commit_at + rng.randint(3, 10)
        then = other_ranks(rng, 1)
        label = f"killed at write {kill_at}, committed at {commit_at}"
        kill_in_map(bench, output, commit_at, kill_at)
        known = distinct(journal_entries(output + ".ckpt"))
        report = bench.goes_on(output, then, label)
        if report is None:
            continue
        recovered = report["recovered"]
        checks.that(0 < recovered["segments"] < bench.segments, f"{label}: {recovered['segments']} segments recovered")
        checks.equal(recovered["segments"], len(known), f"{label}: segments recovered against the journals")
        checks.equal(recovered["documents"], sum(e["documents"] for e in known), f"{label}: documents recovered")
        checks.equal(recovered["damaged"], 0, f"{label}: segments that count as damaged")
    check_chain(checks, bench, rng, 25 if full else 4)
    check_useless_attempts(checks, bench)


def check_chain(checks, bench, rng, attempts):
    """Interrupted many times, on changing numbers of ranks: documents only grow, files are bounded."""
    output = bench.output()
    ckpt = output + ".ckpt"
    documents, files_allowed, attempt = 0, 0, 0
    for attempt in range(1, attempts + 1):
        ranks = rng.choice((1, 1, 2, 3))
        label = f"attempt {attempt} of a chain, {ranks} ranks"
        if attempt % 3 == 0:
            fault, numbers = "call=place,path=recovered,error=KILL", None
        elif attempt % 3 == 1:
            fault, numbers = f"{SPILL_WRITE},at=2,error=STOP", [signal.SIGUSR2]
        else:
            fault, numbers = f"{SPILL_WRITE},at={rng.randint(1, 3)},error=KILL", None
        if numbers:
            outcome = leave(bench, output, ranks, fault, numbers, "launcher" if ranks > 1 else 0)
            left = outcome is not None and checks.ended(outcome, (75, 0), label)
        else:
            outcome = bench.run(output, ranks, fault)
            left = checks.ended(outcome, (KILLED, 0), label)
        if not left or outcome.code == 0:
            break
        files_allowed += 2 * ranks
        spilled = checkpoint_files(ckpt)
        checks.that(len(spilled) <= files_allowed, f"{label}: {len(spilled)} files of spills and journals")
        checks.that(len(os.listdir(ckpt)) <= files_allowed + attempt + 4, f"{label}: {sorted(os.listdir(ckpt))}")
        now = sum(e["documents"] for e in distinct(journal_entries(ckpt)))
        checks.that(now >= documents, f"{label}: {now} documents are done, {documents} were")
        documents = now
    if os.path.isdir(ckpt):
        report = bench.goes_on(output, 4, f"a chain of {attempt} attempts")
        if report:
            checks.equal(report["restarts"], attempt, "restarts of a chain")
            checks.equal(report["recovered"]["documents"], documents, "documents recovered by a chain")
    print(f"chain: {attempt} attempts, seed {SEED + 1}")


def check_useless_attempts(checks, bench):
    """Attempts whose segments are not needed leave no spill and no journal."""
    output = bench.output()
    ckpt = output + ".ckpt"
    for _ in range(3):
        checks.ended(bench.run(output, 1, f"{SPILL_WRITE},at=9,error=KILL"), KILLED, "killed without a commit")
        checks.that(len(checkpoint_files(ckpt)) <= 2, f"attempts without a commit leave {checkpoint_files(ckpt)}")
    checks.ended(bench.run(output, 1, "call=place,path=mapped,error=KILL"), KILLED, "killed behind the map phase")
    checks.equal(checkpoint_files(ckpt), ["journal-000004-000000", "spill-000004-000000"], "files of earlier attempts")
    for entry in journal_entries(ckpt):
        if entry["size"] > 0:
            damage(ckpt, entry)
    checks.ended(bench.run(output, 1, "call=place,path=mapped,error=KILL"), KILLED, "all is damaged, and made again")
    now = checkpoint_files(ckpt)
    checks.that("spill-000005-000000" in now, f"all is damaged: files are {now}")
    if all(entry["size"] > 0 for entry in journal_entries(ckpt)):
        checks.that("spill-000004-000000" not in now, f"all is damaged: files of no use are kept: {now}")
    bench.goes_on(output, 3, "after damage to a whole attempt")


# ---- inside one compressed source --------------------------------------------------------------------------------------


def check_stream(checks, work, full):
    data = lines(11, 1200)
    copies = [("gz", support.multi_member), ("bz2", bz2.compress)]
    if shutil.which("zstd"):
        copies.insert(1, ("zst", support.zstd_frames))
    else:
        checks.note("no zstd command: zstd is left out")
    rng = random.Random(SEED + 2)
    for suffix, compress in copies:
        at = f"{work}/{suffix}"
        bench = Bench(checks, at, support.write(f"{at}/all.jsonl.{suffix}", compress(data)))
        checks.that(bench.segments >= 20, f"{suffix}: only {bench.segments} segments")
        for _ in range(4 if full else 1):
            output = bench.output()
            kill_in_map(bench, output, 8, rng.randint(11, 16))
            report = bench.goes_on(output, other_ranks(rng, 1), f"killed in the middle of one {suffix}")
            if report:
                checks.that(0 < report["recovered"]["segments"] < bench.segments,
                            f"{suffix}: {report['recovered']['segments']} of {bench.segments} segments recovered")
                working = [f for f in report["rank_figures"] if f["documents"] > 0]
                checks.equal(len(working), 1, f"{suffix}: ranks that read the file")
        places = ("mapped", "map") if full else ("map" if suffix == "bz2" else "mapped",)
        check_gaps(checks, bench, rng, suffix, places)


def check_gaps(checks, bench, rng, label, places):
    """Damage at several places: it is told, and these segments only are computed again."""
    for where in places:
        output = bench.output()
        ckpt = output + ".ckpt"
        if where == "mapped":
            checks.ended(bench.run(output, 1, "call=place,path=mapped,error=KILL"), KILLED, f"{label}: killed")
        else:
            leave(bench, output, 1, f"{SPILL_WRITE},at=14,error=STOP", [signal.SIGUSR1], 0)
        committed = len(journal_entries(ckpt))
        entries = [e for e in journal_entries(ckpt) if e["size"] > 0]
        if not checks.that(len(entries) > 10, f"{label}, {where}: {len(entries)} segments are committed"):
            continue
        chosen = [entries[i] for i in (0, 3, 4, rng.randint(6, len(entries) - 2), len(entries) - 1)]
        for entry in chosen:
            damage(ckpt, entry)
        text = f"{label}, {where}: five damaged segments"
        outcome = bench.run(output, rng.choice((2, 3, 4)))
        checks.equal(outcome.err.count("a segment is computed again"), 5, f"{text}: warnings", outcome)
        report = bench.went_on(outcome, output, text)
        if report:
            checks.equal(report["recovered"]["damaged"], 5, f"{text}: count in run.json")
            checks.equal(report["recovered"]["segments"], committed - 5, f"{text}: segments recovered")
            if where == "mapped":
                checks.equal(segments_made(report), 5, f"{text}: segments computed again")


# ---- signals, stop, --max-time -----------------------------------------------------------------------------------------


def left_well(checks, bench, output, outcome, label, grace, reason=None, codes=(75,)):
    """Left with 75 within the grace and with a message, and has kept work."""
    if outcome is None or not checks.ended(outcome, codes, label):
        return
    checks.that(outcome.seconds < grace, f"{label}: took {outcome.seconds:.1f} s of {grace}", outcome)
    if outcome.code != 75:
        return
    if reason:
        checks.that(f"left because of {reason}" in outcome.err, f"{label}: does not say why it leaves", outcome)
    checks.that(re.search(r"\d+ segments are done and kept in .*\.ckpt: run the same command", outcome.err),
                f"{label}: does not say what is kept", outcome)
    checks.that(not os.path.exists(output), f"{label}: there is a result")


def holds_work(checks, output, label):
    done = distinct(journal_entries(output + ".ckpt")) if os.path.isdir(output + ".ckpt") else []
    checks.that(sum(e["documents"] for e in done) > 0, f"{label}: nothing is kept")


def check_signals(checks, work, full):
    bench = Bench(checks, work, make_long(work, 6, 1000))
    rng = random.Random(SEED + 3)
    usr1, usr2, term = signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM
    in_map = f"{SPILL_WRITE},at=3,error=STOP"
    cases = [(1, [usr1], 0), (1, [term], 0), (3, [usr1], "launcher"), (2, [usr2], "launcher"), (3, [usr1], 2),
             (3, [term], 1), (1, [usr2, term], 0)]
    if full:
        cases += [(1, [usr2], 0), (1, [usr1, usr2], 0), (3, [usr2], "launcher"), (3, [usr2], 0), (3, [usr1], 1),
                  (3, [usr1, usr2], "launcher"), (7, [usr1], "launcher"),
                  (7, [usr2], 6), (1, [term, usr1], 0), (3, [term], 0)]
    grace = 6
    for ranks, numbers, target in cases:
        output = bench.output()
        label = f"{'+'.join(n.name for n in numbers)} to {target}, {ranks} ranks"
        outcome = leave(bench, output, ranks, in_map, numbers, target, ["--grace", str(grace)])
        # Rank 0 speaks; it does not know why another one wants to leave.
        reason = numbers[0].name if len(numbers) == 1 and target in ("launcher", 0) else None
        left_well(checks, bench, output, outcome, label, grace, reason)
        holds_work(checks, output, label)
        bench.goes_on(output, other_ranks(rng, ranks), label)
    for place in ("planned", "recovered"):
        output = bench.output()
        outcome = leave(bench, output, 1, f"call=place,path={place},error=STOP", [usr1], 0)
        left_well(checks, bench, output, outcome, f"SIGUSR1 at {place}", 10, "SIGUSR1")
        bench.goes_on(output, 1, f"SIGUSR1 at {place}")
    if full:
        check_launcher_term(checks, work)
    check_reduce_signals(checks, bench, rng, full)
    check_stop_file(checks, bench, full)


def check_launcher_term(checks, work):
    """mpirun hands it on after a second, kills a second later, and gives another exit code; the work is kept. Ranks
    that are stopped it kills at once, so this run is one that takes several seconds by itself."""
    os.makedirs(f"{work}/term")
    bench = Bench(checks, f"{work}/term", make_long(f"{work}/term", 400, 1000))
    output = bench.output()
    ckpt = output + ".ckpt"
    label = "SIGTERM to mpirun"
    with ended_after(bench.start(output, 3)) as process:
        wait_for(lambda: process.poll() is not None or
                 any(os.path.getsize(f"{ckpt}/{n}") > 300000 for n in checkpoint_files(ckpt, ["spill"])))
        began = time.monotonic()
        os.kill(launcher_of(process), signal.SIGTERM)
        outcome = support.finish(process, 10)
        seconds = time.monotonic() - began
    if outcome.code == 0 or os.path.exists(output):
        checks.note(f"{label}: the run was over before it came")
        return
    checks.that(not outcome.timed_out, f"{label}: hangs", outcome)
    checks.that(seconds < 5, f"{label}: took {seconds:.1f} s", outcome)
    holds_work(checks, output, label)
    bench.goes_on(output, 2, label)


def check_reduce_signals(checks, bench, rng, full):
    """A result that is nearly there may be finished, or left."""
    cases = [("call=place,path=mapped", 1, signal.SIGUSR1), ("call=write,path=.partial,at=3", 3, signal.SIGUSR2),
             ("call=place,path=mapped", 1, signal.SIGTERM)]
    if full:
        cases += [("call=place,path=mapped", 3, signal.SIGUSR1), ("call=place,path=written", 3, signal.SIGUSR1),
                  ("call=place,path=written", 1, signal.SIGTERM), ("call=write,path=.partial,at=2", 1, signal.SIGTERM)]
    for fault, ranks, number in cases:
        output = bench.output()
        label = f"{number.name} at {fault}, {ranks} ranks"
        outcome = leave(bench, output, ranks, fault + ",error=STOP", [number], "launcher" if ranks > 1 else 0,
                        ["--grace", "4"])
        left_well(checks, bench, output, outcome, label, 5, codes=(0, 75))
        if outcome is not None and outcome.code == 75:
            report = bench.goes_on(output, other_ranks(rng, ranks), label)
            if report:
                checks.equal(documents_made(report), 0, f"{label}: documents computed again")
        elif outcome is not None and outcome.code == 0:
            bench.is_good(outcome, output, label)


def check_stop_file(checks, bench, full):
    for ranks in (1, 3) if full else (1,):
        output = bench.output()
        stop = f"{output}.ckpt/stop"
        label = f"the file stop, {ranks} ranks"
        with ended_after(bench.start(output, ranks, f"{SPILL_WRITE},at=3,error=STOP")) as process:
            pids = wait_stopped(process, ranks)
            checks.equal(len(pids), ranks, f"{label}: ranks that stop")
            support.write(stop, b"")
            time.sleep(2.1)  # it is looked for every 2 s
            go_on(pids)
            outcome = support.finish(process, HANG)
        left_well(checks, bench, output, outcome, label, 10, 'the file "stop"')
        checks.that(not os.path.exists(stop), f"{label}: it is still there")
        holds_work(checks, output, label)
        support.write(stop, b"")
        outcome = bench.run(output, ranks)
        left_well(checks, bench, output, outcome, f"{label}, made before the start", 10, 'the file "stop"')
        checks.that(not os.path.exists(stop), f"{label}, made before the start: it is still there")
        bench.goes_on(output, 3 if ranks < 3 else 1, label)


def check_max_time(checks, work, full):
    bench = Bench(checks, work, make_long(work, 80 if full else 50))
    for ranks in (1, 2):
        output = bench.output()
        began = time.monotonic()
        documents, runs, outcome = 0, 0, None
        label = f"--max-time 2, {ranks} ranks"
        while runs < 60:
            runs += 1
            outcome = bench.run(output, ranks, more=["--max-time", "2", "--grace", "1"])
            if not checks.ended(outcome, (0, 75), label) or outcome.code == 0:
                break
            limit = 2 if ranks == 1 else 3.5  # what mpirun itself takes does not count
            left_well(checks, bench, output, outcome, f"{label}, run {runs}", limit, "--max-time")
            now = sum(e["documents"] for e in distinct(journal_entries(output + ".ckpt")))
            checks.that(now > documents or now == bench.documents, f"{label}, run {runs}: {now} documents after {documents}")
            documents = now
        bench.is_good(outcome, output, f"{label}, run {runs}")
        checks.equal(support.run_report(output)["restarts"], runs - 1, f"{label}: restarts")
        if runs == 1:
            checks.note(f"{label}: this machine needs one run only")
        print(f"{label}: {runs} runs, {time.monotonic() - began:.1f} s")
        if not full:
            break


# ---- options that may change, and those that say what becomes of the checkpoint ----------------------------------------


def killed_when_mapped(bench, ranks=1, more=(), output=None):
    output = output or bench.output()
    outcome = bench.run(output, ranks, "call=place,path=mapped,error=KILL", more)
    bench.checks.ended(outcome, KILLED, "killed when mapped")
    return output


def check_options(checks, work, full):
    bench = Bench(checks, work, make_corpus(f"{work}/corpus"))
    check_fresh(checks, bench)
    check_keep(checks, bench)
    check_elsewhere(checks, bench)
    check_no_commits(checks, bench)
    changes = [("--batch-size", "3000"), ("--commit-interval", "60")]
    if full:
        changes += [("--backend", "cpu"), ("--progress", "1"), ("--grace", "3"), ("--batch-size", "1M")]
    for name, value in changes:
        output = bench.output()
        kill_in_map(bench, output, 6, 9) if full else \
            leave(bench, output, 1, f"{SPILL_WRITE},at=8,error=STOP", [signal.SIGUSR1], 0)
        report = bench.goes_on(output, 2 if full else 1, f"then {name} {value}", [name, value])
        checks.that(report is None or report["recovered"]["segments"] > 0, f"{name} {value}: nothing is recovered")
    check_max_bad(checks, bench)


def check_fresh(checks, bench):
    for more in ([], ["--max-id", "100", "--segment-size", "128K"]):  # other options than before are no obstacle
        output = killed_when_mapped(bench, more=more)
        outcome = bench.run(output, 1 if more else 2, more=["--fresh"])
        if bench.is_good(outcome, output, "--fresh"):
            report = support.run_report(output)
            checks.equal((report["restarts"], report["recovered"]["segments"]), (0, 0), "--fresh: restarts, recovered")
            checks.equal(documents_made(report), bench.documents, "--fresh: documents computed")
    output = killed_when_mapped(bench)
    bench.run(output, 1, f"{SPILL_WRITE},at=5,error=KILL", ["--fresh"])
    names = checkpoint_files(output + ".ckpt")
    checks.that(all("-000002-" in n for n in names), f"--fresh, killed: older files are there: {names}")
    report = bench.goes_on(output, 1, "--fresh, killed")
    checks.that(report is None or report["restarts"] == 1, "--fresh, killed: restarts")


def check_keep(checks, bench):
    output = bench.output()
    ckpt = output + ".ckpt"
    keep = ["--keep-checkpoint"]
    bench.is_good(bench.run(output, 1, more=keep), output, "--keep-checkpoint", kept=True)
    before = os.stat(output).st_mtime_ns
    for ranks, number in ((1, 2), (2, 3)):
        again = bench.run(output, ranks, more=keep)
        bench.is_good(again, output, "--keep-checkpoint again", kept=True)
        checks.that("complete already" in again.err, "--keep-checkpoint again: does not say that it is complete", again)
        checks.equal(os.stat(output).st_mtime_ns, before, "--keep-checkpoint again: the result was made again")
        facts = status(checks, ckpt, "a complete run")
        wanted = {"complete": True, "state": "ended", "exit_code": 0, "documents": bench.documents, "bad_records": bench.bad,
                  "segments_done": bench.segments, "segments_open": 0, "attempt": number}
        checks.equal({k: facts.get(k) for k in wanted}, wanted, "status of a complete run")
    report = bench.goes_on(output, 1, "--keep-checkpoint --force", [*keep, "--force"], kept=True)
    if report:
        checks.equal(documents_made(report), 0, "--keep-checkpoint --force: documents computed")
        checks.that(os.stat(output).st_mtime_ns != before, "--keep-checkpoint --force: the result was not made again")
    again = bench.run(output, 1)
    bench.is_good(again, output, "complete, without --keep-checkpoint")
    again = bench.run(output, 1)
    checks.ended(again, 2, "complete, and the checkpoint is gone")


def check_elsewhere(checks, bench):
    """-c: elsewhere, in a folder that others use, too; for another output."""
    ckpt = f"{bench.work}/else where/deep.ckpt"
    output = killed_when_mapped(bench, 1, ["-c", ckpt])
    checks.that(not os.path.exists(output + ".ckpt"), "-c: the default folder is made, too")
    support.write(f"{ckpt}/notes.txt", b"mine")
    report = bench.goes_on(output, 3, "-c elsewhere", ["-c", ckpt])
    checks.that(report is None or documents_made(report) == 0, "-c elsewhere: documents are computed again")
    checks.equal(os.listdir(ckpt), ["notes.txt"], "-c elsewhere: what is left in the folder")
    ckpt = f"{bench.work}/shared.ckpt"
    first, second = bench.output(), bench.output()
    outcome = bench.run(first, 1, "call=place,path=written,error=KILL", ["-c", ckpt])
    checks.ended(outcome, KILLED, "killed when written")
    report = bench.goes_on(second, 1, "another output", ["-c", ckpt])
    if report:
        checks.equal((documents_made(report), report["restarts"]), (0, 1), "another output: documents computed, restarts")
    checks.that(not os.path.exists(first), "another output: the first has a result")
    checks.that(not os.path.isdir(ckpt) or os.listdir(ckpt) == [], "another output: the checkpoint is left")


def check_no_commits(checks, bench):
    off = ["--commit-interval", "0"]
    output = killed_when_mapped(bench, 1, off)
    checks.equal(journal_entries(output + ".ckpt"), [], "--commit-interval 0: entries in journals")
    outcome = bench.run(output, 2, more=off)
    if bench.is_good(outcome, output, "--commit-interval 0, killed"):
        report = support.run_report(output)
        checks.equal(report["recovered"]["documents"], 0, "--commit-interval 0, killed: documents recovered")
        checks.equal(documents_made(report), bench.documents, "--commit-interval 0, killed: documents computed")
    # What an attempt with commits has done survives one without.
    output = bench.output()
    leave(bench, output, 1, f"{SPILL_WRITE},at=9,error=STOP", [signal.SIGUSR1], 0)
    known = len(distinct(journal_entries(output + ".ckpt")))
    killed_when_mapped(bench, 2, off, output)
    report = bench.goes_on(output, 1, "with commits, without, with")
    checks.that(report is None or report["recovered"]["segments"] == known, "with commits, without, with: segments recovered")
    output = bench.output()
    outcome = leave(bench, output, 1, f"{SPILL_WRITE},at=9,error=STOP", [signal.SIGUSR1], 0, off)
    if outcome is not None and checks.ended(outcome, 75, "--commit-interval 0, SIGUSR1"):
        bench.goes_on(output, 1, "--commit-interval 0, SIGUSR1")


def check_max_bad(checks, bench):
    """Bad records of earlier attempts count, too."""
    checks.that(bench.bad > 20, f"the corpus has {bench.bad} bad records only")
    for where in ("map", "mapped"):
        output = bench.output()
        label = f"--max-bad, killed in {where}"
        if where == "map":
            leave(bench, output, 1, f"{SPILL_WRITE},at=12,error=STOP", [signal.SIGUSR1], 0)
        else:
            killed_when_mapped(bench, output=output)
        done = sum(e["bad"] for e in distinct(journal_entries(output + ".ckpt")))
        checks.that(done > 0, f"{label}: the first attempt met no bad record")
        for ranks in (1, 3):
            outcome = bench.run(output, ranks, more=["--max-bad", str(bench.bad - 1)])
            if checks.ended(outcome, 65, f"{label}: one too many, {ranks} ranks"):
                checks.that(any(str(bench.bad - 1) in e for e in outcome.errors()), f"{label}: no message", outcome)
            if outcome.code == 0:
                break
        if outcome.code != 0:
            bench.goes_on(output, 1, f"{label}: as many as allowed", ["--max-bad", str(bench.bad)])


# ---- what refuses ------------------------------------------------------------------------------------------------------


def check_refusals(checks, work, full):
    root = make_corpus(f"{work}/corpus")
    lexicon = support.write(f"{work}/small.tsv", SMALL_LEXICON.encode())
    bench = Bench(checks, work, root, ["--lexicon", lexicon])
    output = bench.output()
    leave(bench, output, 1, f"{SPILL_WRITE},at=9,error=STOP", [signal.SIGUSR1], 0)
    ckpt = output + ".ckpt"
    before = contents(ckpt, ["attempt"])
    refuser = Refuser(checks, bench, output)
    refuse_sources(refuser, root)
    refuse_options(refuser, root, lexicon)
    checks.equal(contents(ckpt, ["attempt"]), before, "78 changes the checkpoint")
    holds_work(checks, output, "after refusals")
    report = bench.goes_on(output, 3, f"after {refuser.count} refusals")
    if report:
        checks.that(report["recovered"]["segments"] > 0, "after refusals: nothing is recovered")
        checks.equal(report["restarts"], refuser.count + 1, "after refusals: restarts")
    check_hint(checks, bench, root)
    check_fingerprint_all(checks, work, root, lexicon)


SMALL_LEXICON = ("@format\tdhatu-lexicon 1\n@language\ten\n@name\tSmall\n@categories\tGOOD BAD\n@negators\tnot no\n"
                 "@function\tthe of and a\npeace\tGOOD\t+\nlaughter\tGOOD\t+\nfear\tBAD\t-\nangry\tBAD\t-\n")


class Refuser:
    """A changed run must give 78, name what changed, and say how to go on."""

    def __init__(self, checks, bench, output):
        self.checks, self.bench, self.output, self.count = checks, bench, output, 0

    def refuses(self, label, words, more=(), ranks=1):
        self.count += 1
        outcome = self.bench.run(self.output, ranks, more=more)
        if not self.checks.ended(outcome, 78, label):
            return
        for word in (*words, "--fresh"):
            self.checks.that(any(re.search(word, e) for e in outcome.errors()), f"{label}: no error has '{word}'", outcome)
        self.checks.that(len(outcome.errors()) <= 14, f"{label}: {len(outcome.errors())} errors", outcome)
        self.checks.that(not os.path.exists(self.output), f"{label}: there is a result")


@contextlib.contextmanager
def changed(path, edit=None):
    """Edits a file's bytes, and puts bytes and times back."""
    with open(path, "rb") as file:
        data = file.read()
    facts = os.stat(path)
    if edit:
        support.write(path, edit(data))
    try:
        yield facts
    finally:
        support.write(path, data)
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def with_byte(at):
    def edit(data):
        place = at if at >= 0 else len(data) + at
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1:]
    return edit


def refuse_sources(refuser, root):
    big = f"{root}/big.jsonl"
    middle = os.path.getsize(big) // 2
    for label, at, words in (("the first 64 KiB", 70, ["big.jsonl.*content differs"]),
                             ("the last 64 KiB", -70, ["big.jsonl.*content differs"])):
        with changed(big, with_byte(at)) as facts:
            os.utime(big, ns=(facts.st_atime_ns, facts.st_mtime_ns))
            refuser.refuses(f"a change in {label}", words)
    with changed(big, with_byte(middle)):
        refuser.refuses("a change in the middle", ["big.jsonl.*was changed at", "touch -d"])
    with changed(f"{root}/member.jsonl.gz"):
        os.utime(f"{root}/member.jsonl.gz")
        refuser.refuses("a source that was touched", ["member.jsonl.*was changed at .*UTC", "touch -d"])
    with changed(big, lambda data: data + b"\n"):
        refuser.refuses("a source that grew", [r"big.jsonl: had \d+ bytes, has \d+ now"])
    with changed(f"{root}/tree/3/t003.txt", lambda data: data[:-1]):
        refuser.refuses("a source that shrank", [r"t003.txt: had \d+ bytes, has \d+ now"])
    support.write(f"{root}/added.jsonl", b'{"text":"new"}\n')
    refuser.refuses("a new source", ["added.jsonl: is new"], ranks=3)
    os.unlink(f"{root}/added.jsonl")
    os.rename(f"{root}/block.jsonl.bz2", f"{root}/.hidden")
    refuser.refuses("a source that is gone", ["block.jsonl: is gone"])
    os.rename(f"{root}/.hidden", f"{root}/renamed.jsonl.bz2")
    refuser.refuses("a renamed source", ["block.jsonl: is gone", "renamed.jsonl: is new"])
    os.rename(f"{root}/renamed.jsonl.bz2", f"{root}/block.jsonl.bz2")
    times = {path: os.stat(path) for path in determinism.files_of(root)}
    for path in times:
        os.utime(path)
    refuser.refuses("all sources touched", [r"and \d+ more differences"])
    for path, facts in times.items():
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def refuse_options(refuser, root, lexicon):
    other = support.write(f"{os.path.dirname(lexicon)}/other.tsv", SMALL_LEXICON.replace("en\n", "fr\n").encode())
    changes = (("--jobs", "profile"), ("--format", "jsonl"), ("--text-field", "body"), ("--id-field", "key"),
               ("--lang-field", "language"), ("--lang", "fr"), ("--lexicon", other), ("--tokens", "sklearn"),
               ("--max-record", "200M"), ("--max-tokens", "1000"), ("--max-id", "100"), ("--zstd-window", "64M"),
               ("--deflate", "1"), ("--ngrams", "1-2"), ("--features", "1000"), ("--alternate-sign", "no"), ("--binary",),
               ("--idf", "no"), ("--norm", "l1"), ("--top", "7"), ("--shingle", "3"), ("--bands", "20"), ("--band-rows", "4"),
               ("--threshold", "0.8"), ("--min-shingles", "3"), ("--minhash-seed", "7"), ("--minhash",),
               ("--segment-size", "128K"), ("--fingerprint", "all"))
    for words in changes:
        refuser.refuses(" ".join(words), [rf"{words[0]} was .*, is"], words)
    known = {words[0][2:] for words in changes} - {"segment-size", "fingerprint"}
    config = support.inspect(f"{refuser.bench.work}/undisturbed.h5")["config"]
    refuser.checks.equal(sorted(known), sorted(config), "the options that matter to the result")
    with changed(lexicon, lambda data: data + b"hope\tGOOD\t+\n"):
        refuser.refuses("another lexicon of the same name", ["--lexicon was .*, is"])
    refuser.refuses("two changes", ["--max-id was 256, is 99 now", "--tokens was .*unicode.*, is .*sklearn"],
                    ["--max-id", "99", "--tokens", "sklearn"])


def check_hint(checks, bench, root):
    """Where only the time differs, the message tells the command that puts it back."""
    output = killed_when_mapped(bench)
    path = f"{root}/member.jsonl.gz"
    os.utime(path)
    outcome = bench.run(output)
    checks.ended(outcome, 78, "a touched source")
    hint = re.search(r"touch -d @(\d+)\.(\d{9})", outcome.err)
    if checks.that(hint, "a touched source: no hint", outcome):
        stamp = int(hint.group(1)) * 10**9 + int(hint.group(2))
        os.utime(path, ns=(stamp, stamp))
        report = bench.goes_on(output, 1, "the hint was followed")
        checks.that(report is None or documents_made(report) == 0, "the hint was followed: documents computed")


def check_fingerprint_all(checks, work, root, lexicon):
    place = f"{work}/all"
    os.makedirs(place)
    bench = Bench(checks, place, root, ["--lexicon", lexicon, "--fingerprint", "all"])
    for path in determinism.files_of(root):
        os.utime(path)
    output = killed_when_mapped(bench)
    for path in determinism.files_of(root):
        os.utime(path)
    with changed(f"{root}/big.jsonl", with_byte(os.path.getsize(f"{root}/big.jsonl") // 2)) as facts:
        os.utime(f"{root}/big.jsonl", ns=(facts.st_atime_ns, facts.st_mtime_ns))
        outcome = bench.run(output)
        checks.ended(outcome, 78, "--fingerprint all, a change in the middle")
        checks.that(re.search("big.jsonl: content differs", outcome.err), "--fingerprint all: no word of the source", outcome)
    outcome = bench.run(output, more=["--fingerprint", "ends"])
    checks.ended(outcome, 78, "--fingerprint all, then ends")
    checks.that("--fingerprint was all, is ends now" in outcome.err, "--fingerprint all, then ends: no message", outcome)
    report = bench.goes_on(output, 3, "--fingerprint all, touched")
    checks.that(report is None or documents_made(report) == 0, "--fingerprint all, touched: documents are computed again")
    output = killed_when_mapped(bench)
    shutil.copytree(root, f"{work}/copy")
    original, bench.source = bench.source, f"{work}/copy"
    report = bench.goes_on(output, 1, "--fingerprint all, a copy of the corpus")
    checks.that(report is None or documents_made(report) == 0, "--fingerprint all, a copy: documents are computed again")
    bench.source = original


# ---- status ------------------------------------------------------------------------------------------------------------


def check_status(checks, work, full):
    bench = Bench(checks, work, make_corpus(f"{work}/corpus"))
    check_no_checkpoint(checks, bench)
    output = bench.output()
    ckpt = output + ".ckpt"
    check_running(checks, bench, output)
    outcome = bench.run(output, 2, "call=place,path=recovered,error=KILL,rank=0")
    checks.ended(outcome, KILLED, "status: killed")
    check_numbers(checks, bench, ckpt, {"state": "dead", "complete": False, "attempt": 2, "ranks": 2, "restarts": 1,
                                        "exit_code": None, "end": None}, "after a kill")
    says(checks, ckpt, "after a kill", ["died", "attempt 2, 2 ranks", r"restarts +1"])
    outcome = leave(bench, output, 1, f"{SPILL_WRITE},at=4,error=STOP", [signal.SIGUSR2], 0)
    checks.that(outcome is not None and outcome.code == 75, "status: left", outcome)
    facts = check_numbers(checks, bench, ckpt, {"state": "ended", "complete": False, "attempt": 3, "ranks": 1, "restarts": 2,
                                                "exit_code": 75}, "after 75")
    checks.that(facts.get("end") is not None, "after 75: no end")
    says(checks, ckpt, "after 75", ["ended with exit code 75", "attempt 3, 1 rank\n"])
    check_without_mpi(checks, bench, ckpt)
    outcome = bench.run(output, 3, more=["--keep-checkpoint"])
    bench.is_good(outcome, output, "status: the end", kept=True)
    facts = check_numbers(checks, bench, ckpt, {"state": "ended", "complete": True, "exit_code": 0, "segments_open": 0,
                                                "segments_done": bench.segments, "documents": bench.documents,
                                                "bad_records": bench.bad, "restarts": 3,
                                                "file_bytes": bench.source_bytes}, "complete")
    report = support.run_report(output)
    if facts:
        checks.equal(facts["restarts"], report["restarts"], "complete: restarts in run.json")
        checks.equal(facts["attempt_documents"], documents_made(report), "complete: documents of the last attempt")
        checks.equal(facts["attempt_text_bytes"], sum(f["text_bytes"] for f in report["rank_figures"]),
                     "complete: text of the last attempt")
        checks.equal(facts["sources"], report["sources"], "complete: sources")
    says(checks, ckpt, "complete", [": complete", r"\(100 %\)", f"documents +{bench.documents:,}, bad records +{bench.bad:,}"])
    check_growth(checks, work, full)


def says(checks, ckpt, label, words):
    outcome = support.run(["status", ckpt], limit=HANG)
    if checks.ended(outcome, 0, f"{label}: status"):
        for word in words:
            checks.that(re.search(word, outcome.out), f"{label}: status does not say '{word}': {outcome.out}")


def check_numbers(checks, bench, ckpt, wanted, label):
    """The facts asked for, and all that can be counted by oneself."""
    facts = status(checks, ckpt, label)
    if not facts:
        return {}
    known = distinct(journal_entries(ckpt))
    counted = {"segments_done": len(known), "documents": sum(e["documents"] for e in known),
               "text_bytes": sum(e["text"] for e in known), "file_bytes": sum(e["file"] for e in known),
               "bad_records": sum(e["bad"] for e in known), "file_bytes_total": bench.source_bytes, "damaged_entries": 0,
               "host": os.uname().nodename[:63], "folder_files": len(os.listdir(ckpt)),
               "folder_bytes": sum(os.path.getsize(f"{ckpt}/{n}") for n in os.listdir(ckpt))}
    counted.update(wanted)
    checks.equal({k: facts.get(k) for k in counted}, counted, f"{label}: status --json")
    return facts


def check_no_checkpoint(checks, bench):
    for path, code, word in ((f"{bench.work}/none", 74, "none"), (f"{bench.source}/big.jsonl", 74, "big.jsonl")):
        for more in ([], ["--json"]):
            outcome = support.run(["status", *more, path], limit=HANG)
            checks.ended(outcome, code, f"status of {word}")
            checks.that(any(word in e for e in outcome.errors()), f"status of {word}: no message", outcome)
    checks.ended(support.run(["status"], limit=HANG), 2, "status of nothing")
    empty = f"{bench.work}/empty.ckpt"
    os.makedirs(empty)
    says(checks, empty, "an empty folder", ["no run was started"])
    checks.equal(status(checks, empty, "an empty folder").get("state"), "none", "an empty folder: state")
    checks.equal(os.listdir(empty), [], "an empty folder: status leaves files")
    output = bench.output()
    outcome = bench.run(output, 1, "call=rename,path=manifest,error=KILL")
    checks.ended(outcome, KILLED, "killed before the manifest")
    says(checks, output + ".ckpt", "without a manifest", ["died", "segments +none\n"])
    facts = status(checks, output + ".ckpt", "without a manifest")
    checks.equal((facts.get("state"), facts.get("segments_done", 0)), ("dead", None), "without a manifest: status --json")
    bench.goes_on(output, 1, "killed before the manifest")


def check_running(checks, bench, output):
    """Leaves an attempt behind that was killed with something committed."""
    ckpt = output + ".ckpt"
    fault = ";".join(f"{SPILL_WRITE},at={at},error=STOP" for at in (2, 4))
    with ended_after(bench.start(output, 3, fault)) as process:
        pids = wait_stopped(process, 3)
        if not checks.equal(len(pids), 3, "status: ranks that stop"):
            return
        facts = status(checks, ckpt, "a run without a commit")
        checks.equal((facts.get("segments_done"), facts.get("last_commit")), (0, None), "a run without a commit")
        time.sleep(1.1)  # more than --commit-interval
        go_on(pids)
        time.sleep(0.05)
        wait_stopped(process, 3)
        facts = check_numbers(checks, bench, ckpt, {"state": "running", "complete": False, "attempt": 1, "ranks": 3,
                                                    "restarts": 0, "pid": pids[0], "end": None, "exit_code": None}, "running")
        if facts:
            checks.that(facts["documents"] > 0, "running: no documents")
            checks.that(0 <= facts["last_commit_age_seconds"] < 60, f"running: age {facts['last_commit_age_seconds']}")
            checks.that(facts["segments_open"] > 0 and facts["seconds_left"] >= 0, f"running: {facts}")
            rate = facts["attempt_documents"] / facts["attempt_seconds"]
            checks.that(abs(facts["documents_per_second"] - rate) < 0.01 * rate + 1, "running: documents a second")
        says(checks, ckpt, "running", [rf"running on .*\(pid {pids[0]}\)", "attempt 1, 3 ranks", "time left +about",
                                       r"last commit \d+ s ago"])
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        support.finish(process, HANG)


def check_without_mpi(checks, bench, ckpt):
    """Where MPI cannot start, run fails, and status works."""
    env = {"OMPI_MCA_btl": "none_such", "OMPI_MCA_pml": "none_such"}
    broken = support.run(bench.command(f"{bench.work}/never.h5"), env=env, limit=HANG)
    if broken.code == 0:
        checks.note("MPI starts although it should not: status without it is not tried")
    for more in ([], ["--json"]):
        outcome = support.run(["status", *more, ckpt], env=env, limit=HANG)
        checks.ended(outcome, 0, "status where MPI cannot start")
        checks.equal(outcome.err, "", "status where MPI cannot start: messages")


def check_growth(checks, work, full):
    """Seen from beside, what is done only grows, and never passes what there is."""
    place = f"{work}/growth"
    os.makedirs(place)
    bench = Bench(checks, place, make_long(place, 30 if full else 12))
    output = bench.output()
    ckpt = output + ".ckpt"
    fault = f"{SPILL_WRITE},chance=0.02,seed={SEED},error=STOP"
    seen, failed = [(0, 0, 0)], 0
    # A rank that stops is woken a little later, so that there are several commits to be seen.
    with ended_after(bench.start(output, 2, fault, ["--keep-checkpoint"])) as process:
        while process.poll() is None:
            pids = support.ranks_of(process.pid)
            if os.path.exists(f"{ckpt}/manifest"):
                outcome = support.run(["status", "--json", ckpt], limit=HANG)
                failed += outcome.code != 0
                facts = json.loads(outcome.out) if outcome.code == 0 else {}
                seen.append(tuple(facts.get(k) or 0 for k in ("segments_done", "documents", "file_bytes")))
            time.sleep(0.05)
            go_on(pids)
        outcome = support.finish(process, HANG)
    bench.is_good(outcome, output, "status beside a run", kept=True)
    checks.equal(failed, 0, "status beside a run: failures")
    checks.that(all(a <= b for one, two in zip(seen, seen[1:]) for a, b in zip(one, two)), f"what is done shrinks: {seen}")
    checks.that(seen[-1][1] <= bench.documents, f"more documents than there are: {seen[-1]}")
    print(f"status beside a run: {len(seen)} looks, {len(set(seen))} different")


# ---- all of it -----------------------------------------------------------------------------------------------------------

# The long ones first: some run side by side.
PARTS = {"signals": check_signals, "options": check_options, "refusals": check_refusals, "map": check_map, "stream": check_stream,
         "status": check_status, "places": check_places, "max-time": check_max_time}


def main():
    """restart.py [PROGRAM] [long] [PART...]"""
    parts, _ = support.words_given(PARTS)
    checks = support.Checks()
    support.program()
    print(f"seed {SEED}")
    support.run_in_folders(PARTS, parts, lambda check, work: check(checks, work, "long" in sys.argv[1:]), 3, ["max-time"])
    checks.exit()


if __name__ == "__main__":
    sys.exit(main())
