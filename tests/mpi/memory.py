"""What a rank takes at most: memory, and with it time, on corpora that are large or lopsided.

    memory.py [columns] [corpus] [word] [band] [copies] [repeats]

columns  300 MB of text, plain or in one .gz, by jobs that keep columns only: 256 MiB
others   jobs features, vocab and neardup with --memory 32M: 32 + 128 MiB. corpus: a vocabulary and signatures of several times
         as much; word: one token is in every document; band: half of the documents share a band but are not similar; copies:
         all documents are the same; repeats: a document of one word, a million times. Results are checked, too, and a
         run that takes longer than it may is a failure."""

import collections
import json
import os
import pathlib
import random
import re
import sys
import zlib

import support

MEMORY_MAX = 256 << 20
SIZE = 300 << 20
MARK = b"@@@@@@"

CORPUS_JOBS = "features,vocab,neardup"
MEMORY = 32 << 20
BESIDE = 128 << 20
LIMIT = 240  # seconds of a run
SIGNATURE = 112 * 4  # bytes
CORPUS_DOCUMENTS, COMMON_WORDS, OWN_WORDS = 320000, 40, 12
SKEW_DOCUMENTS, BAND_DOCUMENTS, COPIES, REPEATS = 100000, 20000, 20000, 1000000
LEADERS = 64  # of a large bucket, that its other documents are compared with

try:
    import h5py
except ImportError:
    h5py = None
try:
    import numpy as np

    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "oracle"))
    import corpus_jobs
    import reference
except ImportError:
    np = None


# ---- columns -----------------------------------------------------------------------------------------------


