# The OpenCL backend: finds headers and ICD loader, and puts the text of the kernels into the program, which
# hands it to the device's own compiler when a device is opened.
#
# Run as a script (cmake -DFOLDER=SOURCES -DTEXTS=LIST -DOUT=FILE.c -P OpenCL.cmake) it writes that text.

if(CMAKE_SCRIPT_MODE_FILE)
  cmake_minimum_required(VERSION 3.21)
  set(all "")
  set(seen "")
  foreach(name ${TEXTS})
    file(READ ${FOLDER}/${name} text)
    string(REGEX MATCHALL "#include \"[^\"]+\"" includes "${text}")
    foreach(include ${includes})
      string(REGEX REPLACE "#include \"([^\"]+)\"" "\\1" include "${include}")
      if(NOT include IN_LIST seen)
        message(FATAL_ERROR "${name} includes ${include}, which must stand before it in the list of kernel texts")
      endif()
    endforeach()
    # What is included stands before; an empty line keeps the numbers of the lines.
    string(REGEX REPLACE "#include [^\n]*" "" text "${text}")
    string(APPEND all "#line 1 \"${name}\"\n${text}")
    list(APPEND seen ${name})
  endforeach()
  file(WRITE ${OUT}.txt "${all}")
  file(READ ${OUT}.txt bytes HEX)
  file(REMOVE ${OUT}.txt)
  string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  file(WRITE ${OUT} "/* Made by cmake/OpenCL.cmake from kernels/. */\n#include \"kernels/opencl_text.h\"\n\n"
    "const char dh_opencl_text[] = {\n${bytes}0};\n")
  return()
endif()

set(DHATU_OPENCL AUTO CACHE STRING "OpenCL backend: AUTO (where headers and loader are found), ON (an error where not), OFF")
set_property(CACHE DHATU_OPENCL PROPERTY STRINGS AUTO ON OFF)
set(DHATU_HAVE_OPENCL 0)

# In the order in which they include each other.
set(DHATU_OPENCL_TEXTS kernels/core.h kernels/math_core.h kernels/sha256_core.h kernels/digest.h
  kernels/digest_core.h kernels/batch.h kernels/profile.h kernels/profile_core.h kernels/ngrams.h
  kernels/ngrams_core.h kernels/minhash.h kernels/minhash_core.h kernels/device_core.h)

if(NOT DHATU_OPENCL MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "DHATU_OPENCL is ${DHATU_OPENCL}, but must be AUTO, ON or OFF")
endif()
if(NOT DHATU_OPENCL STREQUAL "OFF")
  find_package(OpenCL QUIET)
  set(problem "the OpenCL headers and the ICD loader were not found: on Debian and Ubuntu install ocl-icd-opencl-dev")
  if(OpenCL_FOUND)
    set(DHATU_HAVE_OPENCL 1)
    message(STATUS "OpenCL backend: ${OpenCL_LIBRARIES}")
  elseif(DHATU_OPENCL STREQUAL "ON")
    message(FATAL_ERROR "DHATU_OPENCL is ON, but ${problem}")
  else()
    message(STATUS "OpenCL backend not built: ${problem}")
  endif()
endif()

# Adds the backend to the target.
function(dhatu_opencl_add target source)
  set(text ${CMAKE_CURRENT_BINARY_DIR}/opencl_text.c)
  list(TRANSFORM DHATU_OPENCL_TEXTS PREPEND ${PROJECT_SOURCE_DIR}/ OUTPUT_VARIABLE files)
  add_custom_command(
    OUTPUT ${text}
    COMMAND ${CMAKE_COMMAND} -DFOLDER=${PROJECT_SOURCE_DIR} "-DTEXTS=${DHATU_OPENCL_TEXTS}" -DOUT=${text}
      -P ${PROJECT_SOURCE_DIR}/cmake/OpenCL.cmake
    DEPENDS ${files} ${PROJECT_SOURCE_DIR}/cmake/OpenCL.cmake
    COMMENT "Writing the kernels' text for OpenCL"
    VERBATIM)
  target_sources(${target} PRIVATE ${source} ${text})
  target_compile_definitions(${target} PRIVATE DHATU_HAVE_OPENCL CL_TARGET_OPENCL_VERSION=120)
  target_link_libraries(${target} PUBLIC OpenCL::OpenCL)
endfunction()
