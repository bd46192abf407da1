/*
 * bridge_check.c
 *		verify_bridge(): every hop of a bridge, from the extension to what an
 *		application sees, and the cure for the one that fails.
 *
 * A failure is a row of the result, never an error, and what does not depend
 * on it is checked all the same.  The network is gone through as a refresh
 * would, by our own connection (conn.c).
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "postmaster/postmaster.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "bridge_import.h"
#include "bridge_parts.h"
#include "conn.h"
#include "run.h"
#include "settings.h"
#include "spi.h"

/* So many differences are listed. */
#define LISTED 5

/* One bridge under test. */
typedef struct Check
{
	const WhBridge *bridge;
	ReturnSetInfo *rsinfo;
	MemoryContext context;		/* of what outlives the contained walk */
	const char *step;			/* of the network, at work */
	int			source_version; /* 0: not known */
	bool		encrypted;
} Check;

/* Tables that a synchronization would change. */
typedef struct Differences
{
	const WhBridge *bridge;
	int			left_out;
	int			count;
	StringInfoData list;
} Differences;

PG_FUNCTION_INFO_V1(wh_verify_bridge);

static void put(const Check *check, const char *step, bool ok, const char *detail,
				const char *fix);
static bool check_server(const Check *check);
static void check_mappings(const Check *check);
static bool check_network(Check *check);
static const char *cure(const Check *check, const ErrorData *error);
static void walk(WhRun *run, void *arg);
static void begin_step(void *arg, const char *name);
static void check_tables(const Check *check);
static void compare(WhRun *run, void *arg);
static void count_difference(void *arg, const char *action, const char *object,
							 const char *detail);
static void check_privileges(const Check *check);
static char *without(const WhBridgeParts *parts, const char *role, bool may_write);
static char *grants(const WhBridgeParts *parts, const char *role);
static bool sees_password(const WhBridge *bridge, const char *role);
static void check_names(const Check *check);
static void check_matviews(const Check *check);
static void check_application(const Check *check);
static char *version_text(int version);

/*
 * _wh.verify_bridge(server name) returns table (step, ok, detail, fix)
 */
Datum
wh_verify_bridge(PG_FUNCTION_ARGS)
{
	Check		check = {0};
	WhRole		caller;

	InitMaterializedSRF(fcinfo, 0);
	check.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	check.context = CurrentMemoryContext;

	wh_become_owner(&caller);
	check.bridge = wh_bridge(NameStr(*PG_GETARG_NAME(0)));
	if (check_server(&check))
	{
		check_mappings(&check);
		if (check_network(&check))
			check_tables(&check);
		check_privileges(&check);
		check_names(&check);
		check_matviews(&check);
		check_application(&check);
	}
	wh_role_leave(&caller);

	return (Datum) 0;
}

static void
put(const Check *check, const char *step, bool ok, const char *detail, const char *fix)
{
	Datum		values[4];
	bool		nulls[4] = {false, false, false, fix == NULL};

	values[0] = CStringGetTextDatum(step);
	values[1] = BoolGetDatum(ok);
	values[2] = CStringGetTextDatum(detail);
	values[3] = fix == NULL ? (Datum) 0 : CStringGetTextDatum(fix);
	tuplestore_putvalues(check->rsinfo->setResult, check->rsinfo->setDesc, values, nulls);
}

/*
 * Is there an extension and a server to speak of?
 */
static bool
check_server(const Check *check)
{
	const char *server = check->bridge->server;
	bool		extension = OidIsValid(get_extension_oid("postgres_fdw", true));
	bool		found = GetForeignServerByName(server, true) != NULL;

	put(check, "extension", extension,
		extension ? "postgres_fdw is installed" : "postgres_fdw is not installed in this database",
		extension ? NULL : "CREATE EXTENSION postgres_fdw;");
	put(check, "server", found,
		found ? psprintf("server %s, database \"%s\" at %s:%s", quote_identifier(server),
						 wh_bridge_server_option(server, "dbname"),
						 wh_bridge_server_option(server, "host"),
						 wh_bridge_server_option(server, "port")) :
		psprintf("server %s does not exist", quote_identifier(server)),
		found ? NULL : psprintf("SELECT _wh.drop_bridge(%s); then _wh.create_bridge(...) again.",
								quote_literal_cstr(server)));

	return extension && found;
}

/*
 * Has each role its mapping, with a password?
 */
