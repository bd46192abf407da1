/*
 * load.c
 *		The ways that rows take into one relation, from a tenant or from a query
 *		here, and the choice among them.
 *
 * No rows stored: a first fill.  Rows stored: a delta, which becomes a refill
 * as soon as so much differs that writing everything is faster.  What has
 * arrived by then is not asked for again: the rows found equal are in the
 * relation, the others in the delta's window, and the stream goes on.
 *
 * A refill ends with a lock that stops readers until the commit, so it needs
 * the caller's leave.  If it cannot have that lock, its rows become a delta
 * after all.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "commands/matview.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/relcache.h"

#include "archive.h"
#include "csv.h"
#include "extract.h"
#include "fill.h"
#include "flat.h"
#include "guc.h"
#include "load.h"
#include "local.h"
#include "refill.h"
#include "settings.h"

/* A refill gains nothing below so many differences, or this part of all. */
#define FEW_ROWS 1000
#define MANY_ROWS_PERCENT 10

/* One load at work. */
typedef struct Load
{
	Relation	rel;
	const WhTemplate *tmpl;
	const WhTenant *tenant;
	const WhPeriod *period;
	const WhLoadRules *rules;
	int64		stored;
	bool		may_go_over;	/* from delta to refill */
	MemoryContext context;
	WhDelta    *delta;			/* NULL: rows go to refill.fill */
	WhRefill	refill;
	WhLoaded   *loaded;
} Load;

static const char *const method_names[] = {
	"", "first_fill", "delta", "refill", "upsert", "live"
};

static bool has_shrunk(const WhTemplate *tmpl, const WhTenant *tenant,
					   const WhPeriod *period, const WhLoadRules *rules,
					   int64 before, const WhFetched *fetched);
static void raise_shrunk(const WhTemplate *tmpl, const WhTenant *tenant,
						 const WhPeriod *period, int64 before,
						 const WhFetched *fetched, const char *why) pg_attribute_noreturn();
static void fill_row(void *arg, Datum *values, bool *isnull);
static void take_row(void *arg, Datum *values, bool *isnull);
static TupleTableSlot *next_stored(void *arg);
static void meet_stored(void *arg);
static void start(Load *load);
static void keep_bounds(Load *load);
static void go_over(Load *load, const char *reason);
static void start_refill(Load *load);
static void finish(Load *load);
static void finish_refill(Load *load);
static void apply_delta(Load *load);
static Bitmapset *key_of(Relation rel, const WhTemplate *tmpl);
static void apply_as_delta(Load *load);

WhMethod
wh_method_parse(const char *word)
{
	for (int i = WH_FIRST_FILL; i <= WH_LIVE; i++)
		if (strcmp(word, method_names[i]) == 0)
			return (WhMethod) i;

	return WH_CHOOSE;
}

const char *
wh_method_name(WhMethod method)
{
	return method_names[method];
}

/*
 * Fill a relation for the first time; see load.h.
 */
void
wh_load_new(Relation rel, const WhTemplate *tmpl, const WhTenant *tenant,
			const WhPeriod *period, const WhLoadRules *rules, WhLoaded *loaded)
{
	WhFill	   *fill = wh_fill_begin(rel, WH_FILL_NEW);
	WhRowSink	sink = {.row = fill_row,.arg = fill};
	int			level = wh_load_rows_begin(rules);

	wh_load_rows(tmpl, tenant, period, rules, &sink, &loaded->fetched);
	wh_archive_keep(rules->archive, &loaded->fetched);
	wh_load_rows_end(level);
	loaded->counts.inserted = wh_fill_end(fill);
	SetMatViewPopulatedState(rel, true);
	loaded->method = WH_FIRST_FILL;
	loaded->reason = "no rows were stored";
}

/*
 * Load a relation that is there; see load.h.
 */
