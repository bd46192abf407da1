/*
 * conn.c
 *		WhConn: one connection to one tenant, that cannot leak, cannot hang
 *		and cannot write.
 *
 * A connection belongs to a memory context and closes with it.  That never
 * talks to the peer: the socket is shut down first, so whatever libpq wants to
 * say goes nowhere, and the tenant's server ends the statement by itself.
 * For the same reason a connection is never reused after an error.
 *
 * Every wait is ours: it ends at a deadline, on cancel and on termination.
 * libpq is only called when it cannot block, with the name resolved
 * (resolve.c).
 *
 * What a tenant may make us buffer is capped.  Whom libpq is to call is
 * endpoint's, what the tenant is asked first session's, what its errors become
 * remote's.
 */
#include "postgres.h"

#ifdef __linux__
#include <linux/tcp.h>
#endif
#include <netinet/in.h>
#include <sys/socket.h>

#include "compat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "conn.h"
#include "endpoint.h"
#include "guc.h"
#include "remote.h"
#include "resolve.h"
#include "session.h"
#include "settings.h"

/* What a tenant may send in answer to anything but COPY. */
#define MAX_ANSWER_BYTES ((int64) 64 * 1024 * 1024)

/* Where the socket is in the events that are kept. */
#define SOCKET_EVENT 0

struct WhConn
{
	PGconn	   *pg;				/* NULL once closed */
	bool		holds_fd;		/* AcquireExternalFD() is due its release */
	bool		broken;			/* the socket is of no use any more */
	bool		dismissed;		/* the tenant said that it ends the session */
	WhRemote	remote;
	TimestampTz progress_at;	/* when the tenant last sent a byte */
	TimestampTz run_deadline;	/* DT_NOEND: none */
	WaitEventSet *events;		/* kept for a socket that will not change, or
								 * NULL */
	int			waits;			/* in a row, for one message */
	int64		bytes_mark;		/* received after the first of them */
	WhSession	session;
	MemoryContextCallback on_reset;
};

/* Who wants to hear of the steps of a connection. */
typedef struct Listener
{
	void		(*step) (void *arg, const char *name);
	void	   *arg;
	const char *last;
} Listener;

static WhConn *open_conn(const WhTenant *tenant, const char *subject,
						 Listener *listener);
static TimestampTz run_deadline_from(TimestampTz start);
static void close_conn(void *arg);
static void drop_socket(WhConn *conn);
static void take_notice(void *arg, const PGresult *result);
static bool try_address(WhConn *conn, const WhTenant *tenant,
						const char *address, TimestampTz deadline,
						Listener *listener);
static void announce(Listener *listener, const char *step);
static void announce_status(Listener *listener, const PGconn *pg);
static void check_credentials(const WhConn *conn, const WhTenant *tenant);
static uint32 tenant_wait_event(void);
static void keep_events(WhConn *conn);
static bool wait_for_socket(const WhConn *conn, int events,
							TimestampTz deadline);
static int	wait_once(const WhConn *conn, int events, long timeout);
static void await_bytes(WhConn *conn, int64 max_bytes);
static void raise_deadline(const WhConn *conn) pg_attribute_noreturn();
static int64 bytes_received(const WhConn *conn);

/*
 * Open a connection; see conn.h.
 */
WhConn *
wh_connect(const WhTenant *tenant, const char *subject)
{
	Listener	nobody = {NULL, NULL, NULL};

	return open_conn(tenant, subject, &nobody);
}

/*
 * Open a connection and begin, and say at what it is working.
 */
WhConn *
wh_connect_steps(const WhTenant *tenant, const char *subject,
				 void (*step) (void *arg, const char *name), void *arg)
{
	Listener	listener = {step, arg, NULL};
	WhConn	   *conn = open_conn(tenant, subject, &listener);

	announce(&listener, "read_only");
	wh_session_begin(conn);

	return conn;
}

/*
 * Close a connection that nothing is wrong with; see conn.h.  In non-blocking
 * mode the last word waits for nobody.  It is left out where the server knows
 * that we are done, so that it costs no round trip more; TLS insists on it.
 */
void
wh_disconnect(WhConn *conn)
{
	bool		said = !PQsslInUse(conn->pg) && PQconsumeInput(conn->pg) && !PQisBusy(conn->pg) &&
	PQtransactionStatus(conn->pg) != PQTRANS_INTRANS;

	if (!said)
	{
		PQfinish(conn->pg);
		conn->pg = NULL;
	}
	close_conn(conn);
}

