/*
 * rollup.c
 *		Days into a month's or a year's table, months into a year's: what there
 *		is to combine, and the one transaction that puts it in their place.
 *
 * There are two steps, and the ledger knows of each.  The first makes the
 * table, proves it, and, as its last act, changes ledger and tenant's view: it
 * is one transaction, so whatever ends it before its commit leaves everything
 * as it was.  From then on the sources are retired relations that nobody is
 * shown any more; the second step drops them, a few at a time, and can be
 * ended and begun again at any point.  No source is dropped whose rows are not
 * proved, and none is forgotten.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "budget.h"
#include "combine.h"
#include "kept.h"
#include "lock.h"
#include "matview.h"
#include "names.h"
#include "published.h"
#include "retired.h"
#include "rollup.h"
#include "run.h"
#include "spi.h"
#include "unionview.h"

/* Locks of the new table: itself, toast table and index, type, time index. */
#define LOCKS_PER_TABLE 5

/* Relations dropped in one transaction: at most so many, and no more than this
 * part of the server's locks. */
#define MOST_DROPS 64
#define LOCKS_PART 32

/* How many missing days an error names. */
#define DAYS_SHOWN 10

/* Relations to drop, and those that were. */
typedef struct Drop
{
	List	   *batch;			/* of WhRetired * */
	bool		wait;			/* for whoever reads them */
	MemoryContext context;		/* of "gone" */
	List	   *gone;
} Drop;

static void check_template(const WhTemplate *tmpl);
static void check_ended(const WhRollup *rollup);
static void check_name_free(const WhRollup *rollup);
static bool is_source(const WhSlice *slice);
static void count_days(WhRollup *rollup);
static DateADT first_day(const WhRollup *rollup);
static bool is_missing(const WhRollup *rollup, const WhSlice *slice, DateADT day);
static char *days_text(List *days);
static char *unit_text(const WhRollup *rollup);
static void check_budget(const WhRollup *rollup);
static void lock_sources(const WhRollup *rollup);
static void check_source(const WhRollup *rollup, const WhSlice *slice);
static bool has_columns(Oid relid, TupleDesc columns);
static void check_dependents(const WhRollup *rollup);
static Oid	tenant_view(const WhRollup *rollup);
static WhSpan span_of(const WhRollup *rollup);
static void publish(WhRollup *rollup, const WhCombined *what,
					const WhContent *content, int64 run_id);
static int	drops_per_step(void);
static List *drop_batch(List *batch, bool wait);
static void drop(WhRun *run, void *arg);

/*
 * Look the roll-up up; see rollup.h.
 */
WhRollup *
wh_rollup_find(const WhTemplate *tmpl, const WhTenant *tenant,
			   const WhPeriod *period)
{
	WhRollup   *rollup = (WhRollup *) palloc0(sizeof(WhRollup));
	const WhSlice *covering;
	ListCell   *lc;

	rollup->tmpl = tmpl;
	rollup->tenant = tenant;
	rollup->period = *period;
	rollup->schema = tenant->schema;
	rollup->name = wh_slice_name(tmpl->name, period);
	rollup->as_of = DT_NOBEGIN;
	check_template(tmpl);
	check_ended(rollup);

	covering = wh_slice_covering(tmpl->name, tenant->name, period->start);
	if (covering != NULL && OidIsValid(wh_slice_relid(covering)) &&
		covering->period.kind >= period->kind)
	{
		rollup->done = true;
		rollup->schema = covering->relation_schema;
		rollup->name = covering->relation_name;
		rollup->rows = covering->row_count;
		rollup->bytes = covering->size_bytes;
		rollup->sources = list_make1(unconstify(WhSlice *, covering));
		count_days(rollup);
		return rollup;
	}

	check_name_free(rollup);
	rollup->inside = wh_slices_within(tmpl->name, tenant->name, period);
	foreach(lc, rollup->inside)
	{
		WhSlice    *slice = (WhSlice *) lfirst(lc);

		if (!is_source(slice))
			continue;
		rollup->sources = lappend(rollup->sources, slice);
		rollup->rows += slice->row_count;
		rollup->bytes += slice->size_bytes;
		rollup->as_of = Max(rollup->as_of, slice->as_of);
	}
	count_days(rollup);
	rollup->locks = list_length(rollup->sources) + LOCKS_PER_TABLE +
		wh_template_index_count(tmpl);

	return rollup;
}

