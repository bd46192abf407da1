/*
 * combine.c
 *		Make one table of several relations' rows, and prove that it holds them.
 *
 * Rows are written frozen into a table that the same subtransaction creates,
 * so a reader whose snapshot is older sees all of them as soon as he can see
 * the table.  Each part is counted and hashed as it is read; then the table is
 * read once and must give the same counts and hashes, part by part, since rows
 * lie in the order in which they were written.  An access method other than
 * heap promises no order: there the sum of all parts must agree.
 *
 * A relation with other columns than the template's is read by a query, as the
 * views would show it.  What is copied, when it is shown, and what becomes of
 * the relations is the caller's.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/snapmgr.h"

#include "combine.h"
#include "fill.h"
#include "gate.h"
#include "kept.h"
#include "names.h"
#include "refill.h"
#include "run.h"
#include "settings.h"
#include "spi.h"
#include "viewtext.h"

/* A day is found by a BRIN index in steps of so many pages. */
#define PAGES_PER_RANGE 16

/* Rows that a query hands over at a time. */
#define FETCH_ROWS 1000

/* How many keys that occur twice are named. */
#define KEYS_SHOWN 10

/* Rows that follow one another and belong to one period. */
typedef struct Part
{
	WhPeriod	period;
	bool		ranged;
	WhRange		range;
	WhContent	content;
} Part;

struct WhCombine
{
	const WhCombined *what;
	Relation	rel;
	WhFill	   *fill;
	WhHasher   *hasher;
	List	   *parts;			/* of Part * */
	Part	   *part;			/* the last one */
};

/* A unique index to build, and the keys that keep it from being built. */
typedef struct Build
{
	WhCombine  *combine;
	IndexStmt  *stmt;
} Build;

static char *definition(const WhCombined *what);
static void copy_rows(WhCombine *combine, Relation source, const WhRange *but);
static void query_rows(WhCombine *combine, Relation source, const WhRange *but);
static void prove(WhCombine *combine);
static void merge_parts(WhCombine *combine);
static void prove_part(WhCombine *combine, Part *part, WhRangeScan *scan);
static void raise_not_proved(const WhCombine *combine, const Part *part) pg_attribute_noreturn();
static void raise_outside(const WhCombine *combine, const Part *part) pg_attribute_noreturn();
static void create_indexes(WhCombine *combine);
static void build_index(WhRun *run, void *arg);
static List *plain_columns(const IndexStmt *stmt);
static bool has_unique_index(List *stmts, List *keys);
static char *keys_twice(const WhCombine *combine, List *columns);
static void raise_keys_twice(const WhCombine *combine, const char *keys) pg_attribute_noreturn();
static void create_range_index(WhCombine *combine);
static void call_after_create(const WhCombine *combine);
static void make_durable(const WhCombine *combine);
static char *qualified(const WhCombined *what);
static char *unit_of(const WhCombined *what);

/*
 * Create the table and begin; see combine.h.
 */
WhCombine *
wh_combine_begin(const WhCombined *what)
{
	WhCombine  *combine = (WhCombine *) palloc0(sizeof(WhCombine));
	Oid			nspid = get_namespace_oid(what->schema, false);

	combine->what = what;
	wh_ddl(definition(what));
	combine->rel = table_open(get_relname_relid(what->name, nspid),
							  AccessExclusiveLock);
	combine->hasher = wh_hasher(RelationGetDescr(combine->rel));
	combine->fill = wh_fill_begin(combine->rel, WH_FILL_NEW);

	return combine;
}

void
wh_combine_part(WhCombine *combine, const WhPeriod *period, const WhSpan *span)
{
	const WhTemplate *tmpl = combine->what->tmpl;
	Part	   *part = (Part *) palloc0(sizeof(Part));

	part->period = *period;
	part->ranged = wh_range_of(tmpl->columns, tmpl->time_column, period, span,
							   &part->range);
	combine->parts = lappend(combine->parts, part);
	combine->part = part;
}

