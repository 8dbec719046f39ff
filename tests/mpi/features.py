"""X against scikit-learn, the installed one: HashingVectorizer, then TfidfTransformer, over texts of several languages. Columns
are equal, values to 1e-6; document frequencies, idf and the terms of columns, too. Skipped where scikit-learn, AnnData or
h5py is missing."""

import glob
import gzip
import json
import os
import random
import sys

import support

DOCUMENTATION = "/usr/share/doc"
DOCUMENTATION_BYTES = 400_000  # of texts that are taken from there
TOLERANCE = 1e-6
ENCODED_TERMS = 64  # bytes of the terms of a column

LANGUAGES = (
    "The river had risen again in the night, and nobody in the village could say how long the old bridge would hold.",
    "Élodie n'avait jamais vu la mer ; aujourd'hui, peut-être, l'œuvre de son grand-père l'y mènerait enfin.",
    "Ο ΟΔΥΣΣΕΑΣ γύρισε στη χώρα του· όλοι οι φύλακες τον είδαν, μα κανείς δεν τον γνώρισε.",
    "Ёлка упала в лесу, и Он не знал, что теперь делать: дорога домой была долгой.",
    "東京で昨日、新しい家を見ました。とても大きかったです。ｶﾞﾗｽ の コップ も ある。",
    "ฉันไม่รู้ว่าฝนจะตกหรือไม่ แต่ น้ำ ในแม่น้ำสูงขึ้นทุกวัน ๑๒๓",
    "لم يكن البَابُ مفتوحًا، لكنّه دخل؛ كانت المدينة ١٢٣ نائمة.",
    "İSTANBUL ve DİYARBAKIR ışıklı şehirlerdir; Iğdır'ı görmedim.",
    "snake_case words, x2 and a b c d, 3.14 e-mail@example.org, don't, STRASSE straße, ﬁnd ½ ² №",
)


