#!/usr/bin/env python3
"""dhatu export: each kept record of the sources, unchanged but for its annotations, in shards that are the same
for any number of ranks and after any interruption; and tables as CSV that read back as what the result has.

export.py [PART...]: content, names, ranks, interrupted, locked, errors, sources, refused, tables.
"""

import csv
import gzip
import io
import json
import os
import random
import shutil
import signal
import struct
import subprocess

import restart
from support import (Checks, folder, launcher, listing, program, run, run_parts, sentences, sha256, skip,
                     small_corpus, start, words_given, write)

SHARD = "40K"
SUFFIX = {"none": "", "gz": ".gz", "zst": ".zst"}
ANNOTATION = b',"dhatu":'


def near_duplicates(seed, count):
    """Lines of which some are copies of earlier ones with a word more."""
    rng = random.Random(seed)
    texts, lines = [], []
    for i in range(count):
        if texts and rng.random() < 0.3:
            text = rng.choice(texts) + " " + rng.choice(("Yes.", "No.", "", "At last, the end."))
        else:
            text = " ".join(rng.choice(("stone", "river", "lamp", "winter", "eagle", "bread", "salt", "wheel", "oak",
                                        "glass", "storm", "copper", "field", "bell")) for _ in range(60))
            texts.append(text)
        lines.append(json.dumps({"id": f"near-{i}", "text": text, "n": i}).encode())
    return b"\n".join(lines) + b"\n"


class Corpus:
    """Sources, a result of them, and what h5py reads of it."""

    def __init__(self, checks, work, h5py):
        self.checks, self.work, self.h5py = checks, work, h5py
        self.sources = small_corpus(f"{work}/corpus")
        write(f"{self.sources}/near.jsonl", near_duplicates(7, 300))
        write(f"{self.sources}/near.jsonl.bz2.txt", b"a text file, whatever its name: \xff is repaired, \"quoted\"\n")
        self.result = f"{work}/out.h5"
        done = run(["run", "-j", "profile,vocab,neardup", "--top", "50", "-o", self.result, self.sources])
        checks.ended(done, 0, "the run")
        file = h5py.File(self.result, "r")
        self.rows = len(file["obs/_index"])
        self.columns = {"id": self.texts(file["obs/_index"])}
        for name, item in file["obs"].items():
            if name == "_index":
                continue
            if hasattr(item, "keys"):
                names = self.texts(item["categories"])
                self.columns[name] = [names[code] for code in item["codes"][...].tolist()]
            elif item.dtype.kind == "S":
                self.columns[name] = self.texts(item)
            else:
                self.columns[name] = item[...].tolist()
        self.profile = file["obsm/dhatu"][...].tolist()
        self.categories = self.texts(file["uns/dhatu/profile/categories"])
        self.vocabulary = {name: self.texts(file[f"uns/dhatu/vocab/{name}"]) if name == "term"
                           else file[f"uns/dhatu/vocab/{name}"][...].tolist()
                           for name in ("term", "frequency", "documents")}
        self.content = file["uns/dhatu/content_sha256"][()].decode()
        file.close()
        self.kept = [row for row in range(self.rows) if self.columns["dup_keep"][row]]

    @staticmethod
    def texts(dataset):
        return [value.decode("utf-8").rstrip("\0") for value in dataset[...].tolist()]

    def arguments(self, out, more=()):
        return ["export", self.result, "--sources", self.sources, "--shard-size", SHARD, "-o", out, *more]

    def lines(self, source, known={}):
        """The lines of a source by its name in the result."""
        if source not in known:
            path = f"{self.sources}/{source}"
            if os.path.exists(path):
                with open(path, "rb") as file:
                    data = file.read()
            elif os.path.exists(path + ".gz"):
                data = gunzip(path + ".gz")
            else:
                data = subprocess.run(["zstd", "-dc", path + ".zst"], capture_output=True, check=True).stdout
            data = data[3:] if data.startswith(b"\xef\xbb\xbf") else data
            known[source] = data.split(b"\n") if source.endswith(("jsonl", "ndjson")) else [data]
        return known[source]


def gunzip(path):
    """What can be decoded of it."""
    out = io.BytesIO()
    with gzip.open(path) as file:
        try:
            while True:
                block = file.read1(1 << 16)
                if not block:
                    break
                out.write(block)
        except EOFError:
            pass
    return out.getvalue()


def files_of(path):
    return {name: sha256(f"{path}/{name}") for name in listing(path)}


