/*
 * expand.c
 *		Layout expand: a query's foreign tables become the slices that it
 *		needs.
 *
 * Before a query is planned, each foreign table of ours in it is replaced by
 * the UNION ALL of the slices that survive its quals (quals, prune, arm), so
 * that planning, locks and statistics are those of what is read.  The foreign
 * table stays in the range table, unread: rights on it, its lock, and plans
 * that go with it are the core's.  Where it cannot be replaced, or too much
 * survives, it is left to scan.c, which is slower and as right.
 *
 * A plan can be kept while slices come and go, and the clock and the session's
 * settings move on.  So it carries its query along, with a note of the slices
 * that it reads, in a range table entry that nothing refers to.  When it is run
 * and the ledger is not what it was, or the slices depend on the session or on
 * parameters that had no value yet, they are looked up again; if they are
 * others, the query is planned anew for this run.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "optimizer/planner.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "arm.h"
#include "compat.h"
#include "expand.h"
#include "guc.h"
#include "quals.h"
#include "slicemap.h"

/* Names the entry that carries a kept plan's query. */
#define GUARD "pg_warehouse kept plan"

/* Where what stands in its column names. */
enum
{
	DIGEST, GENERATION, MOVING, OPTIONS
};

/* Keeps plancache from preferring a plan that will be made anew anyway. */
#define COST_OF_REPLANNING 1e13

/* What a plan notes of the slices that it reads. */
typedef struct Note
{
	uint64		digest;
	uint64		generation;		/* of the ledger */
	bool		moving;			/* must be looked up at any time */
	bool		unbound;		/* parameters without a value decide */
	bool		replaced;		/* some slices stand in the plan */
} Note;

/* One foreign table of a query that is being planned. */
typedef struct Choice
{
	WhTarget   *target;
	WhUnionTable *table;
	TupleDesc	shown;
	WhPruned   *pruned;
	List	   *arms;			/* of WhArm *, when it is to be replaced */
} Choice;

static planner_hook_type next_planner = NULL;
static ExecutorStart_hook_type next_executor_start = NULL;

static PlannedStmt *plan_query(Query *query, const char *text, int options,
							   ParamListInfo params);
static PlannedStmt *call_planner(Query *query, const char *text, int options,
								 ParamListInfo params);
static List *choose(Query *query, ParamListInfo params, List **unfilled);
static bool is_replaced(const WhPruned *pruned);
static void note_choice(Note *note, const WhPruned *pruned);
static void replace(const Choice *choice);
static Query *query_of_choice(const Choice *choice);
static Query *query_of_nothing(TupleDesc shown);
static Query *query_of_all(List *queries, TupleDesc shown, List *names);
static Query *query_of_one(Query *inner, TupleDesc shown, List *names);
static RangeTblEntry *make_entry(Query *query, List *names);
static Node *balanced_union(int from, int to, TupleDesc shown);
static List *columns_of_entry(TupleDesc shown);
static void guard_plan(PlannedStmt *plan, Query *query, const Note *note,
					   int options);
static RangeTblEntry *guard_of(const PlannedStmt *plan);
static char *number(uint64 value);
static uint64 noted(const RangeTblEntry *guard, int place);
static void start_executor(QueryDesc *desc, int eflags);
static bool is_current(const RangeTblEntry *guard, ParamListInfo params);
static uint64 digest_now(Query *query, ParamListInfo params);
static void plan_anew(QueryDesc *desc, const RangeTblEntry *guard, int eflags);

/*
 * Install the hooks; see expand.h.
 */
void
wh_expand_install(void)
{
	next_planner = planner_hook;
	planner_hook = plan_query;
	next_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = start_executor;
}

/*
 * Plan a query.
 *
 * Without values for parameters (params is NULL) the plan may be kept.  With
 * parameters that decide it is not worth expanding: each run has a plan of its
 * own, made with their values, and this one is made too dear to be chosen.
 */
