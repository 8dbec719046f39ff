#include "comm/mail.h"

#include "base/buffer.h"
#include "comm/comm_internal.h"

#include <stdlib.h>
#include <string.h>

enum { TAG_NOTE = 0, TAG_PARTS = 1 /* and above */ };

typedef struct sent_note {
    struct sent_note *next;
    MPI_Request request;
    uint8_t bytes[DH_NOTE_SIZE];
} sent_note;

struct dh_mail {
    MPI_Comm comm; /* of its own: no other message can be taken for one of these */
    sent_note *on_the_way, *unused;
    MPI_Request finished;
    bool all_finished;
};

struct dh_transfer {
    MPI_Request request;
};

dh_status dh_mail_open(dh_comm *comm, dh_mail **out)
{
    void *memory = NULL;
    DH_TRY(dh_comm_allocate(1, sizeof(dh_mail), "messages", &memory));
    dh_mail *mail = memory;
    mail->finished = MPI_REQUEST_NULL;
    dh_status status = dh_mpi_check(MPI_Comm_dup(comm->world, &mail->comm), "MPI_Comm_dup");
    if (status == DH_OK) {
        status =
            dh_mpi_check(MPI_Comm_set_errhandler(mail->comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    }
    if (status != DH_OK) {
        free(mail);
        return status;
    }
    *out = mail;
    return DH_OK;
}

static void free_notes(sent_note *note)
{
    while (note != NULL) {
        sent_note *next = note->next;
        free(note);
        note = next;
    }
}

void dh_mail_close(dh_mail *mail)
{
    if (mail != NULL) {
        (void)dh_mpi_check(MPI_Comm_free(&mail->comm), "MPI_Comm_free");
        /* Notes to a rank that never took them keep their memory: MPI may still read it. */
        free_notes(mail->unused);
        free(mail);
    }
}

/* ---- notes ------------------------------------------------------------------------------------------- */

static dh_status reap_notes(dh_mail *mail)
{
    for (sent_note **place = &mail->on_the_way; *place != NULL;) {
        sent_note *note = *place;
        int done = 0;
        DH_TRY(dh_mpi_check(MPI_Test(&note->request, &done, MPI_STATUS_IGNORE), "MPI_Test"));
        if (done == 0) {
            place = &note->next;
            continue;
        }
        *place = note->next;
        note->next = mail->unused;
        mail->unused = note;
    }
    return DH_OK;
}

dh_status dh_mail_send(dh_mail *mail, int rank, const void *bytes, size_t size)
{
    DH_TRY(reap_notes(mail));
    sent_note *note = mail->unused;
    if (note != NULL) {
        mail->unused = note->next;
    } else {
        void *memory = NULL;
        DH_TRY(
            dh_comm_allocate(1, sizeof(sent_note), "a message", &memory)); /* who is to get it would wait */
        note = memory;
    }
    memset(note->bytes, 0, sizeof note->bytes);
    memcpy(note->bytes, bytes, size);
    note->next = mail->on_the_way;
    mail->on_the_way = note;
    return dh_mpi_check(
        MPI_Isend(note->bytes, DH_NOTE_SIZE, MPI_BYTE, rank, TAG_NOTE, mail->comm, &note->request),
        "MPI_Isend");
}

dh_status dh_mail_receive(dh_mail *mail, void *note, int *from, bool *got)
{
    int there = 0;
    MPI_Status status;
    *got = false;
    DH_TRY(dh_mpi_check(MPI_Iprobe(MPI_ANY_SOURCE, TAG_NOTE, mail->comm, &there, &status), "MPI_Iprobe"));
    if (there != 0) {
        DH_TRY(dh_mpi_check(MPI_Recv(note, DH_NOTE_SIZE, MPI_BYTE, status.MPI_SOURCE, TAG_NOTE, mail->comm,
                                     MPI_STATUS_IGNORE),
                            "MPI_Recv"));
        *from = status.MPI_SOURCE;
        *got = true;
    }
    return DH_OK;
}

/* ---- transfers --------------------------------------------------------------------------------------- */

/* One message for all parts, by a type that names where they lie. */
static dh_status type_of_parts(const dh_mail_part *part, uint32_t count, MPI_Datatype *out)
{
    int size[DH_MAIL_PARTS_MAX];
    MPI_Aint place[DH_MAIL_PARTS_MAX];
    for (uint32_t p = 0; p < count; p++) {
        size[p] = (int)part[p].size;
        DH_TRY(dh_mpi_check(MPI_Get_address(part[p].bytes, &place[p]), "MPI_Get_address"));
    }
    DH_TRY(dh_mpi_check(MPI_Type_create_hindexed((int)count, size, place, MPI_BYTE, out),
                        "MPI_Type_create_hindexed"));
    return dh_mpi_check(MPI_Type_commit(out), "MPI_Type_commit");
}

static dh_status start_transfer(dh_mail *mail, bool sends, int rank, int tag, const dh_mail_part *part,
                                uint32_t count, dh_transfer **out)
{
    void *memory = NULL;
    MPI_Datatype type = MPI_DATATYPE_NULL;
    DH_TRY(dh_comm_allocate(1, sizeof(dh_transfer), "a message", &memory));
    dh_transfer *transfer = memory;
    dh_status status = type_of_parts(part, count, &type);
    if (status == DH_OK && sends) {
        status = dh_mpi_check(
            MPI_Isend(MPI_BOTTOM, 1, type, rank, TAG_PARTS + tag, mail->comm, &transfer->request),
            "MPI_Isend");
    } else if (status == DH_OK) {
        status = dh_mpi_check(
            MPI_Irecv(MPI_BOTTOM, 1, type, rank, TAG_PARTS + tag, mail->comm, &transfer->request),
            "MPI_Irecv");
    }
    if (status == DH_OK) {
        status = dh_mpi_check(MPI_Type_free(&type), "MPI_Type_free");
    }
    if (status != DH_OK) {
        free(transfer);
        return status;
    }
    *out = transfer;
    return DH_OK;
}

dh_status dh_mail_send_parts(dh_mail *mail, int rank, int tag, const dh_mail_part *part, uint32_t count,
                             dh_transfer **out)
{
    return start_transfer(mail, true, rank, tag, part, count, out);
}

dh_status dh_mail_receive_parts(dh_mail *mail, int rank, int tag, const dh_mail_part *part, uint32_t count,
                                dh_transfer **out)
{
    return start_transfer(mail, false, rank, tag, part, count, out);
}

dh_status dh_transfer_is_done(dh_transfer **transfer, bool *done)
{
    int flag = 0;
    DH_TRY(dh_mpi_check(MPI_Test(&(*transfer)->request, &flag, MPI_STATUS_IGNORE), "MPI_Test"));
    *done = flag != 0;
    if (*done) {
        free(*transfer);
        *transfer = NULL;
    }
    return DH_OK;
}

/* ---- the end ----------------------------------------------------------------------------------------- */

dh_status dh_mail_say_finished(dh_mail *mail)
{
    return dh_mpi_check(MPI_Ibarrier(mail->comm, &mail->finished), "MPI_Ibarrier");
}

dh_status dh_mail_all_finished(dh_mail *mail, bool *all)
{
    int flag = 0;
    if (!mail->all_finished) {
        DH_TRY(dh_mpi_check(MPI_Test(&mail->finished, &flag, MPI_STATUS_IGNORE), "MPI_Test"));
        mail->all_finished = flag != 0;
    }
    *all = mail->all_finished;
    return DH_OK;
}
