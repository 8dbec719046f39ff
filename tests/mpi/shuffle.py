"""The shuffle and its stages with ranks: the same pairs in the same order for any number of ranks, whatever the
memory, the keys and the sizes; an error of one rank ends all; nothing is left."""

import os
import sys
import tempfile

import support

MEMORY = 4 * support.MEBIBYTE
RANKS = (1, 2, 3, 4, 7)


class Run:
    def __init__(self, outcome):
        self.outcome, self.code = outcome, outcome.code
        words = outcome.out.split()
        self.whole = len(words) == 5
        if self.whole:
            self.pairs, self.hash = int(words[0]), words[1]
            self.peak, self.rounds, self.runs = map(int, words[2:])


def run(what, folder, ranks, pairs=60000, epoch=1, combine=0, skew=0, split=0, large=0, fail=-1, fault=None):
    arguments = [what, folder, epoch, MEMORY, pairs, combine, skew, split, large, fail]
    return Run(support.run(arguments, ranks, env={"DHATU_FAULT": fault} if fault else {}, limit=120))


def the_same_for_any_ranks(checks, work):
    cases = {
        "pairs": {"pairs": 300000},
        "equal pairs": {"pairs": 300000, "combine": 1},
        "sums": {"pairs": 300000, "combine": 2},
        "half of the pairs have one key": {"pairs": 300000, "skew": 2},
        "all pairs have one key": {"pairs": 200000, "skew": 1},
        "ranges, some without keys": {"pairs": 100000, "split": 1},
        "large pairs": {"pairs": 50000, "large": 3000000},
        "one pair": {"pairs": 1},
        "nothing": {"pairs": 0},
    }
    for name, options in cases.items():
        wanted = None
        for ranks in RANKS:
            folder = tempfile.mkdtemp(dir=work)
            got = run("make", folder, ranks, **options)
            if not got.whole or got.code != 0:
                checks.fail(f"{name}, {ranks} ranks", got.outcome)
                continue
            wanted = wanted or (got.pairs, got.hash)
            checks.equal((got.pairs, got.hash), wanted, f"{name}, {ranks} ranks")
            most = MEMORY + 3 * options.get("large", 0) + 1000
            checks.that(got.peak <= most, f"{name}, {ranks} ranks: {got.peak} bytes of memory, not {most}")
            left = [file for file in os.listdir(folder) if not file.startswith(("stage-test", "part-000001-"))]
            checks.equal(left, [], f"{name}, {ranks} ranks: files are left")
            other = run("read", folder, 1 + ranks % 3, **options)
            checks.equal((other.code, getattr(other, "pairs", None), getattr(other, "hash", None)), (0, *wanted),
                         f"{name}: the stage of {ranks} ranks, read by others")
    checks.that(wanted is not None, "nothing was compared")


def much_more_than_the_memory(checks, work):
    """About 200 MB of pairs on two ranks with 4 MiB each."""
    got = run("make", tempfile.mkdtemp(dir=work), 2, pairs=5000000)
    if not got.whole:
        checks.fail("much more than the memory", got.outcome)
        return
    checks.equal(got.pairs, 5000000, "much more than the memory")
    checks.that(got.peak <= MEMORY, f"much more than the memory: {got.peak} bytes")
    checks.that(got.runs > 20 and got.rounds > 50, f"{got.runs} runs, {got.rounds} rounds are less than expected")


def errors_end_all(checks, work):
    cases = {
        "a rank fails": (65, {"fail": 1}, "fails on purpose"),
        "disk full": (74, {"fault": "call=write,error=ENOSPC,path=shuffle-,at=3,persist,rank=1"}, "No space left"),
        "a run cannot be read": (74, {"fault": "call=read,error=EIO,path=shuffle-,at=4,rank=0"}, "shuffle-000001-000000"),
        "a stage cannot be synced": (74, {"fault": "call=sync,error=EIO,path=part-,rank=1"}, "part-000001-000001-test"),
        "the list cannot be written": (74, {"fault": "call=write,error=ENOSPC,path=stage-test"}, "stage-test"),
        "no memory": (1, {"fault": "call=allocate,error=ENOMEM,path=to be sorted,rank=1"}, "out of memory"),
    }

    def error_ends_all(name, ranks):
        code, options, message = cases[name]
        folder = tempfile.mkdtemp(dir=work)
        got = run("make", folder, ranks, pairs=400000, **options)
        what = f"{name}, {ranks} ranks"
        checks.equal((got.code, got.outcome.timed_out), (code, False), what)
        checks.that(message in got.outcome.err, f"{what}: no word of it: {got.outcome.tail()}")
        checks.equal(os.listdir(folder), [], f"{what}: files are left")

    support.side_by_side(error_ends_all, [(name, ranks) for name in cases for ranks in (2, 3)])


def killed(checks, work):
    """Killed at a named place, the next attempt makes the stage, or finds it."""
    whole = run("make", tempfile.mkdtemp(dir=work), 3, pairs=200000)
    wanted = (whole.pairs, whole.hash)

    def killed_at(place, at):
        folder = tempfile.mkdtemp(dir=work)
        first = run("make", folder, 3, pairs=200000, fault=f"call=place,path={place},at={at},rank=0,error=KILL")
        checks.that(first.code != 0, f"killed at {place}: ended with 0")
        checks.that(not os.path.exists(f"{folder}/stage-test"), f"killed at {place}: there is a stage")
        second = run("make", folder, 2, pairs=200000, epoch=2)
        checks.equal((second.code, getattr(second, "pairs", None), getattr(second, "hash", None)), (0, *wanted),
                     f"killed at {place}")

    support.side_by_side(killed_at, (("shuffle", 1), ("shuffle", 2), ("stage-part", 1), ("stage", 1)))


def main():
    if not os.environ.get("DHATU_SHUFFLE_PROGRAM"):
        support.skip("no program: set DHATU_SHUFFLE_PROGRAM")
    os.environ["DHATU"] = os.environ["DHATU_SHUFFLE_PROGRAM"]
    checks = support.Checks()
    with tempfile.TemporaryDirectory(prefix="dhatu-shuffle-") as work:
        the_same_for_any_ranks(checks, work)
        much_more_than_the_memory(checks, work)
        errors_end_all(checks, work)
        killed(checks, work)
    checks.exit()


if __name__ == "__main__":
    sys.exit(main())
