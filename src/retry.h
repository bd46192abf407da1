/*
 * retry.h
 *		When a unit whose failure may pass is tried again.
 */
#ifndef WH_RETRY_H
#define WH_RETRY_H

#include "run.h"

/* How a unit stands; all zero before its first attempt. */
typedef struct WhRetry
{
	int			attempts;		/* that have ended */
	TimestampTz until;			/* no attempt begins later */
} WhRetry;

/*
 * Count an attempt that has ended, and say when the next one is due; false when
 * there is to be none.  The pauses between them grow, and are blurred.
 */
extern bool wh_retry_plan(WhRetry *retry, const WhRun *run, TimestampTz *at);

/*
 * Sleep until then, or until the latch is set; nothing is to be locked
 * meanwhile, and no transaction open that anybody would wait for.
 */
extern void wh_retry_sleep(TimestampTz until);

#endif							/* WH_RETRY_H */
