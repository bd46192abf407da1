/*
 * upsert.c
 *		Bring rows into a table by their key, through the executor.
 *
 * Two statements per batch read its rows from memory: an UPDATE of those that
 * are there and differ, in any byte, and an INSERT ... ON CONFLICT of the
 * others.  So the table's triggers, constraints, generated and other columns
 * work as for any statement, an UPDATE trigger fires for what has changed and
 * nothing else, and a row that is the same costs a look.  An INSERT ... ON
 * CONFLICT alone would lock each row that is there, a write of its own, and
 * fire the INSERT triggers for it, too.  As whom it runs is the caller's.
 */
#include "postgres.h"

#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "flat.h"
#include "spi.h"
#include "upsert.h"

/* Triggers after a row are queued in memory until their statement ends. */
#define BATCH_ROWS 50000

/* The name that the statement knows the rows by. */
#define ROWS "wh_rows"

static void run_batch(Relation rel, const WhTemplate *tmpl,
					  Tuplestorestate *rows, int64 nrows,
					  WhUpsertCounts *counts);
static char *update_sql(const WhTemplate *tmpl, const char *relation);
static char *insert_sql(const WhTemplate *tmpl, const char *relation);
static const char *name_of(Relation rel);
static char *columns_of(const WhTemplate *tmpl, const char *of);
static char *assignments(const WhTemplate *tmpl, const char *of);
static bool is_key(const WhTemplate *tmpl, const char *column);

/*
 * Upsert all rows of a store; see upsert.h.
 */
void
wh_upsert(Relation rel, const WhTemplate *tmpl, Tuplestorestate *rows,
		  int64 nrows, WhUpsertCounts *counts)
{
	TupleTableSlot *slot;

	if (nrows <= BATCH_ROWS)
	{
		run_batch(rel, tmpl, rows, nrows, counts);
		return;
	}

	/* From the first one, wherever a statement has left off reading them. */
	tuplestore_select_read_pointer(rows, 0);
	tuplestore_rescan(rows);
	slot = MakeSingleTupleTableSlot(tmpl->columns, &TTSOpsMinimalTuple);
	while (nrows > 0)
	{
		Tuplestorestate *batch = wh_flat_spool(CurrentResourceOwner);
		int64		nbatch = 0;

		CHECK_FOR_INTERRUPTS();
		for (; nbatch < BATCH_ROWS && tuplestore_gettupleslot(rows, true, false, slot); nbatch++)
			tuplestore_puttupleslot(batch, slot);
		if (nbatch == 0)
			elog(ERROR, "rows of an upsert have gone astray");
		run_batch(rel, tmpl, batch, nbatch, counts);
		tuplestore_end(batch);
		nrows -= nbatch;
	}
	ExecDropSingleTupleTableSlot(slot);
}

/*
 * Write the statements; see upsert.h.
 */
char *
wh_upsert_sql(const WhTemplate *tmpl, const char *relation)
{
	const char *update = update_sql(tmpl, relation);
	const char *insert = insert_sql(tmpl, relation);

	return update ? psprintf("%s;\n%s", update, insert) : psprintf("%s", insert);
}

/*
 * Run the statements over one batch.  What a trigger would not have counts as
 * left alone.
 */
static void
run_batch(Relation rel, const WhTemplate *tmpl, Tuplestorestate *rows,
		  int64 nrows, WhUpsertCounts *counts)
{
	const char *relation = name_of(rel);
	const char *update = update_sql(tmpl, relation);
	int64		updated = 0;
	int64		inserted = 0;

	SPI_connect();
	wh_spi_name_rows(ROWS, tmpl->columns, rows, nrows);
	if (update != NULL)
		updated = wh_spi_by_index(SPI_OK_UPDATE, update);
	if (updated < nrows)
		inserted = wh_spi_by_index(SPI_OK_INSERT, insert_sql(tmpl, relation));
	SPI_finish();

	counts->inserted += inserted;
	counts->updated += updated;
	counts->unchanged += nrows - inserted - updated;
}

/*
 * Write the UPDATE; NULL where rows that are there stay, or have nothing but
 * their key.  Mostly the watermark alone tells that a row has changed.
 */
static char *
update_sql(const WhTemplate *tmpl, const char *relation)
{
	char	   *set = assignments(tmpl, "r");

	if (tmpl->keep_stored || set == NULL)
		return NULL;

	return psprintf("UPDATE %s AS t SET %s FROM " ROWS " AS r WHERE %s"
					" AND (t.%s OPERATOR(pg_catalog.<>) r.%s OR ROW(%s)::pg_catalog.record"
					" OPERATOR(pg_catalog.*<>) ROW(%s)::pg_catalog.record)",
					relation, set, wh_upsert_match(tmpl, "t", "r"),
					quote_identifier(tmpl->watermark_column),
					quote_identifier(tmpl->watermark_column),
					columns_of(tmpl, "t"), columns_of(tmpl, "r"));
}

/*
 * Write the INSERT.  Somebody else can have inserted a key meanwhile.
 */
static char *
insert_sql(const WhTemplate *tmpl, const char *relation)
{
	char	   *set = tmpl->keep_stored ? NULL : assignments(tmpl, "excluded");
	StringInfoData keys;
	ListCell   *lc;

	initStringInfo(&keys);
	foreach(lc, tmpl->key_columns)
		appendStringInfo(&keys, "%s%s", keys.len > 0 ? ", " : "",
						 quote_identifier((const char *) lfirst(lc)));

	return psprintf("INSERT INTO %s (%s) SELECT %s FROM " ROWS " AS r"
					" WHERE NOT EXISTS (SELECT FROM %s AS t WHERE %s)"
					" ON CONFLICT (%s) DO %s%s",
					relation, columns_of(tmpl, NULL), columns_of(tmpl, "r"),
					relation, wh_upsert_match(tmpl, "t", "r"), keys.data,
					set ? "UPDATE SET " : "NOTHING", set ? set : "");
}

static const char *
name_of(Relation rel)
{
	return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
									  RelationGetRelationName(rel));
}

static char *
columns_of(const WhTemplate *tmpl, const char *of)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < tmpl->columns->natts; i++)
		appendStringInfo(&list, "%s%s%s%s", i > 0 ? ", " : "",
						 of ? of : "", of ? "." : "",
						 quote_identifier(NameStr(TupleDescAttr(tmpl->columns, i)->attname)));

	return list.data;
}

/*
 * Compare keys; see upsert.h.
 */
char *
wh_upsert_match(const WhTemplate *tmpl, const char *a, const char *b)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, tmpl->key_columns)
	{
		const char *key = quote_identifier((const char *) lfirst(lc));

		appendStringInfo(&sql, "%s%s.%s OPERATOR(pg_catalog.=) %s.%s",
						 sql.len > 0 ? " AND " : "", a, key, b, key);
	}

	return sql.data;
}

/*
 * Write what a row that is there takes over; NULL when it has nothing but its
 * key.
 */
static char *
assignments(const WhTemplate *tmpl, const char *of)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < tmpl->columns->natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(tmpl->columns, i)->attname);

		if (!is_key(tmpl, name))
			appendStringInfo(&sql, "%s%s = %s.%s", sql.len > 0 ? ", " : "",
							 quote_identifier(name), of, quote_identifier(name));
	}

	return sql.len > 0 ? sql.data : NULL;
}

static bool
is_key(const WhTemplate *tmpl, const char *column)
{
	ListCell   *lc;

	foreach(lc, tmpl->key_columns)
	{
		if (strcmp((const char *) lfirst(lc), column) == 0)
			return true;
	}

	return false;
}