static PlannedStmt *
plan_query(Query *query, const char *text, int options, ParamListInfo params)
{
	List	   *choices;
	List	   *unfilled;
	Query	   *original = NULL;
	Note		note = {0};
	PlannedStmt *plan;
	ListCell   *lc;

	if (!wh_expand_views || !wh_reads_slices(query))
		return call_planner(query, text, options, params);

	/* All tables of the query are to show one state of the ledger. */
	do
	{
		AcceptInvalidationMessages();
		note.generation = wh_slicemap_generation();
		unfilled = NIL;
		choices = choose(query, params, &unfilled);
	} while (note.generation != wh_slicemap_generation());

	foreach(lc, choices)
		note_choice(&note, ((const Choice *) lfirst(lc))->pruned);

	if (params == NULL && (note.replaced || note.unbound))
		original = copyObject(query);
	foreach(lc, choices)
	{
		const Choice *choice = (const Choice *) lfirst(lc);

		if (is_replaced(choice->pruned))
			replace(choice);
	}

	plan = call_planner(query, text, options, params);

	/* Filling one of these must make the plan anew. */
	plan->relationOids = list_concat(plan->relationOids, unfilled);
	if (original != NULL)
		guard_plan(plan, original, &note, options);

	return plan;
}

static PlannedStmt *
call_planner(Query *query, const char *text, int options, ParamListInfo params)
{
	return next_planner ? next_planner(query, text, options, params)
		: standard_planner(query, text, options, params);
}

/*
 * Decide about each foreign table that could be replaced, and lock what it is
 * to be replaced by.
 */
static List *
choose(Query *query, ParamListInfo params, List **unfilled)
{
	List	   *choices = NIL;
	ListCell   *lc;

	foreach(lc, wh_targets(query))
	{
		WhTarget   *target = (WhTarget *) lfirst(lc);
		Choice	   *choice;
		WhArms	   *arms;
		Relation	rel;

		if (!target->plain)
			continue;

		choice = (Choice *) palloc(sizeof(Choice));
		rel = table_open(target->rte->relid, NoLock);
		choice->target = target;
		choice->table = wh_union_table(rel);
		choice->shown = CreateTupleDescCopy(RelationGetDescr(rel));
		table_close(rel, NoLock);

		arms = wh_arms(choice->table, target->rti, target->quals, params,
					   wh_expand_max_slices);
		choice->pruned = arms->pruned;
		choice->arms = arms->arms;
		*unfilled = list_concat(*unfilled, arms->unfilled);
		choices = lappend(choices, choice);
	}

	return choices;
}

static bool
is_replaced(const WhPruned *pruned)
{
	return !pruned->unbound && pruned->survivors <= wh_expand_max_slices;
}

/*
 * Note what is decided about one foreign table, beside those before it.
 */
static void
note_choice(Note *note, const WhPruned *pruned)
{
	bool		replaced = is_replaced(pruned);

	note->unbound |= pruned->unbound;
	note->replaced |= replaced;
	note->moving |= pruned->unbound || (replaced && pruned->mutable);

	note->digest = hash_combine64(note->digest, replaced);
	if (replaced)
		note->digest = hash_combine64(hash_combine64(note->digest,
													 pruned->survivors),
									  pruned->digest);
	else
		note->digest = hash_combine64(note->digest, pruned->unbound);
}

/*
 * Put the slices in the foreign table's place.  The entry becomes what an
 * expanded view is, by which the core checks rights and locks the relation.
 */
static void
replace(const Choice *choice)
{
	wh_become_subquery(choice->target->rte, query_of_choice(choice));
}

static Query *
query_of_choice(const Choice *choice)
{
	List	   *names = choice->target->rte->eref->colnames;
	int			narms = list_length(choice->arms);
	List	   *groups = NIL;
	List	   *group = NIL;
	ListCell   *lc;

	if (narms == 0)
		return query_of_nothing(choice->shown);

	/* The planner's work grows with the square of the arms of one level. */
	foreach(lc, choice->arms)
	{
		group = lappend(group, wh_arm_query(choice->table, choice->shown,
											(WhArm *) lfirst(lc)));
		if (lnext(choice->arms, lc) != NULL &&
			list_length(group) < wh_expand_chunk_size)
			continue;
		groups = lappend(groups, query_of_all(group, choice->shown, names));
		group = NIL;
	}
	if (list_length(groups) == 1)
		return (Query *) linitial(groups);

	foreach(lc, groups)
		lfirst(lc) = query_of_one((Query *) lfirst(lc), choice->shown, names);

	return query_of_all(groups, choice->shown, names);
}

