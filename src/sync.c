/*
 * sync.c
 *		Bring one incremental template's table up to what a tenant has
 *		committed.
 *
 * Rows, watermark and the row of the log are one transaction, so a run that
 * dies has done nothing, and the next one reads the same rows.
 *
 * Which rows those are is window's, what the source is asked bound's and
 * keyed's, what the table may be synctable's, how rows get into it upsert's and
 * out of it gone's.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "archive.h"
#include "bound.h"
#include "conn.h"
#include "extract.h"
#include "fill.h"
#include "flat.h"
#include "gone.h"
#include "kept.h"
#include "keyed.h"
#include "lock.h"
#include "matview.h"
#include "names.h"
#include "role.h"
#include "settings.h"
#include "spi.h"
#include "sync.h"
#include "synctable.h"
#include "window.h"

/* What a source sends meanwhile has room in the buffers between us. */
#define PART_ROWS 2000

/* One run at work. */
typedef struct Sync
{
	const WhTemplate *tmpl;
	const WhTenant *tenant;
	const WhDays *days;
	const WhLoadRules *rules;
	MemoryContext context;		/* outlives the fetch */
	WhSyncTable table;
	WhWindow	window;
	WhFill	   *fill;			/* of a new table, */
	List	   *key_attnums;	/* none of which may be null; or */
	bool		mends;			/* rows that are gone go, too */
	bool		furnished;		/* with what the owner put on it */
	Tuplestorestate *rows;		/* what arrived for one that is there */
	int64		nrows;			/* in it */
	double		meanwhile_ms;	/* writing while the source was sending */
	List	   *key_types;		/* of char *, as the source has them */
	WhGone	   *gone;			/* where rows are to go; and of these */
	const char *suspects;		/* the condition for some at the source, */
	Tuplestorestate *found;		/* and what it has of them */
	int64		nfound;
	WhSynced   *synced;
} Sync;

static bool has_base(const WhSyncTable *table);
static void begin(Sync *sync);
static void check_session(const Sync *sync);
static void check_base(const Sync *sync);
static void load(Sync *sync);
static void load_new(Sync *sync);
static void load_again(Sync *sync);
static void fill_row(void *arg, Datum *values, bool *isnull);
static void raise_null_key(const Sync *sync, int attnum) pg_attribute_noreturn();
static void keep_row(void *arg, Datum *values, bool *isnull);
static void fetch(Sync *sync, void (*row) (void *arg, Datum *values, bool *isnull));
static void upsert_meanwhile(Sync *sync);
static void drop_gone(Sync *sync);
static void seek_suspects(Sync *sync);
static char *give_suspects(void *arg, WhConn *conn);
static void check_nothing(void *arg, WhConn *conn, const char *query,
						  const WhRemoteColumns *remote);
static void keep_found(void *arg, Datum *values, bool *isnull);
static void write_as_owner(Sync *sync, void (*write) (Sync *sync));
static void upsert(Sync *sync);
static void delete_and_move(Sync *sync);
static void settle(Sync *sync);
static void upsert_rows(Sync *sync, Tuplestorestate *rows, int64 nrows);
static char *set_window(void *arg, WhConn *conn);
static void prove(void *arg, WhConn *conn, const char *query,
				  const WhRemoteColumns *remote);
static void finish(Sync *sync);
static void name_the_pair(const Sync *sync);

/*
 * Load what is new; see sync.h.
 */
void
wh_sync_load(const WhTemplate *tmpl, const WhTenant *tenant, const WhDays *days,
			 const WhLoadRules *rules, WhSynced *synced)
{
	Sync		sync = {0};
	int			nestlevel = wh_lock_bound();

	sync.tmpl = tmpl;
	sync.tenant = tenant;
	sync.days = days;
	sync.rules = rules;
	sync.context = CurrentMemoryContext;
	sync.synced = synced;

	PG_TRY();
	{
		begin(&sync);
		load(&sync);
		finish(&sync);
	}
	PG_CATCH();
	{
		name_the_pair(&sync);
	}
	PG_END_TRY();

	wh_lock_unbound(nestlevel);
}

bool
wh_sync_is_filled(const WhTemplate *tmpl, const WhTenant *tenant)
{
	WhSyncTable table;

	wh_synctable_find(&table, tmpl, tenant);

	return has_base(&table) && get_rel_relkind(table.relid) == RELKIND_RELATION;
}

