/*
 * archive.c
 *		The extract of a run, kept as a file of the archive while it is loaded.
 *
 * Rows come once and go both ways: into the relation, and as CSV into a
 * temporary file.  When the last one has arrived, the file is put into the
 * store under exports/, and only then is what was stored replaced: so whatever
 * becomes of the load, the extract is there.  After the commit it is moved to
 * processed/.  A crash in between leaves a file that says by its name which run
 * it is of, and by its note what is in it.
 *
 * What the disk refuses is a failure of the unit where archive_required says
 * so, and a warning elsewhere.
 */
#include "postgres.h"

#include <limits.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "archive.h"
#include "csv.h"
#include "extract.h"
#include "fault.h"
#include "gate.h"
#include "note.h"
#include "pack.h"
#include "spi.h"

/* Lines that are packed at once. */
#define CHUNK_BYTES (64 * 1024)

/* Objects of a pair that are looked at for one that the log does not know. */
#define MAX_ADOPTED 1000

struct WhArchive
{
	const WhTemplate *tmpl;
	const WhTenant *tenant;
	WhRun	   *run;
	WhStore    *store;
	WhCsvWriter *writer;
	WhPack	   *pack;			/* NULL: given up, or done */
	StringInfoData lines;
	WhNote		note;
	char	   *key;
};

/* A move for wh_subtransaction(). */
typedef struct Move
{
	WhStore    *store;
	const char *path;
	const char *new_path;
} Move;

/* An adoption. */
typedef struct Adoption
{
	const WhTemplate *tmpl;
	const WhTenant *tenant;
} Adoption;

static void open_store(void *arg);
static ErrorData *contained(void (*work) (void *arg), void *arg);
static void flush(WhArchive *archive);
static void refused_by_disk(WhArchive *archive);
static void end_file(WhArchive *archive, const WhFetched *fetched);
static void upload(void *arg);
static void note_upload(WhArchive *archive);
static void meet_problem(WhArchive *archive, ErrorData *error);
static char *key_of(const WhArchive *archive);
static void move(void *arg);
static WhStore *store_with(const WhTenant *tenant);
static List *objects_of(WhStore *store, const WhTenant *tenant, int limit);
static void warn_of(const ErrorData *error, const char *what);
static void adopt(void *arg);

/*
 * Begin; see archive.h.
 */
WhArchive *
wh_archive_begin(const WhTemplate *tmpl, const WhTenant *tenant, WhRun *run)
{
	WhArchive  *archive = (WhArchive *) palloc0(sizeof(WhArchive));
	ErrorData  *error;

	archive->tmpl = tmpl;
	archive->tenant = tenant;
	archive->run = run;
	error = contained(open_store, archive);
	if (error != NULL)
	{
		meet_problem(archive, error);
		return archive;
	}

	archive->key = key_of(archive);
	archive->writer = wh_csv_writer(tmpl->columns);
	archive->pack = wh_pack_begin();
	initStringInfo(&archive->lines);
	wh_csv_header(archive->writer, &archive->lines);

	return archive;
}

static void
open_store(void *arg)
{
	((WhArchive *) arg)->store = wh_store_open();
}

/*
 * Do work(arg) so that its failure can be reported and the caller go on; an
 * error is the result.  But our user's word is not contained.
 */
static ErrorData *
contained(void (*work) (void *arg), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		wh_subtransaction(work, arg, true);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();

	if (error != NULL &&
		(error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
		 error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN))
		ReThrowError(error);

	/* Whoever goes on has not failed. */
	wh_archive_failed_reset();

	return error;
}

/*
 * Take one row; see archive.h.
 */
void
wh_archive_row(void *arg, const Datum *values, const bool *isnull)
{
	WhArchive  *archive = (WhArchive *) arg;

	if (archive->pack == NULL)
		return;

	wh_csv_row(archive->writer, values, isnull, &archive->lines);
	if (archive->lines.len >= CHUNK_BYTES)
		flush(archive);
}

static void
flush(WhArchive *archive)
{
	if (!wh_pack_write(archive->pack, archive->lines.data, archive->lines.len))
		refused_by_disk(archive);
	resetStringInfo(&archive->lines);
}

/*
 * Give the file up, or the unit.  errno says why.
 */
static void
refused_by_disk(WhArchive *archive)
{
	int			reason = errno;

	wh_pack_close(archive->pack);
	archive->pack = NULL;
	errno = reason;
	if (archive->tmpl->archive_required)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write the extract to a temporary file: %m"),
				 errdetail("%s", wh_fetch_subject(archive->tmpl, archive->tenant,
												  archive->run->period)),
				 errhint("Make room for temporary files, or let rows be loaded without an archive: option archive_required.")));

	archive->run->archived.problem =
		MemoryContextStrdup(archive->run->context,
							psprintf("could not write the extract to a temporary file: %s",
									 strerror(reason)));
}

