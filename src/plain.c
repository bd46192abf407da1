/*
 * plain.c
 *		A materialized view of ours becomes a table, in place.
 *
 * On disk the two are the same: heap, toast, indexes, statistics.  What makes
 * one a materialized view is its rule, which names _wh.fetch(), and the kind in
 * pg_class, or, of a derived one, what it reads.  Both are changed here and
 * nothing is copied, so that years of days take no room and no time, and views
 * keep the relation that they were built on.  It happens in the catalogs, which check nothing, so this file looks
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
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "depend.h"
#include "lock.h"
#include "plain.h"
#include "slice.h"
#include "spi.h"

static void *read_candidate(uint64 row);
static bool reads(Oid relid, Oid what);
static char *name_of(Oid relid);
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
 * List derived relations; see plain.h.
 */
List *
wh_plain_derived(const char *input, const char *tenant)
{
	List	   *relids = NIL;
	ListCell   *lc;
	ListCell   *ls;

	foreach(lc, input == NULL ? wh_templates_all() : wh_depend_readers(input))
	{
		const WhTemplate *tmpl = (const WhTemplate *) lfirst(lc);

		if (!wh_template_is_local(tmpl))
			continue;
		foreach(ls, wh_slices(tmpl->name, tenant))
		{
			Oid			relid = wh_slice_relid((const WhSlice *) lfirst(ls));

			if (OidIsValid(relid) && get_rel_relkind(relid) == RELKIND_MATVIEW)
				relids = lappend_oid(relids, relid);
		}
	}

	return relids;
}

/*
 * Make tables of several; see plain.h.
 */
void
wh_plain_tables(const List *relids)
{
	List	   *busy;
	ListCell   *lc;

	if (relids == NIL)
		return;

	busy = wh_lock_at_once(list_copy(relids));
	if (busy != NIL)
		wh_lock_missed(linitial_oid(busy),
					   psprintf("materialized view %s", name_of(linitial_oid(busy))));
	foreach(lc, relids)
	{
		Relation	rel = relation_open(lfirst_oid(lc), NoLock);
		bool		populated = rel->rd_rel->relispopulated;

		relation_close(rel, NoLock);
		if (populated)
			wh_plain_table(lfirst_oid(lc));
		else
			wh_ddl(psprintf("DROP MATERIALIZED VIEW %s", name_of(lfirst_oid(lc))));
	}
}

List *
wh_plain_reading(const List *relids, Oid relid)
{
	List	   *reading = NIL;
	ListCell   *lc;

	foreach(lc, relids)
	{
		if (reads(lfirst_oid(lc), relid))
			reading = lappend_oid(reading, lfirst_oid(lc));
	}

	return reading;
}

/*
 * Does the query of a view name that relation?
 */
static bool
reads(Oid relid, Oid what)
{
	WhArg		args[] = {{OIDOID, ObjectIdGetDatum(relid), false},
	{OIDOID, ObjectIdGetDatum(what), false}};
	bool		found;

	SPI_connect();
	found = wh_spi(SPI_OK_SELECT,
				   "SELECT FROM pg_catalog.pg_depend AS d"
				   " JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid"
				   " WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass"
				   " AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
				   " AND r.ev_class = $1 AND d.refobjid = $2 LIMIT 1",
				   args, lengthof(args)) > 0;
	SPI_finish();

	return found;
}

static char *
name_of(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
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
