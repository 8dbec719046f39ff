#!/usr/bin/env python3
"""dhatu plan: what it says of small corpora against real runs, what it prints, and that it leaves nothing behind.

plan.py [PART...]: figures, sample, formats, giants, lines, money, errors, launcher, hang, signals, nohup.
"""

import gzip
import json
import os
import random
import re
import signal
import time

from support import Checks, descendants, folder, launcher, processes, run, run_parts, start, words_given, write

WORDS = ("stone river lamp winter eagle bread salt wheel oak glass storm copper field bell harbour candle thread needle "
         "anchor barley cedar drum ember flint grove heron iron jasper kettle linen mortar nettle").split()


def corpus(documents, seed=5):
    rng = random.Random(seed)
    lines = []
    for number in range(documents):
        text = " ".join(rng.choice(WORDS) + str(rng.randrange(50)) for _ in range(rng.randrange(20, 300)))
        lines.append(json.dumps({"id": f"d{number}", "text": text}))
    return "\n".join(lines) + "\n"


def put(path, name, text):
    return write(f"{path}/{name}", text if isinstance(text, bytes) else text.encode())


def plan(*arguments, **options):
    return run(["plan", *arguments], limit=120, **options)


def planned(checks, *arguments, **options):
    outcome = plan("--json", *arguments, **options)
    if not checks.ended(outcome, 0, f"plan {arguments}"):
        return None
    return json.loads(outcome.out)


def near(checks, got, wanted, share, message):
    checks.that(abs(got - wanted) <= share * wanted, f"{message}: {got} is not within {100 * share:.0f} % of {wanted}")


def figures(checks):
    """A corpus that is read whole: the figures are those of its run."""
    with folder() as path:
        source = put(path, "in/a.jsonl", corpus(3000))
        for jobs in ("profile,digest", "features,vocab,neardup"):
            asked = ["-j", jobs, os.path.dirname(source)] + (["--vocab-tsv"] if "vocab" in jobs else [])
            made = planned(checks, "--ranks-per-node", "1", *asked)
            done = run(["run", "-q", "-f", "--backend", "cpu", "-o", f"{path}/out.h5", *asked])
            if made is None or not checks.ended(done, 0, "the run itself"):
                continue
            with open(f"{path}/out.h5.run.json", encoding="utf-8") as file:
                report = json.load(file)
            estimate = made["estimate"]
            checks.that(made["sample"]["whole"], "a small corpus is read whole")
            checks.equal(made["corpus"]["documents"], report["documents"], f"{jobs}: documents")
            checks.equal(made["corpus"]["document_error"], 0, f"{jobs}: error of documents")
            checks.equal(made["corpus"]["text_bytes"], sum(rank["text_bytes"] for rank in report["rank_figures"]), f"{jobs}: bytes of text")
            near(checks, estimate["result_bytes"], report["result_bytes"], 0.01, f"{jobs}: result")
            near(checks, estimate["spill_bytes"], report["rank_figures"][0]["spill_bytes"], 0.01, f"{jobs}: spill")
            near(checks, estimate["rank_memory_bytes"], report["rank_figures"][0]["memory_bytes"], 0.25, f"{jobs}: memory")
            checks.that(estimate["scratch_bytes"] >= 0.9 * estimate["spill_bytes"], "the checkpoint folder holds what is spilled")
            if "vocab" in jobs:
                near(checks, estimate["vocabulary_bytes"], os.path.getsize(f"{path}/out.h5.vocab.tsv"), 0.01, "list of terms")
            checks.that(estimate["seconds"] > 0 and made["gpu"]["seconds"] <= made["cpu"]["seconds"], "times")
            near(checks, sum(estimate["phase_seconds"].values()) + estimate["discover_seconds"], estimate["seconds"], 1e-6, "phases add up")
            near(checks, estimate["seconds"] * (1 - estimate["kernel_share"]), made["gpu"]["seconds"], 1e-6, "GPU and kernels' share")


