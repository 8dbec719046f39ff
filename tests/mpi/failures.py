"""What goes wrong ends with the right exit code and a message from who knows, within seconds, never with a
hang, and leaves neither half a result nor the old one damaged."""

import contextlib
import glob
import gzip
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import support

HANG = 20  # seconds; a failure that takes longer counts as a hang
NOBODY = 65534
JOBS = ("-j", "profile,digest")


def failed_well(checks, label, outcome, code, words=(), most=None):
    """The exit code, a message with all the words, at most so many errors, and no crash behind it."""
    if not checks.ended(outcome, code, label):
        return False
    good = checks.that(outcome.errors(), f"{label}: no error message", outcome)
    for word in words:
        good &= checks.that(any(re.search(word, line) for line in outcome.errors()), f"{label}: no error names '{word}'",
                            outcome)
    if most is not None:
        good &= checks.that(len(outcome.errors()) <= most, f"{label}: {len(outcome.errors())} errors instead of {most}",
                            outcome)
    checks.that(not re.search(r"Segmentation fault|\*\*\* Process received signal", outcome.err), f"{label}: crashed", outcome)
    checks.that(outcome.seconds < HANG, f"{label}: took {outcome.seconds:.0f} s", outcome)
    return good


def check_kept(checks, label, outcome, output, checkpoint=None):
    """A run that failed leaves a checkpoint where segments are done, and nothing else."""
    checkpoint = checkpoint or output + ".ckpt"
    said = re.search(r"(\d+) segments are done and kept in", outcome.err)
    names = os.listdir(checkpoint) if os.path.isdir(checkpoint) else []
    ours = [name for name in names if re.match("attempt|journal|spill|manifest", name)]
    if said:
        checks.that(any(name.startswith("journal-") for name in names), f"{label}: the checkpoint is lost", outcome)
        checks.that(int(said.group(1)) > 0, f"{label}: keeps nothing", outcome)
    else:
        checks.equal(ours, [], f"{label}: left in the checkpoint", outcome)
    beside = [name for name in os.listdir(os.path.dirname(output)) if name.startswith(os.path.basename(output))]
    checks.that(not [name for name in beside if ".partial" in name or ".tmp" in name], f"{label}: left {beside}", outcome)


# ---- the command line ------------------------------------------------------------------------------------------


def check_usage(checks, work):
    source = support.write(f"{work}/in/a.jsonl", support.records(1, 20))
    os.makedirs(f"{work}/empty")
    output = f"{work}/usage.h5"
    cases = (
        (["run", "--no-such-option", source], 2, "no-such-option"),
        (["run", "-Z", source], 2, "Z"),
        (["run", "-j", "profile,nonsense", source], 2, "nonsense"),
        (["run", "-j", "", source], 2, "job"),
        (["run", "--format", "xml", source], 2, "xml"),
        (["run", "--tokens", "bytes", source], 2, "bytes"),
        (["run", "--segment-size", "12q", source], 2, "12q"),
        (["run", "--segment-size", "1", source], 2, "segment-size"),
        (["run", "--deflate", "11", source], 2, "11"),
        (["run", "--max-bad", "-1", source], 2, "-1"),
        (["run", "--lexicon", f"{work}/none.tsv", source], (2, 74), "none.tsv"),
        (["run", "--config", f"{work}/none.ini", source], (2, 74), "none.ini"),
        (["run", "--backend", "abacus", source], 2, "abacus"),
        (["run", "-o", f"{work}/in/", source], 2, "in/"),
        (["run", "-o", f"{work}/no/such/folder/a.h5", source], 74, "no/such/folder"),
        (["run", "-o", f"{work}/empty", source], (2, 74), "empty"),
        (["run"], 2, "INPUT"),
        (["run", "-o", output, f"{work}/empty"], 2, "no source"),
        (["run", "-o", output, f"{work}/missing.jsonl"], 74, "missing.jsonl"),
        (["run", "-o", output, source, f"{work}/missing.jsonl"], 74, "missing.jsonl"),
        (["run", "-o", output, f"{work}/missing*.jsonl"], 74, "missing"),
        (["run", "-o", output, f"@{work}/missing.txt"], 74, "missing.txt"),
        (["run", "-o", output, "/dev/null"], 74, "/dev/null"),
        (["march", source], 2, "march"),
        (["inspect", f"{work}/missing.h5"], (2, 74), "missing.h5"),
        (["inspect", source], (74, 78), "a.jsonl"),
    )
    for arguments, code, word in cases:
        label = "dhatu " + " ".join(arguments).replace(work, "")
        failed_well(checks, label, support.run(arguments, limit=HANG, cwd=work), code, [re.escape(word)], 1)
        checks.that(not os.path.exists(output), f"{label}: left a result")
    for arguments, code, word in (cases[0], cases[2], cases[14], cases[16], cases[17], cases[18]):
        label = "3 ranks: dhatu " + " ".join(arguments).replace(work, "")
        failed_well(checks, label, support.run(arguments, 3, limit=HANG, cwd=work), code, [re.escape(word)], 3)
    checks.that(support.listing(f"{work}/empty") == [] and support.listing(f"{work}/in") == ["a.jsonl"], "usage errors leave files")