static void
check_mappings(const Check *check)
{
	const WhBridge *bridge = check->bridge;
	ListCell   *lc;

	foreach(lc, wh_bridge_roles(bridge))
	{
		const char *role = (const char *) lfirst(lc);
		const char *demanded = wh_bridge_mapping_option(bridge->server, role, "password_required");

		if (wh_bridge_mapping_option(bridge->server, role, "user") == NULL)
			put(check, "mapping", false,
				psprintf("role %s has no user mapping", quote_identifier(role)),
				psprintf("CREATE USER MAPPING FOR %s SERVER %s OPTIONS (user %s); SELECT _wh.rotate_password(%s, '...');",
						 quote_identifier(role), quote_identifier(bridge->server),
						 quote_literal_cstr(bridge->username),
						 quote_literal_cstr(bridge->server)));
		else if (wh_bridge_mapping_option(bridge->server, role, "password") != NULL)
			put(check, "mapping", true,
				psprintf("role %s is \"%s\" at the source; PostgreSQL keeps the password in clear in pg_user_mapping, snapshot templates need none",
						 quote_identifier(role), bridge->username), NULL);
		else if (demanded != NULL && strcmp(demanded, "false") == 0)
			put(check, "mapping", true,
				psprintf("role %s is \"%s\" at the source, which asks for no password",
						 quote_identifier(role), bridge->username), NULL);
		else
			put(check, "mapping", false,
				psprintf("role %s is \"%s\" at the source, without a password",
						 quote_identifier(role), bridge->username),
				psprintf("SELECT _wh.rotate_password(%s, '...');",
						 quote_literal_cstr(bridge->server)));
	}
}

/*
 * Walk to the source, contained; true when it got there.
 */
static bool
check_network(Check *check)
{
	WhRun		run = {0};
	const char *reason;

	check->step = "resolve";
	wh_run_contained(&run, walk, check);
	if (run.error == NULL)
	{
		put(check, "connect", true, psprintf("logged in as \"%s\", %s, read only",
											 check->bridge->username,
											 check->encrypted ? "encrypted" : "not encrypted"),
			NULL);
		put(check, "version", true,
			psprintf("the source is PostgreSQL %s", version_text(check->source_version)), NULL);
		return true;
	}

	reason = run.error->detail != NULL ? strchr(run.error->detail, '\n') : NULL;
	put(check, check->step, false,
		psprintf("%s%s%s (%s)", run.error->message, reason ? ": " : "",
				 reason ? reason + 1 : "", unpack_sql_state(run.error->sqlerrcode)),
		cure(check, run.error));

	return false;
}

/*
 * Say what mends a hop that failed.  An error's own hint knows best, unless it
 * sends people here.
 */
static const char *
cure(const Check *check, const ErrorData *error)
{
	const char *server = quote_literal_cstr(check->bridge->server);

	if (error->hint != NULL && strstr(error->hint, "verify_bridge") == NULL)
		return error->hint;

	if (strcmp(check->step, "authenticate") == 0)
		return psprintf("SELECT _wh.alter_bridge(%s, '{\"dbname\": \"...\", \"username\": \"...\"}'); or let the role in by the source's pg_hba.conf.",
						server);
	if (strcmp(check->step, "tls") == 0)
		return psprintf("Give the source ssl = on and a certificate for its host, with its authority in sslrootcert, or SELECT _wh.alter_bridge(%s, '{\"sslmode\": \"...\"}');",
						server);

	return psprintf("See that the source runs and can be reached from here, or SELECT _wh.alter_bridge(%s, '{\"host\": \"...\", \"port\": ...}');",
					server);
}

static void
walk(WhRun *run, void *arg)
{
	Check	   *check = (Check *) arg;
	const WhBridge *bridge = check->bridge;
	WhConn	   *conn;

	conn = wh_connect_steps(wh_bridge_endpoint(bridge),
							psprintf("Bridge \"%s\".", bridge->server), begin_step, check);
	check->source_version = wh_conn_server_version(conn);
	check->encrypted = PQsslInUse(wh_conn_pg(conn));
}

static void
begin_step(void *arg, const char *name)
{
	Check	   *check = (Check *) arg;

	check->step = MemoryContextStrdup(check->context, name);
}

/*
 * Are the foreign tables what the source has?
 */
static void
check_tables(const Check *check)
{
	const char *server = quote_literal_cstr(check->bridge->server);
	int			tables = list_length(wh_bridge_tables(check->bridge));
	Differences differences = {.bridge = check->bridge};
	WhRun		run = {0};

	initStringInfo(&differences.list);
	wh_run_contained(&run, compare, &differences);
	if (run.error != NULL)
		put(check, "tables", false, run.error->message, run.error->hint);
	else if (differences.count > 0)
		put(check, "tables", false,
			psprintf("%d of the source's tables differ: %s", differences.count,
					 differences.list.data),
			psprintf("SELECT * FROM _wh.sync_bridge(%s);", server));
	else if (differences.left_out > 0)
		put(check, "tables", true,
			psprintf("%d foreign tables are as at the source, which has %d more that cannot be had",
					 tables, differences.left_out),
			psprintf("SELECT * FROM _wh.sync_bridge(%s); says why", server));
	else
		put(check, "tables", true, psprintf("%d foreign tables are as at the source", tables), NULL);
}

