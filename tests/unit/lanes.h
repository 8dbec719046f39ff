/* What tests of kernels share: an open CPU backend with a batch in its lane. */
#ifndef DH_TESTS_LANES_H
#define DH_TESTS_LANES_H

#include "support.h"

#include "kernels/backend.h"

static inline dh_backend *open_cpu(void)
{
    const dh_backend_options options = {.lanes = 1};
    dh_backend *backend = NULL;
    char why[DH_BACKEND_TEXT];
    assert_int_equal(dh_backend_cpu.open(&options, &backend, why), DH_BACKEND_OK);
    assert_string_equal(why, "");
    return backend;
}

static inline dh_lane *begin(dh_backend *backend, const dh_batch *batch)
{
    dh_lane *lane = &backend->lane[0];
    assert_int_equal(backend->kind->begin(lane, batch), DH_BACKEND_OK);
    return lane;
}

#endif
