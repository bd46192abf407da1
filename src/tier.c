/*
 * tier.c
 *		Roll-ups as people ask for them: one month, one year, or what is due.
 *
 * What is due follows from the template's retention: days older than
 * daily_retention go into months, months older than monthly_retention into
 * years, and a year that is due takes its days along at once.  The work is a
 * unit of refresh, in a worker where one can be had, so that it commits before
 * the sources are dropped.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "budget.h"
#include "dispatch.h"
#include "guc.h"
#include "names.h"
#include "refresh.h"
#include "retired.h"
#include "rollup.h"
#include "settings.h"
#include "spi.h"
#include "tier.h"

/* Years that a date and our names can have. */
#define FIRST_YEAR 1
#define LAST_YEAR 9999

PG_FUNCTION_INFO_V1(wh_create_combined_by_year);
PG_FUNCTION_INFO_V1(wh_create_combined_by_month);
PG_FUNCTION_INFO_V1(wh_rollup);
PG_FUNCTION_INFO_V1(wh_run_rollup);

/* What one call reports of its units. */
typedef struct Report
{
	TimestampTz begun;
	List	   *plans;			/* of WhRollup *, one per unit */
	int			next;			/* the next one to be reported */
	bool		warn;			/* of units that were not rolled up */
	ReturnSetInfo *rsinfo;		/* NULL: the last one's JSON is "json" */
	StringInfoData json;
	int			failed;
	WhRun		first_failure;
} Report;

static Datum combine_one(FunctionCallInfo fcinfo, const WhPeriod *period);
static WhPeriod year_period(int year);
static WhPeriod month_period(DateADT month);
static void check_isolation(void);
static List *make_units(List *plans, bool allow_gaps, bool inside);
static void name_units(List *units);
static List *due_plans(const WhRequest *request);
static List *due_periods(const WhTemplate *tmpl, const WhTenant *tenant);
static List *add_due(List *periods, WhPeriodKind kind, const WhSlice *slice, DateADT latest);
static bool is_covered(List *periods, const WhPeriod *period);
static DateADT older_than(DateADT today, const Interval *age);
static void report_run(void *arg, const WhUnit *unit, const WhRun *run);
static void put_json(ReturnSetInfo *rsinfo, const char *json);
static void append_rollup(StringInfo json, const WhRollup *rollup,
						  const char *status, const WhRun *run, TimestampTz begun);
static void append_period(StringInfo json, const WhPeriod *period);
static void append_days(StringInfo json, List *days);
static void tidy_pairs(void);
static void raise_failures(const Report *report, int total) pg_attribute_noreturn();
static char *text_argument(FunctionCallInfo fcinfo, int arg);

/*
 * _wh.create_combined_table_from_template_by_year(template, tenant, year,
 * allow_gaps, dry_run) returns jsonb
 */
Datum
wh_create_combined_by_year(PG_FUNCTION_ARGS)
{
	WhPeriod	period = year_period(PG_GETARG_INT32(2));

	return combine_one(fcinfo, &period);
}

/*
 * _wh.create_combined_table_from_template_by_month(template, tenant, month,
 * allow_gaps, dry_run) returns jsonb
 */
Datum
wh_create_combined_by_month(PG_FUNCTION_ARGS)
{
	WhPeriod	period = month_period(PG_GETARG_DATEADT(2));

	return combine_one(fcinfo, &period);
}

/*
 * _wh.wh_rollup(template, tenant, dry_run) returns setof jsonb
 */
