"""The vocabulary against collections.Counter over the tokens of tests/oracle/tokens.py: totals, the commonest terms, the file of
all terms; for tokens and n-grams, both tokenisers, several ranks, and memory that is smaller than the vocabulary."""

import json
import os
import random
import sys
from collections import Counter

import support

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "oracle"))
sys.dont_write_bytecode = True
import tokens as oracle  # noqa: E402

WIDTH = 256  # bytes of a term among the commonest
OFTEN = (4095, 4096, 4097, 8193, 8194, 65534, 65535, 65536, 65537)  # where the order by frequency changes its ways
LONG = 1 << 14  # bytes of a term that is counted as it is


def texts(seed, documents):
    """Sentences of several languages; words that occur once, most with the same beginning; long ones; one in all."""
    rng = random.Random(seed)
    for number in range(documents):
        language = rng.choice(("en", "fr", "xx"))
        words = support.sentences(rng, rng.randint(0, 6), language).split(" ")
        words += [f"prefix{rng.getrandbits(40):x}" for _ in range(rng.randint(0, 30))]
        words += [f"{rng.choice('abcxyzäж日')}{rng.randint(0, 300)}" for _ in range(rng.randint(0, 30))]
        if number % 50 == 0:
            words += ["x" * rng.randint(250, 260), "ж" * rng.randint(125, 131), "q" * 9000 + "ab"[number % 100 // 50]]
        rng.shuffle(words)
        yield "everywhere " + " ".join(words)


def write_corpus(root, documents):
    found = [*texts(7, documents), " ".join(f"often{count} " * count for count in OFTEN)]
    for part in range(5):
        lines = [json.dumps({"id": f"d{i}", "text": text}, ensure_ascii=i % 2 == 0)
                 for i, text in enumerate(found) if i % 5 == part]
        support.write(f"{root}/part-{part}.jsonl", "\n".join(lines).encode())
    support.write(f"{root}/empty.jsonl", b"")
    return found


def count(documents, tokenise, least, most):
    frequency, in_documents = Counter(), Counter()
    for text in documents:
        found = tokenise(text)
        grams = Counter(" ".join(found[at : at + size]) for size in range(least, most + 1)
                        for at in range(len(found) - size + 1))
        frequency.update(grams)
        in_documents.update(grams.keys())
    ranked = sorted(frequency, key=lambda term: (-frequency[term], term.encode()))
    return [(term, frequency[term], in_documents[term]) for term in ranked]


def cut(term):
    return term.encode()[:WIDTH].decode("utf-8", "ignore")


def check_result(checks, h5py, output, wanted, top, label):
    with h5py.File(output) as file:
        vocab = file["uns/dhatu/vocab"]
        checks.equal(vocab["totals"][:].tolist(), [len(wanted), sum(row[1] for row in wanted)], f"{label}: totals")
        got = list(zip([term.decode() for term in vocab["term"][:]], vocab["frequency"][:].tolist(),
                       vocab["documents"][:].tolist()))
    expected = [(cut(term), frequency, documents) for term, frequency, documents in wanted[:top]]
    checks.that(got == expected, f"{label}: the commonest {top}: {first_difference(got, expected)}")


def check_file(checks, output, wanted, label):
    with open(output + ".vocab.tsv", encoding="utf-8", newline="") as file:
        lines = file.read().split("\n")
    expected = ["term\tfrequency\tdocuments", *(f"{term}\t{a}\t{b}" for term, a, b in wanted), ""]
    checks.that(lines == expected, f"{label}: the file: {first_difference(lines, expected)}")


def first_difference(got, expected):
    for place, (a, b) in enumerate(zip(got, expected)):
        if a != b:
            return f"at {place} {str(a)[:80]!r} instead of {str(b)[:80]!r}"
    return f"{len(got)} instead of {len(expected)}"


def check_counts(checks, h5py, work):
    documents = write_corpus(f"{work}/corpus", 600)
    unspaced = oracle.read_unspaced() if os.path.exists(oracle.SCRIPTS) else None
    tokenisers = {"sklearn": lambda text: oracle.sklearn_tokens(text, None)}
    if unspaced is not None:
        tokenisers["unicode"] = lambda text: oracle.unicode_tokens(text, unspaced)
    else:
        checks.note(f"no {oracle.SCRIPTS}: the unicode tokeniser is left out")
    kinds = [(mode, 1, 1, 0, 1000, []) for mode in tokenisers]
    kinds += [("sklearn", 1, 1, 3, 1000000, []), ("sklearn", 1, 2, 2, 37, ["--memory", "16M"]), ("sklearn", 2, 3, 4, 5000, []),
              ("sklearn", 3, 3, 0, 0, []), ("sklearn", 8, 8, 3, 1, [])]
    for mode, least, most, ranks, top, more in kinds:
        label = f"{mode}, {least}-{most}, {ranks} ranks, top {top}"
        output = f"{work}/out.h5"
        run = support.run(["run", f"{work}/corpus", "-j", "vocab", "--tokens", mode, "--ngrams", f"{least}-{most}",
                           "--top", top, "--vocab-tsv", "-f", "-q", "-o", output, *more], ranks)
        if checks.ended(run, 0, label):
            wanted = count(documents, tokenisers[mode], least, most)
            check_file(checks, output, wanted, label)
            check_result(checks, h5py, output, wanted, top, label)


def check_top(checks, h5py, work):
    """Without the file only terms that can be among the commonest are brought together."""
    documents = write_corpus(f"{work}/corpus", 200)
    wanted = count(documents, lambda text: oracle.sklearn_tokens(text, None), 1, 1)
    for top, ranks in ((1, 0), (2, 2), (5, 0), (7, 3), (8, 0), (9, 2), (40, 3), (1000, 0), (len(wanted) - 1, 2), (len(wanted), 3)):
        output = f"{work}/out.h5"
        run = support.run(["run", f"{work}/corpus", "-j", "vocab", "--tokens", "sklearn", "--top", top, "-f", "-q", "-o", output],
                          ranks)
        if checks.ended(run, 0, f"top {top}"):
            check_result(checks, h5py, output, wanted, top, f"top {top}, {ranks} ranks")


def check_no_documents(checks, h5py, work):
    support.write(f"{work}/corpus/a.jsonl", b'{"id":"a","text":""}\n{"id":"b","text":"?!"}\n')
    for ranks in (0, 2):
        output = f"{work}/out.h5"
        run = support.run(["run", f"{work}/corpus", "-j", "vocab,features", "--features", 10, "--vocab-tsv", "-f", "-q", "-o",
                           output], ranks)
        if checks.ended(run, 0, "no tokens"):
            check_file(checks, output, [], "no tokens")
            check_result(checks, h5py, output, [], 0, "no tokens")


def check_long_terms(checks, h5py, work):
    """A term of more than 16 KiB is counted by its beginning and its hash; equal ones together, others apart."""
    long = ["ж" * 9000 + end for end in ("а", "б")] + ["z" * (1 << 20)]
    lines = [{"id": str(i), "text": text} for i, text in enumerate([long[0], long[0], long[1], long[2]])]
    support.write(f"{work}/corpus/a.jsonl", "\n".join(map(json.dumps, lines)).encode())
    output = f"{work}/out.h5"
    run = support.run(["run", f"{work}/corpus", "-j", "vocab,features", "--memory", "64M", "--vocab-tsv", "-f", "-q", "-o",
                       output], 2)
    if not checks.ended(run, 0, "long terms"):
        return
    with open(output + ".vocab.tsv", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file][1:]
    checks.equal([row[1:] for row in rows], [["2", "2"], ["1", "1"], ["1", "1"]], "long terms: counts")
    begins = sorted(row[0].split("#")[0] for row in rows)
    checks.equal(begins, sorted(["z" * LONG, "ж" * (LONG // 2), "ж" * (LONG // 2)]), "long terms: beginnings")
    checks.equal(len({row[0] for row in rows}), 3, "long terms: different ones")
    checks.that(all(len(row[0].split("#")[1]) == 32 for row in rows), "long terms: the hash")


def check_small_memory(checks, h5py, work):
    """More vocabulary than memory: the same file, and no more memory than was said."""
    rng = random.Random(3)
    def line(number):
        return json.dumps({"id": str(number), "text": "the " + " ".join(f"{rng.getrandbits(60):x}" for _ in range(100))})
    for part in range(2):
        support.write(f"{work}/corpus/{part}.jsonl", "\n".join(line(part * 6000 + i) for i in range(6000)).encode())
    made = {}
    for memory, ranks in (("16M", 0), ("16M", 3), ("1G", 2)):
        output = f"{work}/{memory}-{ranks}.h5"
        run = support.run(["run", f"{work}/corpus", "-j", "vocab", "--ngrams", "1-2", "--top", 50, "--memory", memory,
                           "--vocab-tsv", "-f", "-q", "-o", output], ranks, limit=240)
        if checks.ended(run, 0, f"memory {memory}"):
            made[memory, ranks] = support.sha256(output), support.sha256(output + ".vocab.tsv")
            peak = support.peak_memory(output) / support.MEBIBYTE
            checks.note(f"memory {memory}, {ranks} ranks: {peak:.0f} MiB, {run.seconds:.1f} s, "
                        f"file {os.path.getsize(output + '.vocab.tsv') / 1e6:.0f} MB")
            checks.that(memory != "16M" or peak <= 16 + 128, f"memory {memory}, {ranks} ranks: {peak:.0f} MiB")
            os.remove(output + ".vocab.tsv")
    checks.equal(len(set(made.values())), 1, "small memory: results that differ")


PARTS = {"counts": check_counts, "top": check_top, "nothing": check_no_documents, "long": check_long_terms, "memory": check_small_memory}


def main():
    try:
        import h5py
    except ImportError:
        support.skip("no h5py")
    chosen, _ = support.words_given(PARTS)
    checks = support.Checks()
    support.run_in_folders(PARTS, chosen, lambda check, work: check(checks, h5py, work))
    checks.exit()


if __name__ == "__main__":
    main()
