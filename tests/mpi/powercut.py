"""Power cuts: the file system that holds checkpoint and result stops at any instant, and keeps what was synced.

A loop-mounted ext4 is shut down (EXT4_IOC_SHUTDOWN) while a run writes to it, mounted again, and the same command
goes on. The corpus lies elsewhere.

powercut.py [PROGRAM [COUNT [SEED]]]: COUNT cuts, 5 unless told; 50 and more are the long form. The same seed draws the
same cuts, but when the random ones come depends on the machine."""

import contextlib
import fcntl
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time

import kills
import support

EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
FLAGS = {"default": 0, "log flushed": 1, "log not flushed": 2}  # the last one is nearest to a power cut
LIMIT = 60
SOON = 5  # seconds in which a run must end that finds its file system gone
INSIDE = "inside"  # the argument with which the script calls itself in its own name space of mounts

# Where a rank stops itself (DHATU_FAULT) for the cut. With it: is all of the map phase synced there?
POINTS = (("call=place,path=planned", False), ("call=rename,path=manifest", False),
          ("call=sync,path=/attempt-", False), ("call=open,path=/spill-", False),
          ("call=write,path=/spill-,at=20", False), ("call=sync,path=/spill-", False),
          ("call=open,path=/journal-", False), ("call=write,path=/journal-", False),
          ("call=sync,path=/journal-", False), ("call=write,path=/journal-,at=2", False),
          ("call=sync,path=/journal-,at=2", False), ("call=sync,path=/spill-,at=2", False),
          ("call=place,path=mapped", True), ("call=write,path=/part-,at=2", True), ("call=place,path=stage", True),
          ("call=sync,path=/part-", True), ("call=rename,path=/stage-", True), ("call=rename,path=/stage-,at=3", True),
          ("call=remove,path=/stage-", True), ("call=write,path=.vocab.tsv", True),
          ("call=place,path=reduced", True), ("call=reserve", True), ("call=write,path=h5.partial-,at=3", True),
          ("call=sync,path=h5.partial-", True), ("call=place,path=written", True), ("call=rename,path=/result", True),
          ("call=place,path=publish", True), ("call=rename,path=quarantine", True),
          ("call=rename,path=/out.h5,at=8", True), ("call=rename,path=/out.h5,at=9", True), ("call=place,path=published", True),
          ("call=remove,path=/journal-", None), ("call=remove,path=/manifest", None),
          ("call=remove,path=/result", None), ("call=folder,at=3", None))
# Here the result has its name: the run may say that it is done.
DONE = ("call=place,path=published", "call=remove,path=/journal-", "call=remove,path=/manifest",
        "call=remove,path=/result", "call=folder,at=3")
# In CI: those that each say something of their own, and cuts behind the exit codes 0 and 75.
CHOSEN = ("call=sync,path=/journal-", "call=remove,path=/stage-", "call=place,path=published", "ended 0", "ended 75")


