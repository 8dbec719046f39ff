#!/usr/bin/env python3
"""dhatu beside others that do the same work, on the same documents, in one run.

    bench/peers/peers.py PROGRAM FOLDER [--rounds 3] [--parts words,features,neardup,jobs] [--json FILE]
                         [--documents N] [--mrmpi PROGRAM] [--python PYTHON]...

FOLDER has .jsonl.gz shards with a field "text". What the peers and dhatu read is made of them in a temporary folder: the
shards, plain JSONL and plain text files. All cases take turns, --rounds times; printed are medians.

words     dhatu's vocab against MapReduce-MPI (wordcount_mrmpi.cpp beside this file; --mrmpi names the built program, else
          it is compiled where libmrmpi-dev and mpicxx are there), with and without adding counts up before they travel,
          and with small and large pages; and Mimir, where MIMIR_DIR is a folder with its built example wordcount
features  dhatu's features against scikit-learn's HashingVectorizer (2^18 columns) and TfidfTransformer, one process
neardup   dhatu's neardup against datasketch's MinHash (112 permutations, word 5-grams) and MinHashLSH (14 x 8), one process
jobs      all five jobs of dhatu in one pass, from .gz

What is missing is left out, with a message. Seconds: of dhatu the run as it reports it; of MapReduce-MPI from behind
MPI_Init to the last count; of the Python modules from texts in memory on. "cpu" are the seconds of all processors (of the
whole command, but of the Python modules those of the work): on a busy machine they say more. "command" is the whole command.
"""
import argparse
import gzip
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
MEGABYTE, MEBIBYTE = 1e6, 1 << 20
COLUMNS, PERMUTATIONS, BANDS, BAND_ROWS, SHINGLE = 1 << 18, 112, 14, 8, 5
TEXT_FILES = 16
PARTS = ("words", "features", "neardup", "jobs")
ALL_JOBS = "profile,digest,features,vocab,neardup"


# --- What runs in a Python of its own: prints a line of JSON ----------------------------------------------


