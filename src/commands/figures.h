/* dhatu: numbers as people read them. */
#ifndef DH_COMMANDS_FIGURES_H
#define DH_COMMANDS_FIGURES_H

#include "base/buffer.h"

/* 12,400,000. Errors of both: DH_NO_MEMORY (logged). */
dh_status dh_append_count(dh_buffer *out, uint64_t count);

/* 17.3 MB: powers of 1000. */
dh_status dh_append_size(dh_buffer *out, double bytes);

#endif
