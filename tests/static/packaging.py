"""The package files of slurm/packaging against the project itself: packaging.py SOURCE_DIR PROGRAM

Versions, options of CMake and dependencies in the Spack, EasyBuild and Apptainer files are those of the project; the
scripts do what they say. The files' own tools take no part, except shellcheck. Python 3.9 and its standard library.
"""

import hashlib
import io
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import types

SOURCE, PROGRAM = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
PACKAGING = SOURCE / "slurm/packaging"
VERSION = re.search(r"project\(dhatu VERSION ([0-9.]+)", (SOURCE / "CMakeLists.txt").read_text()).group(1)

# What cmake/ looks for, and its names in Spack, EasyBuild and Debian. None: it comes with something else, or that
# package leaves the optional part out.
DEPENDENCIES = {
    "zlib": ("zlib-api", "zlib", "zlib1g-dev"),
    "libzstd": ("zstd", "zstd", "libzstd-dev"),
    "libutf8proc": ("utf8proc", "utf8proc", "libutf8proc-dev"),
    "xxhash.h": ("xxhash", "xxHash", "libxxhash-dev"),
    "libisal": ("isa-l", "ISA-L", "libisal-dev"),
    "BZip2": ("bzip2", "bzip2", "libbz2-dev"),
    "MPI": ("mpi", None, "libopenmpi-dev"),
    "HDF5": ("hdf5", "HDF5", "libhdf5-openmpi-dev"),
    "OpenCL": ("opencl", None, "ocl-icd-opencl-dev"),
    "nvcc": ("cuda", None, None),
    "PkgConfig": ("pkgconfig", "pkgconf", "pkg-config"),
    "Threads": (None, None, None),
}
TOOLS = (("cmake", "ninja", "c", "cxx"), ("CMake", "Ninja"), ("cmake", "ninja-build", "build-essential"))
problems = []


def check(good, message):
    if not good:
        problems.append(message)
        print("FAILED:", message)


def run(command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=100, **options)


def compare(what, found, wanted):
    check(sorted(found) == sorted(wanted), f"{what}: too much {sorted(set(found) - set(wanted))}, missing "
                                           f"{sorted(set(wanted) - set(found))}, found {sorted(found)}")


# ---- the project ----------------------------------------------------------------------------------------------


def cmake_texts():
    files = [SOURCE / "CMakeLists.txt", PACKAGING / "CMakeLists.txt", *sorted((SOURCE / "cmake").glob("*.cmake"))]
    return "\n".join(re.sub(r"#.*", "", path.read_text()) for path in files)


def cmake_options():
    text = cmake_texts()
    return (set(re.findall(r"option\((DHATU_\w+)", text))
            | set(re.findall(r"set\((DHATU_\w+)[^)]*?CACHE (?:STRING|BOOL|PATH)", text)))


def looked_for():
    """What cmake/ really asks for."""
    text = cmake_texts()
    found = set(re.findall(r"find_package\((\w+)", text))
    found |= set(re.findall(r"pkg_check_modules\(\w+ (?:QUIET )?IMPORTED_TARGET ([\w-]+)\)", text))
    found |= set(re.findall(r"dhatu_look_for\(\w+ ([\w-]+)", text))
    found |= set(re.findall(r"find_path\(\w+ ([\w.]+)\)", text))
    found |= set(re.findall(r"find_program\(\w+ (nvcc)", text))
    return found


def names_in(packager):
    wanted = [names[packager] for names in DEPENDENCIES.values() if names[packager]]
    return wanted + list(TOOLS[packager])


# ---- Spack ----------------------------------------------------------------------------------------------------


class Recorder:
    """Stands in for Spack: the package file is carried out, and what it asks for is kept."""

    def __init__(self):
        self.calls = {}

    def __call__(self, name):
        return lambda *given, **named: self.calls.setdefault(name, []).append((given, named))


