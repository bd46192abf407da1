/*
 * session.h
 *		The read-only transaction at the tenant that everything is read in.
 */
#ifndef WH_SESSION_H
#define WH_SESSION_H

#include "conn.h"

/* What the tenant said of itself. */
typedef struct WhSession
{
	TimestampTz as_of;			/* its clock, not later than the snapshot */
	bool		in_recovery;
} WhSession;

/*
 * Say what the sessions of this backend are about until it is said anew: their
 * application_name at the tenant is "pg_warehouse " and this; NULL: nothing.
 */
extern void wh_session_purpose(const char *purpose);

/*
 * Begin the transaction, pin its settings and take its snapshot, in one round
 * trip; throws when the settings do not hold.
 */
extern void wh_session_begin(WhConn *conn, WhSession *session);

#endif							/* WH_SESSION_H */
