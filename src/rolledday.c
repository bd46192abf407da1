/*
 * rolledday.c
 *		Refresh one day that a month's or a year's table holds.
 *
 * The delta method, held to the day's range of the time column: readers go on,
 * and only rows that differ are written.  What the table holds afterwards is
 * known without reading it: the day's rows are counted and hashed before and
 * after, and the ledger's numbers change by the difference.
 *
 * Where rows cannot be changed in place, because the access method is not heap
 * or the template has other columns by now, the table is made anew with that
 * day's rows from the source, and takes the old one's place, with what people
 * had put on that.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "portability/instr_time.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "archive.h"
#include "combine.h"
#include "gate.h"
#include "kept.h"
#include "lock.h"
#include "names.h"
#include "published.h"
#include "rolledday.h"
#include "spi.h"
#include "unionview.h"

/* The one day that a call is about. */
typedef struct Work
{
	const WhTemplate *tmpl;
	const WhTenant *tenant;
	const WhPeriod *day;
	const WhSlice *table;
	const WhLoadRules *rules;
	Oid			relid;
	WhRange		range;			/* of the day, in the table */
	WhLoaded   *loaded;
	WhSlice		after;			/* the ledger's row as it will be */
} Work;

static void prove(const Work *work);
static void lock_table(Work *work);
static void check_ours(const Work *work);
static void check_method(const Work *work);
static void find_range(Work *work);
static bool fits_in_place(const Work *work);
static void change(Work *work);
static void rewrite(Work *work);
static void swap(Work *work, const char *fresh);
static void rename_ours(const Work *work, List *from, List *to);
static List *our_names(const Work *work, const char *table);
static char *what(const Work *work);
static char *unit_of(const Work *work);

/*
 * Refresh one day of a table; see rolledday.h.
 */
void
wh_rolledday_load(const WhTemplate *tmpl, const WhTenant *tenant,
				  const WhPeriod *day, const WhSlice *table,
				  const WhLoadRules *rules, int64 run_id,
				  WhMatviewResult *result)
{
	Work		work = {.tmpl = tmpl,.tenant = tenant,.day = day,.table = table};
	WhLoaded   *loaded = &result->loaded;
	int			nestlevel = wh_lock_bound();
	instr_time	begun;
	instr_time	elapsed;

	work.rules = rules;
	work.loaded = loaded;
	work.after = *table;
	INSTR_TIME_SET_CURRENT(begun);

	lock_table(&work);
	check_method(&work);
	find_range(&work);
	if (fits_in_place(&work))
		change(&work);
	else
	{
		rewrite(&work);
		result->replaced = true;
	}

	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, begun);
	if (rules->prove)
		prove(&work);
	result->load_ms = Max(INSTR_TIME_GET_MILLISEC(elapsed) -
						  loaded->fetched.fetch_ms - loaded->lock_ms, 0);
	result->schema = table->relation_schema;
	result->name = table->relation_name;
	result->size_bytes = wh_relation_bytes(wh_slice_relid(table));

	work.after.size_bytes = result->size_bytes;
	work.after.as_of = Max(table->as_of, loaded->fetched.as_of);
	work.after.last_refresh = GetCurrentTimestamp();
	work.after.method = unconstify(char *, wh_method_name(loaded->method));
	work.after.run_id = run_id;
	if (loaded->fetched.as_of >= wh_period_span(day, tenant->time_zone).end)
		work.after.missing = list_delete_int(list_copy(table->missing), day->start);
	wh_slice_put(&work.after);
	wh_lock_unbound(nestlevel);
}

/*
 * Foretell a refresh; see rolledday.h.
 */
