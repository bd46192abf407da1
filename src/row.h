/*
 * row.h
 *		Fields of a row by the name of their column.
 */
#ifndef WH_ROW_H
#define WH_ROW_H

#include "access/htup.h"
#include "access/tupdesc.h"

/*
 * Get a field, of whichever table or query the row is: as palloc'd text
 * (NULL for SQL NULL), or as it is stored, not copied.
 */
extern char *wh_row_text(HeapTuple tuple, TupleDesc desc, const char *column);
extern Datum wh_row_datum(HeapTuple tuple, TupleDesc desc, const char *column,
						  bool *isnull);

/* Where the column is, from 1. */
extern int	wh_row_position(TupleDesc desc, const char *column);

/*
 * Is there a NULL in a NOT NULL column?  A trigger before the row leaves that
 * for the constraint to refuse.
 */
extern bool wh_row_breaks_not_null(HeapTuple tuple, TupleDesc desc);

#endif							/* WH_ROW_H */
