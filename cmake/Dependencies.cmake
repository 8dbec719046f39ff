# What dhatu is built on. What is missing is named, all of it at once, with the Debian package that brings it and with
# what to do on a cluster.
find_package(PkgConfig REQUIRED)

set(missing "")
set(missing_packages "")

macro(dhatu_look_for target module package)
  pkg_check_modules(${target} QUIET IMPORTED_TARGET ${module})
  if(NOT ${target}_FOUND)
    list(APPEND missing ${module})
    list(APPEND missing_packages ${package})
  endif()
endmacro()

dhatu_look_for(ZLIB zlib zlib1g-dev)
dhatu_look_for(ZSTD libzstd libzstd-dev)
dhatu_look_for(UTF8PROC libutf8proc libutf8proc-dev)

# XXH3 is used header-only, so that short hashes are inlined.
find_path(DHATU_XXHASH_INCLUDE xxhash.h)
if(NOT DHATU_XXHASH_INCLUDE)
  list(APPEND missing "xxhash.h (0.8 or newer)")
  list(APPEND missing_packages libxxhash-dev)
endif()

if(missing)
  list(JOIN missing ", " missing)
  list(JOIN missing_packages " " missing_packages)
  message(FATAL_ERROR "dhatu needs what was not found: ${missing}\n"
    "On Debian and Ubuntu install ${missing_packages}. On a cluster load their modules. "
    "utf8proc, xxHash and zstd, where there is no module, are built without root by\n"
    "  slurm/packaging/dependencies.sh PREFIX\n"
    "and are then found with -DCMAKE_PREFIX_PATH=PREFIX.")
endif()

# bzip2 has no pkg-config file in older distributions.
find_package(BZip2 QUIET)
if(BZIP2_FOUND)
  set(DHATU_HAVE_BZIP2 1)
else()
  message(STATUS "bzip2 not found (libbz2-dev): .bz2 sources will be refused with a message")
endif()

# ISA-L inflates about 2.8 times as fast as zlib; zlib stays the fallback.
option(DHATU_ISAL "Inflate gzip with ISA-L where it is present" ON)
if(DHATU_ISAL)
  pkg_check_modules(ISAL IMPORTED_TARGET libisal)
endif()
if(ISAL_FOUND)
  set(DHATU_HAVE_ISAL 1)
else()
  message(STATUS "ISA-L not used (libisal-dev): gzip is inflated by zlib, about a third of the speed")
endif()

# The thread that keeps a device busy.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

find_package(MPI REQUIRED COMPONENTS C)

set(HDF5_PREFER_PARALLEL ON)
find_package(HDF5 REQUIRED COMPONENTS C)
if(HDF5_VERSION VERSION_LESS 1.10)
  message(FATAL_ERROR "dhatu needs HDF5 1.10 or newer, found ${HDF5_VERSION}")
endif()
add_library(dhatu_hdf5 INTERFACE)
target_include_directories(dhatu_hdf5 SYSTEM INTERFACE ${HDF5_C_INCLUDE_DIRS} ${HDF5_INCLUDE_DIRS})
target_link_libraries(dhatu_hdf5 INTERFACE ${HDF5_C_LIBRARIES})
target_compile_definitions(dhatu_hdf5 INTERFACE ${HDF5_C_DEFINITIONS} H5_USE_110_API)
if(HDF5_IS_PARALLEL)
  target_link_libraries(dhatu_hdf5 INTERFACE MPI::MPI_C)
endif()
