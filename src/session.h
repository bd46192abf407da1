/*
 * session.h
 *		The read-only transaction at the tenant that everything is read in.
 */
#ifndef WH_SESSION_H
#define WH_SESSION_H

#include "conn.h"

/*
 * Say what the sessions of this backend are about until it is said anew: their
 * application_name at the tenant is "pg_warehouse " and this; NULL: nothing.
 */
extern void wh_session_purpose(const char *purpose);

/*
 * Begin the transaction, pin its settings and take its snapshot, in one round
 * trip; throws when the settings do not hold.
 */
extern void wh_session_begin(WhConn *conn);

/*
 * The same beside other statements, between wh_conn_collect() and
 * wh_conn_asked(): queue the statements, take their answers; and afterwards
 * check the settings.
 */
extern void wh_session_queue(WhConn *conn);
extern void wh_session_take(WhConn *conn);
extern void wh_session_check(WhConn *conn);

/*
 * Let others read under the snapshot of the transaction begun, as long as it
 * lasts; returns the snapshot's name, palloc'd.
 */
extern char *wh_session_export(WhConn *conn);

/*
 * End the transaction and forget all that it left in the session, without
 * waiting for the answer; false when that could not be sent.
 * wh_session_ended() waits for it and says whether the session is as new.
 */
extern bool wh_session_end(WhConn *conn);
extern bool wh_session_ended(WhConn *conn);

#endif							/* WH_SESSION_H */
