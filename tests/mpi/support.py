"""Shared by the tests of this folder: runs the program, makes texts, reads results.

Environment (set by CMake): DHATU, the program; MPIEXEC, the launcher. Python 3.9 and its standard library;
results are read by h5py where it is there, else by `dhatu inspect --json`.
"""

import atexit
import concurrent.futures
import contextlib
import gzip
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
MEBIBYTE = 1 << 20
# All jobs, with little memory, and the files of all phases.
JOBS = ("-j", "profile,digest,features,vocab,neardup", "--ngrams", "1-2", "--features", "5000", "--minhash", "--vocab-tsv",
        "--memory", "16M")
SUFFIXES = ("", ".quarantine.jsonl", ".vocab.tsv")  # of what they make


def skip(message):
    print("skipped:", message)
    sys.exit(SKIPPED)


def program():
    path = os.environ.get("DHATU") or (sys.argv[1] if len(sys.argv) > 1 else "")
    if not os.access(path, os.X_OK):
        skip("no program: set DHATU to the path of dhatu")
    return path


def launcher():
    path = shutil.which(os.environ.get("MPIEXEC") or "mpirun")
    if path is None:
        skip("no mpirun: set MPIEXEC")
    return path


def mpi_command(ranks):
    """What starts `ranks` ranks, however many cores there are."""
    command = [launcher()]
    if "Open MPI" in launcher_version() or "OpenRTE" in launcher_version():
        command += ["--oversubscribe", "--bind-to", "none"]
        if os.geteuid() == 0:
            command.append("--allow-run-as-root")
    return command + ["-n", str(ranks)]


def launcher_version(known=[]):
    if not known:
        done = subprocess.run([launcher(), "--version"], capture_output=True, text=True, check=False)
        known.append(done.stdout + done.stderr)
    return known[0]


def environment(extra=None):
    session = session_folder()
    result = {k: v for k, v in os.environ.items() if not k.startswith("DHATU_") or k == "DHATU_DATA"}
    result.update(
        HWLOC_COMPONENTS="-opencl",  # mpirun's own start: PoCL's plug-in takes signals away
        OMPI_ALLOW_RUN_AS_ROOT="1",
        OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
        OMPI_MCA_mpi_yield_when_idle="1",
        OMPI_MCA_btl_base_warn_component_unused="0",
        TMPDIR=session,  # where what is killed leaves its folder
        OMPI_MCA_orte_tmpdir_base=session,
    )
    memory = own_folder(memory_folder())
    if memory:
        result.update(OMPI_MCA_btl_vader_backing_directory=memory, OMPI_MCA_osc_sm_backing_directory=memory)
    result.update(extra or {})
    return result


def memory_folder(known=[]):
    """What ranks that are killed leave of their shared memory goes when the test ends."""
    if not known:
        try:
            known.append(tempfile.mkdtemp(prefix="dhatu-mpi-", dir="/dev/shm"))
            os.chmod(known[0], 0o777)
            atexit.register(shutil.rmtree, known[0], True)
        except OSError:
            known.append(None)
    return known[0]


def session_folder(known=[]):
    """Open MPI's starts at the same time remove one another's folders where they share one (seen in 4.1.4: one
    of a hundred MPI_Init fails), so each gets its own."""
    if not known:
        known.append(tempfile.mkdtemp(prefix="dhatu-mpi-"))
        os.chmod(known[0], 0o777)
        atexit.register(shutil.rmtree, known[0], True)
    return own_folder(known[0])


def own_folder(above):
    """A folder of one run's own, below one that goes when the test ends; any user may write to it."""
    if above is None:
        return None
    path = tempfile.mkdtemp(dir=above)
    os.chmod(path, 0o777)
    return path


class Outcome:
    def __init__(self, command, code, out, err, seconds, timed_out):
        self.command, self.code, self.out, self.err = command, code, out, err
        self.seconds, self.timed_out = seconds, timed_out

    def tail(self, lines=6):
        return "\n      ".join([" ".join(self.command[4:])] + self.err.strip().splitlines()[-lines:])

    def errors(self):
        return [line for line in self.err.splitlines() if "dhatu" in line and "error:" in line]