PGconn *
wh_conn_pg(WhConn *conn)
{
	return conn->pg;
}

const char *
wh_conn_subject(WhConn *conn)
{
	return conn->remote.subject;
}

int
wh_conn_server_version(WhConn *conn)
{
	return PQserverVersion(conn->pg);
}

WhSession *
wh_conn_session(WhConn *conn)
{
	return &conn->session;
}

/*
 * Turn to another subject; see conn.h.
 */
void
wh_conn_turn_to(WhConn *conn, const char *subject)
{
	char	   *copy = MemoryContextStrdup(GetMemoryChunkContext(conn), subject);

	pfree(conn->remote.subject);
	conn->remote.subject = copy;
	conn->run_deadline = run_deadline_from(GetCurrentTimestamp());
	conn->session.as_of = DT_NOBEGIN;
}

/*
 * Run one statement; see conn.h.
 */
PGresult *
wh_conn_exec(WhConn *conn, const char *sql, ExecStatusType expected)
{
	PGresult   *result;

	Assert(PQtransactionStatus(conn->pg) == PQTRANS_INTRANS);

	if (!PQsendQueryParams(conn->pg, sql, 0, NULL, NULL, NULL, NULL, 0))
		wh_remote_error(conn, NULL);

	result = wh_conn_result(conn);
	if (result == NULL || PQresultStatus(result) != expected)
		wh_remote_error(conn, result);

	return result;
}

void
wh_conn_collect(WhConn *conn)
{
	if (!PQenterPipelineMode(conn->pg))
		wh_remote_error(conn, NULL);
}

void
wh_conn_ask(WhConn *conn)
{
	if (!PQpipelineSync(conn->pg))
		wh_remote_error(conn, NULL);
}

/*
 * Take the answer of the next statement asked.  The end of it has come along
 * with it, or nothing more will.
 */
PGresult *
wh_conn_answer(WhConn *conn, ExecStatusType expected)
{
	PGresult   *result = wh_conn_result(conn);
	PGresult   *more;

	if (result == NULL || PQresultStatus(result) != expected)
		wh_remote_error(conn, result);

	more = wh_conn_result(conn);
	if (more != NULL)
	{
		PQclear(result);
		wh_remote_error(conn, more);
	}

	return result;
}

void
wh_conn_asked(WhConn *conn)
{
	PGresult   *result = wh_conn_result(conn);

	if (PQresultStatus(result) != PGRES_PIPELINE_SYNC)
		wh_remote_error(conn, result);
	PQclear(result);
	if (!PQexitPipelineMode(conn->pg))
		wh_remote_error(conn, NULL);
}

/*
 * Wait for the next result; see conn.h.  libpq's own PQgetResult() blocks, so
 * it is called when it has all it needs, or when the socket is shut down and
 * it can only fail.
 */
PGresult *
wh_conn_result(WhConn *conn)
{
	conn->progress_at = GetCurrentTimestamp();
	conn->waits = 0;

	while (!conn->broken && (PQflush(conn->pg) > 0 || PQisBusy(conn->pg)))
		await_bytes(conn, MAX_ANSWER_BYTES);

	return PQgetResult(conn->pg);
}

/*
 * Look whether the tenant has spoken, or hung up; see conn.h.
 */
bool
wh_conn_is_quiet(WhConn *conn)
{
	return PQconsumeInput(conn->pg) && !PQisBusy(conn->pg) &&
		PQstatus(conn->pg) == CONNECTION_OK && !conn->dismissed &&
		(WaitLatchOrSocket(NULL,
						   WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						   PQsocket(conn->pg), 0, tenant_wait_event())
		 & WL_SOCKET_READABLE) == 0;
}

/*
 * Get the next message of a COPY; see conn.h.
 */
int
wh_conn_copy_data(WhConn *conn, char **buffer, int64 max_row_bytes)
{
	int			len;

	conn->waits = 0;
	while ((len = PQgetCopyData(conn->pg, buffer, true)) == 0)
	{
		if (conn->broken)
			wh_remote_error(conn, NULL);

		/* Nothing but the message in flight can be in libpq's buffer now. */
		if (conn->waits == 0)
			conn->progress_at = GetCurrentTimestamp();
		await_bytes(conn, max_row_bytes);
	}
	if (len < -1)
		wh_remote_error(conn, NULL);

	return len;
}

