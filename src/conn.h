/*
 * conn.h
 *		WhConn: one connection to one tenant, that cannot leak, cannot hang and
 *		cannot write.
 */
#ifndef WH_CONN_H
#define WH_CONN_H

#include "datatype/timestamp.h"
#include "fault.h"
#include "libpq-fe.h"
#include "tenant.h"

typedef struct WhConn WhConn;

/* The transaction that is begun, or about to be; see session.h. */
typedef struct WhSession
{
	char	   *snapshot;		/* one to read under; NULL: its own */
	TimestampTz as_of;			/* source clock, not later than the snapshot */
	bool		in_recovery;
} WhSession;

/*
 * Open a connection to the tenant inside CurrentMemoryContext: it closes
 * itself (the socket shut, nothing drained) when that context is reset or
 * deleted.  "subject" goes into the DETAIL of every error raised for it, such
 * as: Tenant "x", template "y", day 2001-01-01.  No transaction is begun yet:
 * session.h and describe.h do that, and nothing is asked outside of one.
 * Interruptible in every state; throws 08001 (nobody answered), the server's
 * own SQLSTATE, 57014 (deadline), 22023 (endpoint refused), 55000 (password).
 */
extern WhConn *wh_connect(const WhTenant *tenant, const char *subject);

/*
 * Close a connection that nothing is wrong with, so that its end is not news
 * in the tenant's log.
 */
extern void wh_disconnect(WhConn *conn);

extern PGconn *wh_conn_pg(WhConn *conn);
extern const char *wh_conn_subject(WhConn *conn);
extern int	wh_conn_server_version(WhConn *conn);
extern WhSession *wh_conn_session(WhConn *conn);

/*
 * Turn to another subject: deadlines begin anew, and errors name it.
 */
extern void wh_conn_turn_to(WhConn *conn, const char *subject);

/*
 * Send one statement by the extended protocol (so it can be one only) and
 * wait for its result, which the caller clears with PQclear() on every path.
 * Any other status than "expected" throws through wh_remote_error().
 */
extern PGresult *wh_conn_exec(WhConn *conn, const char *sql, ExecStatusType expected);

/*
 * Ask several statements in one round trip: what is sent with PQsend* after
 * wh_conn_collect() goes off with wh_conn_ask().  wh_conn_answer() then takes
 * their answers one by one, as wh_conn_exec() does, and wh_conn_asked() sees
 * that there are no more.
 */
extern void wh_conn_collect(WhConn *conn);
extern void wh_conn_ask(WhConn *conn);
extern PGresult *wh_conn_answer(WhConn *conn, ExecStatusType expected);
extern void wh_conn_asked(WhConn *conn);

/*
 * Wait for the next result of a statement sent with PQsend*; NULL at the end.
 * Interruptible, with the no-progress and run deadlines.
 */
extern PGresult *wh_conn_result(WhConn *conn);

/*
 * Has the tenant said nothing more since its last answer?  One that has ended
 * the session meanwhile has said so, or hung up.
 */
extern bool wh_conn_is_quiet(WhConn *conn);

/*
 * Get the next CopyData message: > 0 its length and *buffer (PQfreemem), -1
 * at the end of the copy.  Throws when the row in flight passes
 * "max_row_bytes".
 */
extern int	wh_conn_copy_data(WhConn *conn, char **buffer, int64 max_row_bytes);

/*
 * Raise the remote error of "result" (cleared here) or of the connection under
 * its own SQLSTATE, cleaned and capped, DETAIL naming the subject.  Notes that
 * the failure is the tenant's: see wh_remote_failed().
 */
extern void wh_remote_error(WhConn *conn, PGresult *result) pg_attribute_noreturn();

/*
 * Connect step by step and begin a transaction, for _wh.test_tenant(): report
 * each step's name as it is begun through "step".
 */
extern WhConn *wh_connect_steps(const WhTenant *tenant, const char *subject,
								void (*step) (void *arg, const char *name), void *arg);

#endif							/* WH_CONN_H */
