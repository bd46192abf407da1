/*
 * jobplan.c
 *		Which jobs a warehouse should have, when, and under what names;
 *		_wh.wh_crontab().
 *
 * Nothing here knows a scheduler but by its time zone and by how many jobs it
 * runs at once.  Names are told apart in the 63 bytes that one may keep.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "cronspec.h"
#include "jobplan.h"
#include "names.h"
#include "refresh.h"
#include "settings.h"

/* Minutes between the jobs of two tenants, as in '10', '25', '40'. */
#define STAGGER_MINUTES 15

#define JOB_PREFIX "pg_warehouse:"
#define REFRESH_SCHEDULE "10 */4 * * *"
#define MAINTENANCE_SCHEDULE "20 3 * * *"
#define ROLLUP_SCHEDULE "0 2 15 2 *"

PG_FUNCTION_INFO_V1(wh_crontab);

static List *pair_jobs(const WhJobWish *wish);
static char *stagger(const char *schedule, int nth, int of, int template_nth,
					 int templates);
static char *job_name(const char *kind, const char *template_name, const char *tenant);
static char *name_part(const char *name);
static char *job_command(const char *kind, const char *template_name, const char *tenant);
static void append_shell(StringInfo line, const char *text);

/*
 * _wh.wh_crontab() returns setof text
 *
 * The jobs that there are, else those that setup_cron() would make.
 */
Datum
wh_crontab(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	WhJobWish	wish = {.schedule = REFRESH_SCHEDULE,.time_zone = "UTC",.slots = INT_MAX};
	StringInfoData line;
	List	   *jobs;
	ListCell   *lc;
	WhRole		caller;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	initStringInfo(&line);
	appendStringInfoString(&line, "# pg_warehouse: hours are UTC; a cron without CRON_TZ needs a server in UTC\n"
						   "CRON_TZ=UTC");

	wh_become_owner(&caller);
	jobs = wh_jobs();
	if (jobs == NIL)
		jobs = wh_jobs_wanted(&wish);
	foreach(lc, jobs)
	{
		const WhJob *job = (const WhJob *) lfirst(lc);

		appendStringInfo(&line, "\n%s psql -X -q -d ",
						 wh_job_schedule(job->wanted, job->time_zone, 0));
		append_shell(&line, get_database_name(MyDatabaseId));
		appendStringInfoString(&line, " -U ");
		append_shell(&line, GetUserNameFromId(GetUserId(), false));
		appendStringInfoString(&line, " -c ");
		append_shell(&line, job->command);
	}
	wh_role_leave(&caller);

	for (char *next = line.data; next != NULL;)
	{
		char	   *one = strsep(&next, "\n");
		Datum		value = CStringGetTextDatum(one);
		bool		isnull = false;

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &isnull);
	}

	return (Datum) 0;
}

/*
 * List the jobs that there should be; see jobplan.h.  With more tenants than
 * jobs that run at once, one job has them all, in as many workers as
 * pg_warehouse.max_workers says.
 */
List *
wh_jobs_wanted(const WhJobWish *wish)
{
	WhRequest	request = {0};
	List	   *jobs;

	wh_request_resolve(&request, wish->template_name, wish->tenant);
	if (wish->tenant == NULL && list_length(request.tenants) > wish->slots)
		jobs = list_make1(wh_job_make("dispatch", wish->template_name, NULL,
									  wish->schedule, wish->time_zone, wish->offset));
	else
		jobs = pair_jobs(wish);
	jobs = lappend(jobs, wh_job_make("maintenance", NULL, NULL, MAINTENANCE_SCHEDULE,
									 "UTC", wish->offset));

	return lappend(jobs, wh_job_make("rollup", NULL, NULL, ROLLUP_SCHEDULE,
									 "UTC", wish->offset));
}

WhJob *
wh_job_make(const char *kind, const char *template_name, const char *tenant,
			const char *wanted, const char *time_zone, int offset)
{
	WhJob	   *job = (WhJob *) palloc0(sizeof(WhJob));

	job->name = job_name(kind, template_name, tenant);
	job->kind = pstrdup(kind);
	job->template_name = template_name ? pstrdup(template_name) : NULL;
	job->tenant_name = tenant ? pstrdup(tenant) : NULL;
	job->wanted = pstrdup(wanted);
	job->time_zone = pstrdup(time_zone);
	job->schedule = wh_job_schedule(wanted, time_zone, offset);
	job->command = job_command(kind, template_name, tenant);

	return job;
}

