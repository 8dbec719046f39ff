"""Runs every command of docs/clusters.md and docs/tutorial.md in a bed of Slurm, as a user who has logged in.

    docs.py [PROGRAM] [--show] [PAGE...]      --show: prints what each command really said

Every line that begins with "$ " in a block ```console is a command; they are run in their order, in one shell, and
none may fail. The lines below it are what the page shows of its output: they must occur in this order, where numbers,
units of size and hashes may be others and "..." stands for anything. A block ```python begins with the name of the
file that it is saved as. What a reader does between two commands is in comments that a rendered page does not show:

    <!-- wait: job ended -->        the last job that was submitted ends well
    <!-- wait: job left N -->       N of its starts have left with work to do (as the log says)
    <!-- wait: segments -->         the last job has made segments durable

What is replaced, and all of it:

- the address of the repository leads to a copy of this source tree (git's insteadOf);
- an object that this test's own build has compiled by the same command from the same sources is copied instead of
  compiled again (a compiler launcher; all else of cmake, ninja and the linker is real);
- the modules are empty ones (lmod; without it, a shell function that does nothing), and python3 is the one that runs
  this test;
- the cluster says that it is Narval; the numbers of jobs, /home/alice and /scratch/alice are those of the bed;
- $SCRATCH/corpus is a corpus of a few hundred documents; on a machine with few man pages those of the tutorial are
  made up.

Without matplotlib the plots are left out."""

import glob
import gzip
import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "mpi"))

import support  # noqa: E402

import bed as slurm  # noqa: E402

PAGES = ("clusters", "tutorial")
COMMAND_LIMIT = 120  # seconds
BUILD_LIMIT = 900  # where there is nothing to copy
JOB_LIMIT = 60
JOURNAL_HEADER = 64  # bytes
FEW_PAGES = 300  # of man; a machine with fewer gets some that are made up
MODULES = ("StdEnv/2023", "gcc/12.3", "openmpi/4.1.5", "hdf5-mpi/1.14.2", "cuda/12.6", "python/3.11.5", "scipy-stack/2023b")
SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er")]
LMOD = "/usr/share/lmod/lmod/init/bash"
CLUSTER = "narval"


# ---- pages ---------------------------------------------------------------------------------------------------------


class Step:
    """kind: command (text, shown lines), file (text, name) or wait (text)."""

    def __init__(self, kind, line, text, name="", shown=()):
        self.kind, self.line, self.text, self.name, self.shown = kind, line, text, name, list(shown)


def console_steps(lines, number):
    """The commands of a block, each with what is shown below it."""
    steps = []
    for offset, line in enumerate(lines):
        if steps and steps[-1].text.endswith("\\") and not steps[-1].shown:
            steps[-1].text = steps[-1].text[:-1] + line.strip()
        elif line.startswith("$ "):
            steps.append(Step("command", number + offset, line[2:]))
        elif steps:
            steps[-1].shown.append(line)
        else:
            raise ValueError(f"line {number + offset}: output in front of the first command")
    return steps


def read_page(path):
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    steps, number = [], 0
    while number < len(lines):
        fence = re.fullmatch(r"\s*```(\w+)", lines[number])
        wait = re.fullmatch(r"\s*<!-- wait: (.*) -->", lines[number])
        if wait:
            steps.append(Step("wait", number + 1, wait[1]))
        if fence:
            end = next(i for i in range(number + 1, len(lines)) if lines[i].strip() == "```")
            body = lines[number + 1:end]
            if fence[1] == "console":
                steps += console_steps(body, number + 2)
            elif fence[1] == "python":
                steps.append(Step("file", number + 1, "\n".join(body) + "\n", re.match(r"# (\S+\.py)", body[0])[1]))
            number = end
        number += 1
    return steps


def pattern(line):
    """What a shown line stands for: other numbers and units of size, other hashes, other blanks."""
    parts = []
    for part in re.split(r"(\s*\.\.\.|[0-9a-f]{12,}|\d[\d,.]*|\b[kMG]?B\b|\s+)", line.strip()):
        if part.strip() == "...":  # with what is in front of it: "0.8 s ..." is also "0.8 s: map"
            parts.append(".*")
        elif re.fullmatch(r"[0-9a-f]{12,}", part):
            parts.append("[0-9a-f]+")
        elif re.match(r"\d", part):
            parts.append(r"[\d,.]+" if not part.endswith(".") else r"[\d,.]+\.?")
        elif part in ("B", "kB", "MB", "GB"):
            parts.append("[kMG]?B")
        elif part.isspace():
            parts.append(r"\s+")
        else:
            parts.append(re.escape(part))
    return "".join(parts)


