#!/usr/bin/env python3
"""Rates of whole runs, and of the same work in Python.

    bench/whole.py PROGRAM FOLDER [--runs 5] [--jobs profile,digest]

FOLDER has .jsonl.gz shards with a field "text". They are unpacked and packed again as .zst into a
temporary folder; then every variant (plain, gzip, zstd; 1 and 2 ranks) runs in turn, --runs times. Printed:
medians of MB of text a second of the whole command (wall clock, MPI's start and end included) and of
the run alone, memory, the stages' shares, and the ratio of 2 ranks to 1.
"""
import argparse
import gzip
import hashlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

NAMES = [b"RELATE", b"MODAL", b"EXIST", b"EVAL", b"COMM", b"CAUSE", b"ITER", b"DECIDE", b"FEEL"]
PRIMES = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]


def prepare(folder, target):
    """Plain and zstd copies of the gzip shards."""
    variants = {"gzip": folder}
    plain = target / "plain"
    plain.mkdir()
    for shard in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(shard) as source, open(plain / shard.stem, "wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
    variants["plain"] = plain
    if shutil.which("zstd"):
        packed = target / "zstd"
        packed.mkdir()
        for shard in sorted(plain.iterdir()):
            subprocess.run(["zstd", "-q", str(shard), "-o", str(packed / (shard.name + ".zst"))], check=True)
        variants["zstd"] = packed
    only_shards = target / "gzip"
    only_shards.mkdir()
    for shard in sorted(folder.glob("*.jsonl.gz")):
        (only_shards / shard.name).symlink_to(shard.resolve())
    variants["gzip"] = only_shards
    return variants


def run_once(program, jobs, folder, ranks, output):
    command = [program, "run", "-q", "-f", "-j", jobs, "-o", str(output), str(folder)]
    if ranks > 1:
        command = ["mpirun", "--oversubscribe", "-n", str(ranks)] + command
    start = time.monotonic()
    subprocess.run(command, check=True)
    wall = time.monotonic() - start
    report = json.loads(pathlib.Path(str(output) + ".run.json").read_text())
    report["wall"] = wall
    return report


def median_report(reports):
    rank_figures = [figures for report in reports for figures in report["rank_figures"]]
    text = sum(figures["text_bytes"] for figures in reports[0]["rank_figures"]) / 1e6
    stage = {}
    for name in rank_figures[0]["seconds"]:
        if name not in ("map", "user", "system"):
            total = [sum(f["seconds"][name] for f in report["rank_figures"]) for report in reports]
            stage[name] = text / statistics.median(total)
    phase = {name: statistics.median(report["phase_seconds"][name] for report in reports)
             for name in reports[0]["phase_seconds"]}
    return {"text": text, "wall": text / statistics.median(report["wall"] for report in reports),
            "run": text / statistics.median(report["seconds"] for report in reports),
            "work": text / statistics.median(sum(report["phase_seconds"].values()) for report in reports),
            "memory": max(figures["memory_bytes"] for figures in rank_figures) / 2**20, "stage": stage, "phase": phase}


def python_scalar(texts):
    """The obvious reference of job digest: hashlib and floats, a text at a time."""
    start = time.monotonic()
    for text in texts:
        raw = []
        for name in NAMES:
            b = hashlib.sha256(name + b"::" + text).digest()
            raw.append(b[0] + b[5] + b[13] + b[21] + b[29])
        total = sum(raw)
        [sum(raw[d] * p ** (d % p) for d in range(9)) / total for p in PRIMES]
    return time.monotonic() - start


def python_numpy(texts):
    """A batched one: hashlib for the digests, numpy for what follows."""
    import numpy as np
    start = time.monotonic()
    joined = b"".join(hashlib.sha256(name + b"::" + text).digest() for text in texts for name in NAMES)
    b = np.frombuffer(joined, np.uint8).reshape(len(texts), 9, 32)
    raw = b[:, :, [0, 5, 13, 21, 29]].sum(axis=2, dtype=np.float64)
    power = np.array([[float(p ** (d % p)) for p in PRIMES] for d in range(9)])
    prime = raw @ power / raw.sum(axis=1, keepdims=True)
    prime.var(axis=1)
    return time.monotonic() - start


def bench_python(folder):
    texts = []
    with gzip.open(sorted(folder.glob("*.jsonl.gz"))[0]) as lines:
        for line in lines:
            texts.append(json.loads(line)["text"].encode())
    size = sum(map(len, texts)) / 1e6
    print(f"\nPython, digest only, texts in memory ({len(texts)} documents, {size:.1f} MB):")
    for name, work in (("scalar", python_scalar), ("numpy", python_numpy)):
        try:
            seconds = statistics.median(work(texts) for _ in range(3))
        except ImportError:
            print(f"  {name}: numpy is missing")
            continue
        print(f"  {name:8s} {len(texts) / seconds:10.0f} documents/s {size / seconds:8.1f} MB/s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--jobs", default="profile,digest")
    arguments = parser.parse_args()
    os.environ.setdefault("OMPI_ALLOW_RUN_AS_ROOT", "1")
    os.environ.setdefault("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
    with tempfile.TemporaryDirectory(prefix="dhatu-bench-") as name:
        target = pathlib.Path(name)
        variants = prepare(arguments.folder, target)
        cases = [(variant, ranks) for variant in ("plain", "gzip", "zstd") if variant in variants for ranks in (1, 2)]
        reports = {case: [] for case in cases}
        for turn in range(arguments.runs + 1):  # the first one is a warm-up
            for case in cases:
                report = run_once(arguments.program, arguments.jobs, variants[case[0]], case[1], target / "out.h5")
                if turn > 0:
                    reports[case].append(report)
        print(f"jobs {arguments.jobs}, medians of {arguments.runs} runs in turn; MB of text a second\n")
        print("sources  ranks   command      run  phases   MiB a rank")
        result = {case: median_report(reports[case]) for case in cases}
        for case in cases:
            r = result[case]
            print(f"{case[0]:8s} {case[1]:5d} {r['wall']:9.1f} {r['run']:8.1f} {r['work']:7.1f} {r['memory']:12.0f}")
        for variant in dict.fromkeys(case[0] for case in cases):
            one, two = result[(variant, 1)], result[(variant, 2)]
            print(f"{variant}: 2 ranks are {two['wall'] / one['wall']:.2f} (command), {two['run'] / one['run']:.2f} (run), "
                  f"{two['work'] / one['work']:.2f} (phases) times 1")
        one = result[("plain", 1)]
        print("\nstages, plain, 1 rank, MB of text a second: " +
              ", ".join(f"{name} {rate:.0f}" for name, rate in one["stage"].items()))
        print("phases, seconds: " + ", ".join(f"{name} {seconds:.3f}" for name, seconds in one["phase"].items()))
    bench_python(arguments.folder)


if __name__ == "__main__":
    main()
