/*
 * worker.c
 *		What a background worker does: take a unit, run it, commit, until the
 *		queue has none for it.
 *
 * It is a session of the owner's without a client.  What ALTER ROLE or ALTER
 * DATABASE says about read-only transactions, isolation, search path, time
 * zone and timeouts does not reach it; the caller's settings do.  A unit is two
 * transactions, one that tells the log that it begins and one that does it, so
 * its row survives whatever happens.  SIGINT ends the unit at hand, SIGTERM
 * the worker.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "libpq/pqmq.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "guc.h"
#include "pool.h"
#include "queue.h"
#include "refresh.h"
#include "rollup.h"
#include "settings.h"
#include "worker.h"

static bool serving = false;
static char *owner_path;		/* search_path as roles and database have it */

static void connect_as_owner(dsm_segment *segment, WhQueue *queue, int me);
static void set(const char *name, const char *value);
static WhPool *reopen(WhPool *pool);
static void show_activity(const WhClaim *claim);
static bool next_claim(WhQueue *queue, int me, WhClaim *claim, WhPool **pool);
static WhRun *run_claim(WhQueue *queue, int me, const WhClaim *claim, WhPool *pool);
static void announce(const WhClaim *claim, WhUnit *unit, WhRun *run);
static void settle(const WhUnit *unit);
static void tidy(const WhClaim *claim);
static void log_failure(WhRun *run, const char *kind);
static void begin(WhRole *caller);
static void start(void);
static void commit(void);

static const WhTransactions transactions = {start, commit};

/*
 * Serve one queue, then end.
 */
void
wh_worker_main(Datum main_arg)
{
	dsm_segment *segment;
	WhQueue    *queue;
	WhClaim		claim;
	MemoryContext context;
	WhPool	   *pool = NULL;
	const char *tenant = NULL;
	int			me;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	memcpy(&me, MyBgworkerEntry->bgw_extra, sizeof(me));

	/* The leader may have given up before we came. */
	segment = dsm_attach(DatumGetUInt32(main_arg));
	if (segment == NULL)
		proc_exit(0);

	serving = true;
	queue = wh_queue_of(segment);
	connect_as_owner(segment, queue, me);
	owner_path = MemoryContextStrdup(TopMemoryContext,
									 GetConfigOption("search_path", false, false));
	wh_worker_pin(wh_queue_settings(queue));
	wh_queue_enter(queue, me);

	context = AllocSetContextCreate(TopMemoryContext, "pg_warehouse worker",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	while (next_claim(queue, me, &claim, &pool))
	{
		const WhRun *run;
		TimestampTz again;

		/* Others may be at the last tenant now: it allows so many of us. */
		if (pool == NULL || tenant != claim.tenant_name)
			pool = reopen(pool);
		tenant = claim.tenant_name;

		show_activity(&claim);
		run = run_claim(queue, me, &claim, pool);
		if (claim.rollup)
			tidy(&claim);
		pgstat_report_activity(STATE_IDLE, NULL);

		/* Units that share a snapshot are repeated together, or not at all. */
		if (!claim.consistent && wh_retry_plan(&claim.retry, run, &again))
			wh_queue_put_back(queue, me, &claim.retry, again,
							  run->server_failed || run->reason != NULL);
		else
			wh_queue_done(queue, me, run->error != NULL);
		MemoryContextReset(context);
	}
	if (pool != NULL)
		wh_pool_close(pool);

	proc_exit(0);
}

/*
 * Pin what roles and databases may have settings for, and take the caller's;
 * see worker.h.
 * There is always a lock timeout: a leader that holds a lock which its worker
 * wants is a deadlock that nobody detects.
 */
void
wh_worker_pin(const List *settings)
{
	char		lock_timeout[32];

	set("default_transaction_read_only", "off");
	set("default_transaction_deferrable", "off");
	set("default_transaction_isolation", "read committed");
	set("search_path", "pg_catalog, pg_temp");
	set("TimeZone", "UTC");
	set("statement_timeout", "0");
	set("idle_in_transaction_session_timeout", "0");
	set("transaction_timeout", "0");

	for (int i = 0; i < list_length(settings); i += 2)
		set((const char *) list_nth(settings, i),
			(const char *) list_nth(settings, i + 1));

	snprintf(lock_timeout, sizeof(lock_timeout), "%d", Max(wh_lock_deadline, 1));
	set("lock_timeout", lock_timeout);
}

bool
wh_in_worker(void)
{
	return serving;
}

/*
 * Become a session of the owner's.  An error of connecting goes to the leader;
 * what is said later goes to the server's log, since nobody would read it.
 */
static void
connect_as_owner(dsm_segment *segment, WhQueue *queue, int me)
{
	shm_mq	   *words = wh_queue_words(queue, me);

	shm_mq_set_sender(words, MyProc);
	pq_redirect_to_shm_mq(segment, shm_mq_attach(words, segment, NULL));
	BackgroundWorkerInitializeConnectionByOid(wh_queue_database(queue),
											  wh_queue_owner(queue),
											  WH_WORKER_CONNECT_FLAGS);
	whereToSendOutput = DestNone;
}

/*
 * Set a setting for the session, if this server has it.
 */
static void
set(const char *name, const char *value)
{
	if (GetConfigOption(name, true, false) != NULL)
		SetConfigOption(name, value, PGC_USERSET, PGC_S_SESSION);
}

/*
 * Keep no connection of before, but those to come.
 */
static WhPool *
reopen(WhPool *pool)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

	if (pool != NULL)
		wh_pool_close(pool);
	pool = wh_pool_open();
	MemoryContextSwitchTo(caller);

	return pool;
}

