"""What the log of a run says to a person: more in a Slurm job or on several nodes than at a workstation, a line now and
then in every long phase, a summary that agrees with OUT.h5.run.json and with what can be counted. Slurm's variables are
hints: odd ones change neither the exit code nor the result."""

import os
import re
import signal
import threading
import time

import support

JOBS = ("-j", "profile,digest,features,vocab,neardup", "--features", "5000", "--memory", "16M", "--segment-size", "64K")
MEBI = 1 << 20
SLURM = {"SLURM_JOB_ID": "4242", "SLURM_CLUSTER_NAME": "lynx", "SLURM_JOB_PARTITION": "cpubase", "SLURM_JOB_NUM_NODES": "2",
         "SLURM_JOB_NODELIST": "nc[10-11]", "SLURM_RESTART_COUNT": "1", "SLURM_JOB_CPUS_PER_NODE": "4(x2)",
         "SLURM_CPUS_ON_NODE": "4", "SLURM_MEM_PER_CPU": "512", "SLURM_ARRAY_JOB_ID": "4240", "SLURM_ARRAY_TASK_ID": "7",
         "LOADEDMODULES": "StdEnv/2023:gcc/12.3"}
NODE = 4 * 512 * MEBI
MAP_LINE = re.compile(r"^ *[\d.]+ % of the input, \d+ documents, [\d.]+ MB of text, [\d.]+ MB/s(, about .* left)?$")
STEP_LINE = re.compile(r"^(reduce|write), step (\d+) of (\d+): [a-z ]+, (for \d+ s|\d+ so far|\d+ %( of rank 0's part)?"
                       r"(, about \d+ s left of it)?)$")
LEFT = re.compile(r"left because of (.*): (\d+) documents, ([\d.]+) % of the input are done(.*)")


class Bench:
    def __init__(self, checks, work):
        self.checks, self.work, self.count = checks, work, 0
        self.source = f"{work}/corpus"
        support.write(f"{self.source}/a.jsonl", b"".join(support.mixed_lines(5, 1500)))
        support.write(f"{self.source}/b.jsonl", support.records(6, 1500))
        self.bytes = sum(os.path.getsize(f"{self.source}/{name}") for name in os.listdir(self.source))
        plain = self.output()
        self.plain = support.run(self.command(plain))
        checks.ended(self.plain, 0, "at a workstation")
        self.wanted = support.sha256(plain)
        self.report = support.run_report(plain)

    def output(self):
        self.count += 1
        return f"{self.work}/out-{self.count}.h5"

    def command(self, output, *more):
        return ["run", *JOBS, *more, "-o", output, self.source]

    def run(self, label, env, ranks=0, more=(), code=0):
        output = more[-1] if more and more[-1].endswith(".h5") else self.output()
        more = more[:-1] if more and more[-1].endswith(".h5") else more
        outcome = support.run(self.command(output, *more), ranks, env=env, limit=120)
        if self.checks.ended(outcome, code, label) and code == 0:
            self.checks.equal(support.sha256(output), self.wanted, f"{label}: the bytes differ")
        return outcome, output

    def says(self, label, outcome, *lines):
        for line in lines:
            self.checks.that(re.search(line, outcome.err, re.MULTILINE), f"{label}: no line like {line}:\n{outcome.err}")

    def silent(self, label, outcome, *lines):
        for line in lines:
            found = re.search(line, outcome.err, re.MULTILINE)
            self.checks.that(not found, f"{label}: says {found and found.group(0)!r}")


# ---- header ----------------------------------------------------------------------------------------------------------


