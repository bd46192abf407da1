/*
 * fill.h
 *		Write rows into a relation's storage in batches.
 */
#ifndef WH_FILL_H
#define WH_FILL_H

#include "access/htup.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

typedef struct WhFill WhFill;

typedef enum WhFillKind
{
	WH_FILL_NEW,				/* storage of this very subtransaction: rows
								 * frozen, no index touched */
	WH_FILL_LIVE				/* storage in use: ordinary rows, indexes kept
								 * up */
} WhFillKind;

/*
 * Begin in CurrentMemoryContext.  The caller holds the lock that the kind
 * needs and has seen that the relation is ours.  WH_FILL_LIVE wants an active
 * snapshot and throws 23505.
 */
extern WhFill *wh_fill_begin(Relation rel, WhFillKind kind);

/* Add one row; it is copied. */
extern void wh_fill_row(WhFill *fill, const Datum *values, const bool *isnull);

/* Add all rows of a store, which is read to its end and freed. */
extern void wh_fill_spool(WhFill *fill, Tuplestorestate *spool);

/* Write what is left, and return the number of rows. */
extern int64 wh_fill_end(WhFill *fill);

#endif							/* WH_FILL_H */
