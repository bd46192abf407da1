/*
 * tracking.c
 *		Syncs of outside services, told by themselves: start_sync() ...
 *		fail_sync(), last_sync_time().
 *
 * A sync is a row of the log like any run of ours, so one view shows both.
 * Services pool connections: a sync belongs to no session, and is given up as
 * lost only when its service has said nothing for as long as it promised.  What
 * it says later still counts.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "run.h"
#include "settings.h"
#include "spi.h"

/* Key of the metadata by which a service names itself. */
#define INSTANCE_KEY "service_instance"

PG_FUNCTION_INFO_V1(wh_start_sync);
PG_FUNCTION_INFO_V1(wh_update_sync_progress);
PG_FUNCTION_INFO_V1(wh_complete_sync);
PG_FUNCTION_INFO_V1(wh_fail_sync);
PG_FUNCTION_INFO_V1(wh_last_sync_time);

static void check_sync_type(const char *sync_type);
static Jsonb *get_metadata(FunctionCallInfo fcinfo, int arg);
static char *instance_of(Jsonb *metadata);
static void get_report(FunctionCallInfo fcinfo, WhSyncReport *report);
static void need_argument(FunctionCallInfo fcinfo, int arg, const char *name);
static void check_category(const char *category);
static WhSync *need_sync(int64 run_id);
static void refuse_ended(int64 run_id, const char *wanted);

/*
 * _wh.start_sync(sync_type text, metadata jsonb, expect_within interval)
 *		returns bigint
 */
Datum
wh_start_sync(PG_FUNCTION_ARGS)
{
	char	   *sync_type;
	Jsonb	   *metadata = get_metadata(fcinfo, 1);
	Interval   *expect_within;
	Interval	none = {0};
	WhRole		caller;
	int64		run_id;

	need_argument(fcinfo, 0, "sync_type");
	need_argument(fcinfo, 2, "expect_within");
	sync_type = text_to_cstring(PG_GETARG_TEXT_PP(0));
	expect_within = PG_GETARG_INTERVAL_P(2);
	if (!DatumGetBool(DirectFunctionCall2(interval_gt,
										  IntervalPGetDatum(expect_within),
										  IntervalPGetDatum(&none))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("expect_within must be longer than nothing"),
				 errdetail("Sync type \"%s\".", sync_type),
				 errhint("Give the longest time that can pass between two reports of progress.")));

	wh_become_owner(&caller);
	check_sync_type(sync_type);
	run_id = wh_sync_start(sync_type, metadata, expect_within, instance_of(metadata));
	if (run_id == 0)
	{
		WhSync	   *running = wh_sync_running(sync_type);

		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("sync \"%s\" is already running", sync_type),
				 running == NULL ? 0 :
				 errdetail("Sync " INT64_FORMAT " of instance \"%s\".",
						   running->run_id, running->service_instance),
				 running == NULL ? errhint("Start it again.") :
				 errhint("Where that one is dead: SELECT _wh.fail_sync(" INT64_FORMAT ", '...');",
						 running->run_id)));
	}
	wh_role_leave(&caller);

	PG_RETURN_INT64(run_id);
}

/*
 * _wh.update_sync_progress(sync_id bigint, records bigint,
 *		latest_timestamp timestamptz)
 */
Datum
wh_update_sync_progress(PG_FUNCTION_ARGS)
{
	WhSyncReport report = {0};
	const WhSync *sync;
	WhRole		caller;

	get_report(fcinfo, &report);

	wh_become_owner(&caller);
	if (!wh_sync_progress(&report))
		refuse_ended(report.run_id, NULL);
	sync = need_sync(report.run_id);
	if (strcmp(sync->status, "lost") == 0)
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("sync \"%s\" was given up as lost", sync->sync_type),
				 errdetail("Another one was started since sync " INT64_FORMAT ".", sync->run_id),
				 errhint("Complete it all the same where its records are in place.")));
	wh_role_leave(&caller);

	PG_RETURN_VOID();
}

/*
 * _wh.complete_sync(sync_id bigint, records bigint,
 *		latest_timestamp timestamptz, metadata jsonb)
 */
Datum
wh_complete_sync(PG_FUNCTION_ARGS)
{
	WhSyncReport report = {0};
	WhRole		caller;

	get_report(fcinfo, &report);
	report.metadata = get_metadata(fcinfo, 3);

	wh_become_owner(&caller);
	if (!wh_sync_complete(&report))
		refuse_ended(report.run_id, "loaded");
	wh_role_leave(&caller);

	PG_RETURN_VOID();
}

/*
 * _wh.fail_sync(sync_id bigint, message text, category text)
 */
Datum
wh_fail_sync(PG_FUNCTION_ARGS)
{
	char	   *category = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	WhRole		caller;
	int64		run_id;

	need_argument(fcinfo, 0, "sync_id");
	need_argument(fcinfo, 1, "message");
	check_category(category);
	run_id = PG_GETARG_INT64(0);

	wh_become_owner(&caller);
	if (!wh_sync_fail(run_id, text_to_cstring(PG_GETARG_TEXT_PP(1)), category))
		refuse_ended(run_id, "failed");
	wh_role_leave(&caller);

	PG_RETURN_VOID();
}

/*
 * _wh.last_sync_time(sync_type text) returns timestamptz
 */