void
wh_rolledday_plan(const WhTemplate *tmpl, const WhTenant *tenant,
				  const WhPeriod *day, const WhSlice *table,
				  const WhLoadRules *rules, WhMatviewPlan *plan)
{
	Work		work = {.tmpl = tmpl,.tenant = tenant,.day = day,.table = table};
	WhSpan		span = wh_period_span(day, tenant->time_zone);

	memset(plan, 0, sizeof(WhMatviewPlan));
	work.relid = wh_slice_relid(table);
	plan->relation = quote_qualified_identifier(table->relation_schema,
												table->relation_name);
	plan->locks = "none";
	if (rules->method != WH_CHOOSE && rules->method != WH_DELTA)
		plan->reason = "fails: a rolled-up day is changed inside its table";
	else if (!wh_range_of(tmpl->columns, tmpl->time_column, day, &span, &work.range))
		plan->reason = "fails: the template has no time_column";
	else if (fits_in_place(&work))
	{
		plan->method = WH_DELTA;
		plan->locks = "RowExclusiveLock";
		plan->reason = "rolled up, so inside its table";
	}
	else
	{
		plan->method = WH_REFILL;
		plan->locks = "RowExclusiveLock; AccessExclusiveLock by try as the last act";
		plan->reason = "rolled up: a new table with that day takes the old one's place";
	}
}

/*
 * See that the table has of that day what the source had.
 */
static void
prove(const Work *work)
{
	WhSpan		day = wh_period_span(work->day, work->tenant->time_zone);
	Relation	rel = relation_open(wh_slice_relid(work->table), AccessShareLock);
	WhRange		range;

	(void) wh_range_of(RelationGetDescr(rel), work->tmpl->time_column, work->day,
					   &day, &range);
	wh_load_prove(rel, &range, work->tmpl, work->tenant, work->day,
				  &work->loaded->fetched);
	relation_close(rel, AccessShareLock);
}

/*
 * Lock the table as a writer does, and see to it that it is still the same.
 */
static void
lock_table(Work *work)
{
	Oid			locked = InvalidOid;

	while ((work->relid = wh_slice_relid(work->table)) != locked)
	{
		if (OidIsValid(locked))
			UnlockRelationOid(locked, RowExclusiveLock);
		locked = work->relid;
		if (OidIsValid(locked))
			(void) wh_lock_relation_in(locked, RowExclusiveLock, what(work));
	}
	check_ours(work);
}

/*
 * Throw 42710 unless the table is a roll-up of ours: what we do to it checks
 * no rights and asks nobody.
 */
static void
check_ours(const Work *work)
{
	Relation	rel = relation_open(work->relid, NoLock);
	bool		fit = rel->rd_rel->relkind == RELKIND_RELATION &&
	rel->rd_rel->relpersistence == RELPERSISTENCE_PERMANENT &&
	rel->rd_rel->relowner == GetUserId() && rel->trigdesc == NULL;

	relation_close(rel, NoLock);
	if (fit)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("%s is not a roll-up of this warehouse any more", what(work)),
			 errdetail("%s Its kind, owner or triggers were changed by hand.", unit_of(work)),
			 errhint("Undo that: ALTER TABLE %s OWNER TO %s; and drop its triggers.",
					 quote_qualified_identifier(work->table->relation_schema,
												work->table->relation_name),
					 quote_identifier(GetUserNameFromId(GetUserId(), false)))));
}

static void
check_method(const Work *work)
{
	WhMethod	method = work->rules->method;

	if (method == WH_CHOOSE || method == WH_DELTA)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("method \"%s\" cannot serve a day of %s",
					wh_method_name(method), what(work)),
			 errdetail("%s A rolled-up day is changed inside its table.", unit_of(work)),
			 errhint("Leave method out: it is chosen per unit.")));
}

/*
 * Find where the day's rows are.  The table's own range was set in the zone
 * that the tenant had then.
 */
