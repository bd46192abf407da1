/*
 * tenant.c
 *		_wh.tenant_connections: one row per remote database; looked up,
 *		checked, written.
 *
 * The rule kept here: an endpoint is one host, one port and a name each for
 * database and user, never a connection string; and what weakens the
 * connection (no verified TLS, files of the server, sockets, no password) is
 * a superuser's decision.  The row trigger and _wh.add_tenant() go through
 * the same check.  The trigger looks at its own row only and changes no given
 * value, so that a dump restores equal in any order of tables.  Schemas,
 * views and the ledger are onboard.c's.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "limits.h"
#include "names.h"
#include "period.h"
#include "row.h"
#include "spi.h"
#include "tenant.h"

#define MAX_CONNECTIONS 100

PG_FUNCTION_INFO_V1(wh_tenant_connections_validate);

static WhTenant *find_tenant(const char *sql, const char *value);
static List *read_tenants(const char *sql);
static WhTenant *read_tenant(HeapTuple tuple, TupleDesc desc);
static HeapTuple fill_row(HeapTuple tuple, HeapTuple old, TupleDesc desc);
static void check_names_stay(const WhTenant *tenant, const WhTenant *old);
static void check_host(const WhTenant *tenant);
static void check_remote_name(const WhTenant *tenant, const char *setting,
							  const char *value);
static void check_one_of(const WhTenant *tenant, const char *setting,
						 const char *value, const char *const *allowed);
static void check_options(const WhTenant *tenant);
static bool same_endpoint(const WhTenant *a, const WhTenant *b);
static bool same_text(const char *a, const char *b);
static const char *weak_setting(const WhTenant *tenant);
static void refuse(const WhTenant *tenant, const char *setting,
				   const char *detail, const char *hint) pg_attribute_noreturn();

/*
 * Check a row of tenant_connections and fill in what was left out.
 */
Datum
wh_tenant_connections_validate(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	HeapTuple	tuple;
	HeapTuple	old = NULL;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("tenant_connections_validate must be fired before insert or update for each row")));

	desc = RelationGetDescr(trigger->tg_relation);
	tuple = trigger->tg_trigtuple;
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
	{
		old = trigger->tg_trigtuple;
		tuple = trigger->tg_newtuple;
	}
	tuple = fill_row(tuple, old, desc);

	/* A NULL where none may be is for the constraint to refuse, afterwards. */
	if (!wh_row_breaks_not_null(tuple, desc))
		wh_tenant_check(read_tenant(tuple, desc),
						old != NULL ? read_tenant(old, desc) : NULL,
						superuser());

	return PointerGetDatum(tuple);
}

WhTenant *
wh_tenant_find(const char *name)
{
	return find_tenant("SELECT * FROM _wh.tenant_connections"
					   " WHERE tenant_name OPERATOR(pg_catalog.=) $1",
					   name);
}

WhTenant *
wh_tenant(const char *name)
{
	WhTenant   *tenant = wh_tenant_find(name);

	if (tenant == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("tenant \"%s\" does not exist", name),
				 errhint("Add it with _wh.add_tenant().")));

	return tenant;
}

WhTenant *
wh_tenant_by_key(const char *key)
{
	WhTenant   *tenant = find_tenant("SELECT * FROM _wh.tenant_connections"
									 " WHERE tenant_key OPERATOR(pg_catalog.=) $1",
									 key);

	if (tenant == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("tenant with key \"%s\" does not exist", key),
				 errdetail("The key of a tenant is the name it was first given."),
				 errhint("Add it with _wh.add_tenant().")));

	return tenant;
}

List *
wh_tenants_enabled(void)
{
	return read_tenants("SELECT * FROM _wh.tenant_connections WHERE enabled"
						" ORDER BY tenant_name COLLATE pg_catalog.\"C\"");
}

List *
wh_tenants_all(void)
{
	return read_tenants("SELECT * FROM _wh.tenant_connections"
						" ORDER BY tenant_name COLLATE pg_catalog.\"C\"");
}

