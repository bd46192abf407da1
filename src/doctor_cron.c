/*
 * doctor_cron.c
 *		Checks of pg_cron: is it there, can it log in, and do its jobs fail
 *		when their work does?
 *
 * What it says of itself comes from schedule.  A login is tried as pg_cron
 * does it, from this server to the host it is set to, as the owner role; but
 * without the password file of the server's account, which our connections
 * never use, so a job that has just run proves more than a login that failed.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "postmaster/postmaster.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "conn.h"
#include "doctor.h"
#include "job.h"
#include "run.h"
#include "schedule.h"

/* A login that is tried. */
typedef struct Login
{
	const char *host;
	const char *role;
} Login;

static char *try_login(const char *host, const char *role);
static void log_in(WhRun *run, void *arg);
static void no_step(void *arg, const char *name);
static char *socket_directory(void);
static void check_job(WhDoctor *doctor, const WhCronState *state, const WhCronJob *job);
static void check_times(WhDoctor *doctor);
static char *called_function(const char *command, int *nargs);
static bool raises_nothing(const char *function);
static char *call_for(const char *command, const char *function, int nargs);

/*
 * Find out whether pg_cron can serve this database.
 */
void
wh_check_cron(WhDoctor *doctor)
{
	WhCronState state;
	const char *here = get_database_name(MyDatabaseId);

	wh_cron_state(&state);
	if (!state.loaded)
		wh_finding(doctor, WH_FINDING_WARN,
				   psprintf("pg_cron is not loaded, so nothing runs by itself: install package postgresql-%d-cron, add pg_cron to shared_preload_libraries, restart, then CREATE EXTENSION pg_cron",
							PG_VERSION_NUM / 10000),
				   NULL);
	else if (strcmp(state.database, here) != 0)
		wh_finding(doctor, WH_FINDING_WARN,
				   psprintf("pg_cron lives in database \"%s\", so setup_cron() has no jobs here", state.database),
				   NULL);
	else if (!state.installed)
		wh_finding(doctor, WH_FINDING_WARN,
				   "pg_cron is loaded and not installed in this database; setup_cron() makes jobs afterwards",
				   "CREATE EXTENSION pg_cron;");
	else if (state.one_at_a_time)
		wh_finding(doctor, WH_FINDING_ERROR,
				   "before version 1.5, background workers of pg_cron run one job at a time: one slow tenant holds up all others; takes effect at the next restart",
				   wh_cron_many_sql());
}

/*
 * Find out whether pg_cron can log in.
 */
void
wh_check_cron_login(WhDoctor *doctor)
{
	const char *owner = doctor->settings->owner_role;
	const char *directory = socket_directory();
	WhCronState state;
	char	   *reason;
	ListCell   *lc;
	WhRole		caller;

	wh_cron_state(&state);
	if (!state.installed || !state.loaded || state.background || state.host == NULL)
		return;
	foreach(lc, wh_cron_jobs())
	{
		const WhCronJob *job = (const WhCronJob *) lfirst(lc);

		if (strcmp(job->role, owner) == 0 && strcmp(job->host, state.host) == 0 &&
			job->last_status != NULL && strcmp(job->last_status, "succeeded") == 0)
			return;
	}

	wh_become_owner(&caller);
	reason = try_login(state.host, owner);
	if (reason != NULL && directory != NULL && strcmp(directory, state.host) != 0 &&
		try_login(directory, owner) == NULL)
		wh_finding(doctor, WH_FINDING_ERROR,
				   psprintf("role \"%s\" cannot log in at \"%s\", where pg_cron connects to (%s), and can over the socket; takes effect at the next restart",
							owner, state.host, reason),
				   wh_cron_host_sql(directory));
	else if (reason != NULL)
		wh_finding(doctor, WH_FINDING_ERROR,
				   psprintf("role \"%s\" cannot log in at \"%s\", where pg_cron connects to (%s): let it in by pg_hba.conf, such as a line \"local all %s peer map=...\" for the socket",
							owner, state.host, reason, quote_identifier(owner)),
				   NULL);
	wh_role_leave(&caller);
}