static void
compare(WhRun *run, void *arg)
{
	Differences *differences = (Differences *) arg;

	wh_bridge_sync(differences->bridge, true, count_difference, differences);
}

static void
count_difference(void *arg, const char *action, const char *object, const char *detail)
{
	Differences *differences = (Differences *) arg;

	if (strcmp(action, "skipped") == 0)
		differences->left_out++;
	else if (differences->count++ < LISTED)
		appendStringInfo(&differences->list, "%s%s %s",
						 differences->list.len > 0 ? ", " : "", action, object);
	else if (differences->count == LISTED + 1)
		appendStringInfoString(&differences->list, ", ...");
}

/*
 * May each application role read all of it, and nothing more?
 */
static void
check_privileges(const Check *check)
{
	const WhBridge *bridge = check->bridge;
	const WhBridgeParts *parts = wh_bridge_parts(bridge);
	ListCell   *lc;

	foreach(lc, bridge->app_roles)
	{
		const char *role = (const char *) lfirst(lc);
		const char *name = quote_identifier(role);
		char	   *unread;
		char	   *written;

		if (!OidIsValid(get_role_oid(role, true)))
		{
			put(check, "privileges", false, psprintf("role %s does not exist", name),
				psprintf("SELECT _wh.alter_bridge(%s, '{\"app_roles\": [...]}');",
						 quote_literal_cstr(bridge->server)));
			continue;
		}
		unread = without(parts, role, false);
		written = without(parts, role, true);
		if (unread != NULL)
			put(check, "privileges", false,
				psprintf("role %s gets \"permission denied\" for %s", name, unread),
				grants(parts, name));
		else if (written != NULL)
			put(check, "privileges", false, psprintf("role %s may write %s", name, written),
				psprintf("REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON %s FROM %s;", written, name));
		else if (sees_password(bridge, role))
			put(check, "privileges", false,
				psprintf("role %s may use the server, so it can read its mapping's password", name),
				psprintf("REVOKE USAGE ON FOREIGN SERVER %s FROM %s;",
						 quote_identifier(bridge->server), name));
		else
			put(check, "privileges", true,
				psprintf("role %s reads all of it and writes nothing", name), NULL);
	}
}

/*
 * List what of the bridge a role may not read, or may write; NULL for nothing.
 */
static char *
without(const WhBridgeParts *parts, const char *role, bool may_write)
{
	MemoryContext caller = CurrentMemoryContext;
	WhArg		args[] = {wh_name(role), wh_name_array(parts->schemas), wh_bool(may_write)};
	char	   *list = NULL;

	SPI_connect();
	(void) wh_spi(SPI_OK_SELECT,
				  "SELECT pg_catalog.string_agg(pg_catalog.format('%I.%I', n.nspname, c.relname),"
				  "   ', ' ORDER BY n.nspname, c.relname)"
				  " FROM pg_catalog.pg_class c"
				  " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
				  " WHERE n.nspname = ANY ($2) AND c.relkind IN ('f', 'v', 'm')"
				  " AND CASE WHEN $3 THEN pg_catalog.has_table_privilege($1, c.oid,"
				  "   'INSERT, UPDATE, DELETE, TRUNCATE')"
				  " ELSE NOT pg_catalog.has_schema_privilege($1, n.oid, 'USAGE')"
				  "   OR NOT pg_catalog.has_table_privilege($1, c.oid, 'SELECT') END",
				  args, lengthof(args));

	/* Copy out while the SPI result is still there. */
	MemoryContextSwitchTo(caller);
	list = wh_col_text(0, 1);
	SPI_finish();

	return list;
}

/*
 * Write the grants that let a role read the schemas.
 */
static char *
grants(const WhBridgeParts *parts, const char *role)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, parts->schemas)
	{
		const char *schema = quote_identifier((const char *) lfirst(lc));

		appendStringInfo(&sql, "%sGRANT USAGE ON SCHEMA %s TO %s;"
						 " GRANT SELECT ON ALL TABLES IN SCHEMA %s TO %s;",
						 sql.len > 0 ? " " : "", schema, role, schema, role);
	}

	return sql.data;
}

