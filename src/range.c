/*
 * range.c
 *		The part of a relation that belongs to one period: bounds of its time
 *		column, and a scan of just those rows.
 *
 * A day inside a year's table is found by an index on the time column, B-tree
 * or BRIN, as a set of pages: what comes out is in physical order, as from a
 * plain scan, and each row is looked at again, since a BRIN index knows pages
 * only.  Without such an index every row is read.  Which rows may be in a
 * period is checked where they arrive; here they are only found again.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/tidbitmap.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "range.h"

struct WhRangeScan
{
	Relation	rel;
	const WhRange *range;		/* NULL: all rows */
	TableScanDesc scan;
	TupleTableSlot *slot;
	TIDBitmap  *pages;			/* NULL: every page */
	TBMIterator *iterator;
	TBMIterateResult *page;		/* NULL: between two pages */
};

static Relation open_index(Relation rel, AttrNumber attnum);
static bool is_fit(Relation index, AttrNumber attnum, Oid typid);
static Oid	comparison(Relation index, Oid typid, StrategyNumber strategy);
static TIDBitmap * find_pages(Relation index, Snapshot snapshot,
							  const WhRange *range);
static bool next_of_pages(WhRangeScan *scan);
static Datum bound(const WhRange *range, int64 end);

/*
 * Say where the rows of a period lie; see range.h.
 */
bool
wh_range_of(TupleDesc desc, const char *time_column, const WhPeriod *period,
			const WhSpan *span, WhRange *range)
{
	if (time_column == NULL)
		return false;

	range->attnum = SPI_fnumber(desc, time_column);
	if (range->attnum <= 0)
		elog(ERROR, "time column \"%s\" is not there", time_column);
	range->typid = TupleDescAttr(desc, range->attnum - 1)->atttypid;

	switch (range->typid)
	{
		case DATEOID:
			range->lower = period->start;
			range->upper = period->end;
			break;
		case TIMESTAMPOID:
			range->lower = period->start * USECS_PER_DAY;
			range->upper = period->end * USECS_PER_DAY;
			break;
		case TIMESTAMPTZOID:
			range->lower = span->start;
			range->upper = span->end;
			break;
		default:
			elog(ERROR, "time column \"%s\" has type %u", time_column,
				 range->typid);
	}

	return true;
}

bool
wh_range_holds(const WhRange *range, Datum value, bool isnull)
{
	int64		at;

	if (isnull)
		return false;
	at = range->typid == DATEOID ?
		DatumGetDateADT(value) : DatumGetTimestampTz(value);

	return at >= range->lower && at < range->upper;
}

/*
 * Write an end of the range as SQL wants it, whatever the session's settings.
 */
char *
wh_range_literal(const WhRange *range, int64 end)
{
	if (range->typid == TIMESTAMPTZOID)
		return wh_timestamptz_literal(end);

	return psprintf("'%s'::pg_catalog.%s",
					wh_date_text(range->typid == DATEOID ? end : end / USECS_PER_DAY),
					range->typid == DATEOID ? "date" : "timestamp");
}

char *
wh_range_condition(const WhRange *range, const char *column)
{
	return psprintf("%s OPERATOR(pg_catalog.>=) %s AND %s OPERATOR(pg_catalog.<) %s",
					column, wh_range_literal(range, range->lower),
					column, wh_range_literal(range, range->upper));
}

/*
 * Begin; see range.h.
 */
WhRangeScan *
wh_range_scan_begin(Relation rel, Snapshot snapshot, const WhRange *range)
{
	WhRangeScan *scan = (WhRangeScan *) palloc0(sizeof(WhRangeScan));
	Relation	index = NULL;

	scan->rel = rel;
	scan->range = range;
	scan->slot = table_slot_create(rel, NULL);
	if (range != NULL)
		index = open_index(rel, range->attnum);

	if (index != NULL)
	{
		scan->pages = find_pages(index, snapshot, range);
		index_close(index, NoLock);
		scan->iterator = tbm_begin_iterate(scan->pages);
		scan->scan = wh_beginscan_bitmap(rel, snapshot);
	}
	else
		scan->scan = table_beginscan_strat(rel, snapshot, 0, NULL, true, false);

	return scan;
}

TupleTableSlot *
wh_range_scan_next(WhRangeScan *scan)
{
	const WhRange *range = scan->range;

	for (;;)
	{
		Datum		value;
		bool		isnull;

		if (scan->pages != NULL ? !next_of_pages(scan) :
			!table_scan_getnextslot(scan->scan, ForwardScanDirection, scan->slot))
			return NULL;
		if (range == NULL)
			return scan->slot;

		value = slot_getattr(scan->slot, range->attnum, &isnull);
		if (wh_range_holds(range, value, isnull))
			return scan->slot;
		CHECK_FOR_INTERRUPTS();
	}
}

