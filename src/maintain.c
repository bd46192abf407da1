/*
 * maintain.c
 *		CALL _wh.run_maintenance(): what a warehouse wants done once a day.
 *
 * The rule kept here: each step is contained, so that one that fails keeps no
 * other from being done, and the scheduler is told at the end.  What is a unit
 * of work logs itself; any other step has a row of its own in the log.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "archive.h"
#include "dba.h"
#include "dispatch.h"
#include "guc.h"
#include "refresh.h"
#include "retention.h"
#include "run.h"
#include "schedule.h"
#include "settings.h"
#include "spi.h"
#include "tier.h"

/* How many problems that wh_check() finds are told in full. */
#define MAX_PROBLEMS 5

/* Extracts that one transaction removes. */
#define EXPIRE_BATCH 500

/* What the steps so far came to. */
typedef struct Outcome
{
	int			steps;
	int			failed;
	int			sqlerrcode;		/* of the first that failed */
	StringInfoData detail;
} Outcome;

/* What a step plans or does inside its subtransaction. */
typedef struct Step
{
	const char *name;
	void		(*work) (WhRun *run, void *arg);
	List	   *found;			/* plans or units, in run->context */
	bool		more;			/* another batch */
	int64		after;			/* run that the last batch ended with, or how
								 * many there were */
} Step;

PG_FUNCTION_INFO_V1(wh_run_maintenance);

static void begin_work(WhRole *caller);
static void commit_work(const WhRole *caller);
static void do_step(Outcome *outcome, Step *step);
static bool plan_step(Outcome *outcome, Step *step);
static void roll_up(Outcome *outcome);
static void recheck(Outcome *outcome);
static void count_failure(void *arg, const WhUnit *unit, const WhRun *run);
static void note_failure(Outcome *outcome, const char *step, int sqlerrcode,
						 const char *message);
static void plan_rollups(WhRun *run, void *arg);
static void plan_rechecks(WhRun *run, void *arg);
static void prune_batch(WhRun *run, void *arg);
static void tend_archive(WhRun *run, void *arg);
static void tend_jobs(WhRun *run, void *arg);
static void check_all(WhRun *run, void *arg);

/*
 * CALL _wh.run_maintenance()
 */
Datum
wh_run_maintenance(PG_FUNCTION_ARGS)
{
	CallContext *context = castNode(CallContext, fcinfo->context);
	Step		prune = {.name = "log",.work = prune_batch};
	Step		archive = {.name = "archive",.work = tend_archive};
	Step		jobs = {.name = "jobs",.work = tend_jobs};
	Step		check = {.name = "check",.work = check_all};
	Outcome		outcome = {0};

	if (context->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("run_maintenance cannot be called inside a transaction block"),
				 errdetail("It commits every step by itself."),
				 errhint("CALL it on its own.")));
	wh_check_outbound();

	/* What is planned outlives the transaction that it was planned in. */
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	MemoryContextSwitchTo(AllocSetContextCreate(PortalContext, "pg_warehouse maintenance",
												ALLOCSET_DEFAULT_SIZES));
	initStringInfo(&outcome.detail);

	roll_up(&outcome);
	recheck(&outcome);
	do_step(&outcome, &prune);
	if (wh_store_configured())
		do_step(&outcome, &archive);
	do_step(&outcome, &jobs);
	do_step(&outcome, &check);

	SPI_finish();
	if (outcome.failed > 0)
		ereport(ERROR,
				(errcode(outcome.sqlerrcode),
				 errmsg("maintenance failed in %d of %d steps", outcome.failed, outcome.steps),
				 errdetail_internal("%s", outcome.detail.data),
				 errhint("SELECT * FROM _wh.v_recent_failures; SELECT * FROM _wh.wh_check();")));

	PG_RETURN_VOID();
}

/*
 * Begin a transaction's work as the owner.  An error leaves the role with the
 * transaction; nothing is committed while switched.
 */
static void
begin_work(WhRole *caller)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	wh_become_owner(caller);
}

static void
commit_work(const WhRole *caller)
{
	wh_role_leave(caller);
	PopActiveSnapshot();
	SPI_commit();
}

/*
 * Do one step, in a transaction for each batch of it, and log it.
 */
static void
do_step(Outcome *outcome, Step *step)
{
	WhRun		run = {0};
	WhRole		caller;

	outcome->steps++;
	run.table_name = psprintf("maintenance.%s", step->name);
	begin_work(&caller);
	wh_run_start(&run, "maintenance");
	wh_run_reap(&run);
	commit_work(&caller);

	do
	{
		step->more = false;
		begin_work(&caller);
		wh_run_contained(&run, step->work, step);
		if (!step->more)
		{
			if (run.error == NULL)
				run.status = "loaded";
			else
				note_failure(outcome, step->name, run.error->sqlerrcode, run.error->message);
			wh_run_finish(&run);
		}
		commit_work(&caller);
	} while (step->more);
}

/*
 * Plan in a contained step, and leave it to the units to log themselves.
 */
static bool
plan_step(Outcome *outcome, Step *step)
{
	WhRun		run = {0};
	WhRole		caller;

	outcome->steps++;
	begin_work(&caller);
	wh_run_contained(&run, step->work, step);
	commit_work(&caller);
	if (run.error != NULL)
		note_failure(outcome, step->name, run.error->sqlerrcode, run.error->message);

	return run.error == NULL;
}

