"""Job neardup: pairs, clusters and their representatives against a model of the definitions, for any number of
ranks, little memory, and an earlier result.

    neardup.py [clusters] [giant] [against] [restart] [components]
"""

import json
import os
import random
import shutil
import sys

import support
from support import Checks, run, words_given

try:
    import h5py
    import numpy as np
except ImportError:
    support.skip("no h5py or numpy")

BANDS, ROWS, THRESHOLD, LEAST = 14, 8, 0.75, 5  # the default setting
PAIRS_MAX = LEADERS_MAX = 64


# ---- corpora -----------------------------------------------------------------------------------------------


def words(rng, count):
    return [f"w{rng.randrange(50000)}" for _ in range(count)]


def changed(rng, base, changes):
    """A copy with some of its words replaced."""
    copy = list(base)
    for _ in range(changes):
        copy[rng.randrange(len(copy))] = f"x{rng.randrange(50000)}"
    return copy


def families(rng):
    """Near-duplicates of all degrees."""
    for _ in range(500):
        base = words(rng, rng.randint(30, 200))
        for _ in range(rng.randint(1, 6)):
            yield " ".join(changed(rng, base, rng.randint(0, 6)))


def chain(rng, count):
    """Each is near to the next one only: one cluster of many steps."""
    text = words(rng, 100 + 2 * count)
    for i in range(count):
        yield " ".join(text[2 * i:2 * i + 100])


def equal_ones(rng):
    """The same tokens in another spelling, and the same again."""
    for _ in range(60):
        base = words(rng, rng.randint(1, 40))
        yield " ".join(base)
        yield ", ".join(base).upper() + "!"
        if rng.random() < 0.5:
            yield " ".join(base)


def tiny(rng):
    """Without tokens, without shingles, with fewer than it takes. One long word again and again is one shingle."""
    for text in ("", " ", "...", "!?", "yes", "Yes.", "no", "one two three four", "one two three four five",
                 "one two three four six", "again " * 50, "again " * 51, "a b c d e f g h", "a b c d e f g i"):
        for _ in range(rng.randint(1, 3)):
            yield text


def write_corpus(path, texts):
    """In several sources, so that rows are not in the order of texts."""
    os.makedirs(path, exist_ok=True)
    files = [open(f"{path}/part-{i}.jsonl", "w", encoding="utf-8") for i in range(3)]
    for i, text in enumerate(texts):
        print(json.dumps({"id": f"d{i}", "text": text}), file=files[i * 7 % 3])
    for file in files:
        file.close()
    return path


def mixed_corpus(path):
    rng = random.Random(11)
    texts = [*families(rng), *chain(rng, 1500), *equal_ones(rng), *tiny(rng)]
    texts += [" ".join(words(rng, rng.randint(0, 60))) for _ in range(9500 - len(texts))]
    rng.shuffle(texts)
    return write_corpus(path, texts)


# ---- the model ---------------------------------------------------------------------------------------------


class Found:
    """What a result says."""

    def __init__(self, path):
        with h5py.File(path, "r") as file:
            obs = file["obs"]
            self.ids = [text.rstrip(b"\0") for text in obs["_index"][...]]
            self.tokens = obs["tokens"][...]
            self.sha256 = list(obs["sha256"][...])
            self.exact, self.cluster = obs["dup_exact"][...].tolist(), obs["dup_cluster"][...].tolist()
            self.size, self.keep = obs["dup_size"][...].tolist(), obs["dup_keep"][...].tolist()
            self.against = [text.rstrip(b"\0") for text in obs["dup_against"][...]] if "dup_against" in obs else None
            if "minhash" in file["obsm"]:
                self.signature, self.shingles = file["obsm/minhash"][...], obs["shingles"][...]
            of_job = file["uns/dhatu/neardup"]
            self.counts = dict(zip(("candidates", "pairs", "exact", "clusters", "clustered", "kept", "against"),
                                   of_job["counts"][...].tolist()))
            self.sizes = of_job["cluster_sizes"][...].tolist()
            self.largest = list(zip(of_job["largest_size"][...].tolist(), of_job["largest_row"][...].tolist(),
                                    of_job["largest_sample"][...].tolist()))
            self.curve = of_job["curve"][...]


