/*
 * drift.c
 *		_wh.drift(): the schema of every tenant against the templates.
 *
 * Each query is described at the tenant, so no row is read and a view, a
 * search path or a role's rights count as they would in a fetch.  A tenant
 * that cannot be reached is one row of the answer, a query that it refuses is
 * another; neither ends the call.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "describe.h"
#include "drift.h"
#include "fetch.h"
#include "live.h"
#include "local.h"
#include "pool.h"
#include "refresh.h"
#include "run.h"
#include "session.h"
#include "settings.h"

/* One template at one tenant. */
typedef struct Look
{
	ReturnSetInfo *rsinfo;
	const WhTemplate *tmpl;
	const WhTenant *tenant;
	bool		reached;		/* the tenant let us in */
} Look;

PG_FUNCTION_INFO_V1(wh_drift);

static void look_at_tenant(ReturnSetInfo *rsinfo, const WhTenant *tenant,
						   const List *templates);
static void look(WhRun *run, void *arg);
static void put_drifts(const Look *work, const WhRemoteColumns *columns);
static void put_drift(const Look *work, const WhDrift *drift);
static void put_failure(const Look *work, const ErrorData *error);
static void put_row(ReturnSetInfo *rsinfo, const char *const *texts);

/*
 * _wh.drift(template, tenant) returns setof
 */
Datum
wh_drift(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *template_name = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *tenant_name = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	WhRequest	request = {0};
	WhRole		caller;
	WhPool	   *pool;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);

	wh_become_owner(&caller);
	wh_request_resolve(&request, template_name, tenant_name);
	pool = wh_pool_open();
	PG_TRY();
	{
		wh_session_purpose("drift");
		foreach(lc, request.tenants)
			look_at_tenant(rsinfo, (const WhTenant *) lfirst(lc), request.templates);
	}
	PG_FINALLY();
	{
		wh_session_purpose(NULL);
	}
	PG_END_TRY();
	wh_pool_close(pool);
	wh_role_leave(&caller);

	return (Datum) 0;
}

void
wh_drift_refuse(const WhTenant *tenant)
{
	WhPeriod	day = wh_period_day(wh_date_at(GetCurrentTimestamp(), tenant->time_zone));
	WhPool	   *pool = wh_pool_open();
	ListCell   *lc;

	PG_TRY();
	{
		wh_session_purpose("verify");
		foreach(lc, wh_templates_enabled())
		{
			const WhTemplate *tmpl = (const WhTemplate *) lfirst(lc);
			const char *subject;
			WhLease    *lease;

			if (!wh_template_applies(tmpl, tenant) || wh_template_is_local(tmpl))
				continue;
			subject = psprintf("Tenant \"%s\", template \"%s\".", tenant->name, tmpl->name);
			if (wh_template_is_live(tmpl))
			{
				(void) wh_describe_check(wh_live_describe(tmpl, tenant), tmpl, subject);
				continue;
			}
			lease = wh_pool_take(tenant, subject);
			(void) wh_describe_check(wh_describe(lease->conn,
												 wh_fetch_query(tmpl, tenant, &day)),
									 tmpl, subject);
			wh_pool_give(lease);
		}
	}
	PG_FINALLY();
	{
		wh_session_purpose(NULL);
	}
	PG_END_TRY();
	wh_pool_close(pool);
}

/*
 * Look at all templates of one tenant, which is left at the first failure to
 * reach it.
 */
static void
look_at_tenant(ReturnSetInfo *rsinfo, const WhTenant *tenant,
			   const List *templates)
{
	Look		work = {.rsinfo = rsinfo,.tenant = tenant};
	ListCell   *lc;

	foreach(lc, templates)
	{
		WhRun		run = {0};

		work.tmpl = (const WhTemplate *) lfirst(lc);
		work.reached = false;
		if (!wh_template_applies(work.tmpl, tenant))
			continue;

		wh_run_contained(&run, look, &work);
		if (run.error == NULL)
			continue;
		put_failure(&work, run.error);
		if (!work.reached)
			return;
	}
}

/*
 * The contained work: describe today's query and compare.
 */
static void
look(WhRun *run, void *arg)
{
	Look	   *work = (Look *) arg;
	WhPeriod	day = wh_period_day(wh_date_at(GetCurrentTimestamp(), work->tenant->time_zone));
	WhLease    *lease;

	if (wh_template_is_live(work->tmpl))
	{
		/* It has a way of its own: a failure says nothing of the others. */
		work->reached = true;
		put_drifts(work, wh_live_describe(work->tmpl, work->tenant));
		return;
	}

	if (wh_template_is_local(work->tmpl))
	{
		WhPeriod	whole = wh_period_whole();

		work->reached = true;
		put_drifts(work, wh_describe_of(wh_local_columns(work->tmpl, work->tenant,
														 wh_template_is_daily(work->tmpl) ? &day : &whole)));
		return;
	}

	lease = wh_pool_take(work->tenant,
						 psprintf("Tenant \"%s\", template \"%s\".",
								  work->tenant->name, work->tmpl->name));
	work->reached = true;
	put_drifts(work, wh_describe(lease->conn,
								 wh_fetch_query(work->tmpl, work->tenant, &day)));
	wh_pool_give(lease);
}

static void
put_drifts(const Look *work, const WhRemoteColumns *columns)
{
	ListCell   *lc;

	foreach(lc, wh_describe_drift(columns, work->tmpl->columns))
		put_drift(work, (const WhDrift *) lfirst(lc));
}

static void
put_drift(const Look *work, const WhDrift *drift)
{
	static const char *const words[] = {
		[WH_MISSING] = "missing",
		[WH_REORDERED] = "reordered",
		[WH_RETYPED] = "type",
		[WH_ADDED] = "added",
		[WH_TWICE] = "duplicate"
	};
	const char *texts[] = {work->tmpl->name, work->tenant->name, drift->column,
	drift->declared_type, drift->source_type, words[drift->change], NULL};

	put_row(work->rsinfo, texts);
}

/*
 * Tell of a tenant that cannot be reached, or of a query that it refuses.
 */
static void
put_failure(const Look *work, const ErrorData *error)
{
	const char *texts[] = {work->reached ? work->tmpl->name : NULL,
		work->tenant->name, NULL, NULL, NULL,
	work->reached ? "refused" : "unreachable", error->message};

	put_row(work->rsinfo, texts);
}

static void
put_row(ReturnSetInfo *rsinfo, const char *const *texts)
{
	Datum		values[7] = {0};
	bool		nulls[7];

	for (int i = 0; i < (int) lengthof(values); i++)
	{
		nulls[i] = texts[i] == NULL;
		if (!nulls[i])
			values[i] = CStringGetTextDatum(texts[i]);
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}