Datum
wh_rollup(PG_FUNCTION_ARGS)
{
	bool		dry_run = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);
	WhRunOptions options = {.parallel = wh_max_workers,.even_one = true};
	Report		report = {.begun = GetCurrentTimestamp()};
	WhRequest	request = {0};
	ListCell   *lc;
	WhRole		caller;

	check_isolation();
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	report.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	wh_become_owner(&caller);
	wh_request_resolve(&request, text_argument(fcinfo, 0), text_argument(fcinfo, 1));
	report.plans = due_plans(&request);
	if (!dry_run)
	{
		List	   *units = make_units(report.plans, false, true);

		if (request.named)
			name_units(units);
		(void) wh_publish(wh_run_units(units, &options, report_run, &report));
	}
	else
	{
		foreach(lc, report.plans)
		{
			const WhRollup *rollup = (const WhRollup *) lfirst(lc);
			StringInfoData json;

			initStringInfo(&json);
			append_rollup(&json, rollup, rollup->missing ? "refused" : "planned", NULL,
						  report.begun);
			put_json(report.rsinfo, json.data);
		}
	}
	wh_role_leave(&caller);

	return (Datum) 0;
}

/*
 * CALL _wh.run_rollup(template, tenant)
 *
 * As run_refresh(): everything committed, an error at the end if any failed.
 */
Datum
wh_run_rollup(PG_FUNCTION_ARGS)
{
	CallContext *context = castNode(CallContext, fcinfo->context);
	WhRunOptions options = {.parallel = wh_max_workers,.commits = true};
	Report		report = {.begun = GetCurrentTimestamp()};
	WhRequest	request = {0};
	List	   *units;
	WhRole		caller;

	if (context->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("run_rollup cannot be called inside a transaction block"),
				 errdetail("It commits every unit by itself."),
				 errhint("CALL it on its own, or SELECT * FROM _wh.wh_rollup(...) inside a transaction.")));
	check_isolation();

	/* The units outlive the transactions that they run in. */
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	MemoryContextSwitchTo(AllocSetContextCreate(PortalContext, "pg_warehouse job",
												ALLOCSET_DEFAULT_SIZES));

	wh_become_owner(&caller);
	wh_request_resolve(&request, text_argument(fcinfo, 0), text_argument(fcinfo, 1));
	report.plans = due_plans(&request);
	units = make_units(report.plans, false, false);
	wh_role_leave(&caller);

	/* Keep no snapshot back while others work. */
	SPI_commit();
	(void) wh_run_units(units, &options, report_run, &report);
	tidy_pairs();

	SPI_finish();
	if (report.failed > 0)
		raise_failures(&report, list_length(units));

	PG_RETURN_VOID();
}

List *
wh_rollups_due(void)
{
	WhRequest	request = {0};

	wh_request_resolve(&request, NULL, NULL);

	return due_plans(&request);
}

int
wh_rollups_committed(List *plans, WhRun *first_failure)
{
	WhRunOptions options = {.parallel = wh_max_workers,.commits = true};
	Report		report = {.begun = GetCurrentTimestamp(),.plans = plans};

	(void) wh_run_units(make_units(plans, false, false), &options, report_run, &report);
	tidy_pairs();
	*first_failure = report.first_failure;

	return report.failed;
}

/*
 * Roll one period up, or say what that would be.
 */
static Datum
combine_one(FunctionCallInfo fcinfo, const WhPeriod *period)
{
	bool		allow_gaps = PG_GETARG_BOOL(3);
	bool		dry_run = PG_GETARG_BOOL(4);
	WhRunOptions options = {.parallel = wh_max_workers,.even_one = true};
	Report		report = {.begun = GetCurrentTimestamp(),.warn = true};
	WhRollup   *rollup;
	WhRole		caller;

	check_isolation();
	initStringInfo(&report.json);

	wh_become_owner(&caller);
	rollup = wh_rollup_find(wh_template(text_to_cstring(PG_GETARG_TEXT_PP(0))),
							wh_tenant(text_to_cstring(PG_GETARG_TEXT_PP(1))), period);
	if (dry_run)
		append_rollup(&report.json, rollup,
					  rollup->done ? "skipped" :
					  rollup->sources == NIL || (rollup->missing && !allow_gaps) ?
					  "refused" : "planned", NULL, report.begun);
	else
	{
		List	   *units;

		report.plans = list_make1(rollup);
		units = make_units(report.plans, allow_gaps, true);
		name_units(units);
		(void) wh_publish(wh_run_units(units, &options, report_run, &report));
	}
	wh_role_leave(&caller);

	return DirectFunctionCall1(jsonb_in, CStringGetDatum(report.json.data));
}