void
wh_load_again(Relation rel, const WhTemplate *tmpl, const WhTenant *tenant,
			  const WhPeriod *period, const WhLoadRules *rules, int64 stored,
			  WhLoaded *loaded)
{
	Load		load = {0};
	WhRowSink	sink = {.row = take_row,.stored = next_stored,.met = meet_stored,.arg = &load};
	int			level = wh_load_rows_begin(rules);
	ErrorData  *error;

	load.rel = rel;
	load.tmpl = tmpl;
	load.tenant = tenant;
	load.period = period;
	load.rules = rules;
	load.stored = stored;
	load.context = CurrentMemoryContext;
	load.loaded = loaded;
	if (!wh_template_is_local(tmpl))
		wh_check_outbound();

	PG_TRY();
	{
		start(&load);
		wh_load_rows(tmpl, tenant, period, rules, &sink, &loaded->fetched);
		wh_load_check_shrink(tmpl, tenant, period, rules, stored,
							 &loaded->fetched);
		wh_archive_keep(rules->archive, &loaded->fetched);
		finish(&load);
	}
	PG_CATCH();
	{
		/* The subtransaction of the refill ends before ours can. */
		MemoryContextSwitchTo(load.context);
		error = CopyErrorData();
		FlushErrorState();
		wh_refill_cancel(&load.refill);
		ReThrowError(error);
	}
	PG_END_TRY();

	wh_load_rows_end(level);
}

/*
 * Prepare for rows that are written to, or read from, a file; see load.h.
 * Settings nest, and a delta may begin the subtransaction of a refill while the
 * rows come: so this is around both.
 */
int
wh_load_rows_begin(const WhLoadRules *rules)
{
	return rules->archive != NULL || rules->extract != NULL ? wh_csv_settings() : 0;
}

void
wh_load_rows_end(int level)
{
	if (level > 0)
		wh_csv_settings_end(level);
}

/*
 * Stream rows; see load.h.
 */
void
wh_load_rows(const WhTemplate *tmpl, const WhTenant *tenant, const WhPeriod *period,
			 const WhLoadRules *rules, WhRowSink *sink, WhFetched *fetched)
{
	if (rules->extract != NULL)
	{
		wh_extract_rows(rules->extract, tmpl, tenant, period, sink, fetched);
		return;
	}

	wh_load_tee(rules, sink);
	if (wh_template_is_local(tmpl))
		wh_local_rows(tmpl, tenant, period, rules->prove, sink, fetched);
	else
		wh_fetch(tmpl, tenant, period, rules->prove, sink, fetched);
}

void
wh_load_tee(const WhLoadRules *rules, WhRowSink *sink)
{
	if (rules->archive == NULL)
		return;
	sink->every = wh_archive_row;
	sink->every_arg = rules->archive;
}

/*
 * Keep what may be the only copy; see load.h.
 */
void
wh_load_check_shrink(const WhTemplate *tmpl, const WhTenant *tenant,
					 const WhPeriod *period, const WhLoadRules *rules,
					 int64 stored, const WhFetched *fetched)
{
	if (has_shrunk(tmpl, tenant, period, rules, stored, fetched))
		raise_shrunk(tmpl, tenant, period, stored, fetched,
					 "if the source has purged them, these rows are the only copy. They were kept.");
}

void
wh_load_check_lost(const WhTemplate *tmpl, const WhTenant *tenant,
				   const WhPeriod *period, const WhLoadRules *rules,
				   int64 known, const WhFetched *fetched)
{
	if (has_shrunk(tmpl, tenant, period, rules, known, fetched))
		raise_shrunk(tmpl, tenant, period, known, fetched,
					 "the rows that it had are not here any more, and the source may have purged them."
					 " Nothing was loaded: a backup, or the archive, can have them.");
}

/*
 * Has a closed day become so much smaller that nobody would have meant it?
 */
static bool
has_shrunk(const WhTemplate *tmpl, const WhTenant *tenant, const WhPeriod *period,
		   const WhLoadRules *rules, int64 before, const WhFetched *fetched)
{
	bool		shrunk = fetched->rows == 0 && before > 0;

	if (before >= tmpl->shrink_min_rows)
		shrunk |= (double) (before - fetched->rows) > tmpl->max_shrink * (double) before;

	return shrunk && !rules->accept_shrink && period->kind != WH_WHOLE &&
		fetched->as_of >= wh_period_span(period, tenant->time_zone).end;
}