def check_existing(checks, work):
    first = support.write(f"{work}/first.jsonl", support.records(2, 50))
    second = support.write(f"{work}/second.jsonl", support.records(3, 60))
    output = f"{work}/existing.h5"
    three = [output, output + ".run.json", output + ".quarantine.jsonl"]
    for ranks in (0, 3):
        checks.ended(support.run(["run", *JOBS, "-f", "-o", output, first], ranks), 0, "a first run")
        before = [(support.sha256(path), os.stat(path).st_mtime_ns) for path in three]
        outcome = support.run(["run", *JOBS, "-o", output, second], ranks, limit=HANG)
        failed_well(checks, f"a result that exists, {ranks} ranks", outcome, 2, ["existing.h5", "--force"], 1)
        after = [(support.sha256(path), os.stat(path).st_mtime_ns) for path in three]
        checks.equal(after, before, f"a result that exists, {ranks} ranks: files changed")
        checks.ended(support.run(["run", *JOBS, "--force", "-o", output, second], ranks), 0, "--force")
        fresh = f"{work}/fresh{ranks}.h5"
        checks.ended(support.run(["run", *JOBS, "-o", fresh, second]), 0, "a fresh run")
        checks.equal(support.sha256(output), support.sha256(fresh), "--force gives another result than a fresh run")
        checks.that(not [n for n in support.listing(work) if ".partial" in n or ".ckpt" in n or ".tmp" in n],
                    f"leftovers: {support.listing(work)}")


def check_bad_limits(checks, work):
    """N bad are allowed, N + 1 are not, wherever they are."""
    lines = support.records(4, 300).splitlines(keepends=True)
    for i in range(6):
        support.write(f"{work}/bad/{i}.jsonl", b"".join(lines[:50 * i]) + b"{broken\n" + b"".join(lines[50 * i:]))
    support.write(f"{work}/bad/z.jsonl.gz", gzip.compress(b"".join(lines), mtime=0)[:-4])
    total = 7
    good = f"{work}/good"
    support.write(f"{good}/a.jsonl", b"".join(lines))
    checks.ended(support.run(["run", "-o", f"{work}/all.h5", "--segment-size", "64K", f"{work}/bad"]), 0, "a run without a limit")
    wanted = support.prints(f"{work}/all.h5")
    for ranks in (0, 3):
        for options, folder, code in ((("--strict",), "bad", 65), (("--max-bad", str(total - 1)), "bad", 65),
                                      (("--max-bad", str(total)), "bad", 0), (("--strict",), "good", 0)):
            output = f"{work}/limit.h5"
            label = f"{' '.join(options)} of {folder}, {ranks} ranks"
            outcome = support.run(["run", "-o", output, "--segment-size", "64K", *options, f"{work}/{folder}"], ranks,
                                  limit=HANG)
            if code == 0:
                checks.ended(outcome, 0, label)
                checks.that(os.path.exists(output), f"{label}: no result")
            elif failed_well(checks, label, outcome, code, ["--max-bad"], 1):
                checks.that(re.search(r"[0-9z]\.jsonl", outcome.err), f"{label}: no bad record is named", outcome)
                check_kept(checks, label, outcome, output)
                again = support.run(["run", "-o", output, "--segment-size", "64K", "--max-bad", str(total), f"{work}/{folder}"],
                                    3 - ranks, limit=HANG)
                checks.ended(again, 0, f"{label}: the same with a higher limit")
                checks.equal(support.prints(output), wanted, f"{label}: with a higher limit")
            for name in [n for n in os.listdir(work) if n.startswith("limit.h5")]:
                path = f"{work}/{name}"
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)


# ---- permissions ------------------------------------------------------------------------------------------------


