/* dhatu: what every step of the reduce phase is given (reduce.h). */
#ifndef DH_REDUCE_STEP_H
#define DH_REDUCE_STEP_H

#include "comm/comm.h"
#include "plan/plan.h"
#include "reduce/progress.h"
#include "run/rows.h"
#include "run/settings.h"
#include "run/watch.h"
#include "shuffle/stage.h"

typedef struct dh_reduce dh_reduce;

#endif
