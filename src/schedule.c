/*
 * schedule.c
 *		Jobs of pg_cron: the only file that names cron.*.
 *
 * pg_cron is a soft dependency, and its version 1.4.2 has traps that are kept
 * off here: job names are cut at 63 bytes and then overwrite each other, a
 * re-schedule leaves database and active as they were, hours are those of GMT,
 * missed ticks come one after the other, and a function that returns false
 * counts as a success (so the commands are CALLs, which raise).
 *
 * pg_cron knows its jobs by name, we by _wh.jobs (job.c); a job of ours that
 * somebody removed there is made again by the next setup_cron().
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
#include "utils/timestamp.h"

#include "audit.h"
#include "compat.h"
#include "cronspec.h"
#include "job.h"
#include "jobplan.h"
#include "period.h"
#include "schedule.h"
#include "settings.h"
#include "spi.h"
#include "template.h"
#include "tenant.h"

/* How many jobs pg_cron runs at once where it does not say. */
#define DEFAULT_SLOTS 32

/* A job starts within this time of its minute. */
#define GRACE (2 * USECS_PER_MINUTE)

/* A job as pg_cron has it. */
typedef struct Present
{
	int64		jobid;
	char	   *schedule;
	char	   *command;
	bool		ours;			/* same database and active */
} Present;

PG_FUNCTION_INFO_V1(wh_setup_cron);
PG_FUNCTION_INFO_V1(wh_remove_cron);
PG_FUNCTION_INFO_V1(wh_job_states);

static bool cron_is_here(void);
static bool cron_is_loaded(void);
static void check_cron(void);
static void check_background_mode(void);
static int	scheduler_slots(void);
static int	scheduler_offset(void);
static bool is_fixed(const WhJob *job);
static bool is_in_scope(const WhJob *job, const char *template_name, const char *tenant);
static WhJob *find_known(List *jobs, const char *name);
static Present *find_present(const char *name);
static const char *apply_job(WhJob *job, bool known, bool dry_run);
static void drop_job(const WhJob *job);
static void unschedule(int64 jobid);
static void put_job(ReturnSetInfo *rsinfo, const WhJob *job, const char *action);
static void put_state(ReturnSetInfo *rsinfo, const WhJob *job, uint64 row, bool found);

/*
 * _wh.setup_cron(template, tenant, schedule, dry_run, time_zone) returns setof
 */
