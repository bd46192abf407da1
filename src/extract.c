/*
 * extract.c
 *		An extract of the archive, read again.
 *
 * It is trusted no more than a tenant is: its sum must be what the log says,
 * its rows as many as its note says, and each must lie in its period.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "archive.h"
#include "csv.h"
#include "extract.h"
#include "gate.h"
#include "note.h"
#include "pack.h"
#include "range.h"
#include "store.h"

/* As in a fetch. */
#define BATCH_ROWS 1000

struct WhExtract
{
	const WhUpload *upload;
	File		file;
	int64		size;
	WhUnpack   *unpack;
	WhNote	   *note;
};

/* Where in an extract an error came up. */
typedef struct Place
{
	int64		run_id;
	int64		row;
} Place;

static void prove(const WhExtract *extract);
static void check_columns(const WhExtract *extract, const WhTemplate *tmpl);
static void set_range(WhRange *range, bool *ranged, const WhTemplate *tmpl,
					  const WhTenant *tenant, const WhPeriod *period);
static int	give_bytes(void *arg, char *data, int max);
static void name_the_place(void *arg);
static void raise_outside(const WhTemplate *tmpl, const WhTenant *tenant,
						  const WhPeriod *period) pg_attribute_noreturn();

/*
 * Get an extract; see extract.h.
 */
WhExtract *
wh_extract_open(const WhUpload *upload)
{
	WhExtract  *extract = (WhExtract *) palloc0(sizeof(WhExtract));
	WhStore    *store = wh_store_open();
	int64		size;

	if (!store->stat(store, upload->archived.path, &size))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FILE),
				 errmsg("the extract of run " INT64_FORMAT " is not in the archive any more",
						upload->run_id),
				 errdetail("Tenant \"%s\", template \"%s\": \"%s\" is missing in %s.",
						   upload->tenant_name, upload->template_name,
						   upload->archived.path, store->place),
				 errhint("Put it back, or read the source: SELECT * FROM _wh.wh_refresh(%s, %s);",
						 quote_literal_cstr(upload->template_name),
						 quote_literal_cstr(upload->tenant_name))));

	extract->upload = upload;
	extract->file = OpenTemporaryFile(false);
	extract->size = store->get(store, upload->archived.path, extract->file);
	extract->unpack = wh_unpack_begin(extract->file, extract->size);
	extract->note = wh_note_parse(wh_unpack_note(extract->unpack));
	prove(extract);

	return extract;
}

void
wh_extract_described(const WhExtract *extract, WhArchived *archived)
{
	archived->rows = extract->note->rows;
	archived->bytes = extract->size;
	archived->sha256 = pstrdup(wh_unpack_sha256(extract->unpack));
}

void
wh_extract_close(WhExtract *extract)
{
	FileClose(extract->file);
	pfree(extract);
}

/*
 * See that the file is the one that the run has put there, all of it.
 */
static void
prove(const WhExtract *extract)
{
	const WhArchived *archived = &extract->upload->archived;
	const char *sum = wh_unpack_sha256(extract->unpack);
	const char *differs = NULL;

	if (archived->sha256 != NULL && strcmp(archived->sha256, sum) != 0)
		differs = psprintf("Its SHA-256 is %s, and was %s.", sum, archived->sha256);
	else if (extract->note == NULL || extract->note->run_id != wh_archive_run_of(archived->path))
		differs = "Its note is missing, or another run's.";
	if (differs == NULL)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("the extract of run " INT64_FORMAT " is not what was archived",
					extract->upload->run_id),
			 errdetail("Tenant \"%s\", template \"%s\", \"%s\". %s",
					   extract->upload->tenant_name, extract->upload->template_name,
					   archived->path, differs),
			 errhint("Put the right file back, or read the source: SELECT * FROM _wh.wh_refresh(%s, %s);",
					 quote_literal_cstr(extract->upload->template_name),
					 quote_literal_cstr(extract->upload->tenant_name))));
}

/*
 * Stream the rows; see extract.h.
 */
