/*
 * detach.c
 *		_wh.detach_all(): everything that people read stands without us, so
 *		that DROP EXTENSION finds nothing in its way and no row is lost.
 *
 * Slices become tables where they are (plain), views stand on these instead of
 * our foreign tables (unionview), and ledger and list of views forget them.
 * Tenants, templates and the log stay until the extension goes.  It is one
 * transaction, and can be run again for what came in between; a dry run is the
 * same in a subtransaction that is undone, so that it refuses what would be
 * refused.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#include "audit.h"
#include "budget.h"
#include "lock.h"
#include "matview.h"
#include "plain.h"
#include "published.h"
#include "retired.h"
#include "schedule.h"
#include "settings.h"
#include "slice.h"
#include "spi.h"
#include "tenant.h"
#include "unionview.h"
#include "viewmake.h"
#include "viewtable.h"

typedef struct Leaving
{
	List	   *lines;			/* of char *: what was done */
	List	   *templates;		/* of WhTemplate * */
	List	   *slices;			/* of WhSlice * */
	List	   *fetching;		/* of WhFetching * */
	List	   *retired;		/* of WhRetired * */
	List	   *views;			/* of WhPublished * */
	int64		tables;
	int64		dropped;
} Leaving;

PG_FUNCTION_INFO_V1(wh_detach_all);

static void detach(void *arg);
static void lock_pairs(Leaving *leaving);
static void lock_pair(const char *template_name, const char *tenant);
static void find(Leaving *leaving);
static void lock_relations(const Leaving *leaving);
static void detach_views(Leaving *leaving);
static void drop_retired(Leaving *leaving);
static void detach_slices(Leaving *leaving);
static const WhSlice *next_slice(const List *slices, int *n,
								 const WhFetching *fetching);
static int	compare_names(const ListCell *a, const ListCell *b);
static void list_rolled_up(Leaving *leaving);
static bool was_fetching(const Leaving *leaving, Oid relid);
static void drop_union_schema(Leaving *leaving);
static void list_others(Leaving *leaving);
static void say(Leaving *leaving, const char *format,...) pg_attribute_printf(2, 3);

/*
 * _wh.detach_all(dry_run) returns setof text
 */
Datum
wh_detach_all(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		dry_run = PG_GETARG_BOOL(0);
	Leaving		leaving = {0};
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	PreventCommandIfReadOnly("_wh.detach_all()");

	wh_subtransaction(detach, &leaving, !dry_run);

	foreach(lc, leaving.lines)
	{
		Datum		value = CStringGetTextDatum((const char *) lfirst(lc));
		bool		isnull = false;

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &isnull);
	}

	return (Datum) 0;
}

/*
 * Do all of it, in the order of locks; views before the relations that they
 * no longer show are dropped.
 */
static void
detach(void *arg)
{
	Leaving    *leaving = (Leaving *) arg;
	WhRole		caller;
	int			nestlevel;

	wh_become_owner(&caller);
	nestlevel = wh_lock_bound();

	lock_pairs(leaving);
	find(leaving);
	lock_relations(leaving);
	find(leaving);

	detach_views(leaving);
	drop_retired(leaving);
	detach_slices(leaving);
	list_rolled_up(leaving);
	drop_union_schema(leaving);
	wh_schedule_remove(NULL, NULL);
	list_others(leaving);

	wh_lock_unbound(nestlevel);
	wh_role_leave(&caller);

	wh_audit("detach", NULL,
			 psprintf("{\"tables\": " INT64_FORMAT ", \"dropped\": " INT64_FORMAT "}",
					  leaving->tables, leaving->dropped));
}

/*
 * Keep refreshes and roll-ups away until we commit: of pairs that have slices,
 * and of those that may get some.
 */
