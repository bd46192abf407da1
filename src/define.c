/*
 * define.c
 *		_wh.add_template(), alter_template(), drop_template(), template_sql().
 *
 * A template is checked as a whole before its row is written, here for a
 * clear error and by the row's trigger for whoever writes the table directly.
 * Columns that are not given are asked of a tenant by Describe: no row is
 * read.  Dropping takes the views out of readers' sight first and never takes
 * along what somebody built on a relation.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "funcapi.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

#include "audit.h"
#include "conn.h"
#include "depend.h"
#include "describe.h"
#include "gate.h"
#include "live.h"
#include "livetable.h"
#include "local.h"
#include "matview.h"
#include "pause.h"
#include "published.h"
#include "refresh.h"
#include "retired.h"
#include "schedule.h"
#include "settings.h"
#include "slice.h"
#include "spi.h"
#include "template.h"
#include "unionview.h"
#include "viewtable.h"
#include "watermark.h"

/* Arguments of add_template() and, with the last two, alter_template(). */
typedef enum Argument
{
	ARG_TEMPLATE,
	ARG_QUERY,
	ARG_COLUMNS,
	ARG_INDEXES,
	ARG_MATERIALIZATION,
	ARG_TIME_COLUMN,
	ARG_KEY_COLUMNS,
	ARG_WATERMARK_COLUMN,
	ARG_SOURCE,
	ARG_LOOKBACK_DAYS,
	ARG_ON_DRIFT,
	ARG_OPTIONS,
	ARG_SAMPLE_TENANT,
	ARG_DESCRIPTION,
	ARG_TENANTS,
	ARG_ENABLED,
	ARG_RESET
} Argument;

/* Their names, up to the last that has a default to go back to. */
static const char *const argument_names[] = {
	"template", "query_template", "column_definitions", "indexes",
	"materialization", "time_column", "key_columns", "watermark_column",
	"source", "lookback_days", "on_drift", "options", "sample_tenant",
	"description", "tenants"
};

#define N_SETTINGS lengthof(argument_names)

PG_FUNCTION_INFO_V1(wh_add_template);
PG_FUNCTION_INFO_V1(wh_alter_template);
PG_FUNCTION_INFO_V1(wh_drop_template);
PG_FUNCTION_INFO_V1(wh_template_sql);

static char *required_text(FunctionCallInfo fcinfo, Argument arg);
static char *text_or_null(FunctionCallInfo fcinfo, Argument arg);
static void set_default(WhTemplate *tmpl, Argument arg);
static void set_given(WhTemplate *tmpl, Argument arg, Datum value);
static void reset_settings(FunctionCallInfo fcinfo, WhTemplate *tmpl);
static bool is_resettable(Argument arg);
static char *resettable_names(void);
static void check_tenants(const WhTemplate *tmpl);
static void check_readers(const char *name);
static void infer_columns(WhTemplate *tmpl, const char *sample_tenant);
static WhTenant *choose_tenant(const WhTemplate *tmpl);
static char *changed_settings(FunctionCallInfo fcinfo, const WhTemplate *tmpl);
static void lock_slices(const WhTemplate *tmpl, List *slices);
static void tidy_tables(const WhSlice *slice, StringInfo dropped);
static void append_name(StringInfo list, const char *schema, const char *name);
static char *definition_sql(const WhTemplate *tmpl);
static void append_setting(StringInfo sql, Argument arg, const char *value);
static char *array_sql(List *strings, const char *type);

/*
 * _wh.add_template(template text, query_template text, ...) -> void
 */