/*
 * Find jobs that do not run, or that hide it when their work fails.
 */
void
wh_check_cron_jobs(WhDoctor *doctor)
{
	WhCronState state;
	ListCell   *lc;

	wh_cron_state(&state);
	if (!state.installed || !state.loaded)
		return;
	foreach(lc, wh_cron_jobs())
		check_job(doctor, &state, (const WhCronJob *) lfirst(lc));
	check_times(doctor);
}

/*
 * Log in as pg_cron would; returns why that failed, or NULL.
 */
static char *
try_login(const char *host, const char *role)
{
	Login		login = {host, role};
	WhRun		run = {0};
	const char *reason;

	wh_run_contained(&run, log_in, &login);
	if (run.error == NULL)
		return NULL;
	reason = run.error->detail ? strchr(run.error->detail, '\n') : NULL;

	return pstrdup(reason ? reason + 1 : run.error->message);
}

static void
log_in(WhRun *run, void *arg)
{
	const Login *login = (const Login *) arg;
	WhTenant	here = {.name = "pg_cron",.key = "pg_cron",.schema = "pg_cron",
		.host = pstrdup(login->host),.port = PostPortNumber,
		.dbname = get_database_name(MyDatabaseId),.username = pstrdup(login->role),
	.sslmode = "prefer",.auth_method = "trusted",.time_zone = "UTC"};

	wh_disconnect(wh_connect_steps(&here, "Jobs of pg_cron.", no_step, NULL));
	run->status = "loaded";
}

static void
no_step(void *arg, const char *name)
{
}

/*
 * Return the first directory with a socket of this server, NULL for none.
 */
static char *
socket_directory(void)
{
	char	   *list = pstrdup(Unix_socket_directories);
	char	   *end = strchr(list, ',');

	if (end != NULL)
		*end = '\0';

	return list[0] == '/' ? list : NULL;
}

static void
check_job(WhDoctor *doctor, const WhCronState *state, const WhCronJob *job)
{
	int			nargs;
	char	   *function = called_function(job->command, &nargs);
	Oid			role = get_role_oid(job->role, true);

	if (!job->active)
		wh_finding(doctor, WH_FINDING_WARN,
				   psprintf("job \"%s\" of pg_cron is not active", job->name),
				   wh_cron_activate_sql(job));
	if (!state->background &&
		(strcmp(job->host, state->host) != 0 || job->port != PostPortNumber))
		wh_finding(doctor, WH_FINDING_ERROR,
				   psprintf("job \"%s\" of pg_cron connects to \"%s\", port %d, as when it was made; this server is at \"%s\", port %d",
							job->name, job->host, job->port, state->host, PostPortNumber),
				   wh_cron_move_sql(job, state->host, PostPortNumber));
	if (OidIsValid(role) && superuser_arg(role))
		wh_finding(doctor, WH_FINDING_WARN,
				   psprintf("job \"%s\" of pg_cron runs as superuser \"%s\"; make it as the owner role, by setup_cron()",
							job->name, job->role),
				   NULL);
	if (function != NULL && raises_nothing(function))
		wh_finding(doctor, WH_FINDING_ERROR,
				   psprintf("job \"%s\" of pg_cron calls %s(), which returns its failures, so pg_cron says succeeded",
							job->name, function),
				   call_for(job->command, function, nargs) == NULL ? NULL :
				   wh_cron_command_sql(job, call_for(job->command, function, nargs)));
	if (job->last_status != NULL && strcmp(job->last_status, "failed") == 0 &&
		job->last_message != NULL && strstr(job->last_message, "connection failed") != NULL)
		wh_finding(doctor, WH_FINDING_ERROR,
				   psprintf("job \"%s\" of pg_cron could not connect when it last ran (cron_login tells why)", job->name),
				   NULL);
}