/*
 * Refuse what cannot be made; see rollup.h.
 */
void
wh_rollup_check(const WhRollup *rollup, bool allow_gaps)
{
	const char *template_name = quote_literal_cstr(rollup->tmpl->name);
	const char *tenant = quote_literal_cstr(rollup->tenant->name);

	if (rollup->sources == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no day of %s is loaded", wh_period_text(&rollup->period)),
				 errdetail("%s", unit_text(rollup)),
				 errhint("SELECT * FROM _wh.wh_refresh(%s, %s, '%s', '%s');",
						 template_name, tenant, wh_date_text(rollup->period.start),
						 wh_date_text(rollup->period.end - 1))));
	if (rollup->missing != NIL && !allow_gaps)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%d of %d days of %s are missing", list_length(rollup->missing),
						rollup->days_expected, wh_period_text(&rollup->period)),
				 errdetail("%s Not loaded, or not since they closed: %s.",
						   unit_text(rollup), days_text(rollup->missing)),
				 errhint("SELECT * FROM _wh.wh_refresh(%s, %s, '%s', '%s'); or allow_gaps => true.",
						 template_name, tenant,
						 wh_date_text(linitial_int(rollup->missing)),
						 wh_date_text(llast_int(rollup->missing)))));
}

/*
 * Make the table and put it in the place of its sources; see rollup.h.
 */
void
wh_rollup_make(WhRollup *rollup, int64 run_id)
{
	int			nestlevel = wh_lock_bound();
	WhSpan		span = span_of(rollup);
	WhCombined	what = {
		rollup->tmpl, rollup->tenant, rollup->period, span, rollup->schema, rollup->name
	};
	WhCombine  *combine;
	WhContent	content;
	ListCell   *lc;

	check_budget(rollup);
	lock_sources(rollup);
	check_dependents(rollup);

	combine = wh_combine_begin(&what);
	foreach(lc, rollup->sources)
	{
		const WhSlice *slice = (const WhSlice *) lfirst(lc);
		WhSpan		part = wh_slice_span(slice, rollup->tmpl, rollup->tenant->time_zone);

		wh_combine_part(combine, &slice->period, &part);
		wh_combine_relation(combine, wh_slice_relid(slice), NULL);
	}
	content = wh_combine_end(combine);

	publish(rollup, &what, &content, run_id);
	wh_lock_unbound(nestlevel);
}

bool
wh_rollup_refuses(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE ||
		sqlerrcode == ERRCODE_UNIQUE_VIOLATION ||
		sqlerrcode == ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST;
}

void
wh_tidy_begin(WhTidy *tidy, const char *template_name, const char *tenant,
			  bool may_wait)
{
	tidy->template_name = template_name;
	tidy->tenant = tenant;
	tidy->retired = wh_retired(template_name, tenant);
	tidy->next = 0;
	tidy->may_wait = may_wait;
}

/*
 * Drop a few relations; see rollup.h.  They are tried without waiting; at the
 * end those that were being read are waited for, one by one, until the first
 * of them is still read after lock_deadline.
 */
