/*
 * doctor_data.c
 *		Checks of templates and of what is stored by them.
 *
 * What is lost is wh_check()'s to find, what drifted drift()'s; here each of
 * their rows gets the statement that mends it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/timestamp.h"

#include "doctor.h"
#include "gate.h"
#include "period.h"
#include "published.h"
#include "retention.h"
#include "run.h"
#include "slice.h"

/* A day is compared with the median of so many before it. */
#define COMPARED_DAYS 10
#define LEAST_DAYS 5

/* Maintenance is daily; a day when it did not come is no finding yet. */
#define OVERDUE_DAYS 2

/* Rows from which reading only what changed pays. */
#define MANY_ROWS 10000

static bool has_unique_key(const WhTemplate *tmpl);
static char *column_list(const List *columns);
static char *time_column_sql(const WhTemplate *tmpl);
static char *lost_sql(const char *invariant, const char *subject);
static char *refresh_sql(const char *template_name, const char *tenant,
						 DateADT day);
static char *slice_sql(const char *subject);
static char *view_sql(const char *subject);
static char *run_sql(const char *subject);
static char *owner_sql(const char *subject);
static const WhSlice *slice_of(const char *subject);
static const WhPublished *view_of(const char *subject);
static void compare_days(WhDoctor *doctor, const List *days);
static int	by_rows(const ListCell *a, const ListCell *b);

/*
 * Find templates that lack what keeps their rows apart.
 */
void
wh_check_templates(WhDoctor *doctor)
{
	ListCell   *lc;
	WhRole		caller;

	wh_become_owner(&caller);
	foreach(lc, wh_templates_enabled())
	{
		const WhTemplate *tmpl = (const WhTemplate *) lfirst(lc);
		const char *name = quote_literal_cstr(tmpl->name);
		ListCell   *lt;

		/* An incremental table has its key as the primary key, a view none. */
		if (tmpl->key_columns != NIL && !wh_template_is_incremental(tmpl) &&
			strcmp(tmpl->materialization, "live") != 0 && !has_unique_key(tmpl))
			wh_finding(doctor, WH_FINDING_WARN,
					   psprintf("template \"%s\" has key (%s) and no unique index on it: a query that returns a key twice is not noticed; relations get the index as they are replaced",
								tmpl->name, column_list(tmpl->key_columns)),
					   psprintf("SELECT _wh.alter_template(%s, indexes => %s);", name,
								quote_literal_cstr(psprintf("%s%sCREATE UNIQUE INDEX {view_name}_key ON {schema}.{view_name} (%s)",
															tmpl->indexes ? tmpl->indexes : "",
															tmpl->indexes ? "; " : "",
															column_list(tmpl->key_columns)))));
		if (strcmp(tmpl->materialization, "daily") == 0 && tmpl->time_column == NULL &&
			strcmp(tmpl->source, "tenant") == 0)
			wh_finding(doctor, WH_FINDING_WARN,
					   psprintf("template \"%s\" has no time_column: rows are not checked against their day, and queries cannot leave slices out",
								tmpl->name),
					   time_column_sql(tmpl));
		foreach(lt, tmpl->tenants)
		{
			const char *tenant = (const char *) lfirst(lt);

			if (wh_tenant_find(tenant) == NULL)
				wh_finding(doctor, WH_FINDING_WARN,
						   psprintf("template \"%s\" names tenant \"%s\", which does not exist",
									tmpl->name, tenant),
						   NULL);
		}
	}
	wh_role_leave(&caller);
}

/*
 * Find snapshots that read many rows each time and say how not to, and say
 * which incremental tables are small.  To change is a person's decision: rows
 * that are deleted at the source stay in an incremental table.
 */