/*
 * Raise a tenant's error; see conn.h.
 */
void
wh_remote_error(WhConn *conn, PGresult *result)
{
	const char *field = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	char		sqlstate[6] = "";
	char	   *message = NULL;

	if (field != NULL)
	{
		strlcpy(sqlstate, field, sizeof(sqlstate));
		message = wh_clean_text(PQresultErrorField(result,
												   PG_DIAG_MESSAGE_PRIMARY));
	}
	PQclear(result);

	wh_remote_standby_mark(conn->session.in_recovery);
	if (message != NULL)
		wh_remote_raise(&conn->remote, sqlstate, message);
	if (conn->broken || PQstatus(conn->pg) != CONNECTION_OK)
		wh_remote_raise_lost(&conn->remote, conn->pg);

	wh_remote_failed_mark();
	ereport(ERROR,
			(errcode(ERRCODE_PROTOCOL_VIOLATION),
			 errmsg("%s \"%s\" sent an answer that was not asked for",
					conn->remote.kind, conn->remote.name),
			 errdetail("%s", conn->remote.subject)));
}

/*
 * Open a connection, with a word to the listener at each step.
 */
static WhConn *
open_conn(const WhTenant *tenant, const char *subject, Listener *listener)
{
	TimestampTz start = GetCurrentTimestamp();
	TimestampTz deadline;
	const char *problem = NULL;
	List	   *addresses;
	ListCell   *cell;
	WhConn	   *conn;

	wh_check_outbound();
	wh_endpoint_check(tenant);
	deadline = TimestampTzPlusMilliseconds(start, wh_connect_timeout);

	/* All that can fail for lack of memory comes before the socket. */
	conn = (WhConn *) palloc0(sizeof(WhConn));
	conn->remote.kind = tenant->server == NULL ? "tenant" : "bridge";
	conn->remote.name = pstrdup(tenant->name);
	conn->remote.username = pstrdup(tenant->username);
	conn->remote.subject = pstrdup(subject);
	conn->run_deadline = run_deadline_from(start);
	conn->session.as_of = DT_NOBEGIN;
	conn->on_reset.func = close_conn;
	conn->on_reset.arg = conn;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &conn->on_reset);

	if (!AcquireExternalFD())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not connect to %s \"%s\": too many open files",
						conn->remote.kind, conn->remote.name),
				 errdetail("%s", conn->remote.subject),
				 errhint("Raise the server's max_files_per_process and its limit on open files.")));
	conn->holds_fd = true;

	announce(listener, "resolve");
	if (tenant->host[0] == '/')
		addresses = list_make1(NULL);
	else
		addresses = wh_resolve(tenant->host, deadline, &problem);
	if (addresses == NIL)
		wh_remote_raise_unreachable(&conn->remote,
									psprintf("Could not resolve host name \"%s\": %s",
											 tenant->host, problem));

	/* Each address gets its share of the time that is left. */
	foreach(cell, addresses)
	{
		TimestampTz now = GetCurrentTimestamp();
		int			left = list_length(addresses) - foreach_current_index(cell);
		TimestampTz share = now + (deadline - now) / left;

		if (try_address(conn, tenant, (char *) lfirst(cell), share, listener))
			break;

		/* A server that spoke has the last word; silence may be one route's. */
		if (left == 1 || wh_remote_refused(conn->pg))
			wh_remote_raise_connect(&conn->remote, conn->pg,
									GetCurrentTimestamp() >= share);
		drop_socket(conn);
	}

	check_credentials(conn, tenant);
	keep_events(conn);

	return conn;
}

static TimestampTz
run_deadline_from(TimestampTz start)
{
	return wh_run_timeout == 0 ? DT_NOEND :
		TimestampTzPlusMilliseconds(start, wh_run_timeout);
}

/*
 * Close the connection; called at the end of its memory context, too.
 */
static void
close_conn(void *arg)
{
	WhConn	   *conn = (WhConn *) arg;

	drop_socket(conn);
	if (conn->holds_fd)
	{
		ReleaseExternalFD();
		conn->holds_fd = false;
	}
}

