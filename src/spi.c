/*
 * spi.c
 *		SPI, DDL and ledger writes, written once.
 *
 * Nobody else calls SPI_execute*() or ProcessUtility().  This file decides
 * nothing: who may run what, and as whom, is the caller's (but for the
 * ledger, which is always the installer's).
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "nodes/makefuncs.h"
#include "nodes/plannodes.h"
#include "tcop/dest.h"
#include "tcop/utility.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/queryenvironment.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "role.h"
#include "spi.h"

/* Rows of a stream that are in memory at a time. */
#define STREAM_BATCH 1000

/* A statement that is planned once in a session. */
typedef struct Prepared
{
	uint64		hash;			/* of its text; the key */
	char	   *sql;
	SPIPlanPtr	plan;
} Prepared;

/* Both live as long as the session; plans follow what they depend on. */
static HTAB *plans = NULL;

static int	execute(const char *sql, const WhArg *args, int nargs);
static void *read_string(uint64 row);
static SPIPlanPtr kept_plan(const char *sql, Oid *types, int nargs);
static WhArg make_arg(Oid typid, Datum value, bool isnull);
static WhArg string_array(List *strings, Oid elemtype, int elemlen);

WhArg
wh_text(const char *value)
{
	return make_arg(TEXTOID,
					value ? CStringGetTextDatum(value) : (Datum) 0,
					value == NULL);
}

WhArg
wh_name(const char *value)
{
	return make_arg(NAMEOID,
					value ? DirectFunctionCall1(namein, CStringGetDatum(value)) : (Datum) 0,
					value == NULL);
}

WhArg
wh_jsonb(Jsonb *value)
{
	return make_arg(JSONBOID, JsonbPGetDatum(value), value == NULL);
}

WhArg
wh_bytea(const void *data, Size len)
{
	bytea	   *value = (bytea *) palloc(VARHDRSZ + len);

	SET_VARSIZE(value, VARHDRSZ + len);
	memcpy(VARDATA(value), data, len);

	return make_arg(BYTEAOID, PointerGetDatum(value), false);
}

WhArg
wh_text_array(List *strings)
{
	return string_array(strings, TEXTOID, -1);
}

WhArg
wh_name_array(List *strings)
{
	return string_array(strings, NAMEOID, NAMEDATALEN);
}

WhArg
wh_int4(int32 value)
{
	return make_arg(INT4OID, Int32GetDatum(value), false);
}

WhArg
wh_int8(int64 value)
{
	return make_arg(INT8OID, Int64GetDatum(value), false);
}

WhArg
wh_float8(double value)
{
	return make_arg(FLOAT8OID, Float8GetDatum(value), false);
}

WhArg
wh_bool(bool value)
{
	return make_arg(BOOLOID, BoolGetDatum(value), false);
}

WhArg
wh_date(DateADT value)
{
	return make_arg(DATEOID, DateADTGetDatum(value), false);
}

WhArg
wh_timestamptz(TimestampTz value)
{
	return make_arg(TIMESTAMPTZOID, TimestampTzGetDatum(value), false);
}

WhArg
wh_null(Oid typid)
{
	return make_arg(typid, (Datum) 0, true);
}

/*
 * Run one statement; see spi.h.
 */
uint64
wh_spi(int expected, const char *sql, const WhArg *args, int nargs)
{
	int			code = execute(sql, args, nargs);

	if (code != expected)
		elog(ERROR, "SPI returned %s for: %s", SPI_result_code_string(code), sql);

	return SPI_processed;
}

void
wh_spi_snapshot(void)
{
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
}

/*
 * Run one query through a cursor; see spi.h.
 */
uint64
wh_spi_stream(const char *sql, WhOnTuple on_tuple, void *arg)
{
	uint64		rows;

	SPI_connect();
	rows = wh_spi_each(sql, on_tuple, arg);
	SPI_finish();

	return rows;
}

uint64
wh_spi_each(const char *sql, WhOnTuple on_tuple, void *arg)
{
	uint64		rows = 0;
	SPIPlanPtr	plan;
	Portal		portal;

	plan = SPI_prepare(sql, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI returned %s for: %s", SPI_result_code_string(SPI_result), sql);
	portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);
	for (;;)
	{
		SPI_cursor_fetch(portal, true, STREAM_BATCH);
		if (SPI_processed == 0)
			break;
		for (uint64 row = 0; row < SPI_processed; row++)
			on_tuple(arg, SPI_tuptable->vals[row], SPI_tuptable->tupdesc);
		rows += SPI_processed;
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);

	return rows;
}

/*
 * Name the rows of a store; see spi.h.
 */
