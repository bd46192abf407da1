/*
 * gone.h
 *		Rows of an incremental template's table that the source has no more.
 */
#ifndef WH_GONE_H
#define WH_GONE_H

#include "describe.h"
#include "range.h"
#include "template.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

typedef struct WhGone WhGone;

/*
 * Suspect the stored rows of a range whose keys are not among "rows", which
 * have the template's columns and are all that the source has in that range.
 * Lives in CurrentMemoryContext; the caller has the table open and locked.
 */
extern WhGone *wh_gone_suspects(Relation rel, const WhTemplate *tmpl,
								const WhRange *range, Tuplestorestate *rows,
								int64 nrows);

/* How many rows the range has here, suspects or not. */
extern int64 wh_gone_stored(const WhGone *gone);

/* Copy what types the key's columns have at the source, a char * each. */
extern List *wh_gone_key_types(const WhTemplate *tmpl, const WhRemoteColumns *remote);

/*
 * Turn to the next few suspects, and write the condition on q that finds them
 * at the source, wherever they are by now; NULL when there are no more.
 */
extern char *wh_gone_next(WhGone *gone, const List *key_types);

/*
 * Delete these but for the ones that were found, as the current user, with
 * whatever fires on the table; returns how many.
 */
extern int64 wh_gone_delete(WhGone *gone, Tuplestorestate *found, int64 nfound);

extern void wh_gone_end(WhGone *gone);

#endif							/* WH_GONE_H */
