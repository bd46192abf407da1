/*
 * bridge.c
 *		A bridge as a whole: create_bridge(), alter_bridge(), drop_bridge(), and
 *		its password.
 *
 * The server belongs to the installer (bridge_link), foreign tables and views to
 * the owner (bridge_import, shim); application roles read them and own nothing.
 * Who may be one, and what a bridge is made of, is decided here.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

#include "audit.h"
#include "bridge.h"
#include "bridge_import.h"
#include "bridge_link.h"
#include "bridge_parts.h"
#include "compat.h"
#include "conn.h"
#include "json.h"
#include "names.h"
#include "settings.h"
#include "spi.h"

PG_FUNCTION_INFO_V1(wh_create_bridge);
PG_FUNCTION_INFO_V1(wh_alter_bridge);
PG_FUNCTION_INFO_V1(wh_drop_bridge);

static void get_bridge(FunctionCallInfo fcinfo, WhBridge *bridge);
static void check_new(const WhBridge *bridge, const char *host, int port);
static void check_app_role(const char *role);
static char *new_bridge_json(const WhBridge *bridge, int imported);
static void count_change(void *arg, const char *action, const char *object,
						 const char *detail);
static bool get_app_roles(const char *server, const Jsonb *json, List **roles);
static void change_app_roles(WhBridge *bridge, List *roles);
static void adopt_app_role(const WhBridge *bridge, const WhBridgeParts *parts,
						   const char *role);

/*
 * _wh.create_bridge(server, host, dbname, username, port, remote_schema,
 * local_schema, tables, options, app_roles) returns jsonb
 */
Datum
wh_create_bridge(PG_FUNCTION_ARGS)
{
	WhBridge	bridge = {0};
	char	   *host;
	char	   *dbname;
	int			port;
	List	   *options;
	const WhBridgeOption *trusted;
	int			imported = -1;
	WhRole		caller;
	ListCell   *lc;

	wh_need_superuser("create a bridge");
	for (int arg = 0; arg <= 5; arg++)
	{
		if (PG_ARGISNULL(arg))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("server, host, dbname, username, port and remote_schema of a bridge must not be null")));
	}
	get_bridge(fcinfo, &bridge);
	host = text_to_cstring(PG_GETARG_TEXT_PP(1));
	dbname = text_to_cstring(PG_GETARG_TEXT_PP(2));
	port = PG_GETARG_INT32(4);
	options = PG_ARGISNULL(8) ? NIL :
		wh_bridge_options_read(bridge.server, PG_GETARG_JSONB_P(8), false);
	check_new(&bridge, host, port);

	wh_bridge_server_create(&bridge, host, port, dbname, options);
	wh_become_owner(&caller);
	wh_bridge_open_schema(&bridge, bridge.local_schema);
	wh_bridge_insert(&bridge);
	foreach(lc, wh_bridge_roles(&bridge))
		wh_bridge_mapping_create(&bridge, (const char *) lfirst(lc));
	trusted = wh_bridge_option_find(options, "password_required");
	if (trusted != NULL)
	{
		foreach(lc, wh_bridge_roles(&bridge))
			wh_bridge_mapping_set(bridge.server, (const char *) lfirst(lc),
								  "password_required", trusted->value);
		if (trusted->value != NULL && strcmp(trusted->value, "false") == 0)
		{
			imported = 0;
			wh_bridge_sync(&bridge, false, count_change, &imported);
		}
	}
	wh_role_leave(&caller);
	wh_audit("create_bridge", bridge.server, NULL);

	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in,
										CStringGetDatum(new_bridge_json(&bridge, imported))));
}

/*
 * _wh.alter_bridge(server name, options jsonb)
 */
Datum
wh_alter_bridge(PG_FUNCTION_ARGS)
{
	const char *server = NameStr(*PG_GETARG_NAME(0));
	Jsonb	   *json = PG_GETARG_JSONB_P(1);
	List	   *options;
	List	   *roles;
	WhBridge   *bridge;
	WhRole		caller;

	wh_need_superuser("alter a bridge");

	wh_become_owner(&caller);
	bridge = wh_bridge_to_change(server);
	options = wh_bridge_options_read(server, json, true);
	if (get_app_roles(server, json, &roles))
		change_app_roles(bridge, roles);
	if (wh_bridge_options_apply(bridge, options))
		ereport(NOTICE,
				(errmsg("password of bridge \"%s\" was dropped", server),
				 errdetail("It was given for another endpoint."),
				 errhint("SELECT _wh.rotate_password(%s, '...');",
						 quote_literal_cstr(server))));
	wh_bridge_update(bridge);
	wh_role_leave(&caller);
	wh_audit("alter_bridge", server, JsonbToCString(NULL, &json->root, VARSIZE(json)));

	PG_RETURN_VOID();
}