void
wh_spi_name_rows(const char *name, TupleDesc desc, Tuplestorestate *rows,
				 int64 nrows)
{
	EphemeralNamedRelation enr = (EphemeralNamedRelation) palloc0(sizeof(EphemeralNamedRelationData));

	enr->md.name = pstrdup(name);
	enr->md.reliddesc = InvalidOid;
	enr->md.tupdesc = desc;
	enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	enr->md.enrtuples = nrows;
	enr->reldata = rows;
	if (SPI_register_relation(enr) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not name rows \"%s\"", name);
}

/*
 * Plan with joins by index only, then run; see spi.h.
 */
uint64
wh_spi_by_index(int expected, const char *sql)
{
	static const char *const others[] = {
		"enable_hashjoin", "enable_mergejoin", "enable_seqscan", "jit"
	};
	int			nestlevel = NewGUCNestLevel();
	SPIPlanPtr	plan;
	CachedPlan *cached;
	int			code;

	for (int i = 0; i < (int) lengthof(others); i++)
		(void) set_config_option(others[i], "off", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	plan = SPI_prepare(sql, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI returned %s for: %s", SPI_result_code_string(SPI_result), sql);
	cached = SPI_plan_get_cached_plan(plan);
	if (cached != NULL)
		ReleaseCachedPlan(cached, NULL);
	AtEOXact_GUC(false, nestlevel);

	code = SPI_execute_plan(plan, NULL, NULL, false, 0);
	if (code != expected)
		elog(ERROR, "SPI returned %s for: %s", SPI_result_code_string(code), sql);

	return SPI_processed;
}

/*
 * Copy a column of a result row to CurrentMemoryContext.
 */
Datum
wh_col(uint64 row, int col, bool *isnull)
{
	TupleDesc	desc = SPI_tuptable->tupdesc;
	Form_pg_attribute att = TupleDescAttr(desc, col - 1);
	Datum		value;

	value = SPI_getbinval(SPI_tuptable->vals[row], desc, col, isnull);
	if (*isnull)
		return (Datum) 0;

	return datumCopy(value, att->attbyval, att->attlen);
}

char *
wh_col_text(uint64 row, int col)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, col);
}

int32
wh_col_int4(uint64 row, int col, int32 if_null)
{
	bool		isnull;
	Datum		value = wh_col(row, col, &isnull);

	return isnull ? if_null : DatumGetInt32(value);
}

int64
wh_col_int8(uint64 row, int col, int64 if_null)
{
	bool		isnull;
	Datum		value = wh_col(row, col, &isnull);

	return isnull ? if_null : DatumGetInt64(value);
}

double
wh_col_float8(uint64 row, int col, double if_null)
{
	bool		isnull;
	Datum		value = wh_col(row, col, &isnull);

	return isnull ? if_null : DatumGetFloat8(value);
}

bool
wh_col_bool(uint64 row, int col, bool if_null)
{
	bool		isnull;
	Datum		value = wh_col(row, col, &isnull);

	return isnull ? if_null : DatumGetBool(value);
}

/*
 * Return a date column that the table declares NOT NULL.
 */
DateADT
wh_col_date(uint64 row, int col)
{
	bool		isnull;
	Datum		value = wh_col(row, col, &isnull);

	if (isnull)
		elog(ERROR, "unexpected null in column %d", col);

	return DatumGetDateADT(value);
}

TimestampTz
wh_col_timestamptz(uint64 row, int col, TimestampTz if_null)
{
	bool		isnull;
	Datum		value = wh_col(row, col, &isnull);

	return isnull ? if_null : DatumGetTimestampTz(value);
}

/*
 * List what a function makes of each row; see spi.h.
 */
List *
wh_spi_list(const char *sql, const WhArg *args, int nargs, WhReadRow read)
{
	MemoryContext caller = CurrentMemoryContext;
	List	   *list = NIL;
	uint64		rows;

	SPI_connect();
	rows = wh_spi(SPI_OK_SELECT, sql, args, nargs);

	/* Copy out while the SPI result is still there. */
	MemoryContextSwitchTo(caller);
	for (uint64 row = 0; row < rows; row++)
		list = lappend(list, read(row));
	SPI_finish();

	return list;
}

List *
wh_spi_strings(const char *sql, const WhArg *args, int nargs)
{
	return wh_spi_list(sql, args, nargs, read_string);
}

static void *
read_string(uint64 row)
{
	return wh_col_text(row, 1);
}

/*
 * Run one utility statement given as text.
 */
void
wh_ddl(const char *sql)
{
	SPI_connect();
	(void) wh_spi(SPI_OK_UTILITY, sql, NULL, 0);
	SPI_finish();
}

/*
 * Run one utility statement given as a raw parse tree; "source" is the text
 * that error positions and event triggers are shown.
 */