Datum
wh_add_template(PG_FUNCTION_ARGS)
{
	WhTemplate *tmpl = (WhTemplate *) palloc0(sizeof(WhTemplate));
	char	   *sample_tenant = text_or_null(fcinfo, ARG_SAMPLE_TENANT);
	WhRole		caller;

	tmpl->name = required_text(fcinfo, ARG_TEMPLATE);
	(void) required_text(fcinfo, ARG_QUERY);
	tmpl->enabled = true;
	for (Argument arg = ARG_QUERY; arg < N_SETTINGS; arg++)
	{
		if (PG_ARGISNULL(arg))
			set_default(tmpl, arg);
		else
			set_given(tmpl, arg, PG_GETARG_DATUM(arg));
	}

	wh_become_owner(&caller);
	check_tenants(tmpl);
	infer_columns(tmpl, sample_tenant);
	wh_template_check(tmpl);
	wh_depend_check(tmpl);
	wh_template_insert(tmpl);
	wh_role_leave(&caller);

	wh_audit("add_template", tmpl->name, NULL);

	PG_RETURN_VOID();
}

/*
 * _wh.alter_template(template text, ..., enabled boolean, reset text[]) -> void
 */
Datum
wh_alter_template(PG_FUNCTION_ARGS)
{
	char	   *name = required_text(fcinfo, ARG_TEMPLATE);
	char	   *sample_tenant = text_or_null(fcinfo, ARG_SAMPLE_TENANT);
	WhTemplate *tmpl;
	WhLayout	layout;
	WhRole		caller;

	wh_become_owner(&caller);
	tmpl = wh_template(name);
	layout = tmpl->layout;
	for (Argument arg = ARG_QUERY; arg < N_SETTINGS; arg++)
	{
		if (!PG_ARGISNULL(arg))
			set_given(tmpl, arg, PG_GETARG_DATUM(arg));
	}
	if (!PG_ARGISNULL(ARG_ENABLED))
		tmpl->enabled = PG_GETARG_BOOL(ARG_ENABLED);
	if (!PG_ARGISNULL(ARG_RESET))
		reset_settings(fcinfo, tmpl);

	if (!PG_ARGISNULL(ARG_TENANTS))
		check_tenants(tmpl);
	infer_columns(tmpl, sample_tenant);
	wh_template_check(tmpl);
	wh_depend_check(tmpl);
	wh_template_update(tmpl);

	/* A view that cannot be changed now is warned of; the next run does it. */
	if ((!PG_ARGISNULL(ARG_COLUMNS) || tmpl->layout != layout) &&
		wh_published(name, NULL) != NIL)
		(void) wh_publish(list_make1(tmpl));
	wh_role_leave(&caller);

	wh_audit("alter_template", name, changed_settings(fcinfo, tmpl));

	PG_RETURN_VOID();
}

/*
 * _wh.drop_template(template text, drop_data boolean, dry_run boolean) -> jsonb
 */
Datum
wh_drop_template(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bool		drop_data = PG_GETARG_BOOL(1);
	bool		dry_run = PG_GETARG_BOOL(2);
	StringInfoData dropped;
	StringInfoData kept;
	StringInfoData result;
	WhTemplate *tmpl;
	List	   *retired;
	List	   *slices;
	ListCell   *lc;
	WhRole		caller;

	initStringInfo(&dropped);
	initStringInfo(&kept);

	wh_become_owner(&caller);
	tmpl = wh_template(name);
	check_readers(name);
	slices = wh_slices(name, NULL);
	foreach(lc, wh_published(name, NULL))
	{
		WhPublished *view = (WhPublished *) lfirst(lc);

		append_name(&dropped, view->view_schema, view->view_name);
	}
	if (OidIsValid(wh_viewtable_relid(tmpl)))
		append_name(&dropped, WH_UNION_SCHEMA, name);
	if (!dry_run)
	{
		lock_slices(tmpl, slices);
		wh_unionview_detach(tmpl, NULL);
	}

	foreach(lc, slices)
	{
		WhSlice    *slice = (WhSlice *) lfirst(lc);
		Oid			relid = wh_slice_relid(slice);

		if (!OidIsValid(relid))
			continue;
		append_name(drop_data ? &dropped : &kept,
					slice->relation_schema, slice->relation_name);
		if (drop_data && !dry_run)
			wh_relation_drop(relid);
	}

	foreach(lc, drop_data && !dry_run ? slices : NIL)
		tidy_tables((const WhSlice *) lfirst(lc), &dropped);

	retired = wh_retired(name, NULL);
	foreach(lc, retired)
	{
		WhRetired  *one = (WhRetired *) lfirst(lc);
		Oid			relid = wh_retired_relid(one);

		append_name(&dropped, one->relation_schema, one->relation_name);
		if (!dry_run && OidIsValid(relid))
			wh_relation_drop(relid);
	}
	if (!dry_run)
		wh_retired_forget(retired);

	if (!dry_run)
	{
		wh_schedule_remove(name, NULL);
		(void) wh_pauses_end(name, NULL);
		wh_slices_forget(name, NULL);
		wh_watermarks_forget(name, NULL);
		wh_template_delete(name);
	}
	wh_role_leave(&caller);

	if (!dry_run)
		wh_audit("drop_template", name,
				 psprintf("{\"drop_data\": %s}", drop_data ? "true" : "false"));

	initStringInfo(&result);
	appendStringInfoString(&result, "{\"template\": ");
	escape_json(&result, name);
	appendStringInfo(&result,
					 ", \"dry_run\": %s, \"dropped\": [%s], \"kept\": [%s]}",
					 dry_run ? "true" : "false", dropped.data, kept.data);

	return DirectFunctionCall1(jsonb_in, CStringGetDatum(result.data));
}

