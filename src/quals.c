/*
 * quals.c
 *		Foreign tables of ours in a query, each with the quals that its rows
 *		must pass to matter.
 *
 * Quals are carried down the tree that the planner has not seen yet: from
 * WHERE and inner joins to both sides, from the ON of an outer join to its
 * nullable side; into subqueries and views (rewritten by then), set
 * operations, groups and CTEs that are read once, by putting the expression
 * behind a column in its place.  They stop where leaving out a row would
 * change others: LIMIT, DISTINCT ON, windows, grouping sets, set-returning
 * functions, a volatile CTE.  Through a security barrier go only those that
 * leak nothing.  To the nullable side of an outer join go quals from above
 * only if they refuse the row of NULLs that would take a missing row's place.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"

#include "compat.h"
#include "quals.h"
#include "uniontable.h"

/* A query that is being walked, and what was found so far. */
typedef struct Walk
{
	struct Walk *outer;			/* the query that it stands in */
	Query	   *query;
	List	  **targets;
	List	   *seen;			/* CTEs that were walked */
} Walk;

/* A column's place, and what stands behind it. */
typedef struct Behind
{
	Index		rti;
	List	   *columns;		/* a target list */
	bool		failed;
} Behind;

static bool find_slices(Node *node, void *context);
static void walk_query(Query *query, List *wanted, Index rti, Walk *outer,
					   List **targets);
static void walk_ctes(Walk *walk);
static bool takes_quals(const Query *query);
static void walk_set_operation(Walk *walk, Node *node, List *wanted, Index rti);
static void walk_jointree(Walk *walk, Node *node, List *quals);
static void walk_join(Walk *walk, JoinExpr *join, List *quals);
static List *refuse_nulls(List *quals);
static void walk_entry(Walk *walk, Index rti, List *quals);
static void walk_cte(Walk *walk, RangeTblEntry *rte, Index rti, List *quals);
static bool walk_sublinks(Node *node, void *context);
static void add_target(Walk *walk, RangeTblEntry *rte, Index rti, List *quals);
static bool reads_system_column(const Bitmapset *columns);
static List *add_quals(const Walk *walk, List *quals, Node *node);
static List *behind_columns(List *quals, Index rti, List *columns);
static Node *put_behind(Node *node, Behind *behind);

/*
 * Is there a foreign table of ours?  Every query of every session passes
 * here: nothing is looked up but for foreign tables.
 */
bool
wh_reads_slices(Query *query)
{
	ListCell   *lc;

	check_stack_depth();

	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_SUBQUERY && wh_reads_slices(rte->subquery))
			return true;
		if (rte->rtekind == RTE_RELATION &&
			rte->relkind == RELKIND_FOREIGN_TABLE &&
			wh_union_is_ours(rte->relid))
			return true;
	}
	foreach(lc, query->cteList)
	{
		if (find_slices(lfirst_node(CommonTableExpr, lc)->ctequery, NULL))
			return true;
	}

	return query->hasSubLinks &&
		query_tree_walker(query, find_slices, NULL,
						  QTW_IGNORE_RT_SUBQUERIES | QTW_IGNORE_CTE_SUBQUERIES);
}

static bool
find_slices(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return wh_reads_slices((Query *) node);

	return expression_tree_walker(node, find_slices, context);
}

/*
 * List the foreign tables of ours; see quals.h.
 */
List *
wh_targets(Query *query)
{
	List	   *targets = NIL;

	walk_query(query, NIL, 0, NULL, &targets);

	return targets;
}

/*
 * Walk a query.  "wanted" are quals that its result must pass, in which it is
 * entry "rti".
 */
static void
walk_query(Query *query, List *wanted, Index rti, Walk *outer, List **targets)
{
	Walk		walk = {outer, query, targets, NIL};
	ListCell   *lc;

	check_stack_depth();

	if (!takes_quals(query))
		wanted = NIL;

	if (query->setOperations != NULL)
		walk_set_operation(&walk, query->setOperations, wanted, rti);
	else if (query->jointree != NULL)
	{
		List	   *quals = NIL;

		foreach(lc, behind_columns(wanted, rti, query->targetList))
			quals = add_quals(&walk, quals, (Node *) lfirst(lc));
		walk_jointree(&walk, (Node *) query->jointree, quals);
	}

	if (query->hasSubLinks)
		(void) query_tree_walker(query, walk_sublinks, &walk,
								 QTW_IGNORE_RT_SUBQUERIES | QTW_IGNORE_CTE_SUBQUERIES);
	walk_ctes(&walk);
}