void
wh_extract_rows(WhExtract *extract, const WhTemplate *tmpl, const WhTenant *tenant,
				const WhPeriod *period, const WhRowSink *sink, WhFetched *fetched)
{
	TupleDesc	columns = tmpl->columns;
	Datum	   *values = (Datum *) palloc(sizeof(Datum) * columns->natts);
	bool	   *isnull = (bool *) palloc(sizeof(bool) * columns->natts);
	Place		place = {extract->upload->run_id, 0};
	ErrorContextCallback callback = {.callback = name_the_place,.arg = &place};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext batch;
	WhCsvReader *reader;
	WhRange		range;
	bool		ranged;
	instr_time	begun;
	instr_time	elapsed;

	INSTR_TIME_SET_CURRENT(begun);
	check_columns(extract, tmpl);
	set_range(&range, &ranged, tmpl, tenant, period);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	reader = wh_csv_reader(columns, extract->note->encoding, give_bytes, extract->unpack);
	batch = AllocSetContextCreate(caller, "pg_warehouse extract", ALLOCSET_DEFAULT_SIZES);

	MemoryContextSwitchTo(batch);
	for (;;)
	{
		place.row++;
		if (!wh_csv_next(reader, values, isnull))
			break;
		if (ranged && !wh_range_holds(&range, values[range.attnum - 1],
									  isnull[range.attnum - 1]))
			raise_outside(tmpl, tenant, period);
		sink->row(sink->arg, values, isnull);
		if (place.row % BATCH_ROWS == 0)
		{
			CHECK_FOR_INTERRUPTS();
			MemoryContextReset(batch);
		}
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(batch);
	wh_csv_reader_end(reader);
	error_context_stack = callback.previous;

	fetched->rows = place.row - 1;
	if (fetched->rows != extract->note->rows)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the extract of run " INT64_FORMAT " has " INT64_FORMAT
						" rows, and says that it has " INT64_FORMAT, place.run_id,
						fetched->rows, extract->note->rows),
				 errhint("Put the right file back.")));
	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, begun);
	fetched->bytes = extract->size;
	fetched->fetch_ms = INSTR_TIME_GET_MILLISEC(elapsed);
	fetched->as_of = extract->note->as_of;
	fetched->drift = NIL;
}

/*
 * Throw 42804 unless the rows are of the columns that the template has now.
 */
static void
check_columns(const WhExtract *extract, const WhTemplate *tmpl)
{
	char	   *now = wh_columns_sql(tmpl->columns);

	if (strcmp(extract->note->columns, now) == 0)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("the extract of run " INT64_FORMAT " has other columns than template \"%s\"",
					extract->upload->run_id, tmpl->name),
			 errdetail("Tenant \"%s\", template \"%s\". It has (%s), and the template (%s).",
					   extract->upload->tenant_name, tmpl->name,
					   extract->note->columns, now),
			 errhint("Read the source: SELECT * FROM _wh.wh_refresh(%s, %s); or load the file into a table of its own.",
					 quote_literal_cstr(tmpl->name),
					 quote_literal_cstr(extract->upload->tenant_name))));
}

static void
set_range(WhRange *range, bool *ranged, const WhTemplate *tmpl,
		  const WhTenant *tenant, const WhPeriod *period)
{
	WhSpan		span;

	*ranged = false;
	if (period->kind == WH_WHOLE)
		return;
	span = wh_period_span(period, tenant->time_zone);
	*ranged = wh_range_of(tmpl->columns, tmpl->time_column, period, &span, range);
}

static int
give_bytes(void *arg, char *data, int max)
{
	return wh_unpack_read((WhUnpack *) arg, data, max);
}

static void
name_the_place(void *arg)
{
	const Place *place = (const Place *) arg;

	errcontext("extract of run " INT64_FORMAT ", row " INT64_FORMAT, place->run_id,
			   place->row);
}

/*
 * Refuse a row that is not the period's: queries leave out slices by what lies
 * in them.
 */
static void
raise_outside(const WhTemplate *tmpl, const WhTenant *tenant, const WhPeriod *period)
{
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("row lies outside its %s", wh_period_kind_name(period->kind)),
			 errdetail("%s", wh_fetch_subject(tmpl, tenant, period)),
			 errhint("The template's time column or the tenant's time zone is another than when the extract was made: read the source.")));
}
