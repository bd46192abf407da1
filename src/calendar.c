/*
 * calendar.c
 *		The days of an incremental template's table, by its watermark, against
 *		the same days at the source.
 *
 * A table has no list of its days.  So first months are counted at both ends,
 * which is cheap; that tells which days there can be, and how many of them fit
 * into one statement.  Then count and hash of these days are asked at both
 * ends, by an array of the instants at which they begin: where a day begins is
 * decided here alone, so that two versions of the time zones cannot disagree.
 *
 * A row that has changed at the source since the last refresh is at another
 * day there, or another row: both days differ, rightly.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "calendar.h"
#include "fetch.h"
#include "pool.h"
#include "range.h"
#include "session.h"
#include "spi.h"

/*
 * One statement asks for so many days or rows, whichever comes first: until it
 * ends the source says nothing, and pg_warehouse.no_progress_timeout runs.
 */
#define BATCH_DAYS 366
#define BATCH_ROWS 2000000

/* More days than this are no history but a column that is no time. */
#define MAX_DAYS 36600

/* A month of UTC, or of the tenant's wall clock, that has rows. */
typedef struct Month
{
	DateADT		start;
	int64		rows;			/* here or there, whichever has more */
} Month;

/* Days that follow each other. */
typedef struct Batch
{
	DateADT		start;
	int			ndays;
	int64		rows;			/* about */
	WhTally    *source;
	WhTally    *stored;
} Batch;

/* One comparison at work. */
typedef struct Calendar
{
	const WhTemplate *tmpl;
	const WhTenant *tenant;
	DateADT		from;
	DateADT		to;				/* inclusive */
	const WhSlice *slice;
	Relation	rel;
	const char *relation;		/* its name, qualified */
	const char *at;				/* the watermark of q */
	bool		instants;		/* it is no wall clock's */
	List	   *batches;		/* of Batch * */
	TimestampTz as_of;
} Calendar;

static void ask_source(Calendar *calendar);
static List *months_at_source(const Calendar *calendar, WhConn *conn,
							  const char *query);
static List *months_here(const Calendar *calendar);
static void *read_month(uint64 row);
static char *months_sql(const Calendar *calendar, const char *from);
static List *merged(const List *a, const List *b);
static void plan_batches(Calendar *calendar, const List *months);
static void add_day(Calendar *calendar, DateADT day, int64 rows);
static WhTallyGroups days_of(const Calendar *calendar, const Batch *batch);
static char *begin_of(const Calendar *calendar, DateADT day);
static List *comparisons(const Calendar *calendar);

/*
 * Compare days; see calendar.h.
 */
List *
wh_calendar_compare(const WhTemplate *tmpl, const WhTenant *tenant,
					DateADT from, DateADT to)
{
	WhPeriod	whole = wh_period_whole();
	Calendar	calendar = {.tmpl = tmpl,.tenant = tenant,.from = from,.to = to};
	ListCell   *lc;

	calendar.slice = wh_slice_find(tmpl->name, tenant->name, &whole);
	calendar.rel = relation_open(wh_slice_relid(calendar.slice), AccessShareLock);
	calendar.relation = quote_qualified_identifier(calendar.slice->relation_schema,
												   calendar.slice->relation_name);
	calendar.at = psprintf("q.%s", quote_identifier(tmpl->watermark_column));
	calendar.instants = TupleDescAttr(tmpl->columns,
									  SPI_fnumber(tmpl->columns, tmpl->watermark_column) - 1)->atttypid == TIMESTAMPTZOID;

	PG_TRY();
	{
		wh_session_purpose(psprintf("reconcile %s/%s", tmpl->name, tenant->name));
		ask_source(&calendar);
	}
	PG_FINALLY();
	{
		wh_session_purpose(NULL);
	}
	PG_END_TRY();

	foreach(lc, calendar.batches)
	{
		Batch	   *batch = (Batch *) lfirst(lc);
		WhTallyGroups days = days_of(&calendar, batch);

		wh_tally_stored_groups(calendar.relation, RelationGetDescr(calendar.rel),
							   &days, tmpl->columns, batch->stored);
	}
	relation_close(calendar.rel, NoLock);

	return comparisons(&calendar);
}

/*
 * Plan the batches and ask the source for all of them, in one snapshot.
 */