class Disk:
    """An ext4 in a file, mounted in a name space of mounts of our own."""

    def __init__(self, work):
        self.path, self.image = f"{work}/disk", f"{work}/image"
        self.mounted = False
        os.makedirs(self.path)

    def make(self):
        self.unmount()
        with open(self.image, "wb") as file:
            file.truncate(256 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-b", "4096", self.image], check=True, stdin=subprocess.DEVNULL)
        self.mount()

    def mount(self):
        subprocess.run(["mount", "-o", "loop", "-t", "ext4", self.image, self.path], check=True)
        self.mounted = True

    def unmount(self):
        """A process that ends may hold it for a moment."""
        for _ in range(100):
            if not self.mounted:
                return
            done = subprocess.run(["umount", self.path], capture_output=True, text=True, check=False)
            self.mounted = done.returncode != 0
            if self.mounted:
                time.sleep(0.05)
        raise RuntimeError("cannot unmount: " + done.stderr)

    def cut(self, flags):
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(folder, EXT4_IOC_SHUTDOWN, struct.pack("I", flags))
        finally:
            os.close(folder)

    def repair(self):
        """After a cut: what is on the disk. False: the file system itself is damaged."""
        self.unmount()
        done = subprocess.run(["e2fsck", "-p", self.image], capture_output=True, text=True, check=False)
        self.mount()
        return done.returncode in (0, 1)


def is_stopped(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", encoding="latin-1") as file:
        return file.read().rsplit(")", 1)[1].split()[0] == "T"
    return False


class Campaign:
    def __init__(self, checks, work, seed):
        self.checks, self.work, self.rng = checks, work, random.Random(seed)
        self.corpus = f"{work}/corpus"
        self.disk = Disk(work)
        self.output = f"{self.disk.path}/out.h5"
        self.folder = self.output + ".ckpt"
        self.wanted = None
        self.cuts = self.damaged = self.torn = self.lost = self.missed = 0
        self.ends, self.slowest = {}, 0.0
        self.queue = []

    def arguments(self, *more):
        sizes = ["--commit-interval", "1", "--segment-size", "64K"]
        return ["run", *kills.JOBS, *sizes, *more, "-o", self.output, self.corpus]

    def read(self):
        return [support.sha256(self.output + suffix) for suffix in support.SUFFIXES]

    def measure(self):
        self.disk.make()
        times = []
        for _ in range(2):
            outcome = support.run(self.arguments("--keep-checkpoint", "--force", "--fresh"), 2, LIMIT)
            times.append(outcome.seconds)
        if self.checks.ended(outcome, 0, "undisturbed"):
            self.wanted, self.seconds = self.read(), min(times)
            self.total = self.status("undisturbed")
            print(f"undisturbed: {self.seconds:.1f} s, {self.total} segments", flush=True)
        return self.wanted is not None

    def status(self, label):
        """The segments that are done: 0 while there is no checkpoint, None when that cannot be known."""
        if not os.path.exists(self.folder):
            return 0
        outcome = support.run(["status", "--json", self.folder], 0, 20)
        if not self.checks.ended(outcome, 0, f"{label}: status"):
            return None
        status = json.loads(outcome.out)
        self.torn += status["damaged_entries"] or 0
        return status["segments_done"] or 0

    # ---- up to the cut

    def draw(self, few):
        """(point, whole): where the cut comes, and whether all of the map phase is synced there."""
        if not self.queue:
            points = [p for p in POINTS if not few or p[0] in CHOSEN] + [("ended 0", True), ("ended 75", None)]
            random_ones = [("random", None)] * (1 if few else len(points))
            self.queue = points + random_ones
            if not few:
                self.rng.shuffle(self.queue)
        return self.queue.pop(0)

    def begin(self, point, ranks):
        """Starts a run and waits for the moment of the cut. Gives the run and the stopped ranks; None: it ended."""
        rule = f"{point},error=STOP" if point.startswith("call=") else None
        process = support.start(self.arguments(), ranks, env={"DHATU_FAULT": rule} if rule else None)
        began = time.monotonic()
        after = self.rng.random() * self.seconds
        if point == "ended 75":
            while not os.path.exists(self.folder + "/manifest") and process.poll() is None:
                time.sleep(0.01)
            time.sleep(after / 2)
            for pid in support.ranks_of(process.pid)[:1]:
                kills.send(pid, signal.SIGUSR1)
        while process.poll() is None and time.monotonic() < began + LIMIT:
            if point == "random" and time.monotonic() >= began + after:
                return process, []
            if rule:
                pids = support.ranks_of(process.pid)
                stopped = [pid for pid in pids if is_stopped(pid)]
                if stopped:
                    return process, stopped
            time.sleep(0.002)
        return process, None

    def cut(self, point, flags, killed, ranks, label):
        """The cut, and how the run ends."""
        process, stopped = self.begin(point, ranks)
        by_itself = stopped is None
        outcome = support.finish(process, LIMIT) if by_itself else None
        before = 0
        if not by_itself and ranks == 1 and stopped and "sync,path=/journal-" not in point:
            before = self.status(label)  # no commit is under way: all that is in the journal is synced
        if by_itself and not outcome.timed_out and outcome.code in (0, 75):
            before = self.status(label)
        self.disk.cut(flags)
        if by_itself:
            self.checks.ended(outcome, (0, 75), label)
            self.missed += not point.startswith("ended")
            self.cuts -= not point.startswith("ended")
            return outcome, before
        for pid in [process.pid, *support.descendants(process.pid)] if killed else []:
            kills.send(pid, signal.SIGKILL)
        seconds = self.go_on(process, stopped)
        outcome = support.finish(process, 0.1 if seconds > LIMIT else SOON)
        self.slowest = max(self.slowest, seconds)
        if not killed:
            codes = (0, 74) if point == "random" or point in DONE else (74,)
            if self.checks.ended(outcome, codes, f"{label}: the run that lost its file system") and outcome.code == 74:
                named = any(self.disk.path in line for line in outcome.errors())
                self.checks.that(named, f"{label}: no error names a path", outcome)
            self.checks.that(seconds < SOON, f"{label}: ended after {seconds:.1f} s only", outcome)
        return outcome, before

    @staticmethod
    def go_on(process, stopped):
        """Until the run ends. Ranks that come to the place later stop there, too."""
        began = time.monotonic()
        while process.poll() is None and time.monotonic() < began + LIMIT:
            for pid in support.ranks_of(process.pid) if stopped else []:
                if is_stopped(pid):
                    kills.send(pid, signal.SIGCONT)
            time.sleep(0.01)
        return time.monotonic() - began

    # ---- behind the cut

    def check_after(self, label, outcome, before, whole):
        """What the disk kept, and that the same command goes on. `whole`: what must be there."""
        there = os.path.exists(self.output)
        if there:
            self.checks.equal(self.read(), self.wanted, f"{label}: there is a result, but not the right one", outcome)
        done = self.status(label) if not there else None
        if done is not None and before is not None:
            self.checks.that(done >= before, f"{label}: {done} segments are left of {before} committed ones", outcome)
            kept = not whole or done == self.total
            self.checks.that(kept, f"{label}: {done} segments of {self.total} after the map phase", outcome)
        marked = os.path.exists(self.folder + "/result")
        ranks = self.rng.choice(kills.RANKS)
        again = support.run(self.arguments(), ranks, LIMIT)
        label += f"; the next run on {ranks} ranks"
        damaged = [line for line in again.err.splitlines() if "is damaged at" in line]
        self.damaged += len(damaged)
        self.checks.that(not damaged, f"{label}: {len(damaged)} committed segments are damaged: {damaged[:2]}")
        if there and not marked and again.code == 2 and "exists" in again.err:
            self.lost += 1  # of the checkpoint only: the run was complete
        else:
            self.checks.ended(again, 0, label)
        if os.path.exists(self.output):
            self.checks.equal(self.read(), self.wanted, f"{label}: other bytes", again)
        else:
            self.checks.fail(f"{label}: no result", again)
        kept = (*("out.h5" + suffix for suffix in support.SUFFIXES), "out.h5.run.json", "lost+found")
        left = [name for name in os.listdir(self.disk.path) if name not in kept]
        self.checks.equal(left, [], f"{label}: left behind", again)

    def strike(self, few):
        point, whole = self.draw(few)
        self.cuts += 1
        self.disk.make()
        flags = "log not flushed" if few or self.rng.random() < 0.6 else self.rng.choice(list(FLAGS))
        killed = self.rng.random() < 0.4 and point != "ended 0"
        ranks = self.rng.choice((1, 1, 2, 3, 4))
        label = f"cut {self.cuts}, {point}, {flags}, {ranks} ranks" + (", killed" if killed else "")
        outcome, before = self.cut(point, FLAGS[flags], killed, ranks, label)
        if not self.checks.that(not outcome.timed_out, f"{label}: hangs", outcome):
            for pid in kills.processes_of(self.work):
                kills.send(pid, signal.SIGKILL)
        code = outcome.code if outcome.code >= 0 else 128 - outcome.code
        self.ends[code] = self.ends.get(code, 0) + 1
        deadline = time.monotonic() + kills.GONE
        while kills.processes_of(self.disk.path) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.checks.equal(kills.processes_of(self.disk.path), [], f"{label}: processes are left")
        self.checks.that(self.disk.repair(), f"{label}: e2fsck finds more than a journal to replay")
        if code == 0:
            self.checks.that(os.path.exists(self.output), f"{label}: exit code 0, and the cut took the result", outcome)
        if point.endswith("published"):
            self.checks.that(os.path.exists(self.output), f"{label}: the cut took the published result", outcome)
        print(f"{label}: exit code {code}, {before} segments were synced for certain", flush=True)
        self.check_after(label, outcome, before, whole)


def inside(count, seed):
    checks = support.Checks()
    with support.folder() as work:
        campaign = Campaign(checks, work, seed)
        kills.make_corpus(campaign.corpus)
        try:
            if campaign.measure():
                while campaign.cuts < count and campaign.missed < 10 + count:
                    campaign.strike(count < 20)
                checks.that(campaign.cuts >= count, f"only {campaign.cuts} cuts came in time")
        finally:
            for pid in kills.processes_of(work):
                kills.send(pid, signal.SIGCONT)
                kills.send(pid, signal.SIGKILL)
            campaign.disk.unmount()
    print(f"{campaign.cuts} cuts; exit codes of what was cut: {dict(sorted(campaign.ends.items()))}, the slowest end "
          f"{campaign.slowest:.1f} s; {campaign.missed} more came behind the end; torn entries: {campaign.torn}, "
          f"segments damaged: {campaign.damaged}; {campaign.lost} next runs found the checkpoint gone")
    checks.exit()


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    if len(sys.argv) > 4 and sys.argv[4] == INSIDE:
        inside(count, seed)
    program = support.program()
    if os.geteuid() != 0:
        support.skip("only root can mount a file system of its own")
    for tool in ("unshare", "mkfs.ext4", "e2fsck", "mount", "umount"):
        if shutil.which(tool) is None:
            support.skip(f"no {tool}")
    probe = ("d=$(mktemp -d) && truncate -s 16M $d/image && mkfs.ext4 -q -F $d/image && mkdir $d/disk && "
             "mount -o loop -t ext4 $d/image $d/disk; r=$?; umount $d/disk; rm -r $d; exit $r")
    if subprocess.run(["unshare", "-m", "sh", "-c", probe], capture_output=True, check=False).returncode != 0:
        support.skip("no ext4 in a file can be mounted (loop)")
    print(f"{count} cuts, seed {seed}", flush=True)
    again = [sys.executable, "-B", os.path.abspath(__file__), program, str(count), str(seed), INSIDE]
    done = subprocess.run(["unshare", "-m", *again], check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    sys.exit(main())