def sample(checks):
    """Corpora that are several times the sample: sizes and documents are extrapolated, plain and compressed."""
    text = corpus(12000).encode()
    documents = text.count(b"\n")
    with folder() as path:
        for number in range(4):
            put(path, f"plain/{number}.jsonl", text)
            os.makedirs(f"{path}/gz", exist_ok=True)
            with gzip.open(f"{path}/gz/{number}.jsonl.gz", "wb", 1) as file:
                file.write(text)
        for kind in ("plain", "gz"):
            made = planned(checks, "-j", "profile", "--sample-time", "1", "--ranks-per-node", "1", f"{path}/{kind}",
                           env={"DHATU_SEGMENT_SIZE": "1M"})
            if made is None:
                continue
            near(checks, made["corpus"]["documents"], 4 * documents, 0.1, f"{kind}: documents")
            near(checks, made["corpus"]["content_bytes"], 4 * len(text), 0.1, f"{kind}: bytes")
            checks.equal(made["corpus"]["compressed_sources"], 4 if kind == "gz" else 0, f"{kind}: compressed sources")
            checks.that(made["sample"]["small_content_bytes"] < made["sample"]["content_bytes"], f"{kind}: two samples")
            if not made["sample"]["whole"]:
                checks.that(made["corpus"]["document_error"] > 0, f"{kind}: the error of documents is told")
        two = planned(checks, "-j", "profile", "--sample-time", "1", "--ranks-per-node", "2", f"{path}/plain")
        if two:
            checks.that(two["sample"]["ranks"] in (1, 2), "ranks of the trial")


def formats(checks):
    """One document a file; a mixture; records that are bad; a configuration of the run."""
    with folder() as path:
        for number in range(40):
            put(path, f"texts/{number}.txt", " ".join(WORDS) * (1 + number % 7))
        made = planned(checks, "--ranks-per-node", "1", f"{path}/texts")
        if made:
            checks.equal(made["corpus"]["documents"], 40, "texts: documents")
        put(path, "mixed/a.jsonl", corpus(200) + "no json\n" * 10)
        put(path, "mixed/b.txt", "one two three")
        made = planned(checks, "--ranks-per-node", "1", f"{path}/mixed")
        if made:
            checks.equal((made["corpus"]["documents"], made["corpus"]["bad"]), (201, 10), "mixed: documents and bad records")
        put(path, "records/a.json", '{"body":{"text":"one two"}}\n' * 50)
        put(path, "run.ini", "jobs = digest\n[run]\ntext-field = body.text\n[status]\nnodes = 9\n")
        made = planned(checks, "--ranks-per-node", "1", "--config", f"{path}/run.ini", f"{path}/records")
        if made:
            checks.equal((made["corpus"]["documents"], made["corpus"]["bad"]), (50, 0), "configuration: documents and bad records")


def giants(checks):
    """A text that is longer than a record may be is not read to its end, and does not keep a signal waiting."""
    with folder() as path:
        put(path, "in/a.jsonl", corpus(300))
        giant = put(path, "in/b.txt", "")
        os.truncate(giant, 40 << 30)
        made = planned(checks, "--sample-time", "1", "--ranks-per-node", "1", f"{path}/in")
        if made:
            near(checks, made["corpus"]["content_bytes"], 40 << 30, 0.01, "bytes with a giant")
            checks.that(not made["sample"]["whole"] and made["sample"]["content_bytes"] < 1 << 30, "the giant is no part of the sample")
        checks.ended(plan("--ranks-per-node", "1", giant), 65, "nothing but a giant")
        put(path, "texts/empty.txt", "")
        made = planned(checks, "--ranks-per-node", "1", f"{path}/texts")
        checks.that(made and made["corpus"]["documents"] == 1, "an empty text is a document")


