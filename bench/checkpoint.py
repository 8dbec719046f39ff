#!/usr/bin/env python3
"""What checkpointing costs.

    bench/checkpoint.py PROGRAM FOLDER [--runs 7] [--copies 4] [--jobs profile,digest] [--at FOLDER]

FOLDER has .jsonl or .jsonl.gz shards with a field "text". Their plain copies, --copies times by links, are the corpus.
Runs without commits (--commit-interval 0), with one at the end of the map phase (an interval longer than the run), and
with one every second go in turn, --runs times, on the file system of --at (default: the temporary folder), with 1 and 2
ranks. The disk is given time to settle before each. Printed: medians of the run's seconds, their ratios, seconds of
commits, and what recovering of a finished map phase takes.
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

VARIANTS = (("none", "0"), ("at the end", "86400"), ("every second", "1"))


def prepare(folder, target, copies):
    shards = sorted(folder.glob("*.jsonl*"))
    for shard in shards:
        plain = target / "plain" / shard.name.removesuffix(".gz")
        plain.parent.mkdir(exist_ok=True)
        with (gzip.open if shard.suffix == ".gz" else open)(shard, "rb") as source, open(plain, "wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
    corpus = target / "corpus"
    for copy in range(copies):
        (corpus / str(copy)).mkdir(parents=True)
        for plain in (target / "plain").iterdir():
            os.link(plain, corpus / str(copy) / plain.name)
    return corpus


def run(program, ranks, *arguments, fails=False, **environment):
    command = [program, "run", "-q", *map(str, arguments)]
    if ranks > 1:
        command = ["mpirun", "--oversubscribe", "-n", str(ranks)] + command
    subprocess.run(["sync"], check=True)
    subprocess.run(command, check=not fails, env={**os.environ, **environment}, stderr=subprocess.DEVNULL if fails else None)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--jobs", default="profile,digest")
    parser.add_argument("--at")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.at) as folder:
        target = pathlib.Path(folder)
        corpus = prepare(options.folder, target, options.copies)
        output = target / "out.h5"
        for ranks in (1, 2):
            reports = {name: [] for name, _ in VARIANTS}
            for _ in range(options.runs):
                for name, interval in VARIANTS:
                    run(options.program, ranks, "-f", "-j", options.jobs, "--commit-interval", interval, "-o", output, corpus)
                    reports[name].append(json.loads(pathlib.Path(f"{output}.run.json").read_text()))
            base = statistics.median(report["seconds"] for report in reports["none"])
            text = sum(figures["text_bytes"] for figures in reports["none"][0]["rank_figures"]) / 1e6
            spill = sum(figures["spill_bytes"] for figures in reports["none"][0]["rank_figures"]) / 1e6
            print(f"{ranks} rank{'s' if ranks > 1 else ''}, {text:.0f} MB of text, {spill:.0f} MB spilled:")
            for name, _ in VARIANTS:
                seconds = statistics.median(report["seconds"] for report in reports[name])
                commit = statistics.median(max(f["seconds"]["commit"] for f in report["rank_figures"])
                                           for report in reports[name])
                print(f"  commits {name:13s} {seconds:7.3f} s  {text / seconds:6.1f} MB/s  {100 * (seconds / base - 1):+5.1f} %"
                      f"   commits take {commit:.3f} s of the slowest rank")
            recover = []
            for _ in range(options.runs):
                output.unlink()
                run(options.program, ranks, "-j", options.jobs, "-o", output, corpus, fails=True,
                    DHATU_FAULT="call=place,path=mapped,error=KILL")
                run(options.program, ranks, "-j", options.jobs, "-o", output, corpus)
                recover.append(json.loads(pathlib.Path(f"{output}.run.json").read_text())["phase_seconds"])
            print("  killed behind the map phase, the rerun takes "
                  f"{statistics.median(phase['recover'] for phase in recover):.3f} s to recover and "
                  f"{statistics.median(sum(phase.values()) for phase in recover):.3f} s in all")


if __name__ == "__main__":
    main()
