/*
 * crew.h
 *		The background workers of one call, as their leader sees them.
 */
#ifndef WH_CREW_H
#define WH_CREW_H

#include "queue.h"

typedef struct WhCrew WhCrew;

/*
 * Launch up to "nworkers" workers for the units; "flags" are the queue's; NULL when none can be had.
 * Whatever ends the current resource owner cancels them.
 */
extern WhCrew *wh_crew_launch(const List *units, int nworkers,
							  int flags, const List *settings);

/*
 * Wait until something has happened, and replace workers that died; false when
 * all have ended.  Throws on cancel and termination.
 */
extern bool wh_crew_wait(WhCrew *crew);

extern WhQueue *wh_crew_queue(WhCrew *crew);

/* Why a worker could not connect; NULL when all could. */
extern const ErrorData *wh_crew_refusal(const WhCrew *crew);

/* Let go of the queue; workers that are still there are cancelled. */
extern void wh_crew_dismiss(WhCrew *crew);

#endif							/* WH_CREW_H */