void
wh_combine_row(void *arg, Datum *values, bool *isnull)
{
	WhCombine  *combine = (WhCombine *) arg;

	wh_content_row(combine->hasher, values, isnull, &combine->part->content);
	wh_fill_row(combine->fill, values, isnull);
}

/*
 * Add the rows of a relation; see combine.h.
 */
void
wh_combine_relation(WhCombine *combine, Oid relid, const WhRange *but)
{
	Relation	source = relation_open(relid, NoLock);

	if (wh_columns_same(RelationGetDescr(source), RelationGetDescr(combine->rel)))
		copy_rows(combine, source, but);
	else
		query_rows(combine, source, but);
	relation_close(source, NoLock);
}

/*
 * Finish the table; see combine.h.
 */
WhContent
wh_combine_end(WhCombine *combine)
{
	const WhCombined *what = combine->what;
	char	   *name = qualified(what);
	WhContent	total = {0};
	ListCell   *lc;

	(void) wh_fill_end(combine->fill);
	CommandCounterIncrement();
	foreach(lc, combine->parts)
	{
		total.rows += ((const Part *) lfirst(lc))->content.rows;
		total.hash += ((const Part *) lfirst(lc))->content.hash;
	}
	prove(combine);

	table_close(combine->rel, NoLock);
	create_indexes(combine);
	create_range_index(combine);
	wh_ddl(psprintf("GRANT SELECT ON TABLE %s TO %s", name,
					quote_identifier(wh_settings()->reader_role)));
	wh_ddl(psprintf("COMMENT ON TABLE %s IS %s", name,
					quote_literal_cstr(psprintf("Template \"%s\" of tenant \"%s\", %s; rolled up by pg_warehouse",
												what->tmpl->name, what->tenant->name,
												wh_period_text(&what->period)))));
	wh_ddl(psprintf("ANALYZE %s", name));
	if (what->tmpl->after_create != NULL)
		call_after_create(combine);
	make_durable(combine);

	return total;
}

char *
wh_combine_range_index(const char *name)
{
	return wh_bounded_name(psprintf("%s_range_idx", name));
}

char *
wh_combine_range_check(const char *name)
{
	return wh_bounded_name(psprintf("%s_range_check", name));
}

static char *
definition(const WhCombined *what)
{
	const WhTemplate *tmpl = what->tmpl;
	WhRange		range;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s (%s", qualified(what),
					 wh_columns_sql(tmpl->columns));
	if (wh_range_of(tmpl->columns, tmpl->time_column, &what->period,
					&what->span, &range))
	{
		const char *column = quote_identifier(tmpl->time_column);

		appendStringInfo(&sql, ", CONSTRAINT %s CHECK (%s IS NOT NULL"
						 " AND %s OPERATOR(pg_catalog.>=) %s"
						 " AND %s OPERATOR(pg_catalog.<) %s)",
						 quote_identifier(wh_combine_range_check(what->name)),
						 column, column, wh_range_literal(&range, range.lower),
						 column, wh_range_literal(&range, range.upper));
	}
	appendStringInfo(&sql, ") USING %s",
					 quote_identifier(tmpl->access_method ? tmpl->access_method : "heap"));
	if (tmpl->storage_options[0] != '\0')
		appendStringInfo(&sql, " WITH (%s)", tmpl->storage_options);
	if (tmpl->tablespace != NULL)
		appendStringInfo(&sql, " TABLESPACE %s", quote_identifier(tmpl->tablespace));

	return sql.data;
}

/*
 * Copy the stored rows as they are, with a snapshot taken now.
 */