char *
wh_job_schedule(const char *wanted, const char *time_zone, int offset)
{
	int			shift = offset - wh_zone_offset(time_zone);
	WhCron		cron;

	if (shift == 0)
		return pstrdup(wanted);
	if (!wh_cron_parse(wanted, &cron) || !wh_cron_shift(&cron, shift))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("schedule \"%s\" of time zone %s cannot be written in GMT",
						wanted, time_zone),
				 errdetail("pg_cron goes by GMT, where some of its hours are on another day, or no five fields say the same."),
				 errhint("Give it in GMT: time_zone => 'UTC'.")));

	return wh_cron_text(&cron);
}

int
wh_zone_offset(const char *time_zone)
{
	pg_time_t	now = timestamptz_to_time_t(GetCurrentTimestamp());
	pg_tz	   *tz = pg_tzset(time_zone);
	struct pg_tm *tm = tz ? pg_localtime(&now, tz) : NULL;

	return tm ? tm->tm_gmtoff / 60 : 0;
}

/*
 * List one job per template and tenant.  The minute of each goes by all that
 * the warehouse has, so that calls for a part of it fit together.
 */
static List *
pair_jobs(const WhJobWish *wish)
{
	WhRequest	all = {0};
	List	   *jobs = NIL;
	ListCell   *lc;
	ListCell   *lt;

	wh_request_resolve(&all, NULL, NULL);
	foreach(lc, all.templates)
	{
		const WhTemplate *tmpl = (const WhTemplate *) lfirst(lc);

		if (wish->template_name != NULL && strcmp(tmpl->name, wish->template_name) != 0)
			continue;
		foreach(lt, all.tenants)
		{
			const WhTenant *tenant = (const WhTenant *) lfirst(lt);

			if ((wish->tenant != NULL && strcmp(tenant->name, wish->tenant) != 0) ||
				!wh_template_applies(tmpl, tenant))
				continue;
			jobs = lappend(jobs, wh_job_make("refresh", tmpl->name, tenant->name,
											 stagger(wish->schedule,
													 foreach_current_index(lt),
													 list_length(all.tenants),
													 foreach_current_index(lc),
													 list_length(all.templates)),
											 wish->time_zone, wish->offset));
		}
	}

	return jobs;
}

/*
 * Put a job off so that tenants start one after the other inside the cadence,
 * and the templates of one between it and the next.  Where the minute is no
 * plain number, it is the user's exact wish.
 */
static char *
stagger(const char *schedule, int nth, int of, int template_nth, int templates)
{
	WhCron		fields;
	int			room;
	int			step;

	if (!wh_cron_parse(schedule, &fields) ||
		strspn(fields.text[0], "0123456789") != strlen(fields.text[0]))
		return pstrdup(schedule);

	room = Min(wh_cron_cadence(&fields), wh_cron_slack(&fields) + 1);
	step = Min(STAGGER_MINUTES, room / of);
	if (!wh_cron_shift(&fields, (step > 0 ? nth * step : nth * room / of) +
					   template_nth * step / templates))
		return pstrdup(schedule);

	return wh_cron_text(&fields);
}

/*
 * Name a job; never longer than pg_cron keeps.
 */
static char *
job_name(const char *kind, const char *template_name, const char *tenant)
{
	StringInfoData name;

	initStringInfo(&name);
	appendStringInfo(&name, JOB_PREFIX "%s", kind);
	if (template_name != NULL)
		appendStringInfo(&name, ":%s", name_part(template_name));
	if (tenant != NULL)
		appendStringInfo(&name, ":%s", name_part(tenant));

	return wh_bounded_name(name.data);
}

/*
 * Quote what could be taken for two names.
 */
static char *
name_part(const char *name)
{
	if (strpbrk(name, ":\"") == NULL)
		return pstrdup(name);

	return pstrdup(quote_identifier(name));
}

static char *
job_command(const char *kind, const char *template_name, const char *tenant)
{
	if (strcmp(kind, "maintenance") == 0)
		return pstrdup("CALL _wh.run_maintenance()");
	if (strcmp(kind, "rollup") == 0)
		return pstrdup("CALL _wh.run_rollup()");
	if (template_name == NULL)
		return pstrdup("CALL _wh.run_refresh()");
	if (tenant == NULL)
		return psprintf("CALL _wh.run_refresh(%s)", quote_literal_cstr(template_name));

	return psprintf("CALL _wh.run_refresh(%s, %s)", quote_literal_cstr(template_name),
					quote_literal_cstr(tenant));
}

/*
 * Quote a word for the shell, inside a line of a crontab.
 */
static void
append_shell(StringInfo line, const char *text)
{
	appendStringInfoChar(line, '\'');
	for (; *text != '\0'; text++)
	{
		if (*text == '\'')
			appendStringInfoString(line, "'\\''");
		else if (*text == '%')
			appendStringInfoString(line, "\\%");
		else
			appendStringInfoChar(line, *text);
	}
	appendStringInfoChar(line, '\'');
}