def start(arguments, ranks=0, wrapper=(), **options):
    """Starts dhatu in a process group of its own. ranks=0: without mpirun. wrapper: a command that starts it.

    The shell in between forks: a process that Python starts itself inherits Python's peak of memory, and then
    its ru_maxrss is no figure of its own. A death by signal N is exit code 128 + N."""
    command = (mpi_command(ranks) if ranks else []) + [*wrapper, program()] + [str(a) for a in arguments]
    command = ["/bin/sh", "-c", '"$@"; exit $?', "sh"] + command
    options["env"] = environment(options.pop("env", None))
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                            start_new_session=True, **options)


def finish(process, limit):
    began = time.monotonic()
    timed_out = False
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        timed_out = True
        children = ranks_of(process.pid)
        for pid in children:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
    return Outcome(process.args, process.returncode, out, err, time.monotonic() - began, timed_out)


def limited(kind, value):
    """A wrapper under which the program has this limit of its resources (resource.RLIMIT_...)."""
    set_limit = "import os, resource, sys; resource.setrlimit({0}, ({1}, {1})); os.execvp(sys.argv[1], sys.argv[1:])"
    return [sys.executable, "-S", "-c", set_limit.format(int(kind), value)]


def run(arguments, ranks=0, limit=60, **options):
    """Runs dhatu to its end; more than `limit` seconds is a hang, told by timed_out."""
    return finish(start(arguments, ranks, **options), limit)


