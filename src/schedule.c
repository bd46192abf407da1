/*
 * schedule.c
 *		Jobs of pg_cron: the only file that names cron.*.
 *
 * pg_cron is a soft dependency, and its version 1.4.2 has traps that are kept
 * off here: job names are cut at 63 bytes and then overwrite each other, a
 * re-schedule leaves database and active as they were, and a function that
 * returns false counts as a success (so the commands are CALLs, which raise).
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "audit.h"
#include "names.h"
#include "refresh.h"
#include "schedule.h"
#include "settings.h"
#include "spi.h"

/* Minutes between the jobs of two tenants, as in '10', '25', '40'. */
#define STAGGER_MINUTES 15

/* How a refresh job is named and what it runs. */
#define JOB_PREFIX "pg_warehouse:refresh:"
#define REFRESH_CALL "CALL _wh.run_refresh"

/* A job as it should be, or as pg_cron has it. */
typedef struct Job
{
	int64		id;				/* 0: not there */
	char	   *name;
	char	   *schedule;
	char	   *command;
	bool		ours;			/* same database and active */
} Job;

PG_FUNCTION_INFO_V1(wh_setup_cron);
PG_FUNCTION_INFO_V1(wh_remove_cron);

static bool cron_is_here(void);
static void check_cron(void);
static void check_background_mode(void);
static Job *make_job(const char *template_name, const char *tenant,
					 char *schedule);
static List *wanted_jobs(const WhRequest *request, const char *schedule);
static char *stagger(const char *schedule, int nth);
static char *job_name(const char *template_name, const char *tenant);
static Job *find_job(const char *name);
static const char *apply_job(Job *wanted, bool dry_run);
static void unschedule(int64 jobid);
static void put_job(ReturnSetInfo *rsinfo, const Job *job, const char *action);

/*
 * _wh.setup_cron(template, tenant, schedule, dry_run, time_zone) returns setof
 */
Datum
wh_setup_cron(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *template_name = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *tenant = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	bool		dry_run = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3);
	WhRequest	request = {0};
	WhRole		caller;
	ListCell   *lc;

	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("schedule must not be null")));
	if (!PG_ARGISNULL(4) && strcmp(text_to_cstring(PG_GETARG_TEXT_PP(4)), "UTC") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("schedules in another time zone than UTC are not built yet")));

	InitMaterializedSRF(fcinfo, 0);
	check_cron();

	wh_become_owner(&caller);
	wh_request_resolve(&request, template_name, tenant);
	foreach(lc, wanted_jobs(&request, text_to_cstring(PG_GETARG_TEXT_PP(2))))
	{
		Job		   *job = (Job *) lfirst(lc);
		const char *action = apply_job(job, dry_run);

		put_job(rsinfo, job, action);
		if (!dry_run && strcmp(action, "unchanged") != 0)
			wh_audit("schedule", job->name, NULL);
	}
	wh_role_leave(&caller);

	return (Datum) 0;
}

/*
 * _wh.remove_cron(template, tenant) returns setof
 */
Datum
wh_remove_cron(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *template_name = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *tenant = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	WhRequest	request = {0};
	WhRole		caller;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	check_cron();

	wh_become_owner(&caller);
	wh_request_resolve(&request, template_name, tenant);
	foreach(lc, wanted_jobs(&request, ""))
	{
		Job		   *job = find_job(((const Job *) lfirst(lc))->name);
		Datum		values[2];
		bool		nulls[2] = {false, false};

		if (job == NULL)
			continue;
		unschedule(job->id);
		wh_audit("unschedule", job->name, NULL);
		values[0] = Int64GetDatum(job->id);
		values[1] = CStringGetTextDatum(job->name);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	wh_role_leave(&caller);

	return (Datum) 0;
}

/*
 * Names can be hashed, so the jobs are known by what they call.
 */
void
wh_schedule_remove(const char *template_name, const char *tenant)
{
	WhArg		args[3];

	if (!cron_is_here())
		return;

	args[0] = wh_text(template_name
					  ? psprintf(REFRESH_CALL "(%s, ", quote_literal_cstr(template_name))
					  : REFRESH_CALL "(");
	args[1] = wh_text(tenant ? psprintf(", %s)", quote_literal_cstr(tenant)) : ")");
	args[2] = wh_text(JOB_PREFIX);

	SPI_connect();
	(void) wh_spi(SPI_OK_SELECT,
				  "SELECT cron.unschedule(jobid) FROM cron.job"
				  " WHERE pg_catalog.starts_with(command, $1)"
				  " AND pg_catalog.right(command, pg_catalog.length($2))"
				  "   OPERATOR(pg_catalog.=) $2"
				  " AND pg_catalog.starts_with(jobname::text, $3)"
				  " AND username::text OPERATOR(pg_catalog.=) CURRENT_USER::text",
				  args, lengthof(args));
	SPI_finish();
}

void
wh_schedule_rename(const char *template_name, const char *tenant,
				   const char *new_tenant)
{
	Job		   *job = NULL;

	if (cron_is_here())
		job = find_job(job_name(template_name, tenant));
	if (job == NULL)
		return;

	unschedule(job->id);
	(void) apply_job(make_job(template_name, new_tenant, job->schedule), false);
}

static bool
cron_is_here(void)
{
	return OidIsValid(get_extension_oid("pg_cron", true));
}

/*
 * Refuse with the cure when pg_cron cannot serve this database.
 */
static void
check_cron(void)
{
	const char *database = GetConfigOption("cron.database_name", true, false);
	const char *here = get_database_name(MyDatabaseId);

	if (database != NULL && strcmp(database, here) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("pg_cron lives in database \"%s\", not in \"%s\"", database, here),
				 errhint("Set cron.database_name = '%s' in postgresql.conf and restart the server.",
						 here)));
	if (!cron_is_here())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("pg_cron is not installed in this database"),
				 errhint("Install package postgresql-%d-cron, set shared_preload_libraries = 'pg_cron'"
						 " and cron.database_name = '%s' in postgresql.conf, restart the server,"
						 " then CREATE EXTENSION pg_cron; and SELECT _wh.setup();",
						 PG_VERSION_NUM / 10000, here)));
	check_background_mode();
}