static void
lock_pairs(Leaving *leaving)
{
	List	   *tenants = wh_tenants_enabled();
	ListCell   *lc;
	ListCell   *lt;

	leaving->templates = wh_templates_all();
	foreach(lc, wh_slices(NULL, NULL))
	{
		const WhSlice *slice = (const WhSlice *) lfirst(lc);

		lock_pair(slice->template_name, slice->tenant_name);
	}
	foreach(lc, leaving->templates)
	{
		const WhTemplate *tmpl = (const WhTemplate *) lfirst(lc);

		foreach(lt, tenants)
		{
			const WhTenant *tenant = (const WhTenant *) lfirst(lt);

			if (wh_template_applies(tmpl, tenant))
				lock_pair(tmpl->name, tenant->name);
		}
		wh_published_lock(tmpl->name);
	}
}

static void
lock_pair(const char *template_name, const char *tenant)
{
	if (!wh_slice_try_lock(template_name, tenant))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("the warehouse is being refreshed"),
				 errdetail("Template \"%s\", tenant \"%s\".", template_name, tenant),
				 errhint("Call again when that run is over: SELECT * FROM _wh.extract_runs WHERE status = 'extracting';")));
}

/*
 * Find what there is, now that no run of ours adds to it; people may have
 * changed it until it is locked.
 */
static void
find(Leaving *leaving)
{
	leaving->slices = wh_slices(NULL, NULL);
	leaving->fetching = wh_plain_candidates();
	leaving->retired = wh_retired(NULL, NULL);
	leaving->views = wh_published(NULL, NULL);
}

/*
 * Lock all that changes at one moment, or nothing: a slice held while a view
 * is waited for would keep its readers as long.
 */
static void
lock_relations(const Leaving *leaving)
{
	List	   *relids = NIL;
	List	   *busy;
	ListCell   *lc;

	foreach(lc, leaving->fetching)
		relids = lappend_oid(relids, ((const WhFetching *) lfirst(lc))->relid);
	foreach(lc, leaving->views)
	{
		Oid			relid = wh_published_relid((const WhPublished *) lfirst(lc));

		if (OidIsValid(relid))
			relids = lappend_oid(relids, relid);
	}
	foreach(lc, leaving->templates)
	{
		Oid			relid = wh_viewtable_relid((const WhTemplate *) lfirst(lc));

		if (OidIsValid(relid))
			relids = lappend_oid(relids, relid);
	}

	if (!wh_locks_fit(list_length(relids)))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%d relations do not fit into one transaction",
						list_length(relids)),
				 errdetail("Each takes a lock, and the lock table has room for " INT64_FORMAT " more.",
						   wh_lock_capacity()),
				 errhint("Roll closed days up first, or set max_locks_per_transaction = " INT64_FORMAT " and restart the server.",
						 wh_locks_setting(list_length(relids)))));

	busy = wh_lock_at_once(relids);
	if (busy != NIL)
	{
		Oid			relid = linitial_oid(busy);

		wh_lock_missed(relid,
					   psprintf("relation \"%s.%s\"",
								get_namespace_name(get_rel_namespace(relid)),
								get_rel_name(relid)));
	}
}

/*
 * Let views stand on slices, and forget that they are ours.
 */
static void
detach_views(Leaving *leaving)
{
	ListCell   *lc;

	foreach(lc, leaving->templates)
	{
		const WhTemplate *tmpl = (const WhTemplate *) lfirst(lc);
		bool		expanded = OidIsValid(wh_viewtable_relid(tmpl));

		if (wh_published(tmpl->name, NULL) != NIL)
			wh_unionview_plain(tmpl);
		if (expanded)
		{
			leaving->dropped++;
			say(leaving, "dropped foreign table %s",
				quote_qualified_identifier(WH_UNION_SCHEMA, tmpl->name));
		}
	}
	foreach(lc, wh_published(NULL, NULL))
	{
		const WhPublished *view = (const WhPublished *) lfirst(lc);

		if (OidIsValid(wh_published_relid(view)))
			say(leaving, "view %s: stands on tables",
				quote_qualified_identifier(view->view_schema, view->view_name));
	}
	wh_published_forget(NULL, NULL);
}