def first_of(parent, node):
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


class Model:
    """Pairs and clusters from signatures and equal tokens, as docs/jobs.md defines them."""

    def __init__(self, signature, shingles, groups, bands=BANDS, rows=ROWS, threshold=THRESHOLD, least=LEAST):
        self.signature, self.rows = signature, rows
        self.least_equal = int(np.ceil(threshold * bands * rows - 1e-9))
        self.pairs, self.candidates = set(), 0
        buckets = {}
        for row in np.flatnonzero(shingles >= least).tolist():
            for band in range(bands):
                buckets.setdefault((band, self.band(row, band).tobytes()), []).append(row)
        for (band, _), members in buckets.items():
            if len(members) > PAIRS_MAX:
                self.compare_with_leaders(members)
            else:
                self.compare_all(members, band)
        self.parent = list(range(len(signature)))
        for a, b in [*self.pairs, *((group[0], row) for group in groups for row in group[1:])]:
            a, b = first_of(self.parent, a), first_of(self.parent, b)
            self.parent[max(a, b)] = min(a, b)

    def band(self, row, band):
        return self.signature[row, band * self.rows:(band + 1) * self.rows]

    def compare_all(self, members, band):
        group = {member: member for member in members}
        for i, later in enumerate(members):
            for earlier in members[:i]:
                same = self.signature[earlier] == self.signature[later]
                first = not same[:band * self.rows].reshape(band, self.rows).all(axis=1).any() if band else True
                self.candidates += first
                if same.sum() >= self.least_equal:
                    a, b = group[earlier], group[later]
                    group = {member: b if of == a else of for member, of in group.items()}
                    if first or a != b:
                        self.pairs.add((earlier, later))

    def compare_with_leaders(self, members):
        leaders = np.empty((LEADERS_MAX, self.signature.shape[1]), self.signature.dtype)
        row_of = []
        for member in members:
            near = np.flatnonzero((leaders[:len(row_of)] == self.signature[member]).sum(axis=1) >= self.least_equal)
            self.candidates += int(near[0]) + 1 if len(near) else len(row_of)
            if len(near):
                self.pairs.add((row_of[near[0]], member))
            elif len(row_of) < LEADERS_MAX:
                leaders[len(row_of)] = self.signature[member]
                row_of.append(member)


def equal_groups(texts_by_row):
    """Rows with the same tokens; those of these corpora are their ASCII words."""
    groups = {}
    for row, text in enumerate(texts_by_row):
        tokens = "".join(c if c.isalnum() else " " for c in text.lower()).split()
        if tokens:
            groups.setdefault(tuple(tokens), []).append(row)
    return [group for group in groups.values() if len(group) > 1]


def texts_of(corpus, ids):
    by_id = {}
    for name in os.listdir(corpus):
        with open(f"{corpus}/{name}", encoding="utf-8") as file:
            by_id.update((record["id"].encode(), record["text"]) for record in map(json.loads, file))
    return [by_id[i] for i in ids]


def compare(checks, found, model, groups, what):
    rows = len(found.ids)
    members = {}
    for row in range(rows):
        members.setdefault(first_of(model.parent, row), []).append(row)
    clusters = {first: rows_of for first, rows_of in members.items() if len(rows_of) > 1}
    cluster = [first_of(model.parent, row) for row in range(rows)]
    cluster = [first if first in clusters else -1 for first in cluster]
    exact = [-1] * rows
    for group in groups:
        for row in group:
            exact[row] = group[0]
    wrong = [row for row in range(rows) if found.cluster[row] != cluster[row]]
    checks.equal(wrong[:5], [], f"{what}: rows with a wrong dup_cluster ({len(wrong)})")
    wrong = [row for row in range(rows) if found.exact[row] != exact[row]]
    checks.equal(wrong[:5], [], f"{what}: rows with a wrong dup_exact ({len(wrong)})")
    checks.equal(found.size, [len(clusters.get(first, (0,))) for first in cluster], f"{what}: dup_size")
    if found.against is None:
        checks.equal(found.keep, [int(cluster[row] in (-1, row)) for row in range(rows)], f"{what}: dup_keep")
    checks.equal(found.counts, {
        "candidates": model.candidates, "pairs": len(model.pairs), "exact": sum(map(len, groups)),
        "clusters": len(clusters), "clustered": sum(map(len, clusters.values())), "kept": sum(found.keep),
        "against": sum(map(bool, found.against or ()))}, f"{what}: counts")
    histogram = [0] * 64
    for rows_of in clusters.values():
        histogram[len(rows_of).bit_length() - 1] += 1
    checks.equal(found.sizes, histogram[:len(found.sizes)], f"{what}: cluster_sizes")
    checks.equal(sum(found.sizes), len(clusters), f"{what}: cluster_sizes has them all")
    largest = sorted(clusters.values(), key=lambda rows_of: (-len(rows_of), rows_of[0]))[:20]
    checks.equal(found.largest, [(len(r), r[0], (r + [-1] * 5)[:5]) for r in largest], f"{what}: largest clusters")


