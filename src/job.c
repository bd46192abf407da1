/*
 * job.c
 *		_wh.jobs: the scheduled jobs of ours.
 *
 * The only file that names that table.  A scheduler knows a job by a name of
 * bounded length and by what it calls; what the job is for, and the schedule
 * as its user wrote it, is kept here.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "job.h"
#include "spi.h"

static void *read_job(uint64 row);

List *
wh_jobs(void)
{
	return wh_spi_list("SELECT jobname, kind, template_name, tenant_name, wanted,"
					   " time_zone, schedule, command, jobid, scheduled_at"
					   " FROM _wh.jobs ORDER BY jobname", NULL, 0, read_job);
}

static void *
read_job(uint64 row)
{
	WhJob	   *job = (WhJob *) palloc(sizeof(WhJob));

	job->name = wh_col_text(row, 1);
	job->kind = wh_col_text(row, 2);
	job->template_name = wh_col_text(row, 3);
	job->tenant_name = wh_col_text(row, 4);
	job->wanted = wh_col_text(row, 5);
	job->time_zone = wh_col_text(row, 6);
	job->schedule = wh_col_text(row, 7);
	job->command = wh_col_text(row, 8);
	job->jobid = wh_col_int8(row, 9, 0);
	job->scheduled_at = wh_col_timestamptz(row, 10, DT_NOBEGIN);

	return job;
}

void
wh_job_write(const WhJob *job)
{
	WhArg		args[10];

	args[0] = wh_text(job->name);
	args[1] = wh_text(job->kind);
	args[2] = wh_text(job->template_name);
	args[3] = wh_text(job->tenant_name);
	args[4] = wh_text(job->wanted);
	args[5] = wh_text(job->time_zone);
	args[6] = wh_text(job->schedule);
	args[7] = wh_text(job->command);
	args[8] = wh_int8(job->jobid);
	args[9] = wh_timestamptz(GetCurrentTimestamp());

	(void) wh_ledger("INSERT INTO _wh.jobs (jobname, kind, template_name,"
					 " tenant_name, wanted, time_zone, schedule, command,"
					 " jobid, scheduled_at)"
					 " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
					 " ON CONFLICT (jobname) DO UPDATE SET"
					 " wanted = EXCLUDED.wanted, time_zone = EXCLUDED.time_zone,"
					 " schedule = EXCLUDED.schedule, command = EXCLUDED.command,"
					 " jobid = EXCLUDED.jobid,"
					 " scheduled_at = EXCLUDED.scheduled_at",
					 args, lengthof(args));
}

void
wh_job_delete(const char *name)
{
	WhArg		arg = wh_text(name);

	(void) wh_ledger("DELETE FROM _wh.jobs WHERE jobname OPERATOR(pg_catalog.=) $1",
					 &arg, 1);
}
