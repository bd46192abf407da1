/*
 * csv.c
 *		Rows as lines of CSV, as COPY ... (FORMAT csv, HEADER) has them, both
 *		ways; knows no table.
 *
 * COPY can write what a query returns and nothing else, so lines are written
 * here; they are read by COPY's own parser.  A value is what its type's output
 * function says, but for PostGIS's types, which say hexadecimal digits: they
 * are written as EWKT, which people and their input functions read.
 *
 * A tenant waits for this, so for the types that most columns have the same
 * characters are written without calling that function.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/copy.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "csv.h"

/* More digits than a double has: as many as it takes are written. */
#define EWKT_DIGITS 20

/* "2024-05-01", and after it "10:00:00.123456+00". */
#define DATE_LENGTH 10
#define TIME_LENGTH 19

/* Days with a year of four digits. */
#define FIRST_DAY (-730119)		/* 0001-01-01 */
#define LAST_DAY 2921939		/* 9999-12-31 */

/* How a column's values are written. */
typedef enum Kind
{
	KIND_INT2,
	KIND_INT4,
	KIND_INT8,
	KIND_BOOL,
	KIND_DATE,
	KIND_TIMESTAMP,
	KIND_TIMESTAMPTZ,
	KIND_TEXT,					/* the bytes are there already */
	KIND_PLAIN,					/* never in need of quotes */
	KIND_OTHER,
	KIND_EWKT
} Kind;

typedef struct Column
{
	const char *name;
	Kind		kind;
	FmgrInfo	output;
	DateADT		day;			/* the last one that was written, as */
	char		date[DATE_LENGTH];
} Column;

struct WhCsvWriter
{
	int			ncolumns;
	Column		columns[FLEXIBLE_ARRAY_MEMBER];
};

struct WhCsvReader
{
	TupleDesc	columns;
	WhCsvSource source;
	void	   *arg;
	ResourceOwner owner;		/* whose the relation is */
	Relation	rel;
	CopyFromState copy;
	FmgrInfo   *inputs;
	Oid		   *params;
};

/* COPY's callback knows no reader; the one whose row is being read. */
static WhCsvReader *reading = NULL;

static void set_column(Column *column, Form_pg_attribute att);
static Oid	ewkt_function(Oid typid);
static void append_value(Column *column, Datum value, bool alone, StringInfo line);
static bool append_instant(Column *column, int64 usecs, StringInfo line);
static bool append_date(Column *column, int64 day, StringInfo line);
static char *room_in(StringInfo line, Size len);
static char *two_digits(char *at, int number);
static bool needs_quotes(const char *text, Size len, bool alone);
static void append_text(const char *text, Size len, bool alone, StringInfo line);
static int	give_bytes(void *data, int min, int max);
static void check_names(WhCsvReader *reader);

/*
 * Set what output and input functions go by; see csv.h.
 */
int
wh_csv_settings(void)
{
	static const char *const settings[][2] = {
		{"DateStyle", "ISO, YMD"},
		{"IntervalStyle", "postgres"},
		{"TimeZone", "UTC"},
		{"extra_float_digits", "1"},
		{"bytea_output", "hex"},
		{"lc_monetary", "C"}
	};
	int			nestlevel = NewGUCNestLevel();

	for (int i = 0; i < (int) lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1],
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
								 true, 0, false);

	return nestlevel;
}

void
wh_csv_settings_end(int nestlevel)
{
	AtEOXact_GUC(false, nestlevel);
}

WhCsvWriter *
wh_csv_writer(TupleDesc columns)
{
	WhCsvWriter *writer = (WhCsvWriter *)
	palloc0(offsetof(WhCsvWriter, columns) + sizeof(Column) * columns->natts);

	writer->ncolumns = columns->natts;
	for (int i = 0; i < columns->natts; i++)
		set_column(&writer->columns[i], TupleDescAttr(columns, i));

	return writer;
}