static void
find_range(Work *work)
{
	const WhTemplate *tmpl = work->tmpl;
	Relation	rel = relation_open(work->relid, NoLock);
	WhSpan		day = wh_period_span(work->day, work->tenant->time_zone);
	WhSpan		bounds;
	bool		ranged = wh_range_of(RelationGetDescr(rel), tmpl->time_column,
									 work->day, &day, &work->range);

	relation_close(rel, NoLock);
	bounds = wh_slice_span(work->table, tmpl, work->tenant->time_zone);
	if (ranged && (day.start < bounds.start || day.end > bounds.end))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("day %s reaches beyond %s", wh_date_text(work->day->start),
						what(work)),
				 errdetail("%s The time zone of the tenant is %s now, and was another when the table was made.",
						   unit_of(work), work->tenant->time_zone),
				 errhint("Drop the table and load its days again, or give the tenant the zone that it had: SELECT _wh.alter_tenant(%s, time_zone => '...');",
						 quote_literal_cstr(work->tenant->name))));
	if (!ranged)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot tell the rows of day %s in %s",
						wh_date_text(work->day->start), what(work)),
				 errdetail("%s The template has no time_column.", unit_of(work)),
				 errhint("SELECT _wh.alter_template(%s, time_column => '...');",
						 quote_literal_cstr(tmpl->name))));
}

/*
 * Can rows be deleted and inserted, as the template has them now?  The table's
 * CHECK, which nobody asks for each row, speaks of one time column.
 */
static bool
fits_in_place(const Work *work)
{
	const char *bounds_of = work->table->bounds_of;
	Relation	rel = relation_open(work->relid, AccessShareLock);
	bool		fits = rel->rd_rel->relam == HEAP_TABLE_AM_OID &&
	wh_columns_same(RelationGetDescr(rel), work->tmpl->columns);

	relation_close(rel, AccessShareLock);

	return fits &&
		(bounds_of == NULL ||
		 strcmp(bounds_of, wh_slice_bounds_of(work->tmpl->time_column,
											  work->range.typid)) == 0);
}

/*
 * Write what differs.
 */
static void
change(Work *work)
{
	const WhSlice *table = work->table;
	WhLoadRules rules = *work->rules;
	Relation	rel = relation_open(work->relid, NoLock);
	WhContent	before;
	WhContent	after;
	uint64		hash;

	rules.range = &work->range;
	before = wh_content_of(rel, &work->range);
	wh_load_again(rel, work->tmpl, work->tenant, work->day, &rules, before.rows,
				  work->loaded);
	after = wh_content_of(rel, &work->range);
	relation_close(rel, NoLock);

	work->after.row_count = table->row_count - before.rows + after.rows;
	if (table->content_hash != NULL && wh_content_parse(table->content_hash, &hash))
		work->after.content_hash = wh_content_text(hash - before.hash + after.hash);
	else
		work->after.content_hash = NULL;
}

/*
 * Make the table anew, with the day from the source.
 */
static void
rewrite(Work *work)
{
	const WhSlice *table = work->table;
	const WhPublished *view = wh_published_find(work->tmpl->name, work->tenant->name);
	char	   *fresh = wh_bounded_name(psprintf("%s.new", table->relation_name));
	WhSpan		span = wh_slice_span(table, work->tmpl, work->tenant->time_zone);
	WhSpan		day = wh_period_span(work->day, work->tenant->time_zone);
	WhCombined	combined = {
		work->tmpl, work->tenant, table->period, span, table->relation_schema, fresh
	};
	WhRowSink	sink = {.row = wh_combine_row};
	WhCombine  *combine;
	WhContent	content;
	WhRange		range;
	int			level;

	(void) wh_range_of(work->tmpl->columns, work->tmpl->time_column, work->day,
					   &day, &range);
	wh_kept_check_dependents(work->relid,
							 view ? wh_published_relid(view) : InvalidOid, what(work));
	combine = wh_combine_begin(&combined);
	wh_combine_part(combine, &table->period, &span);
	wh_combine_relation(combine, work->relid, &range);
	wh_combine_part(combine, work->day, &day);
	sink.arg = combine;
	level = wh_load_rows_begin(work->rules);
	wh_load_rows(work->tmpl, work->tenant, work->day, work->rules, &sink,
				 &work->loaded->fetched);
	wh_archive_keep(work->rules->archive, &work->loaded->fetched);
	wh_load_rows_end(level);
	content = wh_combine_end(combine);

	work->loaded->method = WH_REFILL;
	work->loaded->reason = "the table cannot be changed in place";
	work->loaded->counts.inserted = work->loaded->fetched.rows;
	work->loaded->counts.deleted = table->row_count - content.rows +
		work->loaded->fetched.rows;
	wh_load_check_shrink(work->tmpl, work->tenant, work->day, work->rules,
						 work->loaded->counts.deleted, &work->loaded->fetched);
	work->after.row_count = content.rows;
	work->after.content_hash = wh_content_text(content.hash);
	work->after.template_version = work->tmpl->version;
	wh_slice_bind(&work->after, work->tmpl, work->tenant->time_zone);
	work->after.bounds = span;
	swap(work, fresh);
}

