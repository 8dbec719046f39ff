/* dhatu: messages between two ranks at any time, beside the collective calls. Nothing here waits.
 *
 * A note is a few bytes that arrive in the order in which they were sent, each sender's by itself. A transfer
 * moves memory that lies in several parts; both sides start it and ask when it is done. */
#ifndef DH_COMM_MAIL_H
#define DH_COMM_MAIL_H

#include "comm/comm.h"

#include <stdbool.h>

enum { DH_NOTE_SIZE = 64, DH_MAIL_PARTS_MAX = 160 };

typedef struct dh_mail dh_mail;

dh_status dh_mail_open(dh_comm *comm, dh_mail **out); /* COLLECTIVE */
/* COLLECTIVE. Transfers that were given up on may be left; their memory must stay until MPI has ended. */
void dh_mail_close(dh_mail *mail);

/* The note is copied. */
dh_status dh_mail_send(dh_mail *mail, int rank, const void *note, size_t size);

/* *got: a note came; note has DH_NOTE_SIZE bytes, zeros behind what was sent. */
dh_status dh_mail_receive(dh_mail *mail, void *note, int *from, bool *got);

typedef struct dh_mail_part {
    void *bytes;
    size_t size; /* at most 1 GiB */
} dh_mail_part;

typedef struct dh_transfer dh_transfer;

/* Between two ranks, transfers of one tag and direction are done in the order of their starts; both sides
 * give the same number of bytes. The memory must stay as it is until the transfer is done. Owner asks until
 * dh_transfer_is_done, which then frees it. */
dh_status dh_mail_send_parts(dh_mail *mail, int rank, int tag, const dh_mail_part *part, uint32_t count,
                             dh_transfer **out);
dh_status dh_mail_receive_parts(dh_mail *mail, int rank, int tag, const dh_mail_part *part, uint32_t count,
                                dh_transfer **out);
dh_status dh_transfer_is_done(dh_transfer **transfer, bool *done); /* *transfer is NULL behind it */

/* Says that this rank needs nobody any more; *all: every rank has said so. COLLECTIVE in the end. */
dh_status dh_mail_say_finished(dh_mail *mail);
dh_status dh_mail_all_finished(dh_mail *mail, bool *all);

#endif