/*
 * _wh.template_sql(template text) -> setof text
 */
Datum
wh_template_sql(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *templates;
	ListCell   *lc;
	WhRole		caller;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);

	wh_become_owner(&caller);
	templates = PG_ARGISNULL(0) ? wh_depend_order(wh_templates_all())
		: list_make1(wh_template(text_to_cstring(PG_GETARG_TEXT_PP(0))));
	wh_role_leave(&caller);

	foreach(lc, templates)
	{
		WhTemplate *tmpl = (WhTemplate *) lfirst(lc);
		Datum		sql = CStringGetTextDatum(definition_sql(tmpl));
		bool		isnull = false;

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &sql, &isnull);
		if (tmpl->enabled)
			continue;

		sql = CStringGetTextDatum(psprintf("SELECT _wh.alter_template(%s, enabled => false);",
										   quote_literal_cstr(tmpl->name)));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &sql, &isnull);
	}

	return (Datum) 0;
}

static char *
required_text(FunctionCallInfo fcinfo, Argument arg)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s cannot be NULL", argument_names[arg]),
				 errhint("Give %s => '...'.", argument_names[arg])));

	return text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

static char *
text_or_null(FunctionCallInfo fcinfo, Argument arg)
{
	return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/*
 * Give a setting the value that it has when nothing is said.
 */
static void
set_default(WhTemplate *tmpl, Argument arg)
{
	switch (arg)
	{
		case ARG_COLUMNS:
			tmpl->column_definitions = NULL;
			break;
		case ARG_INDEXES:
			tmpl->indexes = NULL;
			break;
		case ARG_MATERIALIZATION:
			tmpl->materialization = pstrdup("daily");
			break;
		case ARG_TIME_COLUMN:
			tmpl->time_column = NULL;
			break;
		case ARG_KEY_COLUMNS:
			tmpl->key_columns = NIL;
			break;
		case ARG_WATERMARK_COLUMN:
			tmpl->watermark_column = NULL;
			break;
		case ARG_SOURCE:
			tmpl->source = pstrdup("tenant");
			break;
		case ARG_LOOKBACK_DAYS:
			tmpl->lookback_days = 1;
			break;
		case ARG_ON_DRIFT:
			tmpl->on_drift = pstrdup("fail");
			break;
		case ARG_OPTIONS:
			tmpl->options = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
															   CStringGetDatum("{}")));
			break;
		case ARG_DESCRIPTION:
			tmpl->description = NULL;
			break;
		case ARG_TENANTS:
			tmpl->tenants = NIL;
			break;
		default:
			break;
	}
}