static void
ask_source(Calendar *calendar)
{
	const WhTemplate *tmpl = calendar->tmpl;
	WhPeriod	whole = wh_period_whole();
	char	   *query = wh_fetch_query(tmpl, calendar->tenant, &whole);
	WhLease    *lease = wh_pool_take(calendar->tenant,
									 wh_fetch_subject(tmpl, calendar->tenant, &whole));
	WhRemoteColumns *remote = wh_describe(lease->conn, query);
	ListCell   *lc;

	(void) wh_describe_check(remote, tmpl, wh_conn_subject(lease->conn));
	plan_batches(calendar, merged(months_at_source(calendar, lease->conn, query),
								  months_here(calendar)));
	foreach(lc, calendar->batches)
	{
		Batch	   *batch = (Batch *) lfirst(lc);
		WhTallyGroups days = days_of(calendar, batch);

		wh_tally_source_groups(lease->conn, query, &days, tmpl->columns, remote,
							   batch->source);
	}
	calendar->as_of = wh_conn_session(lease->conn)->as_of;
	wh_pool_give(lease);
}

static List *
months_at_source(const Calendar *calendar, WhConn *conn, const char *query)
{
	char	   *sql = months_sql(calendar, psprintf("(\n%s\n)", query));
	PGresult   *volatile result = wh_conn_exec(conn, sql, PGRES_TUPLES_OK);
	List	   *volatile months = NIL;

	PG_TRY();
	{
		for (int row = 0; row < PQntuples(result); row++)
		{
			Month	   *month = (Month *) palloc(sizeof(Month));

			month->start = (DateADT) atoi(PQgetvalue(result, row, 0));
			month->rows = strtoll(PQgetvalue(result, row, 1), NULL, 10);
			months = lappend(months, month);
			if (!IS_VALID_DATE(month->start))
				ereport(ERROR,
						(errcode(ERRCODE_PROTOCOL_VIOLATION),
						 errmsg("tenant did not count what it was asked to count"),
						 errdetail("%s", wh_conn_subject(conn))));
		}
	}
	PG_FINALLY();
	{
		PQclear(result);
	}
	PG_END_TRY();

	while ((result = wh_conn_result(conn)) != NULL)
		PQclear(result);

	return months;
}

static List *
months_here(const Calendar *calendar)
{
	return wh_spi_list(months_sql(calendar, calendar->relation), NULL, 0, read_month);
}

static void *
read_month(uint64 row)
{
	Month	   *month = (Month *) palloc(sizeof(Month));

	month->start = wh_col_int4(row, 1, 0);
	month->rows = wh_col_int8(row, 2, 0);

	return month;
}

/*
 * Write the query for the months that have rows of the range.
 */
static char *
months_sql(const Calendar *calendar, const char *from)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT pg_catalog.date_trunc('month', %s%s%s)::pg_catalog.date"
					 " OPERATOR(pg_catalog.-) '2000-01-01'::pg_catalog.date, pg_catalog.count(*)"
					 " FROM %s AS q WHERE pg_catalog.isfinite(%s)",
					 calendar->instants ? "pg_catalog.timezone('UTC', " : "",
					 calendar->at, calendar->instants ? ")" : "", from, calendar->at);
	if (!DATE_IS_NOBEGIN(calendar->from))
		appendStringInfo(&sql, " AND %s OPERATOR(pg_catalog.>=) %s", calendar->at,
						 begin_of(calendar, calendar->from));
	if (!DATE_IS_NOEND(calendar->to))
		appendStringInfo(&sql, " AND %s OPERATOR(pg_catalog.<) %s", calendar->at,
						 begin_of(calendar, calendar->to + 1));
	appendStringInfoString(&sql, " GROUP BY 1 ORDER BY 1");

	return sql.data;
}

/*
 * Make one list of two, both in order.
 */
static List *
merged(const List *a, const List *b)
{
	List	   *months = NIL;
	int			i = 0;
	int			j = 0;

	while (i < list_length(a) || j < list_length(b))
	{
		Month	   *left = i < list_length(a) ? (Month *) list_nth(a, i) : NULL;
		Month	   *right = j < list_length(b) ? (Month *) list_nth(b, j) : NULL;

		if (right == NULL || (left != NULL && left->start < right->start))
			right = left;
		else if (left == NULL || right->start < left->start)
			left = right;
		left->rows = Max(left->rows, right->rows);
		months = lappend(months, left);
		i += i < list_length(a) && ((Month *) list_nth(a, i))->start == left->start;
		j += j < list_length(b) && ((Month *) list_nth(b, j))->start == left->start;
	}

	return months;
}

/*
 * Cut the days of these months into batches.  An instant's month is that of
 * UTC, so its day can be the one before or after.
 */
