/*
 * dba.c
 *		The DBA's verbs: wh_refresh, wh_plan and the procedure that jobs call.
 *
 * wh_refresh answers with a row per unit, each contained.  run_refresh commits
 * each unit with its row of the log, wherever it runs, and raises at the end,
 * since a scheduler knows failure by an error only.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "dba.h"
#include "dispatch.h"
#include "fetch.h"
#include "guc.h"
#include "live.h"
#include "matview.h"
#include "refresh.h"
#include "rolledday.h"
#include "schedule.h"
#include "settings.h"
#include "spi.h"
#include "sync.h"
#include "upsert.h"

/* Position of the arguments that wh_refresh and wh_plan share. */
enum
{
	ARG_TEMPLATE,
	ARG_TENANT,
	ARG_FROM,
	ARG_TO,
	ARG_PARALLEL,
	ARG_DRY_RUN,
	ARG_ON_ERROR,
	ARG_METHOD,
	ARG_PROVE,
	ARG_CONSISTENT,
	ARG_ACCEPT_SHRINK
};

#define MAX_PARALLEL 1000

typedef enum OnError
{
	ON_ERROR_REPORT,
	ON_ERROR_STOP,
	ON_ERROR_RAISE
} OnError;

/* What became of the units of one call. */
typedef struct Report
{
	ReturnSetInfo *rsinfo;		/* NULL: no rows are returned */
	int			failed;
	WhRun		first_failure;
} Report;

PG_FUNCTION_INFO_V1(wh_refresh);
PG_FUNCTION_INFO_V1(wh_plan);
PG_FUNCTION_INFO_V1(wh_run_refresh);

static void get_request(FunctionCallInfo fcinfo, WhRequest *request);
static List *get_units(FunctionCallInfo fcinfo, const WhRequest *request);
static void get_rules(FunctionCallInfo fcinfo, WhRequest *request);
static WhMethod forced_method(FunctionCallInfo fcinfo);
static int	get_parallel(FunctionCallInfo fcinfo);
static OnError get_on_error(FunctionCallInfo fcinfo);
static bool flag_argument(FunctionCallInfo fcinfo, int arg);
static char *text_argument(FunctionCallInfo fcinfo, int arg);
static void report_run(void *arg, const WhUnit *unit, const WhRun *run);
static void put_run(ReturnSetInfo *rsinfo, const WhRun *run);
static void put_planned(ReturnSetInfo *rsinfo, const WhUnit *unit);
static void put_plan(ReturnSetInfo *rsinfo, int seq, const WhUnit *unit);
static char *plan_note(const WhMatviewPlan *plan);
static void raise_failures(const Report *report, int total);
static void log_replay(FunctionCallInfo fcinfo);

/*
 * _wh.wh_refresh(template, tenant, from_date, to_date, parallel, dry_run,
 * on_error, method, prove, consistent, accept_shrink) returns setof
 */
Datum
wh_refresh(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	OnError		on_error = get_on_error(fcinfo);
	bool		dry_run = flag_argument(fcinfo, ARG_DRY_RUN);
	WhRunOptions options = {.parallel = get_parallel(fcinfo)};
	Report		report = {0};
	WhRequest	request = {0};
	WhRole		caller;
	List	   *units;
	ListCell   *lc;
	bool		published = true;

	InitMaterializedSRF(fcinfo, 0);
	options.stop_on_failure = on_error == ON_ERROR_STOP;
	options.consistent = flag_argument(fcinfo, ARG_CONSISTENT);
	options.session_path = wh_owner_session_path();
	report.rsinfo = rsinfo;

	wh_become_owner(&caller);
	get_request(fcinfo, &request);
	get_rules(fcinfo, &request);
	units = get_units(fcinfo, &request);
	if (!dry_run)
		published = wh_publish(wh_run_units(units, &options, report_run, &report));
	else
	{
		foreach(lc, units)
			put_planned(rsinfo, (const WhUnit *) lfirst(lc));
	}
	wh_role_leave(&caller);

	if (on_error == ON_ERROR_RAISE && (report.failed > 0 || !published))
		raise_failures(&report, list_length(units));

	return (Datum) 0;
}

/*
 * _wh.wh_plan(<arguments of wh_refresh>) returns setof
 */