static void
roll_up(Outcome *outcome)
{
	Step		step = {.name = "roll-up",.work = plan_rollups};
	WhRun		first = {0};
	int			failed;

	if (!plan_step(outcome, &step))
		return;
	failed = wh_rollups_committed(step.found, &first);
	if (failed > 0)
		note_failure(outcome, step.name, first.error->sqlerrcode,
					 psprintf("%d of %d units failed, the first, tenant \"%s\": %s",
							  failed, list_length(step.found), first.tenant_name,
							  first.error->message));
}

static void
recheck(Outcome *outcome)
{
	Step		step = {.name = "recheck",.work = plan_rechecks};
	WhRunOptions options = {.parallel = wh_max_workers,.commits = true};
	List	   *failures = NIL;

	if (!plan_step(outcome, &step))
		return;
	(void) wh_publish_committed(wh_run_units(step.found, &options, count_failure, &failures));
	if (failures != NIL)
	{
		const WhRun *first = (const WhRun *) linitial(failures);

		note_failure(outcome, step.name, first->error->sqlerrcode,
					 psprintf("%d of %d units failed, the first, tenant \"%s\" on %s: %s",
							  list_length(failures), list_length(step.found),
							  first->tenant_name, wh_date_text(first->period->start),
							  first->error->message));
	}
}

/*
 * Take note of a unit that failed.
 */
static void
count_failure(void *arg, const WhUnit *unit, const WhRun *run)
{
	List	  **failures = (List **) arg;

	if (run->error != NULL)
		*failures = lappend(*failures, memcpy(palloc(sizeof(WhRun)), run, sizeof(WhRun)));
}

static void
note_failure(Outcome *outcome, const char *step, int sqlerrcode, const char *message)
{
	if (outcome->failed++ == 0)
		outcome->sqlerrcode = sqlerrcode;
	appendStringInfo(&outcome->detail, "%s%s: %s", outcome->detail.len > 0 ? "\n" : "",
					 step, message);
}

static void
plan_rollups(WhRun *run, void *arg)
{
	MemoryContext unit = MemoryContextSwitchTo(run->context);

	((Step *) arg)->found = wh_rollups_due();
	MemoryContextSwitchTo(unit);
}

/*
 * List the closed days whose recheck is due.
 */
static void
plan_rechecks(WhRun *run, void *arg)
{
	Step	   *step = (Step *) arg;
	MemoryContext unit = MemoryContextSwitchTo(run->context);
	WhRequest	request = {.recheck = true};
	ListCell   *lc;

	wh_request_resolve(&request, NULL, NULL);
	foreach(lc, wh_units(&request))
	{
		if (((const WhUnit *) lfirst(lc))->purpose == WH_RECHECK)
			step->found = lappend(step->found, lfirst(lc));
	}
	MemoryContextSwitchTo(unit);
}

/*
 * Delete old rows of the log, some thousands of them.
 */
static void
prune_batch(WhRun *run, void *arg)
{
	Step	   *step = (Step *) arg;

	step->more = wh_retention_prune(&step->after, &run->rows_deleted);
}

/*
 * Move what was loaded and is still in exports/, and remove, some hundreds at a
 * time, what a template has kept long enough.
 */
static void
tend_archive(WhRun *run, void *arg)
{
	Step	   *step = (Step *) arg;
	ListCell   *lc;

	if (step->after++ == 0)
		(void) wh_archive_settle(NULL, NULL);
	foreach(lc, wh_templates_all())
	{
		const WhTemplate *tmpl = (const WhTemplate *) lfirst(lc);
		TimestampTz before;
		int			n;

		if (tmpl->archive_retention == NULL)
			continue;
		before = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_mi_interval,
														 TimestampTzGetDatum(GetCurrentTimestamp()),
														 IntervalPGetDatum(tmpl->archive_retention)));
		n = wh_archive_expire(tmpl->name, before, EXPIRE_BATCH);
		run->rows_deleted += n;
		step->more |= n == EXPIRE_BATCH;
	}
}

static void
tend_jobs(WhRun *run, void *arg)
{
	wh_schedule_prune(wh_retention_horizon());
	wh_schedule_follow_clocks();
}

/*
 * Fail with what wh_check() finds, other than this very run, which may belong
 * to a session that the owner must not look into.
 */
static void
check_all(WhRun *run, void *arg)
{
	WhArg		own = wh_text(psprintf("run " INT64_FORMAT, run->run_id));
	StringInfoData text;
	uint64		rows;

	SPI_connect();
	rows = wh_spi(SPI_OK_SELECT,
				  "SELECT c.invariant, c.subject, c.problem FROM _wh.wh_check() AS c"
				  " WHERE c.invariant <> 'run' OR c.subject <> $1"
				  " ORDER BY c.invariant, c.subject, c.problem", &own, 1);
	initStringInfo(&text);
	for (uint64 row = 0; row < Min(rows, MAX_PROBLEMS); row++)
		appendStringInfo(&text, "%s%s %s %s", row > 0 ? "; " : "", wh_col_text(row, 1),
						 wh_col_text(row, 2), wh_col_text(row, 3));
	if (rows > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("wh_check found " UINT64_FORMAT " problems: %s", rows, text.data),
				 errhint("SELECT * FROM _wh.wh_check();")));
	SPI_finish();
}
