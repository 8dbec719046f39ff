"""dhatu devices: every node once, every backend with its devices or with what is missing, for people and as JSON."""

import json
import re
import subprocess
import sys

import support

BACKENDS = ["cpu", "cuda", "opencl"]
JOBS = ["documents", "profile", "digest", "features", "neardup"]


def listed(checks, label, ranks=0, **options):
    """The list of nodes; None where the command did not end well."""
    outcome = support.run(["devices", "--json"], ranks, **options)
    if not checks.ended(outcome, 0, label):
        return None
    checks.equal(outcome.errors(), [], f"{label}: errors", outcome)
    try:
        return json.loads(outcome.out)
    except ValueError as error:
        return checks.fail(f"{label}: no JSON: {error}", outcome)


def check_device(checks, label, device):
    checks.that(device["name"], f"{label}: no name")
    checks.equal(device["self_test"], "passed", f"{label}: self-test ({device['reason']})")
    checks.that((device["memory_bytes"] or 0) > 1 << 24, f"{label}: memory {device['memory_bytes']}")
    checks.that((device["units"] or 0) >= 1, f"{label}: units {device['units']}")
    checks.that(device["level"] and device["used_as"], f"{label}: no level or use")
    checks.equal([rate["job"] for rate in device["rates"]], JOBS, f"{label}: jobs")
    for rate in device["rates"]:
        checks.that(rate["documents_per_second"] > 100, f"{label}: {rate}")
        size = rate["text_bytes_per_second"] / rate["documents_per_second"]
        checks.that(abs(size - 1024) < 10, f"{label}: documents of {size} bytes")


def check_alone(checks):
    nodes = listed(checks, "one rank") or []
    checks.equal(len(nodes), 1, "one rank: nodes")
    for node in nodes:
        checks.that(node["host"] and (node["rank"], node["ranks"]) == (0, 1), f"one rank: {node['host']}")
        checks.equal([backend["name"] for backend in node["backends"]], BACKENDS, "backends")
        for backend in node["backends"]:
            checks.that(backend["devices"] or backend["missing"], f"{backend['name']}: neither a device nor a reason")
            checks.that(backend["built"] or not backend["devices"], f"{backend['name']}: devices, but not built")
            for device in backend["devices"]:
                if device["self_test"] != "not run":
                    check_device(checks, f"{backend['name']} {device['number']}", device)
                else:
                    checks.that(device["reason"], f"{backend['name']} {device['number']}: not run, without a reason")
        checks.equal(len(node["backends"][0]["devices"]), 1, "processors")
        checks.equal(node["backends"][0]["missing"], None, "what is missing of the processor")


def check_ranks(checks):
    """Three ranks of one node: listed once."""
    nodes = listed(checks, "three ranks", 3) or []
    checks.equal([(node["rank"], node["ranks"]) for node in nodes], [(0, 3)], "three ranks: first rank and ranks")
    for node in nodes:
        checks.equal(node["backends"][0]["devices"][0]["self_test"], "passed", "three ranks: self-test")


def check_bound_ranks(checks):
    """A device that only the second rank sees is told of by that rank, and only that device."""
    call = [support.program(), "devices", "--json"]
    command = [*support.mpi_command(1), "-x", "OCL_ICD_VENDORS=/nonexistent", *call, ":", "-n", "2", *call]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=60, env=support.environment(), check=False)
    checks.equal(outcome.returncode, 0, f"ranks that see different devices: {outcome.stderr}")
    nodes = json.loads(outcome.stdout)
    seen = [[(backend["name"], len(backend["devices"])) for backend in node["backends"] if backend["devices"]] for node in nodes]
    alone = json.loads(support.run(["devices", "--json"]).out)[0]
    opencl = next(len(backend["devices"]) for backend in alone["backends"] if backend["name"] == "opencl")
    expected = [[("cpu", 1)], [("opencl", opencl)]] if opencl else [[("cpu", 1)]]
    checks.equal(seen, expected, "devices by rank")
    checks.equal([node["rank"] for node in nodes], [0, 1][:len(expected)], "the ranks that tell")


def check_people(checks):
    outcome = support.run(["devices"])
    if checks.ended(outcome, 0, "for people"):
        for job in JOBS:
            checks.that(re.search(rf"^ +{job} +[\d,]+ MB/s of text +[\d,]+ documents/s, one core$", outcome.out, re.M),
                        f"no line for {job}", outcome)
        for backend in BACKENDS:
            checks.that(re.search(rf"^  {backend}( \d+ +|  +(none|also): )\S", outcome.out, re.M), f"no line for {backend}", outcome)


def check_missing(checks):
    """No ICD, and no device that CUDA would show: what is missing is said, and is no error."""
    hidden = {"OCL_ICD_VENDORS": "/nonexistent", "CUDA_VISIBLE_DEVICES": ""}
    for node in listed(checks, "hidden devices", env=hidden) or []:
        for backend in node["backends"][1:]:
            checks.equal(backend["devices"], [], f"hidden devices of {backend['name']}")
            checks.that(backend["missing"] and "\n" not in backend["missing"], f"{backend['name']}: {backend['missing']!r}")


def check_errors(checks):
    for ranks in (0, 2):
        outcome = support.run(["devices", "what"], ranks)
        if checks.ended(outcome, 2, f"an argument, {ranks} ranks"):
            checks.equal(len(outcome.errors()), 1, f"an argument, {ranks} ranks: errors", outcome)


PARTS = {"alone": check_alone, "ranks": check_ranks, "bound": check_bound_ranks, "people": check_people, "missing": check_missing, "errors": check_errors}


def main():
    checks = support.Checks()
    only, _ = support.words_given(PARTS)
    support.run_parts(PARTS, only, lambda check: check(checks))
    checks.exit()


if __name__ == "__main__":
    sys.exit(main())
