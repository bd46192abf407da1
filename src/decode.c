/*
 * decode.c
 *		Rows of COPY ... (FORMAT binary) to Datums, however the stream is cut
 *		into messages.
 *
 * The bytes are a tenant's, so every length is checked before it is believed,
 * and each value passes its type's receive function, which checks encoding,
 * range and declared length.  For plain types that call costs more than the
 * value, so the good ones of these are made here, to the very same bits;
 * whatever looks wrong goes to the receive function to be refused.  Types
 * without a portable binary form travel as text and pass their input function.  Whatever is wrong is told by row and
 * column; values are not repeated.
 *
 * A row that lies whole in one message is decoded where it is; only one that
 * crosses a border is copied together.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "decode.h"

#define SIGNATURE "PGCOPY\n\377\r\n"	/* and its closing NUL */
#define SIGNATURE_BYTES 11
#define HEADER_BYTES (SIGNATURE_BYTES + 4 + 4)

/*
 * What comparing a usual row takes, kept: the first touch of memory that was
 * given back costs more than the comparison.
 */
#define SCRATCH_BYTES (32 * 1024)

/* How a column's fields become Datums. */
typedef enum Kind
{
	KIND_TEXT,					/* its text, by the input function */
	KIND_BINARY,				/* by the receive function */
	KIND_BOOL,					/* the rest: here, when nothing is wrong */
	KIND_INT2,
	KIND_INT4,
	KIND_INT8,
	KIND_FLOAT8,
	KIND_DATE,
	KIND_TIMESTAMP,
	KIND_UUID,
	KIND_STRING
} Kind;

/* Their lengths; -1: any. */
static const int lengths[] = {
	[KIND_TEXT] = -1,
	[KIND_BINARY] = -1,
	[KIND_BOOL] = 1,
	[KIND_INT2] = sizeof(int16),
	[KIND_INT4] = sizeof(int32),
	[KIND_INT8] = sizeof(int64),
	[KIND_FLOAT8] = sizeof(float8),
	[KIND_DATE] = sizeof(DateADT),
	[KIND_TIMESTAMP] = sizeof(Timestamp),
	[KIND_UUID] = UUID_LEN,
	[KIND_STRING] = -1
};

typedef struct Column
{
	char	   *name;
	Kind		kind;
	FmgrInfo	function;		/* receive or input */
	Oid			ioparam;
	int32		typmod;
	Kind		stored;			/* how a stored value is compared: its length
								 * or precision was applied */
	FmgrInfo	send;			/* for KIND_BINARY */
	bool		byval;
	int16		typlen;
} Column;

struct WhDecoder
{
	const char *subject;
	int			ncolumns;
	Column	   *columns;
	int64		max_field_bytes;
	int64		max_row_bytes;
	bool		header_seen;
	bool		end_seen;
	int64		rows;			/* decoded */
	int			column;			/* at work on, for errors; -1: none */
	char	   *cursor;			/* what is fed and not decoded yet */
	char	   *end;
	MemoryContext scratch;		/* of comparing one row */
	StringInfoData carry;		/* the beginning of a row that is not whole */
};

static Kind kind_of(Oid typid);
static bool has_portable_binary(Oid typid);
static bool take_header(WhDecoder *decoder);
static bool whole_row(const WhDecoder *decoder, char **row_end);
static void keep_rest(WhDecoder *decoder);
static bool decode_plain(Kind kind, const char *data, int len, Datum *value);
static bool is_stored(WhDecoder *decoder, Datum stored, char *data, int len);
static Datum decode_field(WhDecoder *decoder, char *data, int len);
static char *checked_text(char *data, int len);
static void explain(void *arg);
static void raise_malformed(const WhDecoder *decoder) pg_attribute_noreturn();
static uint32 get_int32(const char *data);
static uint16 get_int16(const char *data);
static uint64 get_int64(const char *data);
static float8 get_float8(const char *data);

/*
 * Make a decoder; see decode.h.
 */