void
wh_check_materialization(WhDoctor *doctor)
{
	ListCell   *lc;
	WhRole		caller;

	wh_become_owner(&caller);
	foreach(lc, wh_templates_enabled())
	{
		const WhTemplate *tmpl = (const WhTemplate *) lfirst(lc);
		bool		incremental = wh_template_is_incremental(tmpl);
		const WhSlice *largest = NULL;
		ListCell   *ls;

		if (wh_template_is_daily(tmpl) || wh_template_is_local(tmpl) ||
			tmpl->key_columns == NIL || tmpl->watermark_column == NULL)
			continue;
		foreach(ls, wh_slices(tmpl->name, NULL))
		{
			const WhSlice *slice = (const WhSlice *) lfirst(ls);

			if (largest == NULL || slice->row_count > largest->row_count)
				largest = slice;
		}
		if (largest == NULL)
			continue;
		if (!incremental && largest->row_count >= MANY_ROWS)
			wh_finding(doctor, WH_FINDING_WARN,
					   psprintf("template \"%s\" reads all " INT64_FORMAT " rows of tenant \"%s\" each time, and has a key and a watermark: SELECT _wh.alter_template(%s, materialization => 'incremental') reads what changed; rows that are deleted at the source then stay",
								tmpl->name, largest->row_count, largest->tenant_name,
								quote_literal_cstr(tmpl->name)),
					   NULL);
		else if (incremental && largest->row_count < MANY_ROWS)
			wh_finding(doctor, WH_FINDING_OK,
					   psprintf("template \"%s\" is incremental, and no tenant has %d rows: a snapshot would do, and see what is deleted at the source",
								tmpl->name, MANY_ROWS),
					   NULL);
	}
	wh_role_leave(&caller);
}

/*
 * Find queries whose columns at the source are no longer those declared.
 * Tenants that cannot be reached are wh_check_tenants()'s.
 */
void
wh_check_drift(WhDoctor *doctor)
{
	WhArg		args[1];
	List	   *adapting = NIL;
	ListCell   *lc;
	WhRole		caller;

	wh_check_outbound();
	wh_become_owner(&caller);
	foreach(lc, wh_templates_enabled())
	{
		const WhTemplate *tmpl = (const WhTemplate *) lfirst(lc);

		if (strcmp(tmpl->on_drift, "adapt") == 0)
			adapting = lappend(adapting, tmpl->name);
	}
	args[0] = wh_text_array(adapting);
	if (wh_templates_enabled() != NIL && wh_tenants_enabled() != NIL)
		wh_findings(doctor, WH_FINDING_ERROR,
					"SELECT CASE d.change WHEN 'refused'"
					"  THEN format('tenant \"%s\" refuses the query of template \"%s\": %s',"
					"   d.tenant_name, d.template_name, d.message)"
					"  ELSE format('template \"%s\", tenant \"%s\": column \"%s\" (%s declared, %s at the source): %s',"
					"   d.template_name, d.tenant_name, d.column_name, coalesce(d.declared_type, 'not'),"
					"   coalesce(d.source_type, 'missing'), d.change) END,"
					" CASE WHEN d.change IN ('missing', 'reordered', 'added')"
					"  THEN format('SELECT _wh.alter_template(%L, on_drift => ''adapt'');', d.template_name) END"
					" FROM _wh.drift() AS d"
					" LEFT JOIN unnest($1::text[]) AS a (adapts) ON a.adapts = d.template_name"
					" WHERE d.change <> 'unreachable'"
					" AND NOT (a.adapts IS NOT NULL AND d.change IN ('missing', 'reordered', 'added'))"
					" ORDER BY d.template_name, d.tenant_name, d.column_name",
					args, lengthof(args));
	wh_role_leave(&caller);
}

/*
 * Find what breaks an invariant, reading no slice.
 */
void
wh_check_lost(WhDoctor *doctor)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *problems = NIL;
	ListCell   *lc;
	uint64		n;
	WhRole		caller;

	/* As the caller: the owner may not see what other roles' sessions do. */
	SPI_connect();
	n = wh_spi(SPI_OK_SELECT,
			   "SELECT c.invariant, c.subject, c.problem FROM _wh.wh_check(false) AS c",
			   NULL, 0);
	MemoryContextSwitchTo(context);
	for (uint64 row = 0; row < n; row++)
		problems = lappend(problems, list_make3(wh_col_text(row, 1), wh_col_text(row, 2),
												wh_col_text(row, 3)));
	SPI_finish();

	wh_become_owner(&caller);
	foreach(lc, problems)
	{
		List	   *problem = (List *) lfirst(lc);
		const char *invariant = (const char *) linitial(problem);
		const char *subject = (const char *) lsecond(problem);

		wh_finding(doctor, WH_FINDING_ERROR,
				   psprintf("%s (%s): %s", subject, invariant, (const char *) lthird(problem)),
				   lost_sql(invariant, subject));
	}
	wh_role_leave(&caller);
}

