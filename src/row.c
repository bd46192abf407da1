/*
 * row.c
 *		Fields of a row by the name of their column.
 *
 * Rows of control tables come from queries, triggers and scans alike, and a
 * later version of a table has more columns: positions mean nothing.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/spi.h"

#include "row.h"

char *
wh_row_text(HeapTuple tuple, TupleDesc desc, const char *column)
{
	return SPI_getvalue(tuple, desc, wh_row_position(desc, column));
}

Datum
wh_row_datum(HeapTuple tuple, TupleDesc desc, const char *column, bool *isnull)
{
	return SPI_getbinval(tuple, desc, wh_row_position(desc, column), isnull);
}

bool
wh_row_breaks_not_null(HeapTuple tuple, TupleDesc desc)
{
	for (int attnum = 1; attnum <= desc->natts; attnum++)
	{
		if (TupleDescAttr(desc, attnum - 1)->attnotnull &&
			heap_attisnull(tuple, attnum, desc))
			return true;
	}

	return false;
}

int
wh_row_position(TupleDesc desc, const char *column)
{
	int			attnum = SPI_fnumber(desc, column);

	if (attnum <= 0)
		elog(ERROR, "row has no column \"%s\"", column);

	return attnum;
}
