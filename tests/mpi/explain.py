#!/usr/bin/env python3
"""dhatu explain: what it says of pairs of documents against their shingles and signatures, computed here.

explain.py [PART...]: pairs, verdicts, sources, texts.
"""

import gzip
import json
import random

from support import Checks, folder, program, run, run_parts, skip, words_given, write

WORDS = ("stone river lamp winter eagle bread salt wheel oak glass storm copper field bell harbour candle thread needle "
         "anchor barley cedar drum ember flint grove heron iron jasper kettle linen mortar nettle").split()
LENGTH = 5


def text(rng, count):
    return " ".join(rng.choice(WORDS) for _ in range(count))


def documents():
    """Name -> text."""
    rng = random.Random(11)
    base = text(rng, 200).split()
    near = base[:]
    near[100] = "comet"
    half = base[:100] + text(rng, 100).split()
    tail = base[:190] + text(rng, 10).split()
    return {
        "base": " ".join(base), "near": " ".join(near), "half": " ".join(half), "tail": " ".join(tail),
        "loud": " ".join(base).upper() + "!", "other": text(rng, 200), "copy": " ".join(base),
        "tiny": "one two three four five six", "tiny2": "one two three four five seven", "tiny3": "One two three four five six",
        "few": "one two", "empty": "", "blank": " ... ",
        "loop": " ".join(["round and round it goes and"] * 20), "accent": "É" * 3 + " " + " ".join(base[:50]),
    }


def shingles(text):
    tokens = text.casefold().replace("!", "").replace(".", "").split()
    return {tuple(tokens[i:i + LENGTH]) for i in range(len(tokens) - LENGTH + 1)}


class Corpus:
    def __init__(self, checks, work, h5py):
        self.checks, self.h5py = checks, h5py
        self.documents = documents()
        lines = [json.dumps({"id": name, "text": text}).encode() for name, text in self.documents.items()]
        self.sources = f"{work}/corpus"
        write(f"{self.sources}/a.jsonl", b"not json\n" + b"\n".join(lines[:7]) + b"\n")
        write(f"{self.sources}/b.jsonl.gz", gzip.compress(b"\n".join(lines[7:]), mtime=0))
        write(f"{self.sources}/c.txt", self.documents["base"].encode() + b" ends here")
        self.documents["c.txt#1"] = self.documents["base"] + " ends here"
        self.plain, self.signed, self.bare = (f"{work}/{name}.h5" for name in ("plain", "signed", "bare"))
        for out, more in ((self.plain, ("-j", "neardup")), (self.signed, ("-j", "neardup", "--minhash")),
                          (self.bare, ("-j", "digest"))):
            checks.ended(run(["run", *more, "-o", out, self.sources]), 0, "the run")
        with h5py.File(self.signed, "r") as file:
            self.ids = [value.decode().rstrip("\0") for value in file["obs/_index"][...].tolist()]
            self.signature = file["obsm/minhash"][...]
            self.cluster = file["obs/dup_cluster"][...].tolist()
            self.exact = file["obs/dup_exact"][...].tolist()

    def explain(self, result, first, second, more=()):
        done = run(["explain", result, first, second, "--json", *more])
        self.checks.ended(done, 0, f"explain {first} {second}")
        return json.loads(done.out) if done.code == 0 else {}

    def sample(self, told, first, second):
        """Samples must be shingles of the sets that they are said to be of."""
        a, b = (shingles(self.documents[name]) for name in (first, second))
        return all({tuple(line.split(" ")) for line in told[key]} <= wanted and
                   len(set(told[key])) == min(5, len(wanted))
                   for key, wanted in (("sample_of_both", a & b), ("sample_only_first", a - b),
                                       ("sample_only_second", b - a)))


def part_pairs(corpus):
    """Every pair, with the signatures of the result, and with those made of the sources."""
    checks = corpus.checks
    names = [name for name in corpus.documents if name != "accent"]
    for i, first in enumerate(names):
        for second in names[i:]:
            row = [corpus.ids.index(name) for name in (first, second)]
            equal = corpus.signature[row[0]] == corpus.signature[row[1]]
            bands = [band for band in range(14) if equal[8 * band:8 * band + 8].all()]
            result, more = ((corpus.signed, ("--sources", corpus.sources)), (corpus.plain, ("--sources", corpus.sources)),
                            (corpus.signed, ()))[(i + row[1]) % 3]
            told = corpus.explain(result, first, f"#{row[1]}", more)
            wanted = (row, int(equal.sum()), bands, equal.sum() / 112)
            if not all(shingles(corpus.documents[name]) for name in (first, second)):
                wanted = (row, None, None, None)
            checks.equal(([d["row"] for d in told["documents"]], told["equal_values"], told["shared_bands"],
                          told["estimated_similarity"]), wanted, f"{first} and {second}")
            checks.equal([(d["dup_cluster"], d["dup_exact"]) for d in told["documents"]],
                         [(corpus.cluster[r], corpus.exact[r]) for r in row], f"clusters of {first} and {second}")
            similarity = told["estimated_similarity"]
            if more:
                a, b = shingles(corpus.documents[first]), shingles(corpus.documents[second])
                similarity = len(a & b) / len(a | b) if a | b else None
                checks.equal((told["exact_similarity"], told["shingles_of_both"], told["only_first"], told["only_second"]),
                             (similarity, len(a & b), len(a - b), len(b - a)), f"{first} and {second}")
                checks.equal([d["shingles"] for d in told["documents"]], [len(a), len(b)], f"{first} and {second}")
                checks.that(corpus.sample(told, first, second), f"samples of {first} and {second}")
            if wanted[1] is None:
                checks.equal((told["standard_error"], told["chance_to_share_a_band"]), (None, None), "without shingles")
                continue
            checks.that(abs(told["chance_to_share_a_band"] - (1 - (1 - similarity ** 8) ** 14)) < 1e-9,
                        f"the S-curve at {similarity}")


