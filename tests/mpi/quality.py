"""How good job neardup is: on documents whose exact Jaccard similarities of word 5-grams are known.

    quality.py [--corpus FOLDER] [--documents N] [--seed N] [--ranks N]

Texts are the files of this project, cut into pieces (or the field "text" of the .jsonl and .jsonl.gz in FOLDER), and for
each piece a copy with random edits, so that similarities from 0.4 to 1 are all there. Every pair with J >= 0.5 is found by
sets alone, by the tokeniser of tests/oracle/reference.py. Checked are the default settings: pairs with J >= 0.9 and
J >= 0.85 that came into one cluster, pairs that were kept though J < 0.6, and the error of the estimate."""

import argparse
import gzip
import json
import math
import os
import pathlib
import random
import sys
from collections import defaultdict

import support

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "oracle"))
try:
    import h5py

    import corpus_jobs
    import reference
except ImportError as error:
    support.skip(f"no module {error.name}")

SHINGLE, BANDS, BAND_ROWS, THRESHOLD = 5, 14, 8, 0.75  # the default settings
PERMUTATIONS = BANDS * BAND_ROWS
RECALL_WANTED = ((0.9, 0.99), (0.85, 0.95))
KEPT_SIMILARITY, PRECISION_WANTED = 0.6, 0.98
SEARCHED = 0.5  # all pairs from here on are found
LEAST_PLANTED = 0.4
WORDS_LEAST, WORDS_MOST = 20, 1500
# A root mean square of n errors may be larger than sigma by so many of its own standard errors, sigma / sqrt(2 n).
DEVIATIONS = 5
BINS = [LEAST_PLANTED + 0.05 * i for i in range(12)]
TEXT_SUFFIXES = (".md", ".c", ".h", ".py", ".cu", ".txt", ".tsv", ".cmake")


# ---- documents ---------------------------------------------------------------------------------------------