/*
 * Drop what roll-ups have left behind: it is shown nowhere, and asks _wh.fetch.
 */
static void
drop_retired(Leaving *leaving)
{
	ListCell   *lc;

	foreach(lc, leaving->retired)
	{
		const WhRetired *retired = (const WhRetired *) lfirst(lc);
		Oid			relid = wh_retired_relid(retired);

		if (!OidIsValid(relid))
			continue;
		wh_relation_drop(relid);
		leaving->dropped++;
		say(leaving, "dropped %s: its rows are in a month or year table",
			quote_qualified_identifier(retired->relation_schema,
									   retired->relation_name));
	}
	wh_retired_forget(leaving->retired);
}

/*
 * Make tables of what is populated; drop the rest, which nobody could read.
 */
static void
detach_slices(Leaving *leaving)
{
	int			n = 0;
	ListCell   *lc;

	list_sort(leaving->slices, compare_names);
	foreach(lc, leaving->fetching)
	{
		const WhFetching *fetching = (const WhFetching *) lfirst(lc);
		const char *name = quote_qualified_identifier(fetching->schema, fetching->name);
		const WhSlice *slice;

		CHECK_FOR_INTERRUPTS();
		if (get_rel_relkind(fetching->relid) != RELKIND_MATVIEW)
			continue;			/* it was a retired one */
		if (!fetching->populated)
		{
			wh_relation_drop(fetching->relid);
			leaving->dropped++;
			say(leaving, "dropped %s: it was not populated", name);
			continue;
		}

		wh_plain_table(fetching->relid);
		leaving->tables++;
		slice = next_slice(leaving->slices, &n, fetching);
		if (slice != NULL)
			say(leaving, "table %s: " INT64_FORMAT " rows, was a materialized view",
				name, slice->row_count);
		else
			say(leaving, "table %s: was a materialized view that the ledger does not know",
				name);
	}
	(void) wh_slices_forget(NULL, NULL);
}

/*
 * Find a relation in the ledger; both lists are in order of name.
 */
static const WhSlice *
next_slice(const List *slices, int *n, const WhFetching *fetching)
{
	for (; *n < list_length(slices); (*n)++)
	{
		const WhSlice *slice = (const WhSlice *) list_nth(slices, *n);
		int			cmp = strcmp(slice->relation_schema, fetching->schema);

		if (cmp == 0)
			cmp = strcmp(slice->relation_name, fetching->name);
		if (cmp >= 0)
			return cmp == 0 ? slice : NULL;
	}

	return NULL;
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	const WhSlice *one = (const WhSlice *) lfirst(a);
	const WhSlice *other = (const WhSlice *) lfirst(b);
	int			cmp = strcmp(one->relation_schema, other->relation_schema);

	return cmp != 0 ? cmp : strcmp(one->relation_name, other->relation_name);
}

/*
 * Say what needed nothing: month and year tables, views of live templates, and
 * derived relations, whose query is their own.
 */
static void
list_rolled_up(Leaving *leaving)
{
	ListCell   *lc;

	foreach(lc, leaving->slices)
	{
		const WhSlice *slice = (const WhSlice *) lfirst(lc);
		Oid			relid = wh_slice_relid(slice);

		if (OidIsValid(relid) && get_rel_relkind(relid) == RELKIND_MATVIEW)
		{
			say(leaving, "materialized view %s: " INT64_FORMAT " rows, keeps its query",
				quote_qualified_identifier(slice->relation_schema, slice->relation_name),
				slice->row_count);
			continue;
		}
		if (slice->period.kind == WH_DAY || !OidIsValid(relid) ||
			(slice->period.kind == WH_WHOLE && was_fetching(leaving, relid)))
			continue;
		if (get_rel_relkind(relid) == RELKIND_VIEW)
		{
			say(leaving, "view %s: reads the source over postgres_fdw, and goes on",
				quote_qualified_identifier(slice->relation_schema, slice->relation_name));
			continue;
		}
		leaving->tables++;
		say(leaving, "table %s: " INT64_FORMAT " rows, was one",
			quote_qualified_identifier(slice->relation_schema, slice->relation_name),
			slice->row_count);
	}
}

