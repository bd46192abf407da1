/*
 * job.h
 *		_wh.jobs: the scheduled jobs of ours, whatever scheduler has them.
 */
#ifndef WH_JOB_H
#define WH_JOB_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

typedef struct WhJob
{
	char	   *name;
	char	   *kind;			/* refresh, dispatch, maintenance, rollup */
	char	   *template_name;	/* NULL: all */
	char	   *tenant_name;	/* NULL: all */
	char	   *wanted;			/* the schedule, in the time zone */
	char	   *time_zone;
	char	   *schedule;		/* the same as the scheduler has it */
	char	   *command;
	int64		jobid;			/* the scheduler's; 0: none */
	TimestampTz scheduled_at;	/* when it was given that schedule */
} WhJob;

/* List all jobs in order of name; as the current user, who is the owner. */
extern List *wh_jobs(void);		/* of WhJob * */

/* Write a job, in the place of one of that name, as scheduled now. */
extern void wh_job_write(const WhJob *job);
extern void wh_job_delete(const char *name);

#endif							/* WH_JOB_H */