/*
 * Find jobs of setup_cron() that should have begun, and those whose hours are
 * no longer the ones that were asked for.
 */
static void
check_times(WhDoctor *doctor)
{
	ListCell   *lc;
	WhRole		caller;

	wh_become_owner(&caller);
	wh_findings(doctor, WH_FINDING_WARN,
				"SELECT format('job \"%s\" of pg_cron should have begun at %s UTC and has not: the server was down, or pg_cron had no free slot for it',"
				" j.jobname, to_char(j.expected_by AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')),"
				" NULL"
				" FROM _wh.job_states() AS j WHERE j.overdue AND j.active ORDER BY j.jobname",
				NULL, 0);
	foreach(lc, wh_schedule_moved())
	{
		const WhJob *job = (const WhJob *) lfirst(lc);

		wh_finding(doctor, WH_FINDING_WARN,
				   psprintf("job \"%s\" of pg_cron does not run at \"%s\" of time zone %s, whose clocks were changed; maintenance follows them",
							job->name, job->wanted, job->time_zone),
				   "CALL _wh.run_maintenance();");
	}
	wh_role_leave(&caller);
}

/*
 * Name the function of ours that a command is one plain call of; NULL.
 */
static char *
called_function(const char *command, int *nargs)
{
	List	   *parsed = raw_parser(command, RAW_PARSE_DEFAULT);
	SelectStmt *stmt;
	Node	   *node = NULL;
	FuncCall   *call;

	if (list_length(parsed) != 1 ||
		!IsA(linitial_node(RawStmt, parsed)->stmt, SelectStmt))
		return NULL;
	stmt = (SelectStmt *) linitial_node(RawStmt, parsed)->stmt;

	if (list_length(stmt->fromClause) == 1 && IsA(linitial(stmt->fromClause), RangeFunction))
		node = (Node *) linitial((List *) linitial(((RangeFunction *) linitial(stmt->fromClause))->functions));
	else if (stmt->fromClause == NIL && list_length(stmt->targetList) == 1)
		node = linitial_node(ResTarget, stmt->targetList)->val;
	if (node == NULL || !IsA(node, FuncCall))
		return NULL;
	call = (FuncCall *) node;
	*nargs = list_length(call->args);

	return strVal(llast(call->funcname));
}

/*
 * Is it one of ours that tells of failures by what it returns?
 */
static bool
raises_nothing(const char *function)
{
	static const char *const functions[] = {
		"wh_refresh", "create_mv_from_template", "update_mv_by_template",
		"update_mv_window_by_template", "update_tenant_union_view_by_template",
		"update_public_view_by_template", "rebuild_entire_warehouse",
		"create_combined_table_from_template_by_year",
		"create_combined_table_from_template_by_month"
	};

	for (int i = 0; i < (int) lengthof(functions); i++)
	{
		if (strcmp(function, functions[i]) == 0)
			return true;
	}

	return false;
}

/*
 * Write the CALL that does the same and raises; NULL where the arguments are
 * not those of run_refresh().
 */
static char *
call_for(const char *command, const char *function, int nargs)
{
	const char *open = strchr(command, '(');
	const char *close = strrchr(command, ')');
	bool		fits = (strcmp(function, "update_mv_by_template") == 0 && nargs == 2) ||
	(strcmp(function, "update_mv_window_by_template") == 0 && nargs == 4) ||
	(strcmp(function, "wh_refresh") == 0 && nargs <= 4);
	char	   *call;

	if (!fits || open == NULL || close == NULL)
		return NULL;
	call = psprintf("CALL _wh.run_refresh(%.*s)", (int) (close - open - 1), open + 1);

	/*
	 * A named argument may not be the procedure's, a comment may hold
	 * anything.
	 */
	if (strstr(command, "=>") || strstr(command, "--") || strstr(command, "/*"))
		return NULL;

	return call;
}
