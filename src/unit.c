/*
 * unit.c
 *		One piece of work: one template, tenant and period.
 *
 * A unit is contained: one tenant's failure is a row of the log and a word to
 * the caller, never the end of the others.
 */
#include "postgres.h"

#include "access/xact.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "admission.h"
#include "archive.h"
#include "catchup.h"
#include "compare.h"
#include "depend.h"
#include "due.h"
#include "extract.h"
#include "live.h"
#include "livetable.h"
#include "matview.h"
#include "rolledday.h"
#include "rollup.h"
#include "settings.h"
#include "slice.h"
#include "sync.h"
#include "unionview.h"
#include "unit.h"

static void show_inputs(WhRun *run, const WhUnit *unit);
static void show_inputs_of(WhRun *run, void *arg);
static void begin(const WhTransactions *transactions, WhRole *caller,
				  MemoryContext context);
static void commit(const WhTransactions *transactions, const WhRole *caller,
				   const WhRun *run);
static const char *reason_to_skip(const WhUnit *unit, WhRun *run);
static void restore_unit(const WhUnit *unit, WhRun *run);
static int64 extract_of(const WhUnit *unit);
static void recheck_unit(WhRun *run, void *arg);
static void load_unit(WhRun *run, void *arg);
static void choose_rows(WhRun *run, WhUnit *unit);
static void leave_rows(WhRun *run, const WhUnit *unit);
static void load_incremental(WhRun *run, const WhUnit *unit);
static void load_live(WhRun *run, const WhUnit *unit);
static void load_relation(WhRun *run, const WhUnit *unit, WhMatviewResult *result);
static bool load_rolled_day(WhRun *run, const WhUnit *unit, WhMatviewResult *result);
static void note_load(const WhRun *run, const WhUnit *unit, WhSlice *slice);
static List *kept_lines(const List *lines, MemoryContext context);
static void roll_up_unit(WhRun *run, void *arg);

/*
 * Make a unit; see unit.h.
 */
WhUnit *
wh_unit_make(const WhTemplate *tmpl, const WhTenant *tenant, WhPeriod period,
			 bool begun)
{
	WhUnit	   *unit = (WhUnit *) palloc0(sizeof(WhUnit));

	unit->tmpl = tmpl;
	unit->tenant = tenant;
	unit->period = period;
	unit->begun = begun;

	return unit;
}

/*
 * Run one unit; see unit.h.
 */
void
wh_unit_run(const WhUnit *unit, WhRun *run)
{
	WhUnit		now = *unit;
	WhRun		former;

	wh_unit_start(unit, run);
	if (run->reason == NULL && wh_catchup_find(unit, run))
	{
		/* A refill's lock would last until the other is done. */
		now.rules.may_refill = false;
		wh_catchup_load(&now, &former);
	}
	wh_unit_work(&now, run);
}

/*
 * Do the work in transactions of its own; see unit.h.
 */
void
wh_unit_work_committed(const WhUnit *unit, WhRun *run,
					   const WhTransactions *transactions)
{
	MemoryContext context = CurrentMemoryContext;
	bool		waiting = false;
	WhRole		caller;
	WhRun		former;

	if (unit->tmpl->archive)
	{
		begin(transactions, &caller, context);
		waiting = wh_catchup_find(unit, run);
		commit(transactions, &caller, run);
	}
	if (waiting)
	{
		begin(transactions, &caller, context);
		wh_catchup_load(unit, &former);
		commit(transactions, &caller, &former);
	}

	begin(transactions, &caller, context);
	wh_unit_work(unit, run);
	commit(transactions, &caller, run);
	MemoryContextSwitchTo(context);
}

/*
 * Move what is loaded; see unit.h.
 */
void
wh_unit_settle(const WhUnit *unit, const WhTransactions *transactions)
{
	MemoryContext context = CurrentMemoryContext;
	WhRole		caller;

	if (!unit->tmpl->archive || unit->rollup)
		return;

	begin(transactions, &caller, context);
	(void) wh_archive_settle(unit->tmpl->name, unit->tenant->name);
	wh_role_leave(&caller);
	transactions->commit();
	MemoryContextSwitchTo(context);
}

static void
begin(const WhTransactions *transactions, WhRole *caller, MemoryContext context)
{
	transactions->begin();
	wh_become_owner(caller);
	MemoryContextSwitchTo(context);
}

static void
commit(const WhTransactions *transactions, const WhRole *caller, const WhRun *run)
{
	wh_role_leave(caller);
	wh_unit_commits(run);
	transactions->commit();
}

