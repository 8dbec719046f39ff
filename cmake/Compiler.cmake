# Flags that every target of the project shares.
add_library(dhatu_flags INTERFACE)
target_compile_options(dhatu_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
  -Wpointer-arith -Wwrite-strings -Wundef
  # Results must be the same to the last bit on every backend: no fused multiply-add.
  -ffp-contract=off
  -fno-strict-aliasing)
target_compile_definitions(dhatu_flags INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64)
if(DHATU_WERROR)
  target_compile_options(dhatu_flags INTERFACE -Werror)
endif()
if(DHATU_SANITIZE)
  target_compile_options(dhatu_flags INTERFACE
    -fsanitize=${DHATU_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  target_link_options(dhatu_flags INTERFACE -fsanitize=${DHATU_SANITIZE})
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release" OR CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
  string(REPLACE "-O2" "-O3" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")
endif()