/*
 * Walk the CTEs that no reference led to, the last one first: it may refer to
 * others.
 */
static void
walk_ctes(Walk *walk)
{
	for (int i = list_length(walk->query->cteList) - 1; i >= 0; i--)
	{
		CommonTableExpr *cte = list_nth_node(CommonTableExpr,
											 walk->query->cteList, i);

		if (list_member_ptr(walk->seen, cte))
			continue;
		walk->seen = lappend(walk->seen, cte);
		walk_query(castNode(Query, cte->ctequery), NIL, 0, walk, walk->targets);
	}
}

/*
 * Can rows be left out of the query's input that its result is not to have?
 */
static bool
takes_quals(const Query *query)
{
	return query->commandType == CMD_SELECT &&
		query->limitCount == NULL && query->limitOffset == NULL &&
		!query->hasDistinctOn && !query->hasWindowFuncs &&
		!query->hasTargetSRFs && query->groupingSets == NIL &&
		!(query->hasAggs && query->groupClause == NIL);
}

static void
walk_set_operation(Walk *walk, Node *node, List *wanted, Index rti)
{
	check_stack_depth();

	if (IsA(node, RangeTblRef))
	{
		RangeTblEntry *leaf = rt_fetch(((RangeTblRef *) node)->rtindex,
									   walk->query->rtable);

		walk_query(leaf->subquery, wanted, rti, walk, walk->targets);
		return;
	}

	walk_set_operation(walk, ((SetOperationStmt *) node)->larg, wanted, rti);
	walk_set_operation(walk, ((SetOperationStmt *) node)->rarg, wanted, rti);
}

/*
 * Walk what a query reads.  A MERGE keeps its ON in the jointree's quals,
 * where it filters nothing.
 */
static void
walk_jointree(Walk *walk, Node *node, List *quals)
{
	check_stack_depth();

	if (node == NULL)
		return;

	if (IsA(node, RangeTblRef))
		walk_entry(walk, ((RangeTblRef *) node)->rtindex, quals);
	else if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;
		ListCell   *lc;

		if (walk->query->commandType != CMD_MERGE)
			quals = add_quals(walk, quals, from->quals);
		foreach(lc, from->fromlist)
			walk_jointree(walk, (Node *) lfirst(lc), quals);
	}
	else
		walk_join(walk, castNode(JoinExpr, node), quals);
}

static void
walk_join(Walk *walk, JoinExpr *join, List *quals)
{
	List	   *left = quals;
	List	   *right = quals;

	switch (join->jointype)
	{
		case JOIN_INNER:
			left = right = add_quals(walk, quals, join->quals);
			break;
		case JOIN_LEFT:
			right = add_quals(walk, refuse_nulls(quals), join->quals);
			break;
		case JOIN_RIGHT:
			left = add_quals(walk, refuse_nulls(quals), join->quals);
			break;
		default:
			left = right = refuse_nulls(quals);
			break;
	}
	walk_jointree(walk, join->larg, left);
	walk_jointree(walk, join->rarg, right);
}

/*
 * Keep the quals that are not true where all columns of a relation are NULL.
 */
static List *
refuse_nulls(List *quals)
{
	List	   *strict = NIL;
	ListCell   *lc;

	foreach(lc, quals)
	{
		if (!bms_is_empty(find_nonnullable_rels((Node *) lfirst(lc))))
			strict = lappend(strict, lfirst(lc));
	}

	return strict;
}

static void
walk_entry(Walk *walk, Index rti, List *quals)
{
	RangeTblEntry *rte = rt_fetch(rti, walk->query->rtable);

	if ((int) rti == walk->query->resultRelation)
		return;

	if (rte->rtekind == RTE_SUBQUERY)
	{
		List	   *passed = NIL;
		ListCell   *lc;

		foreach(lc, quals)
		{
			if (!rte->security_barrier ||
				!contain_leaked_vars((Node *) lfirst(lc)))
				passed = lappend(passed, lfirst(lc));
		}
		walk_query(rte->subquery, passed, rti, walk, walk->targets);
	}
	else if (rte->rtekind == RTE_CTE)
		walk_cte(walk, rte, rti, quals);
	else if (rte->rtekind == RTE_RELATION &&
			 rte->relkind == RELKIND_FOREIGN_TABLE &&
			 wh_union_is_ours(rte->relid))
		add_target(walk, rte, rti, quals);
}