Datum
wh_setup_cron(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		dry_run = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3);
	WhJobWish	wish = {0};
	List	   *known;
	List	   *wanted;
	ListCell   *lc;
	WhRole		caller;

	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("schedule must not be null")));
	wish.template_name = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	wish.tenant = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	wish.schedule = text_to_cstring(PG_GETARG_TEXT_PP(2));
	wish.time_zone = PG_ARGISNULL(4) ? "UTC" : text_to_cstring(PG_GETARG_TEXT_PP(4));
	if (!wh_time_zone_is_valid(wish.time_zone))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown time zone \"%s\"", wish.time_zone),
				 errhint("SELECT name FROM pg_timezone_names;")));

	InitMaterializedSRF(fcinfo, 0);
	check_cron();

	wh_become_owner(&caller);
	wish.slots = scheduler_slots();
	wish.offset = scheduler_offset();
	known = wh_jobs();
	wanted = wh_jobs_wanted(&wish);
	foreach(lc, wanted)
	{
		WhJob	   *job = (WhJob *) lfirst(lc);
		const char *action = apply_job(job, find_known(known, job->name) != NULL, dry_run);

		put_job(rsinfo, job, action);
		if (!dry_run && strcmp(action, "unchanged") != 0)
			wh_audit("schedule", job->name, NULL);
	}

	/* What a call for all tenants no longer wants would run beside the rest. */
	foreach(lc, known)
	{
		const WhJob *job = (const WhJob *) lfirst(lc);

		if (wish.tenant != NULL || is_fixed(job) ||
			!is_in_scope(job, wish.template_name, NULL) ||
			find_known(wanted, job->name) != NULL)
			continue;
		put_job(rsinfo, job, dry_run ? "remove" : "removed");
		if (!dry_run)
			drop_job(job);
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
	ListCell   *lc;
	WhRole		caller;

	InitMaterializedSRF(fcinfo, 0);
	check_cron();

	wh_become_owner(&caller);
	if (template_name != NULL)
		(void) wh_template(template_name);
	if (tenant != NULL)
		(void) wh_tenant(tenant);
	foreach(lc, wh_jobs())
	{
		const WhJob *job = (const WhJob *) lfirst(lc);
		Datum		values[2];
		bool		nulls[2] = {false, false};

		if (!is_in_scope(job, template_name, tenant))
			continue;
		drop_job(job);
		values[0] = Int64GetDatum(job->jobid);
		values[1] = CStringGetTextDatum(job->name);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	wh_role_leave(&caller);

	return (Datum) 0;
}

/*
 * _wh.job_states() returns setof
 *
 * pg_cron's log has no index but its key, and no times where it could not
 * connect: it is read once for all jobs, and its last row is the latest.
 */
Datum
wh_job_states(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext context = CurrentMemoryContext;
	List	   *names = NIL;
	List	   *jobs;
	ListCell   *lc;
	WhArg		arg;
	bool		found = cron_is_here();
	WhRole		caller;

	InitMaterializedSRF(fcinfo, 0);

	wh_become_owner(&caller);
	jobs = wh_jobs();
	foreach(lc, jobs)
		names = lappend(names, ((const WhJob *) lfirst(lc))->name);
	arg = wh_text_array(names);

	SPI_connect();
	if (found)
		(void) wh_spi(SPI_OK_SELECT,
					  "SELECT c.jobid, c.schedule, c.active AND"
					  "   c.database::text = pg_catalog.current_database()::text,"
					  " d.status, d.start_time, d.end_time, d.return_message,"
					  " ever.started"
					  " FROM pg_catalog.unnest($1) WITH ORDINALITY AS w(name, nth)"
					  " LEFT JOIN cron.job AS c ON c.jobname::text = w.name"
					  "   AND c.username::text = CURRENT_USER::text"
					  " LEFT JOIN (SELECT r.jobid, max(r.runid) AS runid,"
					  "     max(r.start_time) AS started"
					  "   FROM cron.job_run_details AS r GROUP BY r.jobid) AS ever"
					  "   ON ever.jobid = c.jobid"
					  " LEFT JOIN cron.job_run_details AS d ON d.runid = ever.runid"
					  " ORDER BY w.nth",
					  &arg, 1);
	MemoryContextSwitchTo(context);
	foreach(lc, jobs)
		put_state(rsinfo, (const WhJob *) lfirst(lc), foreach_current_index(lc), found);
	SPI_finish();
	wh_role_leave(&caller);

	return (Datum) 0;
}

void
wh_schedule_remove(const char *template_name, const char *tenant)
{
	ListCell   *lc;

	foreach(lc, wh_jobs())
	{
		const WhJob *job = (const WhJob *) lfirst(lc);

		if (is_in_scope(job, template_name, tenant))
			drop_job(job);
	}
}

void
wh_schedule_rename(const char *tenant, const char *new_tenant)
{
	ListCell   *lc;

	foreach(lc, wh_jobs())
	{
		const WhJob *job = (const WhJob *) lfirst(lc);

		if (!is_in_scope(job, NULL, tenant))
			continue;
		drop_job(job);
		if (cron_is_here())
			(void) apply_job(wh_job_make(job->kind, job->template_name, new_tenant,
										 job->wanted, job->time_zone,
										 scheduler_offset()), false, false);
	}
}

bool
wh_schedule_replayed(void)
{
	const char *application = GetConfigOption("application_name", true, false);
	TimestampTz before = DT_NOBEGIN;
	TimestampTz now = GetCurrentTimestamp();
	char	   *schedule = NULL;
	WhCron		cron;
	int64		offset;

	if (!cron_is_here() ||
		(!wh_is_background_worker() && (application == NULL || strcmp(application, "pg_cron") != 0)))
		return false;

	SPI_connect();
	if (wh_spi(SPI_OK_SELECT,
			   "SELECT j.schedule, ("
			   "   SELECT p.start_time FROM cron.job_run_details AS p"
			   "   WHERE p.jobid = d.jobid AND p.runid < d.runid"
			   "   AND p.start_time IS NOT NULL"
			   "   ORDER BY p.runid DESC LIMIT 1)"
			   " FROM cron.job_run_details AS d"
			   " JOIN cron.job AS j ON j.jobid = d.jobid"
			   " WHERE d.job_pid = pg_catalog.pg_backend_pid()"
			   " AND d.status IN ('sending', 'running')"
			   " ORDER BY d.runid DESC LIMIT 1", NULL, 0) > 0)
	{
		schedule = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
		before = wh_col_timestamptz(0, 2, DT_NOBEGIN);
	}
	if (schedule == NULL || !wh_cron_parse(schedule, &cron))
	{
		SPI_finish();
		return false;
	}
	offset = scheduler_offset() * USECS_PER_MINUTE;
	SPI_finish();

	/* A start that lies ahead tells of a clock that was set back. */
	return before <= now && before >= wh_cron_last(&cron, now + offset) - offset;
}

/*
 * Jobs that are gone have left their commands behind, and those of all tenants
 * what they had to say of this one.
 */
void
wh_schedule_erase(const char *tenant)
{
	WhArg		args[2];

	if (!cron_is_here())
		return;

	args[0] = wh_text(psprintf(", %s)", quote_literal_cstr(tenant)));
	args[1] = wh_text(tenant);
	SPI_connect();
	(void) wh_spi(SPI_OK_DELETE,
				  "DELETE FROM cron.job_run_details"
				  " WHERE pg_catalog.starts_with(command, 'CALL _wh.')"
				  " AND (pg_catalog.right(command, pg_catalog.length($1)) = $1"
				  "   OR pg_catalog.strpos(return_message, $2) > 0)",
				  args, lengthof(args));
	SPI_finish();
}

void
wh_schedule_prune(TimestampTz before)
{
	List	   *ids = NIL;
	ListCell   *lc;
	WhArg		args[2];

	if (!cron_is_here())
		return;
	foreach(lc, wh_jobs())
		ids = lappend(ids, psprintf(INT64_FORMAT, ((const WhJob *) lfirst(lc))->jobid));
	args[0] = wh_text_array(ids);
	args[1] = wh_timestamptz(before);

	SPI_connect();
	(void) wh_spi(SPI_OK_DELETE,
				  "DELETE FROM cron.job_run_details AS d"
				  " WHERE d.jobid = ANY ($1::bigint[]) AND d.end_time < $2"
				  " AND d.runid NOT IN (SELECT max(last.runid)"
				  "   FROM cron.job_run_details AS last GROUP BY last.jobid)",
				  args, lengthof(args));
	SPI_finish();
}

void
wh_schedule_follow_clocks(void)
{
	ListCell   *lc;

	foreach(lc, wh_schedule_moved())
	{
		WhJob	   *job = (WhJob *) lfirst(lc);

		job->schedule = wh_job_schedule(job->wanted, job->time_zone, scheduler_offset());
		(void) apply_job(job, true, false);
		wh_audit("schedule", job->name, NULL);
	}
}

List *
wh_schedule_moved(void)
{
	List	   *moved = NIL;
	ListCell   *lc;

	if (!cron_is_here())
		return NIL;
	foreach(lc, wh_jobs())
	{
		const WhJob *job = (const WhJob *) lfirst(lc);

		if (strcmp(job->schedule, wh_job_schedule(job->wanted, job->time_zone,
												  scheduler_offset())) != 0 &&
			find_present(job->name) != NULL)
			moved = lappend(moved, lfirst(lc));
	}

	return moved;
}

static bool
cron_is_here(void)
{
	return OidIsValid(get_extension_oid("pg_cron", true));
}

/*
 * Is its library there?  Else its settings are mere words of the file.
 */
static bool
cron_is_loaded(void)
{
	return GetConfigOption("cron.database_name", true, false) != NULL &&
		!(GetConfigOptionFlags("cron.database_name", true) & GUC_CUSTOM_PLACEHOLDER);
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
				 errhint("Set cron.database_name = '%s' in postgresql.conf and restart the server,"
						 " or let cron do it: SELECT * FROM _wh.wh_crontab();",
						 here)));
	if (!cron_is_here() || !cron_is_loaded())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("pg_cron is not %s", cron_is_here() ?
						"loaded by this server" : "installed in this database"),
				 errhint("Install package postgresql-%d-cron, set shared_preload_libraries = 'pg_cron'"
						 " and cron.database_name = '%s' in postgresql.conf, restart the server,"
						 " then CREATE EXTENSION pg_cron; and SELECT _wh.setup();"
						 " or let cron do it: SELECT * FROM _wh.wh_crontab();",
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
 * How many jobs pg_cron runs at once.
 */
static int
scheduler_slots(void)
{
	const char *slots = GetConfigOption("cron.max_running_jobs", true, false);

	return slots ? atoi(slots) : DEFAULT_SLOTS;
}

/*
 * Minutes east of GMT that the scheduler's own time zone is; before 1.5, it
 * has none.
 */
static int
scheduler_offset(void)
{
	const char *time_zone = GetConfigOption("cron.timezone", true, false);

	return time_zone ? wh_zone_offset(time_zone) : 0;
}

/*
 * Is it one of the jobs that every warehouse has?
 */
static bool
is_fixed(const WhJob *job)
{
	return strcmp(job->kind, "maintenance") == 0 || strcmp(job->kind, "rollup") == 0;
}

/*
 * Does the job belong to that template and tenant, NULL being any?
 */
static bool
is_in_scope(const WhJob *job, const char *template_name, const char *tenant)
{
	return (template_name == NULL ||
			(job->template_name != NULL && strcmp(job->template_name, template_name) == 0)) &&
		(tenant == NULL ||
		 (job->tenant_name != NULL && strcmp(job->tenant_name, tenant) == 0));
}

static WhJob *
find_known(List *jobs, const char *name)
{
	ListCell   *lc;

	foreach(lc, jobs)
	{
		WhJob	   *job = (WhJob *) lfirst(lc);

		if (strcmp(job->name, name) == 0)
			return job;
	}

	return NULL;
}

/*
 * Look one of the owner's jobs up by name; NULL when pg_cron has none.
 */
static Present *
find_present(const char *name)
{
	MemoryContext caller = CurrentMemoryContext;
	WhArg		args[] = {wh_text(name)};
	Present    *job = NULL;

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
		job = (Present *) palloc(sizeof(Present));
		job->jobid = wh_col_int8(0, 1, 0);
		job->schedule = wh_col_text(0, 2);
		job->command = wh_col_text(0, 3);
		job->ours = wh_col_bool(0, 4, false);
	}
	SPI_finish();

	return job;
}