void
wh_csv_header(WhCsvWriter *writer, StringInfo line)
{
	for (int i = 0; i < writer->ncolumns; i++)
	{
		const char *name = writer->columns[i].name;

		if (i > 0)
			appendStringInfoChar(line, ',');
		append_text(name, strlen(name), writer->ncolumns == 1, line);
	}
	appendStringInfoChar(line, '\n');
}

void
wh_csv_row(WhCsvWriter *writer, const Datum *values, const bool *isnull,
		   StringInfo line)
{
	for (int i = 0; i < writer->ncolumns; i++)
	{
		if (i > 0)
			appendStringInfoCharMacro(line, ',');
		if (!isnull[i])
			append_value(&writer->columns[i], values[i], writer->ncolumns == 1, line);
	}
	appendStringInfoChar(line, '\n');
}

static void
set_column(Column *column, Form_pg_attribute att)
{
	Oid			typid = getBaseType(att->atttypid);
	Oid			ewkt = InvalidOid;
	Oid			output;
	bool		varlena;

	column->name = pstrdup(NameStr(att->attname));
	column->day = DATEVAL_NOBEGIN;
	switch (typid)
	{
		case INT2OID:
			column->kind = KIND_INT2;
			break;
		case INT4OID:
			column->kind = KIND_INT4;
			break;
		case INT8OID:
			column->kind = KIND_INT8;
			break;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			column->kind = KIND_TEXT;
			break;
		case BOOLOID:
			column->kind = KIND_BOOL;
			break;
		case DATEOID:
			column->kind = KIND_DATE;
			break;
		case TIMESTAMPOID:
			column->kind = KIND_TIMESTAMP;
			break;
		case TIMESTAMPTZOID:
			column->kind = KIND_TIMESTAMPTZ;
			break;
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
		case UUIDOID:
			column->kind = KIND_PLAIN;
			break;
		default:
			ewkt = ewkt_function(typid);
			column->kind = OidIsValid(ewkt) ? KIND_EWKT : KIND_OTHER;
			break;
	}

	if (OidIsValid(ewkt))
		output = ewkt;
	else
		getTypeOutputInfo(att->atttypid, &output, &varlena);
	fmgr_info(output, &column->output);
}

/*
 * Find what writes a type of PostGIS as EWKT; InvalidOid for any other type.
 */
static Oid
ewkt_function(Oid typid)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(typid));
	Form_pg_type form;
	Oid			args[2] = {typid, INT4OID};
	Oid			function = InvalidOid;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", typid);
	form = (Form_pg_type) GETSTRUCT(tuple);
	if (strcmp(NameStr(form->typname), "geometry") == 0 ||
		strcmp(NameStr(form->typname), "geography") == 0)
		function = LookupFuncName(list_make2(makeString(get_namespace_name(form->typnamespace)),
											 makeString("st_asewkt")),
								  lengthof(args), args, true);
	ReleaseSysCache(tuple);

	return OidIsValid(function) && get_func_rettype(function) == TEXTOID
		? function : InvalidOid;
}

static void
append_value(Column *column, Datum value, bool alone, StringInfo line)
{
	text	   *bytes;
	char	   *output;

	switch (column->kind)
	{
		case KIND_INT2:
			line->len += pg_ltoa(DatumGetInt16(value), room_in(line, MAXINT8LEN));
			return;
		case KIND_INT4:
			line->len += pg_ltoa(DatumGetInt32(value), room_in(line, MAXINT8LEN));
			return;
		case KIND_INT8:
			line->len += pg_lltoa(DatumGetInt64(value), room_in(line, MAXINT8LEN));
			return;
		case KIND_BOOL:
			appendStringInfoCharMacro(line, DatumGetBool(value) ? 't' : 'f');
			return;
		case KIND_TEXT:
			bytes = DatumGetTextPP(value);
			append_text(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), alone, line);
			return;
		case KIND_EWKT:
			bytes = DatumGetTextPP(FunctionCall2(&column->output, value,
												 Int32GetDatum(EWKT_DIGITS)));
			append_text(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), alone, line);
			return;
		case KIND_OTHER:
			output = OutputFunctionCall(&column->output, value);
			append_text(output, strlen(output), alone, line);
			return;
		case KIND_DATE:
			if (append_date(column, DatumGetDateADT(value), line))
				return;
			break;
		case KIND_TIMESTAMP:
			if (append_instant(column, DatumGetTimestamp(value), line))
				return;
			break;
		case KIND_TIMESTAMPTZ:
			if (append_instant(column, DatumGetTimestampTz(value), line))
			{
				appendBinaryStringInfo(line, "+00", 3);
				return;
			}
			break;
		case KIND_PLAIN:
			break;
	}

	output = OutputFunctionCall(&column->output, value);
	appendBinaryStringInfo(line, output, strlen(output));
}