/*
 * Write SELECT NULL, ... WHERE false.
 */
static Query *
query_of_nothing(TupleDesc shown)
{
	Query	   *query = makeNode(Query);

	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->jointree = makeFromExpr(NIL, makeBoolConst(false, false));
	for (int i = 0; i < shown->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(shown, i);
		Const	   *none = column->attisdropped ?
		makeNullConst(INT4OID, -1, InvalidOid) :
		makeNullConst(column->atttypid, column->atttypmod, column->attcollation);

		query->targetList = lappend(query->targetList,
									makeTargetEntry((Expr *) none, i + 1,
													pstrdup(NameStr(column->attname)),
													false));
	}

	return query;
}

/*
 * Write the UNION ALL of queries; one stands for itself.
 */
static Query *
query_of_all(List *queries, TupleDesc shown, List *names)
{
	Query	   *query = makeNode(Query);
	ListCell   *lc;

	if (list_length(queries) == 1)
		return (Query *) linitial(queries);

	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->jointree = makeFromExpr(NIL, NULL);
	query->targetList = columns_of_entry(shown);
	foreach(lc, queries)
		query->rtable = lappend(query->rtable,
								make_entry((Query *) lfirst(lc), names));
	query->setOperations = balanced_union(1, list_length(queries), shown);

	return query;
}

/*
 * Write SELECT ... FROM (query).
 */
static Query *
query_of_one(Query *inner, TupleDesc shown, List *names)
{
	Query	   *query = makeNode(Query);
	RangeTblRef *ref = makeNode(RangeTblRef);
	RangeTblEntry *rte = make_entry(inner, names);

	rte->inFromCl = true;
	ref->rtindex = 1;
	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->rtable = list_make1(rte);
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	query->targetList = columns_of_entry(shown);

	return query;
}

static RangeTblEntry *
make_entry(Query *query, List *names)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);

	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = query;
	rte->eref = makeAlias("slices", copyObject(names));

	return rte;
}

/*
 * Join entries [from, to] by UNION ALL: halves of halves, since the planner
 * goes down the tree.
 */
static Node *
balanced_union(int from, int to, TupleDesc shown)
{
	SetOperationStmt *all;

	if (from == to)
	{
		RangeTblRef *ref = makeNode(RangeTblRef);

		ref->rtindex = from;
		return (Node *) ref;
	}

	all = makeNode(SetOperationStmt);
	all->op = SETOP_UNION;
	all->all = true;
	all->larg = balanced_union(from, from + (to - from) / 2, shown);
	all->rarg = balanced_union(from + (to - from) / 2 + 1, to, shown);
	for (int i = 0; i < shown->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(shown, i);
		bool		dropped = column->attisdropped;

		all->colTypes = lappend_oid(all->colTypes,
									dropped ? INT4OID : column->atttypid);
		all->colTypmods = lappend_int(all->colTypmods,
									  dropped ? -1 : column->atttypmod);
		all->colCollations = lappend_oid(all->colCollations,
										 dropped ? InvalidOid : column->attcollation);
	}

	return (Node *) all;
}

/*
 * List the columns of the first range table entry.
 */
static List *
columns_of_entry(TupleDesc shown)
{
	List	   *columns = NIL;

	for (int i = 0; i < shown->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(shown, i);
		bool		dropped = column->attisdropped;
		Var		   *var = makeVar(1, i + 1, dropped ? INT4OID : column->atttypid,
								  dropped ? -1 : column->atttypmod,
								  dropped ? InvalidOid : column->attcollation, 0);

		columns = lappend(columns,
						  makeTargetEntry((Expr *) var, i + 1,
										  pstrdup(NameStr(column->attname)),
										  false));
	}

	return columns;
}

/*
 * Have a plan carry its query and the note.  The executor never looks at an
 * entry that no node refers to.
 */