def check_permissions(checks, work):
    options = {}
    if os.geteuid() == 0:
        options = {"user": NOBODY, "group": NOBODY, "extra_groups": [], "env": {"HOME": work, "OMPI_ALLOW_RUN_AS_ROOT": ""}}
        try:
            outcome = support.run(["jobs"], limit=HANG, cwd="/", **options)
        except OSError as error:
            return checks.note(f"permissions are left out: {error}")
        if outcome.code != 0:
            return checks.note("permissions are left out: another user cannot run the program")
        os.chmod(work, 0o777)
    for ranks in (0, 2):
        secret = f"{work}/secret{ranks}"
        support.write(f"{secret}/a.jsonl", support.records(1, 20))
        support.write(f"{secret}/b.jsonl", support.records(2, 20))
        os.chmod(f"{secret}/b.jsonl", 0)
        output = f"{work}/out{ranks}.h5"
        label = f"a source that cannot be read, {ranks} ranks"
        outcome = run_as(ranks, ["run", "-o", output, secret], work, options)
        failed_well(checks, label, outcome, 74, ["b.jsonl", "ermission"], 1)
        checks.that(not os.path.exists(output), f"{label}: left a result")
        checks.that(not os.path.exists(output + ".ckpt"), f"{label}: left the folder of the spills")
        os.chmod(f"{secret}/b.jsonl", 0o644)
        closed = f"{work}/closed{ranks}"
        os.makedirs(closed)
        os.chmod(closed, 0o555)
        label = f"a folder that cannot be written, {ranks} ranks"
        outcome = run_as(ranks, ["run", "-o", f"{closed}/out.h5", secret], work, options)
        failed_well(checks, label, outcome, (2, 74), ["closed"], 1)
        label = f"a folder of spills that cannot be written, {ranks} ranks"
        outcome = run_as(ranks, ["run", "-o", output, "-c", f"{closed}/ckpt", secret], work, options)
        failed_well(checks, label, outcome, 74, ["closed"], max(ranks, 1))
        os.chmod(closed, 0o755)
        os.chmod(secret, 0)
        label = f"a folder that cannot be read, {ranks} ranks"
        outcome = run_as(ranks, ["run", "-o", output, secret], work, options)
        failed_well(checks, label, outcome, 74, ["secret", "ermission"], 1)
        os.chmod(secret, 0o755)


def run_as(ranks, arguments, work, options):
    """mpirun refuses --allow-run-as-root to nobody only by ignoring it."""
    return support.run(arguments, ranks, limit=HANG, cwd=work, **options)


# ---- spills, kills, sources that go away ------------------------------------------------------------------------


def check_spills(checks, work):
    """One rank of four cannot write: it says so, all end."""
    source = f"{work}/spill-in"
    for i in range(16):
        support.write(f"{source}/{i:02d}.jsonl", support.records(i, 300))
    run = ["run", *JOBS, "--segment-size", "64K"]
    checks.ended(support.run([*run, "-o", f"{work}/good.h5", source]), 0, "a run that can write")
    for ranks, bad in ((0, 0), (4, 0), (4, 2)):
        for kind, fault, reason in (("full", "call=write,error=ENOSPC,persist", r"writing \d+ bytes.*No space left"),
                                    ("closed", "call=open,error=EACCES", "cannot create.*ermission")):
            label = f"the spill of rank {bad} of {ranks}, {kind}"
            output = f"{work}/spill.h5"
            ckpt = f"{work}/ckpt-{ranks}-{bad}-{kind}"
            os.makedirs(ckpt)
            arguments = [*run, "-o", output, "-c", ckpt, source]
            outcome = support.run(arguments, ranks, limit=HANG, env={"DHATU_FAULT": f"{fault},path=/spill-0,rank={bad}"})
            words = [r"spill-000001-%06d\b" % bad, reason]
            if ranks:
                words.append(rf"\[rank {bad}\]")
            failed_well(checks, label, outcome, 74, words, 1)
            checks.that(not os.path.exists(output), f"{label}: left a result")
            check_kept(checks, label, outcome, output, ckpt)
            goes_on(checks, label, arguments, 0 if ranks else 3, output, support.prints(f"{work}/good.h5"))
            for name in [n for n in os.listdir(work) if n.startswith("spill.h5")]:
                os.unlink(f"{work}/{name}")


def goes_on(checks, label, arguments, ranks, output, wanted):
    again = support.run(arguments, ranks)
    if checks.ended(again, 0, f"{label}: the next run"):
        checks.equal(support.prints(output), wanted, f"{label}: the next run's result", again)


