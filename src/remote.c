/*
 * remote.c
 *		A tenant's failures as errors of ours.
 *
 * The server's SQLSTATE is kept, so that people and retries can tell a wrong
 * password from a full server.  Of its words only the message is, cleaned and
 * cut: DETAIL and CONTEXT quote rows.  Our DETAIL says which tenant, template
 * and day; our HINT what usually mends it.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "fault.h"
#include "remote.h"

/* A tenant's words in one of our messages. */
#define MAX_TEXT_BYTES 1024

#define SQLSTATE_CHARACTERS "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

static const char *sqlstate_in(const char *text);
static int	sqlerrcode_of(const char *sqlstate);
static const char *hint_for(const WhRemote *remote, int sqlerrcode);
static bool is_bridge(const WhRemote *remote);
static const char *probe_of(const WhRemote *remote);
static char *reason_in(const PGconn *pg);

/*
 * Raise a server's error; see remote.h.  A complaint about an encoding quotes
 * bytes of the value, so it is worded anew.
 */
void
wh_remote_raise(const WhRemote *remote, const char *sqlstate,
				const char *message)
{
	int			sqlerrcode = sqlerrcode_of(sqlstate);
	const char *hint = hint_for(remote, sqlerrcode);

	if (sqlerrcode == ERRCODE_CHARACTER_NOT_IN_REPERTOIRE ||
		sqlerrcode == ERRCODE_UNTRANSLATABLE_CHARACTER)
		message = psprintf("text that encoding \"%s\" cannot hold",
						   GetDatabaseEncodingName());

	wh_remote_failed_mark();
	ereport(ERROR,
			(errcode(sqlerrcode),
			 errmsg("%s \"%s\": %s", remote->kind, remote->name, message),
			 errdetail("%s", remote->subject),
			 errhint("%s", hint)));
}

/*
 * Raise the failure of a connection attempt; see remote.h.
 */
void
wh_remote_raise_connect(const WhRemote *remote, PGconn *pg, bool timed_out)
{
	const char *sqlstate = sqlstate_in(PQerrorMessage(pg));

	if (sqlstate != NULL)
		wh_remote_raise(remote, sqlstate,
						wh_clean_text(sqlstate + strlen("XXXXX: ")));

	if (timed_out)
		wh_remote_raise_unreachable(remote, "No answer within pg_warehouse.connect_timeout.");

	if (PQconnectionNeedsPassword(pg))
	{
		wh_remote_failed_mark();
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PASSWORD),
				 errmsg("%s \"%s\" asks for a password", remote->kind, remote->name),
				 errdetail("%s", remote->subject),
				 errhint(is_bridge(remote) ?
						 "SELECT _wh.rotate_password(%s, '...');" :
						 "SELECT _wh.alter_tenant(%s, auth_method => 'password');",
						 quote_literal_cstr(remote->name))));
	}
	wh_remote_raise_unreachable(remote, reason_in(pg));
}

/*
 * Has a server said why it does not let us in?
 */
bool
wh_remote_refused(const PGconn *pg)
{
	return sqlstate_in(PQerrorMessage(pg)) != NULL;
}

void
wh_remote_raise_unreachable(const WhRemote *remote, const char *reason)
{
	wh_remote_failed_mark();
	ereport(ERROR,
			(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
			 errmsg("could not connect to %s \"%s\"", remote->kind, remote->name),
			 errdetail("%s\n%s", remote->subject, reason),
			 errhint("%s", probe_of(remote))));
}

void
wh_remote_raise_lost(const WhRemote *remote, PGconn *pg)
{
	wh_remote_failed_mark();
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("connection to %s \"%s\" was lost", remote->kind, remote->name),
			 errdetail("%s\n%s", remote->subject, reason_in(pg)),
			 errhint("%s", probe_of(remote))));
}

/*
 * Clean a tenant's text; see remote.h.
 */
