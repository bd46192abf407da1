/*
 * verbs.c
 *		The seeds' functions: one call, one boolean or one jsonb.
 *
 * They contain an error: it is logged, raised as a WARNING with the same text
 * and answered with false (or an error object).  A bad argument is an ERROR.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "depend.h"
#include "dispatch.h"
#include "guc.h"
#include "matview.h"
#include "refresh.h"
#include "settings.h"
#include "slice.h"
#include "spi.h"
#include "unionview.h"

PG_FUNCTION_INFO_V1(wh_current_date_utc);
PG_FUNCTION_INFO_V1(wh_create_mv_from_template);
PG_FUNCTION_INFO_V1(wh_update_mv_by_template);
PG_FUNCTION_INFO_V1(wh_update_mv_window_by_template);
PG_FUNCTION_INFO_V1(wh_update_tenant_union_view_by_template);
PG_FUNCTION_INFO_V1(wh_update_public_view_by_template);
PG_FUNCTION_INFO_V1(wh_rebuild_entire_warehouse);

/* What became of the units of one call. */
typedef struct Tally
{
	int			loaded;
	int			failed;
	int			skipped;
	int64		rows;
} Tally;

/* What a window or a rebuild says of its units. */
typedef struct Report
{
	Tally		counts;
	StringInfoData json;
} Report;

/* Arguments of a view function, for contained work. */
typedef struct ViewCall
{
	const WhTemplate *tmpl;
	const WhTenant *tenant;
} ViewCall;

static bool run_all(List *units, const char *session_path);
static List *run_units(List *units, const char *session_path,
					   WhOnResult on_result, void *arg);
static void warn_of_run(void *arg, const WhUnit *unit, const WhRun *run);
static void report_day(void *arg, const WhUnit *unit, const WhRun *run);
static void report_error(void *arg, const WhUnit *unit, const WhRun *run);
static void tally(Tally *counts, const WhRun *run);
static void append_day(StringInfo json, const WhUnit *unit, const WhRun *run);
static bool contained_view(void (*work) (WhRun *, void *), ViewCall *call);
static void build_tenant_view(WhRun *run, void *arg);
static void build_public_view(WhRun *run, void *arg);
static List *named_tenants(ArrayType *names);
static List *named_templates(ArrayType *names);
static List *strings_of(ArrayType *array);
static List *rebuild_units(WhRequest *request);
static Datum jsonb_of(const char *json);

/*
 * _wh.current_date_utc() returns date
 */
Datum
wh_current_date_utc(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATEADT(wh_date_at(GetCurrentTransactionStartTimestamp(), "UTC"));
}

/*
 * _wh.create_mv_from_template(template, tenant, target_schema, target_date)
 * returns boolean
 */
Datum
wh_create_mv_from_template(PG_FUNCTION_ARGS)
{
	char	   *template_name;
	char	   *tenant_name;
	char	   *schema = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	WhRequest	request = {0};
	const WhTenant *tenant;
	WhPeriod	whole = wh_period_whole();
	const WhSlice *slice;
	const char *session_path;
	WhRole		caller;
	bool		ok = true;

	/* Not strict, for the sake of target_schema. */
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(3))
		PG_RETURN_NULL();

	template_name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	tenant_name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	request.has_from = request.has_to = true;
	request.from = request.to = PG_GETARG_DATEADT(3);
	session_path = wh_owner_session_path();

	wh_become_owner(&caller);
	wh_request_resolve(&request, template_name, tenant_name);
	tenant = (const WhTenant *) linitial(request.tenants);
	if (schema != NULL && strcmp(schema, tenant->schema) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("schema \"%s\" is not the schema of tenant \"%s\"",
						schema, tenant_name),
				 errhint("Leave target_schema out, or give '%s'.", tenant->schema)));

	slice = wh_template_is_daily((const WhTemplate *) linitial(request.templates))
		? wh_slice_covering(template_name, tenant_name, request.to)
		: wh_slice_find(template_name, tenant_name, &whole);
	if (slice != NULL && strcmp(slice->state, "empty") != 0 && wh_slice_is_populated(slice))
		ereport(NOTICE,
				(errmsg("%s \"%s.%s\" is already loaded",
						slice->period.kind == WH_DAY ? "slice" :
						slice->period.kind == WH_WHOLE ? "relation" : "roll-up",
						slice->relation_schema, slice->relation_name)));
	else
		ok = run_all(wh_units(&request), session_path);
	wh_role_leave(&caller);

	PG_RETURN_BOOL(ok);
}