static void
set_given(WhTemplate *tmpl, Argument arg, Datum value)
{
	switch (arg)
	{
		case ARG_QUERY:
			tmpl->query = TextDatumGetCString(value);
			break;
		case ARG_COLUMNS:
			tmpl->column_definitions = TextDatumGetCString(value);
			break;
		case ARG_INDEXES:
			tmpl->indexes = TextDatumGetCString(value);
			break;
		case ARG_MATERIALIZATION:
			tmpl->materialization = TextDatumGetCString(value);
			break;
		case ARG_TIME_COLUMN:
			tmpl->time_column = pstrdup(NameStr(*DatumGetName(value)));
			break;
		case ARG_KEY_COLUMNS:
			tmpl->key_columns = wh_template_list(DatumGetArrayTypeP(value),
												 tmpl->name, argument_names[arg]);
			break;
		case ARG_WATERMARK_COLUMN:
			tmpl->watermark_column = pstrdup(NameStr(*DatumGetName(value)));
			break;
		case ARG_SOURCE:
			tmpl->source = TextDatumGetCString(value);
			break;
		case ARG_LOOKBACK_DAYS:
			tmpl->lookback_days = DatumGetInt32(value);
			break;
		case ARG_ON_DRIFT:
			tmpl->on_drift = TextDatumGetCString(value);
			break;
		case ARG_OPTIONS:
			tmpl->options = DatumGetJsonbPCopy(value);
			break;
		case ARG_DESCRIPTION:
			tmpl->description = TextDatumGetCString(value);
			break;
		case ARG_TENANTS:
			tmpl->tenants = wh_template_list(DatumGetArrayTypeP(value),
											 tmpl->name, argument_names[arg]);
			break;
		default:
			break;
	}
}

/*
 * Give the settings that "reset" names their defaults again.
 */
static void
reset_settings(FunctionCallInfo fcinfo, WhTemplate *tmpl)
{
	List	   *names = wh_template_list(PG_GETARG_ARRAYTYPE_P(ARG_RESET),
										 tmpl->name, "reset");
	ListCell   *lc;

	foreach(lc, names)
	{
		const char *name = (const char *) lfirst(lc);
		Argument	arg = ARG_TEMPLATE;

		while (arg < N_SETTINGS &&
			   !(is_resettable(arg) && strcmp(argument_names[arg], name) == 0))
			arg++;
		if (arg == N_SETTINGS)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("setting \"%s\" of a template cannot be reset", name),
					 errdetail("Template \"%s\".", tmpl->name),
					 errhint("These can: %s.", resettable_names())));
		if (!PG_ARGISNULL(arg))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("setting \"%s\" is both given and reset", name),
					 errdetail("Template \"%s\".", tmpl->name),
					 errhint("Leave one of the two out.")));
		set_default(tmpl, arg);
	}
}

static bool
is_resettable(Argument arg)
{
	return arg != ARG_TEMPLATE && arg != ARG_QUERY && arg != ARG_SAMPLE_TENANT;
}

static char *
resettable_names(void)
{
	StringInfoData names;

	initStringInfo(&names);
	for (Argument arg = ARG_TEMPLATE; arg < N_SETTINGS; arg++)
	{
		if (is_resettable(arg))
			appendStringInfo(&names, "%s%s", names.len == 0 ? "" : ", ",
							 argument_names[arg]);
	}

	return names.data;
}

/*
 * See that the tenants which a template is restricted to exist.
 */
static void
check_tenants(const WhTemplate *tmpl)
{
	ListCell   *lc;

	foreach(lc, tmpl->tenants)
		(void) wh_tenant((char *) lfirst(lc));
}

/*
 * Refuse to drop a template that others are made of.
 */
static void
check_readers(const char *name)
{
	StringInfoData names;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, wh_depend_readers(name))
		appendStringInfo(&names, "%s\"%s\"", names.len == 0 ? "" : ", ",
						 ((const WhTemplate *) lfirst(lc))->name);
	if (names.len == 0)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("cannot drop template \"%s\" because other templates depend on it", name),
			 errdetail("Templates: %s.", names.data),
			 errhint("Drop these first, or change their option depends_on with _wh.alter_template().")));
}

