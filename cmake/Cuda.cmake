# The CUDA backend: finds nvcc, and compiles kernels/backend_cuda.cu with it.
#
# nvcc is called by a rule of our own instead of CMake's language CUDA: that one would link every program with
# the C++ compiler, hand the C warnings of dhatu_flags to nvcc, and is no part of what clang-tidy can read. The
# runtime library is linked statically, so that the program starts where there is no driver.
set(DHATU_CUDA AUTO CACHE STRING "CUDA backend: AUTO (where nvcc works), ON (an error where not), OFF")
set_property(CACHE DHATU_CUDA PROPERTY STRINGS AUTO ON OFF)
set(DHATU_HAVE_CUDA 0)

# V100, T4, A100, H100, B200. The others of each family run the code of the one below them, and later
# families make theirs from the PTX of the newest.
set(DHATU_CUDA_ARCHITECTURES 70 75 80 90 100 CACHE STRING "Compute capabilities that get machine code")

set(DHATU_CUDA_FLAGS -std=c++17 -O3
  # Results must be the same to the last bit on every backend.
  -fmad=false -prec-div=true -prec-sqrt=true -ftz=false
  # Nothing of the C++ library: programs are linked by the C compiler.
  -Xcompiler=-fPIC,-Wall,-Wextra,-fno-exceptions,-fno-rtti,-fno-threadsafe-statics,-fno-strict-aliasing)
if(DHATU_WERROR)
  list(APPEND DHATU_CUDA_FLAGS -Werror=all-warnings -Xcompiler=-Werror)
endif()

# Sets `flags` to -gencode options for those of the architectures that this nvcc has.
function(dhatu_cuda_architectures flags)
  execute_process(COMMAND ${DHATU_NVCC} --list-gpu-arch OUTPUT_VARIABLE listed ERROR_QUIET)
  set(result "")
  set(newest "")
  foreach(number ${DHATU_CUDA_ARCHITECTURES})
    if(listed MATCHES "compute_${number}(\n|$)")
      list(APPEND result -gencode=arch=compute_${number},code=sm_${number})
      set(newest ${number})
    endif()
  endforeach()
  if(newest)
    list(APPEND result -gencode=arch=compute_${newest},code=compute_${newest})
  endif()
  set(${flags} "${result}" PARENT_SCOPE)
endfunction()

# Sets DHATU_CUDA_PROBLEM to why nvcc cannot be used, or to "".
function(dhatu_cuda_try)
  set(DHATU_CUDA_PROBLEM "" PARENT_SCOPE)
  find_program(DHATU_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH ENV CUDACXX PATH_SUFFIXES bin
    PATHS /usr/local/cuda /opt/cuda)
  if(NOT DHATU_NVCC)
    set(DHATU_CUDA_PROBLEM "nvcc is neither in PATH nor in CUDA_HOME, CUDA_PATH or /usr/local/cuda" PARENT_SCOPE)
    return()
  endif()
  get_filename_component(nvcc ${DHATU_NVCC} REALPATH)
  get_filename_component(toolkit ${nvcc} DIRECTORY)
  get_filename_component(toolkit ${toolkit} DIRECTORY)
  find_library(DHATU_CUDART cudart_static HINTS ${toolkit} ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda
    PATH_SUFFIXES lib64 lib targets/${CMAKE_SYSTEM_PROCESSOR}-linux/lib targets/sbsa-linux/lib)
  if(NOT DHATU_CUDART)
    set(DHATU_CUDA_PROBLEM "libcudart_static.a was not found beside ${DHATU_NVCC}" PARENT_SCOPE)
    return()
  endif()
  # A host compiler that is too new for the toolkit shows here.
  set(probe ${CMAKE_CURRENT_BINARY_DIR}/cuda_probe)
  file(WRITE ${probe}.cu "#include <cuda_runtime.h>
__global__ void probe(int *x) { *x = 1; }
int main() { probe<<<1, 1>>>(nullptr); return cudaGetLastError() != cudaSuccess; }
")
  execute_process(COMMAND ${DHATU_NVCC} ${DHATU_CUDA_FLAGS} -c ${probe}.cu -o ${probe}.o
    RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(result EQUAL 0)
    execute_process(COMMAND ${CMAKE_C_COMPILER} ${probe}.o -o ${probe} ${DHATU_CUDART} -lpthread -ldl -lrt
      RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  endif()
  if(NOT result EQUAL 0)
    set(DHATU_CUDA_PROBLEM "${DHATU_NVCC} does not compile here:\n${output}" PARENT_SCOPE)
    return()
  endif()
  dhatu_cuda_architectures(architectures)
  execute_process(COMMAND ${DHATU_NVCC} --version OUTPUT_VARIABLE version)
  string(REGEX MATCH "release [0-9.]+" version "${version}")
  string(REGEX MATCHALL "code=[a-z]+_[0-9]+" codes "${architectures}")
  list(TRANSFORM codes REPLACE "code=" "")
  list(JOIN codes " " codes)
  message(STATUS "CUDA backend: ${DHATU_NVCC} (${version}), code for ${codes}")
  set(DHATU_CUDA_GENCODE ${architectures} CACHE INTERNAL "")
endfunction()

if(NOT DHATU_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "DHATU_CUDA is ${DHATU_CUDA}, but must be AUTO, ON or OFF")
endif()
if(NOT DHATU_CUDA STREQUAL "OFF")
  dhatu_cuda_try()
  if(DHATU_CUDA_PROBLEM STREQUAL "")
    set(DHATU_HAVE_CUDA 1)
  elseif(DHATU_CUDA STREQUAL "ON")
    message(FATAL_ERROR "DHATU_CUDA is ON, but ${DHATU_CUDA_PROBLEM}")
  else()
    message(STATUS "CUDA backend not built: ${DHATU_CUDA_PROBLEM}")
  endif()
endif()

# Compiles a .cu file into the target, and links the runtime to whatever links the target.
function(dhatu_cuda_add target source)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${source}.o)
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${DHATU_NVCC} ${DHATU_CUDA_FLAGS} ${DHATU_CUDA_GENCODE} -I${PROJECT_SOURCE_DIR}
      -MD -MF ${object}.d -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${object}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${source}
    DEPFILE ${object}.d
    COMMENT "Building CUDA object ${source}.o"
    VERBATIM)
  target_sources(${target} PRIVATE ${object})
  set_source_files_properties(${object} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  target_compile_definitions(${target} PRIVATE DHATU_HAVE_CUDA)
  find_package(Threads REQUIRED)
  target_link_libraries(${target} PUBLIC ${DHATU_CUDART} Threads::Threads ${CMAKE_DL_LIBS} rt)
endfunction()
