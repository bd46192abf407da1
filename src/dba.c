/*
 * dba.c
 *		The DBA's verbs: wh_refresh, wh_plan and the procedure that jobs call.
 *
 * wh_refresh runs its units in the caller's transaction, each contained.
 * run_refresh commits each unit with its row of the log and raises at the end,
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

#include "fetch.h"
#include "matview.h"
#include "names.h"
#include "refresh.h"
#include "settings.h"
#include "slice.h"
#include "spi.h"

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

typedef enum OnError
{
	ON_ERROR_REPORT,
	ON_ERROR_STOP,
	ON_ERROR_RAISE
} OnError;

PG_FUNCTION_INFO_V1(wh_refresh);
PG_FUNCTION_INFO_V1(wh_plan);
PG_FUNCTION_INFO_V1(wh_run_refresh);

static void get_request(FunctionCallInfo fcinfo, WhRequest *request);
static void check_not_built(FunctionCallInfo fcinfo);
static WhMethod forced_method(FunctionCallInfo fcinfo);
static void not_built(const char *what);
static OnError get_on_error(FunctionCallInfo fcinfo);
static char *text_argument(FunctionCallInfo fcinfo, int arg);
static void put_run(ReturnSetInfo *rsinfo, const WhRun *run);
static void put_planned(ReturnSetInfo *rsinfo, const WhUnit *unit);
static void put_plan(ReturnSetInfo *rsinfo, int seq, const WhUnit *unit);
static void raise_failures(int failed, int total, const WhRun *first);
static bool run_committed(const WhUnit *unit, WhRun *run);
static bool publish_committed(List *templates);

/*
 * _wh.wh_refresh(template, tenant, from_date, to_date, parallel, dry_run,
 * on_error, method, prove, consistent, accept_shrink) returns setof
 */
Datum
wh_refresh(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	OnError		on_error = get_on_error(fcinfo);
	bool		dry_run = !PG_ARGISNULL(ARG_DRY_RUN) && PG_GETARG_BOOL(ARG_DRY_RUN);
	WhRequest	request = {0};
	WhRole		caller;
	WhRun		first_failure;
	List	   *touched = NIL;
	List	   *units;
	ListCell   *lc;
	int			failed = 0;
	bool		published;

	check_not_built(fcinfo);
	InitMaterializedSRF(fcinfo, 0);

	wh_become_owner(&caller);
	get_request(fcinfo, &request);
	request.method = forced_method(fcinfo);
	units = wh_units(&request, true);
	foreach(lc, units)
	{
		const WhUnit *unit = (const WhUnit *) lfirst(lc);
		WhRun		run;

		CHECK_FOR_INTERRUPTS();
		if (dry_run)
		{
			put_planned(rsinfo, unit);
			continue;
		}

		wh_unit_run(unit, &run);
		put_run(rsinfo, &run);
		touched = wh_touch(touched, unit, &run);
		if (run.error == NULL)
			continue;
		if (failed++ == 0)
			first_failure = run;
		if (on_error == ON_ERROR_STOP)
			break;
	}
	published = wh_publish(touched);
	wh_role_leave(&caller);

	if (on_error == ON_ERROR_RAISE)
	{
		if (failed > 0)
			raise_failures(failed, list_length(units), &first_failure);
		if (!published)
			raise_failures(0, 0, NULL);
	}

	return (Datum) 0;
}

/*
 * _wh.wh_plan(<arguments of wh_refresh>) returns setof
 */
Datum
wh_plan(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	WhRequest	request = {0};
	WhRole		caller;
	ListCell   *lc;
	int			seq = 0;

	(void) get_on_error(fcinfo);
	check_not_built(fcinfo);
	InitMaterializedSRF(fcinfo, 0);

	wh_become_owner(&caller);
	get_request(fcinfo, &request);
	request.method = forced_method(fcinfo);
	foreach(lc, wh_units(&request, false))
		put_plan(rsinfo, ++seq, (const WhUnit *) lfirst(lc));
	wh_role_leave(&caller);

	return (Datum) 0;
}

/*
 * CALL _wh.run_refresh(template, tenant, from_date, to_date)
 *
 * Each unit is two transactions: one that tells the log that it begins, one
 * that does it.  A procedure of C code could commit its caller's block, so it
 * asks first whether it may.
 */