static List *
read_tenants(const char *sql)
{
	MemoryContext caller = CurrentMemoryContext;
	List	   *tenants = NIL;

	SPI_connect();
	(void) wh_spi(SPI_OK_SELECT, sql, NULL, 0);

	/* Copy out while the SPI result is still there. */
	MemoryContextSwitchTo(caller);
	for (uint64 row = 0; row < SPI_processed; row++)
		tenants = lappend(tenants, read_tenant(SPI_tuptable->vals[row],
											   SPI_tuptable->tupdesc));
	SPI_finish();

	return tenants;
}

void
wh_tenant_check(const WhTenant *tenant, const WhTenant *old, bool trusted)
{
	static const char *const sslmodes[] = {
		"disable", "allow", "prefer", "require", "verify-ca", "verify-full", NULL
	};
	static const char *const auth_methods[] = {
		"password", "certificate", "trusted", NULL
	};

	if (old != NULL && !trusted)
		check_names_stay(tenant, old);
	wh_check_tenant_name(tenant->name);
	wh_check_schema_name(tenant->schema);

	check_host(tenant);
	if (tenant->port < 1 || tenant->port > 65535)
		refuse(tenant, "port", psprintf("%d is no port.", tenant->port),
			   "Give a port from 1 to 65535.");
	check_remote_name(tenant, "dbname", tenant->dbname);
	check_remote_name(tenant, "username", tenant->username);

	check_one_of(tenant, "sslmode", tenant->sslmode, sslmodes);
	check_one_of(tenant, "auth_method", tenant->auth_method, auth_methods);
	if (strcmp(tenant->auth_method, "certificate") == 0 &&
		(tenant->sslcert == NULL || tenant->sslkey == NULL))
		refuse(tenant, "auth_method",
			   "A certificate is shown from two files.",
			   "Give both sslcert and sslkey.");

	if (!wh_time_zone_is_valid(tenant->time_zone))
		refuse(tenant, "time_zone",
			   psprintf("\"%s\" is not known.", tenant->time_zone),
			   "SELECT name FROM pg_timezone_names;");
	if (tenant->max_connections < 1 || tenant->max_connections > MAX_CONNECTIONS)
		refuse(tenant, "max_connections",
			   psprintf("%d is out of range.", tenant->max_connections),
			   psprintf("Give a number from 1 to %d.", MAX_CONNECTIONS));
	check_options(tenant);

	if (trusted || (old != NULL && same_endpoint(old, tenant)))
		return;
	if (old != NULL && weak_setting(old) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to change the endpoint of tenant \"%s\"", old->name),
				 errdetail("Its %s was allowed by a superuser for the present endpoint.",
						   weak_setting(old)),
				 errhint("Ask a superuser to call _wh.alter_tenant().")));
	if (weak_setting(tenant) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set %s of tenant \"%s\"",
						weak_setting(tenant), tenant->name),
				 errdetail("Only a superuser may allow an sslmode below verify-full, "
						   "files of the server, a socket directory "
						   "or an auth_method other than password."),
				 errhint("Leave it at its default, or ask a superuser to call "
						 "_wh.add_tenant() or _wh.alter_tenant().")));
}

void
wh_tenant_check_free(const char *name, const char *schema, const WhTenant *self)
{
	MemoryContext caller = CurrentMemoryContext;
	WhArg		args[] = {
		wh_text(name), wh_text(schema), wh_text(self != NULL ? self->key : NULL)
	};
	WhTenant   *other = NULL;

	/* A key must be free for a new tenant only; a rename brings its own. */
	SPI_connect();
	if (wh_spi(SPI_OK_SELECT,
			   "SELECT * FROM _wh.tenant_connections"
			   " WHERE tenant_key IS DISTINCT FROM $3"
			   " AND (tenant_name OPERATOR(pg_catalog.=) $1"
			   "  OR (tenant_key OPERATOR(pg_catalog.=) $1 AND $3 IS NULL)"
			   "  OR schema_name OPERATOR(pg_catalog.=) $2)"
			   " ORDER BY tenant_name OPERATOR(pg_catalog.=) $1 DESC LIMIT 1",
			   args, lengthof(args)) > 0)
	{
		MemoryContextSwitchTo(caller);
		other = read_tenant(SPI_tuptable->vals[0], SPI_tuptable->tupdesc);
	}
	SPI_finish();

	if (other == NULL)
		return;
	if (strcmp(other->name, name) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("tenant \"%s\" already exists", name),
				 errhint("Change it with _wh.alter_tenant().")));
	if (strcmp(other->schema, schema) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("schema \"%s\" belongs to tenant \"%s\"", schema, other->name),
				 errhint("Choose another with schema_name => '...'.")));
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("tenant name \"%s\" is in use as a key", name),
			 errdetail("Tenant \"%s\" was first named so, and its materialized views say it.",
					   other->name),
			 errhint("Choose another name; it can be renamed with _wh.rename_tenant().")));
}

