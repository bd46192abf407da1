/*
 * probe.c
 *		_wh.test_tenant(): every hop to a tenant, and the cure for the one that
 *		fails.
 *
 * It goes the very road that a fetch goes (conn.c) and listens to the steps;
 * what the connection does not tell is asked over it.  A tenant's failure is a
 * row of the result, never an error, and does not keep the next from being
 * tried.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "conn.h"
#include "probe.h"
#include "run.h"
#include "settings.h"
#include "tenant.h"

#define CLOCK_TOLERANCE_S 1.0

typedef enum StepId
{
	STEP_RESOLVE,
	STEP_CONNECT,
	STEP_TLS,
	STEP_AUTHENTICATE,
	STEP_READ_ONLY,
	STEP_VERSION,
	STEP_CLOCK,
	STEP_PRIVILEGES,
	STEP_COUNT
} StepId;

static const char *const step_names[STEP_COUNT] = {
	"resolve", "connect", "tls", "authenticate", "read_only", "version",
	"clock", "privileges"
};

typedef struct Step
{
	bool		begun;
	bool		failed;
	char	   *detail;
	char	   *fix;			/* NULL: nothing to mend */
} Step;

/* One tenant under test; strings live in "context". */
typedef struct Probe
{
	const WhTenant *tenant;
	MemoryContext context;
	StepId		current;
	Step		steps[STEP_COUNT];
} Probe;

PG_FUNCTION_INFO_V1(wh_test_tenant);

static void probe_tenant(Probe *probe);
static void walk(WhRun *run, void *arg);
static void begin_step(void *arg, const char *name);
static void note(Probe *probe, StepId id, const char *detail, const char *fix);
static void note_tls(Probe *probe, WhConn *conn);
static void note_clock(Probe *probe, WhConn *conn, TimestampTz here);
static void note_privileges(Probe *probe, WhConn *conn);
static void note_failure(Probe *probe, const ErrorData *error);
static const char *cure(const Probe *probe, const ErrorData *error);
static void put_steps(ReturnSetInfo *rsinfo, const Probe *probe);

/*
 * _wh.test_tenant(tenant text)
 *		returns table (tenant_name, step, ok, detail, fix)
 */
Datum
wh_test_tenant(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	WhRole		save;
	List	   *tenants;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	wh_check_outbound();

	wh_become_owner(&save);
	if (PG_ARGISNULL(0))
		tenants = wh_tenants_enabled();
	else
		tenants = list_make1(wh_tenant(text_to_cstring(PG_GETARG_TEXT_PP(0))));

	foreach(cell, tenants)
	{
		Probe		probe = {0};

		probe.tenant = (const WhTenant *) lfirst(cell);
		probe.context = CurrentMemoryContext;
		probe_tenant(&probe);
		put_steps(rsinfo, &probe);
	}
	wh_role_leave(&save);

	return (Datum) 0;
}

List *
wh_probe_faults(const WhTenant *tenant)
{
	Probe		probe = {.tenant = tenant,.context = CurrentMemoryContext};
	List	   *faults = NIL;

	probe_tenant(&probe);
	for (int id = 0; id < STEP_COUNT; id++)
	{
		const Step *step = &probe.steps[id];
		WhProbeFault *fault;

		if (!step->failed && step->fix == NULL)
			continue;
		fault = (WhProbeFault *) palloc(sizeof(WhProbeFault));
		fault->step = step_names[id];
		fault->failed = step->failed;
		fault->detail = step->detail;
		fault->fix = step->fix;
		faults = lappend(faults, fault);
	}

	return faults;
}

/*
 * Walk the steps, contained.
 */
static void
probe_tenant(Probe *probe)
{
	WhRun		run = {0};

	wh_run_contained(&run, walk, probe);
	if (run.error != NULL)
		note_failure(probe, run.error);
}

static void
walk(WhRun *run, void *arg)
{
	Probe	   *probe = (Probe *) arg;
	const WhTenant *tenant = probe->tenant;
	WhConn	   *conn;
	TimestampTz here;
	int			version;

	conn = wh_connect_steps(tenant, psprintf("Tenant \"%s\".", tenant->name),
							begin_step, probe);
	here = GetCurrentTimestamp();
	version = wh_conn_server_version(conn);

	note_tls(probe, conn);
	note(probe, STEP_READ_ONLY,
		 wh_conn_session(conn)->in_recovery ? "a standby, read only" : "read only", NULL);

	begin_step(probe, step_names[STEP_VERSION]);
	note(probe, STEP_VERSION,
		 version >= 100000 ?
		 psprintf("PostgreSQL %d.%d", version / 10000, version % 10000) :
		 psprintf("PostgreSQL %d.%d.%d", version / 10000, version / 100 % 100,
				  version % 100),
		 NULL);

	begin_step(probe, step_names[STEP_CLOCK]);
	note_clock(probe, conn, here);

	begin_step(probe, step_names[STEP_PRIVILEGES]);
	note_privileges(probe, conn);
}

/*
 * Note which step is at work; a step that is begun later than another has
 * that one behind it.
 */
static void
begin_step(void *arg, const char *name)
{
	Probe	   *probe = (Probe *) arg;

	for (int id = 0; id < STEP_COUNT; id++)
	{
		if (strcmp(step_names[id], name) == 0)
		{
			probe->current = (StepId) id;
			probe->steps[id].begun = true;
		}
	}
}

static void
note(Probe *probe, StepId id, const char *detail, const char *fix)
{
	Step	   *step = &probe->steps[id];

	step->detail = MemoryContextStrdup(probe->context, detail);
	step->fix = fix != NULL ? MemoryContextStrdup(probe->context, fix) : NULL;
}

/*
 * Say how the bytes travel.
 */