static void
raise_shrunk(const WhTemplate *tmpl, const WhTenant *tenant, const WhPeriod *period,
			 int64 before, const WhFetched *fetched, const char *why)
{
	const char *day = wh_date_text(period->start);

	if (!wh_template_is_local(tmpl))
		wh_remote_failed_mark();
	ereport(ERROR,
			(errcode(ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION),
			 errmsg("a closed day came back with " INT64_FORMAT " of its "
					INT64_FORMAT " rows", fetched->rows, before),
			 errdetail("Tenant \"%s\", template \"%s\", day %s: %s",
					   tenant->name, tmpl->name, day, why),
			 errhint("If they are to go: SELECT * FROM _wh.%s(%s, %s, '%s', '%s', accept_shrink => true);",
					 wh_template_is_incremental(tmpl) ? "reconcile" : "wh_refresh",
					 quote_literal_cstr(tmpl->name), quote_literal_cstr(tenant->name),
					 day, day)));
}

/*
 * Compare what is stored with what the source has; see load.h.
 */
void
wh_load_prove(Relation rel, const WhRange *range, const WhTemplate *tmpl,
			  const WhTenant *tenant, const WhPeriod *period,
			  const WhFetched *fetched)
{
	char	   *condition = NULL;
	WhTally		stored;

	if (range != NULL)
		condition = wh_range_condition(range, psprintf("q.%s",
													   quote_identifier(tmpl->time_column)));
	wh_tally_stored(quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
											   RelationGetRelationName(rel)),
					RelationGetDescr(rel), condition, tmpl->columns, &stored);
	if (wh_tally_equal(&stored, &fetched->source))
		return;

	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("rows loaded are not those that the source has"),
			 errdetail("Tenant \"%s\", template \"%s\", %s: " INT64_FORMAT
					   " rows here, " INT64_FORMAT " at the source in the same snapshot%s.",
					   tenant->name, tmpl->name, period->kind == WH_WHOLE ? "all" :
					   psprintf("day %s", wh_date_text(period->start)),
					   stored.rows, fetched->source.rows,
					   stored.rows == fetched->source.rows ? ", of other content" : ""),
			 errhint("A query that answers differently each time it runs cannot be proved; else report it.")));
}

static void
fill_row(void *arg, Datum *values, bool *isnull)
{
	wh_fill_row((WhFill *) arg, values, isnull);
}

static void
take_row(void *arg, Datum *values, bool *isnull)
{
	Load	   *load = (Load *) arg;

	if (load->delta == NULL)
	{
		wh_fill_row(load->refill.fill, values, isnull);
		return;
	}
	wh_delta_row(load->delta, values, isnull);
	keep_bounds(load);
}

static TupleTableSlot *
next_stored(void *arg)
{
	WhDelta    *delta = ((Load *) arg)->delta;

	return delta ? wh_delta_next(delta) : NULL;
}

static void
meet_stored(void *arg)
{
	wh_delta_met(((Load *) arg)->delta);
}

/*
 * Choose, before the first row.  What is to be proved is read once more
 * afterwards, which a refill's lock should not wait for.
 */
static void
start(Load *load)
{
	const WhLoadRules *rules = load->rules;
	WhLoaded   *loaded = load->loaded;

	if (!load->rel->rd_rel->relispopulated)
	{
		loaded->method = WH_FIRST_FILL;
		loaded->reason = "no rows were stored";
		start_refill(load);
	}
	else if (rules->method == WH_REFILL)
	{
		loaded->method = WH_REFILL;
		loaded->reason = "asked for";
		start_refill(load);
	}
	else
	{
		loaded->method = WH_DELTA;
		loaded->reason = rules->method == WH_DELTA ? "asked for" : "rows were stored";
		load->may_go_over = rules->may_refill && !rules->prove &&
			rules->method == WH_CHOOSE && rules->range == NULL;
		load->delta = wh_delta_begin(load->rel, rules->range, load->may_go_over ?
									 Max(FEW_ROWS, load->stored * MANY_ROWS_PERCENT / 100) :
									 PG_INT64_MAX);
	}
}