WhDecoder *
wh_decoder(TupleDesc columns, const char *subject, int64 max_field_bytes,
		   int64 max_row_bytes)
{
	WhDecoder  *decoder = (WhDecoder *) palloc0(sizeof(WhDecoder));

	decoder->subject = subject;
	decoder->max_field_bytes = max_field_bytes;
	decoder->max_row_bytes = max_row_bytes;
	decoder->column = -1;
	initStringInfo(&decoder->carry);
	decoder->scratch = AllocSetContextCreate(CurrentMemoryContext,
											 "pg_warehouse compare", 0,
											 SCRATCH_BYTES, ALLOCSET_DEFAULT_MAXSIZE);

	decoder->ncolumns = columns->natts;
	decoder->columns = (Column *) palloc0(sizeof(Column) * columns->natts);
	for (int i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(columns, i);
		Column	   *column = &decoder->columns[i];
		Oid			function;

		column->name = NameStr(att->attname);
		column->typmod = att->atttypmod;
		column->byval = att->attbyval;
		column->typlen = att->attlen;
		column->stored = column->kind = kind_of(att->atttypid);
		if (column->kind == KIND_TEXT)
			getTypeInputInfo(att->atttypid, &function, &column->ioparam);
		else
		{
			bool		varlena;

			getTypeBinaryOutputInfo(att->atttypid, &function, &varlena);
			fmgr_info(function, &column->send);
			getTypeBinaryInputInfo(att->atttypid, &function, &column->ioparam);

			/* A length or precision is the receive function's to apply. */
			if (att->atttypmod >= 0)
				column->kind = KIND_BINARY;
		}
		fmgr_info(function, &column->function);
	}

	return decoder;
}

/*
 * Name the type to cast to; see decode.h.  Always by the catalog's own name:
 * "character" and "bit" would be of length one.
 */
