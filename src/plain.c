/*
 * plain.c
 *		A materialized view of ours becomes a table, in place.
 *
 * On disk the two are the same: heap, toast, indexes, statistics.  What makes
 * one a materialized view is its rule, which names _wh.fetch(), and the kind in
 * pg_class.  Both are changed here and nothing is copied, so that years of days
 * take no room and no time, and views keep the relation that they were built
 * on.  It happens in the catalogs, which check nothing, so this file looks
 * first; what a relation was for is the caller's.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_rewrite.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "rewrite/rewriteRemove.h"
#include "rewrite/rewriteSupport.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "plain.h"
#include "spi.h"

static void *read_candidate(uint64 row);
static void check_fit(Relation rel);
static void drop_rule(Oid relid);
static void set_kind(Oid relid);

/*
 * List materialized views that ask _wh.fetch(); see plain.h.  Dependencies say
 * which they are: the ledger has forgotten those of a tenant that was dropped.
 */
List *
wh_plain_candidates(void)
{
	return wh_spi_list("SELECT k.oid::pg_catalog.int8, n.nspname, k.relname, k.relispopulated"
					   " FROM pg_catalog.pg_depend AS d"
					   " JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid"
					   " JOIN pg_catalog.pg_class AS k ON k.oid = r.ev_class"
					   " JOIN pg_catalog.pg_namespace AS n ON n.oid = k.relnamespace"
					   " WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass"
					   " AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass"
					   " AND d.refobjid = '_wh.fetch(pg_catalog.text, pg_catalog.text,"
					   " pg_catalog.date)'::pg_catalog.regprocedure"
					   " AND k.relkind = 'm'"
					   " AND pg_catalog.pg_get_userbyid(k.relowner) = CURRENT_USER"
					   " ORDER BY n.nspname, k.relname",
					   NULL, 0, read_candidate);
}

static void *
read_candidate(uint64 row)
{
	WhFetching *fetched = (WhFetching *) palloc(sizeof(WhFetching));

	fetched->relid = (Oid) wh_col_int8(row, 1, 0);
	fetched->schema = wh_col_text(row, 2);
	fetched->name = wh_col_text(row, 3);
	fetched->populated = wh_col_bool(row, 4, false);

	return fetched;
}

/*
 * Turn a materialized view into a table; see plain.h.  Plans and rules that
 * read it are told by the change of pg_class, and take its kind from there.
 */
void
wh_plain_table(Oid relid)
{
	Relation	rel = relation_open(relid, AccessExclusiveLock);

	check_fit(rel);
	relation_close(rel, NoLock);

	drop_rule(relid);
	set_kind(relid);
	InvokeObjectPostAlterHook(RelationRelationId, relid, 0);
	CommandCounterIncrement();
}

/*
 * See that it is what the list said, and that no cursor of this session reads
 * it.
 */
static void
check_fit(Relation rel)
{
	PreventCommandIfReadOnly("_wh.detach_all()");
	PreventCommandIfParallelMode("_wh.detach_all()");
	CheckTableNotInUse(rel, "_wh.detach_all()");

	if (rel->rd_rel->relkind != RELKIND_MATVIEW ||
		rel->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT ||
		rel->rd_rel->relowner != GetUserId() ||
		!rel->rd_rel->relispopulated)
		elog(ERROR, "materialized view %u changed under its lock",
			 RelationGetRelid(rel));
}

/*
 * Drop the rule that asks _wh.fetch(), which otherwise only goes together with
 * its relation.  That there is none left, pg_class.relhasrules is told by the
 * next VACUUM.
 */
static void
drop_rule(Oid relid)
{
	Oid			rule = get_rewrite_oid(relid, ViewSelectRuleName, false);

	(void) deleteDependencyRecordsFor(RewriteRelationId, rule, false);
	RemoveRewriteRuleById(rule);
	CommandCounterIncrement();
}

static void
set_kind(Oid relid)
{
	Relation	classes = table_open(RelationRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(relid));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	((Form_pg_class) GETSTRUCT(tuple))->relkind = RELKIND_RELATION;
	CatalogTupleUpdate(classes, &tuple->t_self, tuple);
	heap_freetuple(tuple);
	table_close(classes, RowExclusiveLock);
}