def own_memory():
    """Bytes that this process had at most."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM:"))


def texts_of(folder):
    for path in sorted(pathlib.Path(folder).glob("*.jsonl")):
        with open(path, "rb") as lines:
            for line in lines:
                yield json.loads(line)["text"]


class Clock:
    """Seconds on the wall and of the processor."""

    def __init__(self):
        self.began = time.monotonic(), time.process_time()

    def since(self):
        return time.monotonic() - self.began[0], time.process_time() - self.began[1]


def child_features(folder):
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    texts = list(texts_of(folder))
    clock = Clock()
    counts = HashingVectorizer(n_features=COLUMNS, norm=None).transform(texts)
    hashed = clock.since()
    TfidfTransformer().fit_transform(counts)
    return {"hash": hashed, "all": clock.since()}


def child_neardup(folder):
    import re
    from datasketch import MinHash, MinHashLSH
    texts = list(texts_of(folder))
    words = re.compile(r"\w+")
    first = MinHash(num_perm=PERMUTATIONS)
    clock = Clock()
    signatures = []
    for text in texts:
        tokens = words.findall(text.lower())
        shingles = {" ".join(tokens[i:i + SHINGLE]).encode() for i in range(len(tokens) - SHINGLE + 1)}
        signature = first.copy()  # has the permutations already
        signature.update_batch(shingles)
        signatures.append(signature if shingles else None)
    signed = clock.since()
    index = MinHashLSH(num_perm=PERMUTATIONS, params=(BANDS, BAND_ROWS))
    for row, signature in enumerate(signatures):
        if signature is not None:
            index.query(signature)
            index.insert(row, signature)
    return {"hash": signed, "all": clock.since()}


def child(part, folder):
    result = {"features": child_features, "neardup": child_neardup}[part](folder)
    result["memory"] = own_memory()
    print(json.dumps(result))


def python_with(module, given):
    """An interpreter that has the module, or None."""
    for python in [*given, sys.executable, shutil.which("python3"), "/usr/bin/python3"]:
        if python and subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0:
            return python
    return None


# --- The corpus -------------------------------------------------------------------------------------------


class Corpus:
    """Shards as .gz, as plain JSONL, and texts in plain files (each document and a line end)."""

    def __init__(self, folder, target, limit):
        shards = sorted(folder.glob("*.jsonl.gz"))
        if not shards:
            sys.exit(f"{folder}: no .jsonl.gz")
        self.packed, self.plain, self.text = (target / name for name in ("packed", "plain", "text"))
        for made in (self.packed, self.plain, self.text):
            made.mkdir()
        self.documents = self.bytes = self.words = 0
        files = [open(self.text / f"part-{i:02d}.txt", "wb") for i in range(TEXT_FILES)]
        for number, shard in enumerate(shards):
            # A shard's share of the documents, so that all ranks have as much to read.
            wanted = (limit or sys.maxsize) * (number + 1) // len(shards)
            with gzip.open(shard) as source, open(self.plain / shard.stem, "wb") as plain:
                for line in source:
                    if self.documents >= wanted:
                        break
                    plain.write(line)
                    self._add(json.loads(line)["text"].encode(), files)
            if limit:
                with open(self.plain / shard.stem, "rb") as source, gzip.open(self.packed / shard.name, "wb", 6) as packed:
                    shutil.copyfileobj(source, packed, MEBIBYTE)
            else:
                (self.packed / shard.name).symlink_to(shard.resolve())
        for file in files:
            file.close()

    def _add(self, text, files):
        files[self.documents % TEXT_FILES].write(text + b"\n")
        self.documents += 1
        self.bytes += len(text)
        self.words += len(text.split())


# --- Cases ------------------------------------------------------------------------------------------------


def mpi(ranks):
    return ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)]


def measured(command, **options):
    """(output, seconds, seconds of all processors, bytes of the largest process). A shell in between, so that no process
    has this one's peak."""
    began = time.monotonic()
    process = subprocess.Popen(["/bin/sh", "-c", '"$@"; exit $?', "sh", *map(str, command)], stdout=subprocess.PIPE, **options)
    output = process.stdout.read()
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit code {process.returncode}")
    return output, time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10


class Case:
    """run: -> [(suffix of the name, seconds, of all processors, of the whole command, bytes of memory of a process)]"""

    def __init__(self, part, name, ranks, run):
        self.part, self.name, self.ranks, self.run = part, name, ranks, run
        self.measured = {}

    def turn(self, counts):
        for suffix, *figures in self.run():
            if counts:
                self.measured.setdefault(suffix, []).append(figures)

    def rows(self, size):
        for suffix, turns in self.measured.items():
            seconds, processors, command = (statistics.median(turn[i] for turn in turns) for i in range(3))
            yield {"part": self.part, "case": self.name + suffix, "ranks": self.ranks, "seconds": seconds,
                   "megabytes_a_second": size / MEGABYTE / seconds,
                   "megabytes_a_second_a_rank": size / MEGABYTE / seconds / self.ranks,
                   "processor_seconds": processors, "command_seconds": command,
                   "memory_bytes": max(turn[3] for turn in turns),
                   "all_seconds": [turn[0] for turn in turns]}


def dhatu_case(bench, part, name, ranks, jobs, source, options=()):
    output = bench.work / "out.h5"

    def run():
        command = [bench.program, "run", "-q", "-f", "-j", jobs, "-o", output, *options, source]
        _, wall, processors, _ = measured((mpi(ranks) if ranks > 1 else []) + command)
        report = json.loads(pathlib.Path(f"{output}.run.json").read_text(encoding="utf-8"))
        yield "", report["seconds"], processors, wall, max(figures["memory_bytes"] for figures in report["rank_figures"])

    return Case(part, f"dhatu {name}", ranks, run)


