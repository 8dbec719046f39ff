"""The reduce phase disturbed: killed at any of its steps, left as asked, frozen and replaced, out of memory, its files
damaged. The next runs, on other numbers of ranks, go on behind the last stage that is complete, and give the bytes of
an undisturbed run.

reduce.py [PROGRAM] [COUNT | all] [PART ...]: COUNT cases of each kind instead of those of the short form."""

import os
import random
import re
import signal
import sys
import time

import damage
import faults
import locks
import restart
import support

SEED = 20240503
KILLED = restart.KILLED
STAGES = ("terms", "edges", "duplicates")
RANKS = (0, 2, 3)
SOON = 10  # seconds in which a run must end that is told to
OURS = re.compile(r"manifest|result|attempt-\d{6}|(spill|journal)-\d{6}-\d{6}|stage-(" + "|".join(STAGES) + r")|"
                  r"(part|shuffle)-\d{6}-\d{6}-[a-z]+(-\d+)?")
# A run in which shuffles do not fit the memory of one rank.
OPTIONS = (*support.JOBS, "--bands", "50", "--band-rows", "4", "--segment-size", "256K", "--commit-interval", "1")


def make_corpus(root):
    """The small corpus, and words that hardly occur twice."""
    support.small_corpus(root)
    rng = random.Random(SEED)
    lines = []
    for i in range(4000):
        words = " ".join(f"{rng.getrandbits(40):010x}".translate(str.maketrans("0123456789", "ghijklmnop")) for _ in range(55))
        lines.append(b'{"id":"words-%d","text":"%s"}\n' % (i, words.encode()))
    support.write(f"{root}/words.jsonl", b"".join(lines))
    return root


class Bench(support.Bench):
    """From checkpoints in which all is mapped."""

    options = OPTIONS
    make_corpus = staticmethod(make_corpus)

    def _halfway(self):
        return None, 0


class SmallBench(Bench):
    """Of less; nothing is spilled."""

    make_corpus = staticmethod(support.small_corpus)


def stages_of(case):
    return {name for name in STAGES if os.path.exists(f"{case.checkpoint}/stage-{name}")}


def epoch_of(name):
    found = re.match(r"[a-z]+-(\d{6})", name)
    return int(found.group(1)) if found else 0


def belongs(checks, case, label):
    """What a run that was killed may leave: names of ours, and of attempts before it only what is needed."""
    names = os.listdir(case.checkpoint)
    checks.equal([n for n in names if not OURS.fullmatch(n.removesuffix(".tmp"))], [], f"{label}: files that are not known")
    last = max(epoch_of(n) for n in names if n.startswith("attempt-"))
    there = stages_of(case)
    old = [n for n in names if n.startswith(("shuffle-", "part-")) and epoch_of(n) < last]
    useless = [n for n in old if n.startswith("shuffle-") or n.split("-")[3] not in there]
    checks.equal(useless, [], f"{label}: left by attempts before")
    partials = [n for n in os.listdir(case.path) if ".partial-" in n and epoch_of("x-" + n[-6:]) < last]
    checks.equal(partials, [], f"{label}: partial files of attempts before")


def count_rules(case):
    """Counts how often each stage is made; nothing fails."""
    rules = [f"call=rename,path=/stage-{name},error=KILL,at=1000000" for name in STAGES]
    return ";".join([f"count={case.path}/calls", *rules])


def made_stages(case):
    """Which stages a run with count_rules has made."""
    with open(f"{case.path}/calls-0", encoding="ascii") as file:
        counts = {int(n): int(m) for n, m in re.findall(r"rule (\d+) matched (\d+)", file.read())}
    for rank in range(max(RANKS)):
        if os.path.exists(f"{case.path}/calls-{rank}"):
            os.unlink(f"{case.path}/calls-{rank}")
    return {name for name, rule in zip(STAGES, sorted(counts)) if counts[rule] > 0}


def ends_well(checks, case, label, ranks, there):
    """The next run makes the stages that are not there, and no other; then all is as it should be."""
    outcome = case.run(ranks, count_rules(case), limit=60)
    label = f"{label}; then {ranks or 1} ranks"
    if not checks.ended(outcome, 0, label):
        return None
    checks.that(case.whole(), f"{label}: other bytes", outcome)
    wanted = set(STAGES) - there - ({"edges"} if "duplicates" in there else set())
    checks.equal(sorted(made_stages(case)), sorted(wanted), f"{label}: stages made; before there were {sorted(there)}", outcome)
    checks.equal(case.leftovers(), [], f"{label}: left behind", outcome)
    figures = support.run_report(case.output)
    checks.equal(sum(f["segments"] for f in figures["rank_figures"]), 0, f"{label}: segments computed again", outcome)
    return outcome


