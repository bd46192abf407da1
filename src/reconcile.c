/*
 * reconcile.c
 *		_wh.reconcile(): find the days that are no longer what the source has,
 *		and mend them.
 *
 * The source is asked for count and hash of every day; only days that differ
 * are read again, as units like any other.  The days of an incremental table
 * are those that its rows, here or there, have.  Whether the source can be asked is
 * part of the answer: a tenant that is down is a failed row per day and a row
 * of the log, and nothing is changed.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "calendar.h"
#include "compare.h"
#include "dispatch.h"
#include "guc.h"
#include "refresh.h"
#include "settings.h"
#include "slice.h"
#include "sync.h"

/* One day of the answer. */
typedef struct Day
{
	WhUnit	   *unit;
	const char *kept_out;		/* why it was not compared; NULL: it was */
	const WhComparison *found;	/* NULL: not compared */
	const WhRun *run;			/* NULL: not mended */
} Day;

/* One call. */
typedef struct Reconciliation
{
	const WhTemplate *tmpl;
	const WhTenant *tenant;
	WhLoadRules rules;			/* for each unit */
	bool		by_calendar;	/* its days are found by comparing them, */
	DateADT		from;			/* from this one */
	DateADT		to;				/* to that */
	List	   *days;			/* of Day * */
	List	   *compared;		/* those of them that are compared */
	const char *session_path;	/* see wh_owner_session_path() */
	WhRun		asking;			/* for its failure */
} Reconciliation;

PG_FUNCTION_INFO_V1(wh_reconcile);

static void check_arguments(FunctionCallInfo fcinfo);
static void refuse_live(const WhTemplate *tmpl);
static void get_range(FunctionCallInfo fcinfo, WhRequest *request);
static void set_calendar(Reconciliation *call, const WhRequest *request);
static void gather_days(Reconciliation *call, const List *units);
static void compare(Reconciliation *call);
static void ask(WhRun *run, void *arg);
static void ask_days(Reconciliation *call);
static void find_days(Reconciliation *call);
static void mend(Reconciliation *call);
static void take_run(void *arg, const WhUnit *unit, const WhRun *run);
static void confirm(Reconciliation *call);
static void note_equal(WhRun *run, void *arg);
static void put_day(ReturnSetInfo *rsinfo, const Reconciliation *call, const Day *day);

/*
 * _wh.reconcile(template, tenant, from_date, to_date, fix, accept_shrink)
 * returns setof
 */
Datum
wh_reconcile(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		fix = PG_ARGISNULL(4) || PG_GETARG_BOOL(4);
	WhRequest	request = {0};
	Reconciliation call = {0};
	WhRole		caller;
	ListCell   *lc;

	check_arguments(fcinfo);
	InitMaterializedSRF(fcinfo, 0);
	request.rules.accept_shrink = !PG_ARGISNULL(5) && PG_GETARG_BOOL(5);
	call.session_path = wh_owner_session_path();

	wh_become_owner(&caller);
	wh_request_resolve(&request, text_to_cstring(PG_GETARG_TEXT_PP(0)),
					   text_to_cstring(PG_GETARG_TEXT_PP(1)));
	refuse_live((const WhTemplate *) linitial(request.templates));
	get_range(fcinfo, &request);
	call.tmpl = (const WhTemplate *) linitial(request.templates);
	call.tenant = (const WhTenant *) linitial(request.tenants);
	call.rules = request.rules;
	gather_days(&call, wh_units(&request));
	if (wh_template_is_incremental(call.tmpl))
		set_calendar(&call, &request);
	compare(&call);
	if (fix && call.asking.error == NULL)
	{
		mend(&call);
		confirm(&call);
	}
	foreach(lc, call.days)
		put_day(rsinfo, &call, (const Day *) lfirst(lc));
	wh_role_leave(&caller);

	return (Datum) 0;
}

static void
check_arguments(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("template and tenant must not be null")));
}

static void
refuse_live(const WhTemplate *tmpl)
{
	if (!wh_template_is_live(tmpl))
		return;

	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("live template \"%s\" cannot be reconciled", tmpl->name),
			 errdetail("It keeps no rows that could differ from the source's."),
			 errhint("SELECT * FROM _wh.drift(%s); compares its columns.",
					 quote_literal_cstr(tmpl->name))));
}