class Spec:
    def __init__(self, switched_on, architectures=("none",)):
        self.switched_on = switched_on
        self.variants = {"cuda_arch": types.SimpleNamespace(value=architectures)}

    def satisfies(self, text):
        return (text[1:] in self.switched_on) == (text[0] == "+")


def load_spack():
    path = PACKAGING / "spack/spack_repo/dhatu/packages/dhatu/package.py"
    text = path.read_text()
    record = Recorder()
    directives = ("license", "version", "variant", "depends_on", "generator")
    names = {name: record(name) for name in directives}
    builder = type("CMakePackage", (), {"define": staticmethod(lambda name, value: (name, value))})
    names.update(__file__=str(path), CMakePackage=builder, CudaPackage=type("CudaPackage", (), {}),
                 run_after=lambda *_: lambda function: function, on_package_attributes=lambda **_: lambda function: function)
    own = ["" if line.startswith("from spack") else line for line in text.splitlines()]
    check(len(re.findall("^from spack", text, re.M)) == 3, "Spack: the imports are not the three that are known")
    exec(compile("\n".join(own), str(path), "exec"), names)  # a file of ours
    return names["Dhatu"], record.calls


def check_spack():
    package, calls = load_spack()
    repository = (PACKAGING / "spack/spack_repo/dhatu/repo.yaml").read_text()
    check("namespace: dhatu" in repository and "api: v2" in repository, "Spack: repo.yaml")
    checkout = os.environ.get("DHATU_REPOSITORY") or SOURCE.resolve().as_uri()
    check(package.git == checkout, f"Spack: the source is {package.git}, not {checkout}")
    compare("Spack: dependencies", {re.split("[@ +]", given[0])[0] for given, _ in calls["depends_on"]}, names_in(0))
    variants = {given[0] for given, _ in calls["variant"]}
    compare("Spack: variants", variants, {"isal", "opencl"})
    for given, named in calls["depends_on"]:
        condition = named.get("when", "+cuda")
        check(condition[1:] in variants | {"cuda"}, f"Spack: {given[0]} when {condition}")
    minimum = re.search(r"cmake_minimum_required\(VERSION ([0-9.]+)\)", (SOURCE / "CMakeLists.txt").read_text()).group(1)
    check(any(given[0] == f"cmake@{minimum}:" for given, _ in calls["depends_on"]), f"Spack: not cmake@{minimum}:")
    for switched_on, architectures in (((), ("none",)), (("isal", "opencl"), ("none",)), (("cuda",), ("80", "90"))):
        instance = package.__new__(package)
        instance.spec = Spec(switched_on, architectures)
        given = dict(instance.cmake_args())
        check(set(given) <= cmake_options(), f"Spack: no such option among {sorted(given)}")
        check((given["DHATU_CUDA"], given["DHATU_OPENCL"], given["DHATU_ISAL"], given["DHATU_TESTS"])
              == ("ON" if "cuda" in switched_on else "OFF", "ON" if "opencl" in switched_on else "OFF",
                  "isal" in switched_on, False), f"Spack: {switched_on} gives {given}")
        check(given.get("DHATU_CUDA_ARCHITECTURES") == (("80", "90") if "cuda" in switched_on else None),
              f"Spack: {switched_on} gives {given}")


# ---- EasyBuild ------------------------------------------------------------------------------------------------


def check_easybuild():
    files = list(PACKAGING.glob("*.eb"))
    check(len(files) == 1, f"EasyBuild: {files}")
    values = {"SOURCE_TAR_GZ": "%(name)s-%(version)s.tar.gz", "SYSTEM": ("system", "system")}
    exec(compile(files[0].read_text(), str(files[0]), "exec"), values)  # an easyconfig is Python
    toolchain = values["toolchain"]
    check(files[0].name == f"dhatu-{VERSION}-{toolchain['name']}-{toolchain['version']}.eb", f"EasyBuild: {files[0].name}")
    check((values["name"], values["version"]) == ("dhatu", VERSION), f"EasyBuild: version {values['version']}")
    check(len(values["checksums"]) == len(values["sources"]), "EasyBuild: checksums and sources")
    compare("EasyBuild: dependencies", [name for name, _ in values["dependencies"] + values["builddependencies"]], names_in(1))
    check_defined("EasyBuild", values["configopts"])
    check(f"dhatu-{VERSION}.tar.gz" in files[0].read_text() and f"dhatu-{VERSION}.tar.gz" in (PACKAGING / "README.md").read_text(),
          "EasyBuild: the archive's name")