# ---- killed -----------------------------------------------------------------------------------------------------


def points(checks, bench):
    """Where a run on one rank, and one on three, can be killed: a place that is reached the Nth time, and the calls on
    the phase's own files. Not all ranks come everywhere as often."""
    rules = ["call=place,path=shuffle", "call=place,path=stage-part", "call=open,path=/shuffle-", "call=write,path=/shuffle-",
             "call=read,path=/shuffle-", "call=remove,path=/shuffle-", "call=write,path=/part-", "call=sync,path=/part-",
             "call=read,path=/part-", "call=open,path=/part-", "call=rename,path=/stage-", "call=sync,path=/stage-",
             "call=remove,path=/stage-", "call=remove,path=/part-", "call=write,path=.vocab.tsv", "call=sync,path=.vocab.tsv",
             "call=rename,path=.vocab.tsv", "call=sync,path=.ckpt"]
    found = {}
    for some in (rules[:9], rules[9:]):
        case = bench.case(bench.mapped)
        outcome = case.run(0, ";".join([f"count={case.path}/calls"] + [f"{rule},error=KILL,at=1000000" for rule in some]))
        if not checks.ended(outcome, 0, "counting the calls of the reduce phase"):
            return found
        with open(f"{case.path}/calls-0", encoding="ascii") as file:
            found.update(zip(some, [int(m) for m in re.findall(r"rule \d+ matched (\d+)", file.read())]))
        case.remove()
    never = [rule for rule in rules if found[rule] == 0]
    checks.equal(never, [], "calls that the reduce phase never makes: is the corpus too small?")
    print(f"  {found}")
    return found


def chosen_points(counts, rng):
    """A point, each rule as likely as the others."""
    rule = rng.choice([rule for rule, count in counts.items() if count > 0])
    return f"{rule},error=KILL,at={rng.randint(1, counts[rule])}"


def check_places(checks, bench, count):
    """Killed at each named place, then again on another number of ranks, then left to finish on a third."""
    rng = random.Random(SEED)
    counts = points(checks, bench)
    places = [("shuffle", at) for at in range(1, counts["call=place,path=shuffle"] + 1)]
    places += [("stage-part", at) for at in (1, 2, 3)] + [("stage,", at) for at in range(1, 7)] + [("reduced", 1), ("written", 1)]
    several = [(place, at, ranks, rank) for place, at in places for ranks, rank in ((0, None), (3, None), (3, 0), (3, 2))]
    several = [c for c in several if c[0] != "stage," or c[3] in (None, 0)]
    wanted = faults.Sample(count)
    short = [("shuffle", 3, 0, None), ("stage-part", 1, 3, 2), ("stage,", 3, 0, None), ("reduced", 1, 3, 0)]
    for place, at, ranks, rank in short if count is None else wanted.of(several, 0):
        fault = f"call=place,path={place.rstrip(',')},error=KILL,at={at}" + (f",rank={rank}" if rank is not None else "")
        chain(checks, bench, rng, counts, fault, ranks)
    for _ in range(2 if count is None else 10 * (count or 20)):
        chain(checks, bench, rng, counts, chosen_points(counts, rng), rng.choice(RANKS))


def chain(checks, bench, rng, counts, fault, ranks):
    """Killed there and, on another number of ranks, somewhere else; then it is left to finish."""
    case = bench.case(bench.mapped)
    label = f"{fault}, {ranks or 1} ranks"
    killed = case.run(ranks, fault)
    if not checks.that(not killed.timed_out and killed.code != 75, f"{label}: exit code {killed.code}", killed):
        case.remove()
        return
    if killed.code == 0:  # a rank that never comes there
        checks.that(case.whole(), f"{label}: other bytes", killed)
        case.remove()
        return
    belongs(checks, case, label)
    before = stages_of(case)
    second = rng.choice([r for r in RANKS if r != ranks])
    fault = chosen_points(counts, rng)
    label += f"; then {fault}, {second or 1} ranks"
    killed = case.run(second, fault)
    checks.that(not killed.timed_out, f"{label}: hangs", killed)
    if os.path.exists(case.output):  # it did not come there, or only when all was done
        checks.that(case.whole(), f"{label}: other bytes", killed)
    else:
        belongs(checks, case, label)
        after = stages_of(case)
        checks.that(before - {"edges"} <= after, f"{label}: of the stages {sorted(before)} only {sorted(after)} are left", killed)
        third = rng.choice([r for r in RANKS if r not in (ranks, second)])
        ends_well(checks, case, label, third, after)
    case.remove()


