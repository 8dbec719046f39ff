"""What `cmake --install` makes: install.py SOURCE_DIR BUILD_DIR CMAKE

Programs, scripts, lexicons, man pages and modulefiles are in their places; DESTDIR; a tree that is moved; man pages
without warnings; the modulefiles in Lmod, where it is there. Python 3.9 and its standard library.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE, BUILD, CMAKE = (pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3])
VERSION = re.search(r"project\(dhatu VERSION ([0-9.]+)", (SOURCE / "CMakeLists.txt").read_text()).group(1)
JOB_SCRIPTS = ("dhatu.sbatch", "dhatu-gpu.sbatch", "dhatu-het.sbatch")
SITES = ("alliance", "trillium", "generic", "magic-castle")
LMOD_PLACES = (os.environ.get("LMOD_PKG", "") + "/init/bash", "/usr/share/lmod/lmod/init/bash")
problems = []


def check(good, message):
    if not good:
        problems.append(message)
        print("FAILED:", message)


def run(*command, **options):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("DHATU_", "SLURM_", "MODULE", "LMOD", "_"))}
    environment.update(HWLOC_COMPONENTS="-opencl", OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    environment.update(options.pop("environment", {}))
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=100,
                          env=environment, **options)


def install(prefix, destination=None, build=BUILD):
    done = run(CMAKE, "--install", build, "--prefix", prefix,
               environment={"DESTDIR": str(destination)} if destination else {})
    if done.returncode != 0:
        sys.exit(f"cmake --install failed:\n{done.stdout}{done.stderr}")


def files_below(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def wanted_files():
    manual = run(BUILD / "src/dhatu", "--help")
    commands = re.findall(r"^  ([a-z]+) ", manual.stdout[manual.stdout.index("Commands:"):], re.M)
    check(len(commands) >= 9, f"dhatu --help lists only the commands {commands}")
    share = "share/dhatu/"
    return ({"bin/dhatu", "share/man/man1/dhatu.1", "share/man/man7/dhatu-slurm.7", "share/doc/dhatu/LICENSE",
             "share/doc/dhatu/README.md", "share/doc/dhatu/docs/operations.md"}
            | {f"share/man/man1/dhatu-{command}.1" for command in commands}
            | {f"{share}lexicon/{language}.tsv" for language in ("en", "fr")}
            | {f"{share}slurm/{name}" for name in (*JOB_SCRIPTS, "dhatu-job.sh", "packaging/dhatu-apptainer")}
            | {f"{share}slurm/env/{site}.sh" for site in SITES}
            | {f"{share}modulefiles/dhatu/{VERSION}", f"{share}modulefiles/dhatu/{VERSION}.lua"})


def check_places(prefix):
    found = files_below(prefix)
    for name in sorted(wanted_files() - found):
        check(False, f"not installed: {name}")
    for name in sorted(found):
        check(name.split("/")[0] in ("bin", "share"), f"installed at an odd place: {name}")
        check(not name.endswith((".in", ".txt", "~")), f"installed by mistake: {name}")
    for name in ["bin/dhatu"] + [f"share/dhatu/slurm/{script}" for script in (*JOB_SCRIPTS, "packaging/dhatu-apptainer")]:
        check(os.access(prefix / name, os.X_OK), f"not executable: {name}")
    return found


def check_destination(work, found):
    stage, prefix = work / "stage", pathlib.Path("/opt/nowhere/dhatu")
    install(prefix, stage)
    check(not prefix.exists(), f"DESTDIR is not obeyed: {prefix} was made")
    staged = stage / prefix.relative_to("/")
    check(files_below(stage) == {f"opt/nowhere/dhatu/{name}" for name in found}, "DESTDIR: other files than without")
    for name in (VERSION, VERSION + ".lua"):
        text = (staged / "share/dhatu/modulefiles/dhatu" / name).read_text()
        check(f'"{prefix}"' in text and str(stage) not in text, f"modulefile {name}: not the prefix {prefix}")
        check("@" not in text, f"modulefile {name}: something was not replaced")


def check_moved(work, prefix):
    """The program takes the lexicons of its own tree, wherever that is."""
    moved = work / "moved tree"
    prefix.rename(moved)
    corpus, out = work / "corpus.jsonl", work / "out.h5"
    corpus.write_text('{"id":"a","text":"We hope that this helps.","lang":"en"}\n')
    command = (moved / "bin/dhatu", "run", "-j", "profile", "-o", out, corpus)
    done = run(*command)
    check(done.returncode == 0 and out.exists(), f"the moved program fails with {done.returncode}: {done.stderr}")
    lexicon = moved / "share/dhatu/lexicon/en.tsv"
    good = lexicon.read_bytes()
    lexicon.write_text("this is no lexicon\n")
    done = run(*command, "--force")
    check(done.returncode == 2 and "moved tree" in done.stderr,
          f"the moved program does not read its own lexicon: {done.returncode}, {done.stderr}")
    lexicon.write_bytes(good)
    for script in JOB_SCRIPTS:
        done = run("bash", moved / "share/dhatu/slurm" / script, "-o", out, corpus, cwd=work)
        check(done.returncode == 2 and "sbatch" in done.stderr,
              f"{script} outside of Slurm: {done.returncode}, {done.stderr}")
    return moved


def check_manual(prefix):
    if shutil.which("man") is None:
        print("man is not installed: the man pages are not rendered")
        return
    pages = sorted((prefix / "share/man").rglob("*.[17]"))
    for page in pages:
        done = run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page)
        check(done.returncode == 0 and done.stderr == "", f"man page {page.name}: {done.stderr}")
        check(VERSION in done.stdout, f"man page {page.name} has no version {VERSION}")
    print(len(pages), "man pages")


def lmod():
    return next((place for place in LMOD_PLACES if os.access(place, os.R_OK)), None)


def in_module_shell(commands):
    return run("bash", "--norc", "-c", f"source {lmod()}; export MANPATH=/some/man; {commands}")


def check_module(folder, prefix, kind):
    done = in_module_shell(f'module use "{folder}"; module load dhatu/{VERSION} && dhatu --version && '
                           'printf "%s\\n" "$(command -v dhatu)" "$DHATU_HOME" "$MANPATH" && module help dhatu && '
                           'module unload dhatu && printf "left:%s:%s\\n" "${DHATU_HOME-}" "$MANPATH"')
    lines = done.stdout.splitlines()
    check(done.returncode == 0, f"{kind}: module load fails: {done.stderr}")
    if done.returncode != 0:
        return
    check(lines[0] == f"dhatu {VERSION}", f"{kind}: {lines[0]}")
    check(lines[1] == f"{prefix}/bin/dhatu", f"{kind}: dhatu is {lines[1]}")
    check(lines[2] == f"{prefix}/share/dhatu/slurm", f"{kind}: DHATU_HOME is {lines[2]}")
    # An empty part stands for the pages of the system.
    check(re.fullmatch(re.escape(f"{prefix}/share/man:/some/man") + ":+", lines[3]), f"{kind}: MANPATH is {lines[3]}")
    check(lines[-1] == "left::/some/man", f"{kind}: module unload leaves {lines[-1]}")
    check("HDF5" in done.stderr + done.stdout, f"{kind}: no help")


def check_modules(work, prefix):
    modulefiles = prefix / "share/dhatu/modulefiles/dhatu"
    if shutil.which("luac"):
        done = run("luac", "-p", modulefiles / (VERSION + ".lua"))
        check(done.returncode == 0, done.stderr)
    if lmod() is None:
        print("Lmod is not installed: the modulefiles are not loaded")
        return
    check_module(modulefiles.parent, prefix, "Lmod")
    if shutil.which("tclsh"):
        classic = work / "classic"  # without the Lua file, and not where it was installed
        (classic / "dhatu").mkdir(parents=True)
        text = (modulefiles / VERSION).read_text().replace('set prefix "', f'set prefix "{prefix}" ;# "', 1)
        (classic / "dhatu" / VERSION).write_text(text)
        check_module(classic, prefix, "Tcl")
    check_loads(work)
    print("modulefiles loaded")


def check_loads(work):
    """DHATU_MODULEFILE_LOADS: modules that ours loads, by a project of nothing but the modulefiles."""
    project, build, prefix = work / "project", work / "project-build", work / "project-prefix"
    project.mkdir()
    (project / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.21)\n"
        f"project(dhatu VERSION {VERSION} LANGUAGES NONE)\n"
        "set(CMAKE_INSTALL_LIBDIR lib)\ninclude(GNUInstallDirs)\n"
        f'add_subdirectory("{SOURCE}/slurm/packaging" packaging)\n')
    done = run(CMAKE, "-S", project, "-B", build, "-DDHATU_MODULEFILE_LOADS=compiler/12.3;mpi")
    check(done.returncode == 0, f"modulefiles alone: {done.stderr}")
    install(prefix, build=build)
    for name in ("compiler/12.3", "mpi/4.1"):
        path = work / "others" / (name + ".lua")
        path.parent.mkdir(parents=True)
        path.write_text('setenv("HAVE_%s", "1")\n' % path.parent.name.upper())
    modulefiles = prefix / "share/dhatu/modulefiles"
    for kind in ("Lmod", "Tcl"):
        done = in_module_shell(f'module use "{work}/others" "{modulefiles}"; module load dhatu && '
                               'printf "%s" "$HAVE_COMPILER$HAVE_MPI"')
        check(done.stdout == "11", f"{kind}: DHATU_MODULEFILE_LOADS is not obeyed: {done.stdout}{done.stderr}")
        done = in_module_shell(f'module use "{modulefiles}"; module load dhatu')
        check(done.returncode != 0 and "compiler" in done.stderr, f"{kind}: a missing module is not told")
        (modulefiles / "dhatu" / (VERSION + ".lua")).unlink(missing_ok=True)
        if not shutil.which("tclsh"):
            break


def main():
    with tempfile.TemporaryDirectory(prefix="dhatu-install-") as folder:
        work = pathlib.Path(folder).resolve()
        prefix = work / "prefix"
        install(prefix)
        found = check_places(prefix)
        check_destination(work, found)
        check_manual(prefix)
        moved = check_moved(work, prefix)
        check_modules(work, moved)
    print(f"{len(found)} files installed, {len(problems)} problems")
    sys.exit(1 if problems else 0)


main()
