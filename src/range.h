/*
 * range.h
 *		The part of a relation that belongs to one period: bounds of its time
 *		column, and a scan of just those rows.
 */
#ifndef WH_RANGE_H
#define WH_RANGE_H

#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "period.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

/* A half-open range of one column's values, in that column's own type. */
typedef struct WhRange
{
	AttrNumber	attnum;
	Oid			typid;			/* date, timestamp or timestamptz */
	int64		lower;
	int64		upper;
} WhRange;

/*
 * Say where the rows of a period lie: days for a date, the tenant's wall clock
 * for a timestamp, instants (of "span") for a timestamptz.  False when there is
 * no time column to tell by (NULL).
 */
extern bool wh_range_of(TupleDesc desc, const char *time_column,
						const WhPeriod *period, const WhSpan *span,
						WhRange *range);

/* Does the value lie in the range?  A null does not. */
extern bool wh_range_holds(const WhRange *range, Datum value, bool isnull);

/* An end of the range as a typed literal. */
extern char *wh_range_literal(const WhRange *range, int64 end);

/* The condition that picks the rows of the range, for "column" as SQL. */
extern char *wh_range_condition(const WhRange *range, const char *column);

typedef struct WhRangeScan WhRangeScan;

/*
 * Scan the stored rows of a range (NULL: all) in the order in which they lie.
 * The pages to read are told by an index on the time column where there is
 * one.  The caller holds a lock on the relation, and "range" outlives the scan.
 */
extern WhRangeScan *wh_range_scan_begin(Relation rel, Snapshot snapshot,
										const WhRange *range);

/* The next row, in a slot of the scan's; NULL after the last one. */
extern TupleTableSlot *wh_range_scan_next(WhRangeScan *scan);

/* Start once more; only for a scan of all rows. */
extern void wh_range_scan_again(WhRangeScan *scan);

extern void wh_range_scan_end(WhRangeScan *scan);

/* Does the relation have an index that such a scan can go by? */
extern bool wh_range_has_index(Relation rel, AttrNumber attnum);

#endif							/* WH_RANGE_H */
