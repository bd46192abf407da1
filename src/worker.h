/*
 * worker.h
 *		What a background worker does.
 */
#ifndef WH_WORKER_H
#define WH_WORKER_H

/* Entry of a background worker; main_arg is the queue's segment. */
extern PGDLLEXPORT void wh_worker_main(Datum main_arg);

/* Is this backend such a worker? */
extern bool wh_in_worker(void);

#endif							/* WH_WORKER_H */