/*
 * _wh.update_mv_by_template(template, tenant, target_date) returns boolean
 */
Datum
wh_update_mv_by_template(PG_FUNCTION_ARGS)
{
	char	   *template_name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *tenant_name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	WhRequest	request = {0};
	const char *session_path;
	WhRole		caller;
	bool		ok;

	request.has_to = true;
	request.to = PG_GETARG_DATEADT(2);
	session_path = wh_owner_session_path();

	wh_become_owner(&caller);
	wh_request_resolve(&request, template_name, tenant_name);
	ok = run_all(wh_units(&request), session_path);
	wh_role_leave(&caller);

	PG_RETURN_BOOL(ok);
}

/*
 * _wh.update_mv_window_by_template(template, tenant, from_date, to_date)
 * returns jsonb
 */
Datum
wh_update_mv_window_by_template(PG_FUNCTION_ARGS)
{
	char	   *template_name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *tenant_name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	WhRequest	request = {0};
	TimestampTz start = GetCurrentTimestamp();
	Report		report = {0};
	StringInfoData json;
	const char *session_path;
	WhRole		caller;

	request.has_from = request.has_to = true;
	request.from = PG_GETARG_DATEADT(2);
	request.to = PG_GETARG_DATEADT(3);
	session_path = wh_owner_session_path();

	initStringInfo(&report.json);
	wh_become_owner(&caller);
	wh_request_resolve(&request, template_name, tenant_name);
	(void) wh_publish(run_units(wh_units(&request), session_path, report_day, &report));
	wh_role_leave(&caller);

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"template\": ");
	escape_json(&json, template_name);
	appendStringInfoString(&json, ", \"tenant\": ");
	escape_json(&json, tenant_name);
	appendStringInfo(&json, ", \"days\": [%s], \"from\": \"%s\", \"to\": \"%s\"",
					 report.json.data, wh_date_text(request.from), wh_date_text(request.to));
	appendStringInfo(&json, ", \"loaded\": %d, \"failed\": %d, \"skipped\": %d, \"rows\": "
					 INT64_FORMAT ", \"duration_ms\": " INT64_FORMAT "}",
					 report.counts.loaded, report.counts.failed,
					 report.counts.skipped, report.counts.rows,
					 TimestampDifferenceMilliseconds(start, GetCurrentTimestamp()));

	PG_RETURN_DATUM(jsonb_of(json.data));
}

/*
 * _wh.update_tenant_union_view_by_template(template, tenant) returns boolean
 */
Datum
wh_update_tenant_union_view_by_template(PG_FUNCTION_ARGS)
{
	char	   *template_name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *tenant_name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	ViewCall	call;
	WhRole		caller;
	bool		ok;

	wh_become_owner(&caller);
	call.tmpl = wh_template(template_name);
	call.tenant = wh_tenant(tenant_name);
	ok = contained_view(build_tenant_view, &call);
	wh_role_leave(&caller);

	PG_RETURN_BOOL(ok);
}

/*
 * _wh.update_public_view_by_template(template) returns boolean
 */
Datum
wh_update_public_view_by_template(PG_FUNCTION_ARGS)
{
	char	   *template_name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	ViewCall	call = {0};
	WhRole		caller;
	bool		ok;

	wh_become_owner(&caller);
	call.tmpl = wh_template(template_name);
	ok = contained_view(build_public_view, &call);
	wh_role_leave(&caller);

	PG_RETURN_BOOL(ok);
}

/*
 * _wh.rebuild_entire_warehouse(from_date, to_date, tenants, templates,
 * dry_run, lost_only) returns jsonb
 */