/*
 * Append an instant as the output function writes it in ISO style; false for
 * the few that are better left to that.
 */
static bool
append_instant(Column *column, int64 usecs, StringInfo line)
{
	int64		day;
	int64		time;
	int			seconds;
	int			fraction;
	char	   *at;

	if (TIMESTAMP_NOT_FINITE(usecs))
		return false;
	day = usecs / USECS_PER_DAY;
	time = usecs % USECS_PER_DAY;
	if (time < 0)
	{
		day--;
		time += USECS_PER_DAY;
	}
	if (!append_date(column, day, line))
		return false;

	at = room_in(line, TIME_LENGTH);
	seconds = (int) (time / USECS_PER_SEC);
	fraction = (int) (time % USECS_PER_SEC);
	*at++ = ' ';
	at = two_digits(at, seconds / SECS_PER_HOUR);
	*at++ = ':';
	at = two_digits(at, seconds / SECS_PER_MINUTE % MINS_PER_HOUR);
	*at++ = ':';
	at = two_digits(at, seconds % SECS_PER_MINUTE);
	if (fraction != 0)
	{
		*at++ = '.';
		for (int unit = 100000; fraction != 0; unit /= 10)
		{
			*at++ = '0' + fraction / unit;
			fraction %= unit;
		}
	}
	line->len = at - line->data;

	return true;
}

/*
 * The same for a day.  Rows that follow each other are mostly of one.
 */
static bool
append_date(Column *column, int64 day, StringInfo line)
{
	if (day < FIRST_DAY || day > LAST_DAY)
		return false;

	if (day != column->day)
	{
		int			year;
		int			month;
		int			monthday;
		char	   *at = column->date;

		j2date((int) day + POSTGRES_EPOCH_JDATE, &year, &month, &monthday);
		at = two_digits(at, year / 100);
		at = two_digits(at, year % 100);
		*at++ = '-';
		at = two_digits(at, month);
		*at++ = '-';
		(void) two_digits(at, monthday);
		column->day = (DateADT) day;
	}
	memcpy(room_in(line, DATE_LENGTH), column->date, DATE_LENGTH);
	line->len += DATE_LENGTH;

	return true;
}

/*
 * Make room for so many bytes at the end of the line, and return that place.
 */
static char *
room_in(StringInfo line, Size len)
{
	if (line->maxlen - line->len <= (int) len)
		enlargeStringInfo(line, (int) len);

	return line->data + line->len;
}

static char *
two_digits(char *at, int number)
{
	*at++ = '0' + number / 10;
	*at++ = '0' + number % 10;

	return at;
}

/*
 * Would a field be read as something else?  An empty one would be NULL, and
 * "\." alone on its line the end.
 */
static bool
needs_quotes(const char *text, Size len, bool alone)
{
	const char *end = text + len;

	if (len == 0 || (alone && len == 2 && memcmp(text, "\\.", 2) == 0))
		return true;
	for (const char *c = text; c < end; c++)
	{
		/* All four are below this, as is little else in a text. */
		if (*c <= ',' && (*c == ',' || *c == '"' || *c == '\n' || *c == '\r'))
			return true;
	}

	return false;
}