def shard_lines(path, compression):
    with open(f"{path}/export.json", encoding="utf-8") as file:
        shards = json.load(file)["shards"]
    for shard in shards:
        name = f"{path}/{shard['name']}"
        if compression == "gz":
            data = gzip.open(name).read()
        elif compression == "zst":
            data = subprocess.run(["zstd", "-dc", name], capture_output=True, check=True).stdout
        else:
            with open(name, "rb") as file:
                data = file.read()
        yield shard, data.split(b"\n")


def same(got, wanted):
    return got == wanted or (wanted != wanted and got is None)


def check_annotations(corpus, row, got):
    wanted = {name: column[row] for name, column in corpus.columns.items()}
    wanted["row"] = row
    return got.keys() == wanted.keys() and all(same(got[name], wanted[name]) for name in wanted)


def check_line(corpus, row, line):
    """The record as it stands in its source, with one member added; U+FFFD for what is ill-formed."""
    source, record = corpus.columns["source"][row], corpus.columns["record"][row]
    if not source.endswith(("jsonl", "ndjson")):
        got = json.loads(line)
        text = corpus.lines(source)[0].decode("utf-8", "replace")
        return got["text"] == text and got["id"] == corpus.columns["id"][row] and \
            check_annotations(corpus, row, got["dhatu"])
    original = corpus.lines(source)[record - 1]
    try:
        original.decode("utf-8")
    except UnicodeDecodeError:
        original = original.decode("utf-8", "replace").encode("utf-8")
    at = original.rindex(b"}")
    middle = line[at:len(line) - (len(original) - at)]
    return line[:at] == original[:at] and line[at + len(middle):] == original[at:] and \
        middle.startswith(ANNOTATION) and check_annotations(corpus, row, json.loads(middle[len(ANNOTATION):]))


def check_export(corpus, path, compression, rows):
    checks = corpus.checks
    with open(f"{path}/export.json", encoding="utf-8") as file:
        told = json.load(file)
    checks.equal(told["content_sha256"], corpus.content, "the list names another result")
    checks.equal(told["documents"], len(rows), "documents in the list")
    left = list(rows)
    wrong = 0
    for shard, lines in shard_lines(path, compression):
        name = f"{path}/{shard['name']}"
        checks.equal((shard["bytes"], shard["sha256"]), (os.path.getsize(name), sha256(name)), "a shard in the list")
        checks.equal((lines.pop(), len(lines)), (b"", shard["documents"]), f"lines of {shard['name']}")
        for line in lines:
            row = left.pop(0)
            wrong += 0 if check_line(corpus, row, line) else 1
    checks.equal((left, wrong), ([], 0), f"rows that are missing, and lines that are wrong, with {compression}")


def part_content(corpus):
    for compression in ("none", "gz", *(["zst"] if shutil.which("zstd") else [])):
        for more, rows in ((), corpus.kept), (("--all",), range(corpus.rows)):
            path = f"{corpus.work}/content-{compression}{len(more)}"
            done = run(corpus.arguments(path, ("--compress", compression, *more)))
            if corpus.checks.ended(done, 0, f"export with {compression}"):
                check_export(corpus, path, compression, rows)
    corpus.checks.that(0 < len(corpus.kept) < corpus.rows, "the corpus has no duplicates: nothing is tested")
    with open(f"{corpus.work}/content-gz0/part-000000.jsonl.gz", "rb") as file:
        corpus.checks.equal(struct.unpack("<BBBBI", file.read(8)), (31, 139, 8, 0, 0), "a gzip header has a time or name")
    shards = len(listing(f"{corpus.work}/content-none0")) - 1
    corpus.checks.that(shards > 10, f"{shards} shards are too few to test anything")


def part_names(corpus):
    """Columns that others have added, with names that JSON and CSV must quote."""
    checks = corpus.checks
    result, path = f"{corpus.work}/names.h5", f"{corpus.work}/names"
    name = 'say "a,b" \\ \t'
    shutil.copy(corpus.result, result)
    with corpus.h5py.File(result, "r+") as file:
        file["obs"].create_dataset(name, data=range(corpus.rows))
    done = run(["export", result, "--sources", corpus.sources, "--all", "-o", path])
    if checks.ended(done, 0, "export with an odd name"):
        told = [json.loads(line)["dhatu"].get(name) for _, lines in shard_lines(path, "none") for line in lines[:-1]]
        checks.equal(told == list(range(corpus.rows)), True, "an odd name in shards")
    for more in (), ("--doc", "#0"):
        done = run(["inspect", result, "--json", *more])
        if checks.ended(done, 0, "inspect of an odd name"):
            checks.that(json.dumps(f"obs/{name}") in done.out and json.loads(done.out), "an odd name in inspect --json")
    done = run(["export", result, "--csv", "documents", "-o", path + ".csv"])
    if checks.ended(done, 0, "a table with an odd name"):
        told = [int(line[name]) for line in table(corpus, "names", path + ".csv")]
        checks.equal(told == list(range(corpus.rows)), True, "an odd name in a table")