def mrmpi_case(bench, program, ranks, combine, pages):
    command = mpi(ranks) + [program, *(["-c"] if combine else []), "-p", pages, "-s", bench.work,
                            *sorted(bench.corpus.text.iterdir())]

    def run():
        output, wall, processors, memory = measured(command)
        found = json.loads(output)
        if found["words"] != bench.corpus.words:
            sys.exit(f"MapReduce-MPI counts {found['words']} words, there are {bench.corpus.words}")
        yield "", found["seconds"], processors, wall, memory

    name = f"MapReduce-MPI{', adding up first' if combine else ''}, pages of {pages} MiB"
    return Case("words", name, ranks, run)


def mimir_case(bench, program, ranks):
    def run():
        _, wall, processors, memory = measured(mpi(ranks) + [program, bench.corpus.text], cwd=bench.work)
        yield "", wall, processors, wall, memory  # it has no line of its own for the time in between

    return Case("words", "Mimir (whole command)", ranks, run)


def python_case(bench, part, module, names):
    python = python_with(module, bench.python)
    if python is None:
        bench.missing(part, f"no Python here has the module {module} (--python names one)")
        return []

    def run():
        output, wall, _, _ = measured([python, __file__, "--child", part, bench.corpus.plain])
        found = json.loads(output)
        for key, suffix in names.items():
            yield suffix, *found[key], wall, found["memory"]

    return [Case(part, module, 1, run)]


def built_mrmpi(bench, given):
    """The program that counts words by MapReduce-MPI, or None."""
    if given:
        return given
    program = bench.work / "wordcount_mrmpi"
    compiler = shutil.which("mpicxx") or shutil.which("mpic++")
    if compiler is None:
        bench.missing("words", "MapReduce-MPI: no mpicxx to build wordcount_mrmpi.cpp with")
        return None
    command = [compiler, "-std=c++17", "-O3", "-I/usr/include/mrmpi", str(HERE / "wordcount_mrmpi.cpp"), "-lMapReduceMPI",
               "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        bench.missing("words", "MapReduce-MPI: wordcount_mrmpi.cpp does not build (libmrmpi-dev?): " +
                      "".join(done.stderr.splitlines(keepends=True)[:1]).strip())
        return None
    return program


def found_mimir(bench):
    folder = os.environ.get("MIMIR_DIR")
    if not folder:
        bench.missing("words", "Mimir: MIMIR_DIR is not set (a folder with its built example wordcount)")
        return None
    for path in sorted(pathlib.Path(folder).rglob("wordcount")):
        if path.is_file() and os.access(path, os.X_OK):
            return path
    bench.missing("words", f"Mimir: no program wordcount below {folder}")
    return None


class Bench:
    def __init__(self, program, python, work):
        self.program, self.python, self.work = program, python, work
        self.corpus, self.notes = None, []

    def missing(self, part, why):
        self.notes.append(f"{part}: left out: {why}")
        print(self.notes[-1], flush=True)

    def words(self, mrmpi):
        cases = []
        for ranks in (1, 2):
            cases.append(dhatu_case(self, "words", "vocab, text files", ranks, "vocab", self.corpus.text))
            cases.append(dhatu_case(self, "words", "vocab, JSONL", ranks, "vocab", self.corpus.plain))
        program = built_mrmpi(self, mrmpi)
        if program:
            # Pages of 64 MiB are the library's default; in pages of 1 GiB nothing goes to the disk here.
            cases += [mrmpi_case(self, program, ranks, combine, pages)
                      for pages in (64, 1024) for combine in (False, True) for ranks in (1, 2)]
        mimir = found_mimir(self)
        if mimir:
            cases += [mimir_case(self, mimir, ranks) for ranks in (1, 2)]
        return cases

    def features(self):
        options = ["--tokens", "sklearn", "--features", COLUMNS, "--ngrams", "1-1"]
        cases = [dhatu_case(self, "features", "features, JSONL", ranks, "features", self.corpus.plain, options)
                 for ranks in (1, 2)]
        return cases + python_case(self, "features", "sklearn", {"hash": " HashingVectorizer", "all": " and TfidfTransformer"})

    def neardup(self):
        cases = [dhatu_case(self, "neardup", "neardup, JSONL", ranks, "neardup", self.corpus.plain) for ranks in (1, 2)]
        return cases + python_case(self, "neardup", "datasketch", {"hash": " MinHash", "all": " and MinHashLSH"})

    def jobs(self):
        return [dhatu_case(self, "jobs", "five jobs, .gz", ranks, ALL_JOBS, self.corpus.packed) for ranks in (1, 2)]

    def cases(self, parts, mrmpi):
        made = {"words": lambda: self.words(mrmpi), "features": self.features, "neardup": self.neardup, "jobs": self.jobs}
        return [case for part in PARTS if part in parts for case in made[part]()]


