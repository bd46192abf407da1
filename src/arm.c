/*
 * arm.c
 *		Surviving slices as relations that can be read.
 *
 * The ledger has names; what stands under a name is asked of the catalogs
 * each time, and locked.  A lock may have been waited for, so names and ledger
 * are looked at again after it.  A relation that is there but holds no data
 * (of a restored dump) has nothing to show; one that is gone is an error for
 * whoever needs it, since its rows would be missing silently.
 *
 * Columns go by name: an older slice shows NULL for one it lacks and a cast of
 * one that had another type, as the views of layout union do.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/sinval.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "arm.h"
#include "budget.h"
#include "compat.h"
#include "slicemap.h"

static void check_room(const WhUnionTable *table, const WhPruned *pruned);
static bool lock_all(const WhPruned *pruned, WhArms *arms,
					 const WhSurvivor **missing);
static Oid	lock_relation(const WhSurvivor *slice);
static Oid	find_relation(const WhSurvivor *slice);
static void add_arm(WhArms *arms, const WhSurvivor *slice, Oid relid);
static void raise_missing(const WhUnionTable *table,
						  const WhSurvivor *slice) pg_attribute_noreturn();
static Expr *column_of_arm(Form_pg_attribute column, TupleDesc stored, int hint);

/*
 * Prune and lock; see arm.h.
 *
 * A relation that is missing is looked for once more by a ledger read anew:
 * whoever dropped it may have said so, and we not have heard yet.
 */
WhArms *
wh_arms(const WhUnionTable *table, Index rti, List *quals,
		ParamListInfo params, int most)
{
	const WhSurvivor *missing = NULL;

	for (;;)
	{
		WhArms	   *arms = (WhArms *) palloc0(sizeof(WhArms));
		bool		was_missing = missing != NULL;
		uint64		generation;

		CHECK_FOR_INTERRUPTS();
		AcceptInvalidationMessages();
		generation = wh_slicemap_generation();
		arms->pruned = wh_prune(table, rti, quals, params, most);
		if (arms->pruned->unbound)
			return arms;

		check_room(table, arms->pruned);

		missing = NULL;
		if (!lock_all(arms->pruned, arms, &missing))
		{
			if (was_missing && generation == wh_slicemap_generation())
				raise_missing(table, missing);
			wh_slicemap_forget();
			continue;
		}
		if (generation == wh_slicemap_generation())
			return arms;
	}
}

/*
 * Refuse to lock more slices than the lock table has room for, before it is
 * full for everybody.
 */
static void
check_room(const WhUnionTable *table, const WhPruned *pruned)
{
	int			slices = list_length(pruned->slices);

	if (slices <= max_locks_per_xact || slices <= wh_lock_capacity())
		return;

	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("query over %d slices needs more locks than the server has room for",
					slices),
			 errdetail("Template \"%s\": %d of its %d slices can hold rows that the query wants, and the lock table has room for " INT64_FORMAT ".",
					   table->template_name, slices, pruned->total,
					   wh_lock_capacity()),
			 errhint("Ask for less time, or set max_locks_per_transaction = " INT64_FORMAT " (now %d) and restart the server.",
					 wh_locks_setting(slices), max_locks_per_xact)));
}

/*
 * Lock the relations of all survivors; false at the first that is missing.
 */
static bool
lock_all(const WhPruned *pruned, WhArms *arms, const WhSurvivor **missing)
{
	ListCell   *lc;

	foreach(lc, pruned->slices)
	{
		const WhSurvivor *slice = (const WhSurvivor *) lfirst(lc);
		Oid			relid = lock_relation(slice);

		if (!OidIsValid(relid))
		{
			*missing = slice;
			return false;
		}
		add_arm(arms, slice, relid);
	}

	return true;
}

/*
 * Lock what stands under the name.
 */
static Oid
lock_relation(const WhSurvivor *slice)
{
	for (;;)
	{
		uint64		heard = SharedInvalidMessageCounter;
		Oid			relid = find_relation(slice);

		if (!OidIsValid(relid))
			return InvalidOid;
		LockRelationOid(relid, AccessShareLock);
		if (heard == SharedInvalidMessageCounter || find_relation(slice) == relid)
			return relid;
		UnlockRelationOid(relid, AccessShareLock);
	}
}

static Oid
find_relation(const WhSurvivor *slice)
{
	Oid			nspid = get_namespace_oid(slice->schema, true);

	if (!OidIsValid(nspid))
		return InvalidOid;

	return get_relname_relid(slice->relation, nspid);
}

static void
add_arm(WhArms *arms, const WhSurvivor *slice, Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class form;
	WhArm	   *arm;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	form = (Form_pg_class) GETSTRUCT(tuple);

	if (!form->relispopulated)
		arms->unfilled = lappend_oid(arms->unfilled, relid);
	else
	{
		arm = (WhArm *) palloc(sizeof(WhArm));
		arm->slice = slice;
		arm->relid = relid;
		arm->relkind = form->relkind;
		arms->arms = lappend(arms->arms, arm);
	}
	ReleaseSysCache(tuple);
}