void
wh_tenant_insert(const WhTenant *tenant)
{
	WhArg		args[] = {
		wh_text(tenant->name), wh_text(tenant->key), wh_name(tenant->schema),
		wh_text(tenant->host), wh_int4(tenant->port), wh_text(tenant->dbname),
		wh_text(tenant->username), wh_text(tenant->sslmode),
		wh_text(tenant->sslrootcert), wh_text(tenant->sslcert),
		wh_text(tenant->sslkey), wh_text(tenant->auth_method),
		wh_text(tenant->time_zone), wh_int4(tenant->max_connections),
		wh_jsonb(tenant->options), wh_bool(tenant->enabled),
		wh_text(tenant->description)
	};

	(void) wh_ledger("INSERT INTO _wh.tenant_connections"
					 " (tenant_name, tenant_key, schema_name, host, port, dbname,"
					 " username, sslmode, sslrootcert, sslcert, sslkey, auth_method,"
					 " time_zone, max_connections, options, enabled, description)"
					 " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,"
					 " $13, $14, $15, $16, $17)",
					 args, lengthof(args));
}

void
wh_tenant_update(const WhTenant *tenant)
{
	WhArg		args[] = {
		wh_text(tenant->key), wh_text(tenant->host), wh_int4(tenant->port),
		wh_text(tenant->dbname), wh_text(tenant->username),
		wh_text(tenant->sslmode), wh_text(tenant->sslrootcert),
		wh_text(tenant->sslcert), wh_text(tenant->sslkey),
		wh_text(tenant->auth_method), wh_text(tenant->time_zone),
		wh_int4(tenant->max_connections), wh_jsonb(tenant->options),
		wh_bool(tenant->enabled), wh_text(tenant->description)
	};

	(void) wh_ledger("UPDATE _wh.tenant_connections SET"
					 " host = $2, port = $3, dbname = $4, username = $5,"
					 " sslmode = $6, sslrootcert = $7, sslcert = $8, sslkey = $9,"
					 " auth_method = $10, time_zone = $11, max_connections = $12,"
					 " options = $13, enabled = $14, description = $15"
					 " WHERE tenant_key = $1",
					 args, lengthof(args));
}

void
wh_tenant_rename(const WhTenant *tenant, const char *new_name, const char *new_schema)
{
	WhArg		args[] = {
		wh_text(tenant->key), wh_text(new_name), wh_name(new_schema)
	};

	(void) wh_ledger("UPDATE _wh.tenant_connections"
					 " SET tenant_name = $2, schema_name = $3"
					 " WHERE tenant_key = $1",
					 args, lengthof(args));
}

void
wh_tenant_delete(const WhTenant *tenant)
{
	WhArg		args[] = {wh_text(tenant->key)};

	(void) wh_ledger("DELETE FROM _wh.tenant_connections WHERE tenant_key = $1",
					 args, lengthof(args));
}

/*
 * Run a query for one row, given one text parameter; NULL when there is none.
 */
static WhTenant *
find_tenant(const char *sql, const char *value)
{
	MemoryContext caller = CurrentMemoryContext;
	WhArg		args[] = {wh_text(value)};
	WhTenant   *tenant = NULL;

	SPI_connect();
	if (wh_spi(SPI_OK_SELECT, sql, args, lengthof(args)) > 0)
	{
		MemoryContextSwitchTo(caller);
		tenant = read_tenant(SPI_tuptable->vals[0], SPI_tuptable->tupdesc);
	}
	SPI_finish();

	return tenant;
}