def lines(checks):
    """What is printed."""
    with folder() as path:
        source = put(path, "a.jsonl", corpus(300))
        outcome = plan("--nodes", "3", "--ranks-per-node", "1", "--gpus", "h100:2", source)
        checks.ended(outcome, 0, "plan")
        asked = [line for line in outcome.out.splitlines() if line.startswith("#SBATCH ")]
        pattern = (r"--time=\d+-\d\d:\d\d:\d\d", r"--nodes=3", r"--ntasks-per-node=1", r"--cpus-per-task=1", r"--mem-per-cpu=\d+M")
        wanted = pattern + pattern + (r"--gpus-per-node=h100:2",)
        checks.equal(len(asked), len(wanted), "lines for Slurm")
        for line, expected in zip(asked, wanted):
            checks.that(re.fullmatch("#SBATCH " + expected, line), f"line for Slurm: {line} is not {expected}")
        checks.that("partition" not in outcome.out, "no partition is named")
        for label in ("corpus", "sample", "nodes", "time", "memory", "result", "scratch", "GPU"):
            checks.that(re.search(f"^{label} ", outcome.out, re.M), f"no line {label}")
        checks.that("work for 1 of 3 ranks" in outcome.out, "ranks without work are told")
        outcome = plan("--gpus", "0", "--ranks-per-node", "1", source)
        checks.that("GPU" not in outcome.out and "gpus" not in outcome.out, "no GPUs where there are none")
        outcome = plan("--brief", "--ranks-per-node", "1", source)
        checks.ended(outcome, 0, "brief")
        checks.that(2 <= len(outcome.out.splitlines()) <= 3, f"--brief has {len(outcome.out.splitlines())} lines")
        checks.equal(outcome.err, "", "--brief says no more")


def money(checks):
    with folder() as path:
        source = put(path, "a.jsonl", corpus(300))
        prices = ("--nodes", "2", "--ranks-per-node", "1", "--price-cpu-node", "3600", "--price-gpu-node", "7200.5",
                  "--price-spot-cpu-node", "360", "--price-spot-gpu-node", "720", "--interruptions", "0.5", "--restart-time", "1m")
        made = planned(checks, *prices, source)
        if made is None:
            return
        start_seconds = made["estimate"]["start_seconds"]
        near(checks, made["cpu"]["cost"], 2 * (made["cpu"]["seconds"] + start_seconds), 1e-6, "cost of CPU nodes")
        near(checks, made["gpu"]["cost"], 7200.5 / 3600 * 2 * (made["gpu"]["seconds"] + start_seconds), 1e-6, "cost of GPU nodes")
        near(checks, made["cpu"]["spot_cost"], 0.1 * 2 * made["cpu"]["spot_seconds"], 1e-6, "cost of spot nodes")
        lost = made["cpu"]["spot_interruptions"] * (60 + made["estimate"]["interruption_seconds"])
        near(checks, made["cpu"]["spot_seconds"], made["cpu"]["seconds"] + start_seconds + lost, 1e-6, "time on spot nodes")
        checks.that("does not pay" in made["gpu"]["advice"], "twice the price and no use of GPUs")
        made = planned(checks, "--ranks-per-node", "1", source)
        checks.that(made and made["cpu"]["cost"] is None and made["gpu"]["spot_cost"] is None, "no price, no cost")
        outcome = plan(*prices, source)
        checks.equal(len(re.findall("^cost ", outcome.out, re.M)), 4, "lines with a cost")


