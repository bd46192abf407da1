/*
 * csv.h
 *		Rows as lines of CSV, as COPY ... (FORMAT csv, HEADER) has them, both
 *		ways; knows no table.
 */
#ifndef WH_CSV_H
#define WH_CSV_H

#include "access/tupdesc.h"
#include "lib/stringinfo.h"

/*
 * Have values written, and read, so that they mean the same in every session:
 * dates in ISO style, instants in UTC, numbers in full.  Returns the level to
 * undo that with; an error undoes it, too.
 */
extern int	wh_csv_settings(void);
extern void wh_csv_settings_end(int nestlevel);

/* Writes rows of these columns. */
typedef struct WhCsvWriter WhCsvWriter;

extern WhCsvWriter *wh_csv_writer(TupleDesc columns);

/*
 * Append the line of names, or a row's; within wh_csv_settings().  What the
 * types' functions allocate is CurrentMemoryContext's.
 */
extern void wh_csv_header(WhCsvWriter *writer, StringInfo line);
extern void wh_csv_row(WhCsvWriter *writer, const Datum *values,
					   const bool *isnull, StringInfo line);

/* Reads them. */
typedef struct WhCsvReader WhCsvReader;

/* Where its bytes come from: "max" at most, 0 at the end. */
typedef int (*WhCsvSource) (void *arg, char *data, int max);

/*
 * Begin to read rows of these columns, in that encoding, in
 * CurrentMemoryContext; throws 42804 when the line of names has others.
 * Within wh_csv_settings(), until its end.
 */
extern WhCsvReader *wh_csv_reader(TupleDesc columns, const char *encoding,
								  WhCsvSource source, void *arg);

/* Read the next row into CurrentMemoryContext; false at the end. */
extern bool wh_csv_next(WhCsvReader *reader, Datum *values, bool *isnull);
extern void wh_csv_reader_end(WhCsvReader *reader);

#endif							/* WH_CSV_H */
