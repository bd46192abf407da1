/*
 * scan.c
 *		The foreign-data wrapper that reads the slices of a template.
 *
 * It answers where expand does not: the library was not loaded when the query
 * was planned, too many slices survive to be planned one by one, or the query
 * asks for what only a foreign table has.  Slices are pruned when the scan
 * begins, with the values of that moment, so a kept plan is right at any time.
 * Read only: no callback for writing, so the core refuses.
 */
#include "postgres.h"

#include <limits.h>

#include "access/table.h"
#include "commands/explain.h"
#include "fmgr.h"
#include "foreign/fdwapi.h"
#include "miscadmin.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "arm.h"
#include "armscan.h"
#include "compat.h"

/* What a page of a slice holds, for the planner. */
#define ROWS_PER_PAGE 50

typedef struct Slices
{
	WhUnionTable *table;
	WhPruned   *pruned;
	List	   *arms;			/* of WhArm * */
	int			next;
	WhArmScan  *open;			/* NULL: none */
} Slices;

PG_FUNCTION_INFO_V1(wh_slices_handler);

static void get_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid);
static void get_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid);
static ForeignScan *get_plan(PlannerInfo *root, RelOptInfo *rel, Oid relid,
							 ForeignPath *path, List *tlist, List *clauses,
							 Plan *outer);
static RowMarkType get_row_mark(RangeTblEntry *rte, LockClauseStrength strength);
static void begin(ForeignScanState *node, int eflags);
static void check_rights(const Slices *scan);
static TupleTableSlot *iterate(ForeignScanState *node);
static void rescan(ForeignScanState *node);
static void end(ForeignScanState *node);
static void explain(ForeignScanState *node, ExplainState *es);

/*
 * _wh.slices_handler() returns fdw_handler
 */
Datum
wh_slices_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = get_rel_size;
	routine->GetForeignPaths = get_paths;
	routine->GetForeignPlan = get_plan;
	routine->GetForeignRowMarkType = get_row_mark;
	routine->BeginForeignScan = begin;
	routine->IterateForeignScan = iterate;
	routine->ReScanForeignScan = rescan;
	routine->EndForeignScan = end;
	routine->ExplainForeignScan = explain;

	PG_RETURN_POINTER(routine);
}

/*
 * Estimate by what the ledger counted when it was read.
 */
static void
get_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	Relation	foreign = table_open(relid, NoLock);
	List	   *quals = NIL;
	WhPruned   *pruned;
	ListCell   *lc;

	foreach(lc, rel->baserestrictinfo)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, lc);

		if (restriction_is_securely_promotable(info, rel))
			quals = lappend(quals, info->clause);
	}
	pruned = wh_prune(wh_union_table(foreign), rel->relid, quals,
					  root->glob->boundParams, 0);
	table_close(foreign, NoLock);

	rel->fdw_private = pruned;
	rel->tuples = pruned->rows;
	rel->rows = clamp_row_est(pruned->rows);
}

static void
get_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	const WhPruned *pruned = (const WhPruned *) rel->fdw_private;
	Cost		startup = rel->baserestrictcost.startup;
	Cost		total = startup +
	seq_page_cost * (pruned->survivors + pruned->rows / ROWS_PER_PAGE) +
	(cpu_tuple_cost + rel->baserestrictcost.per_tuple) * pruned->rows;

	add_path(rel, (Path *) wh_foreign_path(root, rel, startup, total));
}

/*
 * Make the plan: all quals are checked by the executor.  Those that slices may
 * be pruned by are noted by their place: a security barrier must not be seen
 * through.
 */
static ForeignScan *
get_plan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *path,
		 List *tlist, List *clauses, Plan *outer)
{
	List	   *quals = NIL;
	List	   *places = NIL;
	ListCell   *lc;

	foreach(lc, clauses)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, lc);

		if (info->pseudoconstant)
			continue;
		if (restriction_is_securely_promotable(info, rel))
			places = lappend_int(places, list_length(quals));
		quals = lappend(quals, info->clause);
	}

	return make_foreignscan(tlist, quals, rel->relid, NIL, list_make1(places),
							NIL, NIL, outer);
}

/*
 * Refuse to lock rows, as PostgreSQL does for materialized views.
 */
static RowMarkType
get_row_mark(RangeTblEntry *rte, LockClauseStrength strength)
{
	if (strength != LCS_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot lock rows of the warehouse"),
				 errdetail("Foreign table \"%s\" shows slices, which only a refresh changes.",
						   get_rel_name(rte->relid))));

	return ROW_MARK_COPY;
}

static void
begin(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	ParamListInfo params = node->ss.ps.state->es_param_list_info;
	Slices	   *scan = (Slices *) palloc0(sizeof(Slices));
	List	   *quals = NIL;
	ListCell   *lc;

	scan->table = wh_union_table(node->ss.ss_currentRelation);
	foreach(lc, (List *) linitial(plan->fdw_private))
		quals = lappend(quals, list_nth(plan->scan.plan.qual, lfirst_int(lc)));

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		scan->pruned = wh_prune(scan->table, plan->scan.scanrelid, quals,
								params, 0);
	else
	{
		const WhArms *arms = wh_arms(scan->table, plan->scan.scanrelid, quals,
									 params, INT_MAX);

		scan->pruned = arms->pruned;
		scan->arms = arms->arms;
		check_rights(scan);
	}
	node->fdw_state = scan;
}

/*
 * Check that whoever owns the foreign table may read its slices; readers have
 * a right on a view over it only.
 */
static void
check_rights(const Slices *scan)
{
	ListCell   *lc;

	foreach(lc, scan->arms)
	{
		const WhArm *arm = (const WhArm *) lfirst(lc);
		AclResult	result = pg_class_aclcheck(arm->relid, scan->table->owner,
											   ACL_SELECT);

		if (result != ACLCHECK_OK)
			aclcheck_error(result, get_relkind_objtype(arm->relkind),
						   arm->slice->relation);
	}
}

static TupleTableSlot *
iterate(ForeignScanState *node)
{
	Slices	   *scan = (Slices *) node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();

		if (scan->open == NULL)
		{
			if (scan->next >= list_length(scan->arms))
				return ExecClearTuple(slot);
			scan->open = wh_armscan_begin(scan->table,
										  (WhArm *) list_nth(scan->arms, scan->next++),
										  node->ss.ps.state, slot);
		}
		if (wh_armscan_next(scan->open))
			return slot;
		wh_armscan_end(scan->open);
		scan->open = NULL;
	}
}

static void
rescan(ForeignScanState *node)
{
	Slices	   *scan = (Slices *) node->fdw_state;

	if (scan->open != NULL)
		wh_armscan_end(scan->open);
	scan->open = NULL;
	scan->next = 0;
}

static void
end(ForeignScanState *node)
{
	if (node->fdw_state != NULL)
		rescan(node);
}

static void
explain(ForeignScanState *node, ExplainState *es)
{
	const Slices *scan = (const Slices *) node->fdw_state;

	ExplainPropertyText("Slices",
						psprintf("%d of %d", scan->pruned->survivors,
								 scan->pruned->total), es);
}