def check_defined(what, text):
    for name in re.findall(r"-D(DHATU_\w+)=", text):
        check(name in cmake_options(), f"{what}: CMake has no option {name}")


# ---- Apptainer ------------------------------------------------------------------------------------------------


def sections():
    """{(stage, section): text} of the definition; the header is the section ''."""
    found, stage, header, name = {}, "", "", ""
    for line in (PACKAGING / "dhatu.def").read_text().splitlines(keepends=True):
        if line.startswith("Bootstrap:"):
            stage, header, name = "", "", ""
        if line.startswith("Stage:"):
            stage = line.split()[1]
            found[stage, ""] = header
        if line.startswith("%"):
            name = line.split()[0]
            found[stage, name] = " ".join(line.split()[1:]) + "\n" if len(line.split()) > 1 else ""
        elif name:
            found[stage, name] += line
        else:
            header += line
    return found


def installed_packages(script):
    lines = re.sub(r"#.*", "", script).replace("\\\n", " ").splitlines()
    listed = next(line.split("--no-install-recommends")[1] for line in lines if "--no-install-recommends" in line)
    return listed.split()


def check_apptainer():
    found = sections()
    for stage in ("build", "final"):
        check("Bootstrap: docker\nFrom: debian:bookworm-slim\n" in found[stage, ""], f"Apptainer: header of {stage}")
    compare("Apptainer: sections", set(found), {("build", ""), ("build", "%files"), ("build", "%post"), ("final", "")}
            | {("final", name) for name in ("%files", "%post", "%environment", "%runscript", "%test", "%labels", "%help")})
    packages = installed_packages(found["build", "%post"])
    compare("Apptainer: packages to build with", packages, names_in(2))
    quickstart = re.search(r"build_packages=\(([^)]*)\)", (SOURCE / "quickstart").read_text()).group(1).split()
    compare("Apptainer and quickstart", packages, [name for name in quickstart if name != "openmpi-bin"])
    check_defined("Apptainer", found["build", "%post"])
    check("from build" in found["final", "%files"].splitlines()[0], "Apptainer: nothing is taken from the stage build")
    prefix = re.search(r"-DCMAKE_INSTALL_PREFIX=(\S+)", found["build", "%post"]).group(1)
    for name in ("%post", "%environment", "%runscript", "%test"):
        check(prefix + "/bin" in found["final", name], f"Apptainer: {name} does not use {prefix}")
    check(f"{prefix}/bin/dhatu" in (PACKAGING / "dhatu-apptainer").read_text(), "dhatu-apptainer: another prefix")
    if shutil.which("shellcheck"):
        for (stage, name), text in found.items():
            if name in ("%post", "%environment", "%runscript", "%test"):
                done = run(["shellcheck", "-s", "sh", "-"], input=text)
                check(done.returncode == 0, f"Apptainer: {stage} {name}: {done.stdout}")
    check_libraries(installed_packages(found["final", "%post"]))


def check_libraries(packages):
    """The image has the packages of the libraries that the program is linked with."""
    release = pathlib.Path("/etc/os-release")
    if not release.exists() or "bookworm" not in release.read_text() or not shutil.which("readelf"):
        print("not Debian 12: the image's libraries are not compared with the program's")
        return
    needed = re.findall(r"NEEDED.*\[(.*)\]", run(["readelf", "-d", PROGRAM]).stdout)
    check(len(needed) >= 5, f"the program needs only {needed}")
    for library in needed:
        owners = {line.split(":")[0] for line in run(["dpkg", "-S", f"*/{library}"]).stdout.splitlines()}
        check(bool(owners & (set(packages) | {"libc6", "libgcc-s1", "libasan8", "libubsan1"})),
              f"Apptainer: the image has no package with {library}: {owners}")


