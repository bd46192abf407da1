/*
 * catchup.h
 *		What an earlier run of a unit has put into the archive, and not loaded.
 */
#ifndef WH_CATCHUP_H
#define WH_CATCHUP_H

#include "unit.h"

/*
 * Look for it: among runs that failed, and those that died.  "run" is the
 * unit's own, which has begun.  Caller: owner.
 */
extern bool wh_catchup_find(const WhUnit *unit, const WhRun *run);

/*
 * Load it, contained: a failure is the former run's, "former", and a warning;
 * whoever called goes on to the source.  Caller: owner.
 */
extern void wh_catchup_load(const WhUnit *unit, WhRun *former);

#endif							/* WH_CATCHUP_H */
