/*
 * session.c
 *		The read-only transaction at the tenant that everything is read in.
 *
 * REPEATABLE READ READ ONLY, and then a statement that takes the snapshot:
 * after it no statement of a template can make the transaction read-write.
 * Time zone, date style and the like are ours, so that a value means the same
 * from every tenant.  Sources as old as 9.6 understand all of it.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "remote.h"
#include "session.h"

/* Older ones lack settings that we rely on. */
#define OLDEST_SERVER 90600

#define UNIX_TO_POSTGRES_EPOCH_US \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

/*
 * DISCARD ALL by its parts, since that one goes with no other statement.  A
 * query can leave settings and advisory locks even of a read-only transaction.
 */
#define END_SQL \
	"COMMIT; CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL;" \
	" DEALLOCATE ALL; UNLISTEN *; SELECT pg_catalog.pg_advisory_unlock_all();" \
	" DISCARD PLANS; DISCARD TEMP"

static char application_name[NAMEDATALEN];

static void check_version(WhConn *conn);
static void queue(WhConn *conn, const char *sql);
static char *settings_sql(PGconn *pg);
static void pin(StringInfo sql, const char *name, const char *value);
static int	encoding_of(const PGconn *pg);

/*
 * Say what the sessions are about; see session.h.
 */
void
wh_session_purpose(const char *purpose)
{
	char	   *name = psprintf("pg_warehouse%s%s", purpose ? " " : "",
								purpose ? purpose : "");

	strlcpy(application_name, name,
			pg_mbcliplen(name, (int) strlen(name), NAMEDATALEN - 1) + 1);
	pfree(name);
}

/*
 * Begin; see session.h.
 */
void
wh_session_begin(WhConn *conn)
{
	wh_conn_collect(conn);
	wh_session_queue(conn);
	wh_conn_ask(conn);
	wh_session_take(conn);
	wh_conn_asked(conn);
	wh_session_check(conn);
}

/*
 * Queue the statements of the beginning.  One statement pins all settings and
 * takes the snapshot.
 */
void
wh_session_queue(WhConn *conn)
{
	const WhSession *session = wh_conn_session(conn);

	check_version(conn);

	queue(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
	if (session->snapshot != NULL)
		queue(conn, psprintf("SET TRANSACTION SNAPSHOT %s",
							 quote_literal_cstr(session->snapshot)));
	queue(conn, settings_sql(wh_conn_pg(conn)));
}

/*
 * Take the answers.  now() is when BEGIN arrived, so never later than the
 * snapshot: what was committed by then is in it.  Another transaction's
 * snapshot is older and has its own time.
 */
void
wh_session_take(WhConn *conn)
{
	WhSession  *session = wh_conn_session(conn);
	PGresult   *result;

	PQclear(wh_conn_answer(conn, PGRES_COMMAND_OK));
	if (session->snapshot != NULL)
		PQclear(wh_conn_answer(conn, PGRES_COMMAND_OK));

	result = wh_conn_answer(conn, PGRES_TUPLES_OK);
	if (PQntuples(result) == 1 && PQnfields(result) > 2)
	{
		session->in_recovery = PQgetvalue(result, 0, 1)[0] == 't';
		if (session->snapshot == NULL)
			session->as_of = (TimestampTz) strtoll(PQgetvalue(result, 0, 0), NULL, 10) -
				UNIX_TO_POSTGRES_EPOCH_US;
	}
	PQclear(result);
}

/*
 * Make sure that what we asked for holds: a pooler in between may answer for
 * the server and forget.
 */
void
wh_session_check(WhConn *conn)
{
	const PGconn *pg = wh_conn_pg(conn);
	const WhSession *session = wh_conn_session(conn);
	const char *zone = PQparameterStatus(pg, "TimeZone");
	const char *encoding = PQparameterStatus(pg, "client_encoding");
	const char *datetimes = PQparameterStatus(pg, "integer_datetimes");

	if (zone != NULL && strcmp(zone, "UTC") == 0 &&
		datetimes != NULL && strcmp(datetimes, "on") == 0 &&
		encoding != NULL && pg_char_to_encoding(encoding) == encoding_of(pg) &&
		PQtransactionStatus(pg) == PQTRANS_INTRANS &&
		session->as_of != DT_NOBEGIN && IS_VALID_TIMESTAMP(session->as_of))
		return;

	wh_remote_failed_mark();
	ereport(ERROR,
			(errcode(ERRCODE_PROTOCOL_VIOLATION),
			 errmsg("tenant does not keep the settings of a session"),
			 errdetail("%s", wh_conn_subject(conn)),
			 errhint("Connect to the server itself, or to a pooler that pools sessions.")));
}

/*
 * Export the snapshot; see session.h.  Whoever exports waits idle for as long
 * as the others read.
 */
char *
wh_session_export(WhConn *conn)
{
	PGresult   *result;
	char	   *name;

	result = wh_conn_exec(conn,
						  "SELECT pg_catalog.pg_export_snapshot(), pg_catalog.set_config("
						  "'idle_in_transaction_session_timeout', '0', true)",
						  PGRES_TUPLES_OK);
	name = PQntuples(result) == 1 ? wh_clean_text(PQgetvalue(result, 0, 0)) : "";
	PQclear(result);
	while ((result = wh_conn_result(conn)) != NULL)
		PQclear(result);

	return name;
}

/*
 * End; see session.h.  What libpq could not send at once it would have to be
 * waited for.
 */
bool
wh_session_end(WhConn *conn)
{
	PGconn	   *pg = wh_conn_pg(conn);

	return PQtransactionStatus(pg) == PQTRANS_INTRANS &&
		PQsendQuery(pg, END_SQL) && PQflush(pg) == 0;
}

bool
wh_session_ended(WhConn *conn)
{
	PGconn	   *pg = wh_conn_pg(conn);
	PGresult   *result;
	bool		clean = true;

	while (clean && (result = wh_conn_result(conn)) != NULL)
	{
		clean = PQresultStatus(result) == PGRES_COMMAND_OK ||
			PQresultStatus(result) == PGRES_TUPLES_OK;
		PQclear(result);
	}

	return clean && PQtransactionStatus(pg) == PQTRANS_IDLE &&
		wh_conn_is_quiet(conn);
}

static void
check_version(WhConn *conn)
{
	if (wh_conn_server_version(conn) >= OLDEST_SERVER)
		return;

	wh_remote_failed_mark();
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("tenant's server is older than PostgreSQL 9.6"),
			 errdetail("%s", wh_conn_subject(conn))));
}

