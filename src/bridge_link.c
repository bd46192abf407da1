/*
 * bridge_link.c
 *		The server and the user mappings of a bridge, and their options.
 *
 * Both are written as the installer.  An application role gets a mapping but
 * never USAGE on the server: that would show it the mapping's password, which
 * PostgreSQL keeps in clear.  No statement of ours has a password in its text:
 * the mapping is altered by a parse tree.  At the source every transaction is
 * read only by default, and here no foreign table is updatable.
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "bridge_link.h"
#include "guc.h"
#include "settings.h"
#include "spi.h"

/* Where an option is kept. */
typedef enum Place
{
	PLACE_ENDPOINT,				/* the server; a password is not for others */
	PLACE_SERVER,
	PLACE_MAPPING
} Place;

/* What may be given, where it goes and what it is where it is not given. */
typedef struct Known
{
	const char *name;
	Place		place;
	const char *value;			/* NULL: postgres_fdw's own default */
} Known;

static const Known known_options[] = {
	{"host", PLACE_ENDPOINT, NULL},
	{"port", PLACE_ENDPOINT, "5432"},
	{"dbname", PLACE_ENDPOINT, NULL},
	{"sslmode", PLACE_ENDPOINT, "verify-full"},
	{"sslrootcert", PLACE_ENDPOINT, NULL},
	{"fetch_size", PLACE_SERVER, "10000"},
	{"use_remote_estimate", PLACE_SERVER, NULL},
	{"fdw_startup_cost", PLACE_SERVER, NULL},
	{"fdw_tuple_cost", PLACE_SERVER, NULL},
	{"async_capable", PLACE_SERVER, NULL},
	{"extensions", PLACE_SERVER, NULL},
	{"application_name", PLACE_SERVER, NULL},
	{"options", PLACE_SERVER, "-c default_transaction_read_only=on"},
	{"connect_timeout", PLACE_SERVER, "10"},
	{"tcp_user_timeout", PLACE_SERVER, "10000"},
	{"keepalives_idle", PLACE_SERVER, "10"},
	{"keepalives_interval", PLACE_SERVER, "5"},
	{"keepalives_count", PLACE_SERVER, "3"},
	{"password_required", PLACE_MAPPING, NULL},
};

static const Known *known_option(const char *name);
static const char *default_of(const Known *known);
static void set_server_option(const char *server, const char *name, const char *value);

/*
 * Read the options that a caller gives; 22023 for one that is not known.
 */
List *
wh_bridge_options_read(const char *server, Jsonb *json, bool altering)
{
	JsonbIterator *iterator = JsonbIteratorInit(&json->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	List	   *options = NIL;
	char	   *name = NULL;

	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options of bridge \"%s\" must be a JSON object", server),
				 errhint("Such as '{\"fetch_size\": 5000}'.")));

	(void) JsonbIteratorNext(&iterator, &value, false);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE)
		{
			const Known *known = known_option(name);
			bool		allowed = known != NULL &&
			(altering || known->place != PLACE_ENDPOINT ||
			 strncmp(name, "ssl", 3) == 0);
			WhBridgeOption *option;

			if (altering && strcmp(name, "app_roles") == 0)
				continue;
			if (!allowed && !(altering && strcmp(name, "username") == 0))
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("unknown option \"%s\" of bridge \"%s\"", name, server),
						 errhint("See the bridge's options in README.md; what else the server should have: ALTER SERVER %s OPTIONS (...);",
								 quote_identifier(server))));
			option = (WhBridgeOption *) palloc(sizeof(WhBridgeOption));
			option->name = name;
			option->value = value.type == jbvNull ? NULL :
				wh_bridge_option_text(server, name, &value);
			options = lappend(options, option);
		}
	}

	return options;
}

/*
 * Return a string, number or boolean as text.
 */
char *
wh_bridge_option_text(const char *server, const char *name, const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out,
													   NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		default:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"%s\" of bridge \"%s\" has the wrong shape", name, server),
					 errhint("Give a string, a number, true, false or null; for app_roles an array of names.")));
	}
}

