#include "base/buffer.h"

#include "base/fault.h"
#include "base/log.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

dh_status dh_allocate(size_t count, size_t size, const char *what, void **out)
{
    void *memory = dh_fault(DH_CALL_ALLOCATE, what) == 0 ? calloc(count > 0 ? count : 1, size) : NULL;
    if (memory == NULL) {
        return dh_error(DH_NO_MEMORY, "out of memory: %zu times %zu bytes for %s", count, size, what);
    }
    *out = memory;
    return DH_OK;
}

dh_status dh_reallocate(size_t count, size_t size, const char *what, void **memory)
{
    void *grown =
        dh_fault(DH_CALL_ALLOCATE, what) == 0 ? reallocarray(*memory, count > 0 ? count : 1, size) : NULL;
    if (grown == NULL) {
        return dh_error(DH_NO_MEMORY, "out of memory: %zu times %zu bytes for %s", count, size, what);
    }
    *memory = grown;
    return DH_OK;
}

dh_status dh_buffer_reserve(dh_buffer *buffer, size_t extra)
{
    if (extra <= buffer->capacity - buffer->size) {
        return DH_OK;
    }
    if (extra > SIZE_MAX / 2 - buffer->size) {
        return dh_error(DH_NO_MEMORY, "out of memory: a buffer of %zu and %zu bytes", buffer->size, extra);
    }
    size_t capacity = buffer->capacity < 256 ? 256 : buffer->capacity + buffer->capacity / 2;
    if (capacity < buffer->size + extra) {
        capacity = buffer->size + extra;
    }
    void *data = buffer->data;
    DH_TRY(dh_reallocate(capacity, 1, "a buffer", &data));
    buffer->data = data;
    buffer->capacity = capacity;
    return DH_OK;
}

dh_status dh_buffer_append(dh_buffer *buffer, const void *bytes, size_t size)
{
    DH_TRY(dh_buffer_reserve(buffer, size));
    if (size > 0) {
        memcpy(buffer->data + buffer->size, bytes, size);
    }
    buffer->size += size;
    return DH_OK;
}

dh_status dh_buffer_printf(dh_buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    const int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    dh_status status = DH_INTERNAL;
    if (size >= 0) {
        status = dh_buffer_reserve(buffer, (size_t)size + 1);
    }
    if (status == DH_OK) {
        (void)vsnprintf((char *)buffer->data + buffer->size, (size_t)size + 1, format, again);
        buffer->size += (size_t)size;
    }
    va_end(again);
    return status;
}

void dh_buffer_free(dh_buffer *buffer)
{
    free(buffer->data);
    *buffer = (dh_buffer){0};
}

void dh_memory_trim(void)
{
#if defined(__GLIBC__)
    (void)malloc_trim(0);
#endif
}