/*
 * Was this relation a materialized view, as a snapshot is and an incremental
 * table is not?
 */
static bool
was_fetching(const Leaving *leaving, Oid relid)
{
	ListCell   *lc;

	foreach(lc, leaving->fetching)
	{
		if (((const WhFetching *) lfirst(lc))->relid == relid)
			return true;
	}

	return false;
}

/*
 * Drop the schema of our foreign tables unless people have something in it.
 */
static void
drop_union_schema(Leaving *leaving)
{
	WhArg		arg = wh_name(WH_UNION_SCHEMA);
	uint64		empty;

	SPI_connect();
	empty = wh_spi(SPI_OK_SELECT,
				   "SELECT FROM pg_catalog.pg_namespace AS n"
				   " WHERE n.nspname = $1"
				   " AND pg_catalog.pg_get_userbyid(n.nspowner) = CURRENT_USER"
				   " AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d"
				   " WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass"
				   " AND d.refobjid = n.oid)",
				   &arg, 1);
	SPI_finish();
	if (empty == 0)
		return;

	wh_ddl("DROP SCHEMA " WH_UNION_SCHEMA " RESTRICT");
	leaving->dropped++;
	say(leaving, "dropped schema %s", WH_UNION_SCHEMA);
}

/*
 * Say what stands on the extension still: other people's views, functions and
 * foreign tables, which are theirs to change.
 */
static void
list_others(Leaving *leaving)
{
	MemoryContext caller = CurrentMemoryContext;
	uint64		rows;

	SPI_connect();
	rows = wh_spi(SPI_OK_SELECT,
				  "WITH members AS ("
				  " SELECT m.classid, m.objid FROM pg_catalog.pg_depend AS m"
				  " JOIN pg_catalog.pg_extension AS e ON e.oid = m.refobjid"
				  " WHERE m.deptype = 'e' AND e.extname = 'pg_warehouse'"
				  " AND m.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass),"
				  " others AS ("
				  " SELECT CASE WHEN r.oid IS NULL THEN d.classid"
				  " ELSE 'pg_catalog.pg_class'::pg_catalog.regclass END AS classid,"
				  " coalesce(r.ev_class, d.objid) AS objid, d.refclassid, d.refobjid"
				  " FROM pg_catalog.pg_depend AS d"
				  " JOIN members AS m ON m.classid = d.refclassid AND m.objid = d.refobjid"
				  " LEFT JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid"
				  " AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass"
				  " LEFT JOIN pg_catalog.pg_class AS c ON c.oid = d.objid"
				  " AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"
				  " WHERE d.deptype = 'n' AND (r.oid IS NOT NULL OR c.relkind <> 'i'"
				  " OR d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass))"
				  " SELECT pg_catalog.pg_describe_object(o.classid, o.objid, 0)"
				  " || ' stands on ' || pg_catalog.string_agg(DISTINCT"
				  " pg_catalog.pg_describe_object(o.refclassid, o.refobjid, 0), ', ')"
				  " FROM others AS o"
				  " WHERE NOT EXISTS (SELECT FROM members AS m"
				  " WHERE m.classid = o.classid AND m.objid = o.objid)"
				  " GROUP BY o.classid, o.objid ORDER BY 1",
				  NULL, 0);

	/* Copy out while the SPI result is still there. */
	MemoryContextSwitchTo(caller);
	for (uint64 row = 0; row < rows; row++)
		say(leaving, "left: %s", wh_col_text(row, 1));
	SPI_finish();
}

/*
 * Add a line to the report.
 */
static void
say(Leaving *leaving, const char *format,...)
{
	StringInfoData line;

	initStringInfo(&line);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&line, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&line, needed);
	}
	leaving->lines = lappend(leaving->lines, line.data);
}