bool
wh_sync_needs_session(const WhTemplate *tmpl, const WhTenant *tenant)
{
	WhSyncTable table;

	wh_synctable_find(&table, tmpl, tenant);

	return OidIsValid(table.relid) && wh_synctable_is_furnished(&table);
}

/*
 * Foretell a load; see sync.h.
 */
char *
wh_sync_plan(const WhTemplate *tmpl, const WhTenant *tenant, const WhDays *days,
			 const WhLoadRules *rules, WhMatviewPlan *plan)
{
	WhSyncTable table;
	WhWindow	window = {0};

	wh_synctable_find(&table, tmpl, tenant);
	wh_window_begin(&window, tmpl, tenant, days, table.slice != NULL, has_base(&table));

	memset(plan, 0, sizeof(WhMatviewPlan));
	plan->relation = quote_qualified_identifier(table.schema, table.name);
	if (OidIsValid(table.relid))
	{
		plan->method = WH_UPSERT;
		plan->sql = wh_upsert_sql(tmpl, plan->relation);
		plan->locks = "RowExclusiveLock";
		plan->reason = days->given ? "days were asked for" :
			"a table is there: what is new, up to the source's clock or its oldest open transaction";
	}
	else
	{
		plan->method = WH_FIRST_FILL;
		plan->locks = "AccessExclusiveLock on the new relation, which nobody sees yet";
		plan->reason = days->given ? "there is no table: the days that were asked for" :
			"there is no table: all, up to the source's clock or its oldest open transaction";
	}
	if (rules->method != WH_CHOOSE && rules->method != plan->method)
	{
		plan->reason = psprintf("fails: it needs method \"%s\"", wh_method_name(plan->method));
		plan->method = WH_CHOOSE;
		plan->sql = NULL;
		plan->locks = "none";
	}

	return wh_window_condition(&window);
}

/*
 * Is what is there a table of the template as it is now?
 */
static bool
has_base(const WhSyncTable *table)
{
	return table->slice != NULL && !OidIsValid(table->former) &&
		table->slice->template_version == table->tmpl->version;
}

/*
 * Find what is there, and what can be done with it.
 */
static void
begin(Sync *sync)
{
	const WhMethod method = sync->rules->method;

	wh_check_outbound();
	if (sync->rules->prove)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("rows of incremental template \"%s\" cannot be proved",
						sync->tmpl->name),
				 errdetail("Its table holds more than a run reads."),
				 errhint("Leave prove out, or set materialization => 'snapshot'.")));
	if (!wh_matview_schema_exists(sync->tenant))
		wh_matview_schema(sync->tenant);
	wh_synctable_open(&sync->table, sync->tmpl, sync->tenant);
	wh_window_begin(&sync->window, sync->tmpl, sync->tenant, sync->days,
					sync->table.slice != NULL, has_base(&sync->table));

	sync->mends = sync->rules->drop_gone && OidIsValid(sync->table.relid) &&
		has_base(&sync->table);
	if (method != WH_CHOOSE &&
		method != (OidIsValid(sync->table.relid) ? WH_UPSERT : WH_FIRST_FILL))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("method \"%s\" cannot serve incremental template \"%s\"",
						wh_method_name(method), sync->tmpl->name),
				 errhint("Leave method out: it is chosen per unit.")));
	sync->furnished = OidIsValid(sync->table.relid) &&
		wh_synctable_is_furnished(&sync->table);
	check_session(sync);
	check_base(sync);
}

/*
 * Throw 55000 where an extract would make a table that lacks what the others
 * had brought: the next run would go on from the watermark.
 */
static void
check_base(const Sync *sync)
{
	if (sync->rules->extract == NULL || OidIsValid(sync->table.relid) ||
		!sync->window.afresh)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s.%s\" is gone, and one extract is not all of it",
					sync->table.schema, sync->table.name),
			 errdetail("Tenant \"%s\", template \"%s\".", sync->tenant->name,
					   sync->tmpl->name),
			 errhint("Read the source first: SELECT * FROM _wh.wh_refresh(%s, %s);",
					 quote_literal_cstr(sync->tmpl->name),
					 quote_literal_cstr(sync->tenant->name))));
}

/*
 * Throw 0A000 when the table would have us run what its owner put on it, and
 * this is no session of his: it would run restricted, without his search
 * path, and not as any other INSERT of his.
 */