/*
 * Tell the log that the unit begins.  Where the work is a transaction of its
 * own, views that a query reads here are brought up to date in this one,
 * whose commit lets their readers in again.
 */
void
wh_unit_start(const WhUnit *unit, WhRun *run)
{
	wh_unit_name(unit, run);
	run->reason = wh_admission_refusal(unit);
	wh_run_start(run, wh_unit_kind(unit));
	if (run->reason == NULL && unit->tmpl->depends_on != NIL &&
		!unit->rollup && unit->begun)
		show_inputs(run, unit);
	if (run->reason == NULL)
		return;

	run->status = "skipped";
	wh_run_finish(run);
}

const char *
wh_unit_kind(const WhUnit *unit)
{
	if (unit->rollup)
		return "rollup";
	if (unit->replays != 0)
		return "replay";

	return unit->purpose == WH_LOAD || unit->purpose == WH_RESTORE
		? "refresh" : "reconcile";
}

/*
 * Begin a run with the unit's names.
 */
void
wh_unit_name(const WhUnit *unit, WhRun *run)
{
	memset(run, 0, sizeof(WhRun));
	run->template_name = unit->tmpl->name;
	run->tenant_name = unit->tenant->name;
	run->period = &unit->period;
	run->table_name = psprintf("%s.%s", unit->tenant->schema, unit->tmpl->name);
	run->attempts = unit->attempts;
	run->as_of = DT_NOBEGIN;
	run->place = -1;
}

/*
 * Do what wh_unit_start() announced, and tell the log how it ended.
 */
void
wh_unit_work(const WhUnit *unit, WhRun *run)
{
	if (run->reason != NULL)
		return;

	run->reason = reason_to_skip(unit, run);
	if (run->reason != NULL)
		run->status = "skipped";
	else
	{
		wh_run_reap(run);
		if (unit->purpose == WH_RESTORE)
			restore_unit(unit, run);
		else
			wh_run_contained(run, unit->rollup ? roll_up_unit :
							 unit->purpose == WH_RECHECK ? recheck_unit : load_unit,
							 unconstify(WhUnit *, unit));
		if (run->postponed)
		{
			run->reason = run->error->message;
			run->status = "skipped";
			run->error = NULL;
		}
		wh_admission_leave(unit, run);
	}
	wh_run_finish(run);
}

/*
 * Load an extract for a run of before; see unit.h.
 */
void
wh_unit_load_again(const WhUnit *unit, WhRun *run)
{
	wh_run_contained(run, load_unit, unconstify(WhUnit *, unit));
	wh_run_finish(run);
}

/*
 * Bring back what nobody can read any more: as it was, where the archive has
 * that, else as the source has it now.
 */
static void
restore_unit(const WhUnit *unit, WhRun *run)
{
	WhUnit		archived = *unit;

	archived.replays = extract_of(unit);
	if (archived.replays != 0)
	{
		wh_run_contained(run, load_unit, &archived);
		if (run->error == NULL)
			return;

		wh_run_warn(run);
		run->error = NULL;
		run->replays = 0;
	}
	wh_run_contained(run, load_unit, unconstify(WhUnit *, unit));
}

/*
 * Find the run whose extract is all that the unit's day held when it had
 * closed; 0: there is none.
 */
static int64
extract_of(const WhUnit *unit)
{
	const WhSlice *slice = wh_slice_find(unit->tmpl->name, unit->tenant->name,
										 &unit->period);
	const WhUpload *upload;

	if (slice == NULL || slice->run_id == 0 ||
		slice->as_of < wh_period_span(&unit->period, unit->tenant->time_zone).end)
		return 0;
	upload = wh_upload(slice->run_id);

	return upload != NULL && upload->archived.path != NULL ? upload->run_id : 0;
}

/*
 * Let the commit of a refill not wait for a standby: its AccessExclusiveLock
 * would last as long.  The standby gets the rows as soon as it can; should all
 * be lost before, the next refresh brings them again.
 */
void
wh_unit_commits(const WhRun *run)
{
	if (run->method == NULL ||
		strcmp(run->method, wh_method_name(WH_REFILL)) != 0 ||
		synchronous_commit <= SYNCHRONOUS_COMMIT_LOCAL_FLUSH)
		return;

	(void) set_config_option("synchronous_commit", "local",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
							 true, 0, false);
}

/*
 * Say why the day is left alone; see unit.h.
 */
const char *
wh_unit_kept_out(const WhUnit *unit)
{
	if (!unit->begun)
		return psprintf("day %s has not begun in the time zone of tenant \"%s\"",
						wh_date_text(unit->period.start), unit->tenant->name);
	if (wh_due_is_frozen(unit->tmpl, unit->tenant, unit->period.start))
		return psprintf("day %s of template \"%s\" is frozen",
						wh_date_text(unit->period.start), unit->tmpl->name);

	return NULL;
}

