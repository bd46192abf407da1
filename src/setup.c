/*
 * setup.c
 *		_wh.setup() and _wh.adopt_instance(): roles, grants and settings.
 *
 * The owner owns data and runs template text, so he gets what that needs and
 * no more: no superuser, no CREATEROLE (on 15 as good as superuser), no write
 * to settings, ledger, log or sealed secrets.  The reader sees data only, the
 * monitor status only.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/syscache.h"

#include "audit.h"
#include "compat.h"
#include "preload.h"
#include "settings.h"
#include "spi.h"
#include "template.h"
#include "uniontable.h"
#include "unionview.h"
#include "viewtable.h"

typedef struct Roles
{
	const char *owner;
	const char *reader;
	const char *monitor;
} Roles;

PG_FUNCTION_INFO_V1(wh_setup);
PG_FUNCTION_INFO_V1(wh_adopt_instance);

static void check_roles(const Roles *roles);
static void ensure_role(const char *name, const char *attributes, bool create);
static void warn_owner(const char *owner);
static void ddl(const char *format,...) pg_attribute_printf(1, 2);
static void grant_owner(const char *owner);
static void grant_reader(const char *reader);
static void grant_monitor(const char *monitor);
static void write_settings(const Roles *roles);
static void preload_library(void);

/*
 * _wh.setup(owner_role, reader_role, monitor_role, create_roles, preload)
 */
Datum
wh_setup(PG_FUNCTION_ARGS)
{
	Roles		roles;
	bool		create = PG_GETARG_BOOL(3);
	bool		preload = PG_GETARG_BOOL(4);
	StringInfoData detail;
	WhRole		caller;

	roles.owner = NameStr(*PG_GETARG_NAME(0));
	roles.reader = NameStr(*PG_GETARG_NAME(1));
	roles.monitor = NameStr(*PG_GETARG_NAME(2));

	wh_need_superuser("set the warehouse up");
	check_roles(&roles);

	wh_role_installer(&caller);
	ensure_role(roles.owner, "LOGIN", create);
	ensure_role(roles.reader, "LOGIN", create);
	ensure_role(roles.monitor, "LOGIN", create);
	wh_role_check_owner(get_role_oid(roles.owner, false));
	warn_owner(roles.owner);

	write_settings(&roles);
	grant_owner(roles.owner);
	grant_reader(roles.reader);
	grant_monitor(roles.monitor);
	wh_viewtable_schema(roles.owner);
	if (preload)
		preload_library();
	wh_role_leave(&caller);

	initStringInfo(&detail);
	appendStringInfoString(&detail, "{\"reader_role\": ");
	escape_json(&detail, roles.reader);
	appendStringInfoString(&detail, ", \"monitor_role\": ");
	escape_json(&detail, roles.monitor);
	appendStringInfo(&detail, ", \"preload\": %s}", preload ? "true" : "false");
	wh_audit("setup", roles.owner, detail.data);

	PG_RETURN_VOID();
}

/*
 * _wh.adopt_instance()
 */
Datum
wh_adopt_instance(PG_FUNCTION_ARGS)
{
	WhArg		args[2];
	WhRole		caller;
	ListCell   *lc;

	wh_need_superuser("adopt this instance");
	(void) wh_settings();

	args[0] = wh_text(psprintf(UINT64_FORMAT, GetSystemIdentifier()));
	args[1] = wh_int8(wh_timeline());
	(void) wh_ledger("UPDATE _wh.settings SET"
					 " system_identifier = $1::pg_catalog.numeric,"
					 " timeline = $2,"
					 " adopted_at = pg_catalog.now()",
					 args, lengthof(args));

	/* A restore leaves views over relations that it could not fill. */
	wh_become_owner(&caller);
	foreach(lc, wh_templates_enabled())
		(void) wh_unionview_all((WhTemplate *) lfirst(lc));
	wh_role_leave(&caller);

	wh_audit("adopt", NULL, NULL);

	PG_RETURN_VOID();
}