static void
check_session(const Sync *sync)
{
	const char *owner = quote_identifier(wh_settings()->owner_role);

	if (!sync->furnished || sync->rules->session_path != NULL)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("table \"%s.%s\" can be loaded by a session of role %s only",
					sync->table.schema, sync->table.name, owner),
			 errdetail("It has triggers, rules, constraints or columns of its own, and no background worker could be used."),
			 errhint("Connect as role %s; or CALL _wh.run_refresh(%s, %s) with pg_warehouse.max_workers above 0, outside a transaction that has written.",
					 owner, quote_literal_cstr(sync->tmpl->name),
					 quote_literal_cstr(sync->tenant->name))));
}

static void
load(Sync *sync)
{
	WhSynced   *synced = sync->synced;
	instr_time	begun;
	instr_time	elapsed;

	INSTR_TIME_SET_CURRENT(begun);
	if (!OidIsValid(sync->table.relid))
		load_new(sync);
	else
		load_again(sync);
	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, begun);

	synced->fetched.fetch_ms -= sync->meanwhile_ms;
	synced->load_ms = Max(INSTR_TIME_GET_MILLISEC(elapsed) - synced->fetched.fetch_ms, 0);
}

/*
 * Fill a table that nobody has seen yet, straight into its storage.
 */
static void
load_new(Sync *sync)
{
	WhSyncTable *table = &sync->table;
	bool		replaces = OidIsValid(table->former);
	const char *name = replaces ? wh_bounded_name(psprintf("%s.new", table->name)) : table->name;
	WhKept	   *kept = NULL;
	Relation	rel;
	ListCell   *lc;

	foreach(lc, sync->tmpl->key_columns)
		sync->key_attnums = lappend_int(sync->key_attnums,
										SPI_fnumber(sync->tmpl->columns, (const char *) lfirst(lc)));
	table->relid = wh_synctable_create(table, name);
	rel = relation_open(table->relid, AccessExclusiveLock);
	sync->fill = wh_fill_begin(rel, WH_FILL_NEW);
	fetch(sync, fill_row);
	sync->synced->counts.inserted = wh_fill_end(sync->fill);
	relation_close(rel, NoLock);
	wh_synctable_add_key(table, name);
	if (replaces)
		kept = wh_matview_swap(sync->tmpl, sync->tenant, table->former, name,
							   &sync->synced->lock_ms);
	wh_synctable_complete(table);
	if (replaces)
		wh_kept_restore(kept, table->relid);

	sync->synced->method = WH_FIRST_FILL;
	sync->synced->reason = replaces ? "something else was there" : "there was no table";
}

/*
 * Upsert what arrives.  While a part of it goes into a plain table, the source
 * goes on sending; but where triggers run, all is kept, on disk but for its
 * first part, until the last row: by then all is known to have arrived, and
 * the source has its connection back.  So it is where the rows must be compared
 * as a whole; what is gone goes first, since a row that comes may have some
 * other unique value of its.
 */
static void
load_again(Sync *sync)
{
	sync->rows = wh_flat_spool(CurrentResourceOwner);
	fetch(sync, keep_row);
	if (sync->mends)
		drop_gone(sync);
	if (sync->nrows > 0)
		write_as_owner(sync, upsert);
	if (sync->furnished && sync->rules->settle && (sync->nrows > 0 || sync->mends))
		write_as_owner(sync, settle);
	tuplestore_end(sync->rows);

	sync->synced->method = WH_UPSERT;
	if (sync->rules->extract != NULL)
		sync->synced->reason = "an extract of the archive";
	else if (sync->mends)
		sync->synced->reason = "it was found to differ from the source";
	else if (sync->days->given)
		sync->synced->reason = "days were asked for";
	else if (sync->table.slice == NULL)
		sync->synced->reason = "a table was there";
	else
		sync->synced->reason = sync->window.afresh ? "the template has changed: all rows were read"
			: "rows were stored";
}

/*
 * Write a row past all constraints, so see to the one that there is by now.
 */
static void
fill_row(void *arg, Datum *values, bool *isnull)
{
	Sync	   *sync = (Sync *) arg;
	ListCell   *lc;

	foreach(lc, sync->key_attnums)
	{
		if (isnull[lfirst_int(lc) - 1])
			raise_null_key(sync, lfirst_int(lc));
	}
	wh_fill_row(sync->fill, values, isnull);
}

/*
 * Refuse a null that the proof did not see: the source can lie.
 */
static void
raise_null_key(const Sync *sync, int attnum)
{
	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("key column \"%s\" of template \"%s\" is null in a row",
					NameStr(TupleDescAttr(sync->tmpl->columns, attnum - 1)->attname),
					sync->tmpl->name),
			 errhint("Let the query leave such rows out.")));
}