void
wh_unit_input_lost(const WhUnit *unit, WhRun *run, const char *input)
{
	run->input = pstrdup(input);
	run->reason = wh_depend_failed(unit->tmpl, unit->tenant, input);
	run->status = "skipped";
	wh_run_finish(run);
}

const char *
wh_unit_held_up(const WhUnit *unit)
{
	const char *reason = wh_unit_kept_out(unit);

	return reason != NULL ? reason : wh_admission_refusal(unit);
}

const char *
wh_unit_tenant_gone(const char *tenant)
{
	return psprintf("tenant \"%s\" was dropped or renamed meanwhile", tenant);
}

/*
 * Have the tenant's views of the inputs show what this run has loaded; a run
 * does that for people at its end.  Where it fails, the unit has its reason.
 */
static void
show_inputs(WhRun *run, const WhUnit *unit)
{
	WhRun		showing = {0};

	wh_run_contained(&showing, show_inputs_of, unconstify(WhUnit *, unit));
	if (showing.error != NULL)
		run->reason = psprintf("a view that template \"%s\" reads could not be brought up to date: %s",
							   unit->tmpl->name, showing.error->message);
}

static void
show_inputs_of(WhRun *run, void *arg)
{
	const WhUnit *unit = (const WhUnit *) arg;
	ListCell   *lc;

	run->status = "loaded";
	foreach(lc, wh_depend_inputs(unit->tmpl))
	{
		const WhTemplate *input = (const WhTemplate *) lfirst(lc);

		if (wh_template_is_daily(input) &&
			wh_slices(input->name, unit->tenant->name) != NIL)
			(void) wh_unionview_tenant(input, unit->tenant);
	}
}

/*
 * Say why a unit is not run now, or NULL.  Takes the pair's object lock, which
 * stays until the end of the transaction.
 */
static const char *
reason_to_skip(const WhUnit *unit, WhRun *run)
{
	const WhSlice *slice;
	const char *reason;

	if (!unit->begun)
		return wh_unit_kept_out(unit);
	if (!wh_slice_try_lock(unit->tmpl->name, unit->tenant->name))
		return psprintf("template \"%s\" is already being refreshed for tenant \"%s\"",
						unit->tmpl->name, unit->tenant->name);
	if (wh_tenant_find(unit->tenant->name) == NULL)
		return wh_unit_tenant_gone(unit->tenant->name);

	if (unit->replays != 0)
		return NULL;

	slice = wh_slice_covering(unit->tmpl->name, unit->tenant->name, unit->period.start);
	if (unit->rollup)
		return slice != NULL && slice->period.kind >= unit->period.kind &&
			OidIsValid(wh_slice_relid(slice)) ?
			psprintf("template \"%s\" is already rolled up in \"%s.%s\"", unit->tmpl->name,
					 slice->relation_schema, slice->relation_name) : NULL;

	reason = wh_unit_kept_out(unit);
	if (reason == NULL && wh_template_is_local(unit->tmpl))
		reason = wh_depend_hindrance(unit->tmpl, unit->tenant, &unit->period, &run->input);

	return reason != NULL ? reason : wh_admission_enter(unit, run);
}

/*
 * Compare the day with the source, and load it if it differs.
 */
static void
recheck_unit(WhRun *run, void *arg)
{
	const WhUnit *unit = (const WhUnit *) arg;
	WhComparison *found = wh_compare_day(unit->tmpl, unit->tenant, &unit->period);

	if (!found->equal)
	{
		load_unit(run, arg);
		return;
	}

	wh_compare_confirm(found);
	run->status = "loaded";
	run->choice = "equal to the source";
	run->rows_extracted = found->source.rows;
	run->rows_unchanged = found->source.rows;
	run->as_of = found->as_of;
}

/*
 * The work of a unit: load the relation, then say so in the ledger.
 */