/*
 * Append a field, in quotes where it needs them.
 */
static void
append_text(const char *text, Size len, bool alone, StringInfo line)
{
	const char *end = text + len;

	if (!needs_quotes(text, len, alone))
	{
		memcpy(room_in(line, len), text, len);
		line->len += (int) len;
		return;
	}

	appendStringInfoChar(line, '"');
	while (text < end)
	{
		const char *quote = (const char *) memchr(text, '"', end - text);
		const char *stop = quote ? quote + 1 : end;

		appendBinaryStringInfo(line, text, (int) (stop - text));
		if (quote)
			appendStringInfoChar(line, '"');
		text = stop;
	}
	appendStringInfoChar(line, '"');
}

/*
 * Begin to read; see csv.h.  COPY wants a relation even where it is asked for
 * fields only: any will do.
 */
WhCsvReader *
wh_csv_reader(TupleDesc columns, const char *encoding, WhCsvSource source, void *arg)
{
	WhCsvReader *reader = (WhCsvReader *) palloc0(sizeof(WhCsvReader));
	List	   *options = list_make2(makeDefElem("format", (Node *) makeString("csv"), -1),
									 makeDefElem("encoding",
												 (Node *) makeString(pstrdup(encoding)), -1));

	reader->columns = columns;
	reader->source = source;
	reader->arg = arg;
	reader->inputs = (FmgrInfo *) palloc(sizeof(FmgrInfo) * columns->natts);
	reader->params = (Oid *) palloc(sizeof(Oid) * columns->natts);
	for (int i = 0; i < columns->natts; i++)
	{
		Oid			input;

		getTypeInputInfo(TupleDescAttr(columns, i)->atttypid, &input, &reader->params[i]);
		fmgr_info(input, &reader->inputs[i]);
	}
	reader->owner = CurrentResourceOwner;
	reader->rel = table_open(NamespaceRelationId, AccessShareLock);
	reader->copy = BeginCopyFrom(NULL, reader->rel, NULL, NULL, false, give_bytes,
								 NIL, options);
	check_names(reader);

	return reader;
}

bool
wh_csv_next(WhCsvReader *reader, Datum *values, bool *isnull)
{
	TupleDesc	columns = reader->columns;
	char	  **fields;
	int			nfields;

	reading = reader;
	if (!NextCopyFromRawFields(reader->copy, &fields, &nfields))
		return false;
	if (nfields != columns->natts)
		ereport(ERROR,
				(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
				 errmsg("row of %d fields where %d were expected", nfields, columns->natts)));

	for (int i = 0; i < columns->natts; i++)
	{
		isnull[i] = fields[i] == NULL;
		values[i] = InputFunctionCall(&reader->inputs[i], fields[i], reader->params[i],
									  TupleDescAttr(columns, i)->atttypmod);
	}

	return true;
}

/*
 * End; whoever takes the rows may have begun a subtransaction meanwhile.
 */
void
wh_csv_reader_end(WhCsvReader *reader)
{
	ResourceOwner owner = CurrentResourceOwner;

	EndCopyFrom(reader->copy);
	CurrentResourceOwner = reader->owner;
	table_close(reader->rel, NoLock);
	CurrentResourceOwner = owner;
	reading = NULL;
}

static int
give_bytes(void *data, int min, int max)
{
	return reading->source(reading->arg, (char *) data, max);
}

/*
 * Read the line of names, and compare.
 */
static void
check_names(WhCsvReader *reader)
{
	TupleDesc	columns = reader->columns;
	char	  **fields;
	int			nfields;
	bool		fit;

	reading = reader;
	fit = NextCopyFromRawFields(reader->copy, &fields, &nfields) &&
		nfields == columns->natts;
	for (int i = 0; fit && i < nfields; i++)
		fit = fields[i] != NULL &&
			strcmp(fields[i], NameStr(TupleDescAttr(columns, i)->attname)) == 0;
	if (!fit)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("archive file has other columns than were expected")));
}
