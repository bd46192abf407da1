/*
 * sync.c
 *		Bring one incremental template's table up to what a tenant has
 *		committed.
 *
 * A run reads the rows whose watermark lies in (low, high].  High is the
 * source's clock, or the begin of its oldest open transaction, which may still
 * write rows as old as that: no row is passed over, however late its
 * transaction commits.  Low is the last high.  Where we cannot see all of the
 * source's transactions, or are told to, the last "overlap" is read again each
 * time.  All of it is the source's time; ours only serves to see that its clock
 * was set back.
 *
 * Rows, watermark and the row of the log are one transaction, so a run that
 * dies has done nothing, and the next one reads the same rows.
 *
 * What the source can be asked is bound's and keyed's, what the table may be
 * synctable's, and how rows get into it upsert's; this file decides.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "bound.h"
#include "conn.h"
#include "fill.h"
#include "flat.h"
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
#include "watermark.h"

/* Two clocks may drift apart by this much between two runs. */
#define CLOCK_TOLERANCE USECS_PER_SEC

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
	bool		afresh;			/* what is stored is no base to go on from */
	const WhWatermark *before;
	WhWatermark now;
	TimestampTz low;			/* DT_NOBEGIN: no bound */
	TimestampTz high;
	WhFill	   *fill;			/* of a new table, */
	List	   *key_attnums;	/* none of which may be null; or */
	bool		furnished;		/* with what the owner put on it */
	Tuplestorestate *rows;		/* what arrived for one that is there */
	int64		nrows;			/* in it */
	double		meanwhile_ms;	/* writing while the source was sending */
	WhSynced   *synced;
} Sync;

static void begin(Sync *sync);
static void check_session(const Sync *sync);
static void load(Sync *sync);
static void load_new(Sync *sync);
static void load_again(Sync *sync);
static void fill_row(void *arg, Datum *values, bool *isnull);
static void raise_null_key(const Sync *sync, int attnum) pg_attribute_noreturn();
static void keep_row(void *arg, Datum *values, bool *isnull);
static void fetch(Sync *sync, WhRowSink sink, void *arg);
static void upsert_meanwhile(Sync *sync);
static void upsert(Sync *sync);
static void upsert_as_owner(Sync *sync);
static char *set_window(void *arg, WhConn *conn);
static void prove(void *arg, WhConn *conn, const char *query,
				  const WhRemoteColumns *remote);
static TimestampTz low_by_watermark(const Sync *sync);
static void set_high(Sync *sync, const WhBound *bound);
static void hold_back(Sync *sync, TimestampTz limit, char *reason);
static void follow_clock(Sync *sync, TimestampTz clock);
static void narrow_to_days(Sync *sync);
static void keep_watermark(Sync *sync);
static char *condition_sql(const WhTemplate *tmpl, const WhTenant *tenant,
						   TimestampTz low, TimestampTz high);
static char *bound_literal(Oid type, const WhTenant *tenant, TimestampTz at,
						   int64 offset);
static Oid	watermark_type(const WhTemplate *tmpl);
static char *instant_text(TimestampTz at);
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
wh_sync_needs_session(const WhTemplate *tmpl, const WhTenant *tenant)
{
	WhSyncTable table;

	wh_synctable_find(&table, tmpl, tenant);

	return OidIsValid(table.relid) && wh_synctable_is_furnished(&table);
}

/*
 * Write the condition for a plan; see sync.h.
 */
char *
wh_sync_condition(const WhTemplate *tmpl, const WhTenant *tenant,
				  const WhDays *days)
{
	Sync		sync = {0};

	sync.tmpl = tmpl;
	sync.tenant = tenant;
	sync.days = days;
	wh_synctable_find(&sync.table, tmpl, tenant);
	sync.before = wh_watermark(tmpl->name, tenant->name);
	sync.afresh = sync.table.slice != NULL ?
		sync.table.slice->template_version != tmpl->version :
		!TIMESTAMP_IS_NOBEGIN(sync.before->last_loaded_at);
	sync.low = low_by_watermark(&sync);
	sync.high = DT_NOEND;
	narrow_to_days(&sync);

	return condition_sql(tmpl, tenant, sync.low, sync.high);
}

/*
 * Find what is there, and whether it is a base to go on from: a table that was
 * made for another version of the template, or is gone, is not.
 */
static void
begin(Sync *sync)
{
	const WhMethod method = sync->rules->method;

	wh_check_outbound();
	if (!wh_matview_schema_exists(sync->tenant))
		wh_matview_schema(sync->tenant);
	wh_synctable_open(&sync->table, sync->tmpl, sync->tenant);
	sync->before = wh_watermark(sync->tmpl->name, sync->tenant->name);
	sync->afresh = OidIsValid(sync->table.former) ||
		(sync->table.slice != NULL ?
		 sync->table.slice->template_version != sync->tmpl->version :
		 !TIMESTAMP_IS_NOBEGIN(sync->before->last_loaded_at));

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
	fetch(sync, fill_row, sync);
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
	sync->synced->reason = replaces ? "there was a materialized view" : "there was no table";
}