/*
 * Read the range; by default all days that the pair should have.
 */
static void
get_range(FunctionCallInfo fcinfo, WhRequest *request)
{
	const WhTemplate *tmpl = (const WhTemplate *) linitial(request->templates);
	const WhTenant *tenant = (const WhTenant *) linitial(request->tenants);

	if (wh_template_is_incremental(tmpl))
	{
		request->has_from = !PG_ARGISNULL(2);
		request->has_to = !PG_ARGISNULL(3);
		request->from = request->has_from ? PG_GETARG_DATEADT(2) : 0;
		request->to = request->has_to ? PG_GETARG_DATEADT(3) : 0;
	}
	if (!wh_template_is_daily(tmpl))
		return;

	request->has_from = request->has_to = true;
	request->to = PG_ARGISNULL(3) ?
		wh_date_at(GetCurrentTransactionStartTimestamp(), tenant->time_zone) :
		PG_GETARG_DATEADT(3);
	if (!PG_ARGISNULL(2))
		request->from = PG_GETARG_DATEADT(2);
	else if (!wh_first_day(tmpl, tenant, &request->from))
		request->from = request->to;
}

/*
 * An incremental table is compared day by day, if it is there and the present
 * version's; else as a whole, and then all of it is loaded.
 */
static void
set_calendar(Reconciliation *call, const WhRequest *request)
{
	WhUnit	   *whole = wh_unit_make(call->tmpl, call->tenant, wh_period_whole(), true);

	whole->rules = call->rules;
	call->days = call->compared = NIL;
	gather_days(call, list_make1(whole));
	call->by_calendar = wh_sync_is_filled(call->tmpl, call->tenant);
	call->from = request->has_from ? request->from : DATEVAL_NOBEGIN;
	call->to = request->has_to ? request->to : DATEVAL_NOEND;
}

/*
 * Sort out the days that are not compared.
 */
static void
gather_days(Reconciliation *call, const List *units)
{
	ListCell   *lc;

	foreach(lc, units)
	{
		Day		   *day = (Day *) palloc0(sizeof(Day));

		day->unit = (WhUnit *) lfirst(lc);
		day->unit->purpose = WH_MEND;
		day->kept_out = wh_unit_kept_out(day->unit);
		call->days = lappend(call->days, day);
		if (day->kept_out == NULL)
			call->compared = lappend(call->compared, day);
	}
}

/*
 * Compare all days at once, contained: when that fails, the log says so.
 */
static void
compare(Reconciliation *call)
{
	WhRun	   *run = &call->asking;

	run->template_name = call->tmpl->name;
	run->tenant_name = call->tenant->name;
	run->table_name = psprintf("%s.%s", call->tenant->schema, call->tmpl->name);
	wh_run_contained(run, ask, call);
	if (run->error == NULL)
		return;

	wh_run_start(run, "reconcile");
	wh_run_finish(run);
}

/*
 * The contained work; what it finds outlives it.
 */
static void
ask(WhRun *run, void *arg)
{
	Reconciliation *call = (Reconciliation *) arg;
	MemoryContext context = MemoryContextSwitchTo(run->context);

	if (call->by_calendar)
		find_days(call);
	else
		ask_days(call);
	MemoryContextSwitchTo(context);
}

static void
ask_days(Reconciliation *call)
{
	List	   *periods = NIL;
	List	   *comparisons;
	ListCell   *lc;
	int			n = 0;

	foreach(lc, call->compared)
		periods = lappend(periods, &((Day *) lfirst(lc))->unit->period);
	comparisons = wh_compare_days(call->tmpl, call->tenant, periods);
	foreach(lc, call->compared)
		((Day *) lfirst(lc))->found = (const WhComparison *) list_nth(comparisons, n++);
}

/*
 * Compare the days that there are, each of which becomes one of the answer in
 * place of the whole.
 */
static void
find_days(Reconciliation *call)
{
	List	   *comparisons = wh_calendar_compare(call->tmpl, call->tenant,
												  call->from, call->to);
	ListCell   *lc;

	call->days = NIL;
	foreach(lc, comparisons)
	{
		const WhComparison *found = (const WhComparison *) lfirst(lc);
		Day		   *day = (Day *) palloc0(sizeof(Day));

		day->unit = wh_unit_make(call->tmpl, call->tenant, wh_period_whole(), true);
		day->unit->purpose = WH_MEND;
		day->unit->rules = call->rules;
		day->unit->days.given = true;
		day->unit->days.from = day->unit->days.to = found->day.start;
		day->found = found;
		call->days = lappend(call->days, day);
	}
	call->compared = list_copy(call->days);
}