char *
wh_clean_text(const char *text)
{
	int			encoding = GetDatabaseEncoding();
	StringInfoData clean;

	initStringInfo(&clean);
	while (text != NULL && *text != '\0' && *text != '\n')
	{
		int			left = strnlen(text, MAX_MULTIBYTE_CHAR_LEN);
		int			len = pg_encoding_verifymbchar(encoding, text, left);
		unsigned char first = *text;

		if (clean.len + Max(len, 1) > MAX_TEXT_BYTES)
			break;
		if (len <= 0 || (len == 1 && (first < ' ' || first == 0x7f)))
		{
			appendStringInfoChar(&clean, '?');
			len = 1;
		}
		else
			appendBinaryStringInfo(&clean, text, len);
		text += len;
	}

	return clean.data;
}

/*
 * Find "SEVERITY:  XXXXX: message" in libpq's verbose text of a failed
 * connection, the only place where it tells; NULL when no server spoke.
 */
static const char *
sqlstate_in(const char *text)
{
	for (const char *p = strstr(text, ":  "); p != NULL; p = strstr(p + 1, ":  "))
	{
		const char *code = p + strlen(":  ");

		if (strspn(code, SQLSTATE_CHARACTERS) == 5 &&
			code[5] == ':' && code[6] == ' ')
			return code;
	}

	return NULL;
}

/*
 * Pack an SQLSTATE that a tenant gave; an ill-formed one, or success, is no
 * error that we know.
 */
static int
sqlerrcode_of(const char *sqlstate)
{
	if (strspn(sqlstate, SQLSTATE_CHARACTERS) < 5 ||
		strncmp(sqlstate, "00", 2) == 0)
		return ERRCODE_PROTOCOL_VIOLATION;

	return MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2], sqlstate[3],
						 sqlstate[4]);
}

/*
 * Say what usually mends a server's error: where the server itself is in the
 * way, what tells how far we get; else where the statement can be tried.
 */
static const char *
hint_for(const WhRemote *remote, int sqlerrcode)
{
	const char *tenant = quote_literal_cstr(remote->name);
	const char *username = quote_identifier(remote->username);

	if (is_bridge(remote))
		return sqlerrcode == ERRCODE_INVALID_PASSWORD ?
			psprintf("SELECT _wh.rotate_password(%s, '...');", tenant) : probe_of(remote);

	switch (sqlerrcode)
	{
		case ERRCODE_INVALID_PASSWORD:
			return psprintf("SELECT _wh.set_tenant_password(%s, ...);", tenant);
		case ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION:
			return psprintf("Let role %s in by the tenant's pg_hba.conf, or SELECT _wh.alter_tenant(%s, username => ...);",
							username, tenant);
		case ERRCODE_UNDEFINED_DATABASE:
			return psprintf("SELECT _wh.alter_tenant(%s, dbname => ...);", tenant);
		case ERRCODE_TOO_MANY_CONNECTIONS:
			return psprintf("SELECT _wh.alter_tenant(%s, max_connections => 1);", tenant);
		case ERRCODE_QUERY_CANCELED:
			return psprintf("At the tenant: ALTER ROLE %s SET statement_timeout = ...; or give the query an index there.",
							username);
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			return psprintf("At the tenant: GRANT SELECT ON ... TO %s;", username);
		case ERRCODE_UNDEFINED_TABLE:
		case ERRCODE_UNDEFINED_COLUMN:
		case ERRCODE_UNDEFINED_FUNCTION:
			return "Mend the source, or the query: SELECT _wh.alter_template(..., query_template => ...);";
		default:
			break;
	}

	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_CONNECTION_EXCEPTION:
		case ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
			return probe_of(remote);
		default:
			return psprintf("Try the statement at the tenant: SELECT remote_sql FROM _wh.wh_plan(tenant => %s);",
							tenant);
	}
}

static bool
is_bridge(const WhRemote *remote)
{
	return strcmp(remote->kind, "bridge") == 0;
}

/*
 * Write the call that tells at which hop it fails.
 */
static const char *
probe_of(const WhRemote *remote)
{
	return psprintf("SELECT * FROM _wh.%s(%s);",
					is_bridge(remote) ? "verify_bridge" : "test_tenant",
					quote_literal_cstr(remote->name));
}

/*
 * Return libpq's own reason, without the address that it begins with: people
 * know their tenants by name.
 */
static char *
reason_in(const PGconn *pg)
{
	const char *text = PQerrorMessage(pg);
	const char *failed = strstr(text, " failed: ");

	return wh_clean_text(failed != NULL ? failed + strlen(" failed: ") : text);
}
