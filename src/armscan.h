/*
 * armscan.h
 *		Rows of one arm, one at a time, as the columns of the table that shows
 *		it.
 */
#ifndef WH_ARMSCAN_H
#define WH_ARMSCAN_H

#include "nodes/execnodes.h"

#include "arm.h"

typedef struct WhArmScan WhArmScan;

/*
 * Begin to read an arm that is locked, by the query's snapshot; the scan lives
 * in the query's memory context.  Rows come in "result".
 */
extern WhArmScan *wh_armscan_begin(const WhUnionTable *table,
								   const WhArm *arm, EState *estate,
								   TupleTableSlot *result);

/* Put the next row into the result slot; false, and it is empty, at the end. */
extern bool wh_armscan_next(WhArmScan *scan);

extern void wh_armscan_end(WhArmScan *scan);

#endif							/* WH_ARMSCAN_H */