/*
 * Where a template has no column definitions, ask a tenant which columns its
 * query returns; a live or a derived one's runs here, over what the tenant has.
 * The day it is rendered for does not matter, since nothing is read.
 */
static void
infer_columns(WhTemplate *tmpl, const char *sample_tenant)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;
	WhPeriod	period = wh_template_is_daily(tmpl)
	? wh_period_day(0) : wh_period_whole();
	WhPlaceholders values;
	WhTenant   *tenant;
	WhConn	   *conn;
	WhRemoteColumns *columns;

	if (tmpl->column_definitions != NULL)
		return;

	wh_template_check(tmpl);
	tenant = sample_tenant != NULL ? wh_tenant(sample_tenant)
		: choose_tenant(tmpl);
	if (wh_template_is_live(tmpl))
	{
		tmpl->column_definitions = wh_describe_definitions(wh_live_describe(tmpl, tenant));
		return;
	}
	if (wh_template_is_local(tmpl))
	{
		tmpl->column_definitions =
			wh_columns_sql(wh_local_columns(tmpl, tenant, &period));
		return;
	}
	values.tenant = tenant->name;
	values.period = &period;
	values.span = wh_period_span(&period, tenant->time_zone);

	/* The connection lives and dies in a context of its own. */
	wh_check_outbound();
	context = AllocSetContextCreate(caller, "wh infer columns",
									ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(context);
	conn = wh_connect(tenant, psprintf("Tenant \"%s\", template \"%s\".",
									   tenant->name, tmpl->name));
	columns = wh_describe(conn, wh_gate_render(tmpl->query, &values));
	MemoryContextSwitchTo(caller);
	tmpl->column_definitions = wh_describe_definitions(columns);
	MemoryContextDelete(context);
}

/*
 * Choose the first enabled tenant that the template applies to.
 */
static WhTenant *
choose_tenant(const WhTemplate *tmpl)
{
	ListCell   *lc;

	foreach(lc, wh_tenants_enabled())
	{
		WhTenant   *tenant = (WhTenant *) lfirst(lc);

		if (wh_template_applies(tmpl, tenant))
			return tenant;
	}

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("there is no tenant to ask for the columns"),
			 errdetail("Template \"%s\".", tmpl->name),
			 errhint("Give column_definitions, or first add a tenant with SELECT _wh.add_tenant(...);")));
}

/*
 * List the settings that a call changes, as jsonb for the audit log.
 */
static char *
changed_settings(FunctionCallInfo fcinfo, const WhTemplate *tmpl)
{
	StringInfoData list;

	initStringInfo(&list);
	for (Argument arg = ARG_QUERY; arg < N_SETTINGS; arg++)
	{
		if (PG_ARGISNULL(arg) || arg == ARG_SAMPLE_TENANT)
			continue;
		appendStringInfo(&list, "%s\"%s\"", list.len == 0 ? "" : ", ",
						 argument_names[arg]);
	}
	if (!PG_ARGISNULL(ARG_ENABLED))
		appendStringInfo(&list, "%s\"enabled\"", list.len == 0 ? "" : ", ");
	if (!PG_ARGISNULL(ARG_RESET))
	{
		ListCell   *lc;

		foreach(lc, wh_template_list(PG_GETARG_ARRAYTYPE_P(ARG_RESET),
									 tmpl->name, "reset"))
			appendStringInfo(&list, "%s\"%s\"", list.len == 0 ? "" : ", ",
							 (char *) lfirst(lc));
	}

	return psprintf("{\"settings\": [%s]}", list.data);
}

/*
 * Keep refreshes of the template away until we commit: those of every tenant
 * that it applies to, and of those that it once did.
 */
static void
lock_slices(const WhTemplate *tmpl, List *slices)
{
	List	   *tenants = NIL;
	ListCell   *lc;

	foreach(lc, wh_tenants_enabled())
		tenants = list_append_unique(tenants,
									 makeString(((WhTenant *) lfirst(lc))->name));
	foreach(lc, slices)
		tenants = list_append_unique(tenants,
									 makeString(((WhSlice *) lfirst(lc))->tenant_name));

	foreach(lc, tenants)
	{
		if (!wh_slice_try_lock(tmpl->name, strVal(lfirst(lc))))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("template \"%s\" is being refreshed", tmpl->name),
					 errdetail("Tenant \"%s\".", strVal(lfirst(lc))),
					 errhint("Wait for the run that SELECT * FROM _wh.extract_runs WHERE status = 'extracting' shows, then try again.")));
	}
}

