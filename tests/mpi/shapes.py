#!/usr/bin/env python3
"""Results whose datasets have another type or shape than dhatu writes, or are missing: inspect, explain, export and
verify say so, with 78, and read nothing that is not there.

shapes.py [PART...]: datasets, weights."""

import re
import shutil

import support

try:
    import h5py
    import numpy
except ImportError:
    support.skip("no h5py or numpy")

COLUMNS = 500


class Results:
    def __init__(self, checks, work):
        self.checks, self.work = checks, work
        self.sources = support.write(f"{work}/corpus/a.jsonl", support.records(3, 60))
        self.good, self.bad = f"{work}/good.h5", f"{work}/bad.h5"
        done = support.run(["run", "-j", "profile,features,vocab,neardup", "--features", COLUMNS, "--top", 20, "--minhash",
                            "-o", self.good, self.sources])
        checks.ended(done, 0, "the run")
        with h5py.File(self.good, "r") as file:
            self.rows = len(file["obs/_index"])

    def change(self, path, change):
        """A copy in which one dataset is another one, with the attributes of the first; None: it is missing."""
        shutil.copy(self.good, self.bad)
        with h5py.File(self.bad, "r+") as file:
            there = file[path]
            attributes, value = dict(there.attrs), change(there[()])
            del file[path]
            if value is not None:
                file.create_dataset(path, **value) if isinstance(value, dict) else file.create_dataset(path, data=value)
                for name, attribute in attributes.items():
                    file[path].attrs[name] = attribute

    def commands(self):
        shards = f"{self.work}/shards"
        shutil.rmtree(shards, ignore_errors=True)
        csv = ("-f", "-o", f"{self.work}/table.csv", "--csv")
        return {"inspect": ["inspect", self.bad], "explain": ["explain", self.bad, "#0", "#1"],
                "document": ["inspect", self.bad, "--doc", "#0"],
                "shards": ["export", self.bad, "--sources", self.sources, "-o", shards],
                **{name: ["export", self.bad, *csv, name] for name in ("documents", "clusters", "profiles", "vocabulary")}}


def words(value):
    return numpy.array([b"word"] * len(value))


def none(value):
    return numpy.zeros((len(value), 0), value.dtype)


def narrow(value):
    return value[:1]


def wide(value):
    """Rows of 4 TiB, none of which is stored."""
    return {"shape": (len(value), 1 << 40), "dtype": value.dtype, "chunks": (1, 1024)}


def gone(_):
    return None


def numbers(value):
    return numpy.zeros(len(value), "u8")


CASES = (
    ("obs/_index", numbers, "inspect explain shards documents"), ("obs/_index", none, "inspect explain shards documents"),
    ("obs/record", words, "explain shards documents clusters"), ("obs/record", none, "explain shards documents"),
    ("obs/record", gone, "explain shards documents"), ("obs/offset", words, "explain shards"),
    ("obs/offset", none, "explain shards"), ("obs/sha256", numbers, "explain shards"),
    ("obs/source/codes", words, "explain shards documents document"), ("obs/lang/codes", none, "shards documents document"),
    ("obs/lang/categories", numbers, "shards documents document"), ("obs/dup_keep", words, "explain shards clusters"),
    ("obs/dup_keep", none, "explain shards clusters"), ("obs/dup_cluster", none, "explain clusters"),
    ("obs/dup_exact", words, "explain clusters"), ("obsm/minhash", wide, "explain"), ("obsm/minhash", words, "explain"),
    ("obs/shingles", words, "explain"), ("uns/dhatu/sources/documents", words, "inspect shards"),
    ("uns/dhatu/sources/documents", none, "inspect shards"), ("uns/dhatu/sources/hash", numbers, "explain shards"),
    ("uns/dhatu/config", gone, "inspect explain shards documents"), ("uns/dhatu/neardup/counts", narrow, "inspect"),
    ("uns/dhatu/neardup/counts", none, "inspect"),
    ("uns/dhatu/neardup/largest_size", lambda value: numpy.ones(len(value) + 1, "u8"), "inspect"),
    ("uns/dhatu/vocab/totals", narrow, "inspect"), ("uns/dhatu/vocab/frequency", narrow, "inspect vocabulary"),
    ("uns/dhatu/vocab/term", numbers, "inspect vocabulary"), ("uns/dhatu/vocab/documents", none, "inspect vocabulary"),
    ("uns/dhatu/vocab/documents", gone, "inspect vocabulary"), ("uns/dhatu/profile/top_row", none, "inspect"),
    ("uns/dhatu/profile/top_row", narrow, "inspect"), ("uns/dhatu/profile/totals", narrow, "inspect"),
    ("uns/dhatu/profile/categories", none, "inspect profiles"), ("uns/dhatu/documents/by_language", none, "inspect"),
    ("uns/dhatu/quality/records", narrow, "inspect"), ("var/document_frequency", words, "inspect"),
    ("var/document_frequency", none, "inspect"), ("var/terms", numbers, "inspect"), ("var/terms", gone, "inspect"),
)


def part_datasets(results):
    for path, change, commands in CASES:
        results.change(path, change)
        every = results.commands()
        for name in commands.split():
            done = support.run(every[name])
            label = f"{name} with another {path}"
            # Of the codes and the categories of a categorical either may be named.
            if results.checks.ended(done, 78, label):
                results.checks.that(any(path.rsplit("/", 1)[0] in line for line in done.errors()), f"{label}: not named", done)


def verify_resealed(results):
    """verify of a copy whose content digest is that of what it has now."""
    command = ["verify", results.bad, "--sources", results.sources]
    digest = re.search(r"digest is ([0-9a-f]{64})", support.run(command).err)
    if digest is not None:
        with h5py.File(results.bad, "r+") as file:
            place = file["uns/dhatu/content_sha256"]
            place[()] = numpy.bytes_(digest[1]).astype(place.dtype)
    return support.run(command)


def part_weights(results):
    """The matrix and its weights, as verify computes rows again with them."""
    results.change("var/idf", lambda value: value)
    results.checks.ended(verify_resealed(results), 0, "verify of a copy")
    for path, change in (("var/idf", lambda value: value.astype("f4")), ("var/idf", narrow), ("var/idf", none),
                         ("X/indptr", lambda value: value.astype("u1")), ("X/indptr", lambda value: value + 2 ** 62),
                         ("X/indptr", narrow), ("X/indices", lambda value: value.astype("u1")),
                         ("X/data", lambda value: value.astype("f8"))):
        results.change(path, change)
        done = verify_resealed(results)
        if results.checks.ended(done, 78, f"verify with another {path}"):
            named = "digest" not in done.err and re.search("(X|var)/", done.err)
            results.checks.that(named, f"{path}: not named", done)


PARTS = {"datasets": part_datasets, "weights": part_weights}


def main():
    support.program()
    chosen, _ = support.words_given(PARTS)
    checks = support.Checks()
    with support.folder() as work:
        results = Results(checks, work)
        support.run_parts(PARTS, chosen, lambda part: part(results))
    checks.exit()


if __name__ == "__main__":
    main()