const WhBridgeOption *
wh_bridge_option_find(const List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		const WhBridgeOption *option = (const WhBridgeOption *) lfirst(lc);

		if (strcmp(option->name, name) == 0)
			return option;
	}

	return NULL;
}

void
wh_bridge_check_endpoint(const char *server, const char *host, int port)
{
	if (host[0] == '\0' || strpbrk(host, ",@") != NULL || port < 1 || port > 65535)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("endpoint of bridge \"%s\" is not one host and port", server),
				 errdetail("Host \"%s\", port %d.", host, port),
				 errhint("Give one name or address, and a port from 1 to 65535.")));
}

/*
 * Create the server as the installer: no default of ours is left to whoever
 * calls.
 */
void
wh_bridge_server_create(const WhBridge *bridge, const char *host, int port,
						const char *dbname, const List *options)
{
	const char *server = quote_identifier(bridge->server);
	const char *owner = quote_identifier(wh_settings()->owner_role);
	StringInfoData sql;
	WhRole		caller;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE SERVER %s FOREIGN DATA WRAPPER postgres_fdw"
					 " OPTIONS (updatable 'false', truncatable 'false'", server);
	for (Size i = 0; i < lengthof(known_options); i++)
	{
		const Known *known = &known_options[i];
		const WhBridgeOption *given = wh_bridge_option_find(options, known->name);
		const char *value = given != NULL && given->value != NULL ?
		given->value : default_of(known);

		if (strcmp(known->name, "host") == 0)
			value = host;
		else if (strcmp(known->name, "port") == 0)
			value = psprintf("%d", port);
		else if (strcmp(known->name, "dbname") == 0)
			value = dbname;
		if (known->place != PLACE_MAPPING && value != NULL)
			appendStringInfo(&sql, ", %s %s", quote_identifier(known->name),
							 quote_literal_cstr(value));
	}
	appendStringInfoChar(&sql, ')');

	wh_role_installer(&caller);
	wh_ddl(sql.data);
	wh_ddl(psprintf("COMMENT ON SERVER %s IS 'pg_warehouse: bridge'", server));
	wh_ddl(psprintf("GRANT USAGE ON FOREIGN SERVER %s TO %s", server, owner));
	wh_role_leave(&caller);
}

/*
 * Apply options to server, mappings and row; true when the endpoint changed
 * and there was a password, which is gone then: it was not given for that one.
 */
bool
wh_bridge_options_apply(WhBridge *bridge, const List *options)
{
	const WhTenant *endpoint;
	bool		moved = false;
	bool		dropped = false;
	ListCell   *lc;
	ListCell   *lr;

	foreach(lc, options)
	{
		const WhBridgeOption *option = (const WhBridgeOption *) lfirst(lc);
		const Known *known = known_option(option->name);
		const char *value = option->value;

		if (value == NULL && known != NULL)
			value = default_of(known);
		if (value == NULL &&
			(known == NULL || strcmp(option->name, "host") == 0 ||
			 strcmp(option->name, "dbname") == 0))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"%s\" of bridge \"%s\" has no default",
							option->name, bridge->server),
					 errhint("Give the value that it is to have.")));

		if (known == NULL)
		{
			bridge->username = option->value;
			foreach(lr, wh_bridge_roles(bridge))
				wh_bridge_mapping_set(bridge->server, (const char *) lfirst(lr),
									  "user", option->value);
		}
		else if (known->place == PLACE_MAPPING)
		{
			foreach(lr, wh_bridge_roles(bridge))
				wh_bridge_mapping_set(bridge->server, (const char *) lfirst(lr),
									  option->name, option->value);
		}
		else
			set_server_option(bridge->server, option->name, value);
		moved |= known == NULL || known->place == PLACE_ENDPOINT;
	}
	if (!moved)
		return false;
	endpoint = wh_bridge_endpoint(bridge);
	wh_bridge_check_endpoint(bridge->server, endpoint->host, endpoint->port);

	foreach(lr, wh_bridge_roles(bridge))
	{
		const char *role = (const char *) lfirst(lr);

		dropped |= wh_bridge_mapping_option(bridge->server, role, "password") != NULL;
		wh_bridge_mapping_set(bridge->server, role, "password", NULL);
	}

	return dropped;
}

