# For Spack 1.0 and newer; see slurm/packaging/README.md.
#
# There is no release to download yet, hence no version with a checksum: the source is a git repository, the one that
# DHATU_REPOSITORY names, else the checkout that this file lies in. What is built is what is committed there.

import os
import pathlib

from spack_repo.builtin.build_systems.cmake import CMakePackage
from spack_repo.builtin.build_systems.cuda import CudaPackage

from spack.package import *


class Dhatu(CMakePackage, CudaPackage):
    """Turns a text corpus of any size into vectors and corpus statistics, in one HDF5 file, over MPI."""

    git = os.environ.get("DHATU_REPOSITORY") or pathlib.Path(__file__).resolve().parents[7].as_uri()

    license("Apache-2.0")

    version("main", branch="main")

    variant("isal", default=True, description="Inflate gzip with ISA-L, about 2.8 times as fast as zlib")
    variant("opencl", default=False, description="Build the OpenCL backend")

    depends_on("c", type="build")
    depends_on("cxx", type="build", when="+cuda")  # nvcc's host compiler
    depends_on("cmake@3.21:", type="build")
    depends_on("ninja", type="build")
    depends_on("pkgconfig", type="build")

    depends_on("mpi@3:")
    depends_on("hdf5@1.10: +mpi")
    depends_on("zlib-api")
    depends_on("zstd@1.4:")
    depends_on("utf8proc@2.2:")
    depends_on("xxhash@0.8:")
    depends_on("bzip2")
    depends_on("isa-l@2.30:", when="+isal")
    depends_on("opencl@1.2:", when="+opencl")
    depends_on("cuda@11:", when="+cuda")

    generator("ninja")

    def cmake_args(self):
        spec = self.spec
        arguments = [
            self.define("DHATU_TESTS", False),
            self.define("DHATU_ISAL", spec.satisfies("+isal")),
            self.define("DHATU_CUDA", "ON" if spec.satisfies("+cuda") else "OFF"),
            self.define("DHATU_OPENCL", "ON" if spec.satisfies("+opencl") else "OFF"),
        ]
        if spec.satisfies("+cuda") and "none" not in spec.variants["cuda_arch"].value:
            arguments.append(self.define("DHATU_CUDA_ARCHITECTURES", spec.variants["cuda_arch"].value))
        return arguments

    @run_after("install")
    @on_package_attributes(run_tests=True)
    def check_install(self):
        """The installed program starts, and finds its lexicons."""
        program = Executable(self.prefix.bin.dhatu)
        program("--version")
        corpus = join_path(self.stage.path, "corpus.jsonl")
        with open(corpus, "w", encoding="utf-8") as file:
            file.write('{"id":"a","text":"We hope that this helps."}\n')
        program("run", "-j", "profile", "-o", join_path(self.stage.path, "out.h5"), corpus)