/*
 * Load the days that differ, and show them.
 */
static void
mend(Reconciliation *call)
{
	WhRunOptions options = {.parallel = wh_max_workers,.session_path = call->session_path};
	List	   *units = NIL;
	ListCell   *lc;

	foreach(lc, call->compared)
	{
		const Day  *day = (const Day *) lfirst(lc);

		if (day->found->equal)
			continue;
		day->unit->named = true;
		units = lappend(units, day->unit);
	}
	if (units != NIL)
		(void) wh_publish(wh_run_units(units, &options, take_run, call));
}

static void
take_run(void *arg, const WhUnit *unit, const WhRun *run)
{
	Reconciliation *call = (Reconciliation *) arg;
	ListCell   *lc;

	foreach(lc, call->compared)
	{
		Day		   *day = (Day *) lfirst(lc);

		if (day->unit != unit)
			continue;
		day->run = (const WhRun *) memcpy(palloc(sizeof(WhRun)), run, sizeof(WhRun));
		return;
	}
}

/*
 * Note which days were found equal; left out while somebody else is at work on
 * the pair, or has changed what a snapshot of before cannot see.  Last, since
 * a leader that has written something gets no workers.
 */
static void
confirm(Reconciliation *call)
{
	WhRun		run = {0};

	if (!wh_slice_try_lock(call->tmpl->name, call->tenant->name))
		return;

	wh_run_contained(&run, note_equal, call);
	if (run.error != NULL &&
		run.error->sqlerrcode != ERRCODE_T_R_SERIALIZATION_FAILURE)
		ReThrowError(run.error);
}

static void
note_equal(WhRun *run, void *arg)
{
	const Reconciliation *call = (const Reconciliation *) arg;
	ListCell   *lc;

	foreach(lc, call->compared)
	{
		const Day  *day = (const Day *) lfirst(lc);

		if (day->found->equal)
			wh_compare_confirm(day->found);
	}
	run->status = "loaded";
}

/*
 * Return one row.
 */
static void
put_day(ReturnSetInfo *rsinfo, const Reconciliation *call, const Day *day)
{
	const WhRun *run = day->run;
	const WhComparison *found = day->found;
	const ErrorData *error = found == NULL && day->kept_out == NULL ?
	call->asking.error : run != NULL ? run->error : NULL;
	bool		loaded = run != NULL && strcmp(run->status, "loaded") == 0;
	const char *message = error != NULL ? error->message :
	run != NULL ? run->reason : day->kept_out;
	const char *action;
	Datum		values[11] = {0};
	bool		nulls[11] = {0};

	if (day->kept_out != NULL)
		action = "skipped";
	else if (error != NULL)
		action = "failed";
	else if (run != NULL)
		action = run->status;
	else
		action = found->equal ? "none" : "differs";

	values[0] = DateADTGetDatum(found != NULL ? found->day.start : day->unit->period.start);
	nulls[1] = nulls[3] = found == NULL;
	if (found != NULL)
	{
		values[1] = Int64GetDatum(found->source.rows);
		values[3] = BoolGetDatum(found->equal);
	}
	nulls[2] = found == NULL || !found->stored_is_there;
	if (!nulls[2])
		values[2] = Int64GetDatum(found->stored.rows);
	values[4] = CStringGetTextDatum(action);
	nulls[5] = nulls[6] = nulls[7] = !loaded;
	if (loaded)
	{
		values[5] = Int64GetDatum(run->rows_inserted);
		values[6] = Int64GetDatum(run->rows_updated);
		values[7] = Int64GetDatum(run->rows_deleted);
	}
	nulls[8] = run == NULL && call->asking.run_id == 0;
	values[8] = Int64GetDatum(run != NULL ? run->run_id : call->asking.run_id);
	nulls[9] = error == NULL;
	if (error != NULL)
		values[9] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
	nulls[10] = message == NULL;
	if (message != NULL)
		values[10] = CStringGetTextDatum(message);

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}