/*
 * Put the extract into the archive; see archive.h.
 */
void
wh_archive_keep(WhArchive *archive, const WhFetched *fetched)
{
	WhArchived *archived;

	if (archive == NULL)
		return;

	archived = &archive->run->archived;
	if (fetched->rows == 0)
		archived->problem = NULL;
	else if (archive->pack != NULL)
	{
		end_file(archive, fetched);
		if (archive->pack != NULL)
		{
			ErrorData  *error = contained(upload, archive);

			if (error == NULL)
				note_upload(archive);
			else
				meet_problem(archive, error);
		}
	}
	if (archive->pack != NULL)
		wh_pack_close(archive->pack);
	archive->pack = NULL;

	wh_run_warn_of_archive(archive->run);
}

/*
 * Write the end of the file.
 */
static void
end_file(WhArchive *archive, const WhFetched *fetched)
{
	WhNote	   *note = &archive->note;
	char	   *text;

	note->run_id = archive->run->run_id;
	note->version = archive->tmpl->version;
	note->columns = wh_columns_sql(archive->tmpl->columns);
	note->encoding = unconstify(char *, GetDatabaseEncodingName());
	note->rows = fetched->rows;
	note->as_of = fetched->as_of;
	text = wh_note_text(note);

	flush(archive);
	if (archive->pack != NULL && !wh_pack_end(archive->pack, text))
		refused_by_disk(archive);
}

/*
 * Put the file into the store.  What an attempt before this one of the same
 * run has put there is of no use any more.
 */
static void
upload(void *arg)
{
	WhArchive  *archive = (WhArchive *) arg;
	const char *former = archive->run->archived.path;

	if (former != NULL)
		(void) archive->store->remove(archive->store, former);
	archive->store->put(archive->store, archive->key, wh_pack_file(archive->pack),
						wh_pack_size(archive->pack), wh_pack_sha256(archive->pack));
}

static void
note_upload(WhArchive *archive)
{
	WhArchived *archived = &archive->run->archived;
	MemoryContext caller = MemoryContextSwitchTo(archive->run->context);

	archived->path = pstrdup(archive->key);
	archived->rows = archive->note.rows;
	archived->bytes = wh_pack_size(archive->pack);
	archived->sha256 = pstrdup(wh_pack_sha256(archive->pack));
	archived->problem = NULL;
	MemoryContextSwitchTo(caller);
}

/*
 * Throw on what keeps the archive from being used, or note it.
 */
static void
meet_problem(WhArchive *archive, ErrorData *error)
{
	if (!archive->tmpl->archive_required)
	{
		archive->run->archived.problem =
			MemoryContextStrdup(archive->run->context, error->message);
		return;
	}

	error->detail = psprintf("%s%s%s",
							 wh_fetch_subject(archive->tmpl, archive->tenant,
											  archive->run->period),
							 error->detail ? "\n" : "",
							 error->detail ? error->detail : "");
	if (error->hint == NULL)
		error->hint = "Nothing was loaded, since the template's option archive_required is true. SELECT * FROM _wh.wh_doctor() WHERE check_name = 'archive';";
	wh_archive_failed_mark();
	ReThrowError(error);
}

/*
 * Name the object: when its run began, and which one it is.
 */
static char *
key_of(const WhArchive *archive)
{
	const WhRun *run = archive->run;
	struct pg_tm tm;
	fsec_t		fsec;
	int			zone;

	if (timestamp2tm(run->started_at, &zone, &tm, &fsec, NULL, pg_tzset("UTC")) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));

	return psprintf("%s%04d%02d%02dT%02d%02d%02dZ_%09lld.csv.zst",
					wh_archive_folder(WH_EXPORTS, archive->tenant, archive->tmpl->name),
					tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
					(long long) run->run_id);
}

/*
 * Name a folder; see archive.h.  A tenant's first name stays when it gets
 * another.
 */
char *
wh_archive_folder(const char *below, const WhTenant *tenant, const char *template_name)
{
	char	   *folder = psprintf("%s%s/", below, wh_store_segment(tenant->key));

	return template_name == NULL ? folder :
		psprintf("%s%s/", folder, wh_store_segment(template_name));
}

int64
wh_archive_run_of(const char *key)
{
	const char *underscore = strrchr(key, '_');
	char	   *end;
	long long	run_id;

	if (underscore == NULL)
		return 0;
	run_id = strtoll(underscore + 1, &end, 10);

	return strcmp(end, ".csv.zst") == 0 && run_id > 0 && run_id < LLONG_MAX ? run_id : 0;
}

/*
 * Move what has been loaded; see archive.h.
 */