static void
guard_plan(PlannedStmt *plan, Query *query, const Note *note, int options)
{
	RangeTblEntry *guard = makeNode(RangeTblEntry);

	guard->rtekind = RTE_SUBQUERY;
	guard->subquery = query;
	guard->eref = makeAlias(GUARD, list_make4(makeString(number(note->digest)),
											  makeString(number(note->generation)),
											  makeString(number(note->moving)),
											  makeString(number(options))));
	plan->rtable = lappend(plan->rtable, guard);
	if (note->unbound)
		plan->planTree->total_cost += COST_OF_REPLANNING;
}

/*
 * Return the entry that guard_plan() added; the core takes the subquery out of
 * all others.
 */
static RangeTblEntry *
guard_of(const PlannedStmt *plan)
{
	RangeTblEntry *last;

	if (plan->rtable == NIL)
		return NULL;
	last = llast_node(RangeTblEntry, plan->rtable);

	return last->rtekind == RTE_SUBQUERY && last->subquery != NULL &&
		strcmp(last->eref->aliasname, GUARD) == 0 ? last : NULL;
}

static char *
number(uint64 value)
{
	return psprintf(UINT64_FORMAT, value);
}

static uint64
noted(const RangeTblEntry *guard, int place)
{
	return strtou64(strVal(list_nth(guard->eref->colnames, place)), NULL, 10);
}

/*
 * Check a plan that carries its query.  A parallel worker has the plan of its
 * leader, who did.
 */
static void
start_executor(QueryDesc *desc, int eflags)
{
	const RangeTblEntry *guard = guard_of(desc->plannedstmt);

	if (guard != NULL && !IsParallelWorker())
	{
		bool		pushed = !ActiveSnapshotSet();

		if (pushed)
			PushActiveSnapshot(desc->snapshot);
		if (!is_current(guard, desc->params))
			plan_anew(desc, guard, eflags);
		if (pushed)
			PopActiveSnapshot();
	}

	if (next_executor_start)
		next_executor_start(desc, eflags);
	else
		standard_ExecutorStart(desc, eflags);
}

/*
 * Does the plan read the slices that it would read if it were made now?  Locks
 * that its transaction has already bring it no news, so those are asked for.
 */
static bool
is_current(const RangeTblEntry *guard, ParamListInfo params)
{
	AcceptInvalidationMessages();

	return (!noted(guard, MOVING) &&
			noted(guard, GENERATION) == wh_slicemap_generation()) ||
		noted(guard, DIGEST) == digest_now(guard->subquery, params);
}

/*
 * Look up what would be decided now, locking nothing.
 */
static uint64
digest_now(Query *query, ParamListInfo params)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext work = AllocSetContextCreate(caller, "pg_warehouse kept plan",
											   ALLOCSET_SMALL_SIZES);
	Note		note = {0};
	ListCell   *lc;

	MemoryContextSwitchTo(work);
	foreach(lc, wh_targets(query))
	{
		const WhTarget *target = (const WhTarget *) lfirst(lc);
		Relation	rel;

		if (!target->plain)
			continue;
		rel = table_open(target->rte->relid, NoLock);
		note_choice(&note, wh_prune(wh_union_table(rel), target->rti,
									target->quals, params,
									wh_expand_max_slices));
		table_close(rel, NoLock);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(work);

	return note.digest;
}

/*
 * Make the plan anew for this run.  The values given to the planner, even if
 * there are none, tell it that this plan is not kept.
 */
static void
plan_anew(QueryDesc *desc, const RangeTblEntry *guard, int eflags)
{
	const PlannedStmt *kept = desc->plannedstmt;
	int			options = (int) noted(guard, OPTIONS);
	PlannedStmt *plan;

	/* A cursor that was promised to go backward still has to. */
	if (eflags & EXEC_FLAG_BACKWARD)
		options |= CURSOR_OPT_SCROLL;
	plan = planner(copyObject(guard->subquery), desc->sourceText, options,
				   desc->params ? desc->params : makeParamList(0));
	plan->queryId = kept->queryId;
	plan->canSetTag = kept->canSetTag;
	plan->stmt_location = kept->stmt_location;
	plan->stmt_len = kept->stmt_len;
	desc->plannedstmt = plan;
}