static WhPeriod
year_period(int year)
{
	if (year < FIRST_YEAR || year > LAST_YEAR)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("year %d is out of range", year),
				 errhint("Give a year from %d to %d that has ended.", FIRST_YEAR, LAST_YEAR)));

	return wh_period_make(WH_YEAR, date2j(year, 1, 1) - POSTGRES_EPOCH_JDATE);
}

static WhPeriod
month_period(DateADT month)
{
	int			year = 0;
	int			mon = 0;
	int			day = 0;

	if (!DATE_NOT_FINITE(month))
		j2date(month + POSTGRES_EPOCH_JDATE, &year, &mon, &day);
	if (year < FIRST_YEAR || year > LAST_YEAR)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("month %s is out of range", wh_date_text(month)),
				 errhint("Give a month of the years from %d to %d that has ended.",
						 FIRST_YEAR, LAST_YEAR)));
	if (day != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is not the first day of a month", wh_date_text(month)),
				 errhint("Use '%s'.", wh_date_text(month - day + 1))));

	return wh_period_make(WH_MONTH, month);
}

/*
 * What a snapshot of before does not show would be lost.
 */
static void
check_isolation(void)
{
	if (!IsolationUsesXactSnapshot())
		return;

	ereport(ERROR,
			(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
			 errmsg("cannot roll up in a transaction that keeps one snapshot"),
			 errdetail("Days that were refreshed since it began would be combined as they were before."),
			 errhint("Use isolation level READ COMMITTED.")));
}

/*
 * Make the units that carry plans out; "inside" one transaction.
 */
static List *
make_units(List *plans, bool allow_gaps, bool inside)
{
	List	   *units = NIL;
	ListCell   *lc;

	foreach(lc, plans)
	{
		const WhRollup *rollup = (const WhRollup *) lfirst(lc);
		WhUnit	   *unit = (WhUnit *) palloc0(sizeof(WhUnit));

		unit->tmpl = rollup->tmpl;
		unit->tenant = rollup->tenant;
		unit->period = rollup->period;
		unit->rollup = true;
		unit->allow_gaps = allow_gaps;
		unit->begun = true;

		/* The sources are dropped in the same transaction, too. */
		unit->locks = rollup->locks;
		if (inside)
			unit->locks += list_length(rollup->sources) *
				wh_relation_locks(rollup->tmpl);
		units = lappend(units, unit);
	}

	return units;
}

/*
 * Note that somebody asked for these by name.
 */
static void
name_units(List *units)
{
	ListCell   *lc;

	foreach(lc, units)
		((WhUnit *) lfirst(lc))->named = true;
}

/*
 * Plan what is due, oldest first in each pair.
 */
static List *
due_plans(const WhRequest *request)
{
	List	   *plans = NIL;
	ListCell   *lc;

	foreach(lc, request->templates)
	{
		const WhTemplate *tmpl = (const WhTemplate *) lfirst(lc);
		ListCell   *lt;

		if (tmpl->daily_retention == NULL && tmpl->monthly_retention == NULL)
			continue;
		foreach(lt, request->tenants)
		{
			const WhTenant *tenant = (const WhTenant *) lfirst(lt);
			ListCell   *lp;

			foreach(lp, due_periods(tmpl, tenant))
				plans = lappend(plans, wh_rollup_find(tmpl, tenant, (WhPeriod *) lfirst(lp)));
		}
	}

	return plans;
}

/*
 * List the periods of a pair that are due: years first, then the months that
 * are in none of these.
 */
