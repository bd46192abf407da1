/*
 * dispatch.c
 *		Run many units: side by side in background workers, or one after the
 *		other here.
 *
 * Results come in the order of the list, whoever was first.  What a worker did
 * is read from the row of the log that it committed.  The leader writes
 * nothing while workers are at it, since they would wait for its end as it
 * waits for theirs.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "crew.h"
#include "dispatch.h"
#include "guc.h"
#include "pool.h"
#include "retry.h"
#include "rollup.h"
#include "settings.h"
#include "spi.h"
#include "sync.h"
#include "worker.h"

/* One call of wh_run_units(). */
typedef struct Dispatch
{
	const List *units;
	const WhRunOptions *options;
	WhOnResult	on_result;
	void	   *arg;
	int			next;			/* the first unit not delivered yet */
	List	   *touched;
	bool		stopped;		/* no further unit may start */
} Dispatch;

static bool may_use_workers(const List *units, const WhRunOptions *options);
static bool may_refill_here(const WhUnit *unit, const List *units,
							const WhRunOptions *options);
static bool needs_worker(const List *units, const WhRunOptions *options);
static List *caller_settings(void);
static WhOutcome *run_in_workers(Dispatch *dispatch, WhCrew *crew);
static void warn_of_refusal(const WhCrew *crew);
static void run_here(Dispatch *dispatch, const WhOutcome *outcomes);
static List *waiting_units(const Dispatch *dispatch, const WhOutcome *outcomes);
static void deliver(Dispatch *dispatch, const WhRun *run);
static void deliver_outcome(Dispatch *dispatch, const WhOutcome *outcome);
static void run_inside(const WhUnit *unit, WhRun *run);
static void run_until_over(WhUnit *unit, const WhRunOptions *options, WhRun *run);
static void run_committed(const WhUnit *unit, WhRun *run);
static void begin(WhRole *caller);
static void end(const WhRole *caller);
static void start(void);
static void commit(void);

/* In a procedure. */
static const WhTransactions transactions = {start, commit};

/*
 * Run units; see dispatch.h.
 */
List *
wh_run_units(const List *units, const WhRunOptions *options,
			 WhOnResult on_result, void *arg)
{
	Dispatch	dispatch = {units, options, on_result, arg, 0, NIL, false};
	WhOutcome  *outcomes = NULL;

	if (may_use_workers(units, options))
	{
		WhCrew	   *crew = wh_crew_launch(units, Min(options->parallel, wh_max_workers),
										  (options->stop_on_failure ? WH_QUEUE_STOP_ON_FAILURE : 0) |
										  (options->consistent ? WH_QUEUE_CONSISTENT : 0),
										  caller_settings());

		if (crew != NULL)
			outcomes = run_in_workers(&dispatch, crew);
	}
	run_here(&dispatch, outcomes);

	return dispatch.touched;
}

/*
 * Foretell whether a unit may become a refill; see dispatch.h.
 */
bool
wh_may_refill(const WhUnit *unit, const List *units, const WhRunOptions *options)
{
	return may_use_workers(units, options) ||
		may_refill_here(unit, units, options);
}

/*
 * May workers do it?  They see what is committed, so nothing that the caller
 * has done may be pending; and he must be able to see what they commit.
 */
static bool
may_use_workers(const List *units, const WhRunOptions *options)
{
	return (list_length(units) > 1 || options->even_one ||
			needs_worker(units, options)) &&
		options->parallel > 0 && wh_max_workers > 0 &&
		!wh_in_worker() && !RecoveryInProgress() && !IsInParallelMode() &&
		!XactReadOnly && !IsolationUsesXactSnapshot() &&
		!TransactionIdIsValid(GetTopTransactionIdIfAny());
}

/*
 * May a unit that runs here become a refill?  Where others follow before the
 * commit, readers would wait for these.
 */
static bool
may_refill_here(const WhUnit *unit, const List *units,
				const WhRunOptions *options)
{
	return options->commits ||
		(list_length(units) == 1 && unit->rules.method == WH_REFILL);
}

/*
 * Does the one unit need a session of the owner's that this is not; or one that
 * commits, so that the log knows of an upload, and it can be moved?
 */
static bool
needs_worker(const List *units, const WhRunOptions *options)
{
	const WhUnit *unit;
	WhRole		caller;
	bool		needs;

	if (list_length(units) != 1)
		return false;
	unit = (const WhUnit *) linitial(units);
	if (unit->tmpl->archive && !options->commits)
		return true;
	if (options->session_path != NULL)
		return false;

	begin(&caller);
	needs = wh_template_is_incremental(unit->tmpl) &&
		wh_sync_needs_session(unit->tmpl, unit->tenant);
	end(&caller);

	return needs;
}

