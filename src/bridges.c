/*
 * bridges.c
 *		_wh.bridges: one row per postgres_fdw server of ours, and
 *		_wh.bridge_relations: the views that we made over its tables.
 *
 * The tables say what is ours and hold names only.  Endpoint and options are
 * where PostgreSQL keeps them, in the server and its user mappings, so that
 * nothing is said twice.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "bridges.h"
#include "lock.h"
#include "settings.h"
#include "spi.h"

#define BRIDGE_ARGS 6

static bool leads_to(const char *server, const WhTenant *tenant);
static void *read_relation(uint64 row);
static void bridge_args(const WhBridge *bridge, WhArg *args);
static List *names_of(uint64 row, int col);
static const char *kind_word(WhBridgeKind kind);
static char *option_value(List *options, const char *name);

WhBridge *
wh_bridge(const char *server)
{
	WhBridge   *bridge = wh_bridge_find(server);

	if (bridge == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("bridge \"%s\" does not exist", server),
				 errhint("SELECT _wh.create_bridge(%s, ...);", quote_literal_cstr(server))));

	return bridge;
}

WhBridge *
wh_bridge_to_change(const char *server)
{
	(void) wh_lock_key("bridges", server, psprintf("bridge \"%s\"", server));

	return wh_bridge(server);
}

WhBridge *
wh_bridge_find(const char *server)
{
	MemoryContext caller = CurrentMemoryContext;
	WhArg		arg = wh_name(server);
	WhBridge   *bridge = NULL;

	SPI_connect();
	if (wh_spi(SPI_OK_SELECT,
			   "SELECT server_name, username, remote_schema, local_schema,"
			   " tables, app_roles FROM _wh.bridges"
			   " WHERE server_name OPERATOR(pg_catalog.=) $1", &arg, 1) == 1)
	{
		/* Copy out while the SPI result is still there. */
		MemoryContextSwitchTo(caller);
		bridge = (WhBridge *) palloc(sizeof(WhBridge));
		bridge->server = wh_col_text(0, 1);
		bridge->username = wh_col_text(0, 2);
		bridge->remote_schema = wh_col_text(0, 3);
		bridge->local_schema = wh_col_text(0, 4);
		bridge->tables = names_of(0, 5);
		bridge->app_roles = names_of(0, 6);
	}
	SPI_finish();

	return bridge;
}

List *
wh_bridge_servers(void)
{
	MemoryContext caller = CurrentMemoryContext;
	List	   *servers = NIL;
	uint64		n;

	SPI_connect();
	n = wh_spi(SPI_OK_SELECT,
			   "SELECT server_name FROM _wh.bridges ORDER BY server_name", NULL, 0);
	MemoryContextSwitchTo(caller);
	for (uint64 row = 0; row < n; row++)
		servers = lappend(servers, wh_col_text(row, 1));
	SPI_finish();

	return servers;
}

WhBridge *
wh_bridge_to(const WhTenant *tenant)
{
	const char *first = NULL;
	ListCell   *lc;

	foreach(lc, wh_bridge_servers())
	{
		const char *server = (const char *) lfirst(lc);

		if (!leads_to(server, tenant))
			continue;
		if (first == NULL || strcmp(server, tenant->name) == 0)
			first = server;
	}

	return first != NULL ? wh_bridge(first) : NULL;
}

static bool
leads_to(const char *server, const WhTenant *tenant)
{
	const char *host = wh_bridge_server_option(server, "host");
	const char *port = wh_bridge_server_option(server, "port");
	const char *dbname = wh_bridge_server_option(server, "dbname");

	return host != NULL && strcmp(host, tenant->host) == 0 &&
		dbname != NULL && strcmp(dbname, tenant->dbname) == 0 &&
		(port != NULL ? atoi(port) : 5432) == tenant->port;
}

void
wh_bridge_insert(const WhBridge *bridge)
{
	WhArg		args[BRIDGE_ARGS];

	bridge_args(bridge, args);
	if (wh_ledger("INSERT INTO _wh.bridges (server_name, username,"
				  " remote_schema, local_schema, tables, app_roles)"
				  " VALUES ($1, $2, $3, $4, $5, $6)"
				  " ON CONFLICT (local_schema) DO NOTHING", args, lengthof(args)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("schema \"%s\" belongs to another bridge", bridge->local_schema),
				 errdetail("Bridge \"%s\" cannot share it.", bridge->server),
				 errhint("Choose another with local_schema => '...'.")));
}