bool
wh_tidy_step(WhTidy *tidy)
{
	bool		again = tidy->next == list_length(tidy->retired);
	List	   *batch = NIL;
	List	   *gone;

	if (tidy->retired == NIL || (again && !tidy->may_wait) ||
		!wh_slice_try_lock(tidy->template_name, tidy->tenant))
		return false;

	if (again)
		batch = list_make1(linitial(tidy->retired));
	for (int i = tidy->next; !again && list_length(batch) < drops_per_step() &&
		 i < list_length(tidy->retired); i++)
		batch = lappend(batch, list_nth(tidy->retired, i));

	gone = drop_batch(batch, again);
	tidy->retired = list_difference_ptr(tidy->retired, gone);
	if (again && gone == NIL)
		tidy->may_wait = false;
	tidy->next = again ? list_length(tidy->retired) :
		tidy->next + list_length(batch) - list_length(gone);

	return tidy->retired != NIL;
}

static void
check_template(const WhTemplate *tmpl)
{
	if (strcmp(tmpl->materialization, "daily") == 0)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("template \"%s\" is kept as %s, not by day", tmpl->name,
					tmpl->materialization),
			 errhint("Only daily templates have days to roll up.")));
}

/*
 * A period that runs still gets rows.
 */
static void
check_ended(const WhRollup *rollup)
{
	DateADT		today = wh_date_at(GetCurrentTransactionStartTimestamp(),
								   rollup->tenant->time_zone);

	if (rollup->period.end <= today)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
			 errmsg("%s has not ended", wh_period_text(&rollup->period)),
			 errdetail("Tenant \"%s\", template \"%s\": there it is %s.",
					   rollup->tenant->name, rollup->tmpl->name, wh_date_text(today)),
			 errhint("Roll it up from %s on.", wh_date_text(rollup->period.end))));
}

static void
check_name_free(const WhRollup *rollup)
{
	Oid			nspid = get_namespace_oid(rollup->schema, true);

	if (!OidIsValid(nspid) || !OidIsValid(get_relname_relid(rollup->name, nspid)))
		return;

	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("relation \"%s.%s\" already exists and is not a roll-up of this warehouse",
					rollup->schema, rollup->name),
			 errdetail("%s", unit_text(rollup)),
			 errhint("Move it out of the way: ALTER TABLE %s RENAME TO %s;",
					 quote_qualified_identifier(rollup->schema, rollup->name),
					 quote_identifier(wh_bounded_name(psprintf("%s_old", rollup->name))))));
}

/*
 * Has the slice rows to take?  A relation that somebody dropped, or emptied
 * WITH NO DATA, has none: its day is missing.
 */
static bool
is_source(const WhSlice *slice)
{
	return (slice->period.kind == WH_DAY || slice->period.kind == WH_MONTH) &&
		strcmp(slice->state, "empty") != 0 && wh_slice_is_populated(slice);
}

/*
 * Count the days that should be there, and list those that are not.
 */
static void
count_days(WhRollup *rollup)
{
	ListCell   *lc = list_head(rollup->sources);

	rollup->first = first_day(rollup);
	for (DateADT day = rollup->first; day < rollup->period.end; day++)
	{
		while (lc != NULL && ((const WhSlice *) lfirst(lc))->period.end <= day)
			lc = lnext(rollup->sources, lc);

		rollup->days_expected++;
		if (lc == NULL || is_missing(rollup, (const WhSlice *) lfirst(lc), day))
			rollup->missing = lappend_int(rollup->missing, day);
	}
	rollup->days_found = rollup->days_expected - list_length(rollup->missing);
}

/*
 * Find the first day of the period that the pair should have: nothing before
 * its start is missing.
 */
static DateADT
first_day(const WhRollup *rollup)
{
	DateADT		first = rollup->period.end;

	if (rollup->tmpl->has_start_date)
		first = rollup->tmpl->start_date;
	else
	{
		const List *slices = wh_slices(rollup->tmpl->name, rollup->tenant->name);

		if (slices != NIL)
			first = wh_slice_first_day((const WhSlice *) linitial(slices));
	}
	if (rollup->sources != NIL)
		first = Min(first, wh_slice_first_day((const WhSlice *) linitial(rollup->sources)));

	return Min(Max(first, rollup->period.start), rollup->period.end);
}

/*
 * Is the day missing, where that slice is the first to end after it?  What was
 * loaded before the day closed is not the day.
 */