uint64
wh_ddl_stmt(Node *stmt, const char *source)
{
	PlannedStmt *pstmt = makeNode(PlannedStmt);
	QueryCompletion completion;

	pstmt->commandType = CMD_UTILITY;
	pstmt->canSetTag = false;
	pstmt->utilityStmt = stmt;
	pstmt->stmt_location = -1;

	InitializeQueryCompletion(&completion);
	PushActiveSnapshot(GetTransactionSnapshot());
	ProcessUtility(pstmt, source, false, PROCESS_UTILITY_QUERY, NULL, NULL,
				   None_Receiver, &completion);
	PopActiveSnapshot();
	CommandCounterIncrement();

	return completion.nprocessed;
}

/*
 * Write a control table as the installer; see spi.h.
 */
int64
wh_ledger(const char *sql, const WhArg *args, int nargs)
{
	WhRole		caller;
	int64		result;
	int			code;

	wh_role_installer(&caller);
	SPI_connect();
	code = execute(sql, args, nargs);
	if (code < 0)
		elog(ERROR, "SPI returned %s for: %s", SPI_result_code_string(code), sql);

	result = (int64) SPI_processed;
	if (SPI_tuptable != NULL && SPI_processed > 0)
		result = wh_col_int8(0, 1, 0);
	SPI_finish();
	wh_role_leave(&caller);

	return result;
}

/*
 * Do work in a subtransaction; see spi.h.
 */
void
wh_subtransaction(void (*work) (void *arg), void *arg, bool keep)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *error;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		work(arg);
		if (keep)
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		CurrentResourceOwner = owner;
		MemoryContextSwitchTo(context);
		ReThrowError(error);
	}
	PG_END_TRY();

	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

/*
 * Hand the statement to SPI, which wants types, values and nulls apart.  What
 * has no parameter is DDL, or run once.
 */
static int
execute(const char *sql, const WhArg *args, int nargs)
{
	Oid			types[WH_MAX_ARGS];
	Datum		values[WH_MAX_ARGS];
	char		nulls[WH_MAX_ARGS];

	if (nargs == 0)
		return SPI_execute(sql, false, 0);

	Assert(nargs <= WH_MAX_ARGS);
	for (int i = 0; i < nargs; i++)
	{
		types[i] = args[i].typid;
		values[i] = args[i].value;
		nulls[i] = args[i].isnull ? 'n' : ' ';
	}

	return SPI_execute_plan(kept_plan(sql, types, nargs), values, nulls,
							false, 0);
}

/*
 * Plan a statement, or find its plan: a unit runs a score of statements, which
 * are the same for all units, and planning costs more than running them.
 */
static SPIPlanPtr
kept_plan(const char *sql, Oid *types, int nargs)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) sql,
										   (int) strlen(sql), 0);
	Prepared   *kept;
	char	   *copy;
	SPIPlanPtr	plan;

	if (plans == NULL)
	{
		HASHCTL		control = {.keysize = sizeof(uint64),.entrysize = sizeof(Prepared)};

		plans = hash_create("pg_warehouse plans", 64, &control,
							HASH_ELEM | HASH_BLOBS);
	}

	kept = (Prepared *) hash_search(plans, &hash, HASH_FIND, NULL);
	if (kept != NULL && strcmp(kept->sql, sql) == 0)
		return kept->plan;

	plan = SPI_prepare(sql, nargs, types);
	if (plan == NULL)
		elog(ERROR, "SPI returned %s for: %s",
			 SPI_result_code_string(SPI_result), sql);
	if (kept != NULL)
		return plan;

	copy = MemoryContextStrdup(TopMemoryContext, sql);
	kept = (Prepared *) hash_search(plans, &hash, HASH_ENTER, NULL);
	SPI_keepplan(plan);
	kept->sql = copy;
	kept->plan = plan;

	return plan;
}

static WhArg
make_arg(Oid typid, Datum value, bool isnull)
{
	WhArg		arg = {typid, value, isnull};

	return arg;
}

static WhArg
string_array(List *strings, Oid elemtype, int elemlen)
{
	Oid			arraytype = elemtype == NAMEOID ? NAMEARRAYOID : TEXTARRAYOID;
	Datum	   *elems;
	ArrayType  *array;
	ListCell   *lc;
	int			n = 0;

	if (strings == NIL)
		return wh_null(arraytype);

	elems = (Datum *) palloc(sizeof(Datum) * list_length(strings));
	foreach(lc, strings)
	{
		const char *string = (const char *) lfirst(lc);

		elems[n++] = elemtype == NAMEOID
			? DirectFunctionCall1(namein, CStringGetDatum(string))
			: CStringGetTextDatum(string);
	}
	array = construct_array(elems, n, elemtype, elemlen, false,
							elemtype == NAMEOID ? TYPALIGN_CHAR : TYPALIGN_INT);

	return make_arg(arraytype, PointerGetDatum(array), false);
}