/*
 * Walk a CTE by the only reference to it; others are walked without quals.
 */
static void
walk_cte(Walk *walk, RangeTblEntry *rte, Index rti, List *quals)
{
	ListCell   *lc;

	if (rte->self_reference)
		return;
	for (Index up = 0; up < rte->ctelevelsup; up++)
		walk = walk->outer;

	foreach(lc, walk->query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);
		Query	   *query = castNode(Query, cte->ctequery);

		if (strcmp(cte->ctename, rte->ctename) != 0)
			continue;
		if (cte->cterefcount != 1 || cte->cterecursive ||
			list_member_ptr(walk->seen, cte) || query->rowMarks != NIL ||
			contain_volatile_functions((Node *) query))
			return;
		walk->seen = lappend(walk->seen, cte);
		walk_query(query, quals, rti, walk, walk->targets);
		return;
	}
}

static bool
walk_sublinks(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Walk	   *walk = (Walk *) context;

		walk_query((Query *) node, NIL, 0, walk, walk->targets);
		return false;
	}

	return expression_tree_walker(node, walk_sublinks, context);
}

static void
add_target(Walk *walk, RangeTblEntry *rte, Index rti, List *quals)
{
	WhTarget   *target = (WhTarget *) palloc(sizeof(WhTarget));

	target->query = walk->query;
	target->rte = rte;
	target->rti = rti;
	target->quals = quals;
	target->plain = !reads_system_column(wh_columns_read(walk->query, rte)) &&
		get_parse_rowmark(walk->query, rti) == NULL &&
		rte->securityQuals == NIL &&
		!(rte->inh && has_subclass(rte->relid));
	*walk->targets = lappend(*walk->targets, target);
}

static bool
reads_system_column(const Bitmapset *columns)
{
	int			first = bms_next_member(columns, -1);

	return first >= 0 && first + FirstLowInvalidHeapAttributeNumber < 0;
}

/*
 * Add the conditions of an expression of the query's own level that can be
 * looked at alone.
 */
static List *
add_quals(const Walk *walk, List *quals, Node *node)
{
	ListCell   *lc;

	if (node == NULL)
		return quals;
	if (IsA(node, List))
	{
		foreach(lc, (List *) node)
			quals = add_quals(walk, quals, (Node *) lfirst(lc));
		return quals;
	}
	if (IsA(node, BoolExpr) && ((BoolExpr *) node)->boolop == AND_EXPR)
		return add_quals(walk, quals, (Node *) ((BoolExpr *) node)->args);
	if (contain_volatile_functions(node) || contain_subplans(node) ||
		contain_agg_clause(node) || contain_window_function(node) ||
		expression_returns_set(node))
		return quals;

	return lappend(list_copy(quals),
				   wh_flatten_join_alias_vars(walk->query, copyObject(node)));
}

/*
 * Write quals on a subquery's columns as quals of the subquery.
 */
static List *
behind_columns(List *quals, Index rti, List *columns)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, quals)
	{
		Behind		behind = {rti, columns, false};
		Node	   *qual = put_behind((Node *) lfirst(lc), &behind);

		if (!behind.failed)
			result = lappend(result, qual);
	}

	return result;
}

/*
 * Put the expression behind a column in its place.  In a set operation its
 * type can be another than the column's.
 */
static Node *
put_behind(Node *node, Behind *behind)
{
	if (node == NULL)
		return NULL;

	if (IsA(node, Var))
	{
		const Var  *var = (const Var *) node;
		TargetEntry *column = NULL;

		if (var->varlevelsup == 0 && var->varno == (int) behind->rti &&
			var->varattno > 0)
			column = get_tle_by_resno(behind->columns, var->varattno);
		if (column == NULL || column->resjunk ||
			exprType((Node *) column->expr) != var->vartype)
		{
			behind->failed = true;
			return node;
		}
		return (Node *) copyObject(column->expr);
	}

	return expression_tree_mutator(node, put_behind, behind);
}