static void
copy_rows(WhCombine *combine, Relation source, const WhRange *but)
{
	WhRangeScan *scan;
	TupleTableSlot *slot;

	PushActiveSnapshot(GetLatestSnapshot());
	scan = wh_range_scan_begin(source, GetActiveSnapshot(), NULL);
	while ((slot = wh_range_scan_next(scan)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		if (but != NULL &&
			wh_range_holds(but, slot->tts_values[but->attnum - 1],
						   slot->tts_isnull[but->attnum - 1]))
			continue;
		wh_combine_row(combine, slot->tts_values, slot->tts_isnull);
	}
	wh_range_scan_end(scan);
	PopActiveSnapshot();
}

/*
 * Copy the rows as a view would show them: columns by name, a missing one
 * null, another type cast.
 */
static void
query_rows(WhCombine *combine, Relation source, const WhRange *but)
{
	const WhCombined *what = combine->what;
	TupleDesc	desc = RelationGetDescr(combine->rel);
	Datum	   *values = (Datum *) palloc(sizeof(Datum) * desc->natts);
	bool	   *isnull = (bool *) palloc(sizeof(bool) * desc->natts);
	WhViewArm	arm = {0};
	WhView		view = {0};
	Portal		portal;

	arm.schema = get_namespace_name(RelationGetNamespace(source));
	arm.name = RelationGetRelationName(source);
	arm.relid = RelationGetRelid(source);
	view.tmpl = what->tmpl;
	view.tenant = what->tenant->name;
	view.columns = what->tmpl->columns;
	view.arms = list_make1(&arm);

	SPI_connect();
	portal = SPI_cursor_open_with_args(NULL, wh_view_select(&view), 0, NULL,
									   NULL, NULL, false, 0);
	do
	{
		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		for (uint64 row = 0; row < SPI_processed; row++)
		{
			CHECK_FOR_INTERRUPTS();
			heap_deform_tuple(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
							  values, isnull);
			if (but != NULL &&
				wh_range_holds(but, values[but->attnum - 1], isnull[but->attnum - 1]))
				continue;
			wh_combine_row(combine, values, isnull);
		}
		SPI_freetuptable(SPI_tuptable);
	} while (SPI_processed > 0);
	SPI_cursor_close(portal);
	SPI_finish();
}

/*
 * Read what was stored and compare it, part by part.
 */
static void
prove(WhCombine *combine)
{
	WhRangeScan *scan;
	ListCell   *lc;

	if (combine->rel->rd_rel->relam != HEAP_TABLE_AM_OID)
		merge_parts(combine);

	PushActiveSnapshot(GetLatestSnapshot());
	scan = wh_range_scan_begin(combine->rel, GetActiveSnapshot(), NULL);
	foreach(lc, combine->parts)
		prove_part(combine, (Part *) lfirst(lc), scan);
	if (wh_range_scan_next(scan) != NULL)
		raise_not_proved(combine, (Part *) llast(combine->parts));
	wh_range_scan_end(scan);
	PopActiveSnapshot();
}

/*
 * Make one part of all of them.
 */
static void
merge_parts(WhCombine *combine)
{
	const WhCombined *what = combine->what;
	List	   *parts = combine->parts;
	ListCell   *lc;

	combine->parts = NIL;
	wh_combine_part(combine, &what->period, &what->span);
	foreach(lc, parts)
	{
		const Part *part = (const Part *) lfirst(lc);

		combine->part->content.rows += part->content.rows;
		combine->part->content.hash += part->content.hash;
	}
}

static void
prove_part(WhCombine *combine, Part *part, WhRangeScan *scan)
{
	WhContent	found = {0};

	while (found.rows < part->content.rows)
	{
		TupleTableSlot *slot = wh_range_scan_next(scan);

		CHECK_FOR_INTERRUPTS();
		if (slot == NULL)
			raise_not_proved(combine, part);
		slot_getallattrs(slot);
		wh_content_row(combine->hasher, slot->tts_values, slot->tts_isnull, &found);
		if (part->ranged &&
			!wh_range_holds(&part->range,
							slot->tts_values[part->range.attnum - 1],
							slot->tts_isnull[part->range.attnum - 1]))
			raise_outside(combine, part);
	}
	if (found.hash != part->content.hash)
		raise_not_proved(combine, part);
}

static void
raise_not_proved(const WhCombine *combine, const Part *part)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("table \"%s.%s\" does not hold the rows that it was made of",
					combine->what->schema, combine->what->name),
			 errdetail("%s Count or content of %s differs.",
					   unit_of(combine->what), wh_period_text(&part->period)),
			 errhint("Nothing was changed. Look for what else writes to new tables (event triggers), then run it again.")));
}