Datum
wh_rebuild_entire_warehouse(PG_FUNCTION_ARGS)
{
	bool		dry_run = PG_GETARG_BOOL(4);
	WhRequest	request = {0};
	TimestampTz start = GetCurrentTimestamp();
	Report		report = {0};
	StringInfoData json;
	const char *session_path;
	WhRole		caller;
	List	   *units;

	request.has_from = !PG_ARGISNULL(0);
	request.has_to = !PG_ARGISNULL(1);
	request.from = request.has_from ? PG_GETARG_DATEADT(0) : 0;
	request.to = request.has_to ? PG_GETARG_DATEADT(1) : 0;
	request.newest_first = true;
	request.missing_only = true;
	session_path = wh_owner_session_path();
	request.lost_only = PG_GETARG_BOOL(5);

	initStringInfo(&report.json);
	wh_become_owner(&caller);
	request.tenants = PG_ARGISNULL(2)
		? wh_tenants_enabled() : named_tenants(PG_GETARG_ARRAYTYPE_P(2));
	request.templates = PG_ARGISNULL(3)
		? wh_templates_enabled() : named_templates(PG_GETARG_ARRAYTYPE_P(3));
	units = rebuild_units(&request);
	if (!dry_run)
		(void) wh_publish(run_units(units, session_path, report_error, &report));
	wh_role_leave(&caller);

	initStringInfo(&json);
	appendStringInfo(&json, "{\"dry_run\": %s, \"templates\": %d, \"tenants\": %d, \"units\": %d",
					 dry_run ? "true" : "false", list_length(request.templates),
					 list_length(request.tenants), list_length(units));
	appendStringInfo(&json, ", \"loaded\": %d, \"failed\": %d, \"skipped\": %d, \"rows\": "
					 INT64_FORMAT ", \"errors\": [%s], \"duration_ms\": " INT64_FORMAT "}",
					 report.counts.loaded, report.counts.failed, report.counts.skipped,
					 report.counts.rows, report.json.data,
					 TimestampDifferenceMilliseconds(start, GetCurrentTimestamp()));

	PG_RETURN_DATUM(jsonb_of(json.data));
}

/*
 * Run units one after another, then their views; true when every slice is
 * current and shown.
 */
static bool
run_all(List *units, const char *session_path)
{
	bool		ok = true;

	return wh_publish(run_units(units, session_path, warn_of_run, &ok)) && ok;
}

/*
 * Run units in workers, as far as settings let us.
 */
static List *
run_units(List *units, const char *session_path, WhOnResult on_result, void *arg)
{
	WhRunOptions options = {.parallel = wh_max_workers,.session_path = session_path};

	return wh_run_units(units, &options, on_result, arg);
}

static void
warn_of_run(void *arg, const WhUnit *unit, const WhRun *run)
{
	bool	   *ok = (bool *) arg;

	if (strcmp(run->status, "loaded") == 0)
		return;
	wh_run_warn(run);
	*ok = false;
}

static void
report_day(void *arg, const WhUnit *unit, const WhRun *run)
{
	Report	   *report = (Report *) arg;

	tally(&report->counts, run);
	if (report->json.len > 0)
		appendStringInfoString(&report->json, ", ");
	append_day(&report->json, unit, run);
}

static void
report_error(void *arg, const WhUnit *unit, const WhRun *run)
{
	Report	   *report = (Report *) arg;
	StringInfo	json = &report->json;

	tally(&report->counts, run);
	if (run->error == NULL)
		return;

	if (json->len > 0)
		appendStringInfoString(json, ", ");
	appendStringInfoString(json, "{\"template\": ");
	escape_json(json, run->template_name);
	appendStringInfoString(json, ", \"tenant\": ");
	escape_json(json, run->tenant_name);
	appendStringInfo(json, ", \"date\": \"%s\", \"error\": ",
					 wh_date_text(run->period->start));
	wh_run_error_json(json, run);
	appendStringInfoChar(json, '}');
}