/*
 * _wh.drop_bridge(server name, drop_data boolean, dry_run boolean)
 *		returns jsonb
 */
Datum
wh_drop_bridge(PG_FUNCTION_ARGS)
{
	const char *server = NameStr(*PG_GETARG_NAME(0));
	bool		drop_data = PG_GETARG_BOOL(1);
	bool		dry_run = PG_GETARG_BOOL(2);
	WhBridgeParts *parts;
	WhBridge   *bridge;
	WhRole		caller;
	StringInfoData json;

	wh_need_superuser("drop a bridge");

	wh_become_owner(&caller);
	bridge = wh_bridge_to_change(server);
	parts = wh_bridge_parts(bridge);
	wh_bridge_parts_check(bridge, parts, drop_data);
	if (!dry_run)
	{
		wh_bridge_parts_drop(bridge, parts);
		wh_bridge_link_drop(bridge);
		wh_bridge_delete(server);
	}
	wh_role_leave(&caller);
	if (!dry_run)
		wh_audit("drop_bridge", server, NULL);

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"server\": ");
	escape_json(&json, server);
	appendStringInfo(&json, ", \"dry_run\": %s, \"dropped\": ", dry_run ? "true" : "false");
	wh_json_strings(&json, parts->dropped);
	appendStringInfoString(&json, ", \"kept\": ");
	wh_json_strings(&json, parts->kept);
	appendStringInfoChar(&json, '}');

	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data)));
}

void
wh_bridge_open_schema(const WhBridge *bridge, const char *schema)
{
	Oid			nspid;
	ListCell   *lc;

	wh_check_schema_name(schema);

	/* No tenant's name is empty: only the schema is asked for. */
	wh_tenant_check_free("", schema, NULL);
	nspid = get_namespace_oid(schema, true);
	if (!OidIsValid(nspid))
		wh_ddl(psprintf("CREATE SCHEMA %s", quote_identifier(schema)));
	else if (!wh_namespace_ownercheck(nspid, GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("schema \"%s\" is not the owner's", schema),
				 errdetail("Bridge \"%s\".", bridge->server),
				 errhint("ALTER SCHEMA %s OWNER TO %s;", quote_identifier(schema),
						 quote_identifier(wh_settings()->owner_role))));

	foreach(lc, bridge->app_roles)
		wh_bridge_admit(schema, (const char *) lfirst(lc));
}

void
wh_bridge_set_password(const WhBridge *bridge, char *password)
{
	WhConn	   *conn;
	ListCell   *lc;

	foreach(lc, wh_bridge_roles(bridge))
		wh_bridge_mapping_set(bridge->server, (const char *) lfirst(lc), "password", password);

	conn = wh_connect(wh_bridge_endpoint(bridge), psprintf("Bridge \"%s\".", bridge->server));
	wh_disconnect(conn);

	if (wh_bridge_tables(bridge) == NIL)
	{
		int			imported = 0;

		wh_bridge_sync(bridge, false, count_change, &imported);
		ereport(NOTICE,
				(errmsg("bridge \"%s\" has imported %d tables into schema \"%s\"",
						bridge->server, imported, bridge->local_schema)));
	}
}

/*
 * Read the arguments that make the row.
 */
static void
get_bridge(FunctionCallInfo fcinfo, WhBridge *bridge)
{
	bridge->server = pstrdup(NameStr(*PG_GETARG_NAME(0)));
	bridge->username = text_to_cstring(PG_GETARG_TEXT_PP(3));
	bridge->remote_schema = pstrdup(NameStr(*PG_GETARG_NAME(5)));
	bridge->local_schema = PG_ARGISNULL(6) ? bridge->server :
		pstrdup(NameStr(*PG_GETARG_NAME(6)));
	if (!PG_ARGISNULL(7))
		bridge->tables = wh_bridge_names(PG_GETARG_ARRAYTYPE_P(7));
	if (!PG_ARGISNULL(9))
		bridge->app_roles = wh_bridge_names(PG_GETARG_ARRAYTYPE_P(9));
}

/*
 * Refuse what cannot become a bridge before anything is made.
 */