# ---- the parts ---------------------------------------------------------------------------------------------


def result(checks, corpus, output, ranks=0, more=(), limit=120):
    outcome = run(["run", "-j", "neardup", "-o", output, "-f", *more, corpus], ranks, limit=limit)
    return outcome if checks.ended(outcome, 0, os.path.basename(output)) else None


def clusters(checks, work):
    corpus = mixed_corpus(f"{work}/corpus")
    keep = ["--minhash"]
    outcome = result(checks, corpus, f"{work}/one.h5", more=keep)
    if outcome is None:
        return
    found = Found(f"{work}/one.h5")
    groups = equal_groups(texts_of(corpus, found.ids))
    compare(checks, found, Model(found.signature, found.shingles, groups), groups, "clusters")
    checks.that("one cluster of near-duplicates has" in outcome.err, "no warning of a giant cluster", outcome)
    checks.that(max(found.size) > 1000, "the chain is no cluster")
    for row, tokens in enumerate(found.tokens):
        if tokens == 0 and not checks.equal(found.cluster[row], -1, f"a document without tokens, row {row}"):
            break
    s = found.curve[:, 0]
    checks.that(np.abs(found.curve[:, 1] - (1 - (1 - s ** ROWS) ** BANDS)).max() < 1e-12, "the S-curve is another")
    for ranks in (2, 3, 4, 7):
        if result(checks, corpus, f"{work}/n{ranks}.h5", ranks, more=keep):
            checks.equal(support.sha256(f"{work}/n{ranks}.h5"), support.sha256(f"{work}/one.h5"), f"{ranks} ranks")
    for ranks in (0, 2):
        if result(checks, corpus, f"{work}/small{ranks}.h5", ranks, more=[*keep, "--memory", "16M"]):
            checks.equal(support.sha256(f"{work}/small{ranks}.h5"), support.sha256(f"{work}/one.h5"), "--memory 16M")
    if result(checks, corpus, f"{work}/dropped.h5"):
        other = Found(f"{work}/dropped.h5")
        checks.equal((other.cluster, other.exact), (found.cluster, found.exact), "without --minhash")


def giant(checks, work):
    """Half of the documents share a long beginning: in bands of one row nearly all of them are in a bucket of each
    band. Some of them are near-duplicates."""
    rng = random.Random(5)
    template = words(rng, 60)
    texts = []
    for _ in range(1500):
        own = words(rng, 40)
        texts += [" ".join(template + changed(rng, own, rng.randint(1, 4))) for _ in range(rng.choice((0, 0, 0, 1, 6)))]
        texts.append(" ".join(template + own))
    texts += [" ".join(words(rng, 100)) for _ in range(len(texts))]
    rng.shuffle(texts)
    corpus = write_corpus(f"{work}/giant", texts)
    more = ["--minhash", "--bands", "20", "--band-rows", "1", "--threshold", "0.9"]
    if result(checks, corpus, f"{work}/g1.h5", more=more) is None:
        return
    found = Found(f"{work}/g1.h5")
    groups = equal_groups(texts_of(corpus, found.ids))
    model = Model(found.signature, found.shingles, groups, 20, 1, 0.9)
    compare(checks, found, model, groups, "giant buckets")
    largest = max(np.unique(found.signature[:, 0], return_counts=True)[1])
    checks.that(largest > 500, f"the largest bucket has {largest} documents only: the test tests nothing")
    checks.that(found.counts["candidates"] <= 20 * LEADERS_MAX * len(found.ids), "more comparisons than are allowed")
    for ranks in (2, 3):
        if result(checks, corpus, f"{work}/g{ranks}.h5", ranks, more=[*more, "--memory", "16M"]):
            checks.equal(support.sha256(f"{work}/g{ranks}.h5"), support.sha256(f"{work}/g1.h5"), f"giant, {ranks} ranks")