Datum
wh_plan(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	WhRunOptions options = {.parallel = get_parallel(fcinfo)};
	WhRequest	request = {0};
	WhRole		caller;
	List	   *units;
	ListCell   *lc;
	int			seq = 0;

	(void) get_on_error(fcinfo);
	(void) get_parallel(fcinfo);
	InitMaterializedSRF(fcinfo, 0);
	options.consistent = flag_argument(fcinfo, ARG_CONSISTENT);

	wh_become_owner(&caller);
	get_request(fcinfo, &request);
	get_rules(fcinfo, &request);
	units = get_units(fcinfo, &request);
	foreach(lc, units)
	{
		WhUnit	   *unit = (WhUnit *) lfirst(lc);

		unit->rules.may_refill = wh_may_refill(unit, units, &options);
		put_plan(rsinfo, ++seq, unit);
	}
	wh_role_leave(&caller);

	return (Datum) 0;
}

/*
 * CALL _wh.run_refresh(template, tenant, from_date, to_date)
 *
 * A procedure of C code could commit its caller's block, so it asks first
 * whether it may.
 */
Datum
wh_run_refresh(PG_FUNCTION_ARGS)
{
	CallContext *context = castNode(CallContext, fcinfo->context);
	WhRunOptions options = {.parallel = wh_max_workers,.commits = true};
	Report		report = {0};
	MemoryContext job;
	WhRequest	request = {0};
	WhRole		caller;
	List	   *units;
	bool		replayed;
	bool		published;

	if (context->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("run_refresh cannot be called inside a transaction block"),
				 errdetail("It commits every unit by itself."),
				 errhint("CALL it on its own, or SELECT * FROM _wh.wh_refresh(...) inside a transaction.")));

	/* The units outlive the transactions that they run in. */
	job = AllocSetContextCreate(PortalContext, "pg_warehouse job", ALLOCSET_DEFAULT_SIZES);
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	MemoryContextSwitchTo(job);
	options.session_path = wh_owner_session_path();

	wh_become_owner(&caller);
	get_request(fcinfo, &request);
	replayed = wh_schedule_replayed();
	if (replayed)
		log_replay(fcinfo);
	request.recheck = true;
	request.scheduled = true;
	units = replayed ? NIL : wh_units(&request);
	wh_role_leave(&caller);

	/* Keep no snapshot back while others work. */
	SPI_commit();
	published = wh_publish_committed(wh_run_units(units, &options, report_run, &report));

	SPI_finish();
	if (report.failed > 0 || !published)
		raise_failures(&report, list_length(units));

	PG_RETURN_VOID();
}

/*
 * Read the arguments that say which units are meant.
 */
static void
get_request(FunctionCallInfo fcinfo, WhRequest *request)
{
	request->has_from = !PG_ARGISNULL(ARG_FROM);
	request->has_to = !PG_ARGISNULL(ARG_TO);
	if (request->has_from)
		request->from = PG_GETARG_DATEADT(ARG_FROM);
	if (request->has_to)
		request->to = PG_GETARG_DATEADT(ARG_TO);
	wh_request_resolve(request, text_argument(fcinfo, ARG_TEMPLATE),
					   text_argument(fcinfo, ARG_TENANT));
}

/*
 * List the units, those that share a snapshot next to each other.
 */
static List *
get_units(FunctionCallInfo fcinfo, const WhRequest *request)
{
	List	   *units = wh_units(request);

	if (flag_argument(fcinfo, ARG_CONSISTENT))
		wh_units_by_tenant_day(units);

	return units;
}

/*
 * Read what wh_refresh and wh_plan want of every unit.  A template that is
 * named has its old slices brought to its present version, too.
 */
static void
get_rules(FunctionCallInfo fcinfo, WhRequest *request)
{
	request->rules.method = forced_method(fcinfo);
	request->rules.prove = flag_argument(fcinfo, ARG_PROVE);
	request->rules.accept_shrink = flag_argument(fcinfo, ARG_ACCEPT_SHRINK);
	request->old_versions = !PG_ARGISNULL(ARG_TEMPLATE);
}

/*
 * Read the method that the caller wants, if any.
 */
static WhMethod
forced_method(FunctionCallInfo fcinfo)
{
	const char *word = text_argument(fcinfo, ARG_METHOD);
	WhMethod	method = word == NULL ? WH_CHOOSE : wh_method_parse(word);

	if (word == NULL || method != WH_CHOOSE)
		return method;

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown method \"%s\"", word),
			 errdetail("It is one of first_fill, delta, refill, upsert and live."),
			 errhint("Leave it out: the method is chosen per unit.")));
}