/*
 * Before 1.5, pg_cron's background workers run one job at a time: one slow
 * tenant would hold up every other job of the server.
 */
static void
check_background_mode(void)
{
	const char *mode = GetConfigOption("cron.use_background_workers", true, false);

	if (mode == NULL || strcmp(mode, "on") != 0 ||
		GetConfigOption("cron.timezone", true, false) != NULL)
		return;

	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg("this version of pg_cron runs one job at a time"),
			 errdetail("cron.use_background_workers is on, and pg_cron is older than 1.5."),
			 errhint("Set cron.use_background_workers = off and cron.host to the socket directory.")));
}

/*
 * List the jobs that a request asks for: one per template and tenant.
 */
static List *
wanted_jobs(const WhRequest *request, const char *schedule)
{
	List	   *jobs = NIL;
	ListCell   *lc;

	foreach(lc, request->templates)
	{
		const WhTemplate *tmpl = (const WhTemplate *) lfirst(lc);
		ListCell   *lt;

		foreach(lt, request->tenants)
		{
			const WhTenant *tenant = (const WhTenant *) lfirst(lt);

			if (wh_template_applies(tmpl, tenant))
				jobs = lappend(jobs, make_job(tmpl->name, tenant->name,
											  stagger(schedule, list_length(jobs))));
		}
	}

	return jobs;
}

static Job *
make_job(const char *template_name, const char *tenant, char *schedule)
{
	Job		   *job = (Job *) palloc0(sizeof(Job));

	job->name = job_name(template_name, tenant);
	job->schedule = schedule;
	job->command = psprintf(REFRESH_CALL "(%s, %s)",
							quote_literal_cstr(template_name),
							quote_literal_cstr(tenant));

	return job;
}

/*
 * Shift a plain minute field so that the nth job starts at a minute of its
 * own; anything else in that field is the user's exact wish.
 */
static char *
stagger(const char *schedule, int nth)
{
	char	   *rest;
	long		minute = strtol(schedule, &rest, 10);
	int			lap = (nth * STAGGER_MINUTES) / 60;

	if (rest == schedule || *rest != ' ' || minute < 0 || minute > 59)
		return pstrdup(schedule);

	return psprintf("%ld%s", (minute + nth * STAGGER_MINUTES + lap) % 60, rest);
}

/*
 * Name a job; never longer than pg_cron keeps.
 */
static char *
job_name(const char *template_name, const char *tenant)
{
	return wh_bounded_name(psprintf(JOB_PREFIX "%s:%s", template_name, tenant));
}

/*
 * Look one of the owner's jobs up by name; NULL when there is none.
 */
static Job *
find_job(const char *name)
{
	MemoryContext caller = CurrentMemoryContext;
	WhArg		args[] = {wh_text(name)};
	Job		   *job = NULL;

	SPI_connect();
	if (wh_spi(SPI_OK_SELECT,
			   "SELECT jobid, schedule, command,"
			   " active AND database::text OPERATOR(pg_catalog.=)"
			   "   pg_catalog.current_database()::text"
			   " FROM cron.job"
			   " WHERE jobname::text OPERATOR(pg_catalog.=) $1"
			   " AND username::text OPERATOR(pg_catalog.=) CURRENT_USER::text",
			   args, lengthof(args)) > 0)
	{
		MemoryContextSwitchTo(caller);
		job = (Job *) palloc0(sizeof(Job));
		job->id = wh_col_int8(0, 1, 0);
		job->name = pstrdup(name);
		job->schedule = wh_col_text(0, 2);
		job->command = wh_col_text(0, 3);
		job->ours = wh_col_bool(0, 4, false);
	}
	SPI_finish();

	return job;
}

/*
 * Make pg_cron have the job as wanted; says what that took.
 */