/*
 * Refuse roles that would undo each other's limits.
 */
static void
check_roles(const Roles *roles)
{
	if (strcmp(roles->owner, roles->reader) == 0 ||
		strcmp(roles->owner, roles->monitor) == 0 ||
		strcmp(roles->reader, roles->monitor) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("owner, reader and monitor must be three different roles")));
}

/*
 * Create a role that is missing, or say how to.
 */
static void
ensure_role(const char *name, const char *attributes, bool create)
{
	if (OidIsValid(get_role_oid(name, true)))
		return;
	if (!create)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role \"%s\" does not exist", name),
				 errhint("CREATE ROLE %s %s;", quote_identifier(name), attributes)));

	ddl("CREATE ROLE %s %s", quote_identifier(name), attributes);
	ereport(NOTICE, (errmsg("role \"%s\" created", name)));
}

/*
 * Warn of attributes that an owner should not have, or must have for workers.
 */
static void
warn_owner(const char *owner)
{
	HeapTuple	tuple = SearchSysCache1(AUTHNAME, CStringGetDatum(owner));
	Form_pg_authid role;
	const char *excess = NULL;
	bool		nologin;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for role %s", owner);
	role = (Form_pg_authid) GETSTRUCT(tuple);
	if (role->rolcreaterole && role->rolcreatedb)
		excess = "NOCREATEROLE NOCREATEDB";
	else if (role->rolcreaterole)
		excess = "NOCREATEROLE";
	else if (role->rolcreatedb)
		excess = "NOCREATEDB";
	nologin = wh_worker_needs_login && !role->rolcanlogin;
	ReleaseSysCache(tuple);

	if (excess != NULL)
		ereport(WARNING,
				(errcode(ERRCODE_INVALID_GRANT_OPERATION),
				 errmsg("owner role \"%s\" has rights that it does not need", owner),
				 errdetail("CREATEROLE lets it become any role before PostgreSQL 16."),
				 errhint("ALTER ROLE %s %s;", quote_identifier(owner), excess)));
	if (nologin)
		ereport(WARNING,
				(errcode(ERRCODE_INVALID_GRANT_OPERATION),
				 errmsg("owner role \"%s\" cannot log in", owner),
				 errdetail("Background workers and pg_cron jobs connect as it."),
				 errhint("ALTER ROLE %s LOGIN;", quote_identifier(owner))));
}

/*
 * Run one statement made of quoted identifiers.
 */
static void
ddl(const char *format,...)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&sql, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&sql, needed);
	}
	wh_ddl(sql.data);
	pfree(sql.data);
}

static void
grant_owner(const char *owner)
{
	const char *role = quote_identifier(owner);
	const char *database = quote_identifier(get_database_name(MyDatabaseId));

	ddl("GRANT CONNECT, CREATE ON DATABASE %s TO %s", database, role);
	ddl("GRANT USAGE, CREATE ON SCHEMA public TO %s", role);
	ddl("GRANT USAGE ON SCHEMA _wh TO %s", role);
	ddl("GRANT SELECT ON ALL TABLES IN SCHEMA _wh TO %s", role);
	ddl("REVOKE ALL ON _wh.sealed_secrets FROM %s", role);
	ddl("GRANT INSERT, UPDATE, DELETE ON _wh.tenant_connections, _wh.mv_templates TO %s", role);
	ddl("GRANT INSERT ON _wh.tenant_password_entry TO %s", role);
	ddl("GRANT UPDATE (last_extracted_at) ON _wh.extract_watermarks TO %s", role);
	ddl("GRANT EXECUTE ON ALL ROUTINES IN SCHEMA _wh TO %s", role);
	ddl("GRANT USAGE ON FOREIGN SERVER " WH_UNION_SERVER " TO %s", role);
	if (OidIsValid(get_namespace_oid("cron", true)))
		ddl("GRANT USAGE ON SCHEMA cron TO %s", role);

	/* So that SELECT * FROM wh_refresh('x') needs no prefix. */
	ddl("ALTER ROLE %s IN DATABASE %s SET search_path = \"$user\", public, _wh",
		role, database);
}