bool
wh_archive_settle(const char *template_name, const char *tenant)
{
	List	   *uploads = wh_uploads_to_move(template_name, tenant);
	ErrorData  *trouble = NULL;
	Move		one = {0};
	ListCell   *lc;

	/* One that cannot be moved keeps back no other. */
	foreach(lc, uploads)
	{
		ErrorData  *error;

		CHECK_FOR_INTERRUPTS();
		one.path = ((const WhUpload *) lfirst(lc))->archived.path;
		one.new_path = psprintf("%s%s", WH_PROCESSED, one.path + strlen(WH_EXPORTS));
		error = contained(move, &one);
		if (error == NULL)
			wh_upload_moved(one.path, one.new_path);
		else
			trouble = error;

		/* A server that is not there is not asked once more for each. */
		if (error != NULL &&
			ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_CONNECTION_EXCEPTION)
			break;
	}
	if (trouble != NULL)
		warn_of(trouble, "an extract that was loaded could not be moved to processed/ yet");

	return trouble == NULL;
}

static void
move(void *arg)
{
	Move	   *one = (Move *) arg;

	if (one->store == NULL)
		one->store = wh_store_open();
	one->store->move(one->store, one->path, one->new_path);
}

static void
warn_of(const ErrorData *error, const char *what)
{
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("%s: %s", what, error->message),
			 error->detail ? errdetail_internal("%s", error->detail) : 0,
			 error->hint ? errhint("%s", error->hint) : 0));
}

/*
 * Remove what has been kept long enough; see archive.h.  The log forgets where
 * it was in the same transaction: should that be rolled back, it is removed
 * once more.
 */
int
wh_archive_expire(const char *template_name, TimestampTz before, int limit)
{
	List	   *uploads = wh_uploads_before(template_name, before, limit);
	WhStore    *store = uploads == NIL ? NULL : wh_store_open();
	ListCell   *lc;

	foreach(lc, uploads)
	{
		const char *path = ((const WhUpload *) lfirst(lc))->archived.path;

		CHECK_FOR_INTERRUPTS();
		(void) store->remove(store, path);
		wh_upload_moved(path, NULL);
	}

	return list_length(uploads);
}

int
wh_archive_count(const WhTenant *tenant, int limit)
{
	WhStore    *store = store_with(tenant);

	return store == NULL ? 0 : list_length(objects_of(store, tenant, limit));
}

int
wh_archive_erase(const WhTenant *tenant, int limit)
{
	WhStore    *store = store_with(tenant);
	List	   *objects = store == NULL ? NIL : objects_of(store, tenant, limit);
	ListCell   *lc;

	foreach(lc, objects)
	{
		CHECK_FOR_INTERRUPTS();
		(void) store->remove(store, ((const WhObject *) lfirst(lc))->key);
	}

	return list_length(objects);
}

/*
 * Open the store that can have something of a tenant; NULL when there is none.
 * One that the log knows of and the settings do not is an error.
 */
static WhStore *
store_with(const WhTenant *tenant)
{
	return wh_store_configured() || wh_uploads_exist(tenant->name) ? wh_store_open() : NULL;
}

static List *
objects_of(WhStore *store, const WhTenant *tenant, int limit)
{
	List	   *objects = store->list(store, wh_archive_folder(WH_EXPORTS, tenant, NULL),
									  NULL, limit);

	if (list_length(objects) == limit)
		return objects;

	return list_concat(objects,
					   store->list(store, wh_archive_folder(WH_PROCESSED, tenant, NULL),
								   NULL, limit - list_length(objects)));
}

/*
 * Adopt what dead runs have left; see archive.h.
 */
void
wh_archive_adopt(const WhTemplate *tmpl, const WhTenant *tenant)
{
	Adoption	work = {tmpl, tenant};
	ErrorData  *error = contained(adopt, &work);

	if (error != NULL)
		warn_of(error, "extracts of runs that died could not be looked for");
}

/*
 * Look at every object of the pair that is of a run that died without a word:
 * one that is whole becomes an upload.
 */
static void
adopt(void *arg)
{
	const Adoption *work = (const Adoption *) arg;
	WhStore    *store = wh_store_open();
	ListCell   *lc;

	foreach(lc, store->list(store, wh_archive_folder(WH_EXPORTS, work->tenant, work->tmpl->name),
							NULL, MAX_ADOPTED))
	{
		const WhObject *object = (const WhObject *) lfirst(lc);
		WhUpload   *known = wh_upload(wh_archive_run_of(object->key));
		WhExtract  *extract;

		if (known == NULL || known->archived.path != NULL ||
			strcmp(known->status, "lost") != 0)
			continue;
		known->archived.path = object->key;
		extract = wh_extract_open(known);
		wh_extract_described(extract, &known->archived);
		wh_extract_close(extract);
		(void) wh_upload_found(work->tmpl->name, work->tenant->name, known->run_id,
							   &known->archived);
	}
}
