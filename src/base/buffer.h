/* dhatu: a growing run of bytes. The owner frees it with dh_buffer_free; a zeroed one is empty. */
#ifndef DH_BASE_BUFFER_H
#define DH_BASE_BUFFER_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct dh_buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
} dh_buffer;

/* Makes room for `extra` more bytes behind size. Errors: DH_NO_MEMORY (logged). */
dh_status dh_buffer_reserve(dh_buffer *buffer, size_t extra);

/* Appends bytes. Errors: DH_NO_MEMORY (logged). */
dh_status dh_buffer_append(dh_buffer *buffer, const void *bytes, size_t size);

/* Appends formatted text, without its closing NUL. Errors: DH_NO_MEMORY (logged). */
dh_status dh_buffer_printf(dh_buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Frees the memory and leaves an empty buffer. */
void dh_buffer_free(dh_buffer *buffer);

/* calloc and realloc with a message. `what` names the thing in it. Errors: DH_NO_MEMORY (logged). */
dh_status dh_allocate(size_t count, size_t size, const char *what, void **out);
dh_status dh_reallocate(size_t count, size_t size, const char *what, void **memory);

/* Gives memory that was freed back to the system, as far as the C library can: between phases, so that what
 * one of them took does not count in the next. */
void dh_memory_trim(void);

#endif