# ---- damage -----------------------------------------------------------------------------------------------------


def check_damage(checks, bench, count):
    """Lists of stages and their parts: what is damaged is made again, or the run says what it found."""
    rng = random.Random(SEED + 1)
    prepared = {"terms": bench.killed_at("stage-part,at=2", 3, bench.mapped), "all": bench.killed_at("reduced", 2, bench.mapped)}
    edges = bench.case(bench.mapped)
    checks.ended(edges.run(3, "call=remove,path=/stage-edges,error=KILL"), KILLED, "killed before edges are removed")
    prepared["edges"] = edges
    other = foreign_stages(bench)
    cases = [(name, file, how) for name, case in prepared.items() for file in sorted(os.listdir(case.checkpoint))
             if file.startswith(("stage-", "part-")) for how in (*damage.WAYS, "flipped", "flipped", "cut", "cut")]
    wanted = faults.Sample(count)
    parts = wanted.of([c for c in cases if c[1].startswith("part-")], 8)
    for name, file, how in parts + wanted.of([c for c in cases if c[1].startswith("stage-")], 4):
        damaged(checks, bench, rng, prepared[name], file, how, other)


def foreign_stages(bench):
    """Of another corpus."""
    case = bench.case()
    support.write(f"{case.path}/corpus/a.jsonl", support.records(77, 600))
    outcome = support.run(["run", *bench.options, "-o", case.output, f"{case.path}/corpus"],
                          env={"DHATU_FAULT": "call=remove,path=/stage-edges,error=KILL"})
    bench.checks.ended(outcome, KILLED, "another checkpoint")
    return case.checkpoint


def damaged(checks, bench, rng, prepared, file, how, other):
    label = f"{file} is {how}"
    case = bench.case(prepared.checkpoint)
    path = f"{case.checkpoint}/{file}"
    size = os.path.getsize(path)
    if how == "flipped":
        bit = rng.choice((rng.randrange(8 * size), 8 * size - 1 - rng.randrange(8 * min(size, 400))))
        damage.flip(path, [bit])
        label += f" at bit {bit} of {8 * size}"
    elif how == "cut":
        at = rng.randrange(size)
        os.truncate(path, at)
        label += f" at {at} of {size}"
    else:
        stage = file.split("-")[-1]
        name = f"stage-{stage}" if file.startswith("stage-") else f"part-000001-000000-{stage}"
        damage.spoil(path, how, rng, f"{other}/{name}")
    ranks = rng.choice(RANKS)
    outcome = case.run(ranks)
    label += f", {ranks or 1} ranks"
    if how in ("a folder", "a FIFO") and outcome.code != 0:
        damage.refused(checks, case, outcome, label, 74, [re.escape(file)])
    elif checks.ended(outcome, 0, label):
        checks.that(case.whole(), f"{label}: other bytes", outcome)
        if how != "a folder":  # which is not removed, as a warning says
            checks.equal(case.leftovers(), [], f"{label}: left behind", outcome)
    case.remove()


# ---- left as asked ----------------------------------------------------------------------------------------------


def check_leave(checks, bench, count):
    """Stopped at a place, told to leave, stopped again until the time for that is over, and then it leaves."""
    usr1, term = signal.SIGUSR1, signal.SIGTERM
    cases = [("shuffle", 2, 4, 0, usr1), ("shuffle", 5, 7, 3, usr1), ("stage-part", 1, 2, 2, term), ("shuffle", 4, 6, 3, "stop"),
             ("shuffle", 2, 3, 2, "--max-time")]
    if count is not None:
        cases += [("shuffle", at, at + 2, ranks, how) for at in range(1, 9) for ranks in RANKS
                  for how in (usr1, signal.SIGUSR2, term, "stop", "--max-time")]
    support.side_by_side(lambda *case: leaves(checks, bench, *case), cases, 2)