def check_wrapper(work):
    """dhatu-apptainer, with a stand-in for Apptainer that says what it was given."""
    tools = work / "tools"
    tools.mkdir()
    stand_in = tools / "apptainer"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@" "gds $PMIX_MCA_gds" "copy $OMPI_MCA_btl_vader_single_copy_mechanism" '
                        '"prefix ${OPAL_PREFIX-none}"\nexit 75\n')
    stand_in.chmod(0o755)
    wrapper, image, server = PACKAGING / "dhatu-apptainer", work / "image.sif", work / "pmix.1"
    image.touch()
    server.mkdir()
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "HOME": str(work), "OPAL_PREFIX": "/opt/host"}
    done = run([wrapper, "run"], env=environment)
    check(done.returncode == 2 and "DHATU_IMAGE" in done.stderr, f"dhatu-apptainer without an image: {done.stderr}")
    done = run([wrapper, "run"], env=environment | {"DHATU_IMAGE": str(work / "none.sif")})
    check(done.returncode == 2 and "none.sif" in done.stderr, f"dhatu-apptainer with a missing image: {done.stderr}")
    environment |= {"DHATU_IMAGE": str(image), "PMIX_SERVER_TMPDIR": str(server), "SCRATCH": str(work), "TMPDIR": "/nowhere"}
    done = run([wrapper, "run", "-o", "a b.h5", "c*"], env=environment)
    lines = done.stdout.splitlines()
    check(done.returncode == 75, f"dhatu-apptainer: exit code {done.returncode}, not that of the program")
    at = lines.index(str(image)) if str(image) in lines else 0
    check(lines[:1] == ["exec"] and lines[at + 1:] == ["/opt/dhatu/bin/dhatu", "run", "-o", "a b.h5", "c*", "gds hash",
                                                       "copy none", "prefix none"], f"dhatu-apptainer: {lines}")
    bound = [lines[i + 1] for i in range(at) if lines[i] == "--bind"]
    check(str(server) in bound and str(work) in bound and "/nowhere" not in bound, f"dhatu-apptainer binds {bound}")
    (tools / "apptainer").unlink()
    done = run([wrapper, "run"], env=environment)
    check(done.returncode == 2 and "apptainer" in done.stderr, f"dhatu-apptainer without Apptainer: {done.stderr}")


# ---- dependencies.sh ------------------------------------------------------------------------------------------


def pack(path, folder, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))


