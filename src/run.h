/*
 * run.h
 *		_wh.extract_runs: one row per attempt; and the frame in which a piece
 *		of work runs contained.
 */
#ifndef WH_RUN_H
#define WH_RUN_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "period.h"
#include "utils/elog.h"

typedef struct WhRun
{
	int64		run_id;
	const char *template_name;
	const char *tenant_name;
	const WhPeriod *period;		/* NULL: none */
	const char *table_name;		/* schema.template; NULL: not known yet */
	TimestampTz started_at;

	/* What the work reports. */
	const char *status;			/* loaded, failed, skipped */
	const char *reason;			/* why skipped; NULL else */
	const char *method;			/* first_fill, refill, ... or NULL */
	const char *choice;			/* why that method; NULL: not told */
	List	   *drift;			/* of char *, columns adapted to */
	int64		rows_extracted;
	int64		rows_inserted;
	int64		rows_updated;
	int64		rows_deleted;
	int64		rows_unchanged;
	int64		bytes;
	double		fetch_ms;
	double		load_ms;
	double		lock_ms;
	TimestampTz as_of;			/* DT_NOBEGIN: unknown */
	bool		remote_error;	/* the tenant's failure, not the user's word */
	ErrorData  *error;			/* NULL unless failed; in the caller's context */
	MemoryContext context;		/* outlives contained work, which may leave
								 * something in it */
} WhRun;

/* Insert the row with status extracting; sets run_id and started_at. */
extern void wh_run_start(WhRun *run, const char *kind);

/* Write the final state of the row. */
extern void wh_run_finish(const WhRun *run);

/*
 * Read what the row of run->run_id says of a run that has ended, in another
 * session perhaps; as the current user, who has become the owner.
 */
extern void wh_run_read(WhRun *run);

/*
 * Mark a run whose worker died as lost, and set run->error to say so.  A run_id
 * of 0 means that the log has not heard of it.
 */
extern void wh_run_lost(WhRun *run);

/*
 * Mark rows of (template, tenant) that still say extracting or uploaded, but
 * the run's own, as lost.  The caller holds the pair's object lock.
 */
extern void wh_run_reap(const WhRun *run);

/*
 * Do work(run, arg) in a subtransaction with a memory context of its own,
 * deleted on both paths.  An error becomes run->status failed and
 * run->error; but a local cancel or shutdown is thrown on.
 */
extern void wh_run_contained(WhRun *run, void (*work) (WhRun *run, void *arg), void *arg);

/*
 * Was the day reconciled since then, or was it found that it must not be
 * replaced?  A tenant that could not be asked does not count.
 */
extern bool wh_run_rechecked(const char *template_name, const char *tenant,
							 DateADT day, TimestampTz since);

/* Raise what a run's error or reason says as a WARNING with the same text. */
extern void wh_run_warn(const WhRun *run);

/* Append {"sqlstate", "message", "detail", "hint"} of a run that failed. */
extern void wh_run_error_json(StringInfo json, const WhRun *run);

#endif							/* WH_RUN_H */