void
wh_bridge_mapping_create(const WhBridge *bridge, const char *role)
{
	WhRole		caller;

	wh_role_installer(&caller);
	wh_ddl(psprintf("CREATE USER MAPPING FOR %s SERVER %s OPTIONS (user %s)",
					quote_identifier(role), quote_identifier(bridge->server),
					quote_literal_cstr(bridge->username)));
	wh_role_leave(&caller);
}

/*
 * Set, or with NULL drop, an option of a user mapping, as the installer.  The
 * value may be a password, so no text of a statement has it.
 */
void
wh_bridge_mapping_set(const char *server, const char *role, const char *name, char *value)
{
	AlterUserMappingStmt *stmt = makeNode(AlterUserMappingStmt);
	bool		there = wh_bridge_mapping_option(server, role, name) != NULL;
	DefElemAction action = value == NULL ? DEFELEM_DROP :
	there ? DEFELEM_SET : DEFELEM_ADD;
	WhRole		caller;

	if (value == NULL && !there)
		return;

	stmt->user = makeNode(RoleSpec);
	stmt->user->roletype = ROLESPEC_CSTRING;
	stmt->user->rolename = pstrdup(role);
	stmt->user->location = -1;
	stmt->servername = pstrdup(server);
	stmt->options = list_make1(makeDefElemExtended(NULL, pstrdup(name),
												   value == NULL ? NULL : (Node *) makeString(value),
												   action, -1));

	wh_role_installer(&caller);
	(void) wh_ddl_stmt((Node *) stmt, "ALTER USER MAPPING");
	wh_role_leave(&caller);
}

void
wh_bridge_link_drop(const WhBridge *bridge)
{
	ListCell   *lc;
	WhRole		caller;

	foreach(lc, wh_bridge_roles(bridge))
		wh_bridge_mapping_drop(bridge, (const char *) lfirst(lc));
	wh_role_installer(&caller);
	wh_ddl(psprintf("DROP SERVER IF EXISTS %s", quote_identifier(bridge->server)));
	wh_role_leave(&caller);
}

void
wh_bridge_mapping_drop(const WhBridge *bridge, const char *role)
{
	WhRole		caller;

	wh_role_installer(&caller);
	wh_ddl(psprintf("DROP USER MAPPING IF EXISTS FOR %s SERVER %s",
					quote_identifier(role), quote_identifier(bridge->server)));
	wh_role_leave(&caller);
}

static const Known *
known_option(const char *name)
{
	for (Size i = 0; i < lengthof(known_options); i++)
	{
		if (strcmp(known_options[i].name, name) == 0)
			return &known_options[i];
	}

	return NULL;
}

static const char *
default_of(const Known *known)
{
	if (strcmp(known->name, "sslrootcert") == 0 &&
		wh_sslrootcert != NULL && wh_sslrootcert[0] != '\0')
		return wh_sslrootcert;

	return known->value;
}

/*
 * Set, or with NULL drop, an option of the server, as the installer.
 */
static void
set_server_option(const char *server, const char *name, const char *value)
{
	bool		there = wh_bridge_server_option(server, name) != NULL;
	WhRole		caller;

	if (value == NULL && !there)
		return;

	wh_role_installer(&caller);
	if (value == NULL)
		wh_ddl(psprintf("ALTER SERVER %s OPTIONS (DROP %s)",
						quote_identifier(server), quote_identifier(name)));
	else
		wh_ddl(psprintf("ALTER SERVER %s OPTIONS (%s %s %s)",
						quote_identifier(server), there ? "SET" : "ADD",
						quote_identifier(name), quote_literal_cstr(value)));
	wh_role_leave(&caller);
}