Datum
wh_run_refresh(PG_FUNCTION_ARGS)
{
	CallContext *context = castNode(CallContext, fcinfo->context);
	MemoryContext job;
	WhRequest	request = {0};
	WhRun		first_failure;
	WhRole		caller;
	List	   *touched = NIL;
	List	   *units;
	ListCell   *lc;
	int			failed = 0;
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

	wh_become_owner(&caller);
	get_request(fcinfo, &request);
	units = wh_units(&request, false);
	wh_role_leave(&caller);

	foreach(lc, units)
	{
		const WhUnit *unit = (const WhUnit *) lfirst(lc);
		WhRun		run;

		CHECK_FOR_INTERRUPTS();
		if (!run_committed(unit, &run) && failed++ == 0)
			first_failure = run;
		MemoryContextSwitchTo(job);
		touched = wh_touch(touched, unit, &run);
	}
	published = publish_committed(touched);

	SPI_finish();
	if (failed > 0)
		raise_failures(failed, list_length(units), &first_failure);
	if (!published)
		raise_failures(0, 0, NULL);

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
 * Answer what a later version brings.
 */
static void
check_not_built(FunctionCallInfo fcinfo)
{
	int			parallel = PG_ARGISNULL(ARG_PARALLEL) ? 0 : PG_GETARG_INT32(ARG_PARALLEL);

	if (parallel < 0 || parallel > 1000)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("parallel must be between 0 and 1000, not %d", parallel)));
	if (parallel > 0)
		not_built("parallel > 0");

	if (!PG_ARGISNULL(ARG_PROVE) && PG_GETARG_BOOL(ARG_PROVE))
		not_built("prove");
	if (!PG_ARGISNULL(ARG_CONSISTENT) && PG_GETARG_BOOL(ARG_CONSISTENT))
		not_built("consistent");
	if (!PG_ARGISNULL(ARG_ACCEPT_SHRINK) && PG_GETARG_BOOL(ARG_ACCEPT_SHRINK))
		not_built("accept_shrink");
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

	if (strcmp(word, "upsert") == 0 || strcmp(word, "live") == 0)
		not_built("forcing this method");
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown method \"%s\"", word),
			 errdetail("It is one of first_fill, delta and refill."),
			 errhint("Leave it out: the method is chosen per unit.")));
}

static void
not_built(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s is not built yet", what)));
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
 * Return a text argument, or NULL for SQL NULL.
 */
static char *
text_argument(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
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
	Datum		values[17] = {0};
	bool		nulls[17];

	memset(nulls, true, sizeof(nulls));
	nulls[0] = nulls[1] = nulls[2] = nulls[3] = false;
	values[0] = CStringGetTextDatum(unit->tmpl->name);
	values[1] = CStringGetTextDatum(unit->tenant->name);
	values[2] = DateADTGetDatum(unit->period.start);
	values[3] = CStringGetTextDatum(unit->begun ? "planned" : "skipped");

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * Return one row of wh_plan().
 */
static void
put_plan(ReturnSetInfo *rsinfo, int seq, const WhUnit *unit)
{
	const WhSlice *slice = wh_slice_find(unit->tmpl->name, unit->tenant->name, &unit->period);
	bool		there = slice != NULL && OidIsValid(wh_slice_relid(slice));
	char	   *name = wh_slice_name(unit->tmpl->name, &unit->period);
	const char *relation = quote_qualified_identifier(unit->tenant->schema, name);
	const char *note = there ? "write what differs" : "create and fill";
	Datum		values[7] = {0};
	bool		nulls[7] = {0};

	if (!unit->begun)
		note = "skipped: the day has not begun in the tenant's time zone";

	values[0] = Int32GetDatum(seq);
	values[1] = CStringGetTextDatum(unit->tenant->name);
	values[2] = CStringGetTextDatum(wh_fetch_sql(unit->tmpl, unit->tenant, &unit->period));
	values[3] = CStringGetTextDatum(there
									? psprintf("REFRESH MATERIALIZED VIEW %s", relation)
									: wh_matview_sql(unit->tmpl, unit->tenant, &unit->period));
	values[4] = CStringGetTextDatum(relation);
	values[5] = CStringGetTextDatum(there
									? psprintf("RowExclusiveLock on %s; AccessExclusiveLock at the end of a refill", relation)
									: "AccessExclusiveLock on the new relation only");
	values[6] = CStringGetTextDatum(note);

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * Raise what a job's scheduler, or on_error => 'raise', is told at the end.
 */
static void
raise_failures(int failed, int total, const WhRun *first)
{
	if (failed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("refresh loaded every unit, but a view could not be rebuilt"),
				 errhint("SELECT * FROM _wh.v_recent_failures;")));
	ereport(ERROR,
			(errcode(first->error->sqlerrcode),
			 errmsg("refresh failed for %d of %d units", failed, total),
			 errdetail("The first, tenant \"%s\" on %s: %s",
					   first->tenant_name, wh_date_text(first->period->start),
					   first->error->message),
			 errhint("SELECT * FROM _wh.v_recent_failures;")));
}

/*
 * Run one unit in transactions of its own; false when it failed.
 */
static bool
run_committed(const WhUnit *unit, WhRun *run)
{
	WhRole		caller;

	PushActiveSnapshot(GetTransactionSnapshot());
	wh_become_owner(&caller);
	wh_unit_start(unit, run);
	wh_role_leave(&caller);
	PopActiveSnapshot();
	SPI_commit();

	PushActiveSnapshot(GetTransactionSnapshot());
	wh_become_owner(&caller);
	wh_unit_work(unit, run);
	wh_role_leave(&caller);
	PopActiveSnapshot();
	SPI_commit();

	return run->error == NULL;
}

/*
 * Rebuild the views in a transaction of their own.
 */
static bool
publish_committed(List *templates)
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