static void
keep_row(void *arg, Datum *values, bool *isnull)
{
	Sync	   *sync = (Sync *) arg;
	MemoryContext context;

	tuplestore_putvalues(sync->rows, sync->tmpl->columns, values, isnull);
	sync->nrows++;
	if (sync->furnished || sync->mends || sync->nrows < PART_ROWS)
		return;

	context = MemoryContextSwitchTo(sync->context);
	upsert_meanwhile(sync);
	MemoryContextSwitchTo(context);
}

/*
 * Write what has arrived so far, and begin anew.
 */
static void
upsert_meanwhile(Sync *sync)
{
	instr_time	begun;
	instr_time	elapsed;

	INSTR_TIME_SET_CURRENT(begun);
	upsert(sync);
	tuplestore_end(sync->rows);
	sync->rows = wh_flat_spool(CurrentResourceOwner);
	sync->nrows = 0;
	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, begun);
	sync->meanwhile_ms += INSTR_TIME_GET_MILLISEC(elapsed);
}

static void
fetch(Sync *sync, void (*row) (void *arg, Datum *values, bool *isnull))
{
	const WhLoadRules *rules = sync->rules;
	WhFetchPart part = {set_window, prove, sync};
	WhRowSink	sink = {.row = row,.arg = sync};
	WhPeriod	whole = wh_period_whole();
	int			level = wh_load_rows_begin(rules);

	if (rules->extract != NULL)
		wh_extract_rows(rules->extract, sync->tmpl, sync->tenant, &whole, &sink,
						&sync->synced->fetched);
	else
	{
		wh_load_tee(rules, &sink);
		wh_fetch_part(sync->tmpl, sync->tenant, &part, &sink, &sync->synced->fetched);
	}
	wh_archive_keep(rules->archive, &sync->synced->fetched);
	wh_load_rows_end(level);
}

/*
 * Delete the rows of the days that the source has no more, unless they are too
 * many to believe it.
 */