def check_header(checks, bench):
    lines = bench.plain.err.splitlines()
    first = [line for line in lines if re.match(r"dhatu \S+: 2 sources, [\d.]+ MB, 1 rank, ", line)]
    checks.equal(len(first), 1, "at a workstation: the first line", bench.plain)
    bench.silent("at a workstation", bench.plain, "Slurm", "modules", "a node", "enough for", "^  rate", "^  time", "^  CPU")
    outcome, _ = bench.run("in a Slurm job", SLURM, 2)
    bench.says("in a Slurm job", outcome, r"^dhatu \S+: jobs profile,digest,features,vocab,neardup$",
               r"^Slurm job 4242 \(4240_7 of an array\) on lynx, start 2 of it, partition cpubase, 2 nodes: nc\[10-11\]$",
               r"^modules StdEnv/2023 gcc/12\.3$", r"^2 sources, [\d.]+ MB$", r"^2 ranks on 1 node, 2 a node, CPU",
               r"^result /.*\.h5, checkpoint /.*\.ckpt$", r"^memory: at most 144 MiB a rank, ",
               r"^  2048 MiB a node were asked for, and its 2 ranks may take 288$")
    heads = [line for line in outcome.err.splitlines() if line.startswith("dhatu ")]
    checks.equal(len(heads), 1, "in a Slurm job: headers", outcome)
    check_first_lines(checks, bench)
    env = {**SLURM, "SLURM_MEM_PER_CPU": "50"}
    outcome, _ = bench.run("too little memory", env, 2)
    bench.says("too little memory", outcome, r"^  200 MiB a node were asked for, and its 2 ranks may take 288: a smaller --mem")
    outcome, output = bench.run("on two nodes", {"DHATU_PRETEND_NODE_RANKS": "2", "LOADEDMODULES": "openmpi"}, 3)
    bench.says("on two nodes", outcome, r"^3 ranks on 2 nodes, 1 to 2 a node, ", r"^modules openmpi$", r"^  rate: ")
    bench.silent("on two nodes", outcome, "Slurm", "asked for", "enough for")
    report = support.run_report(output)
    checks.equal((report["job"], report["advice"], report["nodes"]), (None, None, 2), "on two nodes: run.json")
    memory = [figures["memory_bytes"] for figures in report["rank_figures"]]
    checks.equal(report["memory"]["node_bytes"], max(memory[0] + memory[1], memory[2]), "on two nodes: memory of a node")


def check_first_lines(checks, bench):
    """What and where is said before the sources are looked at."""
    seen = timed_lines(bench, "slow plan", {**SLURM, "DHATU_FAULT": "call=place,path=planned,sleep=2000,rank=0"}, 2)
    at = {word: when for word in ("dhatu ", "Slurm job ", "modules ", "2 sources") for when, line in seen if line.startswith(word)}
    checks.equal(len(at), 4, f"slow plan: lines {at}, {seen}")
    if len(at) == 4:
        checks.that(at["2 sources"] - max(at["dhatu "], at["Slurm job "], at["modules "]) > 1.5, f"slow plan: the header is late: {at}")


# ---- progress --------------------------------------------------------------------------------------------------------