def expected_against(old, new):
    """For each new row the lowest old row: the same text, or an estimate from the threshold on behind a shared band."""
    first_text, buckets = {}, {}
    for row, digest in enumerate(old.sha256):
        first_text.setdefault(digest, row)
    for row in np.flatnonzero(old.shingles >= LEAST).tolist():
        for band in range(BANDS):
            buckets.setdefault((band, old.signature[row, band * ROWS:(band + 1) * ROWS].tobytes()), []).append(row)
    least_equal = int(np.ceil(THRESHOLD * BANDS * ROWS))
    for row in range(len(new.ids)):
        matches = [first_text[new.sha256[row]]] if new.tokens[row] and new.sha256[row] in first_text else []
        for band in range(BANDS if new.shingles[row] >= LEAST else 0):
            key = band, new.signature[row, band * ROWS:(band + 1) * ROWS].tobytes()
            matches += [other for other in buckets.get(key, ())
                        if (old.signature[other] == new.signature[row]).sum() >= least_equal]
        yield old.ids[min(matches)] if matches else b""


def against(checks, work):
    rng = random.Random(8)
    early = [*families(rng), *tiny(rng)]
    old_corpus = write_corpus(f"{work}/early", early)
    late = [" ".join(changed(rng, text.split() or ["x"], rng.randint(0, 3))) for text in early if rng.random() < 0.4]
    late += [*families(rng), *tiny(rng), *rng.sample(early, 300)]
    rng.shuffle(late)
    new_corpus = write_corpus(f"{work}/late", late)
    old_path = f"{work}/early.h5"
    if result(checks, old_corpus, old_path, more=["--minhash", "--deflate", "4"]) is None:
        return
    more = ["--minhash", "--against", old_path]
    if result(checks, new_corpus, f"{work}/late.h5", more=more) is None:
        return
    old, new = Found(old_path), Found(f"{work}/late.h5")
    wanted = list(expected_against(old, new))
    wrong = [(row, new.against[row], wanted[row]) for row in range(len(wanted)) if new.against[row] != wanted[row]]
    checks.equal(wrong[:3], [], f"dup_against: {len(wrong)} rows (row, got, wanted)")
    checks.that(sum(map(bool, wanted)) > 300 and not all(wanted), "the test tests nothing")
    groups = equal_groups(texts_of(new_corpus, new.ids))
    model = Model(new.signature, new.shingles, groups)
    compare(checks, new, model, groups, "beside an earlier result")
    alone = [new.cluster[row] in (-1, row) and not wanted[row] for row in range(len(wanted))]
    checks.equal(new.keep, list(map(int, alone)), "dup_keep beside an earlier result")
    for ranks in (2, 3):
        if result(checks, new_corpus, f"{work}/late{ranks}.h5", ranks, more=more):
            checks.equal(support.sha256(f"{work}/late{ranks}.h5"), support.sha256(f"{work}/late.h5"), f"{ranks} ranks")
    refused(checks, work, new_corpus, old_path)


def refused(checks, work, corpus, old_path):
    """Earlier results that cannot be compared with."""
    def is_refused(path, more, reason):
        outcome = run(["run", "-j", "neardup", "-o", f"{work}/no.h5", "-f", "--against", path, *more, corpus])
        if checks.ended(outcome, 2, f"--against: {reason}"):
            checks.that(any(reason in line for line in outcome.errors()), f"no message with \"{reason}\"", outcome)
        shutil.rmtree(f"{work}/no.h5.ckpt", ignore_errors=True)

    is_refused(old_path, ["--shingle", "6"], "tokens of a shingle")
    is_refused(old_path, ["--band-rows", "7"], "rows of a band")
    is_refused(old_path, ["--minhash-seed", "7"], "seed")
    is_refused(old_path, ["--tokens", "sklearn"], "rule for tokens")
    plain = f"{work}/plain.h5"
    if result(checks, corpus, plain):
        is_refused(plain, [], "it has no obsm/minhash")