static void
raise_outside(const WhCombine *combine, const Part *part)
{
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("row lies outside its %s", wh_period_kind_name(part->period.kind)),
			 errdetail("%s A row of %s has another time in column \"%s\".",
					   unit_of(combine->what), wh_period_text(&part->period),
					   combine->what->tmpl->time_column),
			 errhint("Load it again: SELECT * FROM _wh.wh_refresh(%s, %s, '%s', '%s');",
					 quote_literal_cstr(combine->what->tmpl->name),
					 quote_literal_cstr(combine->what->tenant->name),
					 wh_date_text(part->period.start),
					 wh_date_text(part->period.end - 1))));
}

/*
 * Build the template's indexes.  A key that occurs on two days keeps a unique
 * one from being built: all of them are named, not only the first.
 */
static void
create_indexes(WhCombine *combine)
{
	const WhCombined *what = combine->what;
	const WhTemplate *tmpl = what->tmpl;
	List	   *stmts = wh_gate_index_stmts(tmpl->indexes, tmpl->columns,
											what->schema, what->name);
	ListCell   *lc;

	if (tmpl->key_columns != NIL && !has_unique_index(stmts, tmpl->key_columns))
	{
		char	   *keys = keys_twice(combine, tmpl->key_columns);

		if (keys != NULL)
			raise_keys_twice(combine, keys);
	}

	foreach(lc, stmts)
	{
		Build		build = {combine, (IndexStmt *) lfirst(lc)};
		List	   *columns = plain_columns(build.stmt);
		WhRun		run = {0};
		char	   *keys;

		wh_run_contained(&run, build_index, &build);
		if (run.error == NULL)
			continue;
		if (run.error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION)
			ReThrowError(run.error);
		keys = columns == NIL ? NULL : keys_twice(combine, columns);
		raise_keys_twice(combine, keys ? keys : run.error->detail);
	}
}

static void
build_index(WhRun *run, void *arg)
{
	Build	   *build = (Build *) arg;

	wh_ddl_stmt((Node *) build->stmt, build->combine->what->tmpl->indexes);
}

/*
 * List the columns of an index that is unique over all rows; NIL when its keys
 * are expressions, or it is partial.
 */
static List *
plain_columns(const IndexStmt *stmt)
{
	List	   *columns = NIL;
	ListCell   *lc;

	if (!stmt->unique || stmt->whereClause != NULL)
		return NIL;

	foreach(lc, stmt->indexParams)
	{
		const IndexElem *elem = (const IndexElem *) lfirst(lc);

		if (elem->name == NULL)
			return NIL;
		columns = lappend(columns, pstrdup(elem->name));
	}

	return columns;
}

/*
 * Will an index see to it that these keys are unique?
 */
static bool
has_unique_index(List *stmts, List *keys)
{
	ListCell   *lc;

	foreach(lc, stmts)
	{
		List	   *columns = plain_columns((const IndexStmt *) lfirst(lc));
		bool		within = columns != NIL;
		ListCell   *lk;

		foreach(lk, columns)
		{
			bool		found = false;
			ListCell   *lw;

			foreach(lw, keys)
				found |= strcmp((char *) lfirst(lk), (char *) lfirst(lw)) == 0;
			within &= found;
		}
		if (within)
			return true;
	}

	return false;
}

/*
 * Name the keys that occur more than once; NULL when none does.
 */
