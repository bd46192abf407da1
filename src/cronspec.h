/*
 * cronspec.h
 *		The five fields of cron as sets: when they fire, and shifted by
 *		minutes; pure.
 */
#ifndef WH_CRONSPEC_H
#define WH_CRONSPEC_H

#include "datatype/timestamp.h"

#define WH_CRON_FIELDS 5

/* Which bit of a field's set stands for which number. */
typedef struct WhCron
{
	char	   *text[WH_CRON_FIELDS];	/* as written: minute, hour, day of
										 * month, month, day of week */
	uint64		set[WH_CRON_FIELDS];	/* bit n: number n */
} WhCron;

/*
 * Read five classic fields, or one of the @words for them; false for anything
 * else, which a scheduler may know and we do not.
 */
extern bool wh_cron_parse(const char *text, WhCron *cron);
extern char *wh_cron_text(const WhCron *cron);

/*
 * Find the first minute after "at", or the last one not after it, at which the
 * fields fire in GMT; DT_NOEND, DT_NOBEGIN when that is never.
 */
extern TimestampTz wh_cron_next(const WhCron *cron, TimestampTz at);
extern TimestampTz wh_cron_last(const WhCron *cron, TimestampTz at);

/* The shortest time between two firings of a day, in minutes. */
extern int	wh_cron_cadence(const WhCron *cron);

/* Minutes that all firings can be put off and stay on their days. */
extern int	wh_cron_slack(const WhCron *cron);

/*
 * Shift every firing by minutes, less than a day; false, and "cron" as it was,
 * when five fields cannot say that.
 */
extern bool wh_cron_shift(WhCron *cron, int minutes);

#endif							/* WH_CRONSPEC_H */
