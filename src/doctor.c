/*
 * doctor.c
 *		_wh.wh_doctor(): the frame in which checks run, and their table.
 *
 * A check is contained: what makes one fail is a finding of its own and keeps
 * no other from being made.  Checks live in doctor_*.c, by what they look at; a
 * new one is a function and a line of the table.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "doctor.h"
#include "run.h"

typedef struct Check
{
	const char *name;
	WhCheck		check;
	const char *fine;			/* said where there is no finding */
} Check;

/* What counts free locks comes before what takes many. */
static const Check checks[] = {
	{"instance", wh_check_instance, "this is the instance that may contact tenants"},
	{"preload", wh_check_preload, "every session of this database loads the library"},
	{"owner_role", wh_check_owner_role, "the owner role may what it needs and no more"},
	{"union_schema", wh_check_union_schema, "schema \"_wh_union\" is there and the owner's"},
	{"lock_budget", wh_check_lock_budget, "a query over the whole of any view leaves room in the lock table"},
	{"union_views", wh_check_union_views, "no view of layout union is near the limit of the lock table"},
	{"grants", wh_check_grants, "the three roles have what setup() grants"},
	{"excess_grants", wh_check_excess_grants, "nobody may more than that in schema \"_wh\""},
	{"readers", wh_check_readers, "the reader role may read every view, and those to come"},
	{"worker_slots", wh_check_worker_slots, "the server has room for our background workers"},
	{"autovacuum", wh_check_autovacuum, "autovacuum looks after every relation of ours"},
	{"bloat", wh_check_bloat, "no relation of ours consists of dead rows for the larger part"},
	{"keys", wh_check_keys, "every key that a password needs is in the ring, and no other"},
	{"tls", wh_check_tls, "every tenant's server has to prove who it is"},
	{"tenants", wh_check_tenants, "every enabled tenant lets us in, read only, with a clock like ours"},
	{"breakers", wh_check_breakers, "no tenant is left alone because its server failed"},
	{"pauses", wh_check_pauses, "nothing has been paused for longer than a week"},
	{"bridges", wh_check_bridges, "there is no bridge"},
	{"templates", wh_check_templates, "every template can be read, and its keys are kept unique"},
	{"materialization", wh_check_materialization, "no snapshot has become so large that it should be incremental"},
	{"drift", wh_check_drift, "every query still has the columns that its template declares"},
	{"lost", wh_check_lost, "ledger, relations, views and log agree"},
	{"row_counts", wh_check_row_counts, "no last closed day is far from the days before it"},
	{"log", wh_check_log, "the log holds nothing that has had its time"},
	{"archive", wh_check_archive, "what is to be archived can be, and all of it was loaded"},
	{"cron", wh_check_cron, "pg_cron serves this database, several jobs at a time"},
	{"cron_login", wh_check_cron_login, "pg_cron can log in as the owner role"},
	{"cron_jobs", wh_check_cron_jobs, "jobs are active, reach this server, and fail when their work does"},
};

static const char *const status_names[] = {"ok", "warn", "error"};

PG_FUNCTION_INFO_V1(wh_doctor);

static void visit(WhDoctor *doctor, const Check *check);
static void run_check(WhRun *run, void *arg);

/* What run_check() needs. */
typedef struct Visit
{
	WhDoctor   *doctor;
	WhCheck		check;
} Visit;

/*
 * _wh.wh_doctor() returns table (check_name, status, detail, fix_sql)
 */
Datum
wh_doctor(PG_FUNCTION_ARGS)
{
	WhDoctor	doctor = {0};

	InitMaterializedSRF(fcinfo, 0);
	doctor.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	doctor.settings = wh_settings();

	for (int i = 0; i < (int) lengthof(checks); i++)
	{
		visit(&doctor, &checks[i]);
		if (doctor.findings == 0)
			wh_finding(&doctor, WH_FINDING_OK, checks[i].fine, NULL);
	}

	return (Datum) 0;
}

/*
 * List what one check finds; see doctor.h.
 */
List *
wh_doctor_findings(const char *check_name)
{
	WhDoctor	doctor = {.settings = wh_settings(),.context = CurrentMemoryContext};

	for (int i = 0; i < (int) lengthof(checks); i++)
	{
		if (strcmp(checks[i].name, check_name) == 0)
			visit(&doctor, &checks[i]);
	}

	return doctor.details;
}

/*
 * Put one row; see doctor.h.
 */
void
wh_finding(WhDoctor *doctor, WhFindingStatus status, const char *detail,
		   const char *fix_sql)
{
	Datum		values[4];
	bool		nulls[4] = {false};

	doctor->findings++;
	if (doctor->rsinfo == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(doctor->context);

		doctor->details = lappend(doctor->details, pstrdup(detail));
		MemoryContextSwitchTo(caller);
		return;
	}

	values[0] = CStringGetTextDatum(doctor->check_name);
	values[1] = CStringGetTextDatum(status_names[status]);
	values[2] = CStringGetTextDatum(detail);
	nulls[3] = fix_sql == NULL;
	values[3] = nulls[3] ? (Datum) 0 : CStringGetTextDatum(fix_sql);
	tuplestore_putvalues(doctor->rsinfo->setResult, doctor->rsinfo->setDesc,
						 values, nulls);
}

/*
 * Put a row per row of a query; see doctor.h.
 */
void
wh_findings(WhDoctor *doctor, WhFindingStatus status, const char *sql,
			const WhArg *args, int nargs)
{
	uint64		n;

	SPI_connect();
	n = wh_spi(SPI_OK_SELECT, sql, args, nargs);
	for (uint64 row = 0; row < n; row++)
		wh_finding(doctor, status, wh_col_text(row, 1), wh_col_text(row, 2));
	SPI_finish();
}

/*
 * Make one check, contained.
 */
static void
visit(WhDoctor *doctor, const Check *check)
{
	Visit		arg = {doctor, check->check};
	WhRun		run = {0};

	doctor->check_name = check->name;
	doctor->findings = 0;
	wh_run_contained(&run, run_check, &arg);
	if (run.error != NULL)
		wh_finding(doctor, WH_FINDING_ERROR,
				   psprintf("it could not be checked: %s%s%s (%s)",
							run.error->message,
							run.error->hint ? "; " : "",
							run.error->hint ? run.error->hint : "",
							unpack_sql_state(run.error->sqlerrcode)),
				   NULL);
}

static void
run_check(WhRun *run, void *arg)
{
	const Visit *work = (const Visit *) arg;

	work->check(work->doctor);
	run->status = "loaded";
}