static void
drop_gone(Sync *sync)
{
	const WhTemplate *tmpl = sync->tmpl;
	WhPeriod	period = {WH_DAY, sync->days->from, sync->days->to + 1};
	WhSpan		span = wh_period_span(&period, sync->tenant->time_zone);
	Relation	rel = relation_open(sync->table.relid, NoLock);
	MemoryContext part = AllocSetContextCreate(CurrentMemoryContext,
											   "pg_warehouse suspects", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller;
	WhFetched	left = sync->synced->fetched;
	WhRange		range;

	(void) wh_range_of(tmpl->columns, tmpl->watermark_column, &period, &span, &range);
	sync->gone = wh_gone_suspects(rel, tmpl, &range, sync->rows, sync->nrows);
	caller = MemoryContextSwitchTo(part);
	while ((sync->suspects = wh_gone_next(sync->gone, sync->key_types)) != NULL)
	{
		seek_suspects(sync);
		write_as_owner(sync, delete_and_move);
		tuplestore_end(sync->found);
		MemoryContextReset(part);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(part);

	left.rows = wh_gone_stored(sync->gone) - sync->synced->deleted;
	wh_load_check_shrink(tmpl, sync->tenant, &period, sync->rules,
						 wh_gone_stored(sync->gone), &left);
	wh_gone_end(sync->gone);
	relation_close(rel, NoLock);
}

/*
 * Ask the source for the suspects at hand, wherever they are by now.
 */
static void
seek_suspects(Sync *sync)
{
	WhFetchPart part = {give_suspects, check_nothing, sync};
	WhRowSink	sink = {.row = keep_found,.arg = sync};
	WhFetched  *all = &sync->synced->fetched;
	WhFetched	fetched = {0};

	sync->found = wh_flat_spool(CurrentResourceOwner);
	sync->nfound = 0;
	wh_fetch_part(sync->tmpl, sync->tenant, &part, &sink, &fetched);
	all->rows += fetched.rows;
	all->bytes += fetched.bytes;
	all->fetch_ms += fetched.fetch_ms;
}

static char *
give_suspects(void *arg, WhConn *conn)
{
	return unconstify(char *, ((Sync *) arg)->suspects);
}

static void
check_nothing(void *arg, WhConn *conn, const char *query,
			  const WhRemoteColumns *remote)
{
}

static void
keep_found(void *arg, Datum *values, bool *isnull)
{
	Sync	   *sync = (Sync *) arg;

	tuplestore_putvalues(sync->found, sync->tmpl->columns, values, isnull);
	sync->nfound++;
}

/*
 * Write as the owner would in his session, where something of his is on the
 * table.
 */
static void
write_as_owner(Sync *sync, void (*write) (Sync *sync))
{
	WhRole		restricted;

	if (!sync->furnished)
	{
		write(sync);
		return;
	}

	wh_role_unrestricted(&restricted, sync->rules->session_path);
	write(sync);
	wh_role_leave(&restricted);
}

static void
upsert(Sync *sync)
{
	upsert_rows(sync, sync->rows, sync->nrows);
}

static void
delete_and_move(Sync *sync)
{
	sync->synced->deleted += wh_gone_delete(sync->gone, sync->found, sync->nfound);
	if (sync->nfound > 0)
		upsert_rows(sync, sync->found, sync->nfound);
}

/*
 * Constraints that the owner deferred are due now, so that a failure is this
 * run's; but inside a transaction block of his they wait for its end with his
 * others.
 */
static void
settle(Sync *sync)
{
	wh_ddl("SET CONSTRAINTS ALL IMMEDIATE");
}

static void
upsert_rows(Sync *sync, Tuplestorestate *rows, int64 nrows)
{
	Relation	rel = relation_open(sync->table.relid, NoLock);

	wh_upsert(rel, sync->tmpl, rows, nrows, &sync->synced->counts);
	relation_close(rel, NoLock);
}

/*
 * Decide which rows are read, before the reading snapshot is taken, and write
 * the condition.  Days that are compared are read as they are by now: the
 * watermark stays, so whatever commits later is read in its turn.
 */
static char *
set_window(void *arg, WhConn *conn)
{
	Sync	   *sync = (Sync *) arg;

	if (!sync->mends)
		wh_window_set(&sync->window, wh_bound(conn));

	return wh_window_condition(&sync->window);
}

static void
prove(void *arg, WhConn *conn, const char *query, const WhRemoteColumns *remote)
{
	Sync	   *sync = (Sync *) arg;

	if (sync->table.slice == NULL || sync->window.afresh)
		wh_keyed_check(conn, sync->tmpl, query, remote);
	if (sync->mends)
	{
		MemoryContext context = MemoryContextSwitchTo(sync->context);

		sync->key_types = wh_gone_key_types(sync->tmpl, remote);
		MemoryContextSwitchTo(context);
	}
}

/*
 * Tell how it went, and move the watermark.
 */
static void
finish(Sync *sync)
{
	WhSynced   *synced = sync->synced;
	const WhSlice *slice = sync->table.slice;

	if (slice == NULL && synced->method == WH_UPSERT)
	{
		wh_synctable_grant(&sync->table);
		synced->stored = wh_synctable_count(&sync->table);
	}
	else
		synced->stored = (slice && synced->method == WH_UPSERT ? slice->row_count : 0) +
			synced->counts.inserted - synced->deleted;

	/* Days that were read again make no whole of rows of an older version. */
	synced->version = slice != NULL &&
		((sync->window.afresh && sync->days->given) || sync->rules->extract != NULL)
		? slice->template_version : sync->tmpl->version;
	synced->schema = sync->table.schema;
	synced->name = sync->table.name;
	synced->news = slice == NULL || sync->window.afresh ||
		synced->counts.inserted + synced->counts.updated + synced->deleted > 0;
	if (synced->news)
		synced->size_bytes = wh_relation_bytes(sync->table.relid);

	/* How far the source has been read is as it was before an extract. */
	if (!sync->mends && sync->rules->extract == NULL)
		wh_window_settle(&sync->window, synced->counts.inserted + synced->counts.updated);
}

/*
 * Throw the current error on.  One of the table's, its triggers' and the like
 * says whose rows it was about, and does not show them: others may read the
 * log than the table.
 */
static void
name_the_pair(const Sync *sync)
{
	const char *pair = psprintf("Tenant \"%s\", template \"%s\".",
								sync->tenant->name, sync->tmpl->name);
	ErrorData  *error;

	MemoryContextSwitchTo(sync->context);
	error = CopyErrorData();
	FlushErrorState();
	if (wh_remote_failed())
		ReThrowError(error);

	if (error->detail == NULL || strncmp(error->detail, "Failing row", 11) == 0)
		error->detail = pstrdup(pair);
	else if (strstr(error->detail, pair) == NULL &&
			 strncmp(error->detail, "Tenant ", 7) != 0)
		error->detail = psprintf("%s\n%s", pair, error->detail);
	ReThrowError(error);
}