static char *
keys_twice(const WhCombine *combine, List *columns)
{
	MemoryContext caller = CurrentMemoryContext;
	StringInfoData names;
	char	   *keys = NULL;
	int64		count;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, columns)
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
						 quote_identifier((char *) lfirst(lc)));

	SPI_connect();
	(void) wh_spi(SPI_OK_SELECT,
				  psprintf("WITH twice AS (SELECT ROW(%s)::pg_catalog.text AS key"
						   " FROM %s WHERE ROW(%s) IS NOT NULL"
						   " GROUP BY %s HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1"
						   " ORDER BY %s)"
						   " SELECT pg_catalog.count(*),"
						   " pg_catalog.array_to_string((pg_catalog.array_agg(key))[:%d], ', ')"
						   " FROM twice",
						   names.data, qualified(combine->what), names.data,
						   names.data, names.data, KEYS_SHOWN),
				  NULL, 0);
	count = wh_col_int8(0, 1, 0);
	MemoryContextSwitchTo(caller);
	if (count > 0)
		keys = psprintf("Keys (%s): %s%s", names.data, wh_col_text(0, 2),
						count > KEYS_SHOWN
						? psprintf(" and " INT64_FORMAT " more.", count - KEYS_SHOWN) : ".");
	SPI_finish();

	return keys;
}

static void
raise_keys_twice(const WhCombine *combine, const char *keys)
{
	const WhTemplate *tmpl = combine->what->tmpl;

	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("keys occur more than once in %s",
					wh_period_text(&combine->what->period)),
			 errdetail("%s %s", unit_of(combine->what), keys),
			 errhint("Mend the days at the source and refresh them, or make the key hold for a whole year: SELECT _wh.alter_template(%s, indexes => ..., key_columns => ...);",
					 quote_literal_cstr(tmpl->name))));
}

/*
 * Let a day be found without reading the year.  Rows lie in the order of their
 * days, so a BRIN index does, and costs next to nothing.
 */
static void
create_range_index(WhCombine *combine)
{
	const WhCombined *what = combine->what;
	const char *column = what->tmpl->time_column;
	Oid			nspid = get_namespace_oid(what->schema, false);
	Relation	rel = table_open(get_relname_relid(what->name, nspid),
								 AccessExclusiveLock);
	bool		needed = column != NULL &&
	rel->rd_tableam->scan_bitmap_next_block != NULL &&
	!wh_range_has_index(rel, SPI_fnumber(RelationGetDescr(rel), column));

	table_close(rel, NoLock);
	if (needed)
		wh_ddl(psprintf("CREATE INDEX %s ON %s USING brin (%s)"
						" WITH (pages_per_range = %d, autosummarize = on)",
						quote_identifier(wh_combine_range_index(what->name)),
						qualified(what), quote_identifier(column), PAGES_PER_RANGE));
}

/*
 * Call what the template wants called with the new table, as the owner.
 */
static void
call_after_create(const WhCombine *combine)
{
	const WhCombined *what = combine->what;
	Oid			function = DatumGetObjectId(DirectFunctionCall1(regprocedurein,
																CStringGetDatum(what->tmpl->after_create)));
	WhArg		arg = wh_text(qualified(what));

	SPI_connect();
	(void) wh_spi(SPI_OK_SELECT,
				  psprintf("SELECT %s($1::pg_catalog.regclass)",
						   quote_qualified_identifier(get_namespace_name(get_func_namespace(function)),
													  get_func_name(function))),
				  &arg, 1);
	SPI_finish();
}

/*
 * Get everything to disk that a commit would, which may be under a view's
 * strong lock.
 */
static void
make_durable(const WhCombine *combine)
{
	Oid			nspid = get_namespace_oid(combine->what->schema, false);
	Relation	rel = table_open(get_relname_relid(combine->what->name, nspid),
								 AccessExclusiveLock);
	ListCell   *lc;

	wh_make_durable(rel);
	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = relation_open(lfirst_oid(lc), AccessShareLock);

		wh_make_durable(index);
		relation_close(index, NoLock);
	}
	table_close(rel, NoLock);
	XLogFlush(XactLastRecEnd);
}

static char *
qualified(const WhCombined *what)
{
	return quote_qualified_identifier(what->schema, what->name);
}

static char *
unit_of(const WhCombined *what)
{
	return psprintf("Tenant \"%s\", template \"%s\".", what->tenant->name,
					what->tmpl->name);
}
