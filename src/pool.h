/*
 * pool.h
 *		Connections kept for the next unit of the same tenant, within one call.
 */
#ifndef WH_POOL_H
#define WH_POOL_H

#include "conn.h"
#include "utils/date.h"

typedef struct WhPool WhPool;

/* A connection lent to one fetch. */
typedef struct WhLease
{
	WhConn	   *conn;
	char	   *endpoint;		/* whose, and let in by what */
	TimestampTz idle_since;		/* while it is in a pool */
	MemoryContext context;		/* all of it, and the socket's end */
} WhLease;

/*
 * Keep connections from now on, in CurrentMemoryContext, until the pool is
 * closed or that context goes, as it does after an error.  Without a pool
 * each fetch connects for itself.
 */
extern WhPool *wh_pool_open(void);
extern void wh_pool_close(WhPool *pool);

/*
 * Have whatever is read from "tenant" for "day" read under one snapshot,
 * until this is called for another tenant or day.  The snapshot is exported
 * by a connection of its own, so 55000 comes from wh_pool_take() when the
 * tenant allows but one.
 */
extern void wh_pool_share_snapshot(WhPool *pool, const WhTenant *tenant, DateADT day);

/*
 * Take a clean connection to the tenant, or make one, and ask its load gate; no
 * transaction is begun yet.  It belongs to CurrentMemoryContext, and closes with it, until
 * wh_pool_give() gets it back with its transaction at the end: never after an
 * error.
 */
extern WhLease *wh_pool_take(const WhTenant *tenant, const char *subject);
extern void wh_pool_give(WhLease *lease);

#endif							/* WH_POOL_H */
