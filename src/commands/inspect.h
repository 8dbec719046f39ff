/* dhatu: parts of `dhatu inspect` that have a file of their own. */
#ifndef DH_COMMANDS_INSPECT_H
#define DH_COMMANDS_INSPECT_H

#include "commands/result_view.h"

/* Appends what is known of vocabulary, hashed features and duplicates, where the result has them. */
dh_status dh_inspect_corpus(dh_result_view *view, dh_buffer *out);

#endif