static void
load_unit(WhRun *run, void *arg)
{
	WhUnit		unit = *(const WhUnit *) arg;
	WhMatviewResult result = {0};
	const WhLoaded *loaded = &result.loaded;

	if (wh_template_is_live(unit.tmpl))
	{
		load_live(run, &unit);
		return;
	}

	choose_rows(run, &unit);
	if (wh_template_is_incremental(unit.tmpl))
	{
		load_incremental(run, &unit);
		leave_rows(run, &unit);
		return;
	}
	if (!load_rolled_day(run, &unit, &result))
		load_relation(run, &unit, &result);

	run->status = "loaded";
	run->method = wh_method_name(loaded->method);
	run->choice = loaded->reason;
	run->drift = kept_lines(loaded->fetched.drift, run->context);
	if (loaded->fetched.inputs != NULL)
		run->inputs = MemoryContextStrdup(run->context, loaded->fetched.inputs);
	run->rows_extracted = loaded->fetched.rows;
	run->rows_inserted = loaded->counts.inserted;
	run->rows_updated = loaded->counts.updated;
	run->rows_deleted = loaded->counts.deleted;
	run->rows_unchanged = loaded->counts.unchanged;
	run->bytes = loaded->fetched.bytes;
	run->fetch_ms = loaded->fetched.fetch_ms;
	run->load_ms = result.load_ms;
	run->lock_ms = loaded->lock_ms;
	run->as_of = loaded->fetched.as_of;
	leave_rows(run, &unit);
}

/*
 * Say where rows come from, and whether the archive sees them.
 */
static void
choose_rows(WhRun *run, WhUnit *unit)
{
	const WhUpload *upload;

	if (unit->replays == 0)
	{
		if (unit->tmpl->archive)
			unit->rules.archive = wh_archive_begin(unit->tmpl, unit->tenant, run);
		return;
	}

	upload = wh_upload(unit->replays);
	if (upload == NULL || upload->archived.path == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the archive has no extract of run " INT64_FORMAT, unit->replays),
				 errhint("SELECT run_id, csv_path FROM _wh.extract_runs WHERE csv_path IS NOT NULL;")));
	if (unit->replays != run->run_id)
		run->replays = unit->replays;
	unit->rules.prove = false;
	unit->rules.extract = wh_extract_open(upload);
}

/*
 * Be done with the rows.  The extract of another run is this one's from now on,
 * too, and has been loaded.
 */
static void
leave_rows(WhRun *run, const WhUnit *unit)
{
	MemoryContext caller;

	if (unit->rules.extract == NULL)
		return;
	wh_extract_close(unit->rules.extract);
	if (run->replays == 0)
		return;

	wh_upload_loaded(run->replays, run);
	caller = MemoryContextSwitchTo(run->context);
	run->archived = wh_upload(run->replays)->archived;
	MemoryContextSwitchTo(caller);
}

/*
 * Load a day, or a whole, that is a relation of its own.
 */
static void
load_relation(WhRun *run, const WhUnit *unit, WhMatviewResult *result)
{
	const WhLoaded *loaded = &result->loaded;
	WhSlice		slice = {0};

	wh_matview_load(unit->tmpl, unit->tenant, &unit->period, &unit->rules, result);

	slice.relation_schema = result->schema;
	slice.relation_name = result->name;
	slice.row_count = loaded->fetched.rows;
	slice.size_bytes = result->size_bytes;
	slice.as_of = loaded->fetched.as_of;
	slice.method = unconstify(char *, wh_method_name(loaded->method));
	slice.template_version = unit->tmpl->version;
	slice.content_hash = result->content_hash;
	slice.query_hash = result->query_hash;
	note_load(run, unit, &slice);

	/* In its place may have been a live view, the last on its tables. */
	if (result->replaced)
		(void) wh_livetables_tidy(wh_live_schema(unit->tenant->schema));
}

/*
 * Load what is new of an incremental template; when nothing is, the ledger
 * need not be written.
 */
static void
load_incremental(WhRun *run, const WhUnit *unit)
{
	WhLoadRules rules = unit->rules;
	WhSynced	synced = {0};
	WhSlice		slice = {0};

	rules.drop_gone = unit->purpose == WH_MEND && unit->days.given;
	wh_sync_load(unit->tmpl, unit->tenant, &unit->days, &rules, &synced);

	run->status = "loaded";
	run->method = wh_method_name(synced.method);
	run->choice = synced.reason;
	run->drift = kept_lines(synced.fetched.drift, run->context);
	run->rows_extracted = synced.fetched.rows;
	run->rows_inserted = synced.counts.inserted;
	run->rows_updated = synced.counts.updated;
	run->rows_deleted = synced.deleted;
	run->rows_unchanged = synced.counts.unchanged;
	run->bytes = synced.fetched.bytes;
	run->fetch_ms = synced.fetched.fetch_ms;
	run->load_ms = synced.load_ms;
	run->lock_ms = synced.lock_ms;
	run->as_of = synced.fetched.as_of;
	if (!synced.news)
		return;

	slice.relation_schema = synced.schema;
	slice.relation_name = synced.name;
	slice.row_count = synced.stored;
	slice.size_bytes = synced.size_bytes;
	slice.as_of = synced.fetched.as_of;
	slice.method = unconstify(char *, run->method);
	slice.template_version = synced.version;
	note_load(run, unit, &slice);
	if (synced.method == WH_FIRST_FILL)
		(void) wh_livetables_tidy(wh_live_schema(unit->tenant->schema));
}

