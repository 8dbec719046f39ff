/* The allocator of a test program: that of libc, but the Nth allocation fails when it is asked to, and what
 * is alive is known. Takes the place of malloc and its relatives for libraries, too. One thread. */
#ifndef DH_TESTS_INTERPOSE_H
#define DH_TESTS_INTERPOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Counts from here on; the Nth allocation fails (0: none), or all from the Nth on. */
void allocations_begin(uint64_t nth, bool persistent);

/* Ends that. Returns how many were asked for. */
uint64_t allocations_end(void);

/* The name of the function that asked for the first allocation that failed, as far as it is exported (of a
 * library always); "" if none failed. */
const char *allocations_failed_in(void);

/* Prints the calls that led to it to standard output. */
void allocations_print_failed(void);

/* Blocks that are alive and were made since this call. */
void allocations_mark(void);
size_t allocations_alive(void);

/* Prints where they were made. Calls are only known of those made while tracing. */
void allocations_trace(bool on);
void allocations_print_alive(void);

#endif