static void
check_new(const WhBridge *bridge, const char *host, int port)
{
	ListCell   *lc;

	if (!OidIsValid(get_extension_oid("postgres_fdw", true)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("postgres_fdw is not installed in this database"),
				 errdetail("Bridge \"%s\" would be a server of it.", bridge->server),
				 errhint("CREATE EXTENSION postgres_fdw;")));
	if (GetForeignServerByName(bridge->server, true) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("server \"%s\" already exists", bridge->server),
				 errhint("Choose another name; one of ours: SELECT * FROM _wh.bridges;")));
	wh_bridge_check_endpoint(bridge->server, host, port);
	foreach(lc, bridge->app_roles)
		check_app_role((const char *) lfirst(lc));
}

/*
 * A superuser reads and writes whatever grants say, so none may pass for an
 * application.
 */
static void
check_app_role(const char *role)
{
	Oid			roleid = get_role_oid(role, true);

	if (!OidIsValid(roleid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role \"%s\" does not exist", role),
				 errhint("CREATE ROLE %s LOGIN;", quote_identifier(role))));
	if (is_member_of_role(roleid, wh_owner_oid()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" cannot be an application role", role),
				 errdetail("It may write whatever grants say."),
				 errhint("Give the application a role that is neither a superuser nor a member of the owner.")));
}

/*
 * Tell what became of the call; "imported" is negative when no password was
 * there to import with.
 */
static char *
new_bridge_json(const WhBridge *bridge, int imported)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"server\": ");
	escape_json(&json, bridge->server);
	appendStringInfoString(&json, ", \"local_schema\": ");
	escape_json(&json, bridge->local_schema);
	appendStringInfoString(&json, ", \"mappings\": ");
	wh_json_strings(&json, wh_bridge_roles(bridge));
	if (imported >= 0)
		appendStringInfo(&json, ", \"status\": \"imported\", \"imported\": %d}", imported);
	else
	{
		appendStringInfoString(&json, ", \"status\": \"waits for its password\", \"next\": ");
		escape_json(&json, psprintf("SELECT _wh.rotate_password(%s, '...');",
									quote_literal_cstr(bridge->server)));
		appendStringInfoChar(&json, '}');
	}

	return json.data;
}

/*
 * Count new tables, and warn of those that were left out.
 */
static void
count_change(void *arg, const char *action, const char *object, const char *detail)
{
	if (strcmp(action, "new") == 0)
		(*(int *) arg)++;
	else
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("table %s was not imported", object),
				 errdetail("%s", detail)));
}

/*
 * Read app_roles of the options, null for none; false when it is not there.
 */
static bool
get_app_roles(const char *server, const Jsonb *json, List **roles)
{
	JsonbValue	buffer;
	JsonbValue *value;
	int			n;

	*roles = NIL;
	value = getKeyJsonValueFromContainer((JsonbContainer *) &json->root, "app_roles",
										 strlen("app_roles"), &buffer);
	if (value == NULL)
		return false;
	if (value->type == jbvNull)
		return true;
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("app_roles of bridge \"%s\" must be an array of names", server),
				 errhint("Such as '{\"app_roles\": [\"dashboard\"]}'.")));

	n = JsonContainerSize(value->val.binary.data);
	for (int i = 0; i < n; i++)
	{
		char	   *role = wh_bridge_option_text(server, "app_roles",
												 getIthJsonbValueFromContainer(value->val.binary.data, i));

		if (!wh_bridge_names_have(*roles, role))
			*roles = lappend(*roles, role);
	}

	return true;
}

/*
 * Make "roles" the application roles: new ones get a mapping like the owner's
 * and may read what there is, those left out lose both.
 */
static void
change_app_roles(WhBridge *bridge, List *roles)
{
	const WhBridgeParts *parts = wh_bridge_parts(bridge);
	ListCell   *lc;

	foreach(lc, roles)
	{
		const char *role = (const char *) lfirst(lc);

		check_app_role(role);
		if (!wh_bridge_names_have(bridge->app_roles, role))
			adopt_app_role(bridge, parts, role);
	}
	foreach(lc, bridge->app_roles)
	{
		const char *role = (const char *) lfirst(lc);

		if (wh_bridge_names_have(roles, role) || !OidIsValid(get_role_oid(role, true)))
			continue;
		wh_bridge_parts_expel(parts, role);
		wh_bridge_mapping_drop(bridge, role);
	}
	bridge->app_roles = roles;
}

static void
adopt_app_role(const WhBridge *bridge, const WhBridgeParts *parts, const char *role)
{
	static const char *const copied[] = {"password", "password_required"};
	const char *owner = wh_settings()->owner_role;

	wh_bridge_mapping_create(bridge, role);
	for (Size i = 0; i < lengthof(copied); i++)
		wh_bridge_mapping_set(bridge->server, role, copied[i],
							  wh_bridge_mapping_option(bridge->server, owner, copied[i]));
	wh_bridge_parts_admit(parts, role);
}