void
wh_bridge_update(const WhBridge *bridge)
{
	WhArg		args[BRIDGE_ARGS];

	bridge_args(bridge, args);
	(void) wh_ledger("UPDATE _wh.bridges SET username = $2, remote_schema = $3,"
					 " local_schema = $4, tables = $5, app_roles = $6,"
					 " updated_at = pg_catalog.now()"
					 " WHERE server_name OPERATOR(pg_catalog.=) $1",
					 args, lengthof(args));
}

void
wh_bridge_delete(const char *server)
{
	WhArg		arg = wh_name(server);

	(void) wh_ledger("DELETE FROM _wh.bridge_relations"
					 " WHERE server_name OPERATOR(pg_catalog.=) $1", &arg, 1);
	(void) wh_ledger("DELETE FROM _wh.bridges"
					 " WHERE server_name OPERATOR(pg_catalog.=) $1", &arg, 1);
}

List *
wh_bridge_relations(const char *server, WhBridgeKind kind)
{
	WhArg		args[3];

	args[0] = wh_name(server);
	args[1] = wh_text(kind_word(kind));
	args[2] = wh_text(kind == WH_BRIDGE_SHIM ? "v" : "m");

	return wh_spi_list("SELECT r.relation_schema, r.relation_name, r.source_name"
					   " FROM _wh.bridge_relations AS r"
					   " JOIN pg_catalog.pg_namespace AS n"
					   "   ON n.nspname OPERATOR(pg_catalog.=) r.relation_schema"
					   " JOIN pg_catalog.pg_class AS c"
					   "   ON c.relnamespace OPERATOR(pg_catalog.=) n.oid"
					   "  AND c.relname OPERATOR(pg_catalog.=) r.relation_name"
					   "  AND c.relkind::pg_catalog.text OPERATOR(pg_catalog.=) $3"
					   " WHERE r.server_name OPERATOR(pg_catalog.=) $1"
					   " AND r.kind OPERATOR(pg_catalog.=) $2"
					   " ORDER BY r.relation_schema, r.relation_name",
					   args, lengthof(args), read_relation);
}

static void *
read_relation(uint64 row)
{
	WhBridgeRelation *relation = (WhBridgeRelation *) palloc(sizeof(WhBridgeRelation));

	relation->schema = wh_col_text(row, 1);
	relation->name = wh_col_text(row, 2);
	relation->source = wh_col_text(row, 3);

	return relation;
}

WhBridgeRelation *
wh_bridge_relation_over(const List *relations, const char *source)
{
	ListCell   *lc;

	foreach(lc, relations)
	{
		WhBridgeRelation *relation = (WhBridgeRelation *) lfirst(lc);

		if (strcmp(relation->source, source) == 0)
			return relation;
	}

	return NULL;
}

/*
 * Note a relation as ours, in place of one of that name which is gone.
 */
void
wh_bridge_relation_put(const WhBridge *bridge, WhBridgeKind kind,
					   const WhBridgeRelation *relation)
{
	WhArg		args[5];

	args[0] = wh_name(bridge->server);
	args[1] = wh_name(relation->schema);
	args[2] = wh_name(relation->name);
	args[3] = wh_text(kind_word(kind));
	args[4] = wh_name(relation->source);

	(void) wh_ledger("INSERT INTO _wh.bridge_relations (server_name,"
					 " relation_schema, relation_name, kind, source_name)"
					 " VALUES ($1, $2, $3, $4, $5)"
					 " ON CONFLICT (relation_schema, relation_name) DO UPDATE SET"
					 " server_name = EXCLUDED.server_name, kind = EXCLUDED.kind,"
					 " source_name = EXCLUDED.source_name,"
					 " created_at = EXCLUDED.created_at",
					 args, lengthof(args));
}