static const char *
apply_job(Job *wanted, bool dry_run)
{
	Job		   *present = find_job(wanted->name);
	WhArg		args[] = {wh_text(wanted->name), wh_text(wanted->schedule),
	wh_text(wanted->command)};

	if (present != NULL)
	{
		wanted->id = present->id;
		if (present->ours && strcmp(present->schedule, wanted->schedule) == 0 &&
			strcmp(present->command, wanted->command) == 0)
			return "unchanged";
	}
	if (dry_run)
		return present ? "change" : "create";

	if (present != NULL)
		unschedule(present->id);

	SPI_connect();
	(void) wh_spi(SPI_OK_SELECT, "SELECT cron.schedule($1, $2, $3)",
				  args, lengthof(args));
	wanted->id = wh_col_int8(0, 1, 0);
	SPI_finish();

	return present ? "changed" : "created";
}

static void
unschedule(int64 jobid)
{
	WhArg		args[] = {wh_int8(jobid)};

	SPI_connect();
	(void) wh_spi(SPI_OK_SELECT, "SELECT cron.unschedule($1)", args, lengthof(args));
	SPI_finish();
}

static void
put_job(ReturnSetInfo *rsinfo, const Job *job, const char *action)
{
	Datum		values[5];
	bool		nulls[5] = {0};

	nulls[0] = job->id == 0;
	values[0] = Int64GetDatum(job->id);
	values[1] = CStringGetTextDatum(job->name);
	values[2] = CStringGetTextDatum(job->schedule);
	values[3] = CStringGetTextDatum(job->command);
	values[4] = CStringGetTextDatum(action);

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

void
wh_cron_state(WhCronState *state)
{
	const char *mode = GetConfigOption("cron.use_background_workers", true, false);

	state->installed = cron_is_here();
	state->database = GetConfigOption("cron.database_name", true, false);
	state->host = GetConfigOption("cron.host", true, false);
	state->loaded = state->database != NULL;
	state->background = mode != NULL && strcmp(mode, "on") == 0;
	state->one_at_a_time = state->background &&
		GetConfigOption("cron.timezone", true, false) == NULL;
}

List *
wh_cron_jobs(void)
{
	MemoryContext caller = CurrentMemoryContext;
	List	   *jobs = NIL;
	uint64		n;

	SPI_connect();
	n = wh_spi(SPI_OK_SELECT,
			   "SELECT j.jobid, coalesce(j.jobname::text, j.jobid::text), j.command,"
			   " j.username::text, j.nodename, j.nodeport, j.active,"
			   " d.status, d.return_message"
			   " FROM cron.job AS j LEFT JOIN LATERAL"
			   " (SELECT r.status, r.return_message FROM cron.job_run_details AS r"
			   "  WHERE r.jobid OPERATOR(pg_catalog.=) j.jobid"
			   "  AND r.status IN ('succeeded', 'failed')"
			   "  ORDER BY r.runid USING OPERATOR(pg_catalog.>) LIMIT 1) AS d ON true"
			   " WHERE j.database::text OPERATOR(pg_catalog.=)"
			   " pg_catalog.current_database()::text"
			   " AND (pg_catalog.strpos(j.command, '_wh.') OPERATOR(pg_catalog.>) 0"
			   "  OR pg_catalog.strpos(j.command, 'wh_') OPERATOR(pg_catalog.>) 0)"
			   " ORDER BY j.jobid",
			   NULL, 0);
	MemoryContextSwitchTo(caller);
	for (uint64 row = 0; row < n; row++)
	{
		WhCronJob  *job = (WhCronJob *) palloc(sizeof(WhCronJob));

		job->id = wh_col_int8(row, 1, 0);
		job->name = wh_col_text(row, 2);
		job->command = wh_col_text(row, 3);
		job->role = wh_col_text(row, 4);
		job->host = wh_col_text(row, 5);
		job->port = wh_col_int4(row, 6, 0);
		job->active = wh_col_bool(row, 7, false);
		job->last_status = wh_col_text(row, 8);
		job->last_message = wh_col_text(row, 9);
		jobs = lappend(jobs, job);
	}
	SPI_finish();

	return jobs;
}

char *
wh_cron_command_sql(const WhCronJob *job, const char *command)
{
	return psprintf("SELECT cron.alter_job(" INT64_FORMAT ", command => %s);",
					job->id, quote_literal_cstr(command));
}

char *
wh_cron_activate_sql(const WhCronJob *job)
{
	return psprintf("SELECT cron.alter_job(" INT64_FORMAT ", active => true);", job->id);
}

/*
 * pg_cron has no function for that; a trigger of its own notices the change.
 */
char *
wh_cron_move_sql(const WhCronJob *job, const char *host, int port)
{
	return psprintf("UPDATE cron.job SET nodename = %s, nodeport = %d WHERE jobid = " INT64_FORMAT ";",
					quote_literal_cstr(host), port, job->id);
}

char *
wh_cron_host_sql(const char *host)
{
	return psprintf("ALTER SYSTEM SET cron.host = %s;", quote_literal_cstr(host));
}

char *
wh_cron_many_sql(void)
{
	return pstrdup("ALTER SYSTEM SET cron.use_background_workers = off;");
}
