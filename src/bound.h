/*
 * bound.h
 *		Up to which moment everything that a source will ever commit can be
 *		read now.
 */
#ifndef WH_BOUND_H
#define WH_BOUND_H

#include "conn.h"

/* What the source says of itself, before the reading snapshot is taken. */
typedef struct WhBound
{
	TimestampTz clock;			/* its own */
	bool		standby;
	TimestampTz replayed;		/* DT_NOBEGIN: no standby, or nothing yet */
	TimestampTz oldest_start;	/* of an open transaction; DT_NOEND: none */
	char	   *oldest_session; /* whose: session 42 (role "app") */
	TimestampTz oldest_prepared;	/* when it was; DT_NOEND: none */
	char	   *prepared_gid;
	bool		all_visible;	/* no session hides its transaction from us */
} WhBound;

/*
 * Ask, in a transaction of its own that is over when this returns; the one
 * that reads must begin afterwards.  palloc'd.
 */
extern WhBound *wh_bound(WhConn *conn);

#endif							/* WH_BOUND_H */
