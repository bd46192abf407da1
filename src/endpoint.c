/*
 * endpoint.c
 *		Whom libpq is to call for a tenant, and with what credentials.
 *
 * One host, one port, and nothing of the server's own account: password file,
 * client certificate and Kerberos ticket are nobody's to lend to whoever may
 * define a tenant.  The password is opened here and wiped as soon as libpq has
 * its copy.  Waiting for an answer is conn's.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "endpoint.h"
#include "guc.h"
#include "seal.h"
#include "secret.h"

#define MAX_PARAMS 24

/* Keywords and values for libpq, on the stack. */
typedef struct Params
{
	int			n;
	const char *keywords[MAX_PARAMS];
	const char *values[MAX_PARAMS];
} Params;

static void add_param(Params *params, const char *keyword, const char *value);
static void add_text(StringInfo text, const char *value);

/*
 * Check what libpq would read as something else than one endpoint.  The rows
 * were checked when they were written; this is the last door.
 */
void
wh_endpoint_check(const WhTenant *tenant)
{
	if (tenant->host[0] == '\0' || strpbrk(tenant->host, ",@") != NULL ||
		tenant->port < 1 || tenant->port > 65535)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("endpoint of tenant \"%s\" is not one host and port",
						tenant->name),
				 errhint("SELECT _wh.alter_tenant(%s, host => ..., port => ...);",
						 quote_literal_cstr(tenant->name))));
}

/*
 * Have libpq begin a connection.  What is fixed here keeps the server
 * account's own credentials (password file, client certificate, Kerberos) from
 * being lent to whoever may define a tenant.
 */
PGconn *
wh_endpoint_connect(const WhTenant *tenant, const char *address)
{
	Params		params = {0};
	char		port[12];
	char	   *password = NULL;
	PGconn	   *pg;

	snprintf(port, sizeof(port), "%d", tenant->port);

	add_param(&params, "host", tenant->host);
	add_param(&params, "hostaddr", address);
	add_param(&params, "port", port);
	add_param(&params, "dbname", tenant->dbname);
	add_param(&params, "user", tenant->username);
	add_param(&params, "passfile", "/dev/null/none");
	add_param(&params, "gssencmode", "disable");
	add_param(&params, "sslmode", tenant->sslmode);
	if (tenant->sslrootcert != NULL)
		add_param(&params, "sslrootcert", tenant->sslrootcert);
	else if (wh_sslrootcert != NULL && wh_sslrootcert[0] != '\0')
		add_param(&params, "sslrootcert", wh_sslrootcert);
	/* Nothing can exist below a device: no certificate is offered. */
	add_param(&params, "sslcert", tenant->sslcert ? tenant->sslcert : "/dev/null/none");
	add_param(&params, "sslkey", tenant->sslkey ? tenant->sslkey : "/dev/null/none");
	add_param(&params, "client_encoding", GetDatabaseEncodingName());
	add_param(&params, "application_name", "pg_warehouse");
	add_param(&params, "target_session_attrs", "any");
	add_param(&params, "keepalives", "1");
	add_param(&params, "keepalives_idle", "10");
	add_param(&params, "keepalives_interval", "5");
	add_param(&params, "keepalives_count", "3");
	add_param(&params, "tcp_user_timeout", "10000");

	if (strcmp(tenant->auth_method, "password") == 0)
	{
		password = wh_secret_open(tenant);
		add_param(&params, "password", password);
	}

	/* With expand_dbname = 0, a dbname is a name and no connection string. */
	pg = PQconnectStartParams(params.keywords, params.values, 0);
	if (password != NULL)
		wh_wipe_secret(password);
	if (pg == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));

	return pg;
}

/*
 * Write down all that a connection depends on: two texts are equal when a new
 * connection would be the same as the old one.
 */
char *
wh_endpoint_text(const WhTenant *tenant)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "%d", tenant->port);
	add_text(&text, tenant->key);
	add_text(&text, tenant->host);
	add_text(&text, tenant->dbname);
	add_text(&text, tenant->username);
	add_text(&text, tenant->auth_method);
	add_text(&text, tenant->sslmode);
	add_text(&text, tenant->sslrootcert);
	add_text(&text, tenant->sslcert);
	add_text(&text, tenant->sslkey);
	add_text(&text, wh_sslrootcert);
	add_text(&text, wh_secret_mark(tenant));

	return text.data;
}

static void
add_param(Params *params, const char *keyword, const char *value)
{
	Assert(params->n < MAX_PARAMS - 1);

	params->keywords[params->n] = keyword;
	params->values[params->n] = value;
	params->n++;
}

static void
add_text(StringInfo text, const char *value)
{
	appendStringInfo(text, " %s", value ? quote_literal_cstr(value) : "null");
}
