"""Killed at any instant, on any number of ranks, the same command goes on and ends with the same bytes.

kills.py [PROGRAM [COUNT [SEED]]]: COUNT kills, 12 unless told; 200 and more are the long form, in which every phase
of a run must have been hit. The same seed draws the same kills, but when they hit depends on the machine."""

import contextlib
import gzip
import json
import os
import random
import re
import shutil
import signal
import sys
import time

import determinism
import support

RANKS = (1, 2, 3, 4, 7)
SIZES = {1: "64K", 2: "128K", 3: "64K", 4: "256K", 7: "64K"}  # of segments, in the undisturbed run on so many ranks
LIMIT = 90  # seconds: a run that takes longer hangs
GONE = 15  # seconds after a kill in which all of its processes must be gone
LONG = 100  # kills: from here on every phase must have been hit
PHASES = ("start", "planning", "recovery", "map", "commit", "reduce", "write", "publish", "end")
ENDED_BADLY = (75, 137, 143)  # how a run may end that was hit

# How a run is hit. The deck is shuffled and dealt to the last card before it is shuffled again.
DECK = ("time rank", "time mpirun", "time all", "time at once", "time frozen", "time term", "sight rank", "sight all",
        "sight at once", "sight mpirun", "chance", "rule", "rule", "narrow", "narrow")
SIGHTS = ("attempt", "manifest", "spill", "journal", "shuffle", "stage", "partial", "result", "output")
NARROW = ("planning", "recovery", "commit", "reduce", "write", "publish")  # phases that time hardly hits
PLACES = {"planned": "planning", "recovered": "recovery", "mapped": "reduce", "shuffle": "reduce", "stage": "reduce",
          "reduced": "write", "written": "write", "publish": "publish", "published": "end"}
# Little memory and many numbers a document: all steps of the reduce phase have much to do.
JOBS = (*support.JOBS, "--ngrams", "1", "--bands", "50", "--band-rows", "4")
# A rule of DHATU_FAULT, its count drawn up to this, and the phase; None: what is found in the folder tells it.
RULES = (("call=sync,path=/spill-", 2, "commit"), ("call=open,path=/journal-", 1, None),
         ("call=write,path=/journal-", 2, "commit"), ("call=sync,path=/journal-", 2, "commit"),
         ("call=write,path=/spill-", 60, None), ("call=read,path=/journal-", 8, None),
         ("call=read,path=/spill-", 60, None), ("call=remove,path=/spill-", 2, None),
         ("call=remove,path=/journal-", 2, None), ("call=link", 1, None), ("call=rename,path=manifest", 1, "planning"),
         ("call=place,path=shuffle", 14, "reduce"), ("call=place,path=stage", 9, "reduce"), ("call=write,path=/part-", 60, "reduce"),
         ("call=write,path=/shuffle-", 60, "reduce"), ("call=rename,path=/stage-", 3, "reduce"),
         ("call=remove,path=/part-", 3, "reduce"), ("call=write,path=.vocab.tsv", 2, "reduce"), ("call=reserve", 1, "write"), ("call=write,path=.partial-", 12, "write"),
         ("call=sync,path=.partial-", 3, "write"), ("call=rename", 6, None), ("call=folder", 4, None),
         ("call=remove,path=/attempt-", 2, None), ("call=remove,path=/manifest", 1, "end"),
         ("call=remove,path=/result", 1, "end"), ("call=open", 40, None))


WORDS = str.maketrans("0123456789", "ghijklmnop")  # a token has letters only


def long_lines(seed, count):
    """Documents of several kilobytes: much to do, few rows."""
    rng = random.Random(seed)
    return b"".join(support.record(rng, i, rng.randint(40, 160)) + b"\n" for i in range(count))


def many_words(seed, count):
    """Documents of words that hardly occur twice."""
    rng = random.Random(seed)
    lines = []
    for i in range(count):
        words = " ".join(f"{rng.getrandbits(40):010x}".translate(WORDS) for _ in range(100))
        lines.append(b'{"id":"words-%d","text":"%s"}\n' % (i, words.encode()))
    return b"".join(lines)