def part_verdicts(corpus):
    checks = corpus.checks
    sources = ("--sources", corpus.sources)
    for first, second, verdict, together in (
            ("base", "copy", "equal", True), ("base", "loud", "equal", True), ("base", "near", "pair", True),
            ("base", "other", "no_shared_band", False), ("base", "base", "same_document", None),
            ("tiny", "tiny2", "too_few_shingles", False), ("tiny", "tiny3", "equal", True),
            ("tiny", "base", "too_few_shingles", False), ("few", "tiny", "too_few_shingles", False),
            ("empty", "base", "no_tokens", False), ("empty", "blank", "no_tokens", False),
            ("c.txt#1", "base", "pair", True)):
        for result in (corpus.signed, corpus.plain):
            told = corpus.explain(result, first, second, sources if result == corpus.plain else ())
            checks.equal(told.get("verdict"), verdict, f"{first} and {second}: {told.get('conclusion')}")
            if together is not None:
                checks.equal(told.get("same_cluster"), together, f"{first} and {second} in one cluster")
    told = corpus.explain(corpus.plain, "base", "near")
    checks.equal((told["verdict"], told["same_cluster"], "estimated_similarity" in told), ("unknown", True, False),
                 "a pair without signatures")
    told = corpus.explain(corpus.plain, "tail", "near", sources)
    similar = told["estimated_similarity"] >= 0.75
    checks.that(told["same_cluster"], "a pair that is in one cluster through a third document")
    if not similar:
        checks.that("through others" in told["conclusion"], told["conclusion"])
    told = corpus.explain(corpus.bare, "base", "near", sources)
    checks.equal((told["verdict"], told["same_cluster"]), ("pair", False), "a result without neardup")
    checks.that("without job neardup" in told["conclusion"], told["conclusion"])
    for first, second in (("base", "loud"), ("tiny", "tiny3")):
        told = corpus.explain(corpus.bare, first, second, sources)
        checks.equal(told["verdict"], "equal", f"{first} and {second} have the same tokens, which only the sources tell")


def part_sources(corpus):
    """Sources that are not those of the result, and commands that make no sense."""
    checks = corpus.checks
    other = corpus.sources + "-other"
    lines = open(f"{corpus.sources}/a.jsonl", "rb").read()
    write(f"{other}/a.jsonl", lines.replace(b"comet", b"zebra"))
    done = run(["explain", corpus.signed, "base", "near", "--sources", other])
    checks.ended(done, 78, "a text that was changed")
    checks.that("record 3" in done.err, "the message does not name the record", done)
    write(f"{other}/a.jsonl", lines[12:])
    checks.ended(run(["explain", corpus.signed, "base", "near", "--sources", other]), 78, "records that have moved")
    done = run(["explain", corpus.signed, "base", "empty", "--sources", other + "/a.jsonl"])
    checks.ended(done, 78, "a source that is missing")
    done = run(["explain", corpus.signed, "base", "near", "--sources", f"{other}/a.jsonl", f"{other}/b.jsonl.gz"])
    checks.ended(done, 2, "a glob that the shell has expanded")
    checks.that("quotes" in done.err and "b.jsonl.gz" in done.err, "no hint at quotes", done)
    for arguments in (("base",), ("base", "near", "tail"), ("base", "nobody"), ("base", "#999")):
        checks.ended(run(["explain", corpus.signed, *arguments]), 2, f"explain {arguments}")


def part_texts(corpus):
    """What people read: tokens as they are compared, in words."""
    checks = corpus.checks
    done = run(["explain", corpus.signed, "base", "accent", "--sources", corpus.sources])
    checks.ended(done, 0, "explain")
    checks.that("ééé " in done.out, "an accent is lost in a sample", done)
    for first, second, words in (("few", "empty", "both have no shingles"), ("base", "few", "the second has no shingles")):
        done = run(["explain", corpus.signed, first, second, "--sources", corpus.sources])
        checks.that(words in done.out and "estimated" not in done.out and "shared bands" not in done.out,
                    f"{first} and {second}: {done.out}")
    done = run(["explain", corpus.signed, "base", "near"])
    for words in ("first   base", "second  near", "standard error", "shared bands", "a pair that is kept; they are in one"):
        checks.that(words in done.out, f"no \"{words}\" in what people read: {done.out}")


PARTS = {"pairs": part_pairs, "verdicts": part_verdicts, "sources": part_sources, "texts": part_texts}


def main():
    try:
        import h5py
    except ImportError:
        skip("no h5py")
    program()
    chosen, _ = words_given(PARTS)
    checks = Checks()
    with folder() as work:
        corpus = Corpus(checks, work, h5py)
        run_parts(PARTS, chosen, lambda part: part(corpus))
    checks.exit()


if __name__ == "__main__":
    main()