static void
note_tls(Probe *probe, WhConn *conn)
{
	const WhTenant *tenant = probe->tenant;

	probe->steps[STEP_TLS].begun = true;
	if (PQsslInUse(wh_conn_pg(conn)))
		note(probe, STEP_TLS,
			 psprintf("%s, sslmode \"%s\"",
					  PQsslAttribute(wh_conn_pg(conn), "protocol"), tenant->sslmode),
			 NULL);
	else if (tenant->host[0] == '/')
		note(probe, STEP_TLS, "not needed on a socket of this machine", NULL);
	else
		note(probe, STEP_TLS,
			 psprintf("not encrypted, sslmode \"%s\"", tenant->sslmode),
			 psprintf("SELECT _wh.alter_tenant(%s, sslmode => 'verify-full');",
					  quote_literal_cstr(tenant->name)));
}

/*
 * Compare the clocks; both were read within the last round trip.
 */
static void
note_clock(Probe *probe, WhConn *conn, TimestampTz here)
{
	double		ahead = (double) (wh_conn_session(conn)->as_of - here) / USECS_PER_SEC;

	if (fabs(ahead) <= CLOCK_TOLERANCE_S)
		note(probe, STEP_CLOCK, "agrees with ours within a second", NULL);
	else
		note(probe, STEP_CLOCK,
			 psprintf("%.0f s %s ours", fabs(ahead), ahead > 0 ? "ahead of" : "behind"),
			 "Let both machines take their time from NTP.");
}

/*
 * Warn of a role that may do more than read.
 */
static void
note_privileges(Probe *probe, WhConn *conn)
{
	PGresult   *result;
	bool		superuser;
	bool		powerful;
	const char *role = quote_identifier(probe->tenant->username);

	result = wh_conn_exec(conn,
						  "SELECT r.rolsuper,"
						  " r.rolcreaterole OR r.rolreplication OR EXISTS"
						  " (SELECT FROM pg_catalog.pg_roles p"
						  " WHERE p.rolname IN ('pg_write_all_data',"
						  " 'pg_write_server_files', 'pg_execute_server_program')"
						  " AND pg_catalog.pg_has_role(r.oid, p.oid, 'member'))"
						  " FROM pg_catalog.pg_roles r"
						  " WHERE r.rolname = current_user",
						  PGRES_TUPLES_OK);
	superuser = PQntuples(result) == 1 && PQgetvalue(result, 0, 0)[0] == 't';
	powerful = PQntuples(result) == 1 && PQgetvalue(result, 0, 1)[0] == 't';
	PQclear(result);

	if (superuser)
		note(probe, STEP_PRIVILEGES, "the role is a superuser there",
			 psprintf("At the tenant: ALTER ROLE %s NOSUPERUSER;", role));
	else if (powerful)
		note(probe, STEP_PRIVILEGES, "the role may do more there than read",
			 psprintf("Give %s nothing at the tenant but SELECT on what templates read.", role));
	else
		note(probe, STEP_PRIVILEGES, "the role is an ordinary one", NULL);
}

/*
 * Turn an error into the failure of the step that was at work.
 */
static void
note_failure(Probe *probe, const ErrorData *error)
{
	const char *reason = error->detail ? strchr(error->detail, '\n') : NULL;

	probe->steps[probe->current].failed = true;
	note(probe, probe->current,
		 psprintf("%s%s%s (%s)", error->message, reason ? ": " : "",
				  reason ? reason + 1 : "", unpack_sql_state(error->sqlerrcode)),
		 cure(probe, error));
}

/*
 * Say what mends a failed step.  An error's own hint knows best, unless it
 * sends people here.
 */
static const char *
cure(const Probe *probe, const ErrorData *error)
{
	const WhTenant *tenant = probe->tenant;
	const char *name = quote_literal_cstr(tenant->name);

	if (error->hint != NULL && strstr(error->hint, "_wh.test_tenant(") == NULL)
		return error->hint;

	switch (probe->current)
	{
		case STEP_RESOLVE:
			return psprintf("SELECT _wh.alter_tenant(%s, host => ...); or make the name known to this server.",
							name);
		case STEP_CONNECT:
			return psprintf("See that the server runs, that its listen_addresses and any firewall let this machine reach port %d, or SELECT _wh.alter_tenant(%s, host => ..., port => ...);",
							tenant->port, name);
		case STEP_TLS:
			return psprintf("See that the server has ssl = on and a certificate for host \"%s\" from an authority in sslrootcert (pg_warehouse.sslrootcert, or SELECT _wh.alter_tenant(%s, sslrootcert => ...);).",
							tenant->host, name);
		case STEP_AUTHENTICATE:
			return "See the tenant's server log and its pg_hba.conf.";
		default:
			return "See the tenant's server log.";
	}
}

/*
 * Write the eight rows of one tenant.  A step that was begun counts as done
 * once a later one is at work: authentication begins with opening the sealed
 * password, before there is a connection.
 */
static void
put_steps(ReturnSetInfo *rsinfo, const Probe *probe)
{
	for (int id = 0; id < STEP_COUNT; id++)
	{
		const Step *step = &probe->steps[id];
		bool		reached = step->begun && id <= (int) probe->current;
		Datum		values[5];
		bool		nulls[5] = {false};
		const char *detail = step->detail;

		if (detail == NULL)
			detail = reached ? "done" : "not reached";

		values[0] = CStringGetTextDatum(probe->tenant->name);
		values[1] = CStringGetTextDatum(step_names[id]);
		values[2] = BoolGetDatum(!step->failed);
		nulls[2] = !reached;
		values[3] = CStringGetTextDatum(detail);
		nulls[4] = step->fix == NULL;
		values[4] = nulls[4] ? (Datum) 0 : CStringGetTextDatum(step->fix);

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}