/*
 * Let libpq's half go without a word to the peer.  After shutdown() nothing
 * that PQfinish() does can block.
 */
static void
drop_socket(WhConn *conn)
{
	if (conn->events != NULL)
		FreeWaitEventSet(conn->events);
	conn->events = NULL;
	if (conn->pg == NULL)
		return;
	if (PQsocket(conn->pg) >= 0)
		(void) shutdown(PQsocket(conn->pg), SHUT_RDWR);
	PQfinish(conn->pg);
	conn->pg = NULL;
}

/*
 * Connect to one address of the host; true when the server lets us in.  Else
 * conn->pg says why not.
 */
static bool
try_address(WhConn *conn, const WhTenant *tenant, const char *address,
			TimestampTz deadline, Listener *listener)
{
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;

	/* A password that cannot be opened is a matter of authentication. */
	announce(listener, "authenticate");
	conn->pg = wh_endpoint_connect(tenant, address);
	if (PQstatus(conn->pg) == CONNECTION_BAD)
		return false;

	(void) PQsetNoticeReceiver(conn->pg, take_notice, conn);

	/* Makes libpq put the SQLSTATE of a refusal into its text. */
	(void) PQsetErrorVerbosity(conn->pg, PQERRORS_VERBOSE);

	while (state != PGRES_POLLING_OK)
	{
		announce_status(listener, conn->pg);
		if (!wait_for_socket(conn,
							 state == PGRES_POLLING_READING ?
							 WL_SOCKET_READABLE : WL_SOCKET_WRITEABLE,
							 deadline))
			return false;
		state = PQconnectPoll(conn->pg);
		if (state == PGRES_POLLING_FAILED)
			return false;
	}

	return PQsetnonblocking(conn->pg, 1) == 0;
}

/*
 * A tenant's notices would only fill our log.  An error that no statement
 * waits for comes as one, too.
 */
static void
take_notice(void *arg, const PGresult *result)
{
	WhConn	   *conn = (WhConn *) arg;
	const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

	if (severity != NULL && strcmp(severity, "FATAL") == 0)
		conn->dismissed = true;
}

/*
 * Tell the listener of a step, once.
 */
static void
announce(Listener *listener, const char *step)
{
	if (listener->step == NULL ||
		(listener->last != NULL && strcmp(listener->last, step) == 0))
		return;
	listener->last = step;
	listener->step(listener->arg, step);
}

static void
announce_status(Listener *listener, const PGconn *pg)
{
	switch (PQstatus(pg))
	{
		case CONNECTION_STARTED:
		case CONNECTION_MADE:
			announce(listener, "connect");
			break;
		case CONNECTION_SSL_STARTUP:
			announce(listener, "tls");
			break;
		default:
			announce(listener, "authenticate");
			break;
	}
}

/*
 * Demand that a row that has a password was let in by it.  A server that does
 * not ask may have let in this account of the operating system instead, which
 * is nobody's to lend.
 */
static void
check_credentials(const WhConn *conn, const WhTenant *tenant)
{
	if (strcmp(tenant->auth_method, "password") != 0 ||
		PQconnectionUsedPassword(conn->pg))
		return;

	wh_remote_failed_mark();
	ereport(ERROR,
			(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
			 errmsg("password is required"),
			 errdetail("%s\nThe server let us in without asking for the password.",
					   conn->remote.subject),
			 errhint("Have the tenant's pg_hba.conf ask for scram-sha-256, or let a superuser"
					 " SELECT _wh.alter_tenant(%s, auth_method => 'trusted');",
					 quote_literal_cstr(conn->remote.name))));
}

static uint32
tenant_wait_event(void)
{
	static uint32 wait_event = 0;

	if (wait_event == 0)
		wait_event = wh_wait_event("PgWarehouseTenant");

	return wait_event;
}

/*
 * Keep what is waited for, once the socket is there to stay: making it anew
 * for each wait would cost several times the wait and the read.
 */
static void
keep_events(WhConn *conn)
{
	MemoryContext context = MemoryContextSwitchTo(GetMemoryChunkContext(conn));

	conn->events = wh_create_wait_event_set(3);
	(void) AddWaitEventToSet(conn->events, WL_SOCKET_READABLE,
							 PQsocket(conn->pg), NULL, NULL);
	(void) AddWaitEventToSet(conn->events, WL_LATCH_SET, PGINVALID_SOCKET,
							 MyLatch, NULL);
	(void) AddWaitEventToSet(conn->events, WL_EXIT_ON_PM_DEATH,
							 PGINVALID_SOCKET, NULL, NULL);
	MemoryContextSwitchTo(context);
}

