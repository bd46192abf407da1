/*
 * delta.h
 *		Write only the difference between a relation and the rows that arrive.
 */
#ifndef WH_DELTA_H
#define WH_DELTA_H

#include "executor/tuptable.h"
#include "nodes/bitmapset.h"
#include "range.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

typedef struct WhDelta WhDelta;

/* Does what is unmatched stay within its bounds? */
typedef enum WhDeltaSize
{
	WH_DELTA_FITS,
	WH_DELTA_MANY_ROWS,			/* rewriting the relation would be faster */
	WH_DELTA_MEMORY				/* more than pg_warehouse.delta_memory */
} WhDeltaSize;

typedef struct WhDeltaCounts
{
	int64		inserted;
	int64		updated;		/* deleted and inserted under the same key */
	int64		deleted;
	int64		unchanged;
} WhDeltaCounts;

/*
 * Begin in CurrentMemoryContext, with a snapshot taken now.  The caller holds
 * RowExclusiveLock and has seen that the relation is ours and populated.  With
 * a range, only its rows are compared and those that arrive lie in it.  More
 * than "many" unmatched rows are WH_DELTA_MANY_ROWS.
 */
extern WhDelta *wh_delta_begin(Relation rel, const WhRange *range, int64 many);

/* Take one row that arrived; it is copied where it is kept. */
extern void wh_delta_row(WhDelta *delta, Datum *values, bool *isnull);

/*
 * The stored row that the next one meets, deformed; NULL: none is left.  If
 * the next one is the same, wh_delta_met() does what wh_delta_row() would.
 */
extern TupleTableSlot *wh_delta_next(WhDelta *delta);
extern void wh_delta_met(WhDelta *delta);

/*
 * Go through the stored rows that are left after the last row has arrived;
 * false when that stopped because a bound was passed: call it again.
 */
extern bool wh_delta_rest(WhDelta *delta);

extern WhDeltaSize wh_delta_size(const WhDelta *delta);

/*
 * Forget what is unmatched: stored rows are deleted now, those that arrived
 * wait on disk.  Rows that would have matched later are written once more.
 */
extern void wh_delta_make_room(WhDelta *delta);

/*
 * Apply the difference and end.  A row that went and came under the same "key"
 * (attribute numbers; NULL: none is known) counts as updated, as long as both
 * sides of it are in the window.
 */
extern void wh_delta_apply(WhDelta *delta, const Bitmapset *key,
						   WhDeltaCounts *counts);

/*
 * End without applying: hand over all rows that arrived so far, of which those
 * found equal come from the relation.  Not with a range, nor after
 * wh_delta_make_room().
 */
extern void wh_delta_give_up(WhDelta *delta, Tuplestorestate *spool);

#endif							/* WH_DELTA_H */
