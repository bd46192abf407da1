/*
 * run.h
 *		_wh.extract_runs: one row per attempt; and the frame in which a piece
 *		of work runs contained.
 */
#ifndef WH_RUN_H
#define WH_RUN_H

#include "fault.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "period.h"
#include "utils/elog.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

/* An extract as the archive has it. */
typedef struct WhArchived
{
	char	   *path;			/* its key; NULL: it is in no archive */
	int64		rows;
	int64		bytes;			/* of the file */
	char	   *sha256;
	char	   *problem;		/* why it is in none, though it was to be */
} WhArchived;

typedef struct WhRun
{
	int64		run_id;
	const char *template_name;
	const char *tenant_name;
	const WhPeriod *period;		/* NULL: none */
	const char *table_name;		/* schema.template; NULL: not known yet */
	TimestampTz started_at;
	int			attempts;		/* made before this one at the same unit */

	/* What the work reports. */
	const char *status;			/* loaded, failed, skipped */
	const char *reason;			/* why skipped; NULL else */
	const char *input;			/* the template whose failure is the reason;
								 * NULL else */
	const char *method;			/* first_fill, refill, ... or NULL */
	const char *choice;			/* why that method; NULL: not told */
	List	   *drift;			/* of char *, columns adapted to */
	const char *inputs;			/* derived: see wh_inputlog_seen(); or NULL */
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
	WhArchived	archived;		/* strings in "context" */
	int64		replays;		/* the run whose extract was read; or 0 */
	WhFault		fault;			/* whose failure, or the user's word */
	bool		postponed;		/* refused for now; the error says why */
	bool		may_pass;		/* worth another attempt in a while */
	bool		server_failed;	/* the tenant's server as a whole */

	/* What was taken to ask the tenant; see admission.h. */
	int			place;			/* among its connections; -1: none */
	bool		watched;		/* its server has failed lately */
	ErrorData  *error;			/* NULL unless failed; in the caller's context */
	MemoryContext context;		/* outlives contained work, which may leave
								 * something in it */
} WhRun;

/* Insert the row with status extracting; sets run_id and started_at. */
extern void wh_run_start(WhRun *run, const char *kind);

/* Write the final state of the row, and tell listeners of it. */
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
 * Mark rows that still say extracting or uploaded, but the run's own, as lost:
 * those of its template and tenant or, where it has no template, of its
 * table_name.  The caller holds the object lock of that pair or relation.
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

/* What an attempt was at: a day of a template and tenant; false: anything else. */
extern bool wh_run_unit(int64 run_id, char **template_name, char **tenant,
						DateADT *day);

/*
 * Add up what was read from a tenant by runs that began since then: bytes of
 * those that loaded, and milliseconds of these and those that failed.
 */
extern void wh_run_spent(const char *tenant, TimestampTz since, int64 *bytes,
						 double *ms);

/* Count, or delete, what the log has of a tenant; as the installer. */
extern int64 wh_runs_count(const char *tenant);
extern void wh_runs_forget(const char *tenant);

/* A sync of an outside service, as its row of the log has it. */
typedef struct WhSync
{
	int64		run_id;
	char	   *sync_type;
	char	   *status;
	char	   *service_instance;
} WhSync;

/* What a service says of a sync. */
typedef struct WhSyncReport
{
	int64		run_id;
	int64		records;
	bool		has_latest;
	TimestampTz latest;			/* of what it has read */
	Jsonb	   *metadata;		/* NULL: nothing to add */
} WhSyncReport;

/*
 * Begin a sync: one of the type that is overdue becomes lost, and then the row
 * is inserted, unless one is running.  Returns 0 in that case, else run_id.
 * Another session's that has not committed yet is waited for.
 */
extern int64 wh_sync_start(const char *sync_type, Jsonb *metadata,
						   const Interval *expect_within, const char *instance);

/*
 * Find a sync by its number, or the one of a type that is running; NULL when
 * there is none.  As the current user, who has become the owner.
 */
extern WhSync *wh_sync_find(int64 run_id);
extern WhSync *wh_sync_running(const char *sync_type);

/*
 * Write what a service says, if its sync is running or lost; false when it has
 * ended otherwise.  Progress leaves a lost one lost.
 */
extern bool wh_sync_progress(const WhSyncReport *report);
extern bool wh_sync_complete(const WhSyncReport *report);
extern bool wh_sync_fail(int64 run_id, const char *message, const char *category);

/* Raise what a run's error or reason says as a WARNING with the same text. */
extern void wh_run_warn(const WhRun *run);

/* Raise a WARNING where the rows of a run were to be archived, and are not. */
extern void wh_run_warn_of_archive(const WhRun *run);

/* Append {"sqlstate", "message", "detail", "hint"} of a run that failed. */
extern void wh_run_error_json(StringInfo json, const WhRun *run);

#endif							/* WH_RUN_H */
