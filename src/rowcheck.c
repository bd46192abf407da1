/*
 * rowcheck.c
 *		What every row that arrives must pass, wherever it comes from.
 *
 * Rows that a query returns in spite of its day would be shown where no query
 * looks for them, so one of them refuses the slice.  The caps stop a query
 * that went wrong before it has filled the disk.
 */
#include "postgres.h"

#include "fault.h"
#include "rowcheck.h"

static void raise_outside(const WhRowCheck *check, const bool *isnull) pg_attribute_noreturn();
static void raise_over_cap(const WhRowCheck *check, const char *what, int64 cap,
						   const char *option) pg_attribute_noreturn();
static void mark_source(const WhRowCheck *check);

/*
 * Find the column and the bounds that rows are checked against.
 */
void
wh_rowcheck_begin(WhRowCheck *check, const WhTemplate *tmpl,
				  const WhTenant *tenant, const WhPeriod *period,
				  const char *subject)
{
	WhSpan		span;

	memset(check, 0, sizeof(WhRowCheck));
	check->tmpl = tmpl;
	check->tenant = tenant;
	check->period = period;
	check->subject = subject;
	if (period->kind == WH_WHOLE)
		return;

	span = wh_period_span(period, tenant->time_zone);
	check->ranged = wh_range_of(tmpl->columns, tmpl->time_column, period, &span,
								&check->range);
}

void
wh_rowcheck_row(WhRowCheck *check, const Datum *values, const bool *isnull)
{
	int64		max_rows = check->tmpl->max_rows;
	int			i = check->range.attnum - 1;

	check->rows++;
	if (max_rows > 0 && check->rows > max_rows)
		raise_over_cap(check, "rows", max_rows, "max_rows");
	if (check->ranged && !wh_range_holds(&check->range, values[i], isnull[i]))
		raise_outside(check, isnull);
}

void
wh_rowcheck_bytes(WhRowCheck *check, int64 bytes)
{
	int64		max_bytes = check->tmpl->max_bytes;

	check->bytes += bytes;
	if (max_bytes > 0 && check->bytes > max_bytes)
		raise_over_cap(check, "bytes", max_bytes, "max_bytes");
}

/*
 * Refuse a row that is not the period's.  The usual reason is a query that
 * cuts days in UTC at a tenant that lives elsewhere.
 */
static void
raise_outside(const WhRowCheck *check, const bool *isnull)
{
	const WhTemplate *tmpl = check->tmpl;
	bool		elsewhere = pg_strcasecmp(check->tenant->time_zone, "UTC") != 0 &&
	strstr(tmpl->query, "{DAY_START}") == NULL;

	mark_source(check);
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("row lies outside its %s", wh_period_kind_name(check->period->kind)),
			 errdetail("%s\nRow %lld, column \"%s\"%s.", check->subject,
					   (long long) check->rows, tmpl->time_column,
					   isnull[check->range.attnum - 1] ? " is null" : ""),
			 elsewhere ?
			 errhint("Filter by {DAY_START} and {DAY_END}: this tenant's days are those of time zone \"%s\", not UTC's.",
					 check->tenant->time_zone) :
			 errhint("Have the query filter column \"%s\" by {DAY_START} and {DAY_END}.",
					 tmpl->time_column)));
}

static void
raise_over_cap(const WhRowCheck *check, const char *what, int64 cap,
			   const char *option)
{
	mark_source(check);
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("template \"%s\" returned more than %lld %s",
					check->tmpl->name, (long long) cap, what),
			 errdetail("%s", check->subject),
			 errhint("Raise the template's option %s with _wh.alter_template().", option)));
}

/*
 * It is the tenant's failure unless the query runs here.
 */
static void
mark_source(const WhRowCheck *check)
{
	if (!wh_template_is_local(check->tmpl))
		wh_remote_failed_mark();
}
