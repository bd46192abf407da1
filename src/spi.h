/*
 * spi.h
 *		SPI, DDL and ledger writes, written once.
 */
#ifndef WH_SPI_H
#define WH_SPI_H

#include "datatype/timestamp.h"
#include "executor/spi.h"
#include "nodes/nodes.h"
#include "utils/date.h"
#include "utils/jsonb.h"
#include "utils/tuplestore.h"

#define WH_MAX_ARGS 32

/* A parameter: type, value and nullness travel together. */
typedef struct WhArg
{
	Oid			typid;
	Datum		value;
	bool		isnull;
} WhArg;

/* A NULL pointer makes an SQL NULL of that type. */
extern WhArg wh_text(const char *value);
extern WhArg wh_name(const char *value);
extern WhArg wh_jsonb(Jsonb *value);
extern WhArg wh_bytea(const void *data, Size len);
extern WhArg wh_text_array(List *strings);	/* of char *; NIL -> NULL */
extern WhArg wh_name_array(List *strings);	/* of char *; NIL -> NULL */
extern WhArg wh_int4(int32 value);
extern WhArg wh_int8(int64 value);
extern WhArg wh_float8(double value);
extern WhArg wh_bool(bool value);
extern WhArg wh_date(DateADT value);
extern WhArg wh_timestamptz(TimestampTz value);
extern WhArg wh_null(Oid typid);

/*
 * Run one statement between SPI_connect() and SPI_finish(), as the current
 * user, and return the number of rows.  Any other SPI code than "expected"
 * is "cannot happen".  Rows are in SPI_tuptable.
 */
extern uint64 wh_spi(int expected, const char *sql, const WhArg *args, int nargs);

/*
 * Run one query as the current user, under the active snapshot, and hand over
 * its rows as they come, in batches that are freed; connects to SPI by itself.
 * Returns how many.  wh_spi_snapshot() makes one that sees all that was
 * committed, or done here, before; PopActiveSnapshot() ends it.
 */
extern void wh_spi_snapshot(void);
typedef void (*WhOnTuple) (void *arg, HeapTuple tuple, TupleDesc desc);
extern uint64 wh_spi_stream(const char *sql, WhOnTuple on_tuple, void *arg);

/* The same for who is connected already. */
extern uint64 wh_spi_each(const char *sql, WhOnTuple on_tuple, void *arg);

/*
 * Let the statements of this connection to SPI read the rows of a store by a
 * name, as a relation.
 */
extern void wh_spi_name_rows(const char *name, TupleDesc desc,
							 Tuplestorestate *rows, int64 nrows);

/*
 * The same for a statement that joins few rows to a table by its index, which
 * the planner may think dear: other joins are switched off while it is
 * planned, and on again while it runs what triggers do.
 */
extern uint64 wh_spi_by_index(int expected, const char *sql);

/*
 * Run a query like that, connected to SPI only meanwhile, and list what "read"
 * makes of each row, by the functions below, in CurrentMemoryContext.  The
 * second one lists the first column as text.
 */
typedef void *(*WhReadRow) (uint64 row);
extern List *wh_spi_list(const char *sql, const WhArg *args, int nargs,
						 WhReadRow read);
extern List *wh_spi_strings(const char *sql, const WhArg *args, int nargs);

/* Of a table with these columns: $1 and $2, of which NULL means all. */
#define WH_WHERE_PAIR \
	" WHERE ($1 IS NULL OR template_name OPERATOR(pg_catalog.=) $1)" \
	" AND ($2 IS NULL OR tenant_name OPERATOR(pg_catalog.=) $2)"

/*
 * Read a column of a result row.  The copy is made in CurrentMemoryContext:
 * after SPI_connect() switch to the caller's context first.  Columns count
 * from 1.
 */
extern Datum wh_col(uint64 row, int col, bool *isnull);
extern char *wh_col_text(uint64 row, int col);	/* NULL for SQL NULL */
extern int32 wh_col_int4(uint64 row, int col, int32 if_null);
extern int64 wh_col_int8(uint64 row, int col, int64 if_null);
extern double wh_col_float8(uint64 row, int col, double if_null);
extern bool wh_col_bool(uint64 row, int col, bool if_null);
extern DateADT wh_col_date(uint64 row, int col);
extern TimestampTz wh_col_timestamptz(uint64 row, int col, TimestampTz if_null);

/*
 * Run one utility statement as the current user; the caller has become the
 * owner (role.h).  wh_ddl() connects to SPI by itself.  wh_ddl_stmt() takes a
 * raw parse tree, which it scribbles on, and returns how many rows the
 * statement says that it processed.
 */
extern void wh_ddl(const char *sql);
extern uint64 wh_ddl_stmt(Node *stmt, const char *source);

/*
 * Write a control table as the installer: a fixed statement, everything
 * variable a parameter.  Connects to SPI and becomes the installer for just
 * this statement.  Returns the first column of the first RETURNING row as
 * int64 (a bigint), else the number of rows processed.
 */
extern int64 wh_ledger(const char *sql, const WhArg *args, int nargs);

/*
 * Do work(arg) in a subtransaction of its own, which is kept, or undone with
 * all its locks and settings; an error undoes it and is thrown on.  The memory
 * context stays the caller's.
 */
extern void wh_subtransaction(void (*work) (void *arg), void *arg, bool keep);

#endif							/* WH_SPI_H */