static bool
is_missing(const WhRollup *rollup, const WhSlice *slice, DateADT day)
{
	if (slice->period.start > day)
		return true;
	if (slice->period.kind != WH_DAY)
		return list_member_int(slice->missing, day);

	return slice->as_of < wh_period_span(&slice->period,
										 rollup->tenant->time_zone).end;
}

static char *
days_text(List *days)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, days)
	{
		if (foreach_current_index(lc) == DAYS_SHOWN)
		{
			appendStringInfo(&text, " and %d more", list_length(days) - DAYS_SHOWN);
			break;
		}
		appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "",
						 wh_date_text(lfirst_int(lc)));
	}

	return text.data;
}

static char *
unit_text(const WhRollup *rollup)
{
	return psprintf("Tenant \"%s\", template \"%s\".", rollup->tenant->name,
					rollup->tmpl->name);
}

/*
 * Refuse to fill the lock table: a year of days can be rolled up by way of its
 * months.
 */
static void
check_budget(const WhRollup *rollup)
{
	char	   *first;

	if (wh_locks_fit(rollup->locks))
		return;

	first = wh_date_text(rollup->first);
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("%d relations do not fit into one transaction",
					list_length(rollup->sources)),
			 errdetail("%s It needs about %d locks, and the lock table has room for " INT64_FORMAT " in all.",
					   unit_text(rollup), rollup->locks, wh_lock_capacity()),
			 errhint("Set max_locks_per_transaction = " INT64_FORMAT " and restart the server, or roll up each month first: SELECT _wh.create_combined_table_from_template_by_month(%s, %s, '%.7s-01');",
					 wh_locks_setting(rollup->locks),
					 quote_literal_cstr(rollup->tmpl->name),
					 quote_literal_cstr(rollup->tenant->name),
					 first)));
}

/*
 * Keep everybody from changing the sources, also by a plain REFRESH, with or
 * without CONCURRENTLY; and see that they are what the ledger says.
 */
static void
lock_sources(const WhRollup *rollup)
{
	ListCell   *lc;

	foreach(lc, rollup->sources)
	{
		const WhSlice *slice = (const WhSlice *) lfirst(lc);
		Oid			relid;

		do
		{
			relid = wh_slice_relid(slice);
			if (OidIsValid(relid))
				(void) wh_lock_relation_in(relid, RowShareLock,
										   psprintf("relation \"%s.%s\"",
													slice->relation_schema,
													slice->relation_name));
		} while (relid != wh_slice_relid(slice));
		check_source(rollup, slice);
	}
}

/*
 * Throw 55000 unless the relation is a slice that is ours to copy and to drop.
 * One that the present template made has its very columns, unless somebody
 * altered it: then a renamed column would be lost.
 */
static void
check_source(const WhRollup *rollup, const WhSlice *slice)
{
	Oid			relid = wh_slice_relid(slice);
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		fit = false;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		fit = form->relkind == (slice->period.kind == WH_DAY ?
								RELKIND_MATVIEW : RELKIND_RELATION) &&
			form->relpersistence == RELPERSISTENCE_PERMANENT &&
			form->relowner == GetUserId() && form->relispopulated;
		ReleaseSysCache(tuple);
	}
	if (fit && slice->template_version == rollup->tmpl->version)
		fit = has_columns(relid, rollup->tmpl->columns);
	if (fit)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("relation \"%s.%s\" is not as it was loaded",
					slice->relation_schema, slice->relation_name),
			 errdetail("%s Its kind, owner or columns were changed by hand.",
					   unit_text(rollup)),
			 errhint("Undo that, or move it away and load it again: SELECT * FROM _wh.wh_refresh(%s, %s, '%s', '%s');",
					 quote_literal_cstr(rollup->tmpl->name),
					 quote_literal_cstr(rollup->tenant->name),
					 wh_date_text(slice->period.start),
					 wh_date_text(slice->period.end - 1))));
}