/*
 * Wait until the socket is ready; false at the deadline.  Throws on cancel
 * and termination.
 */
static bool
wait_for_socket(const WhConn *conn, int events, TimestampTz deadline)
{
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		long		left = TimestampDifferenceMilliseconds(now, deadline);
		int			ready;

		if (left <= 0)
			return false;
		ready = wait_once(conn, events, left);
		if (ready & WL_LATCH_SET)
			ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ready & events)
			return true;
	}
}

static int
wait_once(const WhConn *conn, int events, long timeout)
{
	WaitEvent	occurred;

	if (conn->events == NULL)
		return WaitLatchOrSocket(MyLatch,
								 WL_LATCH_SET | WL_EXIT_ON_PM_DEATH |
								 WL_TIMEOUT | events,
								 PQsocket(conn->pg), timeout,
								 tenant_wait_event());

	ModifyWaitEvent(conn->events, SOCKET_EVENT, events, NULL);

	return WaitEventSetWait(conn->events, timeout, &occurred, 1,
							tenant_wait_event()) == 0 ? 0 : occurred.events;
}

/*
 * Wait for the tenant and let libpq take what has come.  Throws at a deadline,
 * and when more than max_bytes have come for one message.  libpq takes in for
 * as long as there is something, so what a peer manages to send meanwhile
 * comes on top.
 */
static void
await_bytes(WhConn *conn, int64 max_bytes)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(conn->progress_at,
													   wh_no_progress_timeout);
	int			events = WL_SOCKET_READABLE;

	if (PQsocket(conn->pg) < 0)
	{
		conn->broken = true;
		return;
	}
	if (PQflush(conn->pg) > 0)
		events |= WL_SOCKET_WRITEABLE;
	if (!wait_for_socket(conn, events, Min(deadline, conn->run_deadline)))
		raise_deadline(conn);

	conn->progress_at = GetCurrentTimestamp();
	if (!PQconsumeInput(conn->pg))
	{
		/* What it got before can still be read, and nothing blocks then. */
		conn->broken = true;
		(void) shutdown(PQsocket(conn->pg), SHUT_RDWR);
		return;
	}

	/* What fits into one read, as most does, need not be counted. */
	if (conn->waits++ == 0)
		return;
	if (conn->waits == 2)
		conn->bytes_mark = bytes_received(conn);
	if (bytes_received(conn) - conn->bytes_mark > max_bytes)
	{
		wh_remote_failed_mark();
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%s \"%s\" sent more than %lld bytes for one row",
						conn->remote.kind, conn->remote.name, (long long) max_bytes),
				 errdetail("%s", conn->remote.subject),
				 errhint("Raise the template's option max_field_bytes with _wh.alter_template().")));
	}
}

static void
raise_deadline(const WhConn *conn)
{
	bool		run = GetCurrentTimestamp() >= conn->run_deadline;

	wh_remote_failed_mark();
	if (run)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("reading from %s \"%s\" took longer than %d ms",
						conn->remote.kind, conn->remote.name, wh_run_timeout),
				 errdetail("%s", conn->remote.subject),
				 errhint("Raise pg_warehouse.run_timeout, or make the query read less.")));
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg("%s \"%s\" sent nothing for %d ms",
					conn->remote.kind, conn->remote.name, wh_no_progress_timeout),
			 errdetail("%s", conn->remote.subject),
			 errhint("Raise pg_warehouse.no_progress_timeout, or give the query an index at the tenant.")));
}

/*
 * Ask the kernel how many bytes have arrived, since libpq does not say how
 * much it has buffered of a message.  0 where nobody counts them: on a Unix
 * socket, which only a superuser can name.
 */
static int64
bytes_received(const WhConn *conn)
{
#ifdef __linux__
	struct tcp_info info = {0};
	socklen_t	len = sizeof(info);

	/* An older kernel fills less of it. */
	if (getsockopt(PQsocket(conn->pg), IPPROTO_TCP, TCP_INFO, &info, &len) == 0)
		return (int64) info.tcpi_bytes_received;
#endif

	return 0;
}
