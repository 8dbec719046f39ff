"""Damage to the files of a checkpoint: what is damaged is found and computed again, nothing else; or the run ends
with its code and a message. Always the bytes of an undisturbed run in the end.

damage.py [PROGRAM] [COUNT | all] [PART ...]: COUNT cases of each kind instead of those of the short form."""

import os
import random
import re
import shutil
import struct
import sys
import time

import support

SEED = 20240502
HEADER, ENTRY = 64, 128


class Journal:
    """A journal and the places of its segments in the spill."""

    def __init__(self, folder, name):
        self.name = name
        self.spill = name.replace("journal", "spill")
        with open(f"{folder}/{name}", "rb") as file:
            self.data = file.read()
        self.entries = [self.place(i) for i in range((len(self.data) - HEADER) // ENTRY)]

    def place(self, i):
        return struct.unpack_from("<QQ", self.data, HEADER + i * ENTRY + 48)


class Prepared:
    """A checkpoint of three attempts with other numbers of ranks, in which all segments are done."""

    def __init__(self, bench):
        self.bench = bench
        checks = bench.checks
        case = bench.case(bench.halfway)
        for at in range(1, 9):  # one more part: rank 1 of 3 fails at a source
            outcome = case.run(3, f"call=open,error=EIO,path=corpus/small,at={at},rank=1", more=["--keep-checkpoint"])
            if outcome.code == 74:
                break
        if not case.whole():
            checks.ended(case.run(2, more=["--keep-checkpoint"]), 0, "preparing a checkpoint")
        self.result = case.output
        self.folder = case.checkpoint
        self.names = sorted(os.listdir(self.folder))
        self.journals = [Journal(self.folder, name) for name in self.names if name.startswith("journal-")]
        self.segments = sum(len(journal.entries) for journal in self.journals)
        self.attempts = [name for name in self.names if name.startswith("attempt-")]
        checks.equal(self.segments, bench.segments, "segments in the journals")
        checks.that(len(self.journals) > 2, f"only {len(self.journals)} journals")

    def case(self):
        return self.bench.case(self.folder)


def change(path, data):
    with open(path, "wb") as file:
        file.write(data)


def flip(path, bits):
    with open(path, "r+b") as file:
        for bit in bits:
            file.seek(bit // 8)
            byte = file.read(1)[0]
            file.seek(bit // 8)
            file.write(bytes([byte ^ 1 << bit % 8]))


def size_of(path):
    return os.path.getsize(path)


def healed(checks, case, label, recovered, damaged, ranks=0):
    """The next run comes through, having computed again just what was damaged. None: not known."""
    outcome = case.run(ranks)
    if not checks.ended(outcome, 0, label):
        return False
    checks.that(case.whole(), f"{label}: other bytes", outcome)
    checks.equal(case.leftovers(), [], f"{label}: left behind", outcome)
    found = support.run_report(case.output)["recovered"]
    if recovered is not None:
        checks.equal(found["segments"], recovered, f"{label}: segments recovered", outcome)
    if damaged is not None:
        checks.equal(found["damaged"], damaged, f"{label}: segments damaged", outcome)
    return True


def sample(rng, items, count, short):
    items = list(items)
    wanted = short if count is None else count
    return items if wanted == 0 or wanted >= len(items) else rng.sample(items, wanted)


# ---- journals ---------------------------------------------------------------------------------------------------


def check_journals_cut(checks, prepared, rng, count):
    cuts = [(journal, at) for journal in prepared.journals for at in range(len(journal.data))]
    edges = [(journal, HEADER + ENTRY * n + d) for journal in prepared.journals for n in (0, 1, len(journal.entries) - 1)
             for d in (-1, 0, 1)]
    chosen = sample(rng, cuts, count, 12) + (edges if count is not None else rng.sample(edges, 8))
    for journal, at in chosen:
        case = prepared.case()
        os.truncate(f"{case.checkpoint}/{journal.name}", at)
        whole = max(at - HEADER, 0) // ENTRY
        torn = at > HEADER and (at - HEADER) % ENTRY > 0
        healed(checks, case, f"{journal.name} cut at {at} of {len(journal.data)}",
               prepared.segments - len(journal.entries) + whole, int(torn))
        case.remove()
    return len(chosen)


def check_journals_flipped(checks, prepared, rng, count):
    journals = [min(prepared.journals, key=lambda journal: len(journal.data))] if count == 0 else prepared.journals
    bits = [(journal, bit) for journal in journals for bit in range(8 * len(journal.data))]
    headers = [(journal, bit) for journal, bit in bits if bit < 8 * HEADER]
    chosen = sample(rng, bits, count, 22) + (rng.sample(headers, 6) if count is None else [])
    for journal, bit in chosen:
        case = prepared.case()
        flip(f"{case.checkpoint}/{journal.name}", [bit])
        lost = len(journal.entries) if bit < 8 * HEADER else 1
        healed(checks, case, f"{journal.name}: bit {bit} flipped", prepared.segments - lost, lost)
        case.remove()
    return len(chosen)


def check_journals_many(checks, prepared, rng, count):
    """Several at once, by several ranks."""
    cases = 3 if count is None else max(count // 10, 3)
    for _ in range(cases):
        case = prepared.case()
        lost = 0
        for journal in prepared.journals:
            hit = [i for i in range(len(journal.entries)) if rng.random() < 0.4]
            flip(f"{case.checkpoint}/{journal.name}", [8 * (HEADER + ENTRY * i) + rng.randrange(8 * ENTRY) for i in hit])
            lost += len(hit)
        healed(checks, case, f"{lost} entries flipped", prepared.segments - lost, lost, rng.choice((2, 3)))
        case.remove()
    return cases


# ---- spills -----------------------------------------------------------------------------------------------------


def check_spills_flipped(checks, prepared, rng, count):
    """One flip in each of some segments, in every run. What is in no segment may be anything."""
    wanted = 100 if count is None else (count or 10000)
    flips = 0
    while flips < wanted:
        case = prepared.case()
        lost = 0
        for journal in prepared.journals:
            used = [(offset, size) for offset, size in journal.entries if size > 0]
            hit = [place for place in used if rng.random() < 0.35] or used[:1]
            flip(f"{case.checkpoint}/{journal.spill}", [8 * offset + rng.randrange(8 * size) for offset, size in hit])
            lost += len(hit)
            end = max(offset + size for offset, size in journal.entries)
            if size_of(f"{case.checkpoint}/{journal.spill}") > end:
                flip(f"{case.checkpoint}/{journal.spill}", [8 * end])
        flips += lost
        healed(checks, case, f"{lost} flips in spills, {flips} with those before", prepared.segments - lost, lost,
               rng.choice((0, 0, 0, 0, 0, 0, 2)))
        case.remove()
    return flips


def check_spills_cut(checks, prepared, rng, count):
    cases = 8 if count is None else (count or 500)
    for _ in range(cases):
        journal = rng.choice(prepared.journals)
        case = prepared.case()
        path = f"{case.checkpoint}/{journal.spill}"
        at = rng.choice((0, 1, rng.randrange(size_of(path)), rng.choice(journal.entries)[0], sum(rng.choice(journal.entries))))
        os.truncate(path, at)
        lost = sum(offset + size > at for offset, size in journal.entries if size > 0)
        healed(checks, case, f"{journal.spill} cut at {at}", prepared.segments - lost, lost)
        case.remove()
    return cases


# ---- whole files ------------------------------------------------------------------------------------------------


def spoil(path, how, rng, other):
    """Other: a file of the same kind, of another checkpoint."""
    if how == "removed":
        os.unlink(path)
    elif how == "empty":
        os.truncate(path, 0)
    elif how == "garbage":
        change(path, rng.randbytes(size_of(path)) if hasattr(rng, "randbytes") else os.urandom(size_of(path)))
    elif how == "longer":
        with open(path, "ab") as file:
            file.write(b"\0" * 77)
    elif how == "of another checkpoint":
        shutil.copyfile(other, path)
    elif how == "a folder":
        os.unlink(path)
        os.makedirs(path + "/inside")
    elif how == "a FIFO":
        os.unlink(path)
        os.mkfifo(path)
    elif how == "a dead link":
        os.unlink(path)
        os.symlink("/nowhere/at/all", path)


WAYS = ("removed", "empty", "garbage", "longer", "of another checkpoint", "a folder", "a FIFO", "a dead link")


def foreign_checkpoint(prepared):
    """Of another corpus."""
    bench = prepared.bench
    case = bench.case()
    support.write(f"{case.path}/corpus/a.jsonl", support.records(77, 600))
    outcome = support.run(["run", *bench.options, "--keep-checkpoint", "-o", case.output, f"{case.path}/corpus"])
    bench.checks.ended(outcome, 0, "another checkpoint")
    return case.checkpoint


def refused(checks, case, outcome, label, codes, words):
    """It ends with one of the codes, says why and touches no result; --fresh starts over."""
    if not checks.ended(outcome, codes, label):
        return
    for word in words:
        checks.that(any(re.search(word, line) for line in outcome.errors()), f"{label}: no error says '{word}'", outcome)
    checks.that(outcome.seconds < 10 and "Process received signal" not in outcome.err, f"{label}: slow or crashed", outcome)
    checks.that(not os.path.exists(case.output), f"{label}: there is a result", outcome)


def starts_over(checks, case, label, option="--fresh"):
    again = case.run(more=[option])
    if checks.ended(again, 0, f"{label}, then {option}"):
        checks.that(case.whole(), f"{label}, then {option}: other bytes", again)


def check_files(checks, prepared, rng, count):
    other = foreign_checkpoint(prepared)
    number = 0
    for kind in ("journal", "spill"):
        for how in WAYS:
            for journal in prepared.journals if count is not None else [rng.choice(prepared.journals)]:
                number += 1
                name = journal.name if kind == "journal" else journal.spill
                label = f"{name} is {how}"
                case = prepared.case()
                spoil(f"{case.checkpoint}/{name}", how, rng, f"{other}/{kind}-000001-000000")
                used = sum(size > 0 for _, size in journal.entries)
                if how in ("a folder", "a FIFO"):
                    refused(checks, case, case.run(), label, 74, [re.escape(name), "not a regular file"])
                    starts_over(checks, case, label) if how == "a FIFO" else None
                elif how == "longer":
                    healed(checks, case, label, prepared.segments, 1 if kind == "journal" else 0)
                elif kind == "journal":
                    lost = {"garbage": len(journal.entries), "empty": 0}.get(how)
                    healed(checks, case, label, prepared.segments - len(journal.entries), lost)
                else:
                    healed(checks, case, label, prepared.segments - used, used)
                case.remove()
    first, second = prepared.journals[0], prepared.journals[-1]
    for what in ("journals", "spills", "pairs"):
        case = prepared.case()
        for a, b in [(first.name, second.name)] * (what != "spills") + [(first.spill, second.spill)] * (what != "journals"):
            os.rename(f"{case.checkpoint}/{a}", f"{case.checkpoint}/swap")
            os.rename(f"{case.checkpoint}/{b}", f"{case.checkpoint}/{a}")
            os.rename(f"{case.checkpoint}/swap", f"{case.checkpoint}/{b}")
        lost = len(first.entries) + len(second.entries)
        exact = what != "spills" or all(size > 0 for j in (first, second) for _, size in j.entries)
        healed(checks, case, f"two {what} change places", prepared.segments - lost if exact else None, None)
        case.remove()
    return number + 3


def check_manifest(checks, prepared, rng, count):
    other = foreign_checkpoint(prepared)
    number = 0
    for how in WAYS:
        number += 1
        case = prepared.case()
        path = f"{case.checkpoint}/manifest"
        spoil(path, how, rng, f"{other}/manifest")
        label = f"the manifest is {how}"
        if how in ("removed", "a dead link"):
            healed(checks, case, label, 0, None)
        elif how in ("a folder", "a FIFO"):
            refused(checks, case, case.run(), label, 74, ["manifest", "not a regular file"])
        else:
            refused(checks, case, case.run(rng.choice((0, 2))), label, 78, ["--fresh"])
            starts_over(checks, case, label)
        case.remove()
    bits = sample(rng, range(8 * size_of(f"{prepared.folder}/manifest")), count, 10)
    cuts = sample(rng, range(1, size_of(f"{prepared.folder}/manifest")), count, 4)
    for what, at in [("flipped at bit", bit) for bit in bits] + [("cut at", cut) for cut in cuts]:
        number += 1
        case = prepared.case()
        path = f"{case.checkpoint}/manifest"
        flip(path, [at]) if what[0] == "f" else os.truncate(path, at)
        refused(checks, case, case.run(), f"the manifest {what} {at}", 78, ["manifest", "--fresh"])
        if number % 5 == 0:
            starts_over(checks, case, f"the manifest {what} {at}")
        case.remove()
    return number


def check_attempts(checks, prepared, rng, count):
    """The last one tells who holds the folder: damaged, nobody knows. Those before do not matter."""
    number = 0
    for name in prepared.attempts:
        last = name == prepared.attempts[-1]
        for how in WAYS:
            number += 1
            label = f"{name} is {how}"
            case = prepared.case()
            spoil(f"{case.checkpoint}/{name}", how, rng, f"{prepared.folder}/{prepared.attempts[0 if last else -1]}")
            if how == "removed" or not last and not how.startswith("a "):
                healed(checks, case, label, prepared.segments, 0)
            else:
                outcome = case.run()
                if outcome.code != 0:
                    refused(checks, case, outcome, label, (69, 74), [re.escape(name) if outcome.code == 74 else "--break-lock"])
                if outcome.code == 69:
                    starts_over(checks, case, label, "--break-lock")
                elif outcome.code == 0:
                    checks.that(case.whole(), f"{label}: other bytes", outcome)
            case.remove()
    for bit in sample(rng, range(8 * size_of(f"{prepared.folder}/{prepared.attempts[-1]}")), count, 6):
        number += 1
        case = prepared.case()
        flip(f"{case.checkpoint}/{prepared.attempts[-1]}", [bit])
        refused(checks, case, case.run(), f"bit {bit} of the last attempt's file flipped", 69, ["--break-lock"])
        case.remove()
    case = prepared.case()
    for name in prepared.attempts:
        os.unlink(f"{case.checkpoint}/{name}")
    healed(checks, case, "all attempts' files are removed", prepared.segments, 0)
    case.remove()
    return number + 1


def with_result(prepared, case):
    """The result under its name, with the inode that the mark tells of, as long as it is not copied."""
    for suffix in (*support.SUFFIXES, ".run.json"):
        os.link(prepared.result + suffix, case.output + suffix)


def check_mark(checks, prepared, rng, count):
    """The result is there, and what says so is damaged: it is not replaced unless that is asked for."""
    number = 0
    case = prepared.case()
    with_result(prepared, case)
    outcome = case.run()
    checks.ended(outcome, 0, "the result and its mark are there")
    checks.that("complete" in outcome.err and case.whole(), "a complete result is not known as such", outcome)
    case.remove()
    bits = [("bit", bit) for bit in sample(rng, range(8 * size_of(f"{prepared.folder}/result")), count, 6)]
    for how, bit in [(how, 0) for how in WAYS] + bits:
        for there in (True, False):
            number += 1
            label = f"the mark is {how} {bit or ''}, the result is {'there' if there else 'not there'}"
            case = prepared.case()
            path = f"{case.checkpoint}/result"
            flip(path, [bit]) if how == "bit" else spoil(path, how, rng, path.replace("result", "manifest"))
            if there:
                with_result(prepared, case)
            outcome = case.run()
            if not there and outcome.code == 0:
                checks.that(case.whole(), f"{label}: other bytes", outcome)
            elif there and outcome.code == 0:
                checks.that(how in ("longer",) and case.whole(), f"{label}: taken for complete", outcome)
            elif checks.ended(outcome, (2, 74) if there else 74, label):
                words = ["--force"] if outcome.code == 2 else ["result"]
                for word in words:
                    checks.that(any(word in line for line in outcome.errors()), f"{label}: no error says '{word}'", outcome)
                checks.that(not there or case.whole(), f"{label}: the result is not kept", outcome)
                if outcome.code == 2:
                    starts_over(checks, case, label, "--force")
            case.remove()
    return number


# ---- all of it --------------------------------------------------------------------------------------------------

PARTS = {"journals-cut": check_journals_cut, "journals-flipped": check_journals_flipped, "journals-many": check_journals_many,
         "spills-flipped": check_spills_flipped, "spills-cut": check_spills_cut, "files": check_files,
         "manifest": check_manifest, "attempts": check_attempts, "mark": check_mark}


def main():
    """damage.py [PROGRAM] [COUNT|all] [PART...]"""
    checks = support.Checks()
    only, count = support.words_given(PARTS)
    print(f"seed {SEED}")
    with support.folder() as work:
        prepared = Prepared(support.Bench(checks, work))
        print(f"{prepared.segments} segments in {len(prepared.journals)} journals of {len(prepared.attempts)} attempts")
        support.run_parts(PARTS, only, lambda check: print(check(checks, prepared, random.Random(SEED), count), "cases"))
    checks.exit()


if __name__ == "__main__":
    sys.exit(main())