static void
queue(WhConn *conn, const char *sql)
{
	if (!PQsendQueryParams(wh_conn_pg(conn), sql, 0, NULL, NULL, NULL, NULL, 0))
		wh_remote_error(conn, NULL);
}

/*
 * Write the statement that pins the settings and tells the time.  The tenant's
 * own limits on the role stay: a statement_timeout is only ever made shorter.
 */
static char *
settings_sql(PGconn *pg)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql,
						   "SELECT (extract(epoch FROM pg_catalog.now()) * 1000000)::bigint,"
						   " pg_catalog.pg_is_in_recovery()");
	pin(&sql, "timezone", "UTC");
	pin(&sql, "datestyle", "ISO, MDY");
	pin(&sql, "intervalstyle", "postgres");
	pin(&sql, "extra_float_digits", "3");
	pin(&sql, "bytea_output", "hex");
	pin(&sql, "standard_conforming_strings", "on");
	pin(&sql, "lock_timeout", "10s");
	pin(&sql, "idle_in_transaction_session_timeout", "10min");
	if (application_name[0] != '\0')
		pin(&sql, "application_name", application_name);
	if (PQserverVersion(pg) >= 140000)
		pin(&sql, "client_connection_check_interval", "5s");

	/* Such a server checks no bytes: have them as they are and check here. */
	if (encoding_of(pg) == PG_SQL_ASCII)
		pin(&sql, "client_encoding", "SQL_ASCII");

	if (wh_run_timeout > 0)
		appendStringInfo(&sql,
						 ", (SELECT pg_catalog.set_config(name, '%d', true)"
						 " FROM pg_catalog.pg_settings"
						 " WHERE name = 'statement_timeout'"
						 " AND setting::bigint NOT BETWEEN 1 AND %d)",
						 wh_run_timeout, wh_run_timeout);

	return sql.data;
}

/*
 * Pin a setting until the end of the transaction.
 */
static void
pin(StringInfo sql, const char *name, const char *value)
{
	appendStringInfo(sql, ", pg_catalog.set_config('%s', %s, true)", name,
					 quote_literal_cstr(value));
}

/*
 * Return the encoding that the tenant's text is to arrive in.
 */
static int
encoding_of(const PGconn *pg)
{
	const char *server = PQparameterStatus(pg, "server_encoding");

	if (server != NULL && pg_char_to_encoding(server) == PG_SQL_ASCII)
		return PG_SQL_ASCII;

	return GetDatabaseEncoding();
}