void
wh_bridge_relation_forget(const WhBridgeRelation *relation)
{
	WhArg		args[] = {wh_name(relation->schema), wh_name(relation->name)};

	(void) wh_ledger("DELETE FROM _wh.bridge_relations"
					 " WHERE relation_schema OPERATOR(pg_catalog.=) $1"
					 " AND relation_name OPERATOR(pg_catalog.=) $2",
					 args, lengthof(args));
}

WhTenant *
wh_bridge_endpoint(const WhBridge *bridge)
{
	WhTenant   *endpoint = (WhTenant *) palloc0(sizeof(WhTenant));
	const char *port = wh_bridge_server_option(bridge->server, "port");
	const char *demanded = wh_bridge_mapping_option(bridge->server,
													wh_settings()->owner_role,
													"password_required");

	endpoint->name = bridge->server;
	endpoint->key = bridge->server;
	endpoint->server = bridge->server;
	endpoint->host = wh_bridge_server_option(bridge->server, "host");
	endpoint->port = port != NULL ? atoi(port) : 5432;
	endpoint->dbname = wh_bridge_server_option(bridge->server, "dbname");
	endpoint->username = bridge->username;
	endpoint->sslmode = wh_bridge_server_option(bridge->server, "sslmode");
	endpoint->sslrootcert = wh_bridge_server_option(bridge->server, "sslrootcert");
	endpoint->auth_method = demanded != NULL && strcmp(demanded, "false") == 0 ?
		"trusted" : "password";
	if (endpoint->host == NULL || endpoint->dbname == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("server \"%s\" of a bridge has no host or no dbname", bridge->server),
				 errhint("SELECT _wh.alter_bridge(%s, '{\"host\": \"...\", \"dbname\": \"...\"}');",
						 quote_literal_cstr(bridge->server))));
	if (endpoint->sslmode == NULL)
		endpoint->sslmode = "prefer";

	return endpoint;
}

List *
wh_bridge_roles(const WhBridge *bridge)
{
	return lcons(wh_settings()->owner_role, list_copy(bridge->app_roles));
}

List *
wh_bridge_names(ArrayType *names)
{
	List	   *list = NIL;
	Datum	   *elems;
	bool	   *nulls;
	int			nelems;

	deconstruct_array(names, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR,
					  &elems, &nulls, &nelems);
	for (int i = 0; i < nelems; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a list of names must not contain null")));
		list = lappend(list, pstrdup(NameStr(*DatumGetName(elems[i]))));
	}

	return list;
}

bool
wh_bridge_names_have(const List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp((const char *) lfirst(lc), name) == 0)
			return true;
	}

	return false;
}

/*
 * Read an option of the server; NULL also when somebody has dropped it.
 */
char *
wh_bridge_server_option(const char *server, const char *option)
{
	ForeignServer *found = GetForeignServerByName(server, true);

	return found == NULL ? NULL : option_value(found->options, option);
}

char *
wh_bridge_mapping_option(const char *server, const char *role, const char *option)
{
	ForeignServer *found = GetForeignServerByName(server, true);
	Oid			roleid = get_role_oid(role, true);

	if (found == NULL || !OidIsValid(roleid) ||
		!SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(roleid),
							   ObjectIdGetDatum(found->serverid)))
		return NULL;

	return option_value(GetUserMapping(roleid, found->serverid)->options, option);
}

static void
bridge_args(const WhBridge *bridge, WhArg *args)
{
	args[0] = wh_name(bridge->server);
	args[1] = wh_text(bridge->username);
	args[2] = wh_name(bridge->remote_schema);
	args[3] = wh_name(bridge->local_schema);
	args[4] = wh_name_array(bridge->tables);
	args[5] = wh_name_array(bridge->app_roles);
}

/*
 * Read a column of type name[]; SQL NULL is NIL.
 */
static List *
names_of(uint64 row, int col)
{
	bool		isnull;
	Datum		value = wh_col(row, col, &isnull);

	return isnull ? NIL : wh_bridge_names(DatumGetArrayTypeP(value));
}

static const char *
kind_word(WhBridgeKind kind)
{
	return kind == WH_BRIDGE_SHIM ? "shim" : "snapshot";
}

static char *
option_value(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = (DefElem *) lfirst(lc);

		if (strcmp(option->defname, name) == 0)
			return pstrdup(defGetString(option));
	}

	return NULL;
}
