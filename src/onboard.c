/*
 * onboard.c
 *		_wh.add_tenant(), alter_tenant(): a tenant's row together with its
 *		schema and its password.
 *
 * The rule kept here: these change in one transaction or not at all.  Whether the
 * caller may allow what only a superuser may is judged before the switch to
 * the owner; the values themselves are tenant.c's to check.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"

#include "audit.h"
#include "breaker.h"
#include "drift.h"
#include "endpoint.h"
#include "matview.h"
#include "secret.h"
#include "settings.h"
#include "slice.h"
#include "tenant.h"

/* Arguments of add_tenant() and, with the last three, alter_tenant(). */
enum
{
	ARG_TENANT,
	ARG_HOST,
	ARG_DBNAME,
	ARG_USERNAME,
	ARG_PORT,
	ARG_SCHEMA_NAME,
	ARG_SSLMODE,
	ARG_SSLROOTCERT,
	ARG_AUTH_METHOD,
	ARG_TIME_ZONE,
	ARG_MAX_CONNECTIONS,
	ARG_DESCRIPTION,
	ARG_SSLCERT,
	ARG_SSLKEY,
	ARG_OPTIONS,
	ARG_ENABLED,
	ARG_RESET,
	ARG_VERIFY
};

PG_FUNCTION_INFO_V1(wh_add_tenant);
PG_FUNCTION_INFO_V1(wh_alter_tenant);

static void default_settings(WhTenant *tenant);
static void take_settings(FunctionCallInfo fcinfo, WhTenant *tenant);
static void take_text(FunctionCallInfo fcinfo, int arg, char **setting);
static void reset_settings(ArrayType *names, WhTenant *tenant);
static void reset_setting(const char *name, WhTenant *tenant);
static void note_consequences(const WhTenant *old, const WhTenant *tenant);
static char *endpoint_json(const WhTenant *tenant);

/*
 * _wh.add_tenant(tenant, host, dbname, username, ...)
 */
Datum
wh_add_tenant(PG_FUNCTION_ARGS)
{
	bool		trusted = superuser();
	WhTenant	tenant = {0};
	WhRole		caller;

	default_settings(&tenant);
	take_settings(fcinfo, &tenant);
	tenant.key = tenant.name;
	if (tenant.schema == NULL)
		tenant.schema = tenant.name;

	wh_become_owner(&caller);
	wh_tenant_check(&tenant, NULL, trusted);
	wh_tenant_check_free(tenant.name, tenant.schema, NULL);
	wh_tenant_insert(&tenant);
	wh_matview_schema(&tenant);
	wh_role_leave(&caller);

	wh_audit("add_tenant", tenant.name, endpoint_json(&tenant));

	PG_RETURN_VOID();
}

/*
 * _wh.alter_tenant(tenant, host, dbname, username, ..., enabled, reset)
 */
Datum
wh_alter_tenant(PG_FUNCTION_ARGS)
{
	bool		trusted = superuser();
	char	   *name = NULL;
	WhTenant   *old;
	WhTenant	tenant;
	WhRole		caller;

	take_text(fcinfo, ARG_TENANT, &name);
	wh_become_owner(&caller);
	old = wh_tenant(name != NULL ? name : "");

	tenant = *old;
	take_settings(fcinfo, &tenant);
	if (strcmp(tenant.schema, old->schema) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot move tenant \"%s\" to another schema", old->name),
				 errhint("Rename both: SELECT _wh.rename_tenant(%s, %s, rename_schema => true);",
						 quote_literal_cstr(old->name),
						 quote_literal_cstr(tenant.schema))));
	if (!PG_ARGISNULL(ARG_ENABLED))
		tenant.enabled = PG_GETARG_BOOL(ARG_ENABLED);
	if (!PG_ARGISNULL(ARG_RESET))
		reset_settings(PG_GETARG_ARRAYTYPE_P(ARG_RESET), &tenant);

	wh_tenant_check(&tenant, old, trusted);
	wh_tenant_update(&tenant);
	note_consequences(old, &tenant);
	if (!PG_ARGISNULL(ARG_VERIFY) && PG_GETARG_BOOL(ARG_VERIFY))
		wh_drift_refuse(&tenant);
	wh_role_leave(&caller);

	wh_audit("alter_tenant", tenant.name, endpoint_json(&tenant));

	PG_RETURN_VOID();
}

static void
default_settings(WhTenant *tenant)
{
	tenant->port = 5432;
	tenant->sslmode = "verify-full";
	tenant->auth_method = "password";
	tenant->time_zone = "UTC";
	tenant->max_connections = 2;
	tenant->options = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
	tenant->enabled = true;
}

/*
 * Take the settings that were given; NULL leaves what is there.
 */