static void
grant_reader(const char *reader)
{
	const char *role = quote_identifier(reader);

	ddl("GRANT CONNECT ON DATABASE %s TO %s",
		quote_identifier(get_database_name(MyDatabaseId)), role);
	ddl("GRANT USAGE ON SCHEMA public TO %s", role);
}

static void
grant_monitor(const char *monitor)
{
	const char *role = quote_identifier(monitor);

	ddl("GRANT CONNECT ON DATABASE %s TO %s",
		quote_identifier(get_database_name(MyDatabaseId)), role);
	if (!is_member_of_role_nosuper(get_role_oid(monitor, false), ROLE_PG_READ_ALL_STATS))
		ddl("GRANT pg_read_all_stats TO %s", role);
	ddl("GRANT USAGE ON SCHEMA _wh TO %s", role);
	ddl("GRANT SELECT ON _wh.extract_runs, _wh.slices, _wh.extract_watermarks,"
		" _wh.v_table_freshness, _wh.v_watermark_lag, _wh.v_recent_failures, _wh.v_coverage,"
		" _wh.v_storage, _wh.v_progress, _wh.v_open_runs, _wh.v_instance, _wh.v_growth,"
		" _wh.v_durations, _wh.v_row_rates, _wh.v_inputs, _wh.sync_status,"
		" _wh.sync_history, _wh.v_jobs,"
		" _wh.v_breakers, _wh.v_paused TO %s", role);
	ddl("GRANT EXECUTE ON FUNCTION _wh.current_date_utc(), _wh.wh_status(),"
		" _wh.wh_health(), _wh.wh_statistics(interval), _wh.wh_metrics(),"
		" _wh.metric_labels(text, text), _wh.wh_report_html(date, date),"
		" _wh.job_states(), _wh.stale_because(text, text, date, bigint) TO %s", role);
}

/*
 * Write the row of settings.  The instance that it names stays: setting up a
 * restored copy must not let it out.
 */
static void
write_settings(const Roles *roles)
{
	WhArg		args[5];
	int64		elsewhere;

	args[0] = wh_name(roles->owner);
	args[1] = wh_name(roles->reader);
	args[2] = wh_name(roles->monitor);
	args[3] = wh_text(psprintf(UINT64_FORMAT, GetSystemIdentifier()));
	args[4] = wh_int8(wh_timeline());

	elsewhere = wh_ledger("SELECT pg_catalog.count(*) FROM _wh.settings"
						  " WHERE owner_role OPERATOR(pg_catalog.<>) $1"
						  " AND EXISTS (SELECT FROM _wh.slices)",
						  args, 1);
	if (elsewhere > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot change the owner role of a warehouse that holds data"),
				 errdetail("Its relations belong to role \"%s\".", wh_settings()->owner_role),
				 errhint("SELECT _wh.setup(owner_role => %s);",
						 quote_literal_cstr(wh_settings()->owner_role))));

	(void) wh_ledger("INSERT INTO _wh.settings"
					 " (owner_role, reader_role, monitor_role, system_identifier, timeline)"
					 " VALUES ($1, $2, $3, $4::pg_catalog.numeric, $5)"
					 " ON CONFLICT (only_row) DO UPDATE SET"
					 " owner_role = EXCLUDED.owner_role,"
					 " reader_role = EXCLUDED.reader_role,"
					 " monitor_role = EXCLUDED.monitor_role",
					 args, lengthof(args));
}

/*
 * Add the library to what this database's sessions load, keeping the rest.
 * What a role has set for itself is left to it; the doctor tells.
 */
static void
preload_library(void)
{
	ListCell   *lc;

	foreach(lc, wh_preload_gaps())
	{
		const WhPreloadGap *gap = (const WhPreloadGap *) lfirst(lc);

		if (gap->role == NULL)
			wh_ddl(gap->sql);
	}
}
