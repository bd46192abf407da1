/*
 * tier.h
 *		Roll-ups that are due, for a procedure that does more than these.
 */
#ifndef WH_TIER_H
#define WH_TIER_H

#include "run.h"

/* Plan all that the templates' retention says is due.  Caller: owner. */
extern List *wh_rollups_due(void);	/* of WhRollup * */

/*
 * Carry plans out and drop what they replace, everything committed; returns
 * how many failed and the first of these.  Caller: a procedure, as nobody
 * else, no transaction of whose is open for others to wait for.
 */
extern int	wh_rollups_committed(List *plans, WhRun *first_failure);

#endif							/* WH_TIER_H */
