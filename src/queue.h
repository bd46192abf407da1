/*
 * queue.h
 *		The units of one call in dynamic shared memory: who has which, and how
 *		each ended.
 */
#ifndef WH_QUEUE_H
#define WH_QUEUE_H

#include "nodes/pg_list.h"
#include "refresh.h"
#include "retry.h"
#include "storage/dsm.h"
#include "storage/shm_mq.h"

typedef struct WhQueue WhQueue;

typedef enum WhUnitState
{
	WH_UNIT_WAITING,			/* with a run_id: for another attempt */
	WH_UNIT_CLAIMED,
	WH_UNIT_DONE,				/* its row of the log says how it ended */
	WH_UNIT_LOST				/* its worker died */
} WhUnitState;

/* Flags of a queue. */
#define WH_QUEUE_STOP_ON_FAILURE 1	/* let no further unit start */
#define WH_QUEUE_CONSISTENT 2	/* one snapshot for each tenant and day */

/* How a unit stands. */
typedef struct WhOutcome
{
	WhUnitState state;
	int64		run_id;			/* 0: the log has not heard of it */
} WhOutcome;

/* What a worker is given; the names are the queue's memory. */
typedef struct WhClaim
{
	int			unit;			/* position in the call's list */
	const char *template_name;
	const char *tenant_name;
	WhPeriod	period;
	WhDays		days;
	bool		rollup;
	bool		allow_gaps;
	bool		begun;
	bool		named;
	bool		consistent;
	const char *lost_input;		/* a template whose rows it is made of, and
								 * whose worker died; or NULL */
	WhPurpose	purpose;
	int64		replays;
	WhLoadRules rules;
	WhRetry		retry;
} WhClaim;

/*
 * Make a queue of "units" (of WhUnit *) for at most "nworkers" workers, each
 * of which is used once; "settings" is a list of char *, a name and a value in
 * turn.  The segment belongs to CurrentResourceOwner.  NULL when there is no
 * room for one more segment.
 */
extern dsm_segment *wh_queue_create(const List *units, int nworkers, int flags,
									const List *settings);

/* Find the queue in a segment; throws when its layout is another version's. */
extern WhQueue *wh_queue_of(dsm_segment *segment);

/* How many workers can be at work at once. */
extern int	wh_queue_width(const WhQueue *queue);

extern Oid	wh_queue_database(const WhQueue *queue);
extern Oid	wh_queue_owner(const WhQueue *queue);
extern List *wh_queue_settings(const WhQueue *queue);

/* The queue in which a worker's words travel before it has a database. */
extern shm_mq *wh_queue_words(WhQueue *queue, int worker);

/* Worker: say that it has a database; ask whether it got that far. */
extern void wh_queue_enter(WhQueue *queue, int worker);
extern bool wh_queue_entered(WhQueue *queue, int worker);

/*
 * Worker: take the next unit; false when there is none for it now.  It should
 * come again at "again", or end, where that is DT_NOEND.  Then tell its row of
 * the log, and at last that it is over; or put it back, to be taken no earlier
 * than "at"; with "whole_tenant" no other unit of its tenant, either.  A derived
 * template waits for those of the tenant's that it is made of.
 */
extern bool wh_queue_claim(WhQueue *queue, int worker, WhClaim *claim,
						   TimestampTz *again);
extern void wh_queue_logged(WhQueue *queue, int worker, int64 run_id);
extern void wh_queue_done(WhQueue *queue, int worker, bool failed);
extern void wh_queue_put_back(WhQueue *queue, int worker, const WhRetry *retry,
							  TimestampTz at, bool whole_tenant);

/*
 * Leader: give back what a worker that has ended still had; true when that has
 * units that wait.
 */
extern bool wh_queue_bury(WhQueue *queue, int worker);

/* Leader: let no further unit start; ask whether that is so. */
extern void wh_queue_stop(WhQueue *queue);
extern bool wh_queue_stopped(WhQueue *queue);

extern WhOutcome wh_queue_outcome(WhQueue *queue, int unit);

#endif							/* WH_QUEUE_H */