/*
 * Read how many workers may be used; NULL means what the setting says.
 */
static int
get_parallel(FunctionCallInfo fcinfo)
{
	int			parallel;

	if (PG_ARGISNULL(ARG_PARALLEL))
		return wh_max_workers;

	parallel = PG_GETARG_INT32(ARG_PARALLEL);
	if (parallel < 0 || parallel > MAX_PARALLEL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("parallel must be between 0 and %d, not %d", MAX_PARALLEL, parallel),
				 errhint("Leave it out for pg_warehouse.max_workers; 0 keeps all in this transaction.")));

	return parallel;
}

static OnError
get_on_error(FunctionCallInfo fcinfo)
{
	const char *word = text_argument(fcinfo, ARG_ON_ERROR);

	if (word == NULL || strcmp(word, "report") == 0)
		return ON_ERROR_REPORT;
	if (strcmp(word, "stop") == 0)
		return ON_ERROR_STOP;
	if (strcmp(word, "raise") == 0)
		return ON_ERROR_RAISE;

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown on_error \"%s\"", word),
			 errhint("Use report, stop or raise.")));
}

/*
 * Return a boolean argument; SQL NULL is false.
 */
static bool
flag_argument(FunctionCallInfo fcinfo, int arg)
{
	return !PG_ARGISNULL(arg) && PG_GETARG_BOOL(arg);
}

/*
 * Return a text argument, or NULL for SQL NULL.
 */