/*
 * Show people what is being worked at: query and application_name.
 */
static void
show_activity(const WhClaim *claim)
{
	bool		whole = claim->period.kind == WH_WHOLE;
	char	   *name = psprintf("pg_warehouse %s %s/%s%s%s",
								claim->rollup ? "roll-up" : "refresh",
								claim->template_name, claim->tenant_name,
								whole ? "" : " ",
								whole ? "" : wh_date_text(claim->period.start));

	SetCurrentStatementStartTimestamp();
	pgstat_report_activity(STATE_RUNNING, name);
	name[pg_mbcliplen(name, (int) strlen(name), NAMEDATALEN - 1)] = '\0';
	set("application_name", name);
}

/*
 * Take the next unit, or wait until there is one to be tried again; false when
 * there is nothing left to do.  A cancel stops the queue before it gets here.
 */
static bool
next_claim(WhQueue *queue, int me, WhClaim *claim, WhPool **pool)
{
	TimestampTz again;

	while (!wh_queue_claim(queue, me, claim, &again))
	{
		if (again == DT_NOEND)
			return false;

		/* Nobody is kept a connection for while we do nothing. */
		if (*pool != NULL)
			wh_pool_close(*pool);
		*pool = NULL;
		wh_retry_sleep(again);
		if (ProcDiePending)
			CHECK_FOR_INTERRUPTS();
	}

	return true;
}

/*
 * Run one unit; returns how it ended.
 */