def part_ranks(corpus):
    for more in ((), ("--compress", "gz", "--all"), ("--shard-size", "1G")):
        wanted = None
        for ranks in (0, 1, 2, 3):
            path = f"{corpus.work}/ranks{ranks}{len(more)}"
            shutil.rmtree(path, ignore_errors=True)
            corpus.checks.ended(run(corpus.arguments(path, more), ranks), 0, f"export with {ranks} ranks")
            wanted = wanted or files_of(path)
            corpus.checks.equal(files_of(path) == wanted, True, f"{ranks} ranks give the same files")


def rerun(corpus, path, wanted, what, ranks=0):
    """The same command goes on, to the same bytes."""
    done = run(corpus.arguments(path), ranks)
    if corpus.checks.ended(done, 0, f"the rerun after {what}"):
        corpus.checks.equal(files_of(path) == wanted, True, f"the same files after {what}", done)


def part_interrupted(corpus):
    good = f"{corpus.work}/interrupted-good"
    corpus.checks.ended(run(corpus.arguments(good)), 0, "export")
    wanted = files_of(good)
    at, killed = 1, 0
    while True:
        path = f"{corpus.work}/interrupted"
        shutil.rmtree(path, ignore_errors=True)
        fault = f"call=any,error=KILL,at={at},path=/interrupted"
        done = run(corpus.arguments(path), env={"DHATU_FAULT": fault})
        if done.code == 0:
            break
        corpus.checks.ended(done, (137, 265), f"killed in front of call {at}")
        for name in listing(path):
            whole = name in ("export.json", "export.lock") or name.endswith(".tmp") or sha256(f"{path}/{name}") == wanted.get(name)
            corpus.checks.that(whole, f"call {at}: {name} has its name, but is not whole")
        rerun(corpus, path, wanted, f"a kill in front of call {at}", ranks=2 if killed % 5 == 4 else 0)
        killed += 1
        at += 1 + at // 6
    corpus.checks.that(killed > 10, f"killed {killed} times only")
    rerun(corpus, path, wanted, "an export that was complete")


def part_locked(corpus):
    """Another export into the folder while one is under way, and after it was killed."""
    checks = corpus.checks
    good, path = f"{corpus.work}/locked-good", f"{corpus.work}/locked"
    checks.ended(run(corpus.arguments(good)), 0, "export")
    fault = "call=rename,error=STOP,at=3,path=/locked/part"
    with restart.ended_after(start(corpus.arguments(path), env={"DHATU_FAULT": fault})) as process:
        pids = restart.wait_stopped(process, 1)
        checks.equal(len(pids), 1, "an export that is under way")
        there = listing(path)
        for ranks in (0, 2):
            done = run(corpus.arguments(path), ranks)
            checks.ended(done, 69, f"another export into the folder, {ranks} ranks")
            checks.that("another export" in done.err, "the message does not say why", done)
        checks.equal(listing(path), there, "the other export changes the folder")
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    checks.that("export.lock" in listing(path), "the lock's file is not left: nothing is tested")
    rerun(corpus, path, files_of(good), "a kill of the one that had the lock")


def part_errors(corpus):
    good = f"{corpus.work}/errors-good"
    corpus.checks.ended(run(corpus.arguments(good)), 0, "export")
    wanted = files_of(good)
    for call, error in (("write", "ENOSPC"), ("sync", "EIO"), ("rename", "EACCES"), ("open", "EMFILE"), ("close", "EDQUOT"),
                        ("folder", "EROFS")):
        for at, ranks in ((1, 0), (4, 2)):
            path = f"{corpus.work}/errors"
            shutil.rmtree(path, ignore_errors=True)
            fault = f"call={call},error={error},at={at},path=/errors"
            done = run(corpus.arguments(path), ranks, env={"DHATU_FAULT": fault})
            if at == 1 or done.code != 0:
                corpus.checks.ended(done, 74, f"{error} of {call} {at}")
                corpus.checks.that(done.errors() != [], f"{error} of {call} {at}: no message", done)
                corpus.checks.that(not any(name.endswith(".tmp") for name in listing(path)) or ranks > 0 or
                                   call in ("folder",), f"{error} of {call} {at}: a file is left half-written")
            rerun(corpus, path, wanted, f"{error} of {call} {at}")
    for short in ("write", "read"):
        path = f"{corpus.work}/errors-short"
        shutil.rmtree(path, ignore_errors=True)
        done = run(corpus.arguments(path), env={"DHATU_FAULT": f"call={short},error=SHORT,chance=0.5,seed=3"})
        corpus.checks.ended(done, 0, f"short {short}s")
        corpus.checks.equal(files_of(path) == wanted, True, f"short {short}s give the same files")