def timed_lines(bench, label, env, ranks, more=()):
    """(seconds, line) of stderr, as they come."""
    output = bench.output()
    process = support.start(bench.command(output, *more), ranks, env=env)
    seen = []

    def read():
        for line in process.stderr:
            seen.append((time.monotonic(), line.rstrip("\n")))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        process.wait(120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        reader.join()
        process.stdout.close()
        process.stderr.close()
    text = "\n".join(line for _, line in seen)
    bench.checks.equal(process.returncode, 0, f"{label}: exit code\n{text}")
    if process.returncode == 0:
        bench.checks.equal(support.sha256(output), bench.wanted, f"{label}: the bytes differ")
    return seen


def check_progress(checks, bench):
    sleeps = "call=read,path=.jsonl,sleep=15,persist;call=read,path=spill,sleep=2,persist"
    for ranks in (0, 2):
        label = f"progress, {ranks or 1} ranks"
        seen = timed_lines(bench, label, {"DHATU_FAULT": sleeps}, ranks, ("--progress", "1"))
        shown = [(at, line) for at, line in seen if MAP_LINE.match(line) or STEP_LINE.match(line)]
        text = "\n".join(line for _, line in shown)
        checks.that(any(MAP_LINE.match(line) for _, line in shown), f"{label}: no line of the map phase:\n{text}")
        checks.that("% of the input" in text and " left" in text, f"{label}: no time left:\n{text}")
        for phase in ("reduce", "write"):
            checks.that(f"{phase}, step" in text, f"{label}: no line of {phase}:\n{text}")
        steps = [tuple(map(int, STEP_LINE.match(line).group(2, 3))) for _, line in shown if STEP_LINE.match(line)]
        checks.that(steps == sorted(steps) and all(0 < step <= count for step, count in steps), f"{label}: {steps}")
        checks.equal({count for _, count in steps}, {18}, f"{label}: steps in all")
        gaps = [b - a for (a, _), (b, _) in zip(shown, shown[1:])]
        checks.that(gaps and min(gaps) > 0.8, f"{label}: lines come more often than each second: {gaps}")
        print(f"{label}: {len(shown)} lines, {len({step for step, _ in steps})} steps")
    for place, phase in (("planned", "recover: "), ("recovered", "map: "), ("mapped", "map: "), ("stage-part", "reduce, step"),
                         ("reduced", "reduce, step"), ("written", "write, step")):
        label = f"rank 1 sleeps at {place}"
        seen = timed_lines(bench, label, {"DHATU_FAULT": f"call=place,path={place},sleep=4000,rank=1"}, 2, ("--progress", "1"))
        lines = [(at, line) for at, line in seen if line.startswith(phase)]
        checks.that(len(lines) >= 3, f"{label}: {len(lines)} lines of {phase}: {seen}")
    label = "slow fingerprints"
    seen = timed_lines(bench, label, {"DHATU_FAULT": "call=open,path=.jsonl,sleep=4000,rank=1"}, 2, ("--progress", "1"))
    checks.that(sum(line.startswith("plan: ") for _, line in seen) >= 3, f"{label}: {seen}")
    seen = timed_lines(bench, "quiet", {"DHATU_FAULT": sleeps.split(";")[0]}, 0, ("--progress", "1", "-q"))
    checks.equal([line for _, line in seen if "warning: " not in line], [], "quiet: lines")
    bench.silent("an hour between lines", bench.run("an hour", None, more=("--progress", "3600"))[0], "% of the input", ", step ")


# ---- summary ---------------------------------------------------------------------------------------------------------


def check_figures(checks, label, outcome, report, cpus):
    ranks = report["rank_figures"]
    memory = report["memory"]
    checks.equal(memory["rank_bytes"], max(f["memory_bytes"] for f in ranks), f"{label}: memory of a rank")
    checks.equal(memory["node_bytes"], sum(f["memory_bytes"] for f in ranks), f"{label}: memory of the node")
    used = [sum(f["seconds"][kind] for f in ranks) for kind in ("user", "system")]
    cpu = report["cpu"]
    checks.that(abs(cpu["user_seconds"] - used[0]) < 0.01 and abs(cpu["system_seconds"] - used[1]) < 0.01, f"{label}: {cpu}, {used}")
    checks.equal(cpu["allocated"], cpus, f"{label}: CPUs")
    share = sum(used) / report["seconds"] / cpus
    checks.that(abs(cpu["efficiency"] - share) < 0.02 * share + 0.001, f"{label}: efficiency {cpu['efficiency']}, {share}")
    rates = report["rates"]
    for name, total in (("documents_per_second", sum(f["documents"] for f in ranks)),
                        ("text_bytes_per_second", sum(f["text_bytes"] for f in ranks)),
                        ("rank_text_bytes_per_second", sum(f["text_bytes"] for f in ranks) / len(ranks))):
        wanted = total / report["seconds"]
        checks.that(abs(rates[name] - wanted) < 0.01 * wanted + 1, f"{label}: {name} {rates[name]}, {wanted}")
    said = re.search(r"^  memory: at most (\d+) MiB a rank, (\d+) MiB a node", outcome.err, re.MULTILINE)
    wanted = (round(memory["rank_bytes"] / MEBI), round(memory["node_bytes"] / MEBI))
    checks.equal(said and tuple(map(int, said.groups())), wanted, f"{label}: memory in the log", outcome)
    said = re.search(r"^  CPU: (\d+) % of (\d+) CPUs were used", outcome.err, re.MULTILINE)
    if checks.that(said, f"{label}: no CPU efficiency", outcome):
        checks.equal(int(said.group(2)), cpus, f"{label}: CPUs in the log")
        checks.that(abs(int(said.group(1)) - 100 * cpu["efficiency"]) <= 0.51, f"{label}: CPU efficiency in the log", outcome)
    times = re.search(r"^  time: plan ([\d.]+) s, recover ([\d.]+), map ([\d.]+), reduce ([\d.]+), write ([\d.]+)",
                      outcome.err, re.MULTILINE)
    if checks.that(times, f"{label}: no times", outcome):
        phases = report["phase_seconds"]
        for name, value in zip(("plan", "recover", "map", "reduce"), times.groups()):
            checks.that(abs(float(value) - phases[name]) < 0.06, f"{label}: seconds of {name}: {value}, {phases[name]}")


def check_time(checks, label, report):
    """dhatu is told to leave six minutes before the end of a job: what is left for it is to be enough."""
    seconds = report["advice"]["time_seconds"]
    least = 1.25 * (report["seconds"] + report["recovered"]["seconds"]) + 390
    checks.that(max(least, 600) <= seconds <= max(least + 300, 600) and seconds % 300 == 0, f"{label}: {seconds} s, {least} at least")


def check_advice(checks, label, outcome, report, name, least):
    """name: the option of sbatch; least: MiB that were used, and 51 more for what is no rank."""
    advice = report["advice"]
    key = name.replace("-", "_") + "_mebibytes"
    if not checks.that(advice and key in advice, f"{label}: advice {advice}"):
        return
    checks.that(least * 1.25 < advice[key] < least * 1.25 + 18, f"{label}: {advice[key]} MiB where {least} were used")
    check_time(checks, label, report)
    seconds = advice["time_seconds"]
    clock = f"{seconds // 3600:02}:{seconds % 3600 // 60:02}:{seconds % 60:02}"
    checks.that(f"  enough for the same work: --{name}={advice[key]}M --time={clock}\n" in outcome.err,
                f"{label}: advice in the log", outcome)


def check_summary(checks, bench):
    outcome, output = bench.run("summary", SLURM, 2)
    report = support.run_report(output)
    job = {"start": 2, "id": "4242", "array": "4240_7", "cluster": "lynx", "partition": "cpubase", "nodes": "nc[10-11]",
           "modules": SLURM["LOADEDMODULES"], "cpus": 8, "memory_per_node": None, "memory_per_cpu": 512 * MEBI}
    checks.equal(report["job"], job, "run.json: job")
    check_figures(checks, "summary", outcome, report, 8)
    checks.equal(report["memory"]["asked_node_bytes"], NODE, "run.json: memory asked for")
    checks.that(f" of {NODE // MEBI} asked for" in outcome.err, "memory asked for", outcome)
    check_advice(checks, "by CPU", outcome, report, "mem-per-cpu",
                 max((report["memory"]["node_bytes"] / MEBI + 51) / 4, report["memory"]["rank_bytes"] / MEBI / 2))
    bad = {}
    for line in support.quarantine(output):
        bad[line["reason"]] = bad.get(line["reason"], 0) + 1
    checks.equal(report["bad"], bad, "run.json: bad records")
    checks.that(bad, "the corpus has no bad records")
    for reason, count in bad.items():
        checks.that(f"  {count} {reason}: " in outcome.err, f"bad records: {reason}", outcome)
    checks.that("; 0 restarts\n" in outcome.err, "restarts", outcome)
    env = {**SLURM, "SLURM_MEM_PER_NODE": "4096"}
    del env["SLURM_MEM_PER_CPU"]
    outcome, output = bench.run("by node", env, 2)
    report = support.run_report(output)
    checks.equal(report["memory"]["asked_node_bytes"], 4096 * MEBI, "by node: memory asked for")
    check_advice(checks, "by node", outcome, report, "mem", report["memory"]["node_bytes"] / MEBI + 51)
    check_other_advice(checks, bench)
    for name in ("bad", "documents"):
        checks.equal(bench.report[name], report[name], f"at a workstation: {name} in run.json")
    plain = (bench.report["job"], bench.report["advice"], bench.report["cpu"]["allocated"], bench.report["cpu"]["efficiency"],
             bench.report["memory"]["asked_node_bytes"], bench.report["nodes"])
    checks.equal(plain, (None, None, None, None, None, 1), "at a workstation: run.json")


def check_other_advice(checks, bench):
    """The largest rank counts; beside what the user asked for nothing is named that Slurm would refuse."""
    outcome, output = bench.run("a CPU a rank", {**SLURM, "SLURM_CPUS_ON_NODE": "2", "SLURM_JOB_CPUS_PER_NODE": "2"}, 2)
    report = support.run_report(output)
    memory = report["memory"]
    check_advice(checks, "a CPU a rank", outcome, report, "mem-per-cpu",
                 max(memory["node_bytes"] / MEBI / 2 + 25.6, memory["rank_bytes"] / MEBI))
    without = {name: value for name, value in SLURM.items() if name != "SLURM_CPUS_ON_NODE"}
    het = {f"SLURM_JOB_{name}_HET_GROUP_{group}": value
           for name, values in (("CPUS_PER_NODE", ("4(x2)", "6")), ("NUM_NODES", ("2", "1")), ("NODELIST", ("nc[10-11]", "ng1")))
           for group, value in enumerate(values)}
    for label, env in (("CPUs unknown", without), ("by GPU", {**SLURM, "SLURM_MEM_PER_GPU": "4096"}),
                       ("two components", {**SLURM, **het, "SLURM_HET_SIZE": "2"})):
        outcome, output = bench.run(label, env, 2)
        report = support.run_report(output)
        check_time(checks, label, report)
        bench.says(label, outcome, "^  enough for the same work: --time=00:")
        checks.equal([value for name, value in report["advice"].items() if "mem" in name], [None], f"{label}: memory")
        if label == "two components":
            checks.equal((report["job"]["cpus"], report["job"]["nodes"]), (14, "nc[10-11],ng1"), f"{label}: run.json")
            bench.says(label, outcome, r", 3 nodes: nc\[10-11\],ng1$")


# ---- odd values ------------------------------------------------------------------------------------------------------


def check_odd(checks, bench):
    for value in ("", "x" * 3000, "-1", "0", "99999999999999999999999", "64(x", "4(x0)", "\x1b[2J\n\tpwned %s%n", "\xff\xfe"):
        env = {name: value for name in SLURM}
        env["SLURM_JOB_ID"] = "4242"
        label = f"odd value {value[:20]!r}"
        outcome, output = bench.run(label, env)
        report = support.run_report(output)
        checks.equal(report["job"]["id"], "4242", label)
        checks.that("\x1b" not in outcome.err and "\npwned" not in outcome.err, f"{label}: it is printed as it is", outcome)
        checks.that(max(map(len, outcome.err.splitlines())) < 1500, f"{label}: a line is too long")
        known = [report["job"][name] for name in ("cpus", "memory_per_node", "memory_per_cpu")] + [report["cpu"]["efficiency"]]
        checks.equal(known, [None] * 4, f"{label}: numbers")
        bench.says(label, outcome, "^  CPU: user [\\d.]+ s, system [\\d.]+ s$", "^  enough for the same work: --time=")
    outcome, output = bench.run("an odd job number", {**SLURM, "SLURM_JOB_ID": "../../x\x1b[0m"})
    checks.equal(support.run_report(output)["job"]["id"], "../../x?[0m", "an odd job number")
    outcome, output = bench.run("an empty job number", {**SLURM, "SLURM_JOB_ID": ""})
    checks.equal(support.run_report(output)["job"], None, "an empty job number")


# ---- left ------------------------------------------------------------------------------------------------------------


def check_left(checks, bench):
    output = bench.output()
    slow = {**SLURM, "DHATU_FAULT": "call=read,path=.jsonl,sleep=80,persist"}
    limit = ("--max-time", "7", "--grace", "2", "--commit-interval", "1", output)
    outcome, _ = bench.run("left", slow, 2, limit, 75)
    found = LEFT.search(outcome.err)
    status = support.run(["status", "--json", output + ".ckpt"])
    if not checks.that(found, "left: no summary", outcome) or not checks.ended(status, 0, "status of what is left"):
        return
    facts = support.json.loads(status.out)
    checks.equal(found.group(1), "--max-time", "left: why")
    checks.that(0 < int(found.group(2)) < bench.report["documents"], "left: not in the middle of it", outcome)
    checks.equal(int(found.group(2)), facts["documents"], "left: documents that are kept", outcome)
    share = 100 * facts["file_bytes"] / bench.bytes
    checks.that(abs(float(found.group(3)) - share) < 0.06, f"left: {found.group(3)} %, {share}", outcome)
    checks.that(re.fullmatch(r"; this attempt did [\d.]+ MB of text in [\d.]+ s \([\d.]+ MB/s\); the rest of the input takes "
                             r"about .*", found.group(4)), f"left: {found.group(4)}", outcome)
    begun = found.group(2)
    outcome, _ = bench.run("left behind the map phase", {**SLURM, "DHATU_FAULT": "call=read,path=spill,sleep=20,persist"}, 0,
                           ("--max-time", "9", "--grace", "4", output), 75)
    bench.says("it goes on", outcome, rf"^attempt 2 goes on: \d+ segments with {begun} documents are done",
               r"^  they took \d.*; at their rate the rest of the input takes about \d",
               r"^left because of --max-time: \d+ documents, 100\.0 % of the input are done.*; what needs all documents together is left$")
    outcome, _ = bench.run("the end", SLURM, 2, ("--keep-checkpoint", output))
    report = support.run_report(output)
    bench.says("the end", outcome, "^attempt 3 goes on: ", "^  this start read no documents; 2 restarts$", "^  of these, .* were done by earlier attempts",
               r"^  CPU: \d+ % of 8 CPUs were used in this start \(user .*\); ranks waited for one another \d+ % of the time$")
    bench.silent("the end", outcome, "at their rate", "^  rate: ")
    check_time(checks, "the end", report)
    checks.that(14 < report["recovered"]["seconds"] < 60, f"earlier attempts took {report['recovered']}")
    checks.equal(report["restarts"], 2, "restarts in run.json")
    checks.equal(report["advice"].get("mem_per_cpu_mebibytes", 0), None, "memory of attempts that nobody knows")
    bench.says("the end", outcome, "^  enough for the same work: --time=00:")
    output = bench.output()
    outcome, _ = bench.run("left with nothing", slow, 0, ("--max-time", "2", "--grace", "1", "--commit-interval", "0", output), 75)
    bench.says("left with nothing", outcome, r"^left because of --max-time: 0 documents, 0\.0 % of the input are done$")


def check_killed(checks, bench):
    """What a killed attempt did behind the map phase counts, too."""
    output = bench.output()
    slow = {**SLURM, "DHATU_FAULT": "call=read,path=spill,sleep=20,persist;call=place,path=reduced,error=KILL"}
    bench.run("killed in the reduce phase", slow, 0, (output,), 137)
    files = {name: os.stat(f"{output}.ckpt/{name}").st_mtime for name in os.listdir(output + ".ckpt")}
    took = max(files.values()) - files["attempt-000001"]
    journal = max(time for name, time in files.items() if name.startswith("journal-")) - files["attempt-000001"]
    checks.that(took > journal + 2, f"killed in the reduce phase: no sign of life behind the map phase: {files}")
    _, output = bench.run("killed, then the end", SLURM, 0, (output,))
    seconds = support.run_report(output)["recovered"]["seconds"]
    checks.that(abs(seconds - took) < 1, f"killed in the reduce phase: {seconds} s, {took}")


PARTS = {"header": check_header, "progress": check_progress, "summary": check_summary, "odd": check_odd, "left": check_left,
         "killed": check_killed}


def main():
    """joblog.py [PART...]"""
    for name in [n for n in os.environ if n.startswith("SLURM_") or n == "LOADEDMODULES"]:
        del os.environ[name]
    checks = support.Checks()
    support.program()
    with support.folder() as work:
        bench = Bench(checks, work)
        support.run_parts(PARTS, support.words_given(PARTS)[0], lambda check: check(checks, bench))
    checks.exit()


if __name__ == "__main__":
    main()