/*
 * Upsert what arrives.  While a part of it goes into a plain table, the source
 * goes on sending; but where triggers run, all is kept, on disk but for its
 * first part, until the last row: by then all is known to have arrived, and
 * the source has its connection back.
 */
static void
load_again(Sync *sync)
{
	sync->rows = wh_flat_spool(CurrentResourceOwner);
	fetch(sync, keep_row, sync);
	if (sync->nrows > 0 && sync->furnished)
		upsert_as_owner(sync);
	else if (sync->nrows > 0)
		upsert(sync);
	tuplestore_end(sync->rows);

	sync->synced->method = WH_UPSERT;
	if (sync->days->given)
		sync->synced->reason = "days were asked for";
	else if (sync->table.slice == NULL)
		sync->synced->reason = "a table was there";
	else
		sync->synced->reason = sync->afresh ? "the template has changed: all rows were read"
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
	if (sync->furnished || sync->nrows < PART_ROWS)
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
fetch(Sync *sync, WhRowSink sink, void *arg)
{
	WhFetchPart part = {set_window, prove, sync};

	wh_fetch_part(sync->tmpl, sync->tenant, &part, sink, arg, &sync->synced->fetched);
}

static void
upsert(Sync *sync)
{
	Relation	rel = relation_open(sync->table.relid, NoLock);

	wh_upsert(rel, sync->tmpl, sync->rows, sync->nrows, &sync->synced->counts);
	relation_close(rel, NoLock);
}

/*
 * Write the rows as the owner would in his session.  Constraints that he
 * deferred are due now, so that a failure is this run's; but inside a
 * transaction block of his they wait for its end with his others.
 */
static void
upsert_as_owner(Sync *sync)
{
	WhRole		restricted;

	wh_role_unrestricted(&restricted, sync->rules->session_path);
	upsert(sync);
	if (sync->rules->settle)
		wh_ddl("SET CONSTRAINTS ALL IMMEDIATE");
	wh_role_leave(&restricted);
}

/*
 * Decide which rows are read, before the reading snapshot is taken, and write
 * the condition.
 */
static char *
set_window(void *arg, WhConn *conn)
{
	Sync	   *sync = (Sync *) arg;
	const WhBound *bound = wh_bound(conn);

	sync->now.source_clock = bound->clock;
	sync->now.asked_at = GetCurrentTimestamp();
	sync->low = low_by_watermark(sync);
	set_high(sync, bound);
	follow_clock(sync, bound->clock);
	sync->high = Max(sync->high, sync->low);
	narrow_to_days(sync);

	return condition_sql(sync->tmpl, sync->tenant, sync->low, sync->high);
}

static void
prove(void *arg, WhConn *conn, const char *query, const WhRemoteColumns *remote)
{
	Sync	   *sync = (Sync *) arg;

	if (sync->table.slice == NULL || sync->afresh)
		wh_keyed_check(conn, sync->tmpl, query, remote);
}

static TimestampTz
low_by_watermark(const Sync *sync)
{
	if (sync->afresh)
		return DT_NOBEGIN;

	return Min(sync->before->last_extracted_at, sync->before->reread_from);
}

/*
 * Set how far can be read, why no further, and from where the next run must
 * read again.
 *
 * A prepared transaction shows when it was prepared and not when it began.  It
 * began after the watermark, since it held that back while it was open; or
 * else, as we assume, no longer than the overlap before it was prepared.
 */
static void
set_high(Sync *sync, const WhBound *bound)
{
	int64		overlap = sync->tmpl->overlap;

	sync->high = bound->clock - 1;
	if (bound->standby && bound->replayed != DT_NOBEGIN)
		hold_back(sync, bound->replayed - 1,
				  psprintf("standby has replayed transactions up to %s",
						   instant_text(bound->replayed)));
	if (bound->oldest_session != NULL)
		hold_back(sync, bound->oldest_start - 1,
				  psprintf("%s has a transaction open since %s",
						   bound->oldest_session, instant_text(bound->oldest_start)));
	if (bound->prepared_gid != NULL)
		hold_back(sync, Max(bound->oldest_prepared - overlap - 1, sync->low),
				  psprintf("transaction \"%s\" is prepared since %s",
						   bound->prepared_gid, instant_text(bound->oldest_prepared)));

	if (bound->all_visible && !sync->tmpl->has_overlap)
		sync->now.reread_from = DT_NOEND;
	else if (bound->standby && bound->replayed == DT_NOBEGIN)
		sync->now.reread_from = sync->low;
	else
		sync->now.reread_from = sync->high - overlap;
}

static void
hold_back(Sync *sync, TimestampTz limit, char *reason)
{
	if (limit >= sync->high)
		return;

	sync->high = limit;
	sync->now.lag_reason = MemoryContextStrdup(sync->context, reason);
}

/*
 * Where the source's clock was set back since the last run, rows written since
 * then can be older than the watermark.  Our clock says how long ago that run
 * was: what the source's shows less that is where to read from.
 */
static void
follow_clock(Sync *sync, TimestampTz clock)
{
	const WhWatermark *before = sync->before;
	TimestampTz since;

	if (before->source_clock == DT_NOBEGIN || before->asked_at == DT_NOBEGIN ||
		sync->low == DT_NOBEGIN)
		return;

	since = clock - (sync->now.asked_at - before->asked_at);
	if (since >= before->source_clock - CLOCK_TOLERANCE)
		return;

	sync->low = Min(sync->low, since - CLOCK_TOLERANCE);
	sync->now.lag_reason =
		MemoryContextStrdup(sync->context,
							psprintf("source's clock was set back by " INT64_FORMAT " s: rows since %s were read again",
									 (before->source_clock - since) / USECS_PER_SEC,
									 instant_text(sync->low)));
}

/*
 * Narrow the window to the days that were asked for, as far as they can be
 * read.
 */
static void
narrow_to_days(Sync *sync)
{
	WhPeriod	period = {WH_WHOLE, sync->days->from, sync->days->to + 1};
	WhSpan		span;

	if (!sync->days->given)
		return;

	span = wh_period_span(&period, sync->tenant->time_zone);
	sync->low = span.start - 1;
	sync->high = Max(Min(sync->high, span.end - 1), sync->low);
}

/*
 * Settle the new watermark.  Days that were asked for move it only where they
 * go on from it without a gap.
 */
static void
keep_watermark(Sync *sync)
{
	const WhWatermark *before = sync->before;
	TimestampTz complete = Min(before->last_extracted_at, before->reread_from);
	WhWatermark *now = &sync->now;

	now->last_extracted_at = sync->high;
	now->last_loaded_at = GetCurrentTimestamp();
	now->rows_loaded = sync->synced->counts.inserted + sync->synced->counts.updated;
	if (!sync->days->given)
		return;

	now->source_clock = before->source_clock;
	now->asked_at = before->asked_at;
	if (sync->afresh || complete == DT_NOBEGIN || complete < sync->low ||
		before->last_extracted_at >= sync->high)
	{
		now->last_extracted_at = sync->afresh ? DT_NOBEGIN : before->last_extracted_at;
		now->reread_from = before->reread_from;
	}
	else
		now->reread_from = Min(now->reread_from, sync->high);
}

/*
 * Write the condition on q.  A wall clock that is set back for the winter
 * shows an hour twice, so both bounds allow for either offset.
 */
static char *
condition_sql(const WhTemplate *tmpl, const WhTenant *tenant, TimestampTz low,
			  TimestampTz high)
{
	const char *column = quote_identifier(tmpl->watermark_column);
	Oid			type = watermark_type(tmpl);
	int64		low_offset = 0;
	int64		high_offset = 0;
	StringInfoData sql;

	if (type == TIMESTAMPOID)
	{
		TimestampTz end = TIMESTAMP_IS_NOEND(high) ? GetCurrentTimestamp() : high;

		high_offset = wh_zone_offset(end, tenant->time_zone);
		low_offset = TIMESTAMP_IS_NOBEGIN(low) ? high_offset
			: wh_zone_offset(low, tenant->time_zone);
	}

	initStringInfo(&sql);
	if (!TIMESTAMP_IS_NOBEGIN(low))
		appendStringInfo(&sql, "q.%s > %s", column,
						 bound_literal(type, tenant, low, Min(low_offset, high_offset)));
	if (!TIMESTAMP_IS_NOEND(high))
		appendStringInfo(&sql, "%sq.%s <= %s", sql.len > 0 ? " AND " : "", column,
						 bound_literal(type, tenant, high, Max(low_offset, high_offset)));

	return sql.len > 0 ? sql.data : NULL;
}

static char *
bound_literal(Oid type, const WhTenant *tenant, TimestampTz at, int64 offset)
{
	return type == TIMESTAMPOID ? wh_timestamp_literal(at + offset)
		: wh_timestamptz_literal(at);
}

static Oid
watermark_type(const WhTemplate *tmpl)
{
	int			attnum = SPI_fnumber(tmpl->columns, tmpl->watermark_column);

	return TupleDescAttr(tmpl->columns, attnum - 1)->atttypid;
}

/*
 * Write an instant for people, whatever the session's DateStyle.
 */
static char *
instant_text(TimestampTz at)
{
	char	   *literal = wh_timestamptz_literal(at);

	return pnstrdup(literal + 1, strcspn(literal + 1, "'"));
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
			synced->counts.inserted;

	/* Days that were read again make no whole of rows of an older version. */
	synced->version = sync->afresh && sync->days->given && slice != NULL
		? slice->template_version : sync->tmpl->version;
	synced->schema = sync->table.schema;
	synced->name = sync->table.name;
	synced->news = slice == NULL || sync->afresh ||
		synced->counts.inserted + synced->counts.updated > 0;
	if (synced->news)
		synced->size_bytes = wh_relation_bytes(sync->table.relid);

	keep_watermark(sync);
	wh_watermark_advance(sync->tmpl->name, sync->tenant->name,
						 psprintf("%s.%s", sync->tenant->schema, sync->tmpl->name),
						 sync->before, &sync->now);
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
