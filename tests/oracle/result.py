#!/usr/bin/env python3
"""Runs dhatu over a nasty corpus and compares every dataset of the result with a recomputation in Python.

    result.py PROGRAM [--corpus FOLDER] [--mpirun "mpirun -n 3"] [--seed N] [--only NAME] [--keep FOLDER]

The recomputation is tests/oracle/reference.py, the corpus tests/oracle/make_corpus.py. Several runs are
compared: the default lexicons, own lexicons, LIWC dictionaries, other fields, formats and limits. Integers,
codes and texts must be equal; float64 within 1e-12 of the value (ambiguity: 1e-12), float32 within one step.
Values that hang on XXH3 are compared where the module xxhash is installed.
Exit code 0: equal; 1: not, with the first differences; 77: skipped, no h5py or numpy.
"""

import argparse
import json
import os
import random
import shlex
import subprocess
import sys
import tempfile
import warnings
from collections import Counter

import make_corpus
import reference

try:
    import h5py
    import numpy as np

    import corpus_jobs
except ImportError as error:
    h5py = None
    MISSING_MODULE = error.name
try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import anndata
except ImportError:
    anndata = None

SHOWN = 10
CODE_LIMITS = ((2, 63), (3, 39), (5, 27))


def short(value):
    text = ascii(value)
    return text if len(text) < 160 else f"{text[:80]}...{text[-60:]}"


class Differences:
    def __init__(self):
        self.lines, self.total = [], 0

    def add(self, line):
        self.total += 1
        if len(self.lines) < SHOWN:
            self.lines.append(line)


class Want:
    """What a dataset should be. rule: exact, close (float64), step (float32); row_wise: a row a document."""

    def __init__(self, values, dtype, rule="exact", absolute=0.0, row_wise=False, encoding="array"):
        self.encoding, self.rule, self.absolute, self.row_wise = encoding, rule, absolute, row_wise
        self.dtype = np.dtype(dtype)
        self.values = values if isinstance(values, np.ndarray) else np.array(values, dtype=self.dtype)

    @staticmethod
    def table(values, dtype, width, **more):
        return Want(np.array(values, dtype=dtype).reshape(len(values), width), dtype, **more)


class WantText:
    """Texts of fixed length; None in values: not compared, b"?" in them: any byte."""

    encoding = "string-array"

    def __init__(self, values, row_wise=False, scalar=False):
        self.values, self.row_wise, self.scalar = values, row_wise, scalar
        if scalar:
            self.encoding = "string"


