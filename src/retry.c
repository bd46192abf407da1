/*
 * retry.c
 *		When a unit whose failure may pass is tried again.
 *
 * Which failures may, fault says; that a tenant whose breaker has opened is not
 * asked again, admission.  Each attempt is a transaction and a row of the log
 * of its own.  Between two of them nothing is held: a worker takes other units
 * meanwhile (queue), a job that works alone waits.  Inside a caller's
 * transaction there is no second attempt, since his locks would wait along.
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "guc.h"
#include "retry.h"

#define FIRST_PAUSE 1000		/* ms; doubled each time */
#define LONGEST_PAUSE 16000

/*
 * Count an attempt and plan the next one; see retry.h.
 */
bool
wh_retry_plan(WhRetry *retry, const WhRun *run, TimestampTz *at)
{
	TimestampTz now = GetCurrentTimestamp();
	int			doublings = Min(retry->attempts, 10);
	double		pause = Min(FIRST_PAUSE << doublings, LONGEST_PAUSE);

	if (retry->attempts++ == 0)
		retry->until = TimestampTzPlusMilliseconds(now, wh_retry_time);
	if (!run->may_pass)
		return false;

	pause *= 0.5 + pg_prng_double(&pg_global_prng_state);
	*at = TimestampTzPlusMilliseconds(now, (int64) pause);

	return *at < retry->until;
}

/*
 * Sleep; see retry.h.
 */
void
wh_retry_sleep(TimestampTz until)
{
	static uint32 wait_event = 0;
	long		ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);

	if (ms <= 0)
		return;
	if (wait_event == 0)
		wait_event = wh_wait_event("WarehouseRetry");

	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 ms, wait_event);
	ResetLatch(MyLatch);
}