/*
 * Make or mend a live template's view: no rows, no bytes.
 */
static void
load_live(WhRun *run, const WhUnit *unit)
{
	WhLived		lived = {0};
	WhSlice		slice = {0};

	wh_live_load(unit->tmpl, unit->tenant, &unit->rules, &lived);

	run->status = "loaded";
	run->method = wh_method_name(WH_LIVE);
	run->choice = lived.reason;
	run->drift = kept_lines(lived.drift, run->context);
	run->fetch_ms = lived.fetch_ms;
	run->load_ms = lived.load_ms;
	run->lock_ms = lived.lock_ms;
	run->as_of = lived.as_of;

	slice.relation_schema = lived.schema;
	slice.relation_name = lived.name;
	slice.row_count = -1;
	slice.as_of = lived.as_of;
	slice.method = unconstify(char *, run->method);
	slice.template_version = unit->tmpl->version;
	note_load(run, unit, &slice);
}

/*
 * Tell the ledger of a relation that was loaded.
 */
static void
note_load(const WhRun *run, const WhUnit *unit, WhSlice *slice)
{
	slice->template_name = unit->tmpl->name;
	slice->tenant_name = unit->tenant->name;
	slice->period = unit->period;
	slice->state = "loaded";
	slice->last_refresh = GetCurrentTimestamp();
	slice->run_id = run->run_id;
	wh_slice_bind(slice, unit->tmpl, unit->tenant->time_zone);
	wh_slice_put(slice);
}

/*
 * Copy lines to a context that outlives the work.
 */
static List *
kept_lines(const List *lines, MemoryContext context)
{
	MemoryContext caller = MemoryContextSwitchTo(context);
	List	   *kept = NIL;
	ListCell   *lc;

	foreach(lc, lines)
		kept = lappend(kept, pstrdup((const char *) lfirst(lc)));
	MemoryContextSwitchTo(caller);

	return kept;
}

/*
 * Load a day that a month's or a year's table holds; false when it is in none.
 * A table that somebody has dropped holds nothing: its days are missing from
 * now on, and this one is loaded by itself.
 */
static bool
load_rolled_day(WhRun *run, const WhUnit *unit, WhMatviewResult *result)
{
	const WhSlice *table = wh_slice_covering(unit->tmpl->name, unit->tenant->name,
											 unit->period.start);

	if (table == NULL || table->period.kind == WH_DAY)
		return false;

	if (OidIsValid(wh_slice_relid(table)))
	{
		wh_rolledday_load(unit->tmpl, unit->tenant, &unit->period, table,
						  &unit->rules, run->run_id, result);
		return true;
	}

	ereport(WARNING,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("table \"%s.%s\" is gone, and the %s from %s with it",
					table->relation_schema, table->relation_name,
					wh_period_kind_name(table->period.kind),
					wh_date_text(table->period.start)),
			 errdetail("Tenant \"%s\", template \"%s\".", unit->tenant->name,
					   unit->tmpl->name),
			 errhint("What the source still has: SELECT * FROM _wh.wh_refresh(%s, %s, '%s', '%s');",
					 quote_literal_cstr(unit->tmpl->name),
					 quote_literal_cstr(unit->tenant->name),
					 wh_date_text(table->period.start),
					 wh_date_text(table->period.end - 1))));
	wh_slices_forget_within(unit->tmpl->name, unit->tenant->name, &table->period);

	return false;
}

/*
 * The work of a unit that rolls up.
 */
static void
roll_up_unit(WhRun *run, void *arg)
{
	const WhUnit *unit = (const WhUnit *) arg;
	WhRollup   *rollup = wh_rollup_find(unit->tmpl, unit->tenant, &unit->period);
	instr_time	begun;
	instr_time	elapsed;

	INSTR_TIME_SET_CURRENT(begun);
	wh_rollup_check(rollup, unit->allow_gaps);
	wh_rollup_make(rollup, run->run_id);
	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, begun);

	run->status = "loaded";
	run->method = "rollup";
	run->rows_extracted = run->rows_inserted = rollup->rows;
	run->bytes = rollup->bytes;
	run->load_ms = INSTR_TIME_GET_MILLISEC(elapsed);
	run->as_of = rollup->as_of;
}