const char *
wh_decode_cast(Oid typid)
{
	HeapTuple	tuple;
	Form_pg_type type;
	char	   *name;

	if (!has_portable_binary(typid))
		return "pg_catalog.text";

	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(typid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", typid);
	type = (Form_pg_type) GETSTRUCT(tuple);
	name = quote_qualified_identifier("pg_catalog", NameStr(type->typname));
	ReleaseSysCache(tuple);

	return name;
}

/*
 * Take the next piece; see decode.h.
 */
void
wh_decoder_feed(WhDecoder *decoder, char *data, int len)
{
	if (decoder->carry.len > 0)
	{
		/* Both are within the caps, so within what a StringInfo can hold. */
		appendBinaryStringInfo(&decoder->carry, data, len);
		data = decoder->carry.data;
		len = decoder->carry.len;
	}
	decoder->cursor = data;
	decoder->end = data + len;
}

/*
 * Decode the next row; see decode.h.
 */
bool
wh_decoder_next(WhDecoder *decoder, Datum *values, bool *isnull)
{
	ErrorContextCallback context = {error_context_stack, explain, decoder};
	char	   *row_end;
	char	   *at;

	if (!take_header(decoder) || !whole_row(decoder, &row_end))
	{
		keep_rest(decoder);
		return false;
	}
	at = decoder->cursor + sizeof(int16);
	if ((int16) get_int16(decoder->cursor) == -1)
	{
		decoder->end_seen = true;
		decoder->cursor = row_end;
		keep_rest(decoder);
		return false;
	}

	error_context_stack = &context;
	for (int i = 0; i < decoder->ncolumns; i++)
	{
		int32		len = (int32) get_int32(at);

		at += sizeof(int32);
		decoder->column = i;
		isnull[i] = len < 0;
		if (isnull[i] ||
			!decode_plain(decoder->columns[i].kind, at, len, &values[i]))
			values[i] = decode_field(decoder, isnull[i] ? NULL : at, len);
		at += Max(len, 0);
	}
	error_context_stack = context.previous;

	decoder->column = -1;
	decoder->rows++;
	decoder->cursor = row_end;

	return true;
}

/*
 * Step over a row that is stored; see decode.h.
 */
bool
wh_decoder_skip(WhDecoder *decoder, TupleTableSlot *stored)
{
	ErrorContextCallback context = {error_context_stack, explain, decoder};
	MemoryContext caller;
	char	   *row_end;
	char	   *at;
	bool		equal = true;

	if (!take_header(decoder) || !whole_row(decoder, &row_end) ||
		(int16) get_int16(decoder->cursor) == -1)
		return false;

	at = decoder->cursor + sizeof(int16);
	caller = MemoryContextSwitchTo(decoder->scratch);
	error_context_stack = &context;
	for (int i = 0; equal && i < decoder->ncolumns; i++)
	{
		int32		len = (int32) get_int32(at);

		at += sizeof(int32);
		decoder->column = i;
		equal = stored->tts_isnull[i] == (len < 0) &&
			(len < 0 || is_stored(decoder, stored->tts_values[i], at, len));
		at += Max(len, 0);
	}
	error_context_stack = context.previous;
	MemoryContextSwitchTo(caller);
	MemoryContextReset(decoder->scratch);
	decoder->column = -1;
	if (!equal)
		return false;

	decoder->rows++;
	decoder->cursor = row_end;

	return true;
}

bool
wh_decoder_at_end(const WhDecoder *decoder)
{
	return decoder->end_seen && decoder->carry.len == 0;
}

/*
 * Choose how a type is decoded: here where that was measured to be faster.
 */
static Kind
kind_of(Oid typid)
{
	if (!has_portable_binary(typid))
		return KIND_TEXT;

	switch (typid)
	{
		case BOOLOID:
			return KIND_BOOL;
		case INT2OID:
			return KIND_INT2;
		case INT4OID:
			return KIND_INT4;
		case INT8OID:
			return KIND_INT8;
		case FLOAT8OID:
			return KIND_FLOAT8;
		case DATEOID:
			return KIND_DATE;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return KIND_TIMESTAMP;
		case UUIDOID:
			return KIND_UUID;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			return KIND_STRING;
		default:
			return KIND_BINARY;
	}
}

/*
 * Is the type's binary form the same at every source?  It is for built-in
 * types, but for those that carry OIDs of the source, and for "char", whose
 * byte nobody checks.
 */
static bool
has_portable_binary(Oid typid)
{
	HeapTuple	tuple;
	Form_pg_type type;
	Oid			element;
	bool		portable;

	if (typid >= FirstGenbkiObjectId)
		return false;

	switch (typid)
	{
		case CHAROID:
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGCLASSOID:
		case REGTYPEOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
		case REGNAMESPACEOID:
		case REGROLEOID:
		case REGCOLLATIONOID:
			return false;
	}

	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(typid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", typid);
	type = (Form_pg_type) GETSTRUCT(tuple);
	portable = OidIsValid(type->typreceive) &&
		type->typtype != TYPTYPE_COMPOSITE && type->typtype != TYPTYPE_PSEUDO;
	ReleaseSysCache(tuple);
	element = get_element_type(typid);

	return portable && (!OidIsValid(element) || has_portable_binary(element));
}

/*
 * Step over the stream's header; false while it is not whole.
 */
static bool
take_header(WhDecoder *decoder)
{
	uint32		flags;
	uint32		extension;

	if (decoder->header_seen)
		return true;
	if (decoder->end - decoder->cursor < HEADER_BYTES)
		return false;

	flags = get_int32(decoder->cursor + SIGNATURE_BYTES);
	extension = get_int32(decoder->cursor + SIGNATURE_BYTES + 4);

	/* No flag and no extension was ever defined that we could read. */
	if (memcmp(decoder->cursor, SIGNATURE, SIGNATURE_BYTES) != 0 ||
		flags != 0 || extension != 0)
		raise_malformed(decoder);

	decoder->cursor += HEADER_BYTES;
	decoder->header_seen = true;

	return true;
}

/*
 * Is the next row, or the end mark, here to its last byte?  All lengths are
 * checked here.
 */
static bool
whole_row(const WhDecoder *decoder, char **row_end)
{
	char	   *at = decoder->cursor;
	int			nfields;

	if (decoder->end_seen && decoder->end > at)
		raise_malformed(decoder);
	if (decoder->end - at < (ptrdiff_t) sizeof(int16))
		return false;
	nfields = (int16) get_int16(at);
	at += sizeof(int16);
	*row_end = at;
	if (nfields == -1)
		return true;
	if (nfields != decoder->ncolumns)
		raise_malformed(decoder);

	for (int i = 0; i < nfields; i++)
	{
		int32		len;

		if (decoder->end - at < (ptrdiff_t) sizeof(int32))
			return false;
		len = (int32) get_int32(at);
		at += sizeof(int32);
		if (len < -1)
			raise_malformed(decoder);
		if (len > decoder->max_field_bytes)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("value of column \"%s\" is longer than %lld bytes",
							decoder->columns[i].name,
							(long long) decoder->max_field_bytes),
					 errdetail("%s\nRow %lld, column \"%s\".", decoder->subject,
							   (long long) decoder->rows + 1,
							   decoder->columns[i].name),
					 errhint("Raise the template's option max_field_bytes with _wh.alter_template().")));
		if (decoder->end - at < Max(len, 0))
			return false;
		at += Max(len, 0);
	}
	*row_end = at;

	return true;
}