/*
 * Copy a row, whole, to CurrentMemoryContext.
 */
static WhTenant *
read_tenant(HeapTuple tuple, TupleDesc desc)
{
	WhTenant   *tenant = (WhTenant *) palloc0(sizeof(WhTenant));
	bool		isnull;

	tenant->name = wh_row_text(tuple, desc, "tenant_name");
	tenant->key = wh_row_text(tuple, desc, "tenant_key");
	tenant->schema = wh_row_text(tuple, desc, "schema_name");
	tenant->host = wh_row_text(tuple, desc, "host");
	tenant->port = DatumGetInt32(wh_row_datum(tuple, desc, "port", &isnull));
	tenant->dbname = wh_row_text(tuple, desc, "dbname");
	tenant->username = wh_row_text(tuple, desc, "username");
	tenant->sslmode = wh_row_text(tuple, desc, "sslmode");
	tenant->sslrootcert = wh_row_text(tuple, desc, "sslrootcert");
	tenant->sslcert = wh_row_text(tuple, desc, "sslcert");
	tenant->sslkey = wh_row_text(tuple, desc, "sslkey");
	tenant->auth_method = wh_row_text(tuple, desc, "auth_method");
	tenant->time_zone = wh_row_text(tuple, desc, "time_zone");
	tenant->max_connections =
		DatumGetInt32(wh_row_datum(tuple, desc, "max_connections", &isnull));
	tenant->options = DatumGetJsonbPCopy(wh_row_datum(tuple, desc, "options", &isnull));
	tenant->enabled = DatumGetBool(wh_row_datum(tuple, desc, "enabled", &isnull));
	tenant->description = wh_row_text(tuple, desc, "description");

	return tenant;
}

/*
 * Fill in the key and the schema, both the tenant's name, and the time of an
 * update that does not say it itself.
 */
static HeapTuple
fill_row(HeapTuple tuple, HeapTuple old, TupleDesc desc)
{
	int			cols[3];
	Datum		values[3];
	bool		nulls[3] = {false, false, false};
	int			n = 0;
	char	   *name = wh_row_text(tuple, desc, "tenant_name");
	bool		isnull;
	Datum		updated_at;

	(void) wh_row_datum(tuple, desc, "tenant_key", &isnull);
	if (isnull && name != NULL)
	{
		cols[n] = SPI_fnumber(desc, "tenant_key");
		values[n++] = CStringGetTextDatum(name);
	}

	(void) wh_row_datum(tuple, desc, "schema_name", &isnull);
	if (isnull && name != NULL)
	{
		cols[n] = SPI_fnumber(desc, "schema_name");
		values[n++] = DirectFunctionCall1(namein, CStringGetDatum(name));
	}

	updated_at = wh_row_datum(tuple, desc, "updated_at", &isnull);
	if (old != NULL && !isnull &&
		DatumGetTimestampTz(updated_at) ==
		DatumGetTimestampTz(wh_row_datum(old, desc, "updated_at", &isnull)))
	{
		cols[n] = SPI_fnumber(desc, "updated_at");
		values[n++] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	}

	if (n == 0)
		return tuple;

	return heap_modify_tuple_by_cols(tuple, desc, n, cols, values, nulls);
}

/*
 * Refuse to change by UPDATE what other tables, schemas and views go by.
 */
static void
check_names_stay(const WhTenant *tenant, const WhTenant *old)
{
	if (strcmp(tenant->name, old->name) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot update the name of tenant \"%s\"", old->name),
				 errhint("SELECT _wh.rename_tenant(%s, %s);",
						 quote_literal_cstr(old->name),
						 quote_literal_cstr(tenant->name))));
	if (strcmp(tenant->schema, old->schema) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot update the schema of tenant \"%s\"", old->name),
				 errhint("Rename both: SELECT _wh.rename_tenant(%s, %s, rename_schema => true);",
						 quote_literal_cstr(old->name),
						 quote_literal_cstr(tenant->schema))));
	if (strcmp(tenant->key, old->key) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot update the key of tenant \"%s\"", old->name),
				 errdetail("Materialized views and the sealed password carry it."),
				 errhint("Only the name changes: _wh.rename_tenant().")));
}

