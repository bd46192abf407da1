/*
 * worker.h
 *		What a background worker does.
 */
#ifndef WH_WORKER_H
#define WH_WORKER_H

#include "nodes/pg_list.h"

/* Entry of a background worker; main_arg is the queue's segment. */
extern PGDLLEXPORT void wh_worker_main(Datum main_arg);

/*
 * Pin what roles and databases may have settings for, in a worker that is a
 * session of the owner's; "settings" has names and values (char *) in turn.
 */
extern void wh_worker_pin(const List *settings);

/* Is this backend such a worker? */
extern bool wh_in_worker(void);

#endif							/* WH_WORKER_H */