static void
take_settings(FunctionCallInfo fcinfo, WhTenant *tenant)
{
	take_text(fcinfo, ARG_TENANT, &tenant->name);
	if (tenant->name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("name of the tenant must not be null"),
				 errhint("Give it as the first argument.")));
	take_text(fcinfo, ARG_HOST, &tenant->host);
	take_text(fcinfo, ARG_DBNAME, &tenant->dbname);
	take_text(fcinfo, ARG_USERNAME, &tenant->username);
	if (!PG_ARGISNULL(ARG_PORT))
		tenant->port = PG_GETARG_INT32(ARG_PORT);
	take_text(fcinfo, ARG_SCHEMA_NAME, &tenant->schema);
	take_text(fcinfo, ARG_SSLMODE, &tenant->sslmode);
	take_text(fcinfo, ARG_SSLROOTCERT, &tenant->sslrootcert);
	take_text(fcinfo, ARG_AUTH_METHOD, &tenant->auth_method);
	take_text(fcinfo, ARG_TIME_ZONE, &tenant->time_zone);
	if (!PG_ARGISNULL(ARG_MAX_CONNECTIONS))
		tenant->max_connections = PG_GETARG_INT32(ARG_MAX_CONNECTIONS);
	take_text(fcinfo, ARG_DESCRIPTION, &tenant->description);
	take_text(fcinfo, ARG_SSLCERT, &tenant->sslcert);
	take_text(fcinfo, ARG_SSLKEY, &tenant->sslkey);
	if (!PG_ARGISNULL(ARG_OPTIONS))
		tenant->options = PG_GETARG_JSONB_P(ARG_OPTIONS);
}

static void
take_text(FunctionCallInfo fcinfo, int arg, char **setting)
{
	if (!PG_ARGISNULL(arg))
		*setting = text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

static void
reset_settings(ArrayType *names, WhTenant *tenant)
{
	Datum	   *elems;
	bool	   *nulls;
	int			nelems;

	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT,
					  &elems, &nulls, &nelems);
	for (int i = 0; i < nelems; i++)
	{
		if (!nulls[i])
			reset_setting(TextDatumGetCString(elems[i]), tenant);
	}
}

/*
 * Put one setting back to its default.
 */
static void
reset_setting(const char *name, WhTenant *tenant)
{
#define SETTING(field) \
	{#field, offsetof(WhTenant, field), sizeof(((WhTenant *) NULL)->field)}
	static const struct
	{
		const char *name;
		Size		offset;
		Size		size;
	}			settings[] = {
		SETTING(port), SETTING(sslmode), SETTING(sslrootcert), SETTING(sslcert),
		SETTING(sslkey), SETTING(auth_method), SETTING(time_zone),
		SETTING(max_connections), SETTING(description), SETTING(options),
		SETTING(enabled)
	};
#undef SETTING
	WhTenant	defaults = {0};

	default_settings(&defaults);
	for (Size i = 0; i < lengthof(settings); i++)
	{
		if (strcmp(name, settings[i].name) != 0)
			continue;
		memcpy((char *) tenant + settings[i].offset,
			   (char *) &defaults + settings[i].offset,
			   settings[i].size);
		return;
	}

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("cannot reset \"%s\" of tenant \"%s\"", name, tenant->name),
			 errhint("With a default are port, sslmode, sslrootcert, sslcert, sslkey, "
					 "auth_method, time_zone, max_connections, description, options "
					 "and enabled.")));
}

/*
 * Do and tell what follows from a change.
 */
static void
note_consequences(const WhTenant *old, const WhTenant *tenant)
{
	if (strcmp(wh_endpoint_text(old), wh_endpoint_text(tenant)) != 0)
		(void) wh_breaker_close(tenant->name);
	if (!wh_secret_fits(old, tenant) && wh_secret_exists(old))
	{
		wh_secret_drop(old);
		ereport(NOTICE,
				(errmsg("password of tenant \"%s\" was dropped", tenant->name),
				 errdetail("It was sealed for another endpoint."),
				 errhint("SELECT _wh.set_tenant_password(%s, '...');",
						 quote_literal_cstr(tenant->name))));
	}
	if (strcmp(old->time_zone, tenant->time_zone) != 0 &&
		wh_slices(NULL, tenant->name) != NIL)
		ereport(NOTICE,
				(errmsg("days of tenant \"%s\" now begin in time zone %s",
						tenant->name, tenant->time_zone),
				 errdetail("Slices loaded before keep the days of %s until they are refreshed.",
						   old->time_zone),
				 errhint("CALL _wh.run_refresh(tenant => %s, from_date => ...);",
						 quote_literal_cstr(tenant->name))));
}

static char *
endpoint_json(const WhTenant *tenant)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"host\": ");
	escape_json(&json, tenant->host);
	appendStringInfo(&json, ", \"port\": %d, \"dbname\": ", tenant->port);
	escape_json(&json, tenant->dbname);
	appendStringInfoString(&json, ", \"username\": ");
	escape_json(&json, tenant->username);
	appendStringInfoString(&json, ", \"sslmode\": ");
	escape_json(&json, tenant->sslmode);
	appendStringInfoString(&json, ", \"auth_method\": ");
	escape_json(&json, tenant->auth_method);
	appendStringInfo(&json, ", \"enabled\": %s}", tenant->enabled ? "true" : "false");

	return json.data;
}