def make_long_corpus(work, name, links):
    """Much work from little disk: many links to one file."""
    one = f"{work}/one.jsonl"
    if not os.path.exists(one):
        support.write(one, support.records(9, 6000))
    os.makedirs(f"{work}/{name}")
    for i in range(links):
        os.symlink(one, f"{work}/{name}/{i:04d}.jsonl")
    return f"{work}/{name}"


def wait_for(condition, limit=15):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return False


def spilled(folder):
    with contextlib.suppress(OSError):
        return sum(os.path.getsize(f"{folder}/{n}") for n in os.listdir(folder)) > 2 << 20
    return False


def check_kills(checks, work):
    corpus = make_long_corpus(work, "long", 80)
    few = f"{corpus}/000?.jsonl"
    fresh = {}
    for name, inputs, options in (("map", corpus, []), ("write", few, ["--deflate", "9"])):
        checks.ended(support.run(["run", *JOBS, *options, "-o", f"{work}/{name}.h5", inputs]), 0, "a fresh run")
        fresh[name] = support.prints(f"{work}/{name}.h5")
    for victim, phase in ((1, "map"), (0, "map"), (1, "write"), (None, "map")):
        output = f"{work}/killed-{victim}-{phase}.h5"
        options = ["--deflate", "9"] if phase == "write" else []
        label = f"kill -9 of rank {victim} in {phase}" if victim is not None else "SIGTERM to mpirun in map"
        arguments = ["run", *JOBS, "-o", output, "--commit-interval", "1", *options, corpus if phase == "map" else few]
        process = support.start(arguments, 2)
        there = (lambda: committed(output + ".ckpt")) if phase == "map" else (lambda: glob.glob(output + ".partial-*"))
        started = wait_for(lambda: there() or process.poll() is not None)
        pids = support.ranks_of(process.pid)
        if process.poll() is not None or len(pids) != 2 or not started:
            support.finish(process, 60)
            checks.note(f"{label}: the run was over before it could be killed")
            continue
        if victim is None:
            above = [pid for pid in support.descendants(process.pid) if pid not in pids]
            os.kill(above[0], signal.SIGTERM)
        else:
            os.kill(pids[victim], signal.SIGKILL)
        outcome = support.finish(process, 15)
        if not checks.that(not outcome.timed_out, f"{label}: mpirun goes on", outcome):
            continue
        checks.that(outcome.code != 0, f"{label}: exit code 0", outcome)
        if os.path.exists(output):
            checks.equal(support.prints(output), fresh[phase], f"{label}: there is a wrong result")
            checks.note(f"{label}: the run was over before it died")
            continue
        gone = wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), 5)
        checks.that(gone, f"{label}: ranks live on")
        checks.that(not os.path.exists(output), f"{label}: a result appears later")
        goes_on(checks, label, arguments, 0, output, fresh[phase])
        if os.path.exists(output):
            checks.that(support.run_report(output)["recovered"]["segments"] > 0, f"{label}: nothing was recovered")
        name = os.path.basename(output)
        left = [n for n in os.listdir(work) if n.startswith(name) and (".partial" in n or ".ckpt" in n)]
        checks.equal(left, [], f"{label}: left behind by the next run")


def committed(folder):
    with contextlib.suppress(OSError):
        return any(n.startswith("journal-") and os.path.getsize(f"{folder}/{n}") > 0 for n in os.listdir(folder))
    return False


def check_vanished(checks, work):
    """A source that was there for the plan and is not there to be read. When it is there again, the run goes on."""
    for ranks in (0, 2):
        corpus = make_long_corpus(work, f"vanish{ranks}", 80)
        output = f"{work}/vanish{ranks}.h5"
        label = f"a source that vanishes, {ranks} ranks"
        process = support.start(["run", *JOBS, "-o", output, corpus], ranks)
        wait_for(lambda: spilled(output + ".ckpt") or process.poll() is not None)
        os.rename(f"{corpus}/0079.jsonl", f"{work}/away{ranks}")
        outcome = support.finish(process, HANG)
        if outcome.code == 0:
            checks.note(f"{label}: the run was too fast")
            continue
        failed_well(checks, label, outcome, 74, ["0079.jsonl"], 1)
        checks.that(not os.path.exists(output), f"{label}: left a result")
        check_kept(checks, label, outcome, output)
        os.rename(f"{work}/away{ranks}", f"{corpus}/0079.jsonl")
        again = support.run(["run", *JOBS, "-o", output, corpus], 2 - ranks)
        if checks.ended(again, 0, f"{label}: the next run"):
            checks.that(support.run_report(output)["recovered"]["segments"] > 0, f"{label}: nothing was recovered")