def errors(checks):
    with folder() as path:
        source = put(path, "in/a.jsonl", corpus(50))
        put(path, "empty/a.jsonl", "")
        os.makedirs(f"{path}/nothing")
        for arguments, code, word in (
                ([], 2, "INPUT"), ([f"{path}/missing"], 74, "missing"), ([f"{path}/nothing"], 2, "no "), (["--nodes", "0", source], 2, "--nodes"),
                (["--gpus", "h100", source], 2, "--gpus"), (["--gpus", ":1", source], 2, "--gpus"), (["--gpus", "a b:1", source], 2, "--gpus"),
                (["--price-cpu-node", "cheap", source], 2, "--price-cpu-node"), (["--price-cpu-node", "-1", source], 2, "--price-cpu-node"),
                (["--price-gpu-node", "nan", source], 2, "--price-gpu-node"), (["--interruptions", "0x10", source], 2, "--interruptions"),
                (["-j", "nosuchjob", source], 2, "nosuchjob"), (["--bogus", source], 2, "--bogus"),
                (["--where", source], 2, "--where"), (["--scratch", f"{path}/none", source], 74, "none"),
                (["-j", "features", "--memory", "16M", "--ranks-per-node", "1", source], 2, "--memory")):
            outcome = plan(*arguments)
            checks.ended(outcome, code, f"plan {arguments}")
            told = outcome.errors()
            checks.that(len(told) == 1 and word in told[0], f"plan {arguments}: {told}", outcome)
            checks.equal(outcome.out, "", f"plan {arguments}: standard output")
        # A corpus without a byte is no error of the run, and nothing to plan.
        checks.ended(plan("--ranks-per-node", "1", f"{path}/empty"), 0, "a corpus without documents")


def fake_launcher(path, lines):
    """Settings with which `mpirun` is this script."""
    script = put(path, "bin/mpirun", "#!/bin/sh\n" + lines)
    os.chmod(script, 0o755)
    return {"PATH": f"{path}/bin:" + os.environ["PATH"]}


def ranks_are_tried():
    return len(os.sched_getaffinity(0)) > 1


def launcher_fails(checks):
    """One rank is measured where mpirun fails, but not where the trial does."""
    with folder() as path:
        source = put(path, "in/a.jsonl", corpus(12000))
        for number in range(1, 5):
            os.link(source, f"{path}/in/{number}.jsonl")
        asked = ("--ranks-per-node", "2", "--sample-time", "1", f"{path}/in")
        # Many ranks need little memory each; the trial's few take what they need.
        made = planned(checks, "-j", "features", "--features", "8388608", "--memory", "256M", "--nodes", "1000", "--ranks-per-node", "64", source)
        checks.that(made and made["estimate"]["seconds"] > 0, "more memory for few ranks")
        if not ranks_are_tried():
            checks.note("one core: mpirun is not used")
            return
        for lines, code, said in (("echo 'no slots' >&2; exit 1", 0, "one rank was measured"), ("kill -KILL $$", 0, "one rank was measured"),
                                  ("echo 'dhatu: error: MPI_Init failed: no' >&2; exit 1", 0, "one rank was measured"),
                                  ("echo 'dhatu: error: no space left' >&2; echo 'mpirun: bad' >&2; exit 74", 74, "code 74: no space left"),
                                  ("echo 'dhatu: error: no memory' >&2; exit 1", 1, "code 1: no memory")):
            outcome = plan(*asked, env=fake_launcher(path, lines))
            checks.ended(outcome, code, f"mpirun: {lines}")
            checks.that(said in outcome.out + outcome.err, f"mpirun: {lines}: not told: {said}", outcome)
        # It works for the first sample alone: both are measured with one rank then.
        again = f'if [ -e {path}/tried ]; then exit 213; fi; : > {path}/tried; exec {launcher()} "$@"'
        made = planned(checks, "-j", "vocab,features,neardup", "--ngrams", "1-3", *asked, env=fake_launcher(path, again))
        if made:
            checks.equal((made["sample"]["small_ranks"], made["sample"]["ranks"]), (1, 1), "ranks of both trials")
            ratio = made["sample"]["content_bytes"] / made["sample"]["small_content_bytes"]
            checks.that(made["sample"]["whole"] or ratio >= 3, f"the larger sample is {ratio} times the smaller one")


def hang(checks):
    """An mpirun that does not end is ended."""
    if not ranks_are_tried():
        return
    with folder() as path:
        source = put(path, "a.jsonl", corpus(300))
        outcome = plan("--ranks-per-node", "2", "--sample-time", "1", source, env=fake_launcher(path, "exec sleep 1000"))
        checks.ended(outcome, 0, "mpirun hangs")
        checks.that("one rank was measured" in outcome.out, "mpirun hangs: told", outcome)
        checks.that(35 < outcome.seconds < 60, f"mpirun hangs: {outcome.seconds} s")