# Where a rank fails: the n-th allocation of a thing, the n-th call on a file, a named place.
MEMORY = ("buckets of near-duplicates", "a union-find", "the cut between ranks", "a piece of a column",
          "tables of near-duplicates", "the largest clusters")
FILES = (("open", "-edges"), ("write", "-edges"), ("sync", "-edges"), ("read", "-edges"), ("open", "-duplicates"),
         ("write", "-duplicates"), ("read", "-duplicates"), ("read", "/spill-"))
NO_MEMORY, NO_FILE, KILLED = 1, 74, 137


def restart(checks, work):
    """A rank fails or is killed while duplicates are found; the same command goes on."""
    corpus = mixed_corpus(f"{work}/corpus")
    output = f"{work}/out.h5"
    good = result(checks, corpus, f"{work}/good.h5")
    if good is None:
        return

    def goes_on(code, fault, ranks, then, says=None, says_why=""):
        command = ["run", "-j", "neardup", "-o", output, "-f", corpus]
        failed = run(command, ranks, limit=60, env={"DHATU_FAULT": fault})
        checks.ended(failed, code, fault)
        if code != KILLED:
            checks.that(any(says_why in line for line in failed.errors()), f"{fault}: no message", failed)
        outcome = run(command, then, limit=60)
        if checks.ended(outcome, 0, f"behind {fault}"):
            checks.equal(support.sha256(output), support.sha256(f"{work}/good.h5"), f"the result behind {fault}")
            checks.that(says is None or says in outcome.err, f"behind {fault} nobody says \"{says}\"", outcome)
        os.remove(output)

    there = "compared pairs are there from an earlier attempt"
    goes_on(KILLED, "call=place,path=stage-part,error=KILL,at=1", 3, 2)
    goes_on(KILLED, "call=place,path=stage-part,error=KILL,at=2", 3, 2, there)
    goes_on(KILLED, "call=place,path=stage-part,error=KILL,at=2,rank=1", 2, 7, there)
    goes_on(KILLED, "call=place,path=reduced,error=KILL", 3, 2)
    goes_on(KILLED, "call=remove,path=stage-edges,error=KILL", 2, 3)
    goes_on(KILLED, "call=remove,path=-edges,error=KILL,at=2", 0, 2)
    for what in MEMORY:
        goes_on(NO_MEMORY, f"call=allocate,error=ENOMEM,path={what},rank=1", 3, 0, says_why=what)
    for call, path in FILES:
        error = "ENOSPC" if call == "write" else "EIO"
        goes_on(NO_FILE, f"call={call},error={error},path={path},rank=1", 2, 0)


def components(checks, work):
    """Graphs that no corpus would give, over ranks; the program is beside this one's in the build."""
    program = os.environ.get("DHATU_COMPONENTS", "")
    if not os.access(program, os.X_OK):
        checks.note("components: no components_check: set DHATU_COMPONENTS to its path")
        return
    os.environ["DHATU"], before = program, os.environ.get("DHATU")
    try:
        for ranks in (0, 2, 3, 7):
            for memory in (30000, 32 << 20):  # one that the union-find is too small for, and one that holds it all
                outcome = run([work, memory], ranks, limit=120)
                checks.ended(outcome, 0, f"components, {ranks} ranks, {memory} bytes")
    finally:
        if before is None:
            del os.environ["DHATU"]
        else:
            os.environ["DHATU"] = before


def main():
    parts = {"clusters": clusters, "giant": giant, "against": against, "restart": restart, "components": components}
    chosen, _ = words_given(parts)
    checks = Checks()
    support.run_in_folders(parts, chosen, lambda check, work: check(checks, work), 2, ["components"])
    checks.exit()


if __name__ == "__main__":
    sys.exit(main())
