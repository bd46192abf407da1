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
#include "session.h"

/* Older ones lack settings that we rely on. */
#define OLDEST_SERVER 90600

#define UNIX_TO_POSTGRES_EPOCH_US \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

static char application_name[NAMEDATALEN];

static void check_version(WhConn *conn);
static char *begin_sql(PGconn *pg);
static void take_answer(WhSession *session, const PGresult *result);
static void check_settings(WhConn *conn, const WhSession *session);
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
wh_session_begin(WhConn *conn, WhSession *session)
{
	PGconn	   *pg = wh_conn_pg(conn);
	PGresult   *result;

	check_version(conn);

	session->as_of = DT_NOBEGIN;
	if (!PQsendQuery(pg, begin_sql(pg)))
		wh_remote_error(conn, NULL);
	while ((result = wh_conn_result(conn)) != NULL)
	{
		switch (PQresultStatus(result))
		{
			case PGRES_COMMAND_OK:
				break;
			case PGRES_TUPLES_OK:
				take_answer(session, result);
				break;
			default:
				wh_remote_error(conn, result);
		}
		PQclear(result);
	}

	check_settings(conn, session);
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

/*
 * Write the statements.  The tenant's own limits on the role stay: a
 * statement_timeout is only ever made shorter.
 */
static char *
begin_sql(PGconn *pg)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql,
						   "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
						   " SET LOCAL timezone = 'UTC';"
						   " SET LOCAL datestyle = 'ISO, MDY';"
						   " SET LOCAL intervalstyle = 'postgres';"
						   " SET LOCAL extra_float_digits = 3;"
						   " SET LOCAL bytea_output = 'hex';"
						   " SET LOCAL standard_conforming_strings = on;"
						   " SET LOCAL lock_timeout = '10s';"
						   " SET LOCAL idle_in_transaction_session_timeout = '10min';");
	if (application_name[0] != '\0')
		appendStringInfo(&sql, " SET LOCAL application_name = %s;",
						 quote_literal_cstr(application_name));
	if (PQserverVersion(pg) >= 140000)
		appendStringInfoString(&sql,
							   " SET LOCAL client_connection_check_interval = '5s';");

	/* Such a server checks no bytes: have them as they are and check here. */
	if (encoding_of(pg) == PG_SQL_ASCII)
		appendStringInfoString(&sql, " SET LOCAL client_encoding = 'SQL_ASCII';");

	if (wh_run_timeout > 0)
		appendStringInfo(&sql,
						 " SELECT pg_catalog.set_config(name, '%d', true)"
						 " FROM pg_catalog.pg_settings"
						 " WHERE name = 'statement_timeout'"
						 " AND setting::bigint NOT BETWEEN 1 AND %d;",
						 wh_run_timeout, wh_run_timeout);

	/*
	 * now() is when this text arrived, so never later than the snapshot: what
	 * was committed by then is in it.
	 */
	appendStringInfoString(&sql,
						   " SELECT (extract(epoch FROM pg_catalog.now()) * 1000000)::bigint,"
						   " pg_catalog.pg_is_in_recovery()");

	return sql.data;
}

/*
 * Read the last statement's answer; other rows pass by.
 */
static void
take_answer(WhSession *session, const PGresult *result)
{
	if (PQntuples(result) != 1 || PQnfields(result) != 2)
		return;

	session->as_of = (TimestampTz) strtoll(PQgetvalue(result, 0, 0), NULL, 10) -
		UNIX_TO_POSTGRES_EPOCH_US;
	session->in_recovery = PQgetvalue(result, 0, 1)[0] == 't';
}

/*
 * Make sure that what we asked for holds: a pooler in between may answer for
 * the server and forget.
 */
static void
check_settings(WhConn *conn, const WhSession *session)
{
	const PGconn *pg = wh_conn_pg(conn);
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