def write_corpus(folder):
    """The same block of documents again and again, with other ids."""
    block = support.records(11, 700).replace(b'"id": "doc-', b'"id": "' + MARK + b"-")
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    with open(f"{folder}/plain.jsonl", "wb") as plain, open(f"{folder}/packed.jsonl.gz", "wb") as packed:
        for i in range(SIZE // len(block)):
            piece = block.replace(MARK, b"%06d" % i)
            plain.write(piece)
            packed.write(packer.compress(piece))
        packed.write(packer.flush())


def check_columns(checks, work):
    write_corpus(work)
    output = f"{work}/out.h5"
    documents = set()
    for source in ("plain.jsonl", "packed.jsonl.gz"):
        for ranks in (0, 2):
            label = f"{source}, {ranks or 1} ranks"
            outcome = support.run(["run", "-q", "-f", "-j", "profile,digest", "-o", output, f"{work}/{source}"], ranks,
                                  limit=180)
            if not checks.ended(outcome, 0, label):
                continue
            report = support.run_report(output)
            documents.add(report["documents"])
            check_memory(checks, label, output, MEMORY_MAX)
    checks.equal(len(documents), 1, f"numbers of documents differ: {documents}")


def check_memory(checks, label, output, allowed):
    memory = support.peak_memory(output)
    print(f"{label}: {memory / support.MEBIBYTE:.0f} MiB a rank at most, {support.run_report(output)['seconds']:.1f} s")
    checks.that(memory <= allowed, f"{label}: {memory / support.MEBIBYTE:.0f} MiB, {allowed >> 20} allowed")


# ---- corpus jobs -------------------------------------------------------------------------------------------


class Words:
    """Words that are common, as often as in a text, and words that no other document has."""

    def __init__(self, seed):
        self.random, self.count = random.Random(seed), 0
        letters = "bcdfghklmnprstv"
        common = [a + "aeiou"[i % 5] + b + "eo"[i % 2] for i, (a, b) in enumerate((a, b) for a in letters for b in letters)]
        common += [word + "n" + other for word in common[:60] for other in common[:60]]
        # Zipf's law, drawn from a table: random.choices with weights would look each word up.
        self.table = [word for rank, word in enumerate(common, 1) for _ in range(max(1, 20000 // rank))]

    def own(self):
        # A step that shares no factor with 2^32: every word once, and in no order.
        self.count += 1
        return f"{self.count * 2654435761 & 0xFFFFFFFF:08x}x"

    def text(self, common, own):
        words = self.random.choices(self.table, k=common) + [self.own() for _ in range(own)]
        self.random.shuffle(words)
        return words


def write_lines(path, texts):
    with open(path, "w", encoding="utf-8") as file:
        for text in texts:
            file.write(json.dumps({"text": text}) + "\n")


def run_jobs(checks, label, work, ranks, memory=MEMORY):
    """The result, or None."""
    output = f"{work}/out-{ranks}-{memory}.h5"
    command = ["run", "-f", "-j", CORPUS_JOBS, "--memory", memory, "-o", output, f"{work}/corpus.jsonl"]
    outcome = support.run(command, ranks, limit=LIMIT)
    if not checks.ended(outcome, 0, label):
        return None
    said = re.search(r"memory: at most (\d+) MiB a rank", outcome.out + outcome.err)
    checks.equal(said and int(said[1]), (memory + BESIDE) >> 20, f"{label}: the bound that is said before the run")
    check_memory(checks, label, output, memory + BESIDE)
    return output


class Outcome:
    """Of the result what the checks look at, as plain Python."""

    def __init__(self, path):
        with h5py.File(path, "r") as file:
            self.cluster = file["obs/dup_cluster"][()].tolist()
            self.exact = file["obs/dup_exact"][()].tolist()
            self.size = file["obs/dup_size"][()].tolist()
            self.keep = file["obs/dup_keep"][()].tolist()
            self.totals = file["uns/dhatu/vocab/totals"][()].tolist()
            self.term = file["uns/dhatu/vocab/term"][0].decode().rstrip("\0")
            self.frequency = int(file["uns/dhatu/vocab/frequency"][0])
            self.documents = int(file["uns/dhatu/vocab/documents"][0])
            self.compared = int(file["uns/dhatu/neardup/counts"][0])
            self.values = int(file["X/indptr"][-1])


def check_skewed(checks, work, name, texts, look):
    """One corpus by one and by two ranks: the same bytes, and what `look` says of them."""
    write_lines(f"{work}/corpus.jsonl", texts)
    outputs = [run_jobs(checks, f"{name}, {ranks or 1} ranks", work, ranks) for ranks in (0, 2)]
    if None in outputs:
        return
    checks.equal(support.sha256(outputs[1]), support.sha256(outputs[0]), f"{name}: the results of 1 and 2 ranks differ")
    if h5py is None:
        checks.note(f"{name}: no module h5py, the result is not looked at")
    else:
        look(Outcome(outputs[0]))


def check_corpus(checks, work):
    words, tokens, copies = Words(1), 0, 0
    last = collections.deque(maxlen=5)
    with open(f"{work}/corpus.jsonl", "w", encoding="utf-8") as file:
        for row in range(CORPUS_DOCUMENTS):
            if row % 10 == 9:  # a copy of the document five rows earlier, the last word changed
                text = last[0][:-1] + [words.own()]
                copies += 1
            else:
                text = words.text(COMMON_WORDS, OWN_WORDS)
            tokens += len(text)
            last.append(text)
            file.write(json.dumps({"text": " ".join(text)}) + "\n")
    outputs = [run_jobs(checks, f"corpus, {ranks or 1} ranks", work, ranks) for ranks in (0, 2)]
    outputs.append(run_jobs(checks, "corpus, 1 rank, memory enough", work, 0, 1 << 30))
    if None in outputs:
        return
    prints = [support.sha256(output) for output in outputs]
    checks.equal(prints, prints[:1] * len(prints), "corpus: the results differ by ranks or memory")
    size = os.path.getsize(f"{work}/corpus.jsonl")
    print(f"corpus: {size / 1e6:.0f} MB, {CORPUS_DOCUMENTS * SIGNATURE >> 20} MiB of signatures, {words.count} words that one"
          " document has")
    if h5py is not None:
        found = Outcome(outputs[0])
        checks.equal(found.totals[1], tokens, "corpus: occurrences")
        checks.that(words.count <= found.totals[0] <= words.count + len(set(words.table)), f"corpus: {found.totals[0]} terms")
        checks.equal(CORPUS_DOCUMENTS - sum(found.keep), copies, "corpus: documents that are duplicates")


def check_word(checks, work):
    words = Words(2)

    def look(found):
        checks.equal((found.term, found.frequency, found.documents), ("everywhere", SKEW_DOCUMENTS, SKEW_DOCUMENTS),
                     "word: the commonest")
        checks.equal(found.totals, [SKEW_DOCUMENTS * 8 + 1, SKEW_DOCUMENTS * 9], "word: terms and occurrences")
        checks.equal(sum(found.keep), SKEW_DOCUMENTS, "word: documents kept")

    check_skewed(checks, work, "word", (" ".join(["everywhere"] + words.text(0, 8)) for _ in range(SKEW_DOCUMENTS)), look)


def least_shingles(words):
    """Eight shingles, each with a very small value of one permutation of the first band (seed 1)."""
    options = corpus_jobs.JobOptions()
    flip, factor = corpus_jobs.permutations(options.minhash_seed, options.band_rows)
    tokens = [words.own() for _ in range(60000)]
    hashes = [reference.xxh3_64(token.encode()) for token in tokens]
    values = (corpus_jobs.shingle_numbers(hashes, options.shingle)[:, None] ^ flip) * factor
    return [token for at in values.argmin(axis=0).tolist() for token in tokens[at : at + options.shingle]]


def band_is_shared(texts):
    """Whether four in five of them have the same first band."""
    options = corpus_jobs.JobOptions()
    flip, factor = corpus_jobs.permutations(options.minhash_seed, options.band_rows)
    bands = [corpus_jobs.signature(corpus_jobs.shingle_numbers([reference.xxh3_64(t.encode()) for t in text.split()],
                                                               options.shingle), flip, factor).tobytes() for text in texts]
    return max(map(bands.count, bands)) >= 0.8 * len(bands)


def check_band(checks, work):
    if np is None or not reference.xxhash:
        checks.note("band: left out, no module numpy or xxhash")
        return
    words = Words(3)
    begins = ([], least_shingles(words))
    texts = [" ".join(begins[row % 2] + words.text(0, 100)) for row in range(BAND_DOCUMENTS)]
    checks.that(band_is_shared(texts[1:400:2]), "band: the documents do not share one")

    def look(found):
        checks.equal(sum(found.keep), BAND_DOCUMENTS, "band: documents kept")
        checks.equal(set(found.cluster), {-1}, "band: clusters")
        # Each of its documents with the leaders: neither none nor all pairs.
        most = LEADERS * BAND_DOCUMENTS // 2
        checks.that(0.7 * most <= found.compared <= 1.1 * most, f"band: {found.compared} pairs are compared, {most} expected")

    check_skewed(checks, work, "band", texts, look)


def check_copies(checks, work):
    text = " ".join(Words(4).text(40, 20))

    def look(found):
        checks.equal((set(found.cluster), set(found.exact), set(found.size)), ({0}, {0}, {COPIES}), "copies: the cluster")
        checks.equal(found.keep, [1] + [0] * (COPIES - 1), "copies: kept")
        checks.equal(found.totals[1], COPIES * 60, "copies: occurrences")

    check_skewed(checks, work, "copies", (text for _ in range(COPIES)), look)


def check_repeats(checks, work):
    def look(found):
        checks.equal((found.term, found.frequency, found.documents), ("again", REPEATS, 1), "repeats: the commonest")
        checks.equal(found.totals, [5, REPEATS + 4], "repeats: terms and occurrences")
        checks.equal(found.cluster, [-1, -1], "repeats: clusters")
        checks.equal(found.values, 5, "repeats: values of X")

    check_skewed(checks, work, "repeats", ["again " * REPEATS, "a text of other"], look)


PARTS = {"columns": check_columns, "corpus": check_corpus, "word": check_word, "band": check_band, "copies": check_copies,
         "repeats": check_repeats}


def main():
    checks = support.Checks()
    chosen, _ = support.words_given(PARTS)
    support.run_in_folders(PARTS, chosen, lambda check, work: check(checks, work))
    checks.exit()


if __name__ == "__main__":
    sys.exit(main())