class Comparison:
    def __init__(self, path, corpus, lexicons, case):
        self.path, self.corpus, self.lexicons, self.options, self.job_options = path, corpus, lexicons, case.options, case.job
        self.jobs, self.config = case.jobs.split(","), case.config(lexicons)
        self.rows = reference.compute_rows(corpus, lexicons, case.options)
        self.tokens = [document.tokens for document in corpus.documents]
        self.terms = None
        if {"features", "vocab"} & set(self.jobs):
            self.terms = corpus_jobs.Terms(self.tokens, *case.job.ngrams)
        self.differences, self.compared, self.datasets, self.skipped = Differences(), 0, 0, []
        self.file = h5py.File(path, "r")

    # What is expected.

    def expected(self):
        rows, corpus = self.rows, self.corpus
        want = {}
        numbers = {id(source): i for i, source in enumerate(corpus.sources)}
        names = [source.name.encode() for source in corpus.sources]
        self.ids, self.ids_changed = reference.unique_ids(corpus.documents)

        def column(name, values, dtype, **more):
            want[f"obs/{name}"] = Want(values, dtype, row_wise=True, **more)

        languages = sorted({row.language for row in rows}, key=reference.language_order)
        want["obs/_index"] = WantText(self.ids, row_wise=True)
        want["obs/source/categories"] = WantText(names)
        column("source/codes", [numbers[id(row.document.source)] for row in rows], "i4")
        column("record", [row.document.record for row in rows], "u8")
        column("offset", [row.document.offset for row in rows], "u8")
        column("bytes", [row.size for row in rows], "u4")
        column("tokens", [row.tokens for row in rows], "u4")
        want["obs/lang/categories"] = WantText([name.encode() for name in languages])
        column("lang/codes", [languages.index(row.language) for row in rows], "i4")
        want["obs/status/categories"] = WantText([name.encode() for name in reference.STATUSES])
        column("status/codes", [row.status for row in rows], "i4")
        want["obs/sha256"] = WantText([row.sha256.encode() for row in rows], row_wise=True)
        want["var/_index"] = WantText([])
        self.order = "source record offset bytes tokens lang status sha256".split()
        self.expect_corpus(want, names, languages)
        expect = {"profile": lambda: self.expect_profile(want, column, languages),
                  "digest": lambda: self.expect_digest(want, column), "null": lambda: self.expect_null(want, column),
                  "vocab": lambda: self.expect_vocab(want), "features": lambda: self.expect_features(want),
                  "neardup": lambda: self.expect_signatures(want, column)}
        for job in self.jobs:
            expect[job]()
        if "neardup" in self.jobs:
            self.expect_clusters(want, column)
        return want

    def by_source(self, values, width):
        """The sums of a list a document, a row a source."""
        found = {id(source): [0] * width for source in self.corpus.sources}
        for row, list_ in zip(self.rows, values):
            sums = found[id(row.document.source)]
            for i, value in enumerate(list_):
                sums[i] += value
        return list(found.values())

    def expect_corpus(self, want, names, languages):
        rows, corpus, base = self.rows, self.corpus, "uns/dhatu/"
        documents = [(1, row.size, row.tokens) for row in rows]
        want[base + "documents/totals"] = Want(reference.sum_columns(documents, 3), "u8")
        want[base + "documents/language"] = WantText([name.encode() for name in languages])
        table = [reference.sum_columns([d for d, row in zip(documents, rows) if row.language == name], 3) for name in languages]
        want[base + "documents/by_language"] = Want.table(table, "u8", 3)
        bad = {id(source): 0 for source in corpus.sources}
        for document in corpus.bad:
            bad[id(document.source)] += 1
        counts = [value for value, in self.by_source([[1]] * len(rows), 1)]
        want[base + "sources/_index"] = WantText(names)
        want[base + "sources/documents"] = Want(counts, "u8")
        want[base + "sources/records"] = Want([source.records for source in corpus.sources], "u8")
        want[base + "sources/bytes"] = Want([len(source.data) for source in corpus.sources], "u8")
        want[base + "sources/bad"] = Want(list(bad.values()), "u8")
        hashes = [reference.content_hash(source.data) for source in corpus.sources]
        want[base + "sources/hash"] = WantText([h.encode() if h is not None else None for h in hashes])
        quality = reference.quality(corpus)
        want[base + "quality/_index"] = WantText([name.encode() for name, _, _ in quality])
        want[base + "quality/records"] = Want([records for _, records, _ in quality], "u8")
        want[base + "quality/bytes"] = Want([size for _, _, size in quality], "u8")
        repaired = [row.document.replaced for row in rows if row.document.replaced]
        want[base + "repaired"] = Want([len(repaired), sum(repaired)], "u8")
        for name in ("config", "content_sha256", "versions/dhatu", "versions/format"):
            want[base + name] = WantText([None], scalar=True)

    def expect_profile(self, want, column, languages):
        rows, size, base = self.rows, len(self.lexicons.categories), "uns/dhatu/profile/"
        profiles = [row.profile for row in rows]
        units = [p.positive + p.negative for p in profiles]
        want["obsm/dhatu"] = Want.table([p.share for p in profiles], "f4", size, rule="step", row_wise=True)
        want["obsm/dhatu_counts"] = Want.table(units, "u4", 2 * size, row_wise=True)
        want["obsm/prime"] = Want.table([p.prime for p in profiles], "f8", 10, rule="close", row_wise=True)
        column("matched", [p.matched for p in profiles], "u4")
        column("coverage", [p.coverage for p in profiles], "f8", rule="close")
        column("ambiguity", [p.ambiguity for p in profiles], "f8", rule="close", absolute=1e-12)
        # The variance is a small difference of shares near 1/K: rounding alone is about 1e-17 of them.
        column("variance", [p.variance for p in profiles], "f8", rule="close", absolute=1e-18)
        self.order += ["matched", "coverage", "ambiguity", "variance"]
        for code_base, limit in CODE_LIMITS:
            if size > limit:
                continue
            codes = [getattr(p, f"code{code_base}") for p in profiles]
            column(f"code{code_base}", codes, "u8")
            self.order.append(f"code{code_base}")
            if code_base**size <= 1 << 21:
                common = reference.commonest_codes(codes)
                for i, name in enumerate(("value", "documents", "example")):
                    want[f"{base}code{code_base}_{name}"] = Want([entry[i] for entry in common], "u8")
        totals = reference.sum_columns(units, 2 * size)
        want[base + "totals"] = Want.table([totals[:size], totals[size:]], "u8", size)
        want[base + "by_source"] = Want.table(self.by_source(units, 2 * size), "u8", 2 * size)
        matched = [name for name in languages if any(row.profile.matched for row in rows if row.language == name)]
        table = [reference.sum_columns([u for u, row in zip(units, rows) if row.language == name], 2 * size) for name in matched]
        want[base + "language"] = WantText([name.encode() for name in matched])
        want[base + "by_language"] = Want.table(table, "u8", 2 * size)
        want[base + "categories"] = WantText([name.encode() for name in self.lexicons.categories])
        want[base + "denominator"] = Want([self.lexicons.denominator], "u8")
        want[base + "matched_tokens"] = Want([sum(p.matched for p in profiles)], "u8")
        want[base + "cooccurrence"] = Want.table(reference.cooccurrence(rows, size), "u8", size)
        # Binned from the program's own values, which are compared by themselves: the last bit may decide.
        stored = self.file["obs/ambiguity"][()] if "obs/ambiguity" in self.file else []
        want[base + "ambiguity_histogram"] = Want(reference.ambiguity_histogram(stored), "u8")
        top_row, top_density = [], []
        for category in range(size):
            top = reference.top_documents(rows, category)
            scale = self.lexicons.denominator
            density = [rows[i].profile.units[category] / scale / rows[i].tokens for i in top]
            top_row.append(top + [-1] * (10 - len(top)))
            top_density.append(density + [0.0] * (10 - len(top)))
        want[base + "top_row"] = Want.table(top_row, "i8", 10)
        want[base + "top_density"] = Want.table(top_density, "f8", 10, rule="close")

    def expect_digest(self, want, column):
        digests = [row.digest for row in self.rows]
        want["obsm/digest"] = Want.table([d.raw for d in digests], "u2", 9, row_wise=True)
        want["obsm/digest_prime"] = Want.table([d.prime for d in digests], "f8", 10, rule="close", row_wise=True)
        for name in ("entropy", "variance", "score"):
            column(f"digest_{name}", [getattr(d, name) for d in digests], "f8", rule="close")
            self.order.append(f"digest_{name}")
        want["uns/dhatu/digest/raw_total"] = Want(reference.sum_columns([d.raw for d in digests], 9), "u8")

    def expect_null(self, want, column):
        self.order.append("null_even")
        names = ("obs/null_even", "uns/dhatu/null/by_source", "uns/dhatu/null/even_total")
        if not reference.xxhash:
            want.update({name: None for name in names})
            return
        even = [row.even for row in self.rows]
        column("null_even", even, "u4")
        want[names[1]] = Want.table(self.by_source([[value] for value in even], 1), "u8", 1)
        want[names[2]] = Want([sum(even)], "u8")

    def expect_vocab(self, want):
        base, terms = "uns/dhatu/vocab/", self.terms
        top = terms.ranked(terms.frequency)[: self.job_options.top]
        want[base + "term"] = WantText([corpus_jobs.cut(corpus_jobs.stored(term), corpus_jobs.TERM_BYTES) for term in top])
        want[base + "frequency"] = Want([terms.frequency[term] for term in top], "u8")
        want[base + "documents"] = Want([terms.documents[term] for term in top], "u8")
        want[base + "totals"] = Want([len(terms.frequency), sum(terms.frequency.values())], "u8")

    def expect_features(self, want):
        found = corpus_jobs.Features(self.tokens, self.terms, self.job_options)
        want["X/indptr"] = Want(found.indptr, "i8")
        want["X/indices"] = Want(found.indices, "i4")
        want["X/data"] = Want(found.data, "f4", rule="step")
        want["var/_index"] = WantText([b"%d" % i for i in range(self.job_options.features)])
        want["var/document_frequency"] = Want(found.document_frequency, "u8")
        want["var/idf"] = Want(found.idf, "f8", rule="close")
        want["var/terms"] = WantText(found.terms)

    def expect_signatures(self, want, column):
        self.duplicates = found = corpus_jobs.Duplicates(self.tokens, self.job_options)
        if not self.job_options.minhash:
            return
        self.order.append("shingles")
        if found.signatures is None:
            want["obsm/minhash"] = want["obs/shingles"] = None
            return
        want["obsm/minhash"] = Want(found.signatures, "u4", row_wise=True)
        column("shingles", [min(count, self.job_options.min_shingles) for count in found.shingles], "u4")

    def expect_clusters(self, want, column):
        found = self.duplicates
        names = ("dup_exact", "dup_cluster", "dup_size", "dup_keep")
        self.order += names
        column(names[0], found.exact, "i8")
        self.expect_neardup(want, "uns/dhatu/neardup/", found)
        if found.signatures is None:
            want.update({"obs/" + name: None for name in names[1:]})
            return
        column(names[1], found.cluster, "i8")
        column(names[2], found.size, "u8")
        column(names[3], found.keep, "u1")

    def expect_neardup(self, want, base, found):
        options = self.job_options
        rule = ("unicode", "sklearn").index(self.options.tokens)
        want[base + "parameters"] = Want(
            [options.shingle, options.bands, options.band_rows, options.min_shingles, options.minhash_seed, rule], "u8")
        curve = [(i / 100, corpus_jobs.chance(i / 100, options.bands, options.band_rows)) for i in range(101)]
        want[base + "curve"] = Want.table(curve, "f8", 2, rule="close", absolute=1e-15)
        names = ("cluster_sizes", "largest_size", "largest_row", "largest_sample", "counts")
        if found.signatures is None:
            want.update({base + name: None for name in names})
            return
        largest = found.largest(20, 5)
        want[base + names[0]] = Want(found.sizes(), "u8")
        want[base + names[1]] = Want([size for size, _, _ in largest], "u8")
        want[base + names[2]] = Want([row for _, row, _ in largest], "i8")
        want[base + names[3]] = Want.table([sample for _, _, sample in largest], "i8", 5)
        want[base + names[4]] = Want(found.counts(), "u8")

    # Comparing.

    def context(self, index):
        """What document a row is."""
        document = self.corpus.documents[index]
        start = ascii(document.text[:60])
        return f"row {index} ({document.source.name}, record {document.record}, id {short(self.ids[index])}, text {start})"

    def differ(self, name, index, got, wanted, row_wise):
        index = tuple(int(i) for i in index)
        where = self.context(index[0]) + (f" column {index[1]}" if len(index) > 1 else "") if row_wise else f"{index}"
        self.differences.add(f"{name}, {where}: dhatu has {short(got)}, the oracle {short(wanted)}")

    def compare_text(self, name, dataset, want):
        kind = h5py.check_string_dtype(dataset.dtype)
        if kind is None or kind.encoding != "utf-8" or kind.length is None:
            self.differences.add(f"{name}: the type is {dataset.dtype}, not fixed-length UTF-8")
            return
        if want.scalar:
            if dataset.shape != ():
                self.differences.add(f"{name}: shape {dataset.shape}, not a scalar")
            return
        got = dataset[()].tolist()
        if len(got) != len(want.values):
            self.differences.add(f"{name}: {len(got)} texts, the oracle has {len(want.values)}: {short(got)} and {short(want.values)}")
            return
        for i, (text, wanted) in enumerate(zip(got, want.values)):
            if wanted is None:
                continue
            self.compared += 1
            at = wanted.find(b"_" + b"?" * 16)
            if at >= 0 and not reference.xxhash:
                text = text[: at + 1] + b"?" * 16 + text[at + 17 :]
            if text != wanted:
                self.differ(name, (i,), text, wanted, want.row_wise)

    def compare_numbers(self, name, dataset, want):
        if dataset.dtype != want.dtype or dataset.shape != want.values.shape:
            self.differences.add(
                f"{name}: {dataset.dtype} of shape {dataset.shape}, the oracle has {want.dtype} of {want.values.shape}")
            return
        got = dataset[()]
        self.compared += got.size
        if want.rule == "exact":
            wrong = got != want.values
        elif want.rule == "close":
            wrong = ~(np.abs(got - want.values) <= 1e-12 * np.abs(want.values) + want.absolute)
        else:
            wrong = ~(np.abs(got - want.values) <= np.spacing(np.abs(want.values)))
        for index in np.argwhere(wrong)[: SHOWN + 1]:
            self.differ(name, index, got[tuple(index)].item(), want.values[tuple(index)].item(), want.row_wise)

    def compare_datasets(self):
        want, seen = self.expected(), set()

        def visit(name, item):
            if not isinstance(item, h5py.Dataset):
                return
            seen.add(name)
            if name not in want:
                self.differences.add(f"{name}: the oracle knows no such dataset")
            elif want[name] is None:
                self.skipped.append(name)
            else:
                self.datasets += 1
                compare = self.compare_text if isinstance(want[name], WantText) else self.compare_numbers
                compare(name, item, want[name])

        self.file.visititems(visit)
        for name in sorted(set(want) - seen):
            self.differences.add(f"{name}: missing")
        self.compare_attributes(want)

    def check(self, what, got, wanted):
        self.compared += 1
        if got != wanted:
            self.differences.add(f"{what}: dhatu has {short(got)}, the oracle {short(wanted)}")

    def compare_attributes(self, want):
        variables = ["document_frequency", "idf", "terms"] if "features" in self.jobs else []
        frames = {"obs": self.order, "var": variables, "uns/dhatu/sources": "documents records bytes bad hash".split(),
                  "uns/dhatu/quality": ["records", "bytes"]}
        members = {"X", "obs", "var", "obsm", "varm", "obsp", "varp", "layers", "uns"}
        self.check("unknown members of /", sorted(set(self.file) - members), [])
        self.check("/ encoding", (self.file.attrs["encoding-type"], self.file.attrs["encoding-version"]), ("anndata", "0.1.0"))

        def visit(name, item):
            encoding = (item.attrs.get("encoding-type"), item.attrs.get("encoding-version"))
            if name in ("obs/source", "obs/lang", "obs/status"):
                self.check(f"{name} encoding", encoding, ("categorical", "0.2.0"))
                self.check(f"{name} ordered", bool(item.attrs.get("ordered", True)), False)
            elif name in frames:
                self.check(f"{name} encoding", encoding, ("dataframe", "0.2.0"))
                self.check(f"{name} _index", item.attrs.get("_index"), "_index")
                self.check(f"{name} column-order", list(item.attrs.get("column-order", ["?"])), frames[name])
            elif name == "X":
                self.check("X encoding", encoding, ("csr_matrix", "0.1.0"))
                self.check("X shape", item.attrs["shape"].tolist(), [len(self.rows), self.job_options.features])
            elif isinstance(item, h5py.Group):
                self.check(f"{name} encoding", encoding, ("dict", "0.1.0"))
            elif name in want:
                kind = want[name].encoding if want[name] else "array"
                self.check(f"{name} encoding", encoding, (kind, "0.2.0"))
                self.check(f"{name} is described", bool(item.attrs.get("description")), True)
                if kind != "string":
                    self.check(f"{name} has a unit", bool(item.attrs.get("unit")), True)

        self.file.visititems(visit)

    def compare_rest(self):
        config = json.loads(self.file["uns/dhatu/config"][()])
        for name in sorted(set(config) | set(self.config)):
            self.check(f"config {name}", config.get(name), self.config.get(name))
        with open(self.path + ".run.json", encoding="utf-8") as file:
            report = json.load(file)
        digest = self.file["uns/dhatu/content_sha256"][()].decode()
        self.check("content_sha256 of run.json", report["content_sha256"], digest)
        self.check("content_sha256 is hexadecimal", len(digest) == 64 and int(digest, 16) >= 0, True)
        self.check("documents of run.json", report["documents"], len(self.rows))
        self.check("sources of run.json", report["sources"], len(self.corpus.sources))
        self.check("source_bytes of run.json", report["source_bytes"], sum(len(s.data) for s in self.corpus.sources))
        self.check("ids_made_unique of run.json", report["ids_made_unique"], self.ids_changed)
        self.compare_quarantine()

    def compare_quarantine(self):
        path = self.path + ".quarantine.jsonl"
        lines = []
        if os.path.exists(path):
            with open(path, "rb") as file:
                lines = file.read().decode("utf-8").split("\n")[:-1]
        self.check("lines of the quarantine", len(lines), len(self.corpus.bad))
        for line, bad in zip(lines, self.corpus.bad):
            got = json.loads(line)
            wanted = {"source": bad.source.name, "record": bad.record, "offset": bad.offset, "bytes": bad.size, "reason": bad.reason}
            self.check("a quarantine description", bool(got.pop("description", "")), True)
            self.check(f"quarantine of {bad.source.name}, record {bad.record}", got, wanted)

    def compare_anndata(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for backed in (None, "r"):
                data = anndata.read_h5ad(self.path, backed=backed)
                what = f"anndata {'backed' if backed else 'in memory'}"
                columns = self.job_options.features if "features" in self.jobs else 0
                self.check(f"{what}: rows", (data.n_obs, data.n_vars), (len(self.rows), columns))
                self.check(f"{what}: columns", list(data.obs.columns), self.order)
                self.check(f"{what}: ids", [str(name) for name in data.obs_names] == [i.decode() for i in self.ids]
                           if reference.xxhash else len(data.obs_names), True if reference.xxhash else len(self.rows))
                self.check(f"{what}: unique ids", data.obs_names.is_unique, True)
                self.check(f"{what}: lang", data.obs["lang"].astype(str).tolist(), [row.language for row in self.rows])
                self.check(f"{what}: source", data.obs["source"].astype(str).tolist(),
                           [row.document.source.name for row in self.rows])
                if "digest" in self.jobs:
                    raw = np.array([row.digest.raw for row in self.rows]).reshape(-1, 9)
                    self.check(f"{what}: digest", bool(np.array_equal(data.obsm["digest"], raw)), True)
                self.check(f"{what}: quality", list(data.uns["dhatu"]["quality"].columns), ["records", "bytes"])
                if backed:
                    data.file.close()

    def run(self):
        self.compare_datasets()
        if not any("missing" in line for line in self.differences.lines):
            self.compare_rest()
            if anndata:
                self.compare_anndata()
        self.file.close()


# --- The lexicons of the tests ----------------------------------------------------------------------------

FIXED_LEXICON = """@format\tdhatu-lexicon 1
@language\ten
@name\tOracle, English
# A comment, and a blank line.

@categories\tALPHA BETA GAMMA
@categories\tDELTA EPSILON ZETA ETA THETA IOTA KAPPA LAMBDA
@negators\tnot no never
@negators\tdon without
@function\tthe of and to is that
good\tALPHA\t+
good thing\tBETA,GAMMA\t-\t0.5
good thing and*\tALPHA,BETA,GAMMA\t+\t0.5
good thing and bad\tDELTA\t-
g*\tZETA\t-\t2
goo*\tETA\t+\t1.5
no doubt\tTHETA\t+
no doub*\tIOTA\t-
not at all\tKAPPA\t-
no*\tLAMBDA\t-\t0.25
never\tKAPPA,LAMBDA\t-
in spite of no*\tIOTA\t+
zzz zzz zzz zzz\tEPSILON\t-\t0.5
zzz zzz g*\tEPSILON,ALPHA,KAPPA\t+
x bad*\tTHETA\t-
\u6771\u4eac\tALPHA\t+
\u6771*\tBETA\t-
\u2264\tGAMMA\t+
\ufb01ne\tDELTA\t+
can't\tDELTA\t-
E\u0301T*\tDELTA\t+
"""


def random_terms(corpus, rule, source, count, categories):
    """Terms made of what stands in the corpus, so that they overlap: lines of a lexicon."""
    tokenize = reference.tokenizer(rule)

    def plain(words):
        # One token by either rule; the case "sklearn, terms" has the others.
        return rule == "unicode" or all(reference.unicode_tokens(word) == [word] for word in words)

    documents = [document for document in corpus.documents if len(document.tokens) > 3]
    seen, lines, words = set(), [], [token for document in documents[:400] for token in document.tokens[:50]]
    counts = Counter(words)
    common = sorted((w for w in counts if plain([w])), key=lambda word: (-counts[word], word))[:120]
    for _ in range(count * 3):
        if len(lines) == count:
            break
        tokens = source.choice(documents).tokens
        size = source.randrange(1, 5)
        at = source.randrange(len(tokens) - 3)
        key = list(tokens[at : at + size])
        if source.random() < 0.3:
            key = [source.choice(common) for _ in range(size)]
        star = source.random() < 0.35
        if star:
            key[-1] = key[-1][: source.randrange(1, len(key[-1]) + 1)]
        text = " ".join(key)
        if tokenize(text) != key or not plain(key) or (text, star) in seen or len(key[-1].encode()) > 200 or text[0] in "#@":
            continue
        seen.add((text, star))
        chosen = source.sample(categories, min(len(categories), source.choice((1, 1, 2, 3))))
        lines.append((text + "*" * star, chosen, source.choice("+-"), source.choice(("", "\t0.5", "\t1", "\t2", "\t0.75"))))
    return lines, common


def write_own_lexicons(folder, corpus, rule, seed):
    source, paths = random.Random(seed), []
    names = "ALPHA BETA GAMMA DELTA EPSILON ZETA ETA THETA IOTA KAPPA LAMBDA".split()
    for language in ("en", "*", "fr"):
        lines, common = random_terms(corpus, rule, source, 400, names)
        path = os.path.join(folder, f"own-{'any' if language == '*' else language}.tsv")
        with open(path, "w", encoding="utf-8") as file:
            if language == "en" and rule == "unicode":
                file.write(FIXED_LEXICON)
            else:
                file.write(f"@format\tdhatu-lexicon 1\n@language\t{language}\n@name\tOracle {language}\n@categories\t{' '.join(names)}\n")
                file.write("@negators\t" + " ".join(source.sample(common, 12)) + "\n")
                if language != "*":
                    file.write("@function\t" + " ".join(source.sample(common, 20)) + "\n")
                for text, chosen, sign, weight in lines:
                    file.write(f"{text}\t{','.join(chosen)}\t{sign}{weight}\n")
        paths.append(path)
    return paths


SKLEARN_LEXICON = """@format\tdhatu-lexicon 1
@language\t*
@name\tOracle, sklearn
@categories\tALPHA BETA GAMMA DELTA
\u6771\u4eac\u3067\u6628\u65e5\tALPHA\t+
die stra\u00dfe\tBETA\t+
snake_case\tGAMMA\t+
can't say\tDELTA\t+
"""


def write_sklearn_lexicon(folder, _, __):
    """Terms are tokenised like text, also where the two rules differ."""
    path = os.path.join(folder, "sklearn.tsv")
    with open(path, "w", encoding="utf-8") as file:
        file.write(SKLEARN_LEXICON)
    return [path]


def write_dic(folder, corpus, rule, categories, seed):
    source = random.Random(seed)
    names = [f"cat{i}" for i in range(categories)]
    lines, _ = random_terms(corpus, rule, source, 500, names)
    path = os.path.join(folder, f"oracle-{categories}.dic")
    with open(path, "w", encoding="utf-8") as file:
        file.write("%\n" + "".join(f"{i * 3 + 1}\t{name}\n" for i, name in enumerate(names)) + "%\n")
        for text, chosen, _, _ in lines:
            file.write("\t".join([text] + [str(names.index(name) * 3 + 1) for name in chosen]) + "\n")
    return [path]


# --- Runs -------------------------------------------------------------------------------------------------


class Case:
    """One run of the program. lexicons: None (the default ones) or a function (folder, corpus, rule) to paths."""

    def __init__(self, name, jobs="profile,digest,null", lexicons=None, arguments="", job=None, **options):
        self.name, self.jobs, self.lexicons, self.arguments = name, jobs, lexicons, arguments
        self.options, self.job = reference.Options(**options), corpus_jobs.JobOptions(**(job or {}))

    def command(self, paths):
        default, command = reference.Options(), ["-j", self.jobs] + shlex.split(self.arguments) + self.job.command()
        for name, value in vars(self.options).items():
            if value != getattr(default, name):
                command += ["--" + name.replace("_", "-"), str(value)]
        for path in paths:
            command += ["-l", path]
        return command

    def config(self, lexicons):
        found = {name.replace("_", "-"): value for name, value in vars(self.options).items()}
        found.update(self.job.config())
        found.update({"jobs": self.jobs, "zstd-window": 128 << 20, "deflate": 1 if "--deflate 1" in self.arguments else 0})
        # Also without job profile: their function words vote on languages.
        found["lexicon"] = [
            {"name": l.name, "language": l.language, "sha256": l.sha256, "terms": len(l.terms)} for l in lexicons.lexicons
        ]
        return found


CORPUS_JOBS = "features,vocab,neardup"
CASES = [] if h5py is None else [
    Case("default lexicons"),
    Case("own lexicons", lexicons=lambda *a: write_own_lexicons(*a, seed=2), arguments="--segment-size 64K --batch-size 64K --deflate 1"),
    Case("LIWC, 12 categories", lexicons=lambda *a: write_dic(*a, categories=12, seed=3)),
    Case("LIWC, 30 categories", "profile", lambda *a: write_dic(*a, categories=30, seed=4)),
    Case("LIWC, 70 categories", "profile", lambda *a: write_dic(*a, categories=70, seed=5), format="text"),
    Case("LIWC, 1 category", "profile", lambda *a: write_dic(*a, categories=1, seed=6), format="jsonl"),
    Case("fields and limits", text_field="body.text", id_field="meta.id", lang_field="meta.lang", lang="fr-FR",
         max_record=60000, max_tokens=150, max_id=64),
    Case("a dot in a name, sklearn", "digest,profile", lambda *a: write_own_lexicons(*a, seed=7), text_field="body\\.text",
         tokens="sklearn"),
    Case("sklearn", "profile,null", lambda *a: write_own_lexicons(*a, seed=8), tokens="sklearn", arguments="--segment-size 64K"),
    Case("sklearn, terms", "profile", write_sklearn_lexicon, tokens="sklearn"),
    Case("corpus jobs", CORPUS_JOBS, job={"minhash": True}),
    Case("corpus jobs, sklearn", CORPUS_JOBS, tokens="sklearn", arguments="--memory 16M --segment-size 64K",
         job={"ngrams": (1, 3), "features": 1000, "alternate_sign": False, "norm": "l1", "top": 50, "shingle": 3, "bands": 20,
              "band_rows": 4, "threshold": "0.5", "min_shingles": 2, "minhash_seed": 7}),
    Case("all jobs, columns shared by many", "neardup,profile,features,digest,vocab,null",
         arguments="--segment-size 64K --batch-size 64K --deflate 1",
         job={"ngrams": (2, 2), "features": 7, "binary": True, "idf": False, "norm": "none", "top": 0, "shingle": 1, "bands": 3,
              "band_rows": 1, "threshold": "1", "min_shingles": 1, "minhash": True}),
]


def run_case(case, options, folder, corpus_folder):
    corpus = reference.read_corpus(corpus_folder, case.options)
    paths = case.lexicons(folder, corpus, case.options.tokens) if case.lexicons else []
    lexicons = reference.Lexicons(paths or reference.default_lexicon_paths(), case.options.tokens)
    result = os.path.join(folder, "result.h5")
    command = shlex.split(options.mpirun) + [options.program, "run", "-q", "-f", "-o", result] + case.command(paths) + [corpus_folder]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        print(f"{case.name}: {shlex.join(command)} ended with {done.returncode}:\n{done.stderr.decode('utf-8', 'replace')}")
        return False
    comparison = Comparison(result, corpus, lexicons, case)
    comparison.run()
    summary = (f"{case.name}: {len(comparison.rows)} documents, {len(corpus.bad)} bad records, {comparison.datasets} datasets,"
               f" {comparison.compared} values")
    if comparison.differences.total == 0:
        print(summary + " equal")
        return True
    print(f"{summary}, {comparison.differences.total} or more differences:")
    print("\n".join("  " + line for line in comparison.differences.lines))
    print(f"  of: {shlex.join(command)}")
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--corpus", help="a folder with sources; without it one is made")
    parser.add_argument("--mpirun", default="", help="what to put in front of the program")
    parser.add_argument("--seed", type=int, default=1, help="of the corpus that is made")
    parser.add_argument("--documents", type=int, default=5000, help="about how many of them")
    parser.add_argument("--only", help="only the runs with this in their name")
    parser.add_argument("--keep", help="work in this folder and leave it")
    options = parser.parse_args()
    if h5py is None:
        print(f"skipped: no module {MISSING_MODULE}")
        return 77
    if not reference.xxhash:
        print("no module xxhash: null_even, hashes of sources and of long ids are not compared")
    if not anndata:
        print("no module anndata: not read with it")
    with tempfile.TemporaryDirectory(prefix="dhatu-oracle-") as temporary:
        folder = options.keep or temporary
        os.makedirs(folder, exist_ok=True)
        corpus = options.corpus
        if corpus is None:
            corpus = os.path.join(folder, "corpus")
            make_corpus.make(corpus, options.seed, options.documents)
        cases = [case for case in CASES if not options.only or options.only in case.name]
        good = [run_case(case, options, folder, corpus) for case in cases]
        if not options.only and options.corpus is None:
            empty = os.path.join(folder, "empty")
            os.makedirs(empty, exist_ok=True)
            with open(os.path.join(empty, "blank.jsonl"), "wb") as file:
                file.write(b"\n\nbad\n")
            good.append(run_case(Case("no documents"), options, folder, empty))
            good.append(run_case(Case("no documents, corpus jobs", CORPUS_JOBS, job={"minhash": True}), options, folder, empty))
    if not good:
        print("no run has that name")
        return 1
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
