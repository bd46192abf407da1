/*
 * gone.c
 *		Rows of an incremental template's table that the source has no more.
 *
 * A deleted row tells nobody, and neither does the old key of a row whose key
 * was changed.  So the rows of a day are compared by key: a stored one that the
 * source did not send with that day is a suspect.  It may have moved to another
 * day, so the source is asked for the key itself, and only what it does not
 * have then is deleted: by an ordinary DELETE, for the table's triggers and
 * foreign keys to see.
 *
 * All sets are on disk but for their first part, and are asked for in parts.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "flat.h"
#include "gone.h"
#include "spi.h"
#include "tally.h"
#include "upsert.h"

/* So many keys are a statement at the source. */
#define BATCH_KEYS 1000

/* The names that statements know rows by. */
#define ROWS "wh_rows"
#define KEYS "wh_keys"

struct WhGone
{
	MemoryContext context;		/* where the sets live */
	const char *relation;		/* the table's name, qualified */
	const WhTemplate *tmpl;
	TupleDesc	keys;			/* the columns of a suspect */
	int64		stored;
	Tuplestorestate *suspects;
	Tuplestorestate *batch;		/* the ones at hand; NULL: none */
	int64		nbatch;
	TupleTableSlot *slot;
};

static TupleDesc key_columns(const WhTemplate *tmpl);
static char *key_list(const WhGone *gone, const char *of);
static void take_suspect(void *arg, HeapTuple tuple, TupleDesc desc);
static void append_key(const WhGone *gone, StringInfo sql, const List *key_types);

/*
 * Find suspects; see gone.h.
 */
WhGone *
wh_gone_suspects(Relation rel, const WhTemplate *tmpl, const WhRange *range,
				 Tuplestorestate *rows, int64 nrows)
{
	WhGone	   *gone = (WhGone *) palloc0(sizeof(WhGone));
	char	   *in_range = wh_range_condition(range, psprintf("t.%s",
															  quote_identifier(tmpl->watermark_column)));
	const char *from;

	gone->context = CurrentMemoryContext;
	gone->tmpl = tmpl;
	gone->relation = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
												RelationGetRelationName(rel));
	gone->keys = key_columns(tmpl);
	gone->suspects = wh_flat_spool(CurrentResourceOwner);
	gone->slot = MakeSingleTupleTableSlot(gone->keys, &TTSOpsMinimalTuple);
	from = psprintf(" FROM %s AS t WHERE %s", gone->relation, in_range);

	SPI_connect();
	wh_spi_name_rows(ROWS, tmpl->columns, rows, nrows);
	(void) wh_spi(SPI_OK_SELECT, psprintf("SELECT pg_catalog.count(*)%s", from), NULL, 0);
	gone->stored = wh_col_int8(0, 1, 0);
	(void) wh_spi_each(psprintf("SELECT %s%s AND ROW(%s) IS NOT NULL"
								" AND NOT EXISTS (SELECT FROM " ROWS " AS r WHERE %s)",
								key_list(gone, "t"), from, key_list(gone, "t"),
								wh_upsert_match(tmpl, "r", "t")),
					   take_suspect, gone);
	SPI_finish();

	return gone;
}

int64
wh_gone_stored(const WhGone *gone)
{
	return gone->stored;
}

/*
 * Copy the key's types; see gone.h.  A column that the source lacks has none:
 * the source says so itself when it is asked for it.
 */
List *
wh_gone_key_types(const WhTemplate *tmpl, const WhRemoteColumns *remote)
{
	List	   *types = NIL;
	ListCell   *lc;

	foreach(lc, tmpl->key_columns)
	{
		const char *type = "pg_catalog.text";

		for (int i = 0; i < remote->n; i++)
		{
			if (strcmp(remote->columns[i].name, (const char *) lfirst(lc)) == 0)
				type = remote->columns[i].type_name;
		}
		types = lappend(types, pstrdup(type));
	}

	return types;
}

/*
 * Turn to the next suspects; see gone.h.  Keys are written as sessions at
 * tenants read them, and in the types that they have there.
 */