void
wh_range_scan_again(WhRangeScan *scan)
{
	Assert(scan->pages == NULL);
	table_rescan(scan->scan, NULL);
}

void
wh_range_scan_end(WhRangeScan *scan)
{
	if (scan->pages != NULL)
	{
		tbm_end_iterate(scan->iterator);
		tbm_free(scan->pages);
	}
	table_endscan(scan->scan);
	ExecDropSingleTupleTableSlot(scan->slot);
	pfree(scan);
}

bool
wh_range_has_index(Relation rel, AttrNumber attnum)
{
	Relation	index = open_index(rel, attnum);

	if (index == NULL)
		return false;
	index_close(index, NoLock);

	return true;
}

/*
 * Open the best index that tells the pages of a range of that column: a
 * B-tree, which knows rows, before a BRIN index, which knows pages.
 */
static Relation
open_index(Relation rel, AttrNumber attnum)
{
	Oid			typid = TupleDescAttr(RelationGetDescr(rel), attnum - 1)->atttypid;
	Relation	best = NULL;
	ListCell   *lc;

	if (rel->rd_tableam->scan_bitmap_next_block == NULL)
		return NULL;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (is_fit(index, attnum, typid) &&
			(best == NULL || index->rd_rel->relam == BTREE_AM_OID))
		{
			if (best != NULL)
				index_close(best, NoLock);
			best = index;
		}
		else
			index_close(index, NoLock);
	}

	return best;
}

/*
 * Is it an index over all rows whose first column is this one?
 */
static bool
is_fit(Relation index, AttrNumber attnum, Oid typid)
{
	Form_pg_index form = index->rd_index;

	return (index->rd_rel->relam == BTREE_AM_OID ||
			index->rd_rel->relam == BRIN_AM_OID) &&
		form->indisvalid && !form->indcheckxmin &&
		form->indkey.values[0] == attnum &&
		RelationGetIndexPredicate(index) == NIL &&
		OidIsValid(comparison(index, typid, BTGreaterEqualStrategyNumber)) &&
		OidIsValid(comparison(index, typid, BTLessStrategyNumber));
}

/*
 * BRIN's minmax classes number their strategies as B-trees do.
 */
static Oid
comparison(Relation index, Oid typid, StrategyNumber strategy)
{
	return get_opfamily_member(index->rd_opfamily[0], typid, typid, strategy);
}

static TIDBitmap *
find_pages(Relation index, Snapshot snapshot, const WhRange *range)
{
	TIDBitmap  *pages = tbm_create((long) work_mem * 1024, NULL);
	ScanKeyData keys[2];
	IndexScanDesc scan;

	ScanKeyEntryInitialize(&keys[0], 0, 1, BTGreaterEqualStrategyNumber,
						   range->typid, InvalidOid,
						   get_opcode(comparison(index, range->typid,
												 BTGreaterEqualStrategyNumber)),
						   bound(range, range->lower));
	ScanKeyEntryInitialize(&keys[1], 0, 1, BTLessStrategyNumber,
						   range->typid, InvalidOid,
						   get_opcode(comparison(index, range->typid,
												 BTLessStrategyNumber)),
						   bound(range, range->upper));

	scan = index_beginscan_bitmap(index, snapshot, lengthof(keys));
	index_rescan(scan, keys, lengthof(keys), NULL, 0);
	(void) index_getbitmap(scan, pages);
	index_endscan(scan);

	return pages;
}

/*
 * Put the next row of the pages found into the slot.
 */
static bool
next_of_pages(WhRangeScan *scan)
{
	for (;;)
	{
		if (scan->page != NULL &&
			table_scan_bitmap_next_tuple(scan->scan, scan->page, scan->slot))
			return true;

		do
		{
			CHECK_FOR_INTERRUPTS();
			scan->page = tbm_iterate(scan->iterator);
			if (scan->page == NULL)
			{
				ExecClearTuple(scan->slot);
				return false;
			}
		} while (!table_scan_bitmap_next_block(scan->scan, scan->page));
	}
}

static Datum
bound(const WhRange *range, int64 end)
{
	return range->typid == DATEOID ?
		DateADTGetDatum((DateADT) end) : TimestampTzGetDatum(end);
}
