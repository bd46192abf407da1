/*
 * controls.c
 *		_wh.pause(), resume() and reset_breaker(): what a person says about
 *		work that goes on by itself.
 *
 * Saying it again changes nothing and is told, never an error.
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "audit.h"
#include "breaker.h"
#include "pause.h"
#include "settings.h"
#include "template.h"
#include "tenant.h"

PG_FUNCTION_INFO_V1(wh_pause);
PG_FUNCTION_INFO_V1(wh_resume);
PG_FUNCTION_INFO_V1(wh_reset_breaker);

static char *name_argument(FunctionCallInfo fcinfo, int arg);
static void check_names(const char *template_name, const char *tenant);
static void audit(const char *action, const char *template_name,
				  const char *tenant);
static void tell_wider(const char *template_name, const char *tenant);

/*
 * _wh.pause(template text, tenant text)
 */
Datum
wh_pause(PG_FUNCTION_ARGS)
{
	char	   *template_name = name_argument(fcinfo, 0);
	char	   *tenant = name_argument(fcinfo, 1);
	const char *by = GetUserNameFromId(GetUserId(), false);
	bool		paused;
	WhRole		caller;

	wh_become_owner(&caller);
	check_names(template_name, tenant);
	paused = wh_pause_put(template_name, tenant, by);
	wh_role_leave(&caller);

	if (paused)
		audit("pause", template_name, tenant);
	else
		ereport(NOTICE,
				(errmsg("%s is paused already", wh_pause_text(template_name, tenant))));

	PG_RETURN_VOID();
}

/*
 * _wh.resume(template text, tenant text)
 */
Datum
wh_resume(PG_FUNCTION_ARGS)
{
	char	   *template_name = name_argument(fcinfo, 0);
	char	   *tenant = name_argument(fcinfo, 1);
	int64		ended;
	WhRole		caller;

	wh_become_owner(&caller);
	check_names(template_name, tenant);
	ended = wh_pauses_end(template_name, tenant);
	if (ended == 0)
		ereport(NOTICE,
				(errmsg("%s was not paused", wh_pause_text(template_name, tenant))));
	tell_wider(template_name, tenant);
	wh_role_leave(&caller);

	if (ended > 0)
		audit("resume", template_name, tenant);

	PG_RETURN_VOID();
}

/*
 * _wh.reset_breaker(tenant text)
 */
Datum
wh_reset_breaker(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bool		closed;
	WhRole		caller;

	wh_become_owner(&caller);
	check_names(NULL, tenant);
	closed = wh_breaker_close(tenant);
	wh_role_leave(&caller);

	if (closed)
		wh_audit("reset_breaker", tenant, NULL);
	else
		ereport(NOTICE,
				(errmsg("breaker of tenant \"%s\" is closed", tenant)));

	PG_RETURN_VOID();
}

static char *
name_argument(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/*
 * Refuse names that nothing has.
 */
static void
check_names(const char *template_name, const char *tenant)
{
	if (template_name != NULL)
		(void) wh_template(template_name);
	if (tenant != NULL)
		(void) wh_tenant(tenant);
}

static void
audit(const char *action, const char *template_name, const char *tenant)
{
	StringInfoData detail;

	initStringInfo(&detail);
	appendStringInfoString(&detail, "{\"template\": ");
	if (template_name != NULL)
		escape_json(&detail, template_name);
	else
		appendStringInfoString(&detail, "null");
	appendStringInfoString(&detail, ", \"tenant\": ");
	if (tenant != NULL)
		escape_json(&detail, tenant);
	else
		appendStringInfoString(&detail, "null");
	appendStringInfoChar(&detail, '}');
	wh_audit(action, tenant != NULL ? tenant : template_name, detail.data);
}

/*
 * Tell of a wider pause that still holds up what was resumed.
 */
static void
tell_wider(const char *template_name, const char *tenant)
{
	const WhPause *wider = wh_pause_of(template_name ? template_name : "",
									   tenant ? tenant : "");

	if (wider == NULL)
		return;

	ereport(NOTICE,
			(errmsg("%s is still paused with %s", wh_pause_text(template_name, tenant),
					wh_pause_text(wider->template_name, wider->tenant_name)),
			 errhint("SELECT _wh.resume(%s, %s);",
					 wider->template_name ? quote_literal_cstr(wider->template_name) : "NULL",
					 wider->tenant_name ? quote_literal_cstr(wider->tenant_name) : "NULL")));
}
