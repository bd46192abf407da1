/*
 * loadgate.c
 *		Whether a tenant's server has room for us right now.
 *
 * Asked in one round trip before the transaction that reads, and of what any
 * role may see: pg_stat_database counts everybody's sessions, a lag is told to
 * all, and the snapshot that we take ourselves is as old as the oldest
 * transaction that has written.  Sessions that only read hold rows back, too;
 * they are seen by a role with pg_read_all_stats.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "fault.h"
#include "limits.h"
#include "loadgate.h"

/* Columns of the answer. */
enum
{
	FREE_SLOTS,
	LAG,						/* microseconds; NULL: not known */
	XMIN_AGE,
	COLUMNS
};

static char *load_sql(WhConn *conn);
static void queue(WhConn *conn, const char *sql);
static void judge(const PGresult *answer, WhConn *conn, const WhTenant *tenant,
				  const WhLimits *limits);
static int64 number(const PGresult *answer, int column);
static void refuse(WhConn *conn, const WhTenant *tenant, const char *reason)
			pg_attribute_noreturn();

/*
 * Ask for the load; see loadgate.h.
 */
void
wh_load_gate(WhConn *conn, const WhTenant *tenant)
{
	WhLimits	limits;
	PGresult   *volatile answer = NULL;

	wh_limits(tenant->options, &limits);
	if (limits.min_free_slots == 0 && limits.max_lag == 0 && limits.max_xmin_age == 0)
		return;

	wh_conn_collect(conn);
	queue(conn, "BEGIN READ ONLY");
	queue(conn, load_sql(conn));
	queue(conn, "COMMIT");
	wh_conn_ask(conn);

	PQclear(wh_conn_answer(conn, PGRES_COMMAND_OK));
	answer = wh_conn_answer(conn, PGRES_TUPLES_OK);
	PG_TRY();
	{
		judge(answer, conn, tenant, &limits);
	}
	PG_FINALLY();
	{
		PQclear(answer);
	}
	PG_END_TRY();
	PQclear(wh_conn_answer(conn, PGRES_COMMAND_OK));
	wh_conn_asked(conn);
}

/*
 * Write the question.  A standby that has replayed all it has got lags only
 * when nobody sends it anything.
 */
static char *
load_sql(WhConn *conn)
{
	bool		wal = wh_conn_server_version(conn) >= 100000;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT pg_catalog.current_setting('max_connections')::int"
					 " - pg_catalog.current_setting('superuser_reserved_connections')::int"
					 " - (SELECT pg_catalog.sum(numbackends) FROM pg_catalog.pg_stat_database)::int,"
					 " CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN 0"
					 " WHEN pg_catalog.pg_last_%s() = pg_catalog.pg_last_%s()"
					 "  AND EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver) THEN 0"
					 " ELSE (extract(epoch FROM pg_catalog.clock_timestamp()"
					 "  - pg_catalog.pg_last_xact_replay_timestamp()) * 1000000)::bigint END,",
					 wal ? "wal_receive_lsn" : "xlog_receive_location",
					 wal ? "wal_replay_lsn" : "xlog_replay_location");
	appendStringInfoString(&sql,
						   " GREATEST((SELECT pg_catalog.max(pg_catalog.age(backend_xmin))"
						   "  FROM pg_catalog.pg_stat_activity),"
						   " (SELECT pg_catalog.max(pg_catalog.age(transaction))"
						   "  FROM pg_catalog.pg_prepared_xacts),"
						   " (SELECT pg_catalog.max(pg_catalog.age(xmin))"
						   "  FROM pg_catalog.pg_replication_slots))");

	return sql.data;
}

static void
queue(WhConn *conn, const char *sql)
{
	if (!PQsendQueryParams(wh_conn_pg(conn), sql, 0, NULL, NULL, NULL, NULL, 0))
		wh_remote_error(conn, NULL);
}

/*
 * Compare the answer with the limits.
 */
static void
judge(const PGresult *answer, WhConn *conn, const WhTenant *tenant,
	  const WhLimits *limits)
{
	int64		free_slots;
	int64		lag;
	int64		age;

	if (PQntuples(answer) != 1 || PQnfields(answer) != COLUMNS)
	{
		wh_remote_failed_mark();
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("tenant did not say how much load it has"),
				 errdetail("%s", wh_conn_subject(conn))));
	}

	free_slots = number(answer, FREE_SLOTS);
	if (limits->min_free_slots > 0 && free_slots < limits->min_free_slots)
		refuse(conn, tenant,
			   psprintf(INT64_FORMAT " connection slots are free, min_free_slots is " INT64_FORMAT,
						Max(free_slots, 0), limits->min_free_slots));
	lag = number(answer, LAG);
	if (limits->max_lag > 0 && lag > limits->max_lag)
		refuse(conn, tenant,
			   psprintf("the standby lags " INT64_FORMAT " s behind, max_lag is " INT64_FORMAT " s",
						lag / USECS_PER_SEC, limits->max_lag / USECS_PER_SEC));
	age = number(answer, XMIN_AGE);
	if (limits->max_xmin_age > 0 && age > limits->max_xmin_age)
		refuse(conn, tenant,
			   psprintf("the oldest snapshot is " INT64_FORMAT " transactions old, max_xmin_age is " INT64_FORMAT,
						age, limits->max_xmin_age));
}

/*
 * Read a number; what is not known bounds nothing, and slots are always known.
 */
static int64
number(const PGresult *answer, int column)
{
	return PQgetisnull(answer, 0, column) ? 0 :
		strtoll(PQgetvalue(answer, 0, column), NULL, 10);
}

static void
refuse(WhConn *conn, const WhTenant *tenant, const char *reason)
{
	wh_postponed_mark();
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("tenant \"%s\" has too much load now: %s", tenant->name, reason),
			 errdetail("%s", wh_conn_subject(conn)),
			 errhint("Try again later, or SELECT _wh.alter_tenant(%s, options => ...);",
					 quote_literal_cstr(tenant->name))));
}