static void
tally(Tally *counts, const WhRun *run)
{
	if (run->error != NULL)
		counts->failed++;
	else if (run->reason != NULL)
		counts->skipped++;
	else
	{
		counts->loaded++;
		counts->rows += run->rows_extracted;
	}
}

/*
 * Append one element of the window's "days".
 */
static void
append_day(StringInfo json, const WhUnit *unit, const WhRun *run)
{
	appendStringInfo(json, "{\"date\": \"%s\", \"status\": \"%s\", \"rows\": " INT64_FORMAT,
					 wh_date_text(unit->period.start), run->status, run->rows_extracted);
	appendStringInfoString(json, ", \"method\": ");
	if (run->method != NULL)
		escape_json(json, run->method);
	else
		appendStringInfoString(json, "null");
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
	appendStringInfoChar(json, '}');
}

/*
 * Build one view, contained: logged only when it fails.
 */
static bool
contained_view(void (*work) (WhRun *, void *), ViewCall *call)
{
	WhRun		run = {0};

	run.template_name = call->tmpl->name;
	run.tenant_name = call->tenant ? call->tenant->name : NULL;
	run.table_name = call->tmpl->name;
	wh_run_contained(&run, work, call);
	if (run.error == NULL)
		return true;

	wh_run_start(&run, "refresh");
	wh_run_finish(&run);
	wh_run_warn(&run);

	return false;
}

static void
build_tenant_view(WhRun *run, void *arg)
{
	const ViewCall *call = (const ViewCall *) arg;

	run->status = "loaded";
	if (!OidIsValid(get_namespace_oid(call->tenant->schema, true)))
		wh_matview_schema(call->tenant);
	(void) wh_unionview_tenant(call->tmpl, call->tenant);
}

static void
build_public_view(WhRun *run, void *arg)
{
	const ViewCall *call = (const ViewCall *) arg;

	run->status = "loaded";
	(void) wh_unionview_public(call->tmpl);
}

static List *
named_tenants(ArrayType *names)
{
	List	   *tenants = NIL;
	ListCell   *lc;

	foreach(lc, strings_of(names))
		tenants = lappend(tenants, wh_tenant((const char *) lfirst(lc)));

	return tenants;
}

static List *
named_templates(ArrayType *names)
{
	List	   *templates = NIL;
	ListCell   *lc;

	foreach(lc, strings_of(names))
		templates = lappend(templates, wh_template((const char *) lfirst(lc)));

	return templates;
}

static List *
strings_of(ArrayType *array)
{
	List	   *strings = NIL;
	Datum	   *elems;
	bool	   *nulls;
	int			nelems;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elems, &nulls, &nelems);
	for (int i = 0; i < nelems; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a list of names must not hold nulls")));
		strings = lappend(strings, TextDatumGetCString(elems[i]));
	}

	return strings;
}

/*
 * List what a rebuild has to load: per template and tenant from its own first
 * day on, leaving out what is loaded and final, so that a rerun resumes.
 */
static List *
rebuild_units(WhRequest *request)
{
	List	   *units = NIL;
	ListCell   *lc;

	if (request->has_from || request->lost_only)
		return wh_units(request);

	foreach(lc, wh_depend_order(request->templates))
	{
		WhTemplate *tmpl = (WhTemplate *) lfirst(lc);
		ListCell   *lt;

		foreach(lt, request->tenants)
		{
			WhTenant   *tenant = (WhTenant *) lfirst(lt);
			WhRequest	one = *request;

			if (!wh_template_applies(tmpl, tenant))
				continue;
			one.has_from = wh_template_is_daily(tmpl);
			if (one.has_from && !wh_first_day(tmpl, tenant, &one.from))
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("no first day is known for template \"%s\" and tenant \"%s\"",
								tmpl->name, tenant->name),
						 errhint("Give from_date, or SELECT _wh.alter_template(%s, options => '{\"start_date\": \"...\"}');",
								 quote_literal_cstr(tmpl->name))));
			one.templates = list_make1(tmpl);
			one.tenants = list_make1(tenant);
			units = list_concat(units, wh_units(&one));
		}
	}

	return units;
}

static Datum
jsonb_of(const char *json)
{
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json));
}