static WhRun *
run_claim(WhQueue *queue, int me, const WhClaim *claim, WhPool *pool)
{
	MemoryContext context = CurrentMemoryContext;
	WhUnit	   *unit = (WhUnit *) palloc0(sizeof(WhUnit));
	WhRun	   *run = (WhRun *) palloc0(sizeof(WhRun));
	ErrorData  *volatile error = NULL;

	unit->period = claim->period;
	unit->days = claim->days;
	unit->rollup = claim->rollup;
	unit->allow_gaps = claim->allow_gaps;
	unit->begun = claim->begun;
	unit->named = claim->named;
	unit->attempts = claim->retry.attempts;
	unit->purpose = claim->purpose;
	unit->replays = claim->replays;
	unit->rules = claim->rules;
	unit->rules.may_refill = true;
	unit->rules.settle = true;
	unit->rules.session_path = owner_path;

	PG_TRY();
	{
		announce(claim, unit, run);
		wh_queue_logged(queue, me, run->run_id);
		MemoryContextSwitchTo(context);
		if (unit->tenant != NULL)
		{
			if (claim->consistent)
				wh_pool_share_snapshot(pool, unit->tenant, claim->period.start);
			wh_unit_work_committed(unit, run, &transactions);
		}
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
	}
	PG_END_TRY();

	MemoryContextSwitchTo(context);
	if (error == NULL)
	{
		if (run->reason == NULL)
			settle(unit);
		return run;
	}

	/* Should this fail too, the worker ends and the unit is lost. */
	run->error = error;
	run->may_pass = false;
	log_failure(run, wh_unit_kind(unit));
	wh_queue_logged(queue, me, run->run_id);
	MemoryContextSwitchTo(context);

	return run;
}

/*
 * Look up what the claim names, and tell the log that it begins; or, where the
 * tenant is no longer there, that it is skipped.  Until the log has heard, the
 * run has the claim's names.
 */
static void
announce(const WhClaim *claim, WhUnit *unit, WhRun *run)
{
	MemoryContext context = CurrentMemoryContext;
	WhRole		caller;

	run->template_name = claim->template_name;
	run->tenant_name = claim->tenant_name;
	run->period = &unit->period;

	begin(&caller);
	MemoryContextSwitchTo(context);
	unit->tmpl = wh_template(claim->template_name);
	unit->tenant = wh_tenant_find(claim->tenant_name);
	if (unit->tenant != NULL)
	{
		wh_unit_start(unit, run);
		if (claim->lost_input != NULL && run->reason == NULL)
			wh_unit_input_lost(unit, run, claim->lost_input);
	}
	else
	{
		run->reason = wh_unit_tenant_gone(claim->tenant_name);
		run->status = "skipped";
		wh_run_start(run, wh_unit_kind(unit));
		wh_run_finish(run);
	}
	wh_role_leave(&caller);
	commit();
}

/*
 * Move the extracts that have been loaded, whatever becomes of this: the next
 * run tries again.
 */
static void
settle(const WhUnit *unit)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		wh_unit_settle(unit, &transactions);
	}
	PG_CATCH();
	{
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
	}
	PG_END_TRY();

	MemoryContextSwitchTo(context);
}

/*
 * Drop what a roll-up has put out of use, each step committed.  The roll-up
 * has succeeded, whatever becomes of this: the next one tries again.
 */
static void
tidy(const WhClaim *claim)
{
	MemoryContext context = CurrentMemoryContext;
	WhTidy		tidy;

	PG_TRY();
	{
		bool		more;
		WhRole		caller;

		begin(&caller);
		MemoryContextSwitchTo(context);
		wh_tidy_begin(&tidy, claim->template_name, claim->tenant_name, true);
		wh_role_leave(&caller);
		commit();

		do
		{
			begin(&caller);
			MemoryContextSwitchTo(context);
			more = wh_tidy_step(&tidy);
			wh_role_leave(&caller);
			commit();
		} while (more);
	}
	PG_CATCH();
	{
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
	}
	PG_END_TRY();

	MemoryContextSwitchTo(context);
}

/*
 * Log what ended a unit from outside: it was cancelled, or its template or
 * tenant is gone.
 */
static void
log_failure(WhRun *run, const char *kind)
{
	MemoryContext context = CurrentMemoryContext;
	WhRole		caller;

	begin(&caller);
	MemoryContextSwitchTo(context);
	if (run->run_id == 0)
		wh_run_start(run, kind);
	run->status = "failed";
	wh_run_finish(run);
	wh_role_leave(&caller);
	commit();
}

static void
begin(WhRole *caller)
{
	start();
	wh_become_owner(caller);
}

static void
start(void)
{
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
}

static void
commit(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(true);
}
