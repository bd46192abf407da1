/*
 * requery.c
 *		A materialized view brought to the present rows of its own query.
 *
 * REFRESH locks readers out for as long as the query runs, the network of a
 * foreign table included.  Here the rows go through a delta instead: what is
 * equal is left alone, the rest deleted and inserted as any UPDATE would, and
 * nobody who reads waits.  Readers see the old rows until the commit.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_type.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "flat.h"
#include "requery.h"
#include "spi.h"

/* One view at work. */
typedef struct Requery
{
	WhDelta    *delta;
	MemoryContext context;		/* the caller's */
	MemoryContext scratch;		/* of one row */
	Datum	   *values;
	bool	   *isnull;
} Requery;

static char *query_of(Oid relid);
static void take_row(void *arg, HeapTuple tuple, TupleDesc desc);

uint64
wh_requery(Oid relid, WhDeltaCounts *counts)
{
	Relation	rel = relation_open(relid, RowExclusiveLock);
	int			natts = RelationGetNumberOfAttributes(rel);
	char	   *query = query_of(relid);
	Requery		requery;
	uint64		rows;

	requery.context = CurrentMemoryContext;
	requery.scratch = AllocSetContextCreate(CurrentMemoryContext, "pg_warehouse row",
											ALLOCSET_DEFAULT_SIZES);
	requery.values = (Datum *) palloc(sizeof(Datum) * natts);
	requery.isnull = (bool *) palloc(sizeof(bool) * natts);
	requery.delta = wh_delta_begin(rel, NULL, PG_INT64_MAX);

	wh_spi_snapshot();
	rows = wh_spi_stream(query, take_row, &requery);
	PopActiveSnapshot();
	while (!wh_delta_rest(requery.delta))
		wh_delta_make_room(requery.delta);
	wh_delta_apply(requery.delta, NULL, counts);
	relation_close(rel, NoLock);

	return rows;
}

/*
 * Write the view's query as text, with every name that needs it qualified.
 */
static char *
query_of(Oid relid)
{
	MemoryContext caller = CurrentMemoryContext;
	WhArg		arg = {OIDOID, ObjectIdGetDatum(relid), false};
	char	   *query;

	SPI_connect();
	(void) wh_spi(SPI_OK_SELECT, "SELECT pg_catalog.pg_get_viewdef($1)", &arg, 1);
	MemoryContextSwitchTo(caller);
	query = wh_col_text(0, 1);
	SPI_finish();

	return query;
}

/*
 * Take one row.  A value may be stored elsewhere, or compressed; rows are
 * compared by their bytes.
 */
static void
take_row(void *arg, HeapTuple tuple, TupleDesc desc)
{
	Requery    *requery = (Requery *) arg;
	MemoryContext context = MemoryContextSwitchTo(requery->scratch);

	heap_deform_tuple(wh_flat_row(tuple, desc), desc, requery->values, requery->isnull);
	wh_delta_row(requery->delta, requery->values, requery->isnull);
	MemoryContextReset(requery->scratch);

	if (wh_delta_size(requery->delta) != WH_DELTA_FITS)
	{
		MemoryContextSwitchTo(requery->context);
		wh_delta_make_room(requery->delta);
	}
	MemoryContextSwitchTo(context);
}