/*
 * List the caller's settings that the work goes by, names and values in turn.
 */
static List *
caller_settings(void)
{
	MemoryContext caller = CurrentMemoryContext;
	List	   *settings = NIL;
	uint64		rows;
	WhRole		save;

	begin(&save);
	SPI_connect();
	rows = wh_spi(SPI_OK_SELECT,
				  "SELECT name, setting FROM pg_catalog.pg_settings"
				  " WHERE context OPERATOR(pg_catalog.=) 'user'"
				  " AND (name OPERATOR(pg_catalog.^@) 'pg_warehouse.'"
				  " OR name IN ('work_mem', 'maintenance_work_mem'))",
				  NULL, 0);

	/* Copy out while the SPI result is still there. */
	MemoryContextSwitchTo(caller);
	for (uint64 row = 0; row < rows; row++)
	{
		settings = lappend(settings, wh_col_text(row, 1));
		settings = lappend(settings, wh_col_text(row, 2));
	}
	SPI_finish();
	end(&save);

	return settings;
}

/*
 * Wait for the workers, delivering results as their turn comes.  Returns how
 * the units stand when all workers have ended.
 */
static WhOutcome *
run_in_workers(Dispatch *dispatch, WhCrew *crew)
{
	WhQueue    *queue = wh_crew_queue(crew);
	int			nunits = list_length(dispatch->units);
	WhOutcome  *outcomes = (WhOutcome *) palloc(sizeof(WhOutcome) * nunits);

	while (wh_crew_wait(crew))
	{
		while (dispatch->next < nunits)
		{
			WhOutcome	outcome = wh_queue_outcome(queue, dispatch->next);

			if (outcome.state != WH_UNIT_DONE)
				break;
			deliver_outcome(dispatch, &outcome);
		}
	}

	for (int i = 0; i < nunits; i++)
		outcomes[i] = wh_queue_outcome(queue, i);
	dispatch->stopped = wh_queue_stopped(queue);
	warn_of_refusal(crew);
	wh_crew_dismiss(crew);

	return outcomes;
}

/*
 * Say why a worker could not connect: the work is done all the same, but not
 * as fast as it could be.
 */
static void
warn_of_refusal(const WhCrew *crew)
{
	const ErrorData *refusal = wh_crew_refusal(crew);
	const char *owner;
	char	   *hint;

	if (refusal == NULL)
		return;

	owner = quote_identifier(GetUserNameFromId(wh_owner_oid(), false));
	switch (refusal->sqlerrcode)
	{
		case ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION:
			hint = psprintf("ALTER ROLE %s LOGIN;", owner);
			break;
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			hint = psprintf("GRANT CONNECT ON DATABASE %s TO %s;",
							quote_identifier(get_database_name(MyDatabaseId)), owner);
			break;
		default:
			hint = "Mend it, or SET pg_warehouse.max_workers = 0 to do without workers.";
			break;
	}
	ereport(WARNING,
			(errcode(refusal->sqlerrcode),
			 errmsg("a background worker could not connect, so this session works alone"),
			 errdetail("%s%s%s", refusal->message, refusal->detail ? "\n" : "",
					   refusal->detail ? refusal->detail : ""),
			 errhint("%s", hint)));
}

/*
 * Deliver what workers have left to deliver, and do in this session what they
 * have not done; "outcomes" is NULL when there were none.
 */
static void
run_here(Dispatch *dispatch, const WhOutcome *outcomes)
{
	const WhRunOptions *options = dispatch->options;
	MemoryContext context = CurrentMemoryContext;
	WhPool	   *pool = wh_pool_open();

	if (!options->commits)
		wh_check_one_transaction(waiting_units(dispatch, outcomes));

	while (dispatch->next < list_length(dispatch->units))
	{
		WhUnit	   *unit = (WhUnit *) list_nth(dispatch->units, dispatch->next);
		WhOutcome	outcome = {WH_UNIT_WAITING, 0};
		WhRun		run;

		CHECK_FOR_INTERRUPTS();
		if (outcomes != NULL)
			outcome = outcomes[dispatch->next];
		if (outcome.state == WH_UNIT_DONE || outcome.state == WH_UNIT_LOST ||
			(dispatch->stopped && outcome.run_id != 0))
			deliver_outcome(dispatch, &outcome);
		else if (dispatch->stopped)
			dispatch->next++;
		else
		{
			unit->rules.may_refill = may_refill_here(unit, dispatch->units, options);
			unit->rules.settle = options->commits || !IsTransactionBlock();
			unit->rules.session_path = options->session_path;
			if (options->consistent)
				wh_pool_share_snapshot(pool, unit->tenant, unit->period.start);
			if (options->commits)
				run_until_over(unit, options, &run);
			else
				run_inside(unit, &run);
			MemoryContextSwitchTo(context);
			dispatch->stopped = options->stop_on_failure && run.error != NULL;
			deliver(dispatch, &run);
		}
	}
	wh_pool_close(pool);
}

