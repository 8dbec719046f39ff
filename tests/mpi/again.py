"""What a script asks before it starts a run again: where the run's files are, whether it is done, whether another start
is worth it. And a Slurm job that is started again goes on, with --fresh too."""

import json
import os

import support

KILLED = (137, 9, -9)


def where(arguments, env=None):
    """What --where prints, as a dictionary."""
    outcome = support.run(["run", "--where", *arguments], env=env)
    return outcome, dict(line.split(" ", 1) for line in outcome.out.splitlines())


def check_where(checks, work):
    corpus = f"{work}/a corpus"
    support.write(f"{corpus}/a.jsonl", support.records(5, 300))
    output = f"{work}/a result.h5"
    outcome, facts = where(["-o", output, corpus])
    checks.ended(outcome, 0, "--where")
    checks.equal(facts, {"result": output, "checkpoint": output + ".ckpt", "state": "absent"}, "before the run")
    checks.equal(os.listdir(work), ["a corpus"], "--where leaves nothing behind")
    outcome, facts = where([], env={"DHATU_OUTPUT": output, "DHATU_CHECKPOINT": f"{work}/other"})
    checks.equal((facts["result"], facts["checkpoint"]), (output, f"{work}/other"), "options of the environment")
    outcome, facts = where(["-o", work + "/"])
    checks.ended(outcome, 2, "--where of no file")
    killed = support.run(["run", "-o", output, corpus], env={"DHATU_FAULT": "call=place,path=mapped,error=KILL"})
    checks.that(killed.code in KILLED, "killed", killed)
    for more in ([], ["--force"], ["--fresh"]):
        checks.equal(where(["-o", output, *more, corpus])[1]["state"], "open", f"state after a kill, {more}")
    checks.ended(support.run(["run", "-o", output, corpus]), 0, "goes on")
    checks.equal(where(["-o", output, corpus])[1]["state"], "done", "state of a complete run")
    checks.equal(where(["-o", output, "--force", corpus])[1]["state"], "absent", "state when all is to be done again")
    checks.ended(support.run(["run", "--force", "--keep-checkpoint", "-o", output, corpus]), 0, "with its checkpoint kept")
    checks.equal(where(["-o", output, corpus])[1]["state"], "done", "state with a checkpoint that was kept")
    os.unlink(output)
    checks.equal(where(["-o", output, corpus])[1]["state"], "absent", "state when the result was removed")


def check_restart_limit(checks, work):
    corpus = f"{work}/corpus"
    support.write(f"{corpus}/a.jsonl", support.records(6, 300))
    output = f"{work}/out.h5"
    folder = output + ".ckpt"

    def status(limit, code, word=None):
        outcome = support.run(["status", folder, "--restart-limit", str(limit)])
        if checks.ended(outcome, code, f"--restart-limit {limit}") and word:
            checks.that(word in outcome.err, f"--restart-limit {limit} does not say '{word}'", outcome)

    def killed(place):
        outcome = support.run(["run", "-o", output, corpus], env={"DHATU_FAULT": f"call=place,path={place},error=KILL"})
        checks.that(outcome.code in KILLED, f"killed at {place}", outcome)

    def idle():
        facts = json.loads(support.run(["status", folder, "--json"]).out)
        return facts["attempts_without_progress"], facts["work_left"]

    checks.that(support.run(["status", folder, "--restart-limit", "3"]).code != 0, "no folder is worth a restart")
    os.mkdir(folder)
    status(3, 1, "no run was started")
    checks.equal(idle(), (0, False), "nothing was begun")
    killed("planned")
    status(2, 0)
    status(1, 1, "nothing durable")
    killed("planned")
    status(2, 1, "2 attempts in a row")
    killed("mapped")
    status(1, 0)
    checks.equal(idle(), (0, True), "after an attempt that made all segments")
    killed("recovered")
    checks.equal(idle(), (1, True), "after an attempt that made nothing")
    checks.ended(support.run(["run", "--keep-checkpoint", "-o", output, corpus]), 0, "the last attempt")
    status(100, 1, "complete")
    checks.equal(idle()[1], False, "work left at the end")
    checks.ended(support.run(["status", folder, "--restart-limit", "0"]), 2, "--restart-limit 0")


def check_fresh_job(checks, work):
    """Slurm starts a job again with its command line: --fresh is obeyed once."""
    corpus = f"{work}/corpus"
    support.write(f"{corpus}/a.jsonl", support.records(7, 300))
    output = f"{work}/out.h5"

    def attempt(job, restart, place=None):
        env = {"SLURM_JOB_ID": job}
        if restart:
            env["SLURM_RESTART_COUNT"] = str(restart)
        if place:
            env["DHATU_FAULT"] = f"call=place,path={place},error=KILL"
        return support.run(["run", "--fresh", "-o", output, corpus], env=env)

    attempt("41", 0, "mapped")
    outcome = attempt("42", 0, "mapped")
    checks.that("goes on" not in outcome.err, "the first start of another job starts over", outcome)
    outcome = attempt("42", 1, "mapped")
    checks.that("attempt 2 goes on: 1 segments" in outcome.err, "the second start of the job goes on", outcome)
    outcome = attempt("42", 2)
    checks.ended(outcome, 0, "the third start")
    checks.that("attempt 3 goes on" in outcome.err, "the third start goes on", outcome)


def main():
    checks = support.Checks()
    support.run_in_folders({"where": lambda work: check_where(checks, work),
                            "restart limit": lambda work: check_restart_limit(checks, work),
                            "fresh": lambda work: check_fresh_job(checks, work)}, [],
                           lambda check, work: check(work), at_once=3)
    checks.exit()


if __name__ == "__main__":
    main()