static void
raise_missing(const WhUnionTable *table, const WhSurvivor *slice)
{
	const char *relation = quote_qualified_identifier(slice->schema,
													  slice->relation);
	char	   *refresh;

	if (DATE_NOT_FINITE(slice->start))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation %s of the warehouse is gone", relation),
				 errdetail("Template \"%s\", tenant \"%s\".",
						   table->template_name, slice->tenant),
				 errhint("SELECT * FROM _wh.wh_refresh(%s, %s);",
						 quote_literal_cstr(table->template_name),
						 quote_literal_cstr(slice->tenant))));

	refresh = psprintf("SELECT * FROM _wh.wh_refresh(%s, %s, '%s', '%s');",
					   quote_literal_cstr(table->template_name),
					   quote_literal_cstr(slice->tenant),
					   wh_date_text(slice->start),
					   wh_date_text(slice->end - 1));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("relation %s of the warehouse is gone", relation),
			 errdetail("Template \"%s\", tenant \"%s\", from %s to %s.",
					   table->template_name, slice->tenant,
					   wh_date_text(slice->start),
					   wh_date_text(slice->end - 1)),
			 slice->end - slice->start == 1 ? errhint("%s", refresh) :
			 errhint("Restore it from a backup. If the source still has these days: DELETE FROM _wh.slices WHERE template_name = %s AND tenant_name = %s AND period_start = '%s'; %s",
					 quote_literal_cstr(table->template_name),
					 quote_literal_cstr(slice->tenant),
					 wh_date_text(slice->start), refresh)));
}

/*
 * Return the columns of an arm; see arm.h.
 */
List *
wh_arm_columns(const WhUnionTable *table, TupleDesc shown, const WhArm *arm,
			   TupleDesc stored)
{
	List	   *columns = NIL;

	for (int i = 0; i < shown->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(shown, i);
		Expr	   *expr;

		if (column->attisdropped)
			expr = (Expr *) makeNullConst(INT4OID, -1, InvalidOid);
		else if (column->attnum == table->schema_attr)
			expr = (Expr *) makeConst(TEXTOID, -1, column->attcollation, -1,
									  CStringGetTextDatum(arm->slice->schema),
									  false, false);
		else
			expr = column_of_arm(column, stored, i);
		columns = lappend(columns,
						  makeTargetEntry(expr, i + 1,
										  pstrdup(NameStr(column->attname)),
										  false));
	}

	return columns;
}

/*
 * Return one column: itself; cast, where the arm has it with another type;
 * NULL, where it has none, or one that no cast can bring over.  It mostly is
 * where it is in the table.
 */
static Expr *
column_of_arm(Form_pg_attribute column, TupleDesc stored, int hint)
{
	for (int n = 0; n < stored->natts; n++)
	{
		Form_pg_attribute source = TupleDescAttr(stored, (hint + n) % stored->natts);
		Node	   *expr;

		if (source->attisdropped ||
			strcmp(NameStr(source->attname), NameStr(column->attname)) != 0)
			continue;

		expr = (Node *) makeVar(1, source->attnum, source->atttypid,
								source->atttypmod, source->attcollation, 0);
		if (source->atttypid != column->atttypid ||
			source->atttypmod != column->atttypmod)
			expr = coerce_to_target_type(NULL, expr, source->atttypid,
										 column->atttypid, column->atttypmod,
										 COERCION_EXPLICIT,
										 COERCE_EXPLICIT_CAST, -1);
		if (expr == NULL)
			break;
		if (exprCollation(expr) != column->attcollation)
		{
			CollateExpr *collate = makeNode(CollateExpr);

			collate->arg = (Expr *) expr;
			collate->collOid = column->attcollation;
			collate->location = -1;
			expr = (Node *) collate;
		}
		return (Expr *) expr;
	}

	return (Expr *) makeNullConst(column->atttypid, column->atttypmod,
								  column->attcollation);
}

/*
 * Write the SELECT of an arm; see arm.h.
 */
Query *
wh_arm_query(const WhUnionTable *table, TupleDesc shown, const WhArm *arm)
{
	Query	   *query = makeNode(Query);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	Relation	rel = table_open(arm->relid, NoLock);
	List	   *names = NIL;
	Bitmapset  *read = NULL;
	ListCell   *lc;

	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->targetList = wh_arm_columns(table, shown, arm, RelationGetDescr(rel));
	foreach(lc, pull_vars_of_level((Node *) query->targetList, 0))
		read = bms_add_member(read, ((Var *) lfirst(lc))->varattno -
							  FirstLowInvalidHeapAttributeNumber);

	for (int i = 0; i < RelationGetDescr(rel)->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(RelationGetDescr(rel), i);

		names = lappend(names, makeString(column->attisdropped ? pstrdup("") :
										  pstrdup(NameStr(column->attname))));
	}
	rte->rtekind = RTE_RELATION;
	rte->relid = arm->relid;
	rte->relkind = arm->relkind;
	rte->rellockmode = AccessShareLock;
	rte->eref = makeAlias(RelationGetRelationName(rel), names);
	rte->inFromCl = true;
	rte->inh = arm->relkind == RELKIND_RELATION ||
		arm->relkind == RELKIND_PARTITIONED_TABLE;
	wh_read_as(query, rte, table->owner, read);
	table_close(rel, NoLock);

	ref->rtindex = 1;
	query->rtable = list_make1(rte);
	query->jointree = makeFromExpr(list_make1(ref), NULL);

	/* A live template's relation is a view. */
	if (arm->relkind == RELKIND_VIEW)
		query = linitial_node(Query, QueryRewrite(query));

	return query;
}