/*
 * Make pg_cron, and _wh.jobs, have the job as wanted; says what that took.
 * When the jobs of the whole warehouse run is for its DBA to change.
 */
static const char *
apply_job(WhJob *job, bool known, bool dry_run)
{
	Present    *present = find_present(job->name);
	bool		same;
	WhArg		args[3];

	if (present != NULL && is_fixed(job))
		job->wanted = job->schedule = present->schedule;
	job->jobid = present ? present->jobid : 0;
	same = present != NULL && present->ours &&
		strcmp(present->schedule, job->schedule) == 0 &&
		strcmp(present->command, job->command) == 0;
	if (dry_run)
		return same ? "unchanged" : present ? "change" : "create";
	if (same && known)
		return "unchanged";

	if (!same)
	{
		if (present != NULL)
			unschedule(present->jobid);

		args[0] = wh_text(job->name);
		args[1] = wh_text(job->schedule);
		args[2] = wh_text(job->command);
		SPI_connect();
		(void) wh_spi(SPI_OK_SELECT, "SELECT cron.schedule($1, $2, $3)",
					  args, lengthof(args));
		job->jobid = wh_col_int8(0, 1, 0);
		SPI_finish();
	}
	wh_job_write(job);

	return same ? "unchanged" : present ? "changed" : "created";
}