static bool
sees_password(const WhBridge *bridge, const char *role)
{
	return DatumGetBool(DirectFunctionCall3(has_server_privilege_name_name,
											DirectFunctionCall1(namein, CStringGetDatum(role)),
											CStringGetTextDatum(bridge->server),
											CStringGetTextDatum("USAGE")));
}

/*
 * Does a name need quotes that nobody remembers to write?
 */
static void
check_names(const Check *check)
{
	const WhBridge *bridge = check->bridge;
	List	   *shims = wh_bridge_relations(bridge->server, WH_BRIDGE_SHIM);
	const char *first = NULL;
	int			count = 0;
	ListCell   *lc;

	foreach(lc, wh_bridge_tables(bridge))
	{
		const char *name = ((const WhBridgeTable *) lfirst(lc))->name;

		if (quote_identifier(name) == name || wh_bridge_relation_over(shims, name) != NULL)
			continue;
		if (count++ == 0)
			first = name;
	}
	if (count == 0)
		put(check, "names", true, "every table has a name that needs no quotes", NULL);
	else
		put(check, "names", false,
			psprintf("tables that are found only in quotes: %d, such as %s", count,
					 quote_identifier(first)),
			psprintf("SELECT * FROM _wh.create_shim_views(%s, strip_prefix => '...'); or write the quotes",
					 quote_literal_cstr(bridge->server)));
}

/*
 * Can every materialized view over the bridge be refreshed?  That takes its
 * owner, who needs a mapping.
 */
static void
check_matviews(const Check *check)
{
	const WhBridge *bridge = check->bridge;
	WhArg		args[] = {wh_name(bridge->server)};
	MemoryContext caller = CurrentMemoryContext;
	int			fine = 0;
	uint64		rows;

	SPI_connect();
	rows = wh_spi(SPI_OK_SELECT,
				  "WITH RECURSIVE above(oid) AS ("
				  " SELECT f.ftrelid FROM pg_catalog.pg_foreign_table f"
				  " JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver"
				  " WHERE s.srvname = $1"
				  " UNION SELECT r.ev_class FROM above"
				  " JOIN pg_catalog.pg_depend d ON d.refobjid = above.oid"
				  "   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
				  "   AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass"
				  " JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid)"
				  " SELECT pg_catalog.format('%I.%I', n.nspname, c.relname),"
				  " pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner)),"
				  " c.relowner = u.oid, c.relispopulated,"
				  " pg_catalog.quote_ident(u.rolname), n.nspname"
				  " FROM above JOIN pg_catalog.pg_class c ON c.oid = above.oid"
				  " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
				  " JOIN pg_catalog.pg_roles u ON u.rolname = CURRENT_USER"
				  " WHERE c.relkind = 'm' ORDER BY 1",
				  args, lengthof(args));
	for (uint64 row = 0; row < rows; row++)
	{
		const char *name = wh_col_text(row, 1);

		if (!wh_col_bool(row, 3, false))
			put(check, "refresh", false,
				psprintf("%s belongs to %s, and its owner must refresh it", name,
						 wh_col_text(row, 2)),
				psprintf("ALTER MATERIALIZED VIEW %s OWNER TO %s;", name, wh_col_text(row, 5)));
		else if (!wh_col_bool(row, 4, false))
			put(check, "refresh", false, psprintf("%s has not been filled", name),
				psprintf("CALL _wh.refresh_schema(%s);",
						 quote_literal_cstr(wh_col_text(row, 6))));
		else
			fine++;
	}
	SPI_finish();
	MemoryContextSwitchTo(caller);

	if (fine > 0 || rows == 0)
		put(check, "refresh", true,
			psprintf("%d materialized views are filled, and the owner can refresh them", fine),
			NULL);
}

/*
 * Tell where an application has to connect: one that finds too old a server
 * has been pointed at the source.
 */
static void
check_application(const Check *check)
{
	const WhBridge *bridge = check->bridge;

	put(check, "application", true,
		psprintf("connect to database \"%s\", port %d of this server, PostgreSQL %s; an application that finds %s was pointed at the source, %s:%s",
				 get_database_name(MyDatabaseId), PostPortNumber, version_text(PG_VERSION_NUM),
				 check->source_version > 0 ?
				 psprintf("PostgreSQL %s", version_text(check->source_version)) : "another version",
				 wh_bridge_server_option(bridge->server, "host"),
				 wh_bridge_server_option(bridge->server, "port")),
		NULL);
}

static char *
version_text(int version)
{
	return version >= 100000 ?
		psprintf("%d.%d", version / 10000, version % 10000) :
		psprintf("%d.%d.%d", version / 10000, version / 100 % 100, version % 100);
}