def leaves(checks, bench, place, first, second, ranks, how):
    word = how if isinstance(how, str) else how.name
    label = f"{word} at {place} {first}, {ranks or 1} ranks"
    case = bench.case(bench.mapped)
    fault = f"call=place,path={place},error=STOP,at={first};call=place,path={place},error=STOP,at={second}"
    more = ["--grace", "1"] + (["--max-time", "2"] if how == "--max-time" else [])
    process = case.start(ranks, fault, more)
    with restart.ended_after(process):
        pids = restart.wait_stopped(process, 1)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        if not checks.equal(len(pids), max(ranks, 1), f"{label}: ranks that stop"):
            return
        if how == "stop":
            support.write(f"{case.checkpoint}/stop", b"")
            time.sleep(2.1)  # it is looked for every 2 s
        elif how == "--max-time":
            time.sleep(2)
        else:
            os.kill(pids[-1], how)
        restart.go_on(pids)
        restart.wait_stopped(process, 1)
        time.sleep(0.7)  # more than half of the grace
        began = time.monotonic()
        while process.poll() is None and time.monotonic() < began + SOON:
            restart.go_on(pids)
            time.sleep(0.02)
        outcome = support.finish(process, SOON)
    if checks.ended(outcome, 75, label):
        checks.that("run the same command again" in outcome.err, f"{label}: does not say that work is kept", outcome)
        checks.that(not os.path.exists(case.output), f"{label}: there is a result", outcome)
        checks.that(not os.path.exists(f"{case.checkpoint}/stop"), f"{label}: the file stop is still there", outcome)
        left = [n for n in os.listdir(case.checkpoint) if n.startswith("shuffle-")]
        checks.equal(left, [], f"{label}: runs of shuffles that are left", outcome)
        checks.equal([n for n in os.listdir(case.path) if ".partial-" in n], [], f"{label}: partial files that are left", outcome)
        belongs(checks, case, label)
        ends_well(checks, case, label, {0: 3, 2: 0, 3: 2}[ranks], stages_of(case))
    case.remove()


# ---- frozen -----------------------------------------------------------------------------------------------------


def check_frozen(checks, bench, count):
    """A run that is frozen in the reduce phase, and replaced, writes nothing more when it wakes up."""
    cases = [("call=write,path=/shuffle-,at=2", 0), ("call=write,path=/part-,at=2", 0), ("call=place,path=stage", 0),
             ("call=place,path=shuffle,at=4", 2)]
    if count is not None:
        cases += [(fault, ranks) for ranks in (0, 2) for fault in (
            *(f"call=place,path=shuffle,at={at}" for at in range(1, 12)), "call=open,path=/part-", "call=open,path=/shuffle-",
            *(f"call=place,path=stage,at={at}" for at in range(2, 7)), "call=write,path=.vocab.tsv", "call=rename,path=/stage-")]
    for fault, ranks in cases:
        for finishes in (True, False) if count is not None else (fault != "call=write,path=/part-,at=2",):
            replaced(checks, bench, fault, ranks, finishes)


def replaced(checks, bench, fault, ranks, finishes):
    """finishes: the second run has made the result when the first one wakes up; else it was killed in the reduce phase,
    and what it has left must be of use to a third one."""
    label = f"frozen at {fault}, {ranks or 1} ranks, the second run {'finishes' if finishes else 'is killed'}"
    case = bench.case(bench.mapped)
    keep = ["--keep-checkpoint"]
    with restart.ended_after(case.start(ranks, f"{fault},error=STOP", keep)) as process:
        pids = restart.wait_stopped(process, 1)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        if not checks.equal(len(pids), max(ranks, 1), f"{label}: ranks that stop"):
            return
        second = case.run(2 if ranks != 2 else 3, None if finishes else "call=place,path=reduced,error=KILL",
                          [*keep, "--break-lock"])
        checks.ended(second, 0 if finishes else KILLED, f"{label}: --break-lock")
        checks.that(case.whole() or not finishes, f"{label}: other bytes of the second run", second)
        time.sleep(1.1)  # more than the second between two looks at the lock
        before = locks.listing(case.output)
        locks.wakes_up(checks, process, pids, label)
        after = locks.listing(case.output)
        checks.equal(sorted(set(after) - set(before)), [], f"{label}: files made after it woke up")
        changed = [n for n in before if n in after and after[n] != before[n]]
        checks.equal(changed, [], f"{label}: files that changed after it woke up")
    if finishes:
        again = case.run(0, more=keep)
        checks.ended(again, 0, f"{label}: the same command again")
        checks.that("complete already" in again.err and case.whole(), f"{label}: is not complete", again)
    else:
        ends_well(checks, case, label, 0, stages_of(case))
    case.remove()