static char *
text_argument(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/*
 * Take note of a unit that was run.
 */
static void
report_run(void *arg, const WhUnit *unit, const WhRun *run)
{
	Report	   *report = (Report *) arg;

	if (report->rsinfo != NULL)
		put_run(report->rsinfo, run);
	if (run->error == NULL)
		return;

	/* Nobody asked for a recheck: the data of the job itself is there. */
	if (unit->purpose == WH_RECHECK)
		wh_run_warn(run);
	else if (report->failed++ == 0)
		report->first_failure = *run;
}

/*
 * Return one row of wh_refresh() for a unit that was run.
 */
static void
put_run(ReturnSetInfo *rsinfo, const WhRun *run)
{
	bool		loaded = strcmp(run->status, "loaded") == 0;
	Datum		values[17] = {0};
	bool		nulls[17] = {0};

	values[0] = CStringGetTextDatum(run->template_name);
	values[1] = CStringGetTextDatum(run->tenant_name);
	values[2] = DateADTGetDatum(run->period->start);
	values[3] = CStringGetTextDatum(run->status);
	values[14] = Int64GetDatum(run->run_id);

	if (loaded)
	{
		values[4] = CStringGetTextDatum(run->method);
		values[5] = Int64GetDatum(run->rows_extracted);
		values[6] = Int64GetDatum(run->rows_inserted);
		values[7] = Int64GetDatum(run->rows_updated);
		values[8] = Int64GetDatum(run->rows_deleted);
		values[9] = Int64GetDatum(run->rows_unchanged);
		values[10] = Int64GetDatum(run->bytes);
		values[11] = Float8GetDatum(run->fetch_ms);
		values[12] = Float8GetDatum(run->load_ms);
		values[13] = Float8GetDatum(run->lock_ms);
	}
	else
		memset(&nulls[4], true, 10);

	nulls[15] = run->error == NULL;
	if (run->error != NULL)
		values[15] = CStringGetTextDatum(unpack_sql_state(run->error->sqlerrcode));
	nulls[16] = run->error == NULL && run->reason == NULL;
	if (!nulls[16])
		values[16] = CStringGetTextDatum(run->error ? run->error->message : run->reason);

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * Return one row of wh_refresh() for a unit of a dry run.
 */
static void
put_planned(ReturnSetInfo *rsinfo, const WhUnit *unit)
{
	const char *reason = wh_unit_held_up(unit);
	Datum		values[17] = {0};
	bool		nulls[17];

	memset(nulls, true, sizeof(nulls));
	nulls[0] = nulls[1] = nulls[2] = nulls[3] = false;
	nulls[16] = reason == NULL;
	values[0] = CStringGetTextDatum(unit->tmpl->name);
	values[1] = CStringGetTextDatum(unit->tenant->name);
	values[2] = DateADTGetDatum(unit->period.start);
	values[3] = CStringGetTextDatum(reason ? "skipped" : "planned");
	if (reason != NULL)
		values[16] = CStringGetTextDatum(reason);

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * Return one row of wh_plan().
 */
static void
put_plan(ReturnSetInfo *rsinfo, int seq, const WhUnit *unit)
{
	const WhSlice *slice = wh_slice_covering(unit->tmpl->name, unit->tenant->name,
											 unit->period.start);
	WhMatviewPlan plan;
	const char *condition = NULL;
	const char *kept_out = wh_unit_held_up(unit);
	Datum		values[8] = {0};
	bool		nulls[8] = {0};

	if (wh_template_is_incremental(unit->tmpl))
		condition = wh_sync_plan(unit->tmpl, unit->tenant, &unit->days, &unit->rules, &plan);
	else if (wh_template_is_live(unit->tmpl))
		wh_live_plan(unit->tmpl, unit->tenant, &unit->rules, &plan);
	else if (slice != NULL && slice->period.kind != unit->period.kind &&
			 OidIsValid(wh_slice_relid(slice)))
		wh_rolledday_plan(unit->tmpl, unit->tenant, &unit->period, slice,
						  &unit->rules, &plan);
	else
		wh_matview_plan(unit->tmpl, unit->tenant, &unit->period, &unit->rules, &plan);
	if (kept_out != NULL)
	{
		plan.method = WH_CHOOSE;
		plan.sql = NULL;
		plan.locks = "none";
		plan.reason = unit->begun ? psprintf("skipped: %s", kept_out) :
			"skipped: the day has not begun in the tenant's time zone";
	}

	values[0] = Int32GetDatum(seq);
	values[1] = CStringGetTextDatum(unit->tenant->name);
	nulls[2] = wh_template_is_local(unit->tmpl) || wh_template_is_live(unit->tmpl);
	if (!nulls[2])
		values[2] = CStringGetTextDatum(wh_fetch_sql(unit->tmpl, unit->tenant, &unit->period,
													 condition));
	nulls[3] = plan.sql == NULL;
	if (plan.sql != NULL)
		values[3] = CStringGetTextDatum(plan.sql);
	values[4] = CStringGetTextDatum(plan.relation);
	values[5] = CStringGetTextDatum(plan.locks);
	values[6] = CStringGetTextDatum(plan_note(&plan));
	nulls[7] = plan.method == WH_CHOOSE;
	if (plan.method != WH_CHOOSE)
		values[7] = CStringGetTextDatum(wh_method_name(plan.method));

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * Say why that method; only the rows can tell whether a delta ends as one.
 */
static char *
plan_note(const WhMatviewPlan *plan)
{
	if (plan->method != WH_DELTA)
		return pstrdup(plan->reason);

	return psprintf("%s: writes what differs%s", plan->reason,
					plan->may_go_over ?
					"; a refill when more than 10 % of the rows do, or than fit into pg_warehouse.delta_memory" :
					"");
}

/*
 * Raise what a job's scheduler, or on_error => 'raise', is told at the end.
 */
static void
raise_failures(const Report *report, int total)
{
	const WhRun *first = &report->first_failure;

	if (report->failed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("refresh loaded every unit, but a view could not be rebuilt"),
				 errhint("SELECT * FROM _wh.v_recent_failures;")));
	ereport(ERROR,
			(errcode(first->error->sqlerrcode),
			 errmsg("refresh failed for %d of %d units", report->failed, total),
			 errdetail("The first, tenant \"%s\"%s%s: %s", first->tenant_name,
					   first->period->kind == WH_WHOLE ? "" : " on ",
					   first->period->kind == WH_WHOLE ? "" : wh_date_text(first->period->start),
					   first->error->message),
			 errhint("SELECT * FROM _wh.v_recent_failures;")));
}

/*
 * Tell the log of a tick that came late and in vain.
 */
static void
log_replay(FunctionCallInfo fcinfo)
{
	WhRun		run = {0};

	run.template_name = text_argument(fcinfo, ARG_TEMPLATE);
	run.tenant_name = text_argument(fcinfo, ARG_TENANT);
	wh_run_start(&run, "refresh");
	run.status = "skipped";
	run.reason = "this job has already been started since it was last due";
	wh_run_finish(&run);
}

/*
 * Rebuild the views; see dba.h.
 */
bool
wh_publish_committed(List *templates)
{
	WhRole		caller;
	bool		ok;

	PushActiveSnapshot(GetTransactionSnapshot());
	wh_become_owner(&caller);
	ok = wh_publish(templates);
	wh_role_leave(&caller);
	PopActiveSnapshot();
	SPI_commit();

	return ok;
}