static bool
has_columns(Oid relid, TupleDesc columns)
{
	Relation	rel = relation_open(relid, NoLock);
	bool		has = wh_columns_same(RelationGetDescr(rel), columns);

	relation_close(rel, NoLock);

	return has;
}

/*
 * Throw 2BP01 when somebody built on a source, which is to be dropped.  One
 * query finds the source, if any, whose dependents are then told.
 */
static void
check_dependents(const WhRollup *rollup)
{
	Oid			view = tenant_view(rollup);
	Datum	   *oids = (Datum *) palloc(sizeof(Datum) * Max(list_length(rollup->sources), 1));
	WhArg		args[2];
	List	   *names = NIL;
	MemoryContext caller = CurrentMemoryContext;
	uint64		found;
	ListCell   *lc;

	foreach(lc, rollup->sources)
		oids[foreach_current_index(lc)] =
		ObjectIdGetDatum(wh_slice_relid((const WhSlice *) lfirst(lc)));
	args[0] = wh_null(OIDARRAYOID);
	args[0].isnull = false;
	args[0].value = PointerGetDatum(construct_array(oids, list_length(rollup->sources),
													OIDOID, sizeof(Oid), true,
													TYPALIGN_INT));
	args[1] = wh_int8(view);

	SPI_connect();
	found = wh_spi(SPI_OK_SELECT,
				   "SELECT c.oid::bigint FROM pg_catalog.pg_class c"
				   " JOIN pg_catalog.pg_type t ON t.oid = c.reltype"
				   " JOIN pg_catalog.pg_depend d ON d.deptype = 'n' AND"
				   " (d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
				   "  AND d.refobjid = c.oid"
				   "  OR d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass"
				   "  AND d.refobjid IN (t.oid, t.typarray))"
				   " LEFT JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid AND"
				   " d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass"
				   " WHERE c.oid = ANY ($1) AND (r.oid IS NULL OR"
				   " r.ev_class NOT IN (c.oid, $2::pg_catalog.oid))"
				   " AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k"
				   " WHERE d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass"
				   " AND k.oid = d.objid AND k.conrelid = c.oid) LIMIT 1",
				   args, lengthof(args));
	MemoryContextSwitchTo(caller);
	if (found > 0)
		names = list_make1_oid((Oid) wh_col_int8(0, 1, 0));
	SPI_finish();

	if (names != NIL)
		wh_kept_check_dependents(linitial_oid(names), view,
								 psprintf("relation \"%s.%s\"",
										  rollup->schema,
										  get_rel_name(linitial_oid(names))));
}

static Oid
tenant_view(const WhRollup *rollup)
{
	const WhPublished *row = wh_published_find(rollup->tmpl->name,
											   rollup->tenant->name);

	return row ? wh_published_relid(row) : InvalidOid;
}

/*
 * Say which instants the table is for: those of its period in the tenant's
 * zone, whatever days are missing, and those of its sources, loaded in another
 * zone perhaps.
 */
static WhSpan
span_of(const WhRollup *rollup)
{
	const char *time_zone = rollup->tenant->time_zone;
	WhSpan		span = wh_period_span(&rollup->period, time_zone);
	ListCell   *lc;

	foreach(lc, rollup->sources)
	{
		WhSpan		part = wh_slice_span((const WhSlice *) lfirst(lc), rollup->tmpl, time_zone);

		span.start = Min(span.start, part.start);
		span.end = Max(span.end, part.end);
	}

	return span;
}

/*
 * Change the ledger, then the tenant's view, whose lock is the last thing that
 * is waited for.
 */