/*
 * Forget a job, and let pg_cron do so if it is there.
 */
static void
drop_job(const WhJob *job)
{
	const Present *present = cron_is_here() ? find_present(job->name) : NULL;

	if (present != NULL)
		unschedule(present->jobid);
	wh_job_delete(job->name);
	wh_audit("unschedule", job->name, NULL);
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
put_job(ReturnSetInfo *rsinfo, const WhJob *job, const char *action)
{
	Datum		values[5];
	bool		nulls[5] = {0};

	nulls[0] = job->jobid == 0;
	values[0] = Int64GetDatum(job->jobid);
	values[1] = CStringGetTextDatum(job->name);
	values[2] = CStringGetTextDatum(job->schedule);
	values[3] = CStringGetTextDatum(job->command);
	values[4] = CStringGetTextDatum(action);

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * Return one row of job_states(); "row" of the SPI result is what pg_cron
 * knows of the job, if there is a result.
 */
static void
put_state(ReturnSetInfo *rsinfo, const WhJob *job, uint64 row, bool found)
{
	int64		offset = scheduler_offset() * USECS_PER_MINUTE;
	int64		jobid = found ? wh_col_int8(row, 1, 0) : 0;
	char	   *schedule = found ? wh_col_text(row, 2) : NULL;
	bool		active = found && wh_col_bool(row, 3, false);
	char	   *status = found ? wh_col_text(row, 4) : NULL;
	Datum		values[14] = {0};
	bool		nulls[14] = {0};
	TimestampTz since = job->scheduled_at;
	TimestampTz expected = DT_NOEND;
	WhCron		cron;

	if (schedule == NULL)
		schedule = job->schedule;
	if (found)
		since = Max(since, wh_col_timestamptz(row, 8, DT_NOBEGIN));
	if (active && wh_cron_parse(schedule, &cron))
		expected = wh_cron_next(&cron, since + offset);

	values[0] = Int64GetDatum(jobid);
	nulls[0] = jobid == 0;
	values[1] = CStringGetTextDatum(job->name);
	nulls[2] = job->template_name == NULL;
	if (!nulls[2])
		values[2] = CStringGetTextDatum(job->template_name);
	nulls[3] = job->tenant_name == NULL;
	if (!nulls[3])
		values[3] = CStringGetTextDatum(job->tenant_name);
	values[4] = CStringGetTextDatum(schedule);
	values[5] = BoolGetDatum(active);
	nulls[6] = status == NULL;
	if (status != NULL)
		values[6] = CStringGetTextDatum(status);
	nulls[7] = nulls[8] = nulls[9] = true;
	for (int col = 7; found && col < 10; col++)
		values[col] = wh_col(row, col - 2, &nulls[col]);
	nulls[10] = expected == DT_NOEND;
	values[10] = TimestampTzGetDatum(nulls[10] ? 0 : expected - offset);
	values[11] = BoolGetDatum(!nulls[10] &&
							  (status == NULL || strcmp(status, "running") != 0) &&
							  expected - offset + GRACE < GetCurrentTimestamp());
	values[12] = CStringGetTextDatum(job->time_zone);
	values[13] = CStringGetTextDatum(job->command);

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