def check_shrunk(checks, work):
    """A source that loses its end while it is read: the result must not pass for that of the whole."""
    source = f"{work}/shrunk.jsonl"
    block = support.records(9, 6000)
    with open(source, "wb") as file:
        for _ in range(40):
            file.write(block)
    output = f"{work}/shrunk.h5"
    process = support.start(["run", *JOBS, "-o", output, source])
    wait_for(lambda: spilled(output + ".ckpt") or process.poll() is not None)
    os.truncate(source, len(block))
    outcome = support.finish(process, HANG)
    failed_well(checks, "a source that shrinks while it is read", outcome, (74, 78), ["shrunk.jsonl"], 1)
    checks.that(not os.path.exists(output), "a source that shrinks while it is read: there is a result")


def check_file_limit(checks, work):
    """RLIMIT_FSIZE: the signal must not kill without a word."""
    source = support.write(f"{work}/limited.jsonl", support.records(5, 2000))
    size, wanted = None, None
    for label, part in (("no limit", None), ("of the spill", 0.02), ("of the result", 0.97)):
        output = f"{work}/limited.h5"
        wrapper = support.limited(resource.RLIMIT_FSIZE, int(size * part)) if part else ()
        outcome = support.run(["run", *JOBS, "-o", output, source], limit=HANG, wrapper=wrapper)
        if part is None:
            checks.ended(outcome, 0, label)
            size, wanted = os.path.getsize(output), support.prints(output)
            for name in support.listing(work):
                if name.startswith("limited.h5"):
                    os.unlink(f"{work}/{name}")
            continue
        label = f"a limit on the size of files met {label}"
        failed_well(checks, label, outcome, 74, ["limited.h5"], 1)
        check_kept(checks, label, outcome, output)
        goes_on(checks, label, ["run", *JOBS, "-o", output, source], 2, output, wanted)
        for name in os.listdir(work):
            if name.startswith("limited.h5"):
                os.unlink(f"{work}/{name}")


# ---- full disks -------------------------------------------------------------------------------------------------


def full(checks, label, disk, arguments, ranks, wanted, output, old=None):
    """A run on a disk that may be too small: 74 with nothing but the checkpoint left behind, or a whole result."""
    outcome = support.run(arguments, ranks, limit=HANG)
    if outcome.code == 0 and not outcome.timed_out:
        checks.equal(support.sha256(output), wanted, f"{label}: the result differs")
        return 0
    if checks.ended(outcome, 74, label):
        failed_well(checks, label, outcome, 74, [re.escape(disk.path), r"\d+ bytes|HDF5", "No space left"])
    left = [n for n in support.listing(disk.path) if "ckpt/" not in n]
    kept = [os.path.relpath(output + suffix, disk.path) for suffix in ("", ".run.json", ".quarantine.jsonl")] if old else []
    checks.equal([n for n in left if n not in kept], [], f"{label}: left on the disk", outcome)
    if old and output.startswith(disk.path):
        checks.that(os.path.exists(output) and support.sha256(output) == old, f"{label}: the old result is not intact")
    return outcome.code


def check_disks(checks, work):
    lines = support.records(6, 1500).splitlines(keepends=True)
    source = support.write(f"{work}/disk-in/a.jsonl", b"".join(line + b"{bad\n" * (i % 3 == 0) for i, line in enumerate(lines)))
    disk = support.Disk(work)
    try:
        for deflate in ("0", "3"):
            good = f"{work}/good{deflate}.h5"
            run = ["run", *JOBS, "--deflate", deflate, "--segment-size", "64K"]
            checks.ended(support.run([*run, "-o", good, source], 4), 0, "a run on a large disk")
            size = os.path.getsize(good)
            spill = sum(f["spill_bytes"] for f in support.run_report(good)["rank_figures"])
            listed = os.path.getsize(good + ".quarantine.jsonl")
            wanted = support.sha256(good)
            output = f"{disk.path}/out.h5"
            check_result_disk(checks, disk, [*run, "-c", f"{work}/ckpt{deflate}", "-o", output, source], output, wanted, size, listed,
                              deflate)
            check_old_result(checks, disk, run, work, source, output, wanted, size, spill)
            if deflate == "0":
                check_spill_disk(checks, disk, run, work, source, wanted, spill)
    finally:
        disk.close()