/*
 * Keep what is left of a piece for the next one.
 */
static void
keep_rest(WhDecoder *decoder)
{
	int			rest = decoder->end - decoder->cursor;

	if (rest > decoder->max_row_bytes)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("row is longer than %lld bytes",
						(long long) decoder->max_row_bytes),
				 errdetail("%s\nRow %lld.", decoder->subject,
						   (long long) decoder->rows + 1),
				 errhint("Raise the template's option max_field_bytes with _wh.alter_template().")));

	if (decoder->carry.len > 0)
	{
		memmove(decoder->carry.data, decoder->cursor, rest);
		decoder->carry.len = rest;
		decoder->carry.data[rest] = '\0';
	}
	else
		appendBinaryStringInfo(&decoder->carry, decoder->cursor, rest);

	decoder->cursor = decoder->end = NULL;
}

/*
 * Turn one field of a plain type into a Datum; false when the type is not
 * plain, or the field not good.
 */
static bool
decode_plain(Kind kind, const char *data, int len, Datum *value)
{
	if (lengths[kind] >= 0 && lengths[kind] != len)
		return false;

	switch (kind)
	{
		case KIND_BOOL:
			*value = BoolGetDatum(*data != 0);
			return true;
		case KIND_INT2:
			*value = Int16GetDatum((int16) get_int16(data));
			return true;
		case KIND_INT4:
			*value = Int32GetDatum((int32) get_int32(data));
			return true;
		case KIND_INT8:
			*value = Int64GetDatum((int64) get_int64(data));
			return true;
		case KIND_FLOAT8:
			*value = Float8GetDatum(get_float8(data));
			return true;
		case KIND_DATE:
			*value = DateADTGetDatum((DateADT) get_int32(data));
			return DATE_NOT_FINITE(DatumGetDateADT(*value)) ||
				IS_VALID_DATE(DatumGetDateADT(*value));
		case KIND_TIMESTAMP:
			*value = TimestampGetDatum((Timestamp) get_int64(data));
			return TIMESTAMP_NOT_FINITE(DatumGetTimestamp(*value)) ||
				IS_VALID_TIMESTAMP(DatumGetTimestamp(*value));
		case KIND_UUID:
			*value = PointerGetDatum(memcpy(palloc(UUID_LEN), data, UUID_LEN));
			return true;
		case KIND_STRING:
			if (!pg_verifymbstr(data, len, true))
				return false;
			*value = PointerGetDatum(cstring_to_text_with_len(data, len));
			return true;
		default:
			return false;
	}
}

/*
 * Is a field what is stored?  Its bytes are compared with those that the stored
 * value would be sent as, which is no less than the receive function undone;
 * an output function need not be that, so text is read first.
 */