# ---- out of memory ----------------------------------------------------------------------------------------------


def check_memory(checks, bench, count):
    """An allocation that fails: exit code 1 and a message; the checkpoint is kept."""
    case = bench.case(bench.mapped)
    checks.ended(case.run(fault=f"count={case.path}/calls"), 0, "counting allocations")
    with open(f"{case.path}/calls-0", encoding="ascii") as file:
        total = int(re.search(r"allocate (\d+)", file.read()).group(1))
    case.remove()
    wanted = faults.Sample(count)
    cases = [(at, ranks, persist) for at in range(1, total + 1) for ranks in (0, 0, 0, 3) for persist in ("", ",persist")]
    for at, ranks, persist in wanted.of(cases, 6):
        case = bench.case(bench.mapped)
        rank = f",rank={wanted.rng.randrange(3)}" if ranks else ""
        label = f"allocation {at} fails{persist}, {ranks or 1} ranks{rank}"
        outcome = case.run(ranks, f"call=allocate,error=ENOMEM,at={at}{persist}{rank}", limit=20)
        if checks.ended(outcome, (0, 1), label) and outcome.code == 1:
            checks.that(any("out of memory" in line for line in outcome.errors()), f"{label}: no error says so", outcome)
            checks.that("Process received signal" not in outcome.err, f"{label}: crashed", outcome)
            checks.that(os.path.exists(f"{case.checkpoint}/manifest"), f"{label}: the checkpoint is gone", outcome)
            left = [n for n in os.listdir(case.checkpoint) if n.startswith("shuffle-")]
            checks.equal(left, [], f"{label}: runs of shuffles that are left", outcome)
            faults.goes_on(checks, case, label, wanted.ranks())
        elif outcome.code == 0:
            checks.that(case.whole(), f"{label}: other bytes", outcome)
        case.remove()


# ---- other options ----------------------------------------------------------------------------------------------


def check_options(checks, bench, count):
    """What may change between attempts that share stages, and what may not."""
    start = bench.killed_at("stage-part,at=2", 3, bench.mapped).checkpoint
    for more in (["--memory", "300M"], ["--memory", "16M", "--batch-size", "64K", "--backend", "cpu", "--top", "1000"]):
        case = bench.case(start)
        outcome = case.run(2, more=more)
        label = f"then {' '.join(more)}"
        checks.ended(outcome, 0, label)
        checks.that(case.whole(), f"{label}: other bytes", outcome)
        case.remove()
    earlier = f"{bench.work}/good.h5"
    for more in (["--ngrams", "1-3"], ["--bands", "40"], ["--threshold", "0.9"], ["--top", "5"], ["--against", earlier]):
        case = bench.case(start)
        outcome = case.run(0, more=more)
        damage.refused(checks, case, outcome, f"then {' '.join(more)}", 78, [f"{more[0]}|against", "--fresh"])
        case.remove()
    case = bench.case(start)
    outcome = case.run(2, more=["--fresh"])
    checks.ended(outcome, 0, "then --fresh")
    checks.that(case.whole(), "then --fresh: other bytes", outcome)
    checks.equal(support.run_report(case.output)["recovered"]["segments"], 0, "then --fresh: segments recovered", outcome)
    case.remove()


# ---- all of it --------------------------------------------------------------------------------------------------

PARTS = {"places": check_places, "leave": check_leave, "frozen": check_frozen}
SMALL_PARTS = {"damage": check_damage, "memory": check_memory, "options": check_options}


def main():
    """reduce.py [PROGRAM] [COUNT|all] [PART...]"""
    checks = support.Checks()
    only, count = support.words_given({**PARTS, **SMALL_PARTS})
    print(f"seed {SEED}")
    for kind, parts in ((Bench, PARTS), (SmallBench, SMALL_PARTS)):
        if not only or set(only) & set(parts):
            with support.folder() as work:
                bench = kind(checks, work)
                support.run_parts(parts, only, lambda check: check(checks, bench, count), 3, ["leave"])
    checks.exit()


if __name__ == "__main__":
    sys.exit(main())
