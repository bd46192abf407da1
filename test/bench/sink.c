/*
 * sink.c
 *		Receive and discard: the floor that every way to load a table stands on.
 *
 * bench_sink(conninfo, query) asks for the query's rows by binary COPY, the
 * way pg_warehouse does, counts the bytes and throws them away.  What is left
 * is the source's work, the wire and libpq.  A module of the benchmark's own:
 * it shares no code with what it is compared with.
 */
#include "postgres.h"

#include "fmgr.h"
#include "libpq-fe.h"
#include "libpq/libpq-be-fe-helpers.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/wait_event.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(bench_sink);

static void begin_copy(PGconn *pg, const char *query);
static int64 discard(PGconn *pg);
static void raise_remote(PGconn *pg) pg_attribute_noreturn();

/*
 * bench_sink(conninfo text, query text) returns bigint
 */
Datum
bench_sink(PG_FUNCTION_ARGS)
{
	char	   *conninfo = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *query = text_to_cstring(PG_GETARG_TEXT_PP(1));
	PGconn	   *pg = libpqsrv_connect(conninfo, PG_WAIT_EXTENSION);
	int64		bytes = 0;

	PG_TRY();
	{
		if (PQstatus(pg) != CONNECTION_OK)
			raise_remote(pg);
		begin_copy(pg, query);
		bytes = discard(pg);
	}
	PG_FINALLY();
	{
		libpqsrv_disconnect(pg);
	}
	PG_END_TRY();

	PG_RETURN_INT64(bytes);
}

static void
begin_copy(PGconn *pg, const char *query)
{
	PGresult   *result;

	if (!PQsendQuery(pg, psprintf("COPY (%s) TO STDOUT (FORMAT binary)", query)))
		raise_remote(pg);
	result = libpqsrv_get_result(pg, PG_WAIT_EXTENSION);
	if (PQresultStatus(result) != PGRES_COPY_OUT)
	{
		PQclear(result);
		raise_remote(pg);
	}
	PQclear(result);
}

/*
 * Count what comes until the copy ends, interruptible as everything here.
 */
static int64
discard(PGconn *pg)
{
	int64		bytes = 0;
	char	   *data;
	int			len;

	while ((len = PQgetCopyData(pg, &data, true)) >= 0)
	{
		if (len > 0)
		{
			bytes += len;
			PQfreemem(data);
			continue;
		}
		if (WaitLatchOrSocket(MyLatch,
							  WL_LATCH_SET | WL_EXIT_ON_PM_DEATH |
							  WL_SOCKET_READABLE,
							  PQsocket(pg), 0, PG_WAIT_EXTENSION) & WL_LATCH_SET)
			ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (!PQconsumeInput(pg))
			raise_remote(pg);
	}
	if (len < -1)
		raise_remote(pg);

	return bytes;
}

static void
raise_remote(PGconn *pg)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("could not read from the source"),
			 errdetail("%s", PQerrorMessage(pg)),
			 errhint("Look into the log of the source's server.")));
}