Datum
wh_last_sync_time(PG_FUNCTION_ARGS)
{
	WhArg		arg = wh_text(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	TimestampTz last = DT_NOBEGIN;
	WhRole		caller;

	wh_become_owner(&caller);
	SPI_connect();
	if (wh_spi(SPI_OK_SELECT,
			   "SELECT last_sync_timestamp FROM _wh.sync_status"
			   " WHERE sync_type OPERATOR(pg_catalog.=) $1", &arg, 1) > 0)
		last = wh_col_timestamptz(0, 1, DT_NOBEGIN);
	SPI_finish();
	wh_role_leave(&caller);

	if (last == DT_NOBEGIN)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(last);
}

/*
 * Refuse names that the views could not tell apart from our own.
 */
static void
check_sync_type(const char *sync_type)
{
	WhArg		arg = wh_text(sync_type);
	bool		ours;

	if (sync_type[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("sync type must not be empty"),
				 errhint("Name what is synced, such as 'main_submissions'.")));

	SPI_connect();
	ours = wh_spi(SPI_OK_SELECT,
				  "SELECT FROM _wh.v_pairs"
				  " WHERE table_name OPERATOR(pg_catalog.=) $1", &arg, 1) > 0;
	SPI_finish();
	if (ours)
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("sync type \"%s\" is a table of the warehouse", sync_type),
				 errdetail("Its own runs are shown under that name."),
				 errhint("Choose another name.")));
}

/*
 * Return metadata, or NULL for none; it is merged later, so it is an object.
 */
static Jsonb *
get_metadata(FunctionCallInfo fcinfo, int arg)
{
	Jsonb	   *metadata;

	if (PG_ARGISNULL(arg))
		return NULL;

	metadata = PG_GETARG_JSONB_P(arg);
	if (!JB_ROOT_IS_OBJECT(metadata))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("metadata of a sync must be a JSON object"),
				 errhint("Such as '{\"form\": \"v3\"}'.")));

	return metadata;
}

/*
 * Name who syncs: as the metadata says, else by what the connection tells.
 */
static char *
instance_of(Jsonb *metadata)
{
	MemoryContext caller = CurrentMemoryContext;
	JsonbValue	buffer;
	JsonbValue *named = NULL;
	char	   *host;

	if (metadata != NULL)
		named = getKeyJsonValueFromContainer(&metadata->root, INSTANCE_KEY,
											 strlen(INSTANCE_KEY), &buffer);
	if (named != NULL && named->type == jbvString)
		return pnstrdup(named->val.string.val, named->val.string.len);

	SPI_connect();
	(void) wh_spi(SPI_OK_SELECT, "SELECT pg_catalog.host(pg_catalog.inet_client_addr())",
				  NULL, 0);
	MemoryContextSwitchTo(caller);
	host = wh_col_text(0, 1);
	SPI_finish();

	return psprintf("%s/%s/%d",
					application_name != NULL && application_name[0] != '\0' ?
					application_name : GetUserNameFromId(GetOuterUserId(), false),
					host != NULL ? host : "local", MyProcPid);
}

static void
get_report(FunctionCallInfo fcinfo, WhSyncReport *report)
{
	need_argument(fcinfo, 0, "sync_id");
	need_argument(fcinfo, 1, "records");
	report->run_id = PG_GETARG_INT64(0);
	report->records = PG_GETARG_INT64(1);
	report->has_latest = !PG_ARGISNULL(2);
	if (report->has_latest)
		report->latest = PG_GETARG_TIMESTAMPTZ(2);

	if (report->records < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("records must not be negative"),
				 errdetail("Sync " INT64_FORMAT ", records " INT64_FORMAT ".",
						   report->run_id, report->records),
				 errhint("Give the number of records processed since its start.")));
}

static void
need_argument(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name),
				 errhint("See \\df _wh.*sync*.")));
}

/*
 * The log's words, which wh_error_category() uses for our own runs.
 */
static void
check_category(const char *category)
{
	static const char *const categories[] = {
		"network", "authentication", "source", "data", "storage", "local",
		"cancelled"
	};

	if (category == NULL)
		return;
	for (Size i = 0; i < lengthof(categories); i++)
	{
		if (strcmp(category, categories[i]) == 0)
			return;
	}

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown error category \"%s\"", category),
			 errhint("Use network, authentication, source, data, storage, local or cancelled, or leave it out.")));
}

static WhSync *
need_sync(int64 run_id)
{
	WhSync	   *sync = wh_sync_find(run_id);

	if (sync == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("sync " INT64_FORMAT " does not exist", run_id),
				 errhint("SELECT _wh.start_sync('...') tells its number.")));

	return sync;
}

/*
 * Say why a report was not taken.  A service that repeats its last word,
 * because the answer was lost on the way, gets a NOTICE.
 */
static void
refuse_ended(int64 run_id, const char *wanted)
{
	const WhSync *sync = need_sync(run_id);

	if (wanted != NULL && strcmp(sync->status, wanted) == 0)
	{
		ereport(NOTICE,
				(errmsg("sync \"%s\" has ended so before, nothing changes", sync->sync_type)));
		return;
	}

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("sync \"%s\" has ended", sync->sync_type),
			 errdetail("Sync " INT64_FORMAT ", status %s.", run_id, sync->status),
			 errhint("SELECT _wh.start_sync(%s);", quote_literal_cstr(sync->sync_type))));
}