/*
 * Let the delta not grow without bounds.
 */
static void
keep_bounds(Load *load)
{
	WhDeltaSize size = wh_delta_size(load->delta);
	MemoryContext context;

	if (size == WH_DELTA_FITS)
		return;

	context = MemoryContextSwitchTo(load->context);
	if (load->may_go_over)
		go_over(load, size == WH_DELTA_MEMORY ?
				"differences passed pg_warehouse.delta_memory; the source was not read again" :
				"more than 10 % of the rows differ; the source was not read again");
	else
	{
		wh_delta_make_room(load->delta);
		load->loaded->reason = "rows were stored; differences passed pg_warehouse.delta_memory where no refill could follow";
	}
	MemoryContextSwitchTo(context);
}

/*
 * Turn the delta into a refill in the middle of the stream.
 */
static void
go_over(Load *load, const char *reason)
{
	Tuplestorestate *spool = wh_flat_spool(CurrentResourceOwner);

	wh_delta_give_up(load->delta, spool);
	load->delta = NULL;
	load->loaded->method = WH_REFILL;
	load->loaded->reason = reason;
	start_refill(load);
	wh_fill_spool(load->refill.fill, spool);
}

static void
start_refill(Load *load)
{
	wh_refill_begin(&load->refill, load->rel);
}

/*
 * Put what has arrived in its place, after the last row.
 */
static void
finish(Load *load)
{
	while (load->delta != NULL && !wh_delta_rest(load->delta))
		keep_bounds(load);

	if (load->delta != NULL)
		apply_delta(load);
	else
		finish_refill(load);
}

static void
apply_delta(Load *load)
{
	wh_delta_apply(load->delta, key_of(load->rel, load->tmpl),
				   &load->loaded->counts);
}

/*
 * Find the columns by which a changed row is known again: the template's key,
 * else those of a unique index; NULL when there is neither.
 */
static Bitmapset *
key_of(Relation rel, const WhTemplate *tmpl)
{
	Bitmapset  *key = NULL;
	ListCell   *lc;

	foreach(lc, tmpl->key_columns)
		key = bms_add_member(key, get_attnum(RelationGetRelid(rel),
											 (const char *) lfirst(lc)));
	if (key != NULL)
		return key;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (index->rd_index->indisunique && index->rd_index->indisvalid &&
			RelationGetIndexPredicate(index) == NIL &&
			RelationGetIndexExpressions(index) == NIL)
		{
			for (int i = 0; i < index->rd_index->indnkeyatts; i++)
				key = bms_add_member(key, index->rd_index->indkey.values[i]);
		}
		index_close(index, NoLock);
		if (key != NULL)
			break;
	}

	return key;
}

static void
finish_refill(Load *load)
{
	WhLoaded   *loaded = load->loaded;

	if (wh_refill_finish(&load->refill, &loaded->counts.inserted,
						 &loaded->lock_ms))
		loaded->counts.deleted = load->stored;
	else
		apply_as_delta(load);
}

/*
 * Undo the refill and apply its rows to the old ones.
 */
static void
apply_as_delta(Load *load)
{
	Tuplestorestate *spool = wh_flat_spool(load->refill.owner);
	TupleTableSlot *slot;

	wh_refill_undo(&load->refill, spool);
	load->loaded->method = WH_DELTA;
	load->loaded->reason = "others left no moment for the lock of a refill";
	load->may_go_over = false;
	load->delta = wh_delta_begin(load->rel, NULL, PG_INT64_MAX);

	slot = MakeSingleTupleTableSlot(RelationGetDescr(load->rel),
									&TTSOpsMinimalTuple);
	while (tuplestore_gettupleslot(spool, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		wh_delta_row(load->delta, slot->tts_values, slot->tts_isnull);
		if (wh_delta_size(load->delta) != WH_DELTA_FITS)
			wh_delta_make_room(load->delta);
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(spool);
	while (!wh_delta_rest(load->delta))
		wh_delta_make_room(load->delta);
	apply_delta(load);
}
