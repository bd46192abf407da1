/*
 * upsert.c
 *		Bring rows into a table by their key, through the executor.
 *
 * One INSERT ... ON CONFLICT per batch reads the rows from memory, so the
 * table's triggers, constraints, generated and other columns work as for any
 * INSERT.  Rows that are stored already, bytes and all, are left out before:
 * ON CONFLICT would lock each of them, which is a write.  As whom it runs is
 * the caller's.
 */
#include "postgres.h"

#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/queryenvironment.h"

#include "flat.h"
#include "spi.h"
#include "upsert.h"

/* Triggers after a row are queued in memory until their statement ends. */
#define BATCH_ROWS 50000

/* The name that the statement knows the rows by. */
#define ROWS "wh_rows"

static void run_batch(const char *sql, TupleDesc desc, Tuplestorestate *rows,
					  int64 nrows, WhUpsertCounts *counts);
static void append_columns(StringInfo sql, const WhTemplate *tmpl, const char *of);
static void append_keys_match(StringInfo sql, const WhTemplate *tmpl);
static bool append_assignments(StringInfo sql, const WhTemplate *tmpl);
static bool is_key(const WhTemplate *tmpl, const char *column);

/*
 * Upsert all rows of a store; see upsert.h.
 */
void
wh_upsert(Relation rel, const WhTemplate *tmpl, Tuplestorestate *rows,
		  WhUpsertCounts *counts)
{
	char	   *sql = wh_upsert_sql(tmpl,
									quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
															   RelationGetRelationName(rel)));
	TupleTableSlot *slot = MakeSingleTupleTableSlot(tmpl->columns, &TTSOpsMinimalTuple);
	Tuplestorestate *batch = NULL;
	int64		nbatch = 0;

	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		if (batch == NULL)
			batch = wh_flat_spool(CurrentResourceOwner);
		tuplestore_puttupleslot(batch, slot);
		if (++nbatch < BATCH_ROWS)
			continue;
		run_batch(sql, tmpl->columns, batch, nbatch, counts);
		tuplestore_end(batch);
		batch = NULL;
		nbatch = 0;
	}
	ExecDropSingleTupleTableSlot(slot);

	if (batch == NULL)
		return;
	run_batch(sql, tmpl->columns, batch, nbatch, counts);
	tuplestore_end(batch);
}

/*
 * Write the statement; see upsert.h.  A new row has no xmax; one that took
 * the place of another has the lock that the other was found with.
 */
char *
wh_upsert_sql(const WhTemplate *tmpl, const char *relation)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "WITH written AS (INSERT INTO %s AS t (", relation);
	append_columns(&sql, tmpl, NULL);
	appendStringInfoString(&sql, ") SELECT ");
	append_columns(&sql, tmpl, "r");
	appendStringInfo(&sql, " FROM " ROWS " AS r WHERE NOT EXISTS (SELECT FROM %s AS s WHERE ",
					 relation);
	append_keys_match(&sql, tmpl);
	if (!tmpl->keep_stored)
	{
		appendStringInfoString(&sql, " AND ROW(");
		append_columns(&sql, tmpl, "s");
		appendStringInfoString(&sql, ")::pg_catalog.record OPERATOR(pg_catalog.*=) ROW(");
		append_columns(&sql, tmpl, "r");
		appendStringInfoString(&sql, ")::pg_catalog.record");
	}
	appendStringInfoString(&sql, ") ON CONFLICT (");
	foreach(lc, tmpl->key_columns)
		appendStringInfo(&sql, "%s%s", lc == list_head(tmpl->key_columns) ? "" : ", ",
						 quote_identifier((const char *) lfirst(lc)));
	appendStringInfoString(&sql, ") DO ");
	if (tmpl->keep_stored || !append_assignments(&sql, tmpl))
		appendStringInfoString(&sql, "NOTHING");
	appendStringInfoString(&sql,
						   " RETURNING t.xmax OPERATOR(pg_catalog.=) 0 AS fresh)"
						   " SELECT pg_catalog.count(*) FILTER (WHERE fresh),"
						   " pg_catalog.count(*) FILTER (WHERE NOT fresh) FROM written");

	return sql.data;
}

/*
 * Run the statement over one batch.
 */
static void
run_batch(const char *sql, TupleDesc desc, Tuplestorestate *rows, int64 nrows,
		  WhUpsertCounts *counts)
{
	EphemeralNamedRelation enr = (EphemeralNamedRelation) palloc0(sizeof(EphemeralNamedRelationData));
	int64		inserted;
	int64		updated;

	enr->md.name = ROWS;
	enr->md.reliddesc = InvalidOid;
	enr->md.tupdesc = desc;
	enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	enr->md.enrtuples = nrows;
	enr->reldata = rows;

	SPI_connect();
	if (SPI_register_relation(enr) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not name the rows of an upsert");
	(void) wh_spi(SPI_OK_SELECT, sql, NULL, 0);
	inserted = wh_col_int8(0, 1, 0);
	updated = wh_col_int8(0, 2, 0);
	SPI_finish();
	pfree(enr);

	/* What a trigger would not have counts as left alone. */
	counts->inserted += inserted;
	counts->updated += updated;
	counts->unchanged += nrows - inserted - updated;
}

static void
append_columns(StringInfo sql, const WhTemplate *tmpl, const char *of)
{
	for (int i = 0; i < tmpl->columns->natts; i++)
		appendStringInfo(sql, "%s%s%s%s", i > 0 ? ", " : "",
						 of ? of : "", of ? "." : "",
						 quote_identifier(NameStr(TupleDescAttr(tmpl->columns, i)->attname)));
}

static void
append_keys_match(StringInfo sql, const WhTemplate *tmpl)
{
	ListCell   *lc;

	foreach(lc, tmpl->key_columns)
	{
		const char *key = quote_identifier((const char *) lfirst(lc));

		appendStringInfo(sql, "%ss.%s OPERATOR(pg_catalog.=) r.%s",
						 lc == list_head(tmpl->key_columns) ? "" : " AND ", key, key);
	}
}

/*
 * Write what a row that is there takes over; false when it has nothing but
 * its key.
 */
static bool
append_assignments(StringInfo sql, const WhTemplate *tmpl)
{
	bool		first = true;

	for (int i = 0; i < tmpl->columns->natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(tmpl->columns, i)->attname);

		if (is_key(tmpl, name))
			continue;
		appendStringInfo(sql, "%s%s = excluded.%s", first ? "UPDATE SET " : ", ",
						 quote_identifier(name), quote_identifier(name));
		first = false;
	}

	return !first;
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
