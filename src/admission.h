/*
 * admission.h
 *		Whether a unit may be run now: pauses, breakers, and what its tenant
 *		allows.
 */
#ifndef WH_ADMISSION_H
#define WH_ADMISSION_H

#include "unit.h"

/*
 * Say why a unit is not to be begun, or NULL.  Nothing is locked or written,
 * and nobody is asked; in the transaction that does the work
 * wh_admission_enter() asks once more.  Caller: owner.
 */
extern const char *wh_admission_refusal(const WhUnit *unit);

/*
 * Take what the unit needs to ask its tenant: one of its max_connections
 * and, where its breaker is half open, the leave to probe.  Returns why that
 * is not to be had, or NULL; run->may_pass: it may be, soon.
 */
extern const char *wh_admission_enter(const WhUnit *unit, WhRun *run);

/*
 * Give back the place among the tenant's connections, and tell its breaker how
 * the work ended.  A run that failed and opened it is not to be repeated.
 */
extern void wh_admission_leave(const WhUnit *unit, WhRun *run);

#endif							/* WH_ADMISSION_H */