def check_result_disk(checks, disk, arguments, output, wanted, size, listed, deflate):
    sizes = [(64 << 10, 0), (size // 2, 0), (size // 2, 3), (64 << 10, 3)]
    step = 16 << 10 if deflate == "0" else 40 << 10
    sizes += [(size + delta, 0) for delta in range(-20 << 10, listed + (20 << 10), step)]
    sizes += [(size + listed // 2, 3), (size + listed + (128 << 10), 0)]
    codes = []
    for space, ranks in sizes:
        disk.empty(space)
        label = f"a disk of {space} bytes for a result of {size}, deflate {deflate}, {ranks} ranks"
        codes.append(full(checks, label, disk, arguments, ranks, wanted, output))
        if codes[-1] == 74:
            disk.resize(64 << 20)
            again = support.run(arguments, ranks)
            label += ": the next run with space"
            if checks.ended(again, 0, label):
                checks.equal(support.sha256(output), wanted, label)
    checks.that(74 in codes and 0 in codes, f"the sizes of disks are badly chosen: {codes}")


def check_old_result(checks, disk, run, work, source, output, wanted, size, spill):
    older = support.write(f"{work}/older.jsonl", support.records(7, 100))
    for ranks, beside in ((0, False), (3, False), (2, True)):
        disk.empty(64 << 20)
        checks.ended(support.run([*run, "-o", output, older]), 0, "an old result")
        old = support.sha256(output)
        used = sum(os.path.getsize(f"{disk.path}/{n}") + 4096 for n in support.listing(disk.path))
        disk.resize(used + (spill // 2 if beside else size // 2))
        label = f"an old result on a full disk, {ranks} ranks, spills {'beside' if beside else 'elsewhere'}"
        where = [] if beside else ["-c", f"{work}/ckpt-old-{run[4]}-{ranks}"]  # of this deflate alone
        code = full(checks, label, disk, [*run, *where, "--force", "-o", output, source], ranks, wanted, output, old)
        checks.equal(code, 74, label)


def check_spill_disk(checks, disk, run, work, source, wanted, spill):
    for ranks, space in ((0, spill // 2), (4, spill // 2), (4, spill - (16 << 10)), (4, 4096)):
        disk.empty(space)
        output = f"{work}/spilled.h5"
        label = f"a disk of {space} bytes for {spill} of spills, {ranks} ranks"
        arguments = [*run, "-f", "-c", f"{disk.path}/ckpt", "-o", output, source]
        checks.equal(full(checks, label, disk, arguments, ranks, wanted, output), 74, label)
        checks.that(not os.path.exists(output), f"{label}: left a result")
        disk.resize(64 << 20)
        checks.ended(support.run(arguments, ranks), 0, f"{label}: the next run with space")
        for name in [n for n in os.listdir(work) if n.startswith("spilled.h5")]:
            os.unlink(f"{work}/{name}")
    disk.empty(1 << 20)
    disk.resize(1 << 20, ",ro")
    for ranks in (0, 2):
        outcome = support.run([*run, "-o", f"{disk.path}/out.h5", source], ranks, limit=HANG)
        failed_well(checks, f"a read-only disk, {ranks} ranks", outcome, (2, 74), ["out.h5"], 1)


# ---- all of it --------------------------------------------------------------------------------------------------


def run_disks(checks, work):
    """Mounts need a name space; a user's own will do, where the system allows one."""
    command = support.mount_command()
    if command is None:
        return checks.note("full disks are left out: no tmpfs can be mounted")
    done = subprocess.run([*command, sys.executable, "-B", os.path.abspath(__file__), support.program(), "disks-inside"],
                          check=False)
    return checks.equal(done.returncode, 0, "full disks")


# The long ones first: some run side by side.
PARTS = {"kills": check_kills, "disks": run_disks, "vanished": check_vanished, "spills": check_spills, "usage": check_usage,
         "bad": check_bad_limits, "permissions": check_permissions, "existing": check_existing, "limit": check_file_limit,
         "shrunk": check_shrunk, "disks-inside": check_disks}


def main():
    """failures.py [PROGRAM] [PART...]"""
    checks = support.Checks()
    only, _ = support.words_given(PARTS)
    support.run_in_folders(PARTS, only or [name for name in PARTS if name != "disks-inside"],
                           lambda check, work: check(checks, work), 3)
    checks.exit()


if __name__ == "__main__":
    sys.exit(main())
