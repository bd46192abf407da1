/*
 * upsert.h
 *		Bring rows into a table by their key, through the executor.
 */
#ifndef WH_UPSERT_H
#define WH_UPSERT_H

#include "template.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

typedef struct WhUpsertCounts
{
	int64		inserted;
	int64		updated;
	int64		unchanged;
} WhUpsertCounts;

/*
 * Upsert the rows of a store, which have the template's columns, into a table
 * that the caller has open and locked; as the current user, with whatever
 * fires on it.
 */
extern void wh_upsert(Relation rel, const WhTemplate *tmpl,
					  Tuplestorestate *rows, int64 nrows,
					  WhUpsertCounts *counts);

/* The condition that two rows, by their aliases, have the same key. */
extern char *wh_upsert_match(const WhTemplate *tmpl, const char *a, const char *b);

/* The statements, for _wh.wh_plan(). */
extern char *wh_upsert_sql(const WhTemplate *tmpl, const char *relation);

#endif							/* WH_UPSERT_H */
