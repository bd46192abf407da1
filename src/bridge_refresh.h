/*
 * bridge_refresh.h
 *		The background worker that refreshes one materialized view
 *		concurrently.
 */
#ifndef WH_BRIDGE_REFRESH_H
#define WH_BRIDGE_REFRESH_H

/* Entry of the worker. */
extern PGDLLEXPORT void wh_bridge_worker_main(Datum main_arg);

#endif							/* WH_BRIDGE_REFRESH_H */