/*
 * List the units that nobody has begun.
 */
static List *
waiting_units(const Dispatch *dispatch, const WhOutcome *outcomes)
{
	List	   *waiting = NIL;

	if (dispatch->stopped)
		return NIL;

	for (int i = dispatch->next; i < list_length(dispatch->units); i++)
	{
		if (outcomes == NULL || outcomes[i].state == WH_UNIT_WAITING)
			waiting = lappend(waiting, list_nth(dispatch->units, i));
	}

	return waiting;
}

/*
 * Tell the caller of the next unit.
 */
static void
deliver(Dispatch *dispatch, const WhRun *run)
{
	const WhUnit *unit = (const WhUnit *) list_nth(dispatch->units, dispatch->next++);

	dispatch->touched = wh_touch(dispatch->touched, unit, run);
	dispatch->on_result(dispatch->arg, unit, run);
}

/*
 * Deliver a unit that a worker had: what its row of the log says, or, where
 * the worker died over it, that it is lost.  To the caller that has failed.
 */
static void
deliver_outcome(Dispatch *dispatch, const WhOutcome *outcome)
{
	const WhUnit *unit = (const WhUnit *) list_nth(dispatch->units, dispatch->next);
	bool		lost = outcome->state == WH_UNIT_LOST;
	WhRole		caller;
	WhRun		run;

	begin(&caller);
	wh_unit_name(unit, &run);
	run.run_id = outcome->run_id;
	if (lost)
		wh_run_lost(&run);
	else
		wh_run_read(&run);
	end(&caller);

	wh_run_warn_of_archive(&run);
	if (lost)
		run.status = "failed";
	deliver(dispatch, &run);
}

/*
 * Run one unit in the caller's transaction.
 */
static void
run_inside(const WhUnit *unit, WhRun *run)
{
	WhTidy		tidy;

	wh_unit_run(unit, run);
	if (!unit->rollup)
		return;

	wh_tidy_begin(&tidy, unit->tmpl->name, unit->tenant->name, false);
	while (wh_tidy_step(&tidy))
		CHECK_FOR_INTERRUPTS();
}

/*
 * Run one unit in transactions of its own, again where its failure may pass.
 * Units that share a snapshot are repeated together, or not at all.
 */
static void
run_until_over(WhUnit *unit, const WhRunOptions *options, WhRun *run)
{
	MemoryContext context = CurrentMemoryContext;
	WhRetry		retry = {0};
	TimestampTz again;

	for (;;)
	{
		unit->attempts = retry.attempts;
		run_committed(unit, run);
		MemoryContextSwitchTo(context);
		if (options->consistent || !wh_retry_plan(&retry, run, &again))
			return;

		while (GetCurrentTimestamp() < again)
		{
			wh_retry_sleep(again);
			CHECK_FOR_INTERRUPTS();
		}
	}
}

/*
 * Run one unit in transactions of its own.
 */
static void
run_committed(const WhUnit *unit, WhRun *run)
{
	WhRole		caller;

	begin(&caller);
	wh_unit_start(unit, run);
	end(&caller);
	SPI_commit();
	if (run->reason != NULL)
		return;

	wh_unit_work_committed(unit, run, &transactions);
	wh_unit_settle(unit, &transactions);

	if (unit->rollup)
		wh_tidy_committed(unit->tmpl->name, unit->tenant->name);
}

/*
 * Drop what roll-ups have put out of use; see dispatch.h.
 */
void
wh_tidy_committed(const char *template_name, const char *tenant)
{
	MemoryContext context = CurrentMemoryContext;
	WhTidy		tidy;
	WhRole		caller;
	bool		more;

	begin(&caller);
	MemoryContextSwitchTo(context);
	wh_tidy_begin(&tidy, template_name, tenant, true);
	end(&caller);

	do
	{
		begin(&caller);
		MemoryContextSwitchTo(context);
		more = wh_tidy_step(&tidy);
		end(&caller);
		SPI_commit();
	} while (more);
	MemoryContextSwitchTo(context);
}

/*
 * Become the owner with a fresh snapshot: a procedure that has committed has
 * none, a function's is older than what workers have done since.
 */
static void
begin(WhRole *caller)
{
	start();
	wh_become_owner(caller);
}

static void
end(const WhRole *caller)
{
	wh_role_leave(caller);
	PopActiveSnapshot();
}

static void
start(void)
{
	PushActiveSnapshot(GetTransactionSnapshot());
}

static void
commit(void)
{
	PopActiveSnapshot();
	SPI_commit();
}