def make_corpus(root):
    """About 60 MB of text, most of it in two large .gz whose parts repeat; 8 MB of files."""
    mixed = b"".join(determinism.mixed_lines(1, 1500))
    some = b"".join(determinism.mixed_lines(2, 300))
    long = long_lines(3, 300)
    support.write(f"{root}/big.jsonl", mixed + long_lines(4, 200))
    support.write(f"{root}/large.jsonl.gz", gzip.compress(long * 8 + some, 1, mtime=0))
    support.write(f"{root}/members.jsonl.gz", b"".join(gzip.compress(some + long, 1, mtime=0) for _ in range(8)))
    support.write(f"{root}/words.jsonl", many_words(6, 3000))
    support.write(f"{root}/damaged.jsonl.gz", gzip.compress(some, 6, mtime=0)[:-2000])
    if shutil.which("zstd"):
        support.write(f"{root}/frames.jsonl.zst", determinism.zstd_frames(mixed))
    rng = random.Random(5)
    for i in range(200):
        text = support.sentences(rng, rng.randint(0, 4), rng.choice(("en", "fr", "xx")))
        support.write(f"{root}/texts/{i % 7}/{i}.txt", text.encode())


def processes_of(text):
    """The processes that live and have the text in their command line."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/cmdline", "rb") as file:
                if text.encode() in file.read():
                    found.append(int(entry))
    return found


def send(pid, number):
    with contextlib.suppress(OSError):
        os.kill(pid, number)


class Place:
    """The files of one output and its checkpoint."""

    def __init__(self, work, elsewhere):
        self.output = f"{work}/out/out.h5"
        self.folder = f"{work}/elsewhere/deep/ckpt" if elsewhere else self.output + ".ckpt"
        self.elsewhere = elsewhere

    def clear(self):
        for path in (os.path.dirname(self.output), self.folder):
            shutil.rmtree(path, ignore_errors=True)
        os.makedirs(os.path.dirname(self.output))

    def names(self):
        """What is in the checkpoint folder, and beside the output."""
        found = []
        for path in (self.folder, os.path.dirname(self.output)):
            with contextlib.suppress(OSError):
                found += os.listdir(path)
        return found

    def epoch(self):
        return max((int(n[8:]) for n in self.names() if re.fullmatch(r"attempt-\d{6}", n)), default=0)

    def sees(self, sight, epoch):
        """Has the attempt behind `epoch` come so far?"""
        names = self.names()
        number = f"{epoch + 1:06d}"
        return {"attempt": f"attempt-{number}" in names, "manifest": "manifest" in names,
                "spill": any(n.startswith(f"spill-{number}") for n in names),
                "journal": any(n.startswith(f"journal-{number}") for n in names),
                "shuffle": any(n.startswith(("part-" + number, "shuffle-" + number)) for n in names),
                "stage": any(n.startswith("stage-") for n in names), "partial": any(n.startswith("out.h5.partial-") and n.endswith("-" + number) for n in names),
                "result": "result" in names, "output": os.path.exists(self.output)}[sight]

    def holder(self, epoch):
        """The process of rank 0 of an attempt, or None."""
        path = f"{self.folder}/attempt-{epoch:06d}"
        with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as file:
            return json.load(file)["pid"]
        return None


class Campaign:
    def __init__(self, checks, work, seed):
        self.checks, self.work, self.rng = checks, work, random.Random(seed)
        self.corpus = f"{work}/corpus"
        self.wanted, self.seconds, self.total = {}, {}, {}
        self.phases = dict.fromkeys(PHASES, 0)
        self.kills = self.chains = self.at_once = self.recovered = self.late = 0
        self.deck = []
        self.left = []  # (label, process, processes, time) of runs that the next one did not wait for

    # ---- undisturbed runs

    def arguments(self, place, options):
        folder = ["-c", place.folder] if place.elsewhere else []
        return ["run", *JOBS, "--commit-interval", "1", *options, *folder, "-o", place.output, self.corpus]

    def measure(self):
        """Undisturbed runs: their bytes, their times, the number of segments."""
        for deflate, ranks in [("0", r) for r in RANKS] + [("1", 2)]:
            place = Place(self.work, False)
            place.clear()
            label = f"undisturbed on {ranks} ranks, deflate {deflate}"
            options = ["--segment-size", SIZES[ranks], "--deflate", deflate, "--keep-checkpoint"]
            outcome = support.run(self.arguments(place, options), ranks, LIMIT)
            if not self.checks.ended(outcome, 0, label):
                print(outcome.err)
                return False
            self.check_bytes(place, deflate, label)
            self.seconds.setdefault(ranks, outcome.seconds)
            self.total[SIZES[ranks]] = self.status(place, label)["segments_done"]
        times = ", ".join(f"{r} ranks {s:.1f} s" for r, s in self.seconds.items())
        print(f"undisturbed: {times}; segments: {self.total}", flush=True)
        return True

    def status(self, place, label):
        outcome = support.run(["status", "--json", place.folder], 0, 20)
        if not self.checks.ended(outcome, 0, f"{label}: status"):
            return {"segments_done": None, "state": None}
        return json.loads(outcome.out)

    def check_bytes(self, place, deflate, label, outcome=None):
        got = []
        for suffix in support.SUFFIXES:
            if not self.checks.that(os.path.exists(place.output + suffix), f"{label}: no out.h5{suffix}", outcome):
                return
            got.append(support.sha256(place.output + suffix))
        wanted = self.wanted.setdefault(deflate, got)
        for name, one, other in zip(("result", "quarantine", "vocabulary"), got, wanted):
            self.checks.equal(one[:16], other[:16], f"{label}: the {name} differs from the undisturbed one", outcome)

    # ---- one hit

    def draw(self):
        if not self.deck:
            self.deck = list(DECK)
            self.rng.shuffle(self.deck)
        return self.deck.pop()

    def rule(self, kind, ranks):
        """A rule of DHATU_FAULT, and the phase that it hits where that is known."""
        rng = self.rng
        if kind == "chance":
            return f"call=any,error=KILL,chance={0.0005 * 60 ** rng.random():.5f},seed={rng.randrange(10 ** 6)}", None
        # The place "publish" is in the name of the one behind it, and comes first.
        rules = [(f"call=place,path={name}", 1, phase) for name, phase in PLACES.items()] + list(RULES)
        if kind == "narrow":
            wanted = rng.choice(NARROW)
            rules = [rule for rule in rules if rule[2] == wanted]
        call, most, phase = rng.choice(rules)
        one = rng.random() < 0.5 and phase not in ("publish", "end", "commit")
        rank = f",rank={rng.randrange(ranks)}" if one else ""
        return f"{call},error=KILL,at={rng.randint(1, most)}{rank}", phase

    def wait(self, kind, process, place, epoch, seconds):
        """Until it is to be hit. False: it ended before. Gives the moment, in words."""
        rng = self.rng
        began = time.monotonic()
        sight = rng.choice(SIGHTS)
        after = rng.random() ** 3 * 0.2 if kind.startswith("sight") else rng.random() * seconds
        seen = None if kind.startswith("sight") else began
        while process.poll() is None:
            now = time.monotonic()
            if seen is None and place.sees(sight, epoch):
                seen = now
            if seen is not None and now >= seen + after:
                return f"{after:.2f} s behind {sight}" if kind.startswith("sight") else f"at {after:.2f} s"
            if now > began + LIMIT:
                break
            time.sleep(0.001)
        return None

    def hit(self, kind, process, place, epoch):
        """Kills. Gives who was hit, or None when nobody was there any more."""
        rng = self.rng
        how = kind.split(" ", 1)[1]
        children = support.descendants(process.pid)
        ranks = support.ranks_of(process.pid)
        starter = [pid for pid in children if pid not in ranks][:1]
        if not children:
            return None
        if how == "at once":
            holder = place.holder(epoch + 1)
            if holder not in ranks:
                how = "all"
            else:
                send(holder, signal.SIGKILL)
                return "rank 0, at once"
        if how == "all" or (how == "mpirun" and not starter):
            for pid in [process.pid, *children]:
                send(pid, signal.SIGKILL)
            return "all"
        who = rng.choice(ranks) if ranks else children[0]
        name = f"rank {ranks.index(who)} of {len(ranks)}" if ranks else "mpirun"
        if how == "mpirun":
            send(starter[0], signal.SIGKILL)
            return "mpirun"
        if how == "term":
            to_starter = bool(starter) and rng.random() < 0.5
            send(starter[0] if to_starter else who, signal.SIGTERM)
            return "SIGTERM to " + ("mpirun" if to_starter else name)
        if how == "frozen":
            frozen = rng.choice(ranks) if ranks else who
            send(frozen, signal.SIGSTOP)
            time.sleep(rng.random() * 0.4)
            victim = rng.choice([who, frozen, *starter])
            send(victim, signal.SIGKILL)
            send(frozen, signal.SIGCONT)
            return "frozen, " + ("mpirun" if victim in starter else name)
        send(who, signal.SIGKILL)
        return name

    def gone(self, label, pids, since):
        """All processes must end soon after the kill."""
        left = [pid for pid in processes_of(self.work) if pid in pids]
        while left and time.monotonic() < since + GONE:
            time.sleep(0.01)
            left = [pid for pid in processes_of(self.work) if pid in pids]
        names = support.processes()
        left_names = [names.get(pid, (0, "?"))[1] for pid in left]
        self.checks.that(not left, f"{label}: still there after {GONE} s: {left_names}")
        for pid in left:
            send(pid, signal.SIGCONT)
            send(pid, signal.SIGKILL)

    def phase(self, place, epoch, done, total, err):
        """Where the attempt behind `epoch` was hit, by what it left."""
        names = place.names()
        number = f"{epoch + 1:06d}"
        if os.path.exists(place.output):
            return "end"
        if place.epoch() == epoch:
            return "start"
        if "manifest" not in names:
            return "planning"
        if "result" in names:
            return "publish"
        if any(n.startswith("out.h5.partial-") and n.endswith("-" + number) for n in names):
            return "write"
        began = any(n.startswith("spill-" + number) for n in names) or "checkpoint" in err
        if not began:
            return "recovery" if epoch > 0 else "planning"
        return "reduce" if done == total else "map"

    # ---- a chain of hits on one checkpoint

    def strike(self, place, options, ranks, number):
        """One attempt that is to be killed. True: it ended by itself, or there is nothing more to do."""
        kind = self.draw()
        size, deflate = options[1], options[3]
        epoch = place.epoch()
        rule, phase = self.rule(kind, ranks) if " " not in kind else (None, None)
        began = time.monotonic()
        process = support.start(self.arguments(place, options), ranks, env={"DHATU_FAULT": rule} if rule else None)
        seconds = self.seconds[ranks] * (0.95 - 0.55 * (self.done or 0) / self.total[size])
        moment, who = rule, "itself"
        if rule is None:
            moment = self.wait(kind, process, place, epoch, seconds)
            pids = processes_of(self.work) if moment else []
            who = self.hit(kind, process, place, epoch) if moment else None
        since = time.monotonic()
        label = f"chain {self.chains}, attempt {number} on {ranks} ranks, {' '.join(options)}, {kind}: {who}, {moment}"
        if who == "rank 0, at once":
            self.left.append((label, process, pids, since))
            self.count(label, self.phase(place, epoch, None, 0, ""))
            self.at_once += 1
            return False
        outcome = support.finish(process, GONE if who not in (None, "itself") else LIMIT)
        self.collect()
        label += f", ended after {outcome.seconds + since - began:.1f} s"
        code = outcome.code if outcome.code >= 0 else 128 - outcome.code
        if outcome.timed_out:
            if "PMIX ERROR" in outcome.err and place.epoch() == epoch:
                self.checks.note(f"{label}: mpirun hangs that lost a rank in MPI_Init")
                self.gone(label, processes_of(self.work), time.monotonic())
                return False
            self.checks.fail(f"{label}: hangs", outcome)
            self.gone(label, processes_of(self.work), time.monotonic())
            return True
        self.gone(label, processes_of(self.work), since if rule is None else time.monotonic())
        by_term = who == "SIGTERM to mpirun"  # which has no exit code of its own for that, and now and then crashes
        self.check_words(label, outcome, by_term)
        if code == 0:
            self.check_end(place, options, label, outcome)
            return True
        if self.is_late(place, options, label, outcome):
            return True
        self.checks.that(code in ENDED_BADLY or by_term, f"{label}: exit code {code} of a run that was killed", outcome)
        self.checks.that(who is not None, f"{label}: failed by itself", outcome)
        done = self.look(place, options, label, outcome)
        hit = phase or self.phase(place, epoch, done, self.total[size], outcome.err)
        self.count(f"{label}: {done or 0} of {self.total[size]} segments", hit)
        return False

    def count(self, label, phase):
        self.kills += 1
        self.phases[phase] += 1
        print(f"{self.kills}: {phase}: {label}", flush=True)

    def collect(self):
        """The runs whose end nobody has waited for."""
        for label, process, pids, since in self.left:
            outcome = support.finish(process, max(since + GONE - time.monotonic(), 0.1))
            self.checks.that(not outcome.timed_out, f"{label}: mpirun is still there after {GONE} s", outcome)
            self.gone(label, pids, since)
            self.check_words(label, outcome)
        self.left = []

    def check_words(self, label, outcome, by_term=False):
        self.recovered += "goes on" in outcome.err
        damaged = [line for line in outcome.err.splitlines() if "is damaged at" in line]
        self.checks.that(not damaged, f"{label}: {len(damaged)} committed segments are damaged: {damaged[:2]}")
        self.checks.that(by_term or not re.search(r"Segmentation fault|\*\*\* Process received signal", outcome.err),
                         f"{label}: crashed", outcome)

    def look(self, place, options, label, outcome):
        """What a killed run left: the segments that are done, never fewer than before; a result only if whole."""
        if os.path.exists(place.output):
            self.check_bytes(place, options[3], f"{label}: killed", outcome)
            return self.done
        if not os.path.exists(place.folder) or not place.epoch():
            return self.done
        status = self.status(place, label)
        since = time.monotonic()
        while status["state"] == "running" and time.monotonic() < since + GONE:
            time.sleep(0.05)  # a process that ends has no command line any more, but is not over yet
            status = self.status(place, label)
        self.checks.that(status["state"] in ("dead", "ended"), f"{label}: status says {status['state']}", outcome)
        done = status["segments_done"] or 0
        self.checks.that(done >= (self.done or 0), f"{label}: {done} segments are done of {self.done} before", outcome)
        self.done = done
        return done

    def look_before(self, place):
        """Is there a result already, and the mark by which the next run knows that it is complete?"""
        self.was_late = os.path.exists(place.output) and not os.path.exists(place.folder + "/result")

    def is_late(self, place, options, label, outcome):
        """Killed when the mark was removed, too: the next run finds a result, and says so."""
        if outcome.code != 2 or not self.was_late or "exists" not in outcome.err:
            return False
        self.late += 1
        self.check_end(place, options, label, outcome)
        return True

    def check_end(self, place, options, label, outcome):
        """The same bytes, and nothing else is left."""
        self.check_bytes(place, options[3], label, outcome)
        suffixes = [*support.SUFFIXES, ".run.json"]
        keep = "--keep-checkpoint" in options
        if keep and not place.elsewhere:
            suffixes.insert(1, ".ckpt")
        self.checks.equal(sorted(os.listdir(os.path.dirname(place.output))), sorted("out.h5" + s for s in suffixes),
                          f"{label}: files", outcome)
        if keep:
            again = support.run(self.arguments(place, options), 2, LIMIT)
            self.checks.ended(again, 0, f"{label}: once more on the kept checkpoint")
            self.check_bytes(place, options[3], f"{label}: once more", again)
            return
        left = os.listdir(place.folder) if os.path.exists(place.folder) else []
        self.checks.equal(left, [], f"{label}: left in the checkpoint folder", outcome)
        self.checks.that(place.elsewhere or not os.path.exists(place.folder), f"{label}: left an empty folder", outcome)

    def chain(self, most):
        """Some kills on one checkpoint, then it is left to finish."""
        rng = self.rng
        self.chains += 1
        self.done = None
        place = Place(self.work, rng.random() < 0.25)
        place.clear()
        options = ["--segment-size", rng.choice(("64K", "64K", "64K", "128K", "256K")), "--deflate", rng.choice("0001")]
        if rng.random() < 0.2:
            options.append("--keep-checkpoint")
        for number in range(1, min(rng.randint(1, 6), most) + 1):
            self.look_before(place)
            if self.strike(place, options, rng.choice(RANKS), number):
                break
        else:
            self.look_before(place)
            ranks = rng.choice(RANKS)
            label = f"chain {self.chains}, the end on {ranks} ranks, {' '.join(options)}"
            outcome = support.run(self.arguments(place, options), ranks, LIMIT)
            self.collect()
            self.check_words(label, outcome)
            if not self.is_late(place, options, label, outcome) and self.checks.ended(outcome, 0, label):
                self.check_end(place, options, label, outcome)
            self.gone(label, processes_of(self.work), time.monotonic())
        self.collect()


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 12
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 11
    print(f"{count} kills, seed {seed}", flush=True)
    checks = support.Checks()
    with support.folder() as work:
        campaign = Campaign(checks, work, seed)
        make_corpus(campaign.corpus)
        try:
            idle = 0
            if campaign.measure():
                while campaign.kills < count and idle < 20:
                    before = campaign.kills
                    campaign.chain(count - before)
                    idle = idle + 1 if campaign.kills == before else 0
                checks.that(campaign.kills >= count, f"only {campaign.kills} kills came about")
        finally:
            for pid in processes_of(work):
                send(pid, signal.SIGCONT)
                send(pid, signal.SIGKILL)
    print(f"{campaign.kills} kills in {campaign.chains} chains; by phase: {campaign.phases}; {campaign.at_once} with "
          f"the next run at once, {campaign.recovered} runs went on, {campaign.late} came when the checkpoint was gone")
    for phase, hits in campaign.phases.items():
        checks.that(hits > 0 or count < LONG, f"no kill hit the phase {phase}")
    checks.exit()


if __name__ == "__main__":
    sys.exit(main())
