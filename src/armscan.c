/*
 * armscan.c
 *		Rows of one arm, one at a time.
 *
 * A table or materialized view is scanned where it lies and its columns are
 * brought over by a projection.  Any other relation, as the view of a live
 * template, is read by a query of its own.  Rights are checked by the caller
 * for the first kind, by the query for the second.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "tcop/tcopprot.h"
#include "tcop/dest.h"
#include "utils/rel.h"

#include "armscan.h"

struct WhArmScan
{
	TupleTableSlot *result;

	/* A scan of our own. */
	Relation	rel;
	TableScanDesc scan;
	TupleTableSlot *slot;
	ExprContext *econtext;
	ProjectionInfo *projection;

	/* Or a query. */
	QueryDesc  *query;
};

static void begin_scan(WhArmScan *scan, const WhUnionTable *table,
					   const WhArm *arm, EState *estate);
static void begin_query(WhArmScan *scan, const WhUnionTable *table,
						const WhArm *arm, EState *estate);

/*
 * Begin to read an arm; see armscan.h.
 */
WhArmScan *
wh_armscan_begin(const WhUnionTable *table, const WhArm *arm, EState *estate,
				 TupleTableSlot *result)
{
	MemoryContext caller = MemoryContextSwitchTo(estate->es_query_cxt);
	WhArmScan  *scan = (WhArmScan *) palloc0(sizeof(WhArmScan));

	scan->result = result;
	if (arm->relkind == RELKIND_RELATION || arm->relkind == RELKIND_MATVIEW)
		begin_scan(scan, table, arm, estate);
	else
		begin_query(scan, table, arm, estate);
	MemoryContextSwitchTo(caller);

	return scan;
}

static void
begin_scan(WhArmScan *scan, const WhUnionTable *table, const WhArm *arm,
		   EState *estate)
{
	TupleDesc	shown = scan->result->tts_tupleDescriptor;
	List	   *columns;

	scan->rel = table_open(arm->relid, NoLock);
	scan->slot = table_slot_create(scan->rel, NULL);
	scan->scan = table_beginscan(scan->rel, estate->es_snapshot, 0, NULL);
	scan->econtext = CreateExprContext(estate);

	columns = wh_arm_columns(table, shown, arm, RelationGetDescr(scan->rel));
	scan->projection = ExecBuildProjectionInfo((List *) expression_planner((Expr *) columns),
											   scan->econtext, scan->result,
											   NULL,
											   RelationGetDescr(scan->rel));
}

static void
begin_query(WhArmScan *scan, const WhUnionTable *table, const WhArm *arm,
			EState *estate)
{
	Query	   *query = wh_arm_query(table, scan->result->tts_tupleDescriptor,
									 arm);
	PlannedStmt *plan = pg_plan_query(query, "", 0, NULL);

	scan->query = CreateQueryDesc(plan, "", estate->es_snapshot,
								  InvalidSnapshot, None_Receiver, NULL, NULL, 0);
	ExecutorStart(scan->query, 0);
}

/*
 * Get the next row; see armscan.h.
 */
bool
wh_armscan_next(WhArmScan *scan)
{
	if (scan->query != NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(scan->query->estate->es_query_cxt);
		TupleTableSlot *row = ExecProcNode(scan->query->planstate);

		if (TupIsNull(row))
			ExecClearTuple(scan->result);
		else
			ExecCopySlot(scan->result, row);
		MemoryContextSwitchTo(caller);

		return !TupIsNull(scan->result);
	}

	if (!table_scan_getnextslot(scan->scan, ForwardScanDirection, scan->slot))
	{
		ExecClearTuple(scan->result);
		return false;
	}
	ResetExprContext(scan->econtext);
	scan->econtext->ecxt_scantuple = scan->slot;
	(void) ExecProject(scan->projection);

	return true;
}

/*
 * Close what was opened; locks stay until the transaction ends.
 */
void
wh_armscan_end(WhArmScan *scan)
{
	ExecClearTuple(scan->result);
	if (scan->query != NULL)
	{
		ExecutorFinish(scan->query);
		ExecutorEnd(scan->query);
		FreeQueryDesc(scan->query);
		return;
	}

	ExecDropSingleTupleTableSlot(scan->slot);
	table_endscan(scan->scan);
	table_close(scan->rel, NoLock);
	FreeExprContext(scan->econtext, true);
}