def documentation():
    """Paragraphs of the texts that are installed here, in the order of names."""
    found, size = [], 0
    for path in sorted(glob.glob(f"{DOCUMENTATION}/*/README*") + glob.glob(f"{DOCUMENTATION}/*/NEWS*")):
        try:
            with (gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")) as file:
                data = file.read(50_000)
        except OSError:
            continue
        for paragraph in data.decode("utf-8", "replace").replace("\ufffd", "").split("\n\n"):
            found.append(paragraph)
            size += len(paragraph)
        if size > DOCUMENTATION_BYTES:
            break
    return found


def make_texts():
    rng = random.Random(11)
    found = [*LANGUAGES, "", " ", "a", "?!", "ab", "ab ab ab", "\u0130 \u0131"]
    for _ in range(300):
        words = " ".join(rng.sample(LANGUAGES, 2)).split(" ")
        found.append(" ".join(rng.choices(words, k=rng.randint(1, 60))))
    return found + [text for text in documentation() if "\x00" not in text]


class Kind:
    """Options of a run, and what scikit-learn makes of them."""

    def __init__(self, features=1 << 18, ngrams=(1, 1), sign=True, norm="l2", binary=False, idf=True):
        self.features, self.ngrams, self.sign, self.norm, self.binary, self.idf = features, ngrams, sign, norm, binary, idf

    def __str__(self):
        return " ".join(f"{name}={value}" for name, value in vars(self).items())

    def options(self):
        answer = {True: "yes", False: "no"}
        return (["--features", self.features, "--ngrams", "{}-{}".format(*self.ngrams), "--alternate-sign", answer[self.sign],
                 "--norm", self.norm, "--idf", answer[self.idf]] + (["--binary"] if self.binary else []))

    def hashed(self, texts, norm):
        """As HashingVectorizer stores it: sums of zero are there."""
        from sklearn.feature_extraction.text import HashingVectorizer

        return HashingVectorizer(n_features=self.features, ngram_range=self.ngrams, alternate_sign=self.sign, norm=norm,
                                 binary=self.binary).transform(texts)

    def matrix(self, texts):
        from sklearn.feature_extraction.text import TfidfTransformer

        norm = None if self.norm == "none" else self.norm
        counts = self.hashed(texts, norm)
        if not self.idf:
            return counts, None
        transformer = TfidfTransformer(norm=norm).fit(counts)
        return transformer.transform(counts), transformer.idf_


KINDS = (
    Kind(),
    Kind(idf=False, norm="none"),
    Kind(features=1000, ngrams=(1, 2)),
    Kind(features=7, ngrams=(1, 2), norm="l1"),
    Kind(features=7, sign=False, norm="none"),
    Kind(ngrams=(2, 3), sign=False, norm="l1"),
    Kind(features=1000, binary=True),
    Kind(features=1000, binary=True, idf=False, norm="l1"),
    Kind(features=1000, idf=False, sign=False),
    Kind(features=1, idf=False, norm="none", ngrams=(1, 3)),
    Kind(features=(1 << 19) - 3, ngrams=(1, 8), norm="none"),
)


def canonical(matrix):
    """Sorted, without zeros: TfidfTransformer's product may drop them."""
    matrix = matrix.tocsr().copy()
    matrix.sort_indices()
    matrix.eliminate_zeros()
    return matrix


def check_matrix(checks, numpy, got, kind, texts, label):
    stored = kind.hashed(texts, None)
    stored.sort_indices()
    checks.that(numpy.array_equal(got.X.indptr, stored.indptr) and numpy.array_equal(got.X.indices, stored.indices),
                f"{label}: columns of documents")
    wanted, idf = kind.matrix(texts)
    mine, theirs = canonical(got.X), canonical(wanted)
    if not checks.that(mine.shape == theirs.shape and numpy.array_equal(mine.indptr, theirs.indptr)
                       and numpy.array_equal(mine.indices, theirs.indices), f"{label}: columns"):
        return
    worst = numpy.abs(mine.data - theirs.data) / numpy.maximum(1.0, numpy.abs(theirs.data))
    checks.that(worst.size == 0 or worst.max() <= TOLERANCE, f"{label}: values differ by {worst.max(initial=0)}")
    frequency = numpy.bincount(stored.indices, minlength=kind.features)
    checks.that(numpy.array_equal(got.var["document_frequency"], frequency), f"{label}: document frequencies")
    idf = numpy.ones(kind.features) if idf is None else idf
    checks.that(numpy.allclose(got.var["idf"], idf, rtol=1e-14, atol=0), f"{label}: idf")


def check_terms(checks, got, kind, texts, label):
    """The three commonest of each column, by documents, then by bytes."""
    from collections import Counter

    from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer

    analyse = CountVectorizer(ngram_range=kind.ngrams).build_analyzer()
    documents = Counter()
    for text in texts:
        documents.update(set(analyse(text)))
    terms = sorted(documents, key=lambda term: (-documents[term], term.encode()))
    hasher = HashingVectorizer(n_features=kind.features, norm=None, analyzer=lambda term: [term])
    named = {}
    for term, column in zip(terms, hasher.transform(terms).indices):
        named.setdefault(int(column), []).append(term)
    wanted = [", ".join(named.get(column, [])[:3]).encode()[:ENCODED_TERMS].decode("utf-8", "ignore")
              for column in range(kind.features)]
    shown = list(got.var["terms"])
    bad = [column for column in range(kind.features) if shown[column] != wanted[column]]
    checks.that(not bad, f"{label}: terms of {len(bad)} columns" + (
        f", the first {shown[bad[0]]!r} instead of {wanted[bad[0]]!r}" if bad else ""))


def main():
    try:
        import anndata
        import h5py  # noqa: F401
        import numpy
        import sklearn
    except ImportError as error:
        support.skip(str(error))
    checks = support.Checks()
    checks.note(f"scikit-learn {sklearn.__version__}")
    texts = make_texts()
    with support.folder() as work:
        lines = [json.dumps({"id": f"{i:06d}", "text": text}) for i, text in enumerate(texts)]
        support.write(f"{work}/corpus.jsonl", "\n".join(lines).encode())
        for number, kind in enumerate(KINDS):
            label = str(kind)
            output = f"{work}/out.h5"
            run = support.run(["run", f"{work}/corpus.jsonl", "-j", "features", "--tokens", "sklearn", "--memory", "256M", "-f", "-q",
                               "--segment-size", "64K", "-o", output, *kind.options()], (0, 3, 2)[number % 3], limit=120)
            if not checks.ended(run, 0, label):
                continue
            got = anndata.read_h5ad(output)
            check_matrix(checks, numpy, got, kind, texts, label)
            if kind.features <= 1 << 18:
                check_terms(checks, got, kind, texts, label)
        run = support.run(["run", f"{work}/corpus.jsonl", "-j", "features", "--features", 1 << 24, "--memory", "64M", "-f", "-q", "-o",
                           f"{work}/none.h5"])
        checks.ended(run, 2, "more columns than memory")
        checks.that(any("--memory" in line for line in run.errors()), "more columns than memory: what would do", run)
    checks.exit()


if __name__ == "__main__":
    main()