def changed(corpus, name, change):
    """A copy of the corpus in which one source is another one."""
    copy = f"{corpus.work}/changed"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(corpus.sources, copy)
    with open(f"{copy}/{name}", "rb") as file:
        data = file.read()
    os.remove(f"{copy}/{name}")
    name, data = change(name, data)
    if name:
        write(f"{copy}/{name}", data)
    return copy


def part_sources(corpus):
    """Sources that are not those of the result."""
    checks = corpus.checks
    out = f"{corpus.work}/sources"
    cases = {
        "a word of a text": ("near.jsonl", lambda name, data: (name, data.replace(b"winter", b"summer", 1)), "text"),
        "another field": ("near.jsonl", lambda name, data: (name, data.replace(b'"n": 250', b'"n": 251', 1)), "near.jsonl"),
        "a line more in front": ("near.jsonl", lambda name, data: (name, b'{"text":"new"}\n' + data), "near.jsonl"),
        "a line less": ("near.jsonl", lambda name, data: (name, data[:data[:-1].rindex(b"\n") + 1]), "near.jsonl"),
        "no source": ("near.jsonl", lambda name, data: (None, None), "near.jsonl"),
        "a stream that is shorter": ("packed.jsonl.gz", lambda name, data: (name, data[:len(data) // 2]), "packed.jsonl"),
        "a text file": ("tree/0/t3.txt", lambda name, data: (name, data + b"!"), "tree/0/t3.txt"),
    }
    for what, (name, change, told) in cases.items():
        copy = changed(corpus, name, change)
        for size, ranks in ((SHARD, 0), ("1G", 2)):
            if what == "another field" and size == SHARD:
                continue  # a plain source in several shards is checked by its texts and its size
            shutil.rmtree(out, ignore_errors=True)
            done = run(["export", corpus.result, "--sources", copy, "--all", "--shard-size", size, "-o", out], ranks)
            checks.ended(done, 78, f"export with {what}")
            checks.that(told in done.err, f"{what}: the message does not name it", done)
    copy = changed(corpus, "near.jsonl", lambda name, data: (name + ".gz", gzip.compress(data)))
    write(f"{copy}/more.jsonl", b'{"text":"a source that the result does not have"}\n')
    for path, sources in ((out, corpus.sources), (out + "2", copy)):
        shutil.rmtree(path, ignore_errors=True)
        checks.ended(run(["export", corpus.result, "--sources", sources, "--shard-size", SHARD, "-o", path]), 0,
                     "export of sources compressed otherwise")
    checks.equal(files_of(out) == files_of(out + "2"), True, "compression of a source changes the export")


def part_refused(corpus):
    """Folders that have something else, and commands that make no sense."""
    checks = corpus.checks
    path = f"{corpus.work}/refused"
    checks.ended(run(corpus.arguments(path)), 0, "export")
    before = files_of(path)
    for more in (("--all",), ("--compress", "gz"), ("--shard-size", "41K")):
        done = run(corpus.arguments(path, more))
        checks.ended(done, 78, f"another export into the same folder, {more}")
        checks.that("another export" in done.err, "the message does not say why", done)
    checks.equal(files_of(path) == before, True, "a refused export changes the folder")
    with open(f"{path}/part-000001.jsonl", "r+b") as file:
        file.write(b"!")
    checks.ended(run(corpus.arguments(path)), 78, "a finished export with a changed shard")
    os.remove(f"{path}/export.json")
    done = run(corpus.arguments(path))
    checks.ended(done, 78, "shards without a list")
    checks.that("export.json" in done.err, "the message does not say why", done)
    for command, more in ("export", ["-o", path]), ("verify", []):
        sources = ("--sources", f"{corpus.sources}/near.jsonl", f"{corpus.sources}/tree")
        done = run([command, corpus.result, *sources, *more])
        checks.ended(done, 2, f"{command} with a glob that the shell has expanded")
        checks.that("quotes" in done.err and f"{corpus.sources}/tree" in done.err, f"{command}: no hint at quotes", done)
    for arguments in (["export"], ["export", corpus.result], ["export", corpus.result, "-o", path],
                      ["export", corpus.result, "--csv", "nonsense", "-o", "-"],
                      ["export", corpus.result, "--csv", "profiles"],
                      ["export", corpus.result, "--sources", corpus.sources, "--compress", "xz", "-o", path]):
        checks.ended(run(arguments), 2, " ".join(arguments[2:]))
    checks.ended(run(["export", corpus.sources + "/near.jsonl", "--csv", "documents", "-o", "-"]), (74, 78), "no result")


def table(corpus, name, path):
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with open(path, "rb") as file:
        data = file.read()
    corpus.checks.that(data.count(b"\r\n") >= len(rows) + 1 and data.endswith(b"\r\n"), f"{name}: line ends")
    return rows


def back(text, like):
    """The value that was printed: floats read back to the same bits."""
    return float(text) if isinstance(like, float) else (int(text) if isinstance(like, int) else text)


def part_tables(corpus):
    checks = corpus.checks
    tables = {}
    for name in ("profiles", "clusters", "vocabulary", "documents"):
        path = f"{corpus.work}/{name}.csv"
        done = run(["export", corpus.result, "--csv", name, "-o", path], ranks=2 if name == "clusters" else 0)
        checks.ended(done, 0, f"--csv {name}")
        tables[name] = table(corpus, name, path)
        piped = run(["export", corpus.result, "--csv", name, "-o", "-"])
        with open(path, encoding="utf-8", newline="") as file:
            checks.equal(piped.out == file.read().replace("\r\n", "\n"), True, f"{name}: standard output differs")
        before = sha256(path)
        checks.ended(run(["export", corpus.result, "--csv", name, "-o", path]), 2, "a table that exists")
        for fault in ("call=write,error=ENOSPC", "call=rename,error=KILL"):
            done = run(["export", corpus.result, "--csv", name, "-f", "-o", path], env={"DHATU_FAULT": fault})
            checks.ended(done, (74, 137, 265), fault)
            checks.equal(sha256(path), before, f"{name}: {fault} harms the table that was there", done)
        checks.ended(run(["export", corpus.result, "--csv", name, "-f", "-o", path]), 0, "a table that is replaced")
        checks.equal(sha256(path), before, f"{name}: again")
    columns = corpus.columns
    documents = [{name: back(line[name], columns[name][0]) for name in columns} for line in tables["documents"]]
    wanted = [{name: columns[name][row] for name in columns} for row in range(corpus.rows)]
    checks.equal(documents == wanted, True, "documents.csv")
    checks.equal([int(line["row"]) for line in tables["documents"]], list(range(corpus.rows)), "rows of documents.csv")
    rows = [row for row in range(corpus.rows) if columns["dup_cluster"][row] >= 0 or columns["dup_exact"][row] >= 0]
    checks.equal([(int(line["row"]), line["id"], int(line["dup_cluster"]), int(line["dup_size"]))
                  for line in tables["clusters"]],
                 [(row, columns["id"][row], columns["dup_cluster"][row], columns["dup_size"][row]) for row in rows],
                 "clusters.csv")
    profiles = [[struct.unpack("<f", struct.pack("<f", float(line[name])))[0] for name in corpus.categories]
                for line in tables["profiles"]]
    checks.equal(profiles == corpus.profile, True, "profiles.csv")
    checks.equal([line["id"] for line in tables["profiles"]] == columns["id"], True, "ids of profiles.csv")
    checks.equal({name: [back(line[name], values[0]) for line in tables["vocabulary"]]
                  for name, values in corpus.vocabulary.items()} == corpus.vocabulary, True, "vocabulary.csv")
    checks.that(len(tables["vocabulary"]) == 50, "vocabulary.csv has not all terms")


PARTS = {"content": part_content, "names": part_names, "ranks": part_ranks, "interrupted": part_interrupted,
         "locked": part_locked, "errors": part_errors,
         "sources": part_sources, "refused": part_refused, "tables": part_tables}


def main():
    try:
        import h5py
    except ImportError:
        skip("no h5py")
    program()
    launcher()
    chosen, _ = words_given(PARTS)
    checks = Checks()
    with folder() as work:
        corpus = Corpus(checks, work, h5py)
        run_parts(PARTS, chosen, lambda part: part(corpus), 3)
    checks.exit()


if __name__ == "__main__":
    main()