static List *
due_periods(const WhTemplate *tmpl, const WhTenant *tenant)
{
	DateADT		today = wh_date_at(GetCurrentTransactionStartTimestamp(), tenant->time_zone);
	List	   *slices = wh_slices(tmpl->name, tenant->name);
	List	   *periods = NIL;
	ListCell   *lc;

	if (tmpl->monthly_retention != NULL)
	{
		DateADT		latest = older_than(today, tmpl->monthly_retention);

		foreach(lc, slices)
			periods = add_due(periods, WH_YEAR, (const WhSlice *) lfirst(lc), latest);
	}
	if (tmpl->daily_retention != NULL)
	{
		DateADT		latest = older_than(today, tmpl->daily_retention);

		foreach(lc, slices)
			periods = add_due(periods, WH_MONTH, (const WhSlice *) lfirst(lc), latest);
	}

	return periods;
}

/*
 * Add the period of a kind that a slice is to go into, once, if it had ended
 * by "latest".
 */
static List *
add_due(List *periods, WhPeriodKind kind, const WhSlice *slice, DateADT latest)
{
	int			year;
	int			month;
	int			day;
	WhPeriod	period;

	if (slice->period.kind >= kind)
		return periods;
	j2date(slice->period.start + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	period = wh_period_make(kind, date2j(year, kind == WH_YEAR ? 1 : month, 1) -
							POSTGRES_EPOCH_JDATE);
	if (period.end > latest || is_covered(periods, &period))
		return periods;

	return lappend(periods, memcpy(palloc(sizeof(WhPeriod)), &period, sizeof(WhPeriod)));
}

static bool
is_covered(List *periods, const WhPeriod *period)
{
	ListCell   *lc;

	foreach(lc, periods)
	{
		const WhPeriod *other = (const WhPeriod *) lfirst(lc);

		if (other->start <= period->start && period->end <= other->end)
			return true;
	}

	return false;
}

static DateADT
older_than(DateADT today, const Interval *age)
{
	Datum		at = DirectFunctionCall2(date_mi_interval, DateADTGetDatum(today),
										 IntervalPGetDatum(age));

	return DatumGetDateADT(DirectFunctionCall1(timestamp_date, at));
}

/*
 * Report a unit that was run.
 */
static void
report_run(void *arg, const WhUnit *unit, const WhRun *run)
{
	Report	   *report = (Report *) arg;
	const char *status = "rolled_up";
	WhRollup   *rollup = (WhRollup *) list_nth(report->plans, report->next++);
	StringInfoData json;
	WhRole		caller;

	if (run->error != NULL && report->failed++ == 0)
		report->first_failure = *run;
	if (run->error != NULL)
		status = wh_rollup_refuses(run->error->sqlerrcode) ? "refused" : "failed";
	else if (run->reason != NULL)
		status = "skipped";
	if (report->warn && run->error != NULL)
		wh_run_warn(run);
	if (report->warn && run->reason != NULL)
		ereport(NOTICE, (errmsg("%s", run->reason)));
	if (report->rsinfo == NULL && report->json.data == NULL)
		return;

	if (run->error == NULL && run->reason == NULL)
	{
		rollup->rows = run->rows_extracted;
		rollup->bytes = run->bytes;
	}

	/* What a worker has left is newer than the caller's snapshot. */
	PushActiveSnapshot(GetTransactionSnapshot());
	wh_become_owner(&caller);
	initStringInfo(&json);
	append_rollup(&json, rollup, status, run, report->begun);
	wh_role_leave(&caller);
	PopActiveSnapshot();

	if (report->rsinfo != NULL)
		put_json(report->rsinfo, json.data);
	else
		report->json = json;
}

static void
put_json(ReturnSetInfo *rsinfo, const char *json)
{
	Datum		value = DirectFunctionCall1(jsonb_in, CStringGetDatum(json));
	bool		isnull = false;

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &isnull);
}

