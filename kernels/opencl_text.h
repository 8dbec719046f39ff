/* dhatu: the kernels as text for OpenCL compilers: device_core.h and all that it includes (cmake/OpenCL.cmake
 * writes it). */
#ifndef DH_KERNELS_OPENCL_TEXT_H
#define DH_KERNELS_OPENCL_TEXT_H

extern const char dh_opencl_text[]; /* ends with a NUL */

#endif