def check_dependencies(work):
    """dependencies.sh with small archives of our own in place of the real ones, and without a network."""
    script, tools, archives, prefix = PACKAGING / "dependencies.sh", work / "few tools", work / "archives", work / "pre fix"
    tools.mkdir()
    archives.mkdir()
    for name in ("bash", "env", "cc", "make", "tar", "gzip", "install", "mktemp", "mkdir", "rm", "cat", "sha256sum", "pkg-config",
                 "cut", "sh", "ar", "as", "ld", "nproc"):
        if shutil.which(name):
            (tools / name).symlink_to(shutil.which(name))
    environment = {"PATH": str(tools), "HOME": str(work), "TMPDIR": str(work)}

    def attempt(text, *arguments):
        trial = work / "trial.sh"
        trial.write_text(text)
        return run(["bash", trial, "--archives", archives, prefix, *arguments], env=environment)

    text = script.read_text()
    addresses, hashes = re.findall(r"address=(\S+)", text), re.findall(r"sha256=([0-9a-f]*)\b", text)
    check(len(addresses) == 4 and all(len(value) == 64 for value in hashes) and len(hashes) == 4, "dependencies.sh: hashes")
    done = attempt(text, "utf8proc")
    check(done.returncode == 1 and addresses[0] in done.stderr and str(archives) in done.stderr,
          f"dependencies.sh without a network: {done.returncode} {done.stderr}")
    done = attempt(text, "wonderlib")
    check(done.returncode == 1 and "wonderlib" in done.stderr, f"dependencies.sh, unknown library: {done.stderr}")
    pack(archives / "xxHash-0.8.1.tar.gz", "xxHash", {"xxhash.h": "/* small */\n"})
    done = attempt(text, "xxhash")
    check(done.returncode == 1 and hashes[1] in done.stderr, f"dependencies.sh, another archive: {done.stderr}")
    check(not (prefix / "include").exists(), "dependencies.sh installs from a wrong archive")
    makefile = "libutf8proc.a:\n\techo 'int one(void);' >one.c\n\t$(CC) -c one.c\n\t$(AR) rc $@ one.o\n"
    pack(archives / "utf8proc-2.8.0.tar.gz", "x", {"Makefile": makefile, "utf8proc.h": "/* small */\n"})
    for place, name in enumerate(("utf8proc-2.8.0.tar.gz", "xxHash-0.8.1.tar.gz")):
        text = text.replace(hashes[place], hashlib.sha256((archives / name).read_bytes()).hexdigest())
    done = attempt(text, "xxhash", "utf8proc")
    check(done.returncode == 0 and f"-DCMAKE_PREFIX_PATH={prefix}" in done.stdout, f"dependencies.sh: {done.stderr}")
    for name in ("include/xxhash.h", "include/utf8proc.h", "lib/libutf8proc.a", "lib/pkgconfig/libutf8proc.pc"):
        check((prefix / name).exists(), f"dependencies.sh does not install {name}")
    pack(archives / "utf8proc-2.8.0.tar.gz", "x", {"Makefile": "libutf8proc.a:\n\tfalse\n", "utf8proc.h": "\n"})
    text = text.replace(re.findall(r"sha256=([0-9a-f]{64})", text)[0],
                        hashlib.sha256((archives / "utf8proc-2.8.0.tar.gz").read_bytes()).hexdigest())
    done = attempt(text, "utf8proc")
    check(done.returncode == 1 and "could not be built" in done.stderr, f"dependencies.sh, a build that fails: {done.stderr}")


# ---- texts ----------------------------------------------------------------------------------------------------


def check_texts():
    """The man page of the job scripts names what they read; the README names files that exist."""
    page = (SOURCE / "docs/man/dhatu-slurm.7.in").read_text()
    in_page = re.findall(r"^\.B (DHATU_[A-Z_]+)$", page, re.M)
    scripts = (SOURCE / "slurm/dhatu-job.sh").read_text()
    header = scripts[:scripts.index("\n\n")]
    compare("dhatu-slurm(7): variables", in_page, re.findall(r"^#   (DHATU_[A-Z_]+) ", header, re.M) + ["DHATU_HOME"])
    for script in sorted((SOURCE / "slurm").glob("*.sbatch")):
        check(script.name in page.replace("\\-", "-"), f"dhatu-slurm(7) does not name {script.name}")
    readme = (PACKAGING / "README.md").read_text()
    check_defined("README.md", readme)
    for name in re.findall(r"slurm/packaging/[\w./-]*\w", readme):
        check((SOURCE / name).exists(), f"README.md: there is no {name}")


def main():
    found = looked_for()
    compare("what cmake/ looks for, and the table of this test", found, DEPENDENCIES)
    check_spack()
    check_easybuild()
    check_apptainer()
    check_texts()
    with tempfile.TemporaryDirectory(prefix="dhatu-packaging-") as folder:
        check_wrapper(pathlib.Path(folder))
        check_dependencies(pathlib.Path(folder))
    print(len(problems), "problems")
    sys.exit(1 if problems else 0)


main()