/*
 * Find pairs whose last closed day has less than half, or more than twice, of
 * the rows of the days before.
 */
void
wh_check_row_counts(WhDoctor *doctor)
{
	DateADT		today = wh_date_at(GetCurrentTimestamp(), "UTC");
	ListCell   *lt;
	WhRole		caller;

	wh_become_owner(&caller);
	foreach(lt, wh_templates_enabled())
	{
		const WhTemplate *tmpl = (const WhTemplate *) lfirst(lt);
		const char *tenant = NULL;
		List	   *days = NIL;
		ListCell   *ls;

		foreach(ls, wh_slices(tmpl->name, NULL))
		{
			const WhSlice *slice = (const WhSlice *) lfirst(ls);

			if (slice->period.kind != WH_DAY || slice->period.end > today)
				continue;
			if (tenant == NULL || strcmp(tenant, slice->tenant_name) != 0)
			{
				compare_days(doctor, days);
				days = NIL;
				tenant = slice->tenant_name;
			}
			days = lappend(days, (void *) slice);
		}
		compare_days(doctor, days);
	}
	wh_role_leave(&caller);
}

/*
 * Find out whether the log has rows that maintenance should have deleted.
 */
void
wh_check_log(WhDoctor *doctor)
{
	int64		n;
	WhRole		caller;

	wh_become_owner(&caller);
	n = wh_retention_overdue(OVERDUE_DAYS);
	if (n > 0)
		wh_finding(doctor, WH_FINDING_WARN,
				   psprintf("the log holds " INT64_FORMAT " attempts that have outlived pg_warehouse.log_retention or failure_retention by %d days: maintenance does not run",
							n, OVERDUE_DAYS),
				   "CALL _wh.run_maintenance();");
	wh_role_leave(&caller);
}

/*
 * Does one of the template's indexes keep exactly its key unique?
 */
static bool
has_unique_key(const WhTemplate *tmpl)
{
	ListCell   *lc;

	foreach(lc, tmpl->indexes ? wh_gate_index_stmts(tmpl->indexes, tmpl->columns, "s", "v") : NIL)
	{
		const IndexStmt *stmt = (const IndexStmt *) lfirst(lc);
		int			found = 0;
		ListCell   *li;

		if (!stmt->unique || stmt->whereClause != NULL ||
			list_length(stmt->indexParams) != list_length(tmpl->key_columns))
			continue;
		foreach(li, stmt->indexParams)
		{
			const IndexElem *elem = lfirst_node(IndexElem, li);
			ListCell   *lk;

			foreach(lk, tmpl->key_columns)
				found += elem->name != NULL &&
				strcmp(elem->name, (const char *) lfirst(lk)) == 0;
		}
		if (found == list_length(tmpl->key_columns))
			return true;
	}

	return false;
}

static char *
column_list(const List *columns)
{
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, columns)
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "",
						 quote_identifier((const char *) lfirst(lc)));

	return list.data;
}

/*
 * Write the call that sets time_column, where only one column can be it.
 */
static char *
time_column_sql(const WhTemplate *tmpl)
{
	const char *column = NULL;

	for (int i = 0; i < tmpl->columns->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tmpl->columns, i);

		if (att->atttypid != TIMESTAMPTZOID && att->atttypid != TIMESTAMPOID &&
			att->atttypid != DATEOID)
			continue;
		if (column != NULL)
			return NULL;
		column = NameStr(att->attname);
	}

	return column == NULL ? NULL :
		psprintf("SELECT _wh.alter_template(%s, time_column => %s);",
				 quote_literal_cstr(tmpl->name), quote_literal_cstr(column));
}

/*
 * Write what mends a broken invariant; NULL where that takes a person, because
 * it would throw rows away or there is nothing to fetch them from.
 */
static char *
lost_sql(const char *invariant, const char *subject)
{
	if (strcmp(invariant, "relation") == 0 || strcmp(invariant, "populated") == 0)
		return slice_sql(subject);
	if (strcmp(invariant, "view") == 0)
		return view_sql(subject);
	if (strcmp(invariant, "run") == 0)
		return run_sql(subject);
	if (strcmp(invariant, "owner") == 0)
		return owner_sql(subject);

	return NULL;
}