# --- The table --------------------------------------------------------------------------------------------


def best(rows, part, is_dhatu, ranks):
    rates = [row["megabytes_a_second"] for row in rows
             if row["part"] == part and row["ranks"] == ranks and row["case"].startswith("dhatu") == is_dhatu]
    return max(rates, default=None)


def comparisons(rows):
    """Lines: dhatu's best over the best of the others, and 2 ranks over 1."""
    for part in ("words", "features", "neardup"):
        for ranks in (1, 2):
            ours, others = best(rows, part, True, ranks), best(rows, part, False, ranks)
            if ours and others:
                yield f"{part}, {ranks} rank{'s' * (ranks > 1)}: dhatu is {ours / others:.1f} times the fastest of the others"
    for part in PARTS:
        one, two = best(rows, part, True, 1), best(rows, part, True, 2)
        if one and two:
            yield f"{part}: 2 ranks of dhatu are {two / one:.2f} times 1"


def show(rows):
    print(f"\n{'':9s}{'':48s}{'ranks':>6s}{'seconds':>9s}{'MB/s':>8s}{'a rank':>8s}{'MiB':>7s}{'cpu':>8s}{'command':>9s}")
    for row in rows:
        print(f"{row['part']:9s}{row['case']:48s}{row['ranks']:6d}{row['seconds']:9.2f}{row['megabytes_a_second']:8.1f}"
              f"{row['megabytes_a_second_a_rank']:8.1f}{row['memory_bytes'] / MEBIBYTE:7.0f}"
              f"{row['processor_seconds']:8.2f}{row['command_seconds']:9.2f}")
    print()
    for line in comparisons(rows):
        print(line)


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else "unknown"


def main():
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--documents", type=int, help="only so many of the documents")
    parser.add_argument("--mrmpi", help="the built wordcount_mrmpi")
    parser.add_argument("--python", action="append", default=[], help="an interpreter that has scikit-learn or datasketch")
    parser.add_argument("--json", type=pathlib.Path, help="where the figures go")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.parts.split(",")) - set(PARTS))
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}")
    os.environ.setdefault("OMPI_ALLOW_RUN_AS_ROOT", "1")
    os.environ.setdefault("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
    os.environ.setdefault("HWLOC_COMPONENTS", "-opencl")
    with tempfile.TemporaryDirectory(prefix="dhatu-peers-") as name:
        bench = Bench(os.path.abspath(arguments.program), arguments.python, pathlib.Path(name))
        bench.corpus = corpus = Corpus(arguments.folder, bench.work, arguments.documents)
        print(f"{corpus.documents} documents, {corpus.bytes / MEGABYTE:.1f} MB of text, {corpus.words} words; {processor()}")
        cases = bench.cases(arguments.parts.split(","), arguments.mrmpi)
        for turn in range(arguments.rounds):
            for case in cases:
                if turn == 0 and case.name.startswith("dhatu"):
                    case.turn(False)  # fills the page cache, touches the output's blocks
                case.turn(True)
            print(f"round {turn + 1} of {arguments.rounds}", flush=True)
    rows = [row for case in cases for row in case.rows(corpus.bytes)]
    show(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps({
            "documents": corpus.documents, "text_bytes": corpus.bytes, "words": corpus.words, "processor": processor(),
            "rounds": arguments.rounds, "notes": bench.notes, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
