/*
 * replay.c
 *		_wh.replay(): load an extract of the archive again.
 *
 * A unit like any other, whose rows come from a file.  It contains an error as
 * the other functions that answer with jsonb do; only an argument that names
 * no extract is an ERROR.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"

#include "dispatch.h"
#include "guc.h"
#include "refresh.h"
#include "settings.h"
#include "upload.h"

PG_FUNCTION_INFO_V1(wh_replay);

static const WhUpload *find_upload(int64 run_id);
static void describe_run(void *arg, const WhUnit *unit, const WhRun *run);

/*
 * _wh.replay(run_id bigint) returns jsonb
 */
Datum
wh_replay(PG_FUNCTION_ARGS)
{
	WhRunOptions options = {.parallel = wh_max_workers};
	const WhUpload *upload;
	const WhTemplate *tmpl;
	StringInfoData json;
	WhUnit	   *unit;
	WhRole		caller;

	initStringInfo(&json);
	options.session_path = wh_owner_session_path();

	wh_become_owner(&caller);
	upload = find_upload(PG_GETARG_INT64(0));
	tmpl = wh_template(upload->template_name);
	unit = wh_unit_make(tmpl, wh_tenant(upload->tenant_name),
						wh_template_is_daily(tmpl) ?
						wh_period_day(upload->period_start) : wh_period_whole(), true);
	unit->replays = upload->run_id;
	unit->named = true;
	unit->rules.accept_shrink = true;
	(void) wh_publish(wh_run_units(list_make1(unit), &options, describe_run, &json));
	wh_role_leave(&caller);

	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data)));
}

/*
 * Find what the archive has of a run.
 */
static const WhUpload *
find_upload(int64 run_id)
{
	const WhUpload *upload = wh_upload(run_id);

	if (upload == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the log has no run " INT64_FORMAT " of a template and tenant", run_id),
				 errhint("SELECT run_id, table_name, period_start, csv_path FROM _wh.extract_runs WHERE csv_path IS NOT NULL;")));
	if (upload->archived.path == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the archive has no extract of run " INT64_FORMAT, run_id),
				 errdetail("Tenant \"%s\", template \"%s\", %s.", upload->tenant_name,
						   upload->template_name,
						   DATE_NOT_FINITE(upload->period_start) ? "all" :
						   psprintf("day %s", wh_date_text(upload->period_start))),
				 errhint("SELECT run_id, table_name, period_start, csv_path FROM _wh.extract_runs WHERE csv_path IS NOT NULL;")));

	return upload;
}

/*
 * Write how it ended.
 */
static void
describe_run(void *arg, const WhUnit *unit, const WhRun *run)
{
	StringInfo	json = (StringInfo) arg;

	appendStringInfo(json, "{\"run_id\": " INT64_FORMAT ", \"replays\": " INT64_FORMAT
					 ", \"template\": ", run->run_id, unit->replays);
	escape_json(json, run->template_name);
	appendStringInfoString(json, ", \"tenant\": ");
	escape_json(json, run->tenant_name);
	if (unit->period.kind == WH_WHOLE)
		appendStringInfoString(json, ", \"date\": null");
	else
		appendStringInfo(json, ", \"date\": \"%s\"", wh_date_text(unit->period.start));
	appendStringInfo(json, ", \"status\": \"%s\"", run->status);
	if (run->error != NULL)
	{
		appendStringInfoString(json, ", \"error\": ");
		wh_run_error_json(json, run);
	}
	else if (run->reason != NULL)
	{
		appendStringInfoString(json, ", \"reason\": ");
		escape_json(json, run->reason);
	}
	else
		appendStringInfo(json, ", \"method\": \"%s\", \"rows\": " INT64_FORMAT
						 ", \"rows_inserted\": " INT64_FORMAT ", \"rows_updated\": " INT64_FORMAT
						 ", \"rows_deleted\": " INT64_FORMAT ", \"rows_unchanged\": " INT64_FORMAT,
						 run->method, run->rows_extracted, run->rows_inserted,
						 run->rows_updated, run->rows_deleted, run->rows_unchanged);
	appendStringInfoChar(json, '}');
	if (strcmp(run->status, "loaded") != 0)
		wh_run_warn(run);
}