static char *
refresh_sql(const char *template_name, const char *tenant, DateADT day)
{
	const char *date = quote_literal_cstr(wh_date_text(day));

	return psprintf("SELECT * FROM _wh.wh_refresh(%s, %s, %s, %s);",
					quote_literal_cstr(template_name), quote_literal_cstr(tenant),
					date, date);
}

/*
 * Write the call that fetches a day again.  A month or year was the only copy.
 */
static char *
slice_sql(const char *subject)
{
	const WhSlice *slice = slice_of(subject);

	if (slice == NULL || slice->period.kind != WH_DAY)
		return NULL;

	return refresh_sql(slice->template_name, slice->tenant_name, slice->period.start);
}

/*
 * Write the call that makes a view anew.
 */
static char *
view_sql(const char *subject)
{
	const WhPublished *view = view_of(subject);

	if (view == NULL)
		return NULL;
	if (view->tenant_name[0] == '\0')
		return psprintf("SELECT _wh.update_public_view_by_template(%s);",
						quote_literal_cstr(view->template_name));

	return psprintf("SELECT _wh.update_tenant_union_view_by_template(%s, %s);",
					quote_literal_cstr(view->template_name),
					quote_literal_cstr(view->tenant_name));
}

/*
 * Write the call that does again what a lost run was at, which also ends its
 * row of the log.
 */
static char *
run_sql(const char *subject)
{
	char	   *template_name;
	char	   *tenant;
	DateADT		day;

	if (!wh_run_unit(strtoll(subject + strlen("run "), NULL, 10),
					 &template_name, &tenant, &day))
		return NULL;

	return refresh_sql(template_name, tenant, day);
}

/*
 * Write the statement that gives a relation of ours back to the owner role.
 */
static char *
owner_sql(const char *subject)
{
	const WhSlice *slice = slice_of(subject);
	const WhPublished *view = slice == NULL ? view_of(subject) : NULL;
	const char *owner = quote_identifier(wh_settings()->owner_role);

	if (slice != NULL)
		return psprintf("ALTER TABLE %s OWNER TO %s;",
						quote_qualified_identifier(slice->relation_schema, slice->relation_name), owner);
	if (view != NULL)
		return psprintf("ALTER VIEW %s OWNER TO %s;",
						quote_qualified_identifier(view->view_schema, view->view_name), owner);

	return NULL;
}

/*
 * Find the slice, or the view, that wh_check() names; NULL.
 */
static const WhSlice *
slice_of(const char *subject)
{
	ListCell   *lc;

	foreach(lc, wh_slices(NULL, NULL))
	{
		const WhSlice *slice = (const WhSlice *) lfirst(lc);

		if (strcmp(psprintf("%s.%s", slice->relation_schema, slice->relation_name), subject) == 0)
			return slice;
	}

	return NULL;
}

static const WhPublished *
view_of(const char *subject)
{
	ListCell   *lc;

	foreach(lc, wh_published(NULL, NULL))
	{
		const WhPublished *view = (const WhPublished *) lfirst(lc);

		if (strcmp(psprintf("%s.%s", view->view_schema, view->view_name), subject) == 0)
			return view;
	}

	return NULL;
}

/*
 * Compare the last of a pair's closed days with the median of those before.
 */
static void
compare_days(WhDoctor *doctor, const List *days)
{
	int			n = Min(list_length(days) - 1, COMPARED_DAYS);
	List	   *counts = NIL;
	const WhSlice *last;
	int64		median;

	if (n < LEAST_DAYS)
		return;

	last = (const WhSlice *) llast(days);
	for (int i = list_length(days) - 1 - n; i < list_length(days) - 1; i++)
		counts = lappend(counts, list_nth(days, i));
	list_sort(counts, by_rows);
	median = ((const WhSlice *) list_nth(counts, n / 2))->row_count;

	if (last->row_count * 2 < median || last->row_count > median * 2)
		wh_finding(doctor, WH_FINDING_WARN,
				   psprintf("%s.%s holds " INT64_FORMAT " rows; the median of the %d days before it is " INT64_FORMAT,
							last->relation_schema, last->relation_name,
							last->row_count, n, median),
				   refresh_sql(last->template_name, last->tenant_name, last->period.start));
}

static int
by_rows(const ListCell *a, const ListCell *b)
{
	int64		left = ((const WhSlice *) lfirst(a))->row_count;
	int64		right = ((const WhSlice *) lfirst(b))->row_count;

	return (left > right) - (left < right);
}
