/*
 * bound.c
 *		Up to which moment everything that a source will ever commit can be
 *		read now.
 *
 * A row's time is mostly that of its transaction's begin, and the row appears
 * at its end.  So what is older than the source's clock may still appear,
 * unless it is older than every transaction that is open there: that is the
 * bound.  It must be asked before the snapshot that rows are read in is taken;
 * a transaction that ends in between is in the snapshot, and else in the list.
 *
 * What becomes of the answers is the caller's to decide.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "bound.h"
#include "remote.h"
#include "session.h"

/*
 * A session takes its transaction's time a moment before it shows it.  So the
 * clock is read first, by BEGIN, and the sessions this much later: one that
 * had its time by then shows it now.
 */
#define SETTLE_SQL "SELECT pg_catalog.pg_sleep(0.002)"

static char *bound_sql(WhConn *conn);
static void queue(WhConn *conn, const char *sql);
static WhBound *read_bound(const PGresult *result);
static TimestampTz instant(const PGresult *result, int col, TimestampTz if_null);

/*
 * Ask the source; see bound.h.
 */
WhBound *
wh_bound(WhConn *conn)
{
	char	   *sql = bound_sql(conn);
	PGresult   *volatile result = NULL;
	WhBound    *volatile bound = NULL;

	wh_conn_collect(conn);
	queue(conn, "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY");
	queue(conn, SETTLE_SQL);
	queue(conn, sql);
	queue(conn, "COMMIT");
	wh_conn_ask(conn);

	PQclear(wh_conn_answer(conn, PGRES_COMMAND_OK));
	PQclear(wh_conn_answer(conn, PGRES_TUPLES_OK));
	result = wh_conn_answer(conn, PGRES_TUPLES_OK);
	PG_TRY();
	{
		if (PQntuples(result) != 1 || PQnfields(result) != 9)
		{
			wh_remote_failed_mark();
			ereport(ERROR,
					(errcode(ERRCODE_PROTOCOL_VIOLATION),
					 errmsg("tenant did not say which transactions are open"),
					 errdetail("%s", wh_conn_subject(conn))));
		}
		bound = read_bound(result);
	}
	PG_FINALLY();
	{
		PQclear(result);
	}
	PG_END_TRY();
	PQclear(wh_conn_answer(conn, PGRES_COMMAND_OK));
	wh_conn_asked(conn);

	return bound;
}

/*
 * Write the question.  Only sessions of the same database can write its rows;
 * autovacuum writes none, and our own sessions, who all read in transactions
 * that cannot write, are known by role and name.  A session that is about to
 * begin one has but its query's time.  On a standby nobody writes.
 */
static char *
bound_sql(WhConn *conn)
{
	int			version = wh_conn_server_version(conn);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql,
						   "WITH a AS (SELECT pid, usename, state, query,"
						   " COALESCE(xact_start, CASE WHEN state <> 'idle' THEN query_start END) AS since"
						   " FROM pg_catalog.pg_stat_activity"
						   " WHERE datname = pg_catalog.current_database()"
						   " AND pid <> pg_catalog.pg_backend_pid()"
						   " AND NOT pg_catalog.pg_is_in_recovery()"
						   " AND NOT (usename = current_user AND application_name LIKE 'pg\\_warehouse %')");
	appendStringInfoString(&sql, version >= 100000
						   ? " AND backend_type IS DISTINCT FROM 'autovacuum worker'"
						   : " AND query NOT LIKE 'autovacuum: %'");
	appendStringInfo(&sql,
					 "), o AS (SELECT * FROM a WHERE since IS NOT NULL ORDER BY since LIMIT 1),"
					 " p AS (SELECT gid, prepared FROM pg_catalog.pg_prepared_xacts"
					 " WHERE database = pg_catalog.current_database() ORDER BY prepared LIMIT 1)"
					 " SELECT (extract(epoch FROM pg_catalog.now()) * 1000000)::bigint,"
					 " pg_catalog.pg_is_in_recovery(),"
					 " (extract(epoch FROM pg_catalog.pg_last_xact_replay_timestamp()) * 1000000)::bigint,"
					 " (extract(epoch FROM o.since) * 1000000)::bigint, o.pid, o.usename,"
					 " (extract(epoch FROM p.prepared) * 1000000)::bigint, p.gid,"
					 " NOT EXISTS (SELECT FROM a WHERE query = '<insufficient privilege>' OR state = 'disabled')"
					 " FROM (SELECT) AS one LEFT JOIN o ON true LEFT JOIN p ON true");

	return sql.data;
}

static void
queue(WhConn *conn, const char *sql)
{
	if (!PQsendQueryParams(wh_conn_pg(conn), sql, 0, NULL, NULL, NULL, NULL, 0))
		wh_remote_error(conn, NULL);
}

static WhBound *
read_bound(const PGresult *result)
{
	WhBound    *bound = (WhBound *) palloc0(sizeof(WhBound));

	bound->clock = instant(result, 0, DT_NOBEGIN);
	bound->standby = PQgetvalue(result, 0, 1)[0] == 't';
	bound->replayed = bound->standby ? instant(result, 2, DT_NOBEGIN) : DT_NOBEGIN;
	bound->oldest_start = instant(result, 3, DT_NOEND);
	if (!PQgetisnull(result, 0, 3))
		bound->oldest_session = psprintf("session %s (role \"%s\")",
										 wh_clean_text(PQgetvalue(result, 0, 4)),
										 wh_clean_text(PQgetvalue(result, 0, 5)));
	bound->oldest_prepared = instant(result, 6, DT_NOEND);
	if (!PQgetisnull(result, 0, 6))
		bound->prepared_gid = wh_clean_text(PQgetvalue(result, 0, 7));
	bound->all_visible = !bound->standby && PQgetvalue(result, 0, 8)[0] == 't';

	return bound;
}

/*
 * Read microseconds since 1970 as an instant.
 */
static TimestampTz
instant(const PGresult *result, int col, TimestampTz if_null)
{
	if (PQgetisnull(result, 0, col))
		return if_null;

	return (TimestampTz) strtoll(PQgetvalue(result, 0, col), NULL, 10) -
		(int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
}