static void
publish(WhRollup *rollup, const WhCombined *what, const WhContent *content,
		int64 run_id)
{
	WhSlice		table = {0};
	List	   *schemas = NIL;
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, rollup->inside)
	{
		const WhSlice *slice = (const WhSlice *) lfirst(lc);

		if (!OidIsValid(wh_slice_relid(slice)))
			continue;
		schemas = lappend(schemas, slice->relation_schema);
		names = lappend(names, slice->relation_name);
	}
	wh_slices_forget_within(rollup->tmpl->name, rollup->tenant->name, &rollup->period);
	wh_retired_put(rollup->tmpl->name, rollup->tenant->name, schemas, names);

	table.template_name = rollup->tmpl->name;
	table.tenant_name = rollup->tenant->name;
	table.period = rollup->period;
	table.relation_schema = rollup->schema;
	table.relation_name = rollup->name;
	table.state = "rolled_up";
	table.row_count = content->rows;
	table.size_bytes = wh_relation_bytes(wh_slice_relid(&table));
	table.as_of = rollup->as_of;
	table.last_refresh = GetCurrentTimestamp();
	table.method = "rollup";
	table.run_id = run_id;
	table.template_version = rollup->tmpl->version;
	table.content_hash = wh_content_text(content->hash);
	for (DateADT day = rollup->period.start; day < rollup->first; day++)
		table.missing = lappend_int(table.missing, day);
	table.missing = list_concat(table.missing, rollup->missing);
	wh_slice_bind(&table, rollup->tmpl, rollup->tenant->time_zone);
	table.bounds = what->span;
	wh_slice_put(&table);

	rollup->rows = content->rows;
	rollup->bytes = table.size_bytes;
	(void) wh_unionview_tenant(rollup->tmpl, rollup->tenant);
}

/*
 * Say how many relations a step may drop, each with some locks.
 */
static int
drops_per_step(void)
{
	return (int) Max(Min(wh_lock_capacity() / LOCKS_PART, MOST_DROPS), 1);
}

/*
 * Drop those of a batch that nobody reads, or, waiting, its only one; return
 * them.  One that cannot be dropped, since people have built on it, does not
 * keep the others.
 */
static List *
drop_batch(List *batch, bool wait)
{
	Drop		work = {batch, wait, CurrentMemoryContext, NIL};
	List	   *gone = NIL;
	WhRun		run = {0};
	ListCell   *lc;

	wh_run_contained(&run, drop, &work);
	if (run.error == NULL)
		return work.gone;

	if (list_length(batch) == 1)
	{
		if (!wait)
			wh_run_warn(&run);
		return NIL;
	}
	foreach(lc, batch)
		gone = list_concat(gone, drop_batch(list_make1(lfirst(lc)), wait));

	return gone;
}

static void
drop(WhRun *run, void *arg)
{
	Drop	   *work = (Drop *) arg;
	StringInfoData matviews;
	StringInfoData tables;
	ListCell   *lc;

	initStringInfo(&matviews);
	initStringInfo(&tables);
	foreach(lc, work->batch)
	{
		WhRetired  *retired = (WhRetired *) lfirst(lc);
		Oid			relid = wh_retired_relid(retired);
		MemoryContext context;

		if (OidIsValid(relid))
		{
			StringInfo	names = get_rel_relkind(relid) == RELKIND_MATVIEW ? &matviews : &tables;

			if (work->wait)
				(void) wh_lock_relation(relid, psprintf("relation \"%s.%s\"",
														retired->relation_schema,
														retired->relation_name));
			else if (!wh_lock_relation_try(relid))
				continue;
			if (wh_retired_relid(retired) != relid)
				continue;
			appendStringInfo(names, "%s%s", names->len > 0 ? ", " : "",
							 quote_qualified_identifier(retired->relation_schema,
														retired->relation_name));
		}
		context = MemoryContextSwitchTo(work->context);
		work->gone = lappend(work->gone, retired);
		MemoryContextSwitchTo(context);
	}

	if (matviews.len > 0)
		wh_ddl(psprintf("DROP MATERIALIZED VIEW %s RESTRICT", matviews.data));
	if (tables.len > 0)
		wh_ddl(psprintf("DROP TABLE %s RESTRICT", tables.data));
	wh_retired_forget(work->gone);
}