/*
 * Put the new table in the place of the old one, whose lock is waited for only
 * now.
 */
static void
swap(Work *work, const char *fresh)
{
	const WhSlice *table = work->table;
	const char *schema = table->relation_schema;
	char	   *aside = wh_bounded_name(psprintf("%s.old", table->relation_name));
	List	   *ours = our_names(work, table->relation_name);
	List	   *constraints;
	WhKept	   *kept;
	ListCell   *lc;

	work->loaded->lock_ms = wh_lock_relation(work->relid, what(work));
	kept = wh_kept(work->relid, work->tmpl->columns);
	constraints = wh_kept_constraints(work->relid, work->tmpl->columns, ours);
	wh_ddl(psprintf("ALTER TABLE %s RENAME TO %s",
					quote_qualified_identifier(schema, table->relation_name),
					quote_identifier(aside)));
	wh_ddl(psprintf("ALTER TABLE %s RENAME TO %s",
					quote_qualified_identifier(schema, fresh),
					quote_identifier(table->relation_name)));
	(void) wh_unionview_tenant(work->tmpl, work->tenant);
	wh_ddl(psprintf("DROP TABLE %s RESTRICT",
					quote_qualified_identifier(schema, aside)));
	rename_ours(work, our_names(work, fresh), ours);
	wh_kept_restore(kept, wh_slice_relid(table));
	foreach(lc, constraints)
		wh_ddl((const char *) lfirst(lc));
}

/*
 * Give indexes and the CHECK the names that go with the table's.
 */
static void
rename_ours(const Work *work, List *from, List *to)
{
	const WhSlice *table = work->table;
	Oid			nspid = get_namespace_oid(table->relation_schema, false);
	Oid			relid = wh_slice_relid(table);
	ListCell   *lf;
	ListCell   *lt;

	forboth(lf, from, lt, to)
	{
		const char *old = (const char *) lfirst(lf);
		const char *new = (const char *) lfirst(lt);

		if (strcmp(old, new) == 0)
			continue;
		if (OidIsValid(get_relation_constraint_oid(relid, old, true)))
			wh_ddl(psprintf("ALTER TABLE %s RENAME CONSTRAINT %s TO %s",
							quote_qualified_identifier(table->relation_schema,
													   table->relation_name),
							quote_identifier(old), quote_identifier(new)));
		else if (OidIsValid(get_relname_relid(old, nspid)))
			wh_ddl(psprintf("ALTER INDEX %s RENAME TO %s",
							quote_qualified_identifier(table->relation_schema, old),
							quote_identifier(new)));
	}
}

/*
 * Name what a table of that name has from us, always in the same order: its
 * CHECK, the index on its range and the template's.
 */
static List *
our_names(const Work *work, const char *table)
{
	const WhTemplate *tmpl = work->tmpl;
	List	   *names = list_make2(wh_combine_range_check(table),
								   wh_combine_range_index(table));
	ListCell   *lc;

	foreach(lc, wh_gate_index_stmts(tmpl->indexes, tmpl->columns,
									work->table->relation_schema, table))
	{
		const char *name = ((const IndexStmt *) lfirst(lc))->idxname;

		names = lappend(names, pstrdup(name != NULL ? name : ""));
	}

	return names;
}

static char *
what(const Work *work)
{
	return psprintf("table \"%s.%s\"", work->table->relation_schema,
					work->table->relation_name);
}

static char *
unit_of(const Work *work)
{
	return psprintf("Tenant \"%s\", template \"%s\", day %s.", work->tenant->name,
					work->tmpl->name, wh_date_text(work->day->start));
}