def processes():
    """pid -> (parent, name) of all that live."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="latin-1") as file:
                text = file.read()
        except OSError:
            continue
        name, rest = text[text.index("(") + 1:].rsplit(")", 1)
        if rest.split()[0] != "Z":
            found[int(entry)] = (int(rest.split()[1]), name)
    return found


def descendants(pid):
    """The processes that pid started, and those that they started, in ascending order."""
    alive = processes()
    found = []
    for child in alive:
        above = child
        while above in alive and above != pid:
            above = alive[above][0]
        if above == pid and child != pid:
            found.append(child)
    return sorted(found)


def ranks_of(pid):
    """The dhatu processes that pid started; rank 0 first."""
    alive = processes()
    name = os.path.basename(program())[:15]
    return [child for child in descendants(pid) if alive.get(child, (0, ""))[1] == name]


class Checks:
    """Collects failures, so that one run tells all of them."""

    def __init__(self):
        self.failures, self.done, self.notes = [], 0, []
        self.began = time.monotonic()

    def that(self, condition, message, outcome=None):
        self.done += 1
        if not condition:
            self.fail(message, outcome)
        return bool(condition)

    def equal(self, got, wanted, message, outcome=None):
        return self.that(got == wanted, f"{message}: {got!r} instead of {wanted!r}", outcome)

    def fail(self, message, outcome=None):
        if outcome is not None:
            message += "\n      " + outcome.tail()
        self.failures.append(message)
        print("FAILED:", message, flush=True)

    def ended(self, outcome, code, message):
        """The run ended by itself with one of the codes (a number or several)."""
        codes = code if isinstance(code, (tuple, list)) else (code,)
        if outcome.timed_out:
            self.done += 1
            self.fail(f"{message}: hangs", outcome)
            return False
        return self.that(outcome.code in codes, f"{message}: exit code {outcome.code} instead of "
                         f"{' or '.join(map(str, codes))}", outcome)

    def note(self, message):
        self.notes.append(message)
        print("note:", message, flush=True)

    def exit(self):
        print(f"{self.done} checks, {len(self.failures)} failed, {time.monotonic() - self.began:.1f} s")
        sys.exit(1 if self.failures else 0)


def words_given(parts):
    """Of the arguments: the parts that are named, and a count (0 for "all", None where none is given)."""
    given = sys.argv[1:]
    count = next((0 if word == "all" else int(word) for word in given if word == "all" or word.isdigit()), None)
    return [word for word in given if word in parts], count


def side_by_side(run, items, at_once=3):
    """Calls run(*item) for each item, some at once: most of a run that is disturbed is waiting. Items begin in their
    order, and must not share a random generator."""
    environment()  # makes what all share
    launcher_version()
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        for outcome in [pool.submit(run, *item) for item in items]:
            outcome.result()


def run_parts(parts, chosen, run, at_once=1, alone=()):
    """Calls run(check) for the chosen parts, or all of them, and tells the time of each. at_once: so many parts side by
    side, but for those of `alone`, which come last, one by one."""
    def part(name, check):
        began = time.monotonic()
        run(check)
        print(f"{name}: {time.monotonic() - began:.1f} s\n", end="", flush=True)

    wanted = [(name, check) for name, check in parts.items() if not chosen or name in chosen]
    side_by_side(part, [item for item in wanted if item[0] not in alone], at_once)
    side_by_side(part, [item for item in wanted if item[0] in alone], 1)


def run_in_folders(parts, chosen, run, at_once=1, alone=()):
    """The same, run(check, work) with a folder of its own."""
    def in_folder(check):
        with folder() as work:
            run(check, work)
    run_parts(parts, chosen, in_folder, at_once, alone)


@contextlib.contextmanager
def folder():
    path = tempfile.mkdtemp(prefix="dhatu-test-")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    return path


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(MEBIBYTE), b""):
            digest.update(block)
    return digest.hexdigest()


def run_report(output):
    with open(output + ".run.json", encoding="utf-8") as file:
        return json.load(file)


def peak_memory(output):
    """Bytes of the largest rank."""
    return max(figures["memory_bytes"] for figures in run_report(output)["rank_figures"])


def quarantine(output):
    with open(output + ".quarantine.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


# ---- texts -------------------------------------------------------------------------------------------------

SENTENCES = {
    "en": (
        "The keeper of the lighthouse wrote down every ship that passed, and gave each a kinder name.",
        "She loved the old orchard, but nobody had dared to prune it since the angry winter of the flood.",
        "Do not trust the first answer; measure twice, then cut, then measure what you have cut.",
        "It wasn't fear that kept them awake, it was the laughter coming from the empty kitchen.",
        "A hero in the morning is only a tired man in the evening, and he knows it well.",
        "Peace came to the valley as snow does: silently, and everywhere at once.",
        "The engineers were surprised that a bridge so ugly could be admired by so many tourists.",
        "Nothing disgusted the cook more than pity, unless it was cold soup.",
    ),
    "fr": (
        "Le gardien du phare notait chaque navire qui passait, et leur donnait un nom plus doux.",
        "Elle aimait le vieux verger, mais personne n'avait osé le tailler depuis l'hiver de la colère.",
        "L'été dernier, la mer était si calme que les enfants croyaient marcher dessus.",
        "Ce n'est pas la peur qui les tenait éveillés, c'était le rire venu de la cuisine vide.",
        "Où que tu ailles, la paix t'attend derrière une porte que tu n'as pas encore poussée.",
        "Les ingénieurs s'étonnaient qu'un pont aussi laid fût admiré par tant de voyageurs.",
    ),
    "xx": (
        "Der Leuchtturmwärter schrieb jedes Schiff auf, und über die größten staunte er sehr.",
        "Ο φύλακας του φάρου έγραφε κάθε πλοίο που περνούσε, ΚΑΙ ΤΟΥΣ ΕΔΙΝΕ ΟΝΟΜΑΤΑ.",
        "灯台の番人は通り過ぎる船をすべて書き留めた。ﾊﾝｶｸ も ある。",
        "كان حارس المنارة يكتب اسم كل سفينة تمر من هنا.",
        "İstanbul'da deniz feneri bekçisi her gemiyi yazardı; ﬁne ﬂow №5 Ⅷ x².",
        "Emoji \U0001F468\u200D\U0001F469\u200D\U0001F467 and \U0001D4D1\U0001D4F8\U0001D4F5\U0001D4ED, e\u0301 against \u00e9, ẞ ſ K Å.",
    ),
}


def sentences(rng, count, language="en"):
    return " ".join(rng.choice(SENTENCES[language]) for _ in range(count))


def record(rng, number, count=None, **more):
    """A JSON line: mixed languages, escapes now and then, no line end."""
    language = rng.choices(("en", "fr", "xx"), (5, 3, 1))[0]
    text = sentences(rng, count or rng.randint(1, 12), language)
    if rng.random() < 0.1:
        text += '\n\t"' + sentences(rng, 1, language) + '"'
    fields = {"id": f"doc-{number:06d}", "text": text}
    if language != "xx" and rng.random() < 0.5:
        fields["lang"] = language
    fields.update(more)
    return json.dumps(fields, ensure_ascii=rng.random() < 0.3).encode()


def records(seed, count, size=None):
    """`count` JSON lines as bytes; the same for the same seed."""
    rng = random.Random(seed)
    return b"".join(record(rng, i, size) + b"\n" for i in range(count))


BAD_LINES = (b'{"id":"x","text":12}', b"null", b'{"id":"y"', b'{"text":"raw \x01 control"}', b'{"id":"no text"}',
             b"[1,2]", b'{"text":"two"}{"text":"on one line"}', b"\x00\x00\x00")


def mixed_lines(seed, count):
    """Good and bad lines, repeated, missing, long and numeric ids, blank lines, CRLF, invalid UTF-8, and some
    lines that are longer than the smallest segment."""
    rng = random.Random(seed)
    lines = []
    for i in range(count):
        kind = rng.random()
        end = b"\n"
        if kind < 0.03:
            line = rng.choice(BAD_LINES)
        elif kind < 0.06:
            line = rng.choice((b"", b"  \t", b"\r"))
        elif kind < 0.10:
            line = record(rng, i, id=f"again-{rng.randint(0, 20)}")
        elif kind < 0.12:
            line = record(rng, i, id=rng.choice((7, 12.5, None, "", "x" * 700, "tab\tid", "é" * 300, "a#dup3")))
        elif kind < 0.14:
            line = b'{"text":"no id, caf\xe9 \xff' + sentences(rng, 2).encode() + b'"}'
        elif kind < 0.144:
            line = record(rng, i, rng.randint(800, 2500))  # 70 to 250 KB
        else:
            line = record(rng, i)
            end = rng.choice((b"\n", b"\n", b"\n", b"\r\n"))
        lines.append(line + end)
    return lines


def multi_member(data):
    cuts = [0, 1, len(data) // 3, len(data) // 2 + 7, len(data)]
    return b"".join(gzip.compress(data[a:b], 1 + i, mtime=0) for i, (a, b) in enumerate(zip(cuts, cuts[1:])))


def zstd_frames(data):
    size = max(len(data) // 9, 1)
    frames = []
    for start in range(0, max(len(data), 1), size):
        done = subprocess.run(["zstd", "-q", "-c", "-3", "--check"], input=data[start:start + size],
                              capture_output=True, check=True)
        frames.append(done.stdout)
    return b"".join(frames)


def small_corpus(root):
    """About 1 MB in a few dozen segments of 64 KiB: plain sources, streams, packed small ones, bad records."""
    big = mixed_lines(1, 700)
    write(f"{root}/big.jsonl", b"\xef\xbb\xbf" + b"".join(big))
    write(f"{root}/no-end.jsonl", b"".join(mixed_lines(2, 400)).rstrip(b"\n"))
    write(f"{root}/again.jsonl", b"".join(big[:200]))  # repeats ids of another source
    write(f"{root}/empty.jsonl", b"")
    write(f"{root}/packed.jsonl.gz", multi_member(b"".join(mixed_lines(3, 600))))
    write(f"{root}/cut.jsonl.gz", gzip.compress(b"".join(mixed_lines(4, 150)), mtime=0)[:-9])
    if shutil.which("zstd"):
        write(f"{root}/frames.jsonl.zst", zstd_frames(b"".join(mixed_lines(5, 400))))
    rng = random.Random(6)
    for i in range(20):
        write(f"{root}/small/s{i}.ndjson", b"".join(mixed_lines(100 + i, rng.randint(0, 8))))
        write(f"{root}/tree/{i % 3}/t{i}.txt", sentences(rng, rng.randint(0, 3), rng.choice(("en", "fr", "xx"))).encode())
    return root


# ---- runs that are disturbed -------------------------------------------------------------------------------


def prints(output):
    """What must be the same whatever happened on the way; None where there is no result."""
    if not os.path.exists(output):
        return None
    return tuple(sha256(output + suffix) for suffix in SUFFIXES if os.path.exists(output + suffix))


def listing(folder):
    return sorted(os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names)


class Case:
    """A folder for the result and the checkpoint of one chain of runs."""

    def __init__(self, bench, path):
        self.bench, self.path = bench, path
        self.output = f"{path}/out.h5"
        self.checkpoint = f"{path}/out.h5.ckpt"

    def run(self, ranks=0, fault=None, more=(), **options):
        env = dict(options.pop("env", {}))
        if fault:
            env["DHATU_FAULT"] = fault
        return run(self.arguments(more), ranks, env=env, **{"limit": 30, **options})

    def start(self, ranks=0, fault=None, more=(), **options):
        env = {"DHATU_FAULT": fault} if fault else {}
        return start(self.arguments(more), ranks, env=env, **options)

    def arguments(self, more=()):
        return ["run", *self.bench.options, "-o", self.output, *more, self.bench.corpus]

    def whole(self):
        return prints(self.output) == self.bench.wanted

    def leftovers(self):
        """What a finished run must not leave."""
        known = ["out.h5" + suffix for suffix in (*SUFFIXES, ".run.json")]
        return [name for name in listing(self.path) if name not in known] + \
            (["out.h5.ckpt/"] if os.path.isdir(self.checkpoint) else [])

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


class Bench:
    """A small corpus, what an undisturbed run makes of it, and a folder for each case.

    halfway: a checkpoint with some of the segments, to start cases from; mapped: one with all, where the reduce
    phase begins."""

    options = (*JOBS, "--segment-size", "64K", "--commit-interval", "1")
    make_corpus = staticmethod(small_corpus)

    def __init__(self, checks, work):
        self.checks, self.work, self.count = checks, work, itertools.count(1)
        self.corpus = self.make_corpus(f"{work}/corpus")
        good = self.case()
        checks.ended(good.run(), 0, "an undisturbed run")
        checks.equal(good.leftovers(), [], "an undisturbed run leaves files")
        self.wanted = prints(good.output)
        shutil.copy(good.output, f"{work}/good.h5")
        self.segments = sum(figures["segments"] for figures in run_report(good.output)["rank_figures"])
        self.halfway, self.segments_halfway = self._halfway()
        self.mapped = self.killed_at("mapped").checkpoint

    def killed_at(self, place, ranks=0, start=None):
        """The case of a run that was killed there."""
        case = self.case(start)
        outcome = case.run(ranks, f"call=place,path={place},error=KILL")
        self.checks.ended(outcome, 137, f"killed at {place}")
        return case

    def case(self, start=None):
        """A new folder, in it a copy of the checkpoint `start`."""
        case = Case(self, f"{self.work}/case{next(self.count)}")
        os.makedirs(case.path)
        if start:
            shutil.copytree(start, case.checkpoint, symlinks=True)
        return case

    def _halfway(self):
        """One source cannot be opened when its turn comes: what came before it is committed."""
        for at in range(1, 6):
            case = self.case()
            outcome = case.run(fault=f"call=open,error=EIO,path=corpus/no-end,at={at}")
            journals = [name for name in listing(case.path) if "journal" in name]
            if outcome.code == 74 and journals:
                size = sum(os.path.getsize(f"{case.path}/{name}") for name in journals)
                return case.checkpoint, (size - 64 * len(journals)) // 128
            case.remove()
        self.checks.fail("no checkpoint of a part of the work could be made", outcome)
        return None, 0


class Disk:
    """A small tmpfs in a name space of mounts of our own."""

    def __init__(self, work):
        self.path = f"{work}/disk"
        os.makedirs(self.path)
        self.mounted = False

    def resize(self, size, options=""):
        size = (size + 4095) // 4096 * 4096
        kind = f"remount,size={size}{options}" if self.mounted else f"size={size}{options}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", kind, "tmpfs", self.path], check=True, capture_output=True)
        self.mounted = True

    def empty(self, size):
        self.close()
        self.resize(size)

    def close(self):
        if self.mounted:
            subprocess.run(["umount", "-l", self.path], check=False)
            self.mounted = False


def mount_command():
    """What starts a program that may mount; a user's own name space will do. None: not allowed here."""
    command = ["unshare", "-m"] + ([] if os.geteuid() == 0 else ["-r"])
    probe = "d=$(mktemp -d) && mount -t tmpfs -o size=4096 tmpfs $d; r=$?; umount $d; rmdir $d; exit $r"
    if shutil.which("unshare") is None or \
            subprocess.run([*command, "sh", "-c", probe], capture_output=True, check=False).returncode != 0:
        return None
    return command