/*
 * Append one roll-up as a JSON object; "run" is NULL for a dry run.
 */
static void
append_rollup(StringInfo json, const WhRollup *rollup, const char *status,
			  const WhRun *run, TimestampTz begun)
{
	appendStringInfoString(json, "{\"template\": ");
	escape_json(json, rollup->tmpl->name);
	appendStringInfoString(json, ", \"tenant\": ");
	escape_json(json, rollup->tenant->name);
	append_period(json, &rollup->period);
	appendStringInfoString(json, ", \"table\": ");
	escape_json(json, psprintf("%s.%s", rollup->schema, rollup->name));
	appendStringInfo(json, ", \"days_found\": %d, \"days_expected\": %d, \"missing\": [",
					 rollup->days_found, rollup->days_expected);
	append_days(json, rollup->missing);
	appendStringInfo(json, "], \"rows\": " INT64_FORMAT ", \"bytes\": " INT64_FORMAT,
					 rollup->rows, rollup->bytes);
	appendStringInfo(json, ", \"duration_ms\": " INT64_FORMAT ", \"status\": \"%s\"",
					 (int64) TimestampDifferenceMilliseconds(begun, GetCurrentTimestamp()),
					 status);
	if (run == NULL)
		appendStringInfo(json, ", \"locks\": %d", rollup->locks);
	else
		appendStringInfo(json, ", \"left\": %d",
						 list_length(wh_retired(rollup->tmpl->name, rollup->tenant->name)));
	if (run != NULL && run->reason != NULL)
	{
		appendStringInfoString(json, ", \"reason\": ");
		escape_json(json, run->reason);
	}
	if (run != NULL && run->error != NULL)
	{
		appendStringInfoString(json, ", \"error\": ");
		wh_run_error_json(json, run);
	}
	appendStringInfoChar(json, '}');
}

/*
 * Append "year": 2001 or "month": "2001-01".
 */
static void
append_period(StringInfo json, const WhPeriod *period)
{
	const char *first = wh_date_text(period->start);

	if (period->kind == WH_YEAR)
		appendStringInfo(json, ", \"year\": %d", atoi(first));
	else
		appendStringInfo(json, ", \"month\": \"%.7s\"", first);
}

static void
append_days(StringInfo json, List *days)
{
	ListCell   *lc;

	foreach(lc, days)
		appendStringInfo(json, "%s\"%s\"", foreach_current_index(lc) > 0 ? ", " : "",
						 wh_date_text(lfirst_int(lc)));
}

/*
 * Drop what earlier roll-ups left behind, of any pair.
 */
static void
tidy_pairs(void)
{
	const WhRetired *last = NULL;
	List	   *retired;
	ListCell   *lc;
	WhRole		caller;

	PushActiveSnapshot(GetTransactionSnapshot());
	wh_become_owner(&caller);
	retired = wh_retired(NULL, NULL);
	wh_role_leave(&caller);
	PopActiveSnapshot();
	SPI_commit();

	foreach(lc, retired)
	{
		const WhRetired *one = (const WhRetired *) lfirst(lc);

		if (last != NULL && strcmp(last->template_name, one->template_name) == 0 &&
			strcmp(last->tenant_name, one->tenant_name) == 0)
			continue;
		wh_tidy_committed(one->template_name, one->tenant_name);
		last = one;
	}
}

static void
raise_failures(const Report *report, int total)
{
	const WhRun *first = &report->first_failure;

	ereport(ERROR,
			(errcode(first->error->sqlerrcode),
			 errmsg("roll-up failed for %d of %d units", report->failed, total),
			 errdetail("The first, tenant \"%s\" from %s on: %s",
					   first->tenant_name, wh_date_text(first->period->start),
					   first->error->message),
			 errhint("SELECT * FROM _wh.v_recent_failures;")));
}

/*
 * Return a text argument, or NULL for SQL NULL.
 */
static char *
text_argument(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}