def own_texts():
    """The files of this project."""
    for folder in ("docs", "src", "kernels", "jobs", "tests", "bench", "cmake", "data"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in TEXT_SUFFIXES and path.is_file():
                yield path.read_text(encoding="utf-8", errors="replace")


def corpus_texts(folder):
    paths = sorted(path for path in pathlib.Path(folder).iterdir() if path.name.endswith((".jsonl", ".jsonl.gz")))
    for path in paths:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as lines:
            for line in lines:
                yield json.loads(line)["text"]


def pieces(texts, rng, whole, count):
    """Lists of words, each of a document; texts are cut to random sizes unless they are documents already."""
    found = []
    for text in texts:
        words = text.split()
        while len(words) >= WORDS_LEAST:
            size = WORDS_MOST if whole else min(WORDS_MOST, int(rng.lognormvariate(4.6, 0.8)) + WORDS_LEAST)
            if len(words) - size < WORDS_LEAST:
                size = WORDS_MOST
            found.append(words[:size])
            words = [] if whole else words[size:]
    rng.shuffle(found)
    return found[:count]


def edit_words(words, rate, rng, spare):
    """Words replaced, dropped and inserted; each breaks the shingles around it."""
    result = []
    for word in words:
        kind = rng.randrange(3) if rng.random() < rate else None
        if kind == 0:
            result.append(rng.choice(spare))
        elif kind == 2:
            result += [word, rng.choice(spare)]
        elif kind is None:
            result.append(word)
    return result


def move_parts(words, share, rng):
    """Parts change places: each move breaks the shingles over its three cuts, of both texts."""
    words = list(words)
    for _ in range(max(1, round(share * len(words) / (3 * (SHINGLE - 1))))):
        a, b, c = sorted(rng.randrange(len(words) + 1) for _ in range(3))
        words = words[:a] + words[b:c] + words[a:b] + words[c:]
    return words


def variant(words, rng, spare):
    """A copy that is changed so that the similarity is about a random one from LEAST_PLANTED to 1."""
    wanted = rng.uniform(LEAST_PLANTED, 1)
    share = 2 * wanted / (1 + wanted)  # of the shingles that both have, of as many in each
    kind = rng.randrange(4)
    if kind == 0:
        return edit_words(words, 1 - share ** (1 / SHINGLE), rng, spare)
    if kind == 1:
        return move_parts(words, 1 - share, rng)
    if kind == 2:
        return words[: max(SHINGLE + 4, round(wanted * len(words)))]
    half = 2 * math.sqrt(wanted) / (1 + math.sqrt(wanted))
    return edit_words(words[: round(math.sqrt(wanted) * len(words))], 1 - half ** (1 / SHINGLE), rng, spare)


class Documents:
    def __init__(self, arguments):
        rng = random.Random(arguments.seed)
        texts = corpus_texts(arguments.corpus) if arguments.corpus else own_texts()
        bases = pieces(texts, rng, bool(arguments.corpus), arguments.documents // 2)
        spare = [rng.choice(rng.choice(bases)) for _ in range(20000)]
        self.words, self.planted = [], []
        for words in bases:
            self.planted.append((len(self.words), len(self.words) + 1))
            self.words += [words, variant(words, rng, spare)]
        self.sets = [self.shingles(" ".join(words)) for words in self.words]

    @staticmethod
    def shingles(text):
        tokens = reference.unicode_tokens(text)
        return frozenset(corpus_jobs.ngrams(tokens, SHINGLE, SHINGLE))

    def write(self, path):
        with open(path, "w", encoding="utf-8") as file:
            for row, words in enumerate(self.words):
                file.write(json.dumps({"id": f"d{row}", "text": " ".join(words)}, ensure_ascii=False) + "\n")

    def similarity(self, a, b):
        both = len(self.sets[a] & self.sets[b])
        return both / (len(self.sets[a]) + len(self.sets[b]) - both)

    def pairs(self):
        """All (a, b, J) with J >= SEARCHED, and the planted ones; of documents with equal sets the first only.

        Two sets with J >= t share one of the n - ceil(t n) + 1 first members of each in any order: rare ones come first."""
        rows, seen = [], set()
        for row, shingles in enumerate(self.sets):
            if len(shingles) >= SHINGLE and shingles not in seen:
                seen.add(shingles)
                rows.append(row)
        frequency = defaultdict(int)
        for row in rows:
            for shingle in self.sets[row]:
                frequency[shingle] += 1
        index, candidates = defaultdict(list), set()
        for row in rows:
            size = len(self.sets[row])
            rare = sorted((frequency[shingle], shingle) for shingle in self.sets[row])
            for _, shingle in rare[: size - math.ceil(SEARCHED * size) + 1]:
                candidates.update((other, row) for other in index[shingle])
                index[shingle].append(row)
        known = set(rows)
        candidates.update((a, b) for a, b in self.planted if a in known and b in known)
        found = ((a, b, self.similarity(a, b)) for a, b in sorted(candidates))
        planted = set(self.planted)
        return [(a, b, j) for a, b, j in found if j >= SEARCHED or (a, b) in planted and j >= LEAST_PLANTED]


# ---- what the program made of them -------------------------------------------------------------------------


class Found:
    def __init__(self, path):
        with h5py.File(path, "r") as file:
            self.cluster = file["obs/dup_cluster"][()]
            self.signature = file["obsm/minhash"][()]

    def together(self, a, b):
        return self.cluster[a] >= 0 and self.cluster[a] == self.cluster[b]

    def estimate(self, a, b):
        return float((self.signature[a] == self.signature[b]).mean())

    def first(self, rows):
        """Signature -> the first document that has it."""
        found = {}
        for row in rows:
            found.setdefault(self.signature[row].tobytes(), row)
        return found

    def equal(self, rows):
        """Each document with the first one of its signature."""
        first = self.first(rows)
        return [(first[self.signature[row].tobytes()], row) for row in rows]

    def kept(self, rows):
        """Pairs that share a band and whose estimate reaches the threshold; of equal signatures the first only."""
        first = self.first(rows)
        candidates = set()
        for band in range(BANDS):
            buckets = defaultdict(list)
            for row in first.values():
                buckets[self.signature[row, band * BAND_ROWS : (band + 1) * BAND_ROWS].tobytes()].append(row)
            for members in buckets.values():
                candidates.update((a, b) for i, b in enumerate(members) for a in members[:i])
        return sorted(pair for pair in candidates if self.estimate(*pair) >= THRESHOLD)


def chance_of_estimate(similarity):
    """That the estimate of a pair reaches the threshold."""
    least = math.ceil(THRESHOLD * PERMUTATIONS)
    return sum(math.comb(PERMUTATIONS, k) * similarity**k * (1 - similarity) ** (PERMUTATIONS - k)
               for k in range(least, PERMUTATIONS + 1))


def check_recall(checks, pairs, found):
    print("\nJ from      pairs  in one cluster  theory (a band shared and the estimate above the threshold, by itself)")
    for low in (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95):
        chosen = [(a, b, j) for a, b, j in pairs if low <= j < low + 0.05 or low == 0.95 and j == 1]
        if chosen:
            share = sum(found.together(a, b) for a, b, _ in chosen) / len(chosen)
            theory = sum(corpus_jobs.chance(j, BANDS, BAND_ROWS) * chance_of_estimate(j) for *_, j in chosen) / len(chosen)
            print(f"{low:.2f} {len(chosen):11d} {share:15.4f} {theory:7.4f}")
    for least, wanted in RECALL_WANTED:
        chosen = [(a, b) for a, b, j in pairs if j >= least]
        share = sum(found.together(a, b) for a, b in chosen) / max(1, len(chosen))
        checks.that(len(chosen) >= 100, f"only {len(chosen)} pairs with J >= {least}")
        checks.that(share >= wanted, f"recall of pairs with J >= {least}: {share:.4f}, wanted {wanted}")
        print(f"recall, J >= {least}: {share:.4f} of {len(chosen)} (wanted {wanted})")


def check_precision(checks, documents, found):
    rows = [row for row, shingles in enumerate(documents.sets) if len(shingles) >= SHINGLE]
    kept = found.kept(rows)
    similarities = [documents.similarity(a, b) for a, b in kept]
    share = sum(j >= KEPT_SIMILARITY for j in similarities) / max(1, len(kept))
    checks.that(len(kept) >= 100, f"only {len(kept)} pairs are kept")
    checks.that(share >= PRECISION_WANTED, f"precision of kept pairs: {share:.4f}, wanted {PRECISION_WANTED}")
    print(f"precision, kept pairs with J >= {KEPT_SIMILARITY}: {share:.4f} of {len(kept)} (wanted {PRECISION_WANTED});"
          f" least J {min(similarities, default=1):.3f}")
    apart = [pair for pair in kept if not found.together(*pair)]
    checks.that(not apart, f"{len(apart)} kept pairs are not in one cluster: {apart[:3]}")
    components = corpus_jobs.Clusters(len(documents.sets))
    for a, b in kept + found.equal(rows):
        components.join(a, b)
    strangers = [row for row in rows if len(documents.sets[found.cluster[row]]) >= SHINGLE and found.cluster[row] >= 0
                 and components.find(row) != components.find(int(found.cluster[row]))]
    checks.that(not strangers, f"{len(strangers)} documents are in a cluster that no kept pair leads to: {strangers[:3]}")


def check_estimate(checks, pairs, planted, found):
    """By the planted pairs alone: families of similar documents err together."""
    print("\nJ from    planted    mean error  mean |error|  theory  root mean square  theory")
    chosen = [(a, b, j) for a, b, j in pairs if (a, b) in planted and j < 1]
    for low in BINS:
        errors = [(found.estimate(a, b) - j, j) for a, b, j in chosen if low <= j < low + 0.05]
        if len(errors) < 20:
            continue
        count = len(errors)
        sigma = math.sqrt(sum(j * (1 - j) / PERMUTATIONS for _, j in errors) / count)
        mean = sum(e for e, _ in errors) / count
        absolute = sum(abs(e) for e, _ in errors) / count
        square = math.sqrt(sum(e * e for e, _ in errors) / count)
        print(f"{low:.2f} {count:11d} {mean:13.4f} {absolute:13.4f} {sigma * math.sqrt(2 / math.pi):7.4f}"
              f" {square:17.4f} {sigma:7.4f}")
        checks.that(abs(mean) <= DEVIATIONS * sigma / math.sqrt(count),
                    f"the estimate is biased by {mean:.4f} from J = {low:.2f} on")
        checks.that(square <= sigma * (1 + DEVIATIONS / math.sqrt(2 * count)),
                    f"the estimate's error is {square:.4f} from J = {low:.2f} on, in theory {sigma:.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", help="a folder of .jsonl or .jsonl.gz with a field text")
    parser.add_argument("--documents", type=int, default=6000, help="half of them from the corpus, half edited")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ranks", type=int, default=2)
    arguments = parser.parse_args()
    support.program()
    checks = support.Checks()
    documents = Documents(arguments)
    pairs = documents.pairs()
    print(f"{len(documents.words)} documents, {sum(map(len, documents.words))} words, {len(pairs)} pairs from"
          f" {support.time.monotonic() - checks.began:.1f} s of sets; a band is shared with a chance of "
          + ", ".join(f"{corpus_jobs.chance(j, BANDS, BAND_ROWS):.3f} at {j}" for j in (0.5, 0.75, 0.85, 0.9)))
    with support.folder() as work:
        source, output = os.path.join(work, "documents.jsonl"), os.path.join(work, "out.h5")
        documents.write(source)
        outcome = support.run(["run", "-q", "-j", "neardup", "--minhash", "-o", output, source], arguments.ranks, limit=600)
        if checks.ended(outcome, 0, "job neardup"):
            found = Found(output)
            if checks.equal(found.signature.shape, (len(documents.words), PERMUTATIONS), "signatures"):
                check_recall(checks, pairs, found)
                check_precision(checks, documents, found)
                check_estimate(checks, pairs, set(documents.planted), found)
    checks.exit()


if __name__ == "__main__":
    sys.exit(main())