static bool
is_stored(WhDecoder *decoder, Datum stored, char *data, int len)
{
	Column	   *column = &decoder->columns[decoder->column];
	Datum		value;
	bytea	   *sent;

	switch (column->stored)
	{
		case KIND_TEXT:
			return datum_image_eq(decode_field(decoder, data, len), stored,
								  column->byval, column->typlen);
		case KIND_BINARY:
			sent = SendFunctionCall(&column->send, stored);
			return (int) (VARSIZE(sent) - VARHDRSZ) == len &&
				memcmp(VARDATA(sent), data, len) == 0;
		case KIND_UUID:
			return len == UUID_LEN &&
				memcmp(DatumGetUUIDP(stored), data, UUID_LEN) == 0;
		case KIND_STRING:
			sent = DatumGetByteaPP(stored);
			return (int) VARSIZE_ANY_EXHDR(sent) == len &&
				memcmp(VARDATA_ANY(sent), data, len) == 0;
		default:
			return decode_plain(column->stored, data, len, &value) &&
				value == stored;
	}
}

/*
 * Turn one field into a Datum; data NULL for SQL NULL, which a domain may
 * refuse.
 */
static Datum
decode_field(WhDecoder *decoder, char *data, int len)
{
	Column	   *column = &decoder->columns[decoder->column];
	StringInfoData buffer;
	Datum		value;
	char		next;

	if (data == NULL)
		return column->kind == KIND_TEXT ?
			InputFunctionCall(&column->function, NULL, column->ioparam,
							  column->typmod) :
			ReceiveFunctionCall(&column->function, NULL, column->ioparam,
								column->typmod);

	/* Both kinds of function want a NUL behind; the next field waits. */
	next = data[len];
	data[len] = '\0';
	if (column->kind == KIND_TEXT)
		value = InputFunctionCall(&column->function, checked_text(data, len),
								  column->ioparam, column->typmod);
	else
	{
		buffer.data = data;
		buffer.len = len;
		buffer.maxlen = len + 1;
		buffer.cursor = 0;
		value = ReceiveFunctionCall(&column->function, &buffer,
									column->ioparam, column->typmod);
		if (buffer.cursor != len)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
					 errmsg("incorrect binary data format")));
	}
	data[len] = next;

	return value;
}

/*
 * Verify text for an input function, which believes what it is given.
 */
static char *
checked_text(char *data, int len)
{
	if (memchr(data, '\0', len) != NULL || !pg_verifymbstr(data, len, true))
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				 errmsg("invalid byte sequence")));

	return data;
}

/*
 * Say where an error of a receive or input function comes from.  What they say
 * of an encoding shows bytes of the value, so that is worded anew.
 */
static void
explain(void *arg)
{
	WhDecoder  *decoder = (WhDecoder *) arg;
	const char *name = decoder->columns[decoder->column].name;
	int			sqlerrcode = geterrcode();

	if (sqlerrcode == ERRCODE_CHARACTER_NOT_IN_REPERTOIRE ||
		sqlerrcode == ERRCODE_UNTRANSLATABLE_CHARACTER)
		errmsg("column \"%s\" holds text that is not valid in encoding \"%s\"",
			   name, GetDatabaseEncodingName());
	errdetail("%s\nRow %lld, column \"%s\".", decoder->subject,
			  (long long) decoder->rows + 1, name);
}

static void
raise_malformed(const WhDecoder *decoder)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROTOCOL_VIOLATION),
			 errmsg("stream of rows is malformed"),
			 errdetail("%s\nAfter row %lld.", decoder->subject,
					   (long long) decoder->rows)));
}

static uint32
get_int32(const char *data)
{
	uint32		value;

	memcpy(&value, data, sizeof(value));

	return pg_ntoh32(value);
}

static uint16
get_int16(const char *data)
{
	uint16		value;

	memcpy(&value, data, sizeof(value));

	return pg_ntoh16(value);
}

static uint64
get_int64(const char *data)
{
	uint64		value;

	memcpy(&value, data, sizeof(value));

	return pg_ntoh64(value);
}

static float8
get_float8(const char *data)
{
	uint64		bits = get_int64(data);
	float8		value;

	memcpy(&value, &bits, sizeof(value));

	return value;
}