/*
 * Drop the foreign tables that only a live view which is gone has read.
 */
static void
tidy_tables(const WhSlice *slice, StringInfo dropped)
{
	ListCell   *lc;

	if (slice->period.kind != WH_WHOLE)
		return;
	foreach(lc, wh_livetables_tidy(wh_live_schema(slice->relation_schema)))
	{
		appendStringInfoString(dropped, dropped->len > 0 ? ", " : "");
		escape_json(dropped, (const char *) lfirst(lc));
	}
}

/*
 * Add a relation's name, as SQL would have it, to a list of JSON strings.
 */
static void
append_name(StringInfo list, const char *schema, const char *name)
{
	if (list->len > 0)
		appendStringInfoString(list, ", ");
	escape_json(list, quote_qualified_identifier(schema, name));
}

/*
 * Write the call that makes an equal row: settings at their defaults are left
 * out.
 */
static char *
definition_sql(const WhTemplate *tmpl)
{
	char	   *options = JsonbToCString(NULL, &tmpl->options->root,
										 64);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT _wh.add_template(%s",
					 quote_literal_cstr(tmpl->name));
	append_setting(&sql, ARG_QUERY, quote_literal_cstr(tmpl->query));
	append_setting(&sql, ARG_COLUMNS,
				   quote_literal_cstr(tmpl->column_definitions));
	if (tmpl->indexes != NULL)
		append_setting(&sql, ARG_INDEXES, quote_literal_cstr(tmpl->indexes));
	if (strcmp(tmpl->materialization, "daily") != 0)
		append_setting(&sql, ARG_MATERIALIZATION,
					   quote_literal_cstr(tmpl->materialization));
	if (tmpl->time_column != NULL)
		append_setting(&sql, ARG_TIME_COLUMN,
					   quote_literal_cstr(tmpl->time_column));
	if (tmpl->key_columns != NIL)
		append_setting(&sql, ARG_KEY_COLUMNS,
					   array_sql(tmpl->key_columns, "pg_catalog.name[]"));
	if (tmpl->watermark_column != NULL)
		append_setting(&sql, ARG_WATERMARK_COLUMN,
					   quote_literal_cstr(tmpl->watermark_column));
	if (strcmp(tmpl->source, "tenant") != 0)
		append_setting(&sql, ARG_SOURCE, quote_literal_cstr(tmpl->source));
	if (tmpl->lookback_days != 1)
		append_setting(&sql, ARG_LOOKBACK_DAYS,
					   psprintf("%d", tmpl->lookback_days));
	if (strcmp(tmpl->on_drift, "fail") != 0)
		append_setting(&sql, ARG_ON_DRIFT, quote_literal_cstr(tmpl->on_drift));
	if (strcmp(options, "{}") != 0)
		append_setting(&sql, ARG_OPTIONS, quote_literal_cstr(options));
	if (tmpl->description != NULL)
		append_setting(&sql, ARG_DESCRIPTION,
					   quote_literal_cstr(tmpl->description));
	if (tmpl->tenants != NIL)
		append_setting(&sql, ARG_TENANTS, array_sql(tmpl->tenants, "text[]"));
	appendStringInfoString(&sql, ");");

	return sql.data;
}

static void
append_setting(StringInfo sql, Argument arg, const char *value)
{
	appendStringInfo(sql, ",\n    %s => %s", argument_names[arg], value);
}

static char *
array_sql(List *strings, const char *type)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, strings)
		appendStringInfo(&sql, "%s%s", sql.len == 0 ? "" : ", ",
						 quote_literal_cstr((char *) lfirst(lc)));

	return psprintf("ARRAY[%s]::%s", sql.data, type);
}
