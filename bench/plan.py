#!/usr/bin/env python3
"""How good the estimates of dhatu plan are.

    bench/plan.py PROGRAM FOLDER [--runs 3] [--sample-time 2] [--ranks 1,2] [--sources plain,gzip] [--jobs SET ...]

FOLDER has .jsonl or .jsonl.gz shards with a field "text". dhatu plan and the run that it is about go in turn, --runs
times, for every set of jobs, plain and gzip sources, and numbers of ranks. Printed: the median estimate over the median
of the runs, for time, processor time, memory of the largest rank, result, most bytes in the checkpoint folder, and
documents; * marks a time that is off by more than 25 %. A small --sample-time makes the corpus several times the sample.
Both sides leave out what ranks waited for processors that other programs had. Times of a busy machine scatter all the same.
"""
import argparse
import gzip
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import threading
import time

JOBS = ("profile", "profile,digest", "features", "vocab", "neardup", "profile,digest,features,vocab,neardup")
LIMIT = 0.25
FIGURES = ("seconds", "processor", "memory", "result", "scratch", "documents")


def prepare(folder, target):
    """Plain and gzip copies of the shards."""
    variants = {"plain": target / "plain", "gzip": target / "gzip"}
    for variant in variants.values():
        variant.mkdir()
    for shard in sorted(folder.glob("*.jsonl*")):
        name = shard.name.removesuffix(".gz")
        with (gzip.open if shard.suffix == ".gz" else open)(shard, "rb") as source:
            with open(variants["plain"] / name, "wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
        if shard.suffix == ".gz":
            (variants["gzip"] / shard.name).symlink_to(shard.resolve())
        else:
            with open(variants["plain"] / name, "rb") as source, gzip.open(variants["gzip"] / (name + ".gz"), "wb", 6) as out:
                shutil.copyfileobj(source, out, 1 << 20)
    return variants


def watch(folder, stop, most):
    """The most bytes that a folder holds until it is told to stop."""
    while not stop.wait(0.005):
        size = 0
        try:
            for entry in os.scandir(folder):
                size += entry.stat().st_size
        except FileNotFoundError:
            pass  # the folder, or a file in it, is not there yet or not any more
        most[0] = max(most[0], size)


def waited(process):
    """Seconds that a process, or the one of its children that did so most, waited for a processor; None: it is gone."""
    try:
        children = pathlib.Path(f"/proc/{process}/task/{process}/children").read_text().split()
        return max(int(pathlib.Path(f"/proc/{one}/schedstat").read_text().split()[1]) for one in children or [process]) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def run_watched(command):
    """Runs it. Returns what it had waited at some times: (time, seconds)."""
    moments = []
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            moments.append((time.monotonic(), max(waited(process.pid) or 0, moments[-1][1] if moments else 0)))
            time.sleep(0.005)
    if process.returncode != 0:
        raise SystemExit(f"{command}: {process.returncode}")
    return moments


def wait_of_last(moments, seconds):
    """What of it was in the last seconds."""
    begin = moments[-1][0] - seconds
    before = max((moment for moment in moments if moment[0] <= begin), default=moments[0])
    behind = min(moment for moment in moments if moment[0] >= begin)
    part = (begin - before[0]) / (behind[0] - before[0]) if behind[0] > before[0] > 0 else 0
    return moments[-1][1] - (before[1] + max(0, part) * (behind[1] - before[1]))


def run(program, jobs, folder, ranks, output):
    command = [program, "run", "-q", "-f", "--backend", "cpu", "-j", jobs, "-o", str(output), str(folder)]
    if ranks > 1:
        command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] + command
    most, stop = [0], threading.Event()
    watcher = threading.Thread(target=watch, args=(str(output) + ".ckpt", stop, most))
    watcher.start()
    try:
        moments = run_watched(command)
    finally:
        stop.set()
        watcher.join()
    report = json.loads(pathlib.Path(str(output) + ".run.json").read_text())
    figures = report["rank_figures"]
    wait = wait_of_last(moments, report["seconds"])
    return {"seconds": report["seconds"] - wait, "wait": wait, "memory": max(rank["memory_bytes"] for rank in figures),
            "processor": sum(rank["seconds"]["user"] + rank["seconds"]["system"] for rank in figures),
            "result": report["result_bytes"], "scratch": most[0], "documents": report["documents"]}


def plan(program, jobs, folder, ranks, output, seconds, scratch):
    command = [program, "plan", "--json", "-j", jobs, "--nodes", "1", "--ranks-per-node", str(ranks), "--sample-time", str(seconds),
               "--scratch", str(scratch), "-o", str(output), str(folder)]
    made = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    estimate = made["estimate"]
    if made["sample"]["ranks"] != ranks:
        raise SystemExit(f"dhatu plan measured {made['sample']['ranks']} ranks instead of {ranks}: can mpirun start them?")
    return {"seconds": estimate["seconds"], "processor": estimate["processor_seconds"], "memory": estimate["rank_memory_bytes"],
            "result": estimate["result_bytes"], "scratch": estimate["scratch_bytes"], "documents": made["corpus"]["documents"],
            "share": made["sample"]["content_bytes"] / made["corpus"]["content_bytes"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sample-time", type=int, default=2)
    parser.add_argument("--ranks", default="1,2")
    parser.add_argument("--sources", default="plain,gzip")
    parser.add_argument("--jobs", nargs="*", default=JOBS)
    arguments = parser.parse_args()
    os.environ.setdefault("OMPI_ALLOW_RUN_AS_ROOT", "1")
    os.environ.setdefault("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
    with tempfile.TemporaryDirectory(prefix="dhatu-bench-") as name:
        target = pathlib.Path(name)
        variants = prepare(arguments.folder, target)
        cases = [(jobs, source, int(ranks)) for jobs in arguments.jobs for source in arguments.sources.split(",")
                 for ranks in arguments.ranks.split(",")]
        print("estimate over run, medians of", arguments.runs)
        print(f"{'jobs':40s} {'sources':8s} ranks sample" + "".join(f"{figure:>11s}" for figure in FIGURES) + "   run")
        outside = 0
        for jobs, source, ranks in cases:
            estimates, runs = [], []
            for _ in range(arguments.runs):
                estimates.append(plan(arguments.program, jobs, variants[source], ranks, target / "out.h5", arguments.sample_time, target))
                runs.append(run(arguments.program, jobs, variants[source], ranks, target / "out.h5"))
            ratio = {figure: statistics.median(made[figure] for made in estimates) / statistics.median(made[figure] for made in runs)
                     for figure in FIGURES}
            share = statistics.median(made["share"] for made in estimates)
            off = abs(ratio["seconds"] - 1) > LIMIT
            outside += off
            print(f"{jobs:40s} {source:8s} {ranks:5d} {100 * share:4.0f} %" + "".join(f"{ratio[figure]:11.2f}" for figure in FIGURES) +
                  f" {statistics.median(made['seconds'] for made in runs):5.2f} s, waited "
                  f"{statistics.median(made['wait'] for made in runs):5.2f} s{' *' if off else ''}", flush=True)
        print(f"{len(cases) - outside} of {len(cases)} times are within {100 * LIMIT:.0f} %")


if __name__ == "__main__":
    main()
