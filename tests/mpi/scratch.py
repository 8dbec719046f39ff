"""--scratch: runs of shuffles lie on the node's own disk. The bytes are the same, nothing is left there, not behind an
error either, and what a killed run left is removed by its next attempt; what belongs to others stays."""

import os
import re

import reduce
import support

KILLED = (137, 9, -9)
OTHERS = "dhatu-0123456789abcdef-000001-000000"  # another run's


def counts(case, rules):
    """How often each rule matched on any rank."""
    found = {}
    for name in os.listdir(case.path):
        if name.startswith("calls-"):
            with open(f"{case.path}/{name}", encoding="ascii") as file:
                for number, matched in re.findall(r"rule (\d+) matched (\d+)", file.read()):
                    found[int(number)] = found.get(int(number), 0) + int(matched)
    return [found[number] for number in sorted(found)] if len(found) == len(rules) else [0] * len(rules)


def count_fault(case, rules):
    return ";".join([f"count={case.path}/calls"] + [f"{rule},error=KILL,at=1000000" for rule in rules])


def scratch_of(case):
    path = f"{case.path}/scratch"
    os.makedirs(f"{path}/{OTHERS}")
    return path, ["--scratch", path]


def check_place(checks, bench):
    for ranks in (0, 2):
        case = bench.case(bench.mapped)
        path, more = scratch_of(case)
        rules = [f"call=open,path={path}/dhatu-", "call=open,path=.ckpt/shuffle-"]
        outcome = case.run(ranks, count_fault(case, rules), more)
        label = f"{ranks or 1} ranks"
        if checks.ended(outcome, 0, label):
            checks.that(case.whole(), f"{label}: other bytes", outcome)
            there, elsewhere = counts(case, rules)
            checks.that(there > 0 and elsewhere == 0, f"{label}: {there} runs opened in --scratch, {elsewhere} in the checkpoint")
            checks.equal(os.listdir(path), [OTHERS], f"{label}: what is left")
        case.remove()


def check_killed(checks, bench):
    case = bench.case(bench.mapped)
    path, more = scratch_of(case)
    outcome = case.run(2, "call=place,path=shuffle,error=KILL,at=2", more)
    checks.that(outcome.code != 0, "killed", outcome)
    left = [n for n in os.listdir(path) if n != OTHERS]
    checks.equal(len(left), 2, "folders that killed ranks leave", outcome)
    # Anybody may make names in a shared folder: neither a link nor a file of such a name is touched.
    strange = [left[0][:-13] + number for number in ("000000-000000", "000000-000001")]
    os.makedirs(f"{case.path}/victim")
    support.write(f"{case.path}/victim/shuffle-000001-000000-terms-0", b"x")
    os.symlink(f"{case.path}/victim", f"{path}/{strange[0]}")
    support.write(f"{path}/{strange[1]}", b"x")
    outcome = case.run(0, None, more)
    if checks.ended(outcome, 0, "the next attempt"):
        checks.that(case.whole(), "behind a kill: other bytes", outcome)
        checks.equal(sorted(os.listdir(path)), sorted([OTHERS, *strange]), "what the next attempt leaves", outcome)
        checks.equal(len(os.listdir(f"{case.path}/victim")), 1, "files behind a link", outcome)
        checks.equal(outcome.errors(), [], "errors of the next attempt", outcome)
    case.remove()


def check_errors(checks, bench):
    case = bench.case(bench.mapped)
    path, more = scratch_of(case)
    outcome = case.run(2, f"call=write,path={path}/dhatu-,error=ENOSPC,at=2,persist", more)
    if checks.ended(outcome, 74, "a scratch disk that is full"):
        checks.that(any(path in line for line in outcome.errors()), "the path is not named", outcome)
        checks.equal(os.listdir(path), [OTHERS], "left behind a full disk", outcome)
    outcome = case.run(2, None, more)
    checks.that(checks.ended(outcome, 0, "behind a full disk") and case.whole(), "behind a full disk: other bytes", outcome)
    case.remove()
    case = bench.case(bench.mapped)
    outcome = case.run(0, None, ["--scratch", f"{case.path}/missing"])
    if checks.ended(outcome, 0, "a scratch folder that is missing"):
        checks.that("--scratch" in outcome.err and "checkpoint folder is used" in outcome.err, "no warning", outcome)
        checks.that(case.whole(), "scratch folder missing: other bytes", outcome)
    case.remove()


def main():
    checks = support.Checks()
    with support.folder() as work:
        bench = reduce.Bench(checks, work)
        support.run_parts({"place": check_place, "killed": check_killed, "errors": check_errors}, [],
                          lambda check: check(checks, bench))
    checks.exit()


if __name__ == "__main__":
    main()