# ---- devices -----------------------------------------------------------------------------------------------


def opencl_devices(known=[]):
    """How many devices of the backend opencl this machine has (PoCL makes one of the processor)."""
    if not known:
        outcome = run(["devices", "--json"], limit=120)
        backends = json.loads(outcome.out)[0]["backends"] if outcome.code == 0 else []
        known.append(sum(len(backend["devices"]) for backend in backends if backend["name"] == "opencl"))
    return known[0]


def seen_by(*ranks):
    """A wrapper by which only these ranks see devices of OpenCL."""
    chosen = "|".join(map(str, ranks)) or "none"
    hide = 'export OCL_ICD_VENDORS=/nonexistent OCL_ICD_FILENAMES='
    return ["/bin/sh", "-c", f'case ${{OMPI_COMM_WORLD_RANK:-$PMI_RANK}} in {chosen}) ;; *) {hide};; esac; exec "$@"', "sh"]


# ---- results -----------------------------------------------------------------------------------------------


def inspect(path):
    """What `dhatu inspect --json` says."""
    outcome = run(["inspect", "--json", path])
    if outcome.code != 0:
        raise RuntimeError("inspect fails: " + outcome.tail())
    return json.loads(outcome.out)


class Result:
    """What the tests read of a result."""

    def __init__(self, path):
        try:
            import h5py
        except ImportError:
            h5py = None
        self.file = h5py.File(path, "r") if h5py is not None else None
        self.results = inspect(path)["results"] if h5py is None else None

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.file is not None:
            self.file.close()

    def values(self, name):
        """A dataset of uns/dhatu as a list; texts without their padding."""
        if self.file is None:
            return self.results[name]
        return [v.decode("utf-8").rstrip("\0") if isinstance(v, bytes) else v
                for v in self.file["uns/dhatu/" + name][...].tolist()]

    def sources(self):
        """Name -> {documents, records, bytes, bad}."""
        names = self.values("sources/_index")
        columns = {c: self.values("sources/" + c) for c in ("documents", "records", "bytes", "bad")}
        return {name: {c: columns[c][i] for c in columns} for i, name in enumerate(names)}

    def quality(self):
        """Reason (and document, blank) -> (records, bytes)."""
        names = self.values("quality/_index")
        return dict(zip(names, zip(self.values("quality/records"), self.values("quality/bytes"))))