def first_absent(shown, output):
    """The first shown line that the output does not have behind those before it; None if all are there."""
    position, lines = 0, output.splitlines()
    for line in shown:
        if line.strip() in ("", "..."):
            continue
        wanted = re.compile(pattern(line))
        while position < len(lines) and not wanted.fullmatch(lines[position].strip()):
            position += 1
        if position == len(lines):
            return line
        position += 1
    return None


# ---- what stands in for a cluster ----------------------------------------------------------------------------------


def source_files():
    done = subprocess.run(["git", "-C", slurm.SOURCE, "-c", f"safe.directory={slurm.SOURCE}", "ls-files", "-z", "--cached",
                           "--others", "--exclude-standard"], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return [name for name in done.stdout.split("\0") if name and os.path.isfile(f"{slurm.SOURCE}/{name}")]
    found = []
    for folder, folders, names in os.walk(slurm.SOURCE):
        folders[:] = [name for name in folders if name not in (".git", "build", "demo")]
        found += [os.path.relpath(f"{folder}/{name}", slurm.SOURCE) for name in names]
    return found


def make_repository(path):
    """This source tree as it is, as a repository of its own."""
    for name in source_files():
        os.makedirs(os.path.dirname(f"{path}/{name}"), exist_ok=True)
        shutil.copy2(f"{slurm.SOURCE}/{name}", f"{path}/{name}")
    for command in (["init", "--quiet"], ["add", "--all", "--force"], ["commit", "--quiet", "--message", "as it is"]):
        subprocess.run(["git", "-C", path, "-c", "user.name=test", "-c", "user.email=test@localhost", *command], check=True)


LAUNCHER = r"""#!/bin/bash
# Copies the object that another build has compiled by the same command from the same source; compiles it otherwise.
source=${!#}
reused=$REUSE_OBJECTS
command=() before= object=
for word in "$@"; do
    [[ $before != -o ]] || object=$word
    case $before/$word in
        -MT/* | -MF/* | */-MT | */-MF | */-MD | */-Werror) ;;
        *) command+=("$word") ;;
    esac
    before=$word
done
text="${command[*]}"
text=${text//$PWD/BUILD}
text=${text//$REUSE_SOURCE/SOURCE}
if [[ -n $object && -r $reused/$object.command && "$(<"$reused/$object.command")" == "$text" ]]; then
    exec cp "$(<"$reused/$object.path")" "$object"
fi
echo "$source" >>"$reused/compiled"
exec "$@"
"""

NVCC = r"""#!/bin/bash
# The same for the CUDA compiler, whose one object takes half a minute.
source= object= before=
for word in "$@"; do
    [[ $before != -o ]] || object=$word
    [[ ${word##*/} != backend_cuda.cu ]] || source=$word
    before=$word
done
[[ -z $source || -z $object ]] || exec cp "$REUSE_CUDA" "$object"
exec REAL "$@"
"""


class Reuse:
    """What the launcher finds: for each object of the test's build its command, less the names of the folders."""

    def __init__(self, folder, program):
        self.folder, self.build = folder, os.path.dirname(os.path.dirname(os.path.realpath(program)))
        self.count, self.newer = 0, self._newer_sources()
        os.makedirs(folder)
        os.chmod(folder, 0o777)  # the launcher, which is the user's, notes there what it compiles
        database = f"{self.build}/compile_commands.json"
        if os.path.exists(database):
            with open(database, encoding="utf-8") as file:
                for entry in json.load(file):
                    self._add(entry)
        self.cuda, self.cuda_compiler = "", shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
        if self.cuda_compiler:
            self.cuda = self._cuda_object()

    def _newer_sources(self):
        """Object -> whether one of its sources has changed since it was compiled, as ninja knows them."""
        done = subprocess.run(["ninja", "-C", self.build, "-t", "deps"], capture_output=True, text=True, check=False)
        found, name, compiled = {}, None, 0
        for line in done.stdout.splitlines() if done.returncode == 0 else ():
            head = re.match(r"(\S+): #deps", line)
            if head:
                name = head[1]
                found[name] = not os.path.exists(f"{self.build}/{name}")
                compiled = 0 if found[name] else os.path.getmtime(f"{self.build}/{name}")
            elif line.strip() and not found[name]:
                path = os.path.normpath(os.path.join(self.build, line.strip()))
                found[name] = not os.path.exists(path) or os.path.getmtime(path) > compiled
        return found

    def _cuda_object(self):
        """CMake's rule keeps what it depends on in a file beside it, not with ninja. "": it is to be compiled."""
        compiled = f"{self.build}/kernels/backend_cuda.cu.o"
        if not os.path.exists(compiled) or not os.path.exists(f"{compiled}.d"):
            return ""
        with open(f"{compiled}.d", encoding="utf-8") as file:
            paths = [word for word in file.read().replace("\\\n", " ").split() if word.startswith(slurm.SOURCE)]
        sources = [path for path in paths if not path.startswith(self.build)]
        made = os.path.getmtime(compiled)
        return compiled if sources and all(os.path.exists(path) and os.path.getmtime(path) < made for path in sources) else ""

    def _is_new(self, name):
        return self.newer.get(name) is False

    def _add(self, entry):
        words = [word for word in shlex.split(entry["command"]) if word != "-Werror"]
        name = words[words.index("-o") + 1] if "-o" in words else ""
        if not self._is_new(name) or not entry["file"].startswith(slurm.SOURCE):
            return
        with open(entry["file"], encoding="utf-8") as file:
            if "_DATADIR" in file.read():  # what is compiled has the names of the folders in it
                return
        text = " ".join(words).replace(self.build, "BUILD").replace(slurm.SOURCE, "SOURCE")
        os.makedirs(os.path.dirname(f"{self.folder}/{name}"), exist_ok=True)
        for suffix, content in ((".command", text), (".path", f"{self.build}/{name}")):
            with open(f"{self.folder}/{name}{suffix}", "w", encoding="utf-8") as file:
                file.write(content)
        self.count += 1

    def compiled(self):
        """How many the launcher did compile."""
        try:
            with open(f"{self.folder}/compiled", encoding="utf-8") as file:
                return len(file.readlines())
        except FileNotFoundError:
            return 0


class Cluster:
    """A bed that looks like a cluster of the Alliance to who has logged in."""

    def __init__(self, bed, program):
        self.bed = bed
        self.home, self.scratch = f"{bed.folder}/home", f"{bed.folder}/work"
        self.tools = f"{bed.folder}/tools"
        os.makedirs(self.tools)
        self.repository = f"{bed.folder}/repository"
        make_repository(self.repository)
        self.own(self.repository)
        self.reuse = Reuse(f"{bed.folder}/reuse", program)
        self.write_tools()
        self.write_modules()
        self.write_corpus()
        self.documentation = "/usr/share"
        english, french = (len(glob.glob(f"/usr/share/man/{folder}man*/*")) for folder in ("", "fr/"))
        if english < FEW_PAGES or french < FEW_PAGES // 10:
            self.documentation = f"{bed.folder}/documentation"
            self.write_man_pages()

    def own(self, path):
        subprocess.run(["chown", "-R", f"{self.bed.user}:{self.bed.user}", path], check=True)

    def write(self, path, text, mode=0o644):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)

    def write_tools(self):
        self.write(f"{self.tools}/reuse", LAUNCHER, 0o755)
        self.write(f"{self.tools}/bin/python3", f'#!/bin/sh\nexec {sys.executable} "$@"\n', 0o755)
        if self.reuse.cuda:
            compiler = os.path.realpath(self.reuse.cuda_compiler)
            self.write(f"{self.tools}/cuda/bin/nvcc", NVCC.replace("REAL", compiler), 0o755)
            for name in ("lib64", "targets"):
                if os.path.exists(f"{os.path.dirname(compiler)}/../{name}"):
                    os.symlink(os.path.realpath(f"{os.path.dirname(compiler)}/../{name}"), f"{self.tools}/cuda/{name}")
        self.write(f"{self.home}/.gitconfig",
                   f'[url "{self.repository}"]\n\tinsteadOf = {ADDRESS}\n[safe]\n\tdirectory = *\n')
        self.own(f"{self.home}/.gitconfig")

    def write_modules(self):
        for module in MODULES:
            self.write(f"{self.bed.folder}/modules/{module}.lua", f'help("stands in for {module}")\n')

    def write_corpus(self):
        rng = random.Random(7)
        for part in range(4):
            lines = b"".join(support.record(rng, 1000 * part + i) + b"\n" for i in range(200))
            support.write(f"{self.scratch}/corpus/part-{part}.jsonl.gz", gzip.compress(lines, 6, mtime=0))
        self.own(f"{self.scratch}/corpus")

    def write_man_pages(self):
        """Some in each of the languages, and some that are nearly alike."""
        rng = random.Random(11)
        for language in ("en", "fr", "de", "es", "it", "nl", "pl", "sv"):
            folder = "man" if language == "en" else f"man/{language}"
            text_of = language if language in support.SENTENCES else "xx"
            words = ["".join(rng.choices(SYLLABLES, k=rng.randint(2, 4))) for _ in range(3000)]
            body = ""
            for number in range(FEW_PAGES // 2):
                if number % 8 != 0:
                    body = support.sentences(rng, 10, text_of) + " " + " ".join(rng.choices(words, k=rng.randint(300, 900)))
                text = f".TH PAGE{number} 1\n.SH NAME\npage{number}\n.SH DESCRIPTION\n{body}\nNumber {number}.\n"
                support.write(f"{self.documentation}/{folder}/man1/page{number}.1.gz",
                              gzip.compress(text.encode(), 6, mtime=0))

    def environment(self):
        found = {
            "PATH": f"{self.tools}/bin:/usr/local/bin:/usr/bin:/bin", "SCRATCH": self.scratch, "CC_CLUSTER": CLUSTER,
            "MODULEPATH": f"{self.bed.folder}/modules", "MPLCONFIGDIR": f"{self.scratch}/.matplotlib",
            "CMAKE_C_COMPILER_LAUNCHER": f"{self.tools}/reuse", "REUSE_OBJECTS": self.reuse.folder,
            "REUSE_SOURCE": f"{self.home}/dhatu-source", "PYTHONDONTWRITEBYTECODE": "1",
        }
        if self.reuse.cuda:
            found.update(CUDA_HOME=f"{self.tools}/cuda", REUSE_CUDA=self.reuse.cuda)
        if not os.path.exists(LMOD):
            found["DHATU_MODULES"] = "none"
        return found


class Shell:
    """A shell on the login node that stays: what a command sets is there for the next."""

    LOOP = r"""exec 3<&0 </dev/null 2>&1
while IFS= read -r -d '' command <&3; do eval "$command"; printf '\n\001%d\001\n' $?; done"""

    def __init__(self, cluster):
        self.process = subprocess.Popen(
            cluster.bed.command(["bash", "--noprofile", "--norc", "-c", self.LOOP], environment=cluster.environment(),
                                folder=cluster.home),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def run(self, command, limit=COMMAND_LIMIT):
        """(exit code, output)"""
        self.process.stdin.write(command.encode() + b"\0")
        self.process.stdin.flush()
        timer = threading.Timer(limit, self.process.kill)
        timer.start()
        lines = []
        try:
            for line in self.process.stdout:
                done = re.fullmatch(rb"\x01(\d+)\x01\n", line)
                if done:
                    return int(done[1]), b"".join(lines).decode(errors="replace")[:-1]
                lines.append(line)
        finally:
            timer.cancel()
        said = b"".join(lines).decode(errors="replace")
        raise slurm.BedError(f"{command}: not done in {limit} s, or the shell ended\n{said}")

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=COMMAND_LIMIT)


# ---- a page is followed --------------------------------------------------------------------------------------------


class Reader:
    def __init__(self, cluster, checks, show):
        self.cluster, self.bed, self.checks, self.show = cluster, cluster.bed, checks, show
        self.shell = Shell(cluster)
        self.names = {  # of the page -> of the bed
            "/home/alice": cluster.home, "/scratch/alice": cluster.scratch,
            "--root /usr/share": f"--root {cluster.documentation}"}
        self.job, self.jobs = None, []
        self.plots = subprocess.run([sys.executable, "-c", "import h5py, matplotlib"], capture_output=True,
                                    check=False).returncode == 0

    def translate(self, text):
        for name, real in self.names.items():
            text = re.sub(rf"(?<!\d){name}(?!\d)" if name.isdigit() else re.escape(name), real, text)
        return text

    def follow(self, page):
        path = f"{slurm.SOURCE}/docs/{page}.md"
        for step in read_page(path):
            where = f"docs/{page}.md, line {step.line}"
            if step.kind == "file":
                _, folder = self.shell.run("pwd")
                self.cluster.write(f"{folder.strip()}/{step.name}", step.text)
            elif step.kind == "wait":
                self.wait(step.text, where)
            elif not self.command(step, where):
                return

    def command(self, step, where):
        command = self.translate(step.text)
        if not self.plots and re.match(r"python3 (?!.*/fetch/)", command):
            self.checks.note(f"{where}: not run, since h5py or matplotlib is missing: {command}")
            return True
        began = time.monotonic()
        code, output = self.shell.run(command, BUILD_LIMIT if command.startswith("cmake") else COMMAND_LIMIT)
        if self.show:
            print(f"--- {where} ({time.monotonic() - began:.1f} s)\n$ {step.text}\n{output}", flush=True)
        if not self.checks.that(code == 0, f"{where}: {command}: exit code {code}\n{output}"):
            return False
        submitted = re.search(r"Submitted batch job (\d+)", output)
        if submitted:
            self.job = submitted[1]
            self.jobs.append(self.job)
            shown = re.search(r"Submitted batch job (\d+)", "\n".join(step.shown))
            if shown:
                self.names[shown[1]] = self.job
        absent = first_absent([self.translate(line) for line in step.shown], output)
        self.checks.that(absent is None, f"{where}: {command}: the page shows a line that is not there: {absent}\n{output}")
        return True

    # ---- what a reader waits for -----------------------------------------------------------------------------------

    def is_so(self, what):
        if what == "job ended":
            return self.state() == "COMPLETED"
        if what == "segments":
            folder = self.bed.job(self.job)["WorkDir"]  # a page submits such a job from a folder of its own
            journals = glob.glob(f"{folder}/**/journal-*", recursive=True)
            return any(os.path.getsize(path) > JOURNAL_HEADER for path in journals)
        left = re.fullmatch(r"job left (\d+)", what)
        if left:
            return self.log().count("the job is requeued") >= int(left[1])
        raise ValueError(f"what is it to wait for {what!r}?")

    def wait(self, what, where):
        began = time.monotonic()
        while not self.is_so(what):
            if self.state() in ("FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"):
                raise slurm.BedError(f"{where}: job {self.job} ended as {self.state()} instead of: {what}\n{self.log()}")
            if time.monotonic() - began > JOB_LIMIT:
                raise slurm.BedError(f"{where}: not in {JOB_LIMIT} s: {what}\n{self.log()}")
            time.sleep(0.2)
        if self.show:
            print(f"--- {where}: waited {time.monotonic() - began:.1f} s: {what}", flush=True)

    def state(self):
        return self.bed.job(self.job).get("JobState", "") if self.job else ""

    def log(self):
        path = self.bed.job(self.job).get("StdOut", "") if self.job else ""
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def last_jobs_end(self):
        """No job of the pages may fail or stay."""
        end = time.monotonic() + JOB_LIMIT
        while self.bed.out(["squeue", "--noheader", "--format=%i"]).strip() and time.monotonic() < end:
            time.sleep(0.3)
        self.checks.equal(self.bed.out(["squeue", "--noheader", "--format=%i %T"]), "", "jobs that do not end")
        states = self.bed.out(["squeue", "--noheader", "--states=all", "--format=%i %T"])
        odd = [line for line in states.splitlines() if line.split()[1] not in ("COMPLETED", "CANCELLED")]
        self.checks.equal(odd, [], "jobs that failed")


ADDRESS = "https://example.org/dhatu.git"


def check_the_check(checks):
    """That a page which is wrong is found."""
    output = "800 documents of 4 sources, content 78515a865eeb\nwrote out.h5 (0.5 MB)\n"
    shown = ["1,367 documents of 3 sources, content 0123456789ab", "...", "wrote ... (28.0 MB)"]
    checks.equal(first_absent(shown, output), None, "lines that are there")
    for shown in (["800 records of 4 sources ..."], ["wrote out.h5 (0.5 MB)", "800 documents ..."], ["wrote out.h5"]):
        checks.that(first_absent(shown, output) is not None, f"not found to be absent: {shown}")


def ten_commands(checks):
    """docs/clusters.md says that it takes ten."""
    path = f"{slurm.SOURCE}/docs/clusters.md"
    with open(path, encoding="utf-8") as file:
        end = next(number for number, line in enumerate(file, 1) if line.startswith("## "))
    commands = [step for step in read_page(path) if step.kind == "command" and step.line < end]
    checks.equal(len(commands), 10, "commands to a result")


def lines_of_plan(cluster, checks):
    """What `dhatu plan` prints to copy is what sbatch takes: as options beside the job script's own, and as lines of it."""
    bed, installed = cluster.bed, f"{cluster.bed.folder}/prefix"
    said = bed.out([f"{installed}/bin/dhatu", "plan", "-j", "profile,digest", "--nodes", 2, "--ranks-per-node", 4, "--gpus",
                    "h100:1", f"{cluster.scratch}/corpus"], limit=COMMAND_LIMIT)
    # The check of the check: Slurm takes one of these beside the script's lines, and not the other.
    tried = [("dhatu.sbatch", ["#SBATCH --mem=4000M"], False), ("dhatu.sbatch", ["#SBATCH --time=0-00:10:00"], True),
             ("dhatu.sbatch", ["#SBATCH --ntasks-per-node=33"], False)]
    for kind, script in (("CPU", "dhatu.sbatch"), ("GPU", "dhatu-gpu.sbatch")):
        block = re.search(rf"^# {kind} nodes.*\n((?:#SBATCH .*\n?)+)", said, re.M)
        if checks.that(block is not None, f"dhatu plan: no lines for {kind} nodes\n{said}"):
            tried.append((script, block[1].splitlines(), True))
    for script, lines, good in tried:
        # One node of the bed has a GPU.
        options = [re.sub(r"^(--nodes)=2$", r"\1=1", line.split()[1]) if "gpu" in script else line.split()[1] for line in lines]
        path = f"{installed}/share/dhatu/slurm/{script}"
        with open(path, encoding="utf-8") as file:
            head, rest = file.read().split("\n\n", 1)
        copied = f"{bed.folder}/work/copied.sbatch"
        cluster.write(copied, "\n".join([head, *(f"#SBATCH {option}" for option in options)]) + f"\n\n{rest}")
        for command in (["sbatch", "--test-only", *options, path], ["sbatch", "--test-only", copied]):
            code, _, answer = bed.run(command)
            checks.that((code == 0) == good, f"{script} with {' '.join(options)}: {'refused' if good else 'taken'} by "
                        f"{' '.join(command)}: {answer}")


def read_pages(bed, program, checks, pages, show):
    cluster = Cluster(bed, program)
    lines_of_plan(cluster, checks)
    if not os.path.exists(LMOD):
        checks.note("lmod is not installed: `module` does nothing")
    print(f"ready after {time.monotonic() - checks.began:.1f} s; {cluster.reuse.count} objects to copy", flush=True)
    reader = Reader(cluster, checks, show)
    reader.shell.run(f". {LMOD}" if os.path.exists(LMOD) else "module() { :; }")
    for page in pages:
        began = time.monotonic()
        reader.follow(page)
        print(f"docs/{page}.md: {time.monotonic() - began:.1f} s", flush=True)
    print(f"{cluster.reuse.compiled()} files were compiled", flush=True)
    reader.last_jobs_end()
    reader.shell.close()


def main():
    given = sys.argv[1:]
    show = "--show" in given
    pages = [page for page in PAGES if page in given] or PAGES
    program = support.program()
    reason = slurm.missing() or ("git is not installed" if shutil.which("git") is None else "")
    if reason:
        slurm.skip_or_fail(reason)
    slurm.leave_on_signals()
    checks = support.Checks()
    check_the_check(checks)
    ten_commands(checks)
    try:
        with slurm.Bed(program) as bed:
            read_pages(bed, program, checks, pages, show)
    except slurm.BedError as error:
        checks.fail(str(error))
    checks.exit()


if __name__ == "__main__":
    main()
