/*
 * jobplan.h
 *		Which jobs a warehouse should have, when, and under what names.
 */
#ifndef WH_JOBPLAN_H
#define WH_JOBPLAN_H

#include "job.h"

/* What the caller of setup_cron() wants, and what its scheduler can do. */
typedef struct WhJobWish
{
	const char *template_name;	/* NULL: all */
	const char *tenant;			/* NULL: all */
	const char *schedule;		/* of the refreshes */
	const char *time_zone;		/* which it is written in */
	int			slots;			/* jobs that run at once */
	int			offset;			/* minutes east of GMT that it counts in */
} WhJobWish;

/*
 * List the jobs that there should be: a refresh per template and tenant, or
 * one for all, and those that every warehouse has.  Caller: owner.
 */
extern List *wh_jobs_wanted(const WhJobWish *wish); /* of WhJob * */

extern WhJob *wh_job_make(const char *kind, const char *template_name,
						  const char *tenant, const char *wanted,
						  const char *time_zone, int offset);

/*
 * Write a schedule of a time zone as a scheduler, that many minutes east of
 * GMT, has to be told it today; 22023 when it cannot be.
 */
extern char *wh_job_schedule(const char *wanted, const char *time_zone, int offset);
extern int	wh_zone_offset(const char *time_zone);

#endif							/* WH_JOBPLAN_H */