/*
 * Check that the host is one name, address or directory, which libpq cannot
 * read as a list or as anything else.
 */
static void
check_host(const WhTenant *tenant)
{
	const char *host = tenant->host;

	if (host == NULL || host[0] == '\0')
		refuse(tenant, "host", "It is empty.", "Give a host name or address.");
	for (const char *at = host; *at != '\0'; at++)
	{
		if ((unsigned char) *at <= ' ' || *at == 0x7f || strchr(",@=", *at) != NULL)
			refuse(tenant, "host",
				   "It holds a comma, an at sign, an equals sign, white space or a control character.",
				   "Give one host name or address; port, user and database have settings of their own.");
	}
	if (host[0] != '/' && strchr(host, '/') != NULL)
		refuse(tenant, "host", "It holds a slash.",
			   "Give one host name or address, or the absolute path of a socket directory.");
}

/*
 * Check a name of a database or user.  The value is not shown: where it is a
 * connection string, it may hold a password.
 */
static void
check_remote_name(const WhTenant *tenant, const char *setting, const char *value)
{
	if (value == NULL || value[0] == '\0')
		refuse(tenant, setting, "It is empty.", "Give a plain name.");
	if (strchr(value, '=') != NULL ||
		strncmp(value, "postgres://", strlen("postgres://")) == 0 ||
		strncmp(value, "postgresql://", strlen("postgresql://")) == 0)
		refuse(tenant, setting, "It is a connection string.",
			   "Give a plain name; host, port and the rest have settings of their own.");
	if (strlen(value) >= NAMEDATALEN)
		refuse(tenant, setting,
			   psprintf("It is longer than %d bytes.", NAMEDATALEN - 1),
			   "Give the name as the tenant's server has it.");
}

static void
check_one_of(const WhTenant *tenant, const char *setting, const char *value,
			 const char *const *allowed)
{
	StringInfoData hint;

	initStringInfo(&hint);
	for (const char *const *choice = allowed; *choice != NULL; choice++)
	{
		if (strcmp(value, *choice) == 0)
			return;
		appendStringInfo(&hint, "%s%s", choice == allowed ? "" : ", ", *choice);
	}
	refuse(tenant, setting, psprintf("\"%s\" is not known.", value),
		   psprintf("Choose one of %s.", hint.data));
}

/*
 * Check that the options can be read as limits.
 */
static void
check_options(const WhTenant *tenant)
{
	WhLimits	limits;
	const char *problem;
	const char *advice;

	if (!wh_limits_read(tenant->options, &limits, &problem, &advice))
		refuse(tenant, "options", problem, advice);
}

static bool
same_endpoint(const WhTenant *a, const WhTenant *b)
{
	return same_text(a->host, b->host) &&
		a->port == b->port &&
		same_text(a->dbname, b->dbname) &&
		same_text(a->username, b->username) &&
		same_text(a->sslmode, b->sslmode) &&
		same_text(a->sslrootcert, b->sslrootcert) &&
		same_text(a->sslcert, b->sslcert) &&
		same_text(a->sslkey, b->sslkey) &&
		same_text(a->auth_method, b->auth_method);
}

static bool
same_text(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;

	return strcmp(a, b) == 0;
}

/*
 * Name a setting that only a superuser may allow; NULL when there is none.
 */
static const char *
weak_setting(const WhTenant *tenant)
{
	if (tenant->host[0] == '/')
		return "host";
	if (strcmp(tenant->sslmode, "verify-full") != 0)
		return "sslmode";
	if (strcmp(tenant->auth_method, "password") != 0)
		return "auth_method";
	if (tenant->sslrootcert != NULL)
		return "sslrootcert";
	if (tenant->sslcert != NULL)
		return "sslcert";
	if (tenant->sslkey != NULL)
		return "sslkey";

	return NULL;
}

static void
refuse(const WhTenant *tenant, const char *setting, const char *detail,
	   const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid %s for tenant \"%s\"", setting, tenant->name),
			 errdetail("%s", detail),
			 errhint("%s", hint)));
}