static void
plan_batches(Calendar *calendar, const List *months)
{
	int			shift = calendar->instants ? 1 : 0;
	DateADT		next = DATEVAL_NOBEGIN;
	int			ndays = 0;
	ListCell   *lc;

	foreach(lc, months)
	{
		const Month *month = (const Month *) lfirst(lc);
		WhPeriod	period = wh_period_make(WH_MONTH, month->start);
		DateADT		from = Max(Max(period.start - shift, next), calendar->from);
		DateADT		to = Min(period.end - 1 + shift, calendar->to);
		int64		rows = month->rows / (period.end - period.start) + 1;

		for (DateADT day = from; day <= to && ndays <= MAX_DAYS; day++, ndays++)
			add_day(calendar, day, rows);
		next = Max(next, to + 1);
	}

	if (ndays > MAX_DAYS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("rows of template \"%s\" lie on more than %d days",
						calendar->tmpl->name, MAX_DAYS),
				 errdetail("Tenant \"%s\", watermark column \"%s\".",
						   calendar->tenant->name, calendar->tmpl->watermark_column),
				 errhint("SELECT * FROM _wh.reconcile(%s, %s, from_date => ...);",
						 quote_literal_cstr(calendar->tmpl->name),
						 quote_literal_cstr(calendar->tenant->name))));

	foreach(lc, calendar->batches)
	{
		Batch	   *batch = (Batch *) lfirst(lc);

		batch->source = (WhTally *) palloc(sizeof(WhTally) * batch->ndays);
		batch->stored = (WhTally *) palloc(sizeof(WhTally) * batch->ndays);
	}
}

static void
add_day(Calendar *calendar, DateADT day, int64 rows)
{
	Batch	   *last = calendar->batches ? (Batch *) llast(calendar->batches) : NULL;

	if (last == NULL || last->start + last->ndays != day ||
		last->ndays == BATCH_DAYS || last->rows + rows > BATCH_ROWS)
	{
		last = (Batch *) palloc0(sizeof(Batch));
		last->start = day;
		calendar->batches = lappend(calendar->batches, last);
	}
	last->ndays++;
	last->rows += rows;
}

/*
 * Write which day of a batch a row belongs to.
 */
static WhTallyGroups
days_of(const Calendar *calendar, const Batch *batch)
{
	WhTallyGroups days = {.n = batch->ndays};
	StringInfoData begins;

	initStringInfo(&begins);
	for (int i = 0; i < batch->ndays; i++)
		appendStringInfo(&begins, "%s%s", i > 0 ? ", " : "",
						 begin_of(calendar, batch->start + i));
	days.number = psprintf("pg_catalog.width_bucket(%s, ARRAY[%s])",
						   calendar->at, begins.data);
	days.condition = psprintf("%s OPERATOR(pg_catalog.>=) %s AND %s OPERATOR(pg_catalog.<) %s",
							  calendar->at, begin_of(calendar, batch->start),
							  calendar->at, begin_of(calendar, batch->start + batch->ndays));

	return days;
}

/*
 * Write when a day begins, as the watermark has it.
 */
static char *
begin_of(const Calendar *calendar, DateADT day)
{
	const WhTemplate *tmpl = calendar->tmpl;
	WhPeriod	period = wh_period_day(day);
	WhSpan		span = wh_period_span(&period, calendar->tenant->time_zone);
	WhRange		range;

	(void) wh_range_of(tmpl->columns, tmpl->watermark_column, &period, &span, &range);

	return wh_range_literal(&range, range.lower);
}

/*
 * Judge the days that have rows.
 */
static List *
comparisons(const Calendar *calendar)
{
	List	   *list = NIL;
	ListCell   *lc;

	foreach(lc, calendar->batches)
	{
		const Batch *batch = (const Batch *) lfirst(lc);

		for (int i = 0; i < batch->ndays; i++)
		{
			WhComparison *comparison;

			if (batch->source[i].rows == 0 && batch->stored[i].rows == 0)
				continue;
			comparison = (WhComparison *) palloc0(sizeof(WhComparison));
			comparison->day = wh_period_day(batch->start + i);
			comparison->slice = calendar->slice;
			comparison->stored_is_there = true;
			comparison->source = batch->source[i];
			comparison->stored = batch->stored[i];
			comparison->equal = wh_tally_equal(&batch->source[i], &batch->stored[i]);
			comparison->as_of = calendar->as_of;
			list = lappend(list, comparison);
		}
	}

	return list;
}
