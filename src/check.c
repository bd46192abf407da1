/*
 * check.c
 *		_wh.check_contents(): does every slice hold what the ledger says?
 *
 * Rows are counted, and hashed where the ledger knows a hash.  A difference is
 * one of two things: somebody rewrote the relation after us, as a plain REFRESH
 * does, or rows are lost.  They are told apart by who came last: the
 * transaction that wrote the ledger's row, or one that wrote the relation.
 * What the catalogs alone can tell is wh_check()'s own.
 *
 * Relations are locked one at a time, so that years of days need no room in
 * the lock table.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "content.h"
#include "settings.h"
#include "slice.h"

PG_FUNCTION_INFO_V1(wh_check_contents);

static char *problem_of(const WhSlice *slice);
static char *difference(const WhSlice *slice, const WhContent *content);
static bool is_readable(Oid relid);
static bool is_newer(Relation rel, const WhSlice *slice);
static TransactionId last_writer(Relation rel, TransactionId writer);

/*
 * _wh.check_contents() returns setof (invariant, subject, problem)
 */
Datum
wh_check_contents(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext context;
	MemoryContext caller;
	WhRole		role;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);

	wh_become_owner(&role);
	context = AllocSetContextCreate(CurrentMemoryContext, "pg_warehouse check",
									ALLOCSET_DEFAULT_SIZES);
	foreach(lc, wh_slices(NULL, NULL))
	{
		const WhSlice *slice = (const WhSlice *) lfirst(lc);
		Datum		values[3] = {0};
		bool		nulls[3] = {0};
		char	   *problem;

		CHECK_FOR_INTERRUPTS();
		caller = MemoryContextSwitchTo(context);
		problem = problem_of(slice);
		if (problem != NULL)
		{
			values[0] = CStringGetTextDatum("content");
			values[1] = CStringGetTextDatum(psprintf("%s.%s", slice->relation_schema,
													 slice->relation_name));
			values[2] = CStringGetTextDatum(problem);
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		}
		MemoryContextSwitchTo(caller);
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
	wh_role_leave(&role);

	return (Datum) 0;
}

/*
 * Say what is wrong with the rows of a slice, or NULL.  Its ledger row is read
 * once more at the end: a run may have finished meanwhile.
 */
static char *
problem_of(const WhSlice *slice)
{
	Oid			relid = wh_slice_relid(slice);
	const WhSlice *now;
	Relation	rel;
	WhContent	content;
	char	   *differs;
	char	   *problem = NULL;

	if (strcmp(slice->state, "empty") == 0 || !wh_slice_is_populated(slice) ||
		!is_readable(relid))
		return NULL;

	/* An incremental table, whose rows the owner may change. */
	if (slice->period.kind == WH_WHOLE && get_rel_relkind(relid) == RELKIND_RELATION)
		return NULL;

	rel = relation_open(relid, AccessShareLock);
	content = wh_content_of(rel, NULL);
	differs = difference(slice, &content);
	if (differs != NULL)
	{
		now = wh_slice_find(slice->template_name, slice->tenant_name, &slice->period);
		if (now != NULL && now->last_refresh == slice->last_refresh)
			problem = psprintf("%s: %s", is_newer(rel, slice) ?
							   (rel->rd_rel->relkind == RELKIND_MATVIEW ?
								"refreshed outside" : "changed outside") : "lost",
							   differs);
	}
	relation_close(rel, AccessShareLock);

	return problem;
}

/*
 * Tell in which way the rows are not those that the ledger knows, or NULL.
 */
static char *
difference(const WhSlice *slice, const WhContent *content)
{
	uint64		hash;

	if (content->rows != slice->row_count)
		return psprintf("it holds " INT64_FORMAT " rows, and " INT64_FORMAT " were loaded",
						content->rows, slice->row_count);
	if (slice->content_hash != NULL &&
		wh_content_parse(slice->content_hash, &hash) && hash != content->hash)
		return psprintf("its " INT64_FORMAT " rows are not those that were proved",
						content->rows);

	return NULL;
}

/*
 * Is it a relation whose rows we may read as its owner?
 */
static bool
is_readable(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class form;
	bool		readable;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_class) GETSTRUCT(tuple);
	readable = form->relowner == GetUserId() &&
		(form->relkind == RELKIND_MATVIEW || form->relkind == RELKIND_RELATION);
	ReleaseSysCache(tuple);

	return readable;
}

/*
 * Was the relation written after its ledger row: replaced as a whole, which
 * its pg_class row shows, or in place, which its rows show?
 */
static bool
is_newer(Relation rel, const WhSlice *slice)
{
	HeapTuple	tuple = SearchSysCache1(RELOID,
										ObjectIdGetDatum(RelationGetRelid(rel)));
	TransactionId writer;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", RelationGetRelid(rel));
	writer = HeapTupleHeaderGetRawXmin(tuple->t_data);
	ReleaseSysCache(tuple);

	return TransactionIdFollowsOrEquals(last_writer(rel, writer), slice->written_by);
}

/*
 * Find the youngest transaction that wrote a row that is there, or "writer"
 * if that is younger.
 */
static TransactionId
last_writer(Relation rel, TransactionId writer)
{
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan;

	PushActiveSnapshot(GetLatestSnapshot());
	scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		isnull;
		TransactionId xmin;

		CHECK_FOR_INTERRUPTS();
		xmin = DatumGetTransactionId(slot_getsysattr(slot, MinTransactionIdAttributeNumber,
													 &isnull));
		if (TransactionIdFollows(xmin, writer))
			writer = xmin;
	}
	table_endscan(scan);
	PopActiveSnapshot();
	ExecDropSingleTupleTableSlot(slot);

	return writer;
}