def listing(path):
    return sorted(os.path.join(above, name) for above, folders, files in os.walk(path) for name in folders + files)


def signals(checks):
    """Nothing is left behind, whatever ends it, and nothing is written beside the corpus."""
    with folder() as path:
        source = put(path, "in/a.jsonl", corpus(12000))
        scratch = f"{path}/scratch"
        os.makedirs(scratch)
        os.makedirs(f"{path}/work")
        before = listing(path)
        outcome = plan("--scratch", scratch, "-o", "out.h5", source, cwd=f"{path}/work")
        checks.ended(outcome, 0, "plan")
        checks.equal(listing(path), before, "files after a plan")
        outcome = plan("--scratch", scratch, "--against", f"{path}/none.h5", "-j", "neardup", source)
        checks.that(outcome.code not in (0, 1), "an earlier result that is not there", outcome)
        checks.equal(listing(path), before, "files after a plan that failed")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT, signal.SIGPIPE, signal.SIGALRM,
                       signal.SIGXCPU):
            process = start(["plan", "--scratch", scratch, "--sample-time", "60", source])
            limit = time.monotonic() + 30
            while time.monotonic() < limit and not os.listdir(scratch):
                time.sleep(0.005)
            time.sleep(0.05)
            # The shell that started it is told as well, and dies of it: what counts is what is left.
            os.killpg(process.pid, number)
            process.communicate()
            while time.monotonic() < limit and listing(path) != before:
                time.sleep(0.05)
            checks.equal(listing(path), before, f"files after {signal.Signals(number).name}")


def has_trial(process, limit=30):
    """The processes below dhatu plan, once a trial runs."""
    end = time.monotonic() + limit
    while time.monotonic() < end and process.poll() is None:
        below = descendants(process.pid)
        if len(below) > 1:  # the first is plan, below the shell that started it
            return below
        time.sleep(0.002)
    return []


def nohup(checks):
    """A signal that is ignored changes nothing; what a plan started goes with it."""
    with folder() as path:
        source = put(path, "in/a.jsonl", corpus(12000))
        os.makedirs(f"{path}/scratch")
        asked = ["plan", "--scratch", f"{path}/scratch", "--ranks-per-node", "1", source]
        process = start(asked, wrapper=("/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh"))
        below = has_trial(process)
        if checks.that(below, "nohup: a trial runs"):
            os.kill(below[0], signal.SIGHUP)
        out, err = process.communicate(timeout=60)
        checks.that(process.returncode == 0 and "time " in out, f"a hang-up that is ignored: exit code {process.returncode} {err}")
        checks.equal(os.listdir(f"{path}/scratch"), [], "files after a hang-up that is ignored")
        process = start(asked)
        below = has_trial(process)
        if checks.that(below, "a trial runs"):
            os.kill(below[0], signal.SIGSTOP)  # so that the trial is still there
            os.kill(below[-1], signal.SIGSTOP)
            os.kill(below[0], signal.SIGKILL)
            os.kill(below[-1], signal.SIGCONT)
        process.communicate(timeout=60)
        limit = time.monotonic() + 10
        while time.monotonic() < limit and set(below) & set(processes()):
            time.sleep(0.05)
        checks.equal(set(below) & set(processes()), set(), "processes after SIGKILL")


PARTS = {"figures": figures, "sample": sample, "formats": formats, "giants": giants, "lines": lines, "money": money, "errors": errors,
         "launcher": launcher_fails, "hang": hang, "signals": signals, "nohup": nohup}


def main():
    checks = Checks()
    run_parts(PARTS, words_given(PARTS)[0], lambda part: part(checks), at_once=3, alone=("figures", "sample"))
    checks.exit()


if __name__ == "__main__":
    main()