char *
wh_gone_next(WhGone *gone, const List *key_types)
{
	int			nestlevel = NewGUCNestLevel();
	MemoryContext caller = MemoryContextSwitchTo(gone->context);
	StringInfoData sql;

	if (gone->batch != NULL)
		tuplestore_end(gone->batch);
	gone->batch = wh_flat_spool(CurrentResourceOwner);
	gone->nbatch = 0;
	MemoryContextSwitchTo(caller);

	initStringInfo(&sql);
	appendStringInfo(&sql, "(%s) IN (VALUES ", key_list(gone, "q"));
	wh_tally_pin_settings();
	while (gone->nbatch < BATCH_KEYS &&
		   tuplestore_gettupleslot(gone->suspects, true, false, gone->slot))
	{
		appendStringInfoString(&sql, gone->nbatch > 0 ? ", (" : "(");
		append_key(gone, &sql, key_types);
		appendStringInfoChar(&sql, ')');
		tuplestore_puttupleslot(gone->batch, gone->slot);
		gone->nbatch++;
	}

	/* What came from disk is in the caller's context, which he may reset. */
	ExecClearTuple(gone->slot);
	AtEOXact_GUC(false, nestlevel);
	appendStringInfoChar(&sql, ')');

	return gone->nbatch > 0 ? sql.data : NULL;
}

/*
 * Delete those that were not found; see gone.h.
 */
int64
wh_gone_delete(WhGone *gone, Tuplestorestate *found, int64 nfound)
{
	const WhTemplate *tmpl = gone->tmpl;
	int64		deleted;
	char	   *but = "";

	if (nfound == gone->nbatch)
		return 0;

	if (nfound > 0)
		but = psprintf(" AND NOT EXISTS (SELECT FROM " ROWS " AS r WHERE %s)",
					   wh_upsert_match(tmpl, "r", "k"));
	SPI_connect();
	wh_spi_name_rows(KEYS, gone->keys, gone->batch, gone->nbatch);
	wh_spi_name_rows(ROWS, tmpl->columns, found, nfound);
	deleted = wh_spi_by_index(SPI_OK_DELETE,
							  psprintf("DELETE FROM %s AS t USING " KEYS " AS k WHERE %s%s",
									   gone->relation, wh_upsert_match(tmpl, "t", "k"), but));
	SPI_finish();

	return deleted;
}

void
wh_gone_end(WhGone *gone)
{
	if (gone->batch != NULL)
		tuplestore_end(gone->batch);
	tuplestore_end(gone->suspects);
	ExecDropSingleTupleTableSlot(gone->slot);
}

/*
 * Describe a key as a row.
 */
static TupleDesc
key_columns(const WhTemplate *tmpl)
{
	TupleDesc	keys = CreateTemplateTupleDesc(list_length(tmpl->key_columns));
	AttrNumber	attnum = 0;
	ListCell   *lc;

	foreach(lc, tmpl->key_columns)
		TupleDescCopyEntry(keys, ++attnum, tmpl->columns,
						   (AttrNumber) SPI_fnumber(tmpl->columns, (const char *) lfirst(lc)));

	return keys;
}

static char *
key_list(const WhGone *gone, const char *of)
{
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, gone->tmpl->key_columns)
		appendStringInfo(&list, "%s%s.%s", list.len > 0 ? ", " : "", of,
						 quote_identifier((const char *) lfirst(lc)));

	return list.data;
}

static void
take_suspect(void *arg, HeapTuple tuple, TupleDesc desc)
{
	WhGone	   *gone = (WhGone *) arg;

	tuplestore_puttuple(gone->suspects, tuple);
}

/*
 * Write the values of the key in the slot.
 */
static void
append_key(const WhGone *gone, StringInfo sql, const List *key_types)
{
	slot_getallattrs(gone->slot);
	for (int i = 0; i < gone->keys->natts; i++)
	{
		Oid			output;
		bool		is_varlena;
		char	   *value;

		getTypeOutputInfo(TupleDescAttr(gone->keys, i)->atttypid, &output, &is_varlena);
		value = OidOutputFunctionCall(output, gone->slot->tts_values[i]);
		appendStringInfo(sql, "%s%s::%s", i > 0 ? ", " : "",
						 quote_literal_cstr(value), (const char *) list_nth(key_types, i));
	}
}
