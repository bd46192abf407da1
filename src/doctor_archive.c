/*
 * doctor_archive.c
 *		Checks of the archive: can it be written, and what waits in it?
 *
 * The probe goes the way of an extract: put, looked at, read, removed.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "archive.h"
#include "doctor.h"
#include "pack.h"
#include "upload.h"

/* Files in exports/ that are looked at, and findings that are told one by one. */
#define MAX_FILES 1000
#define MAX_TOLD 10

/* A run that has just begun is not in the log that we see. */
#define YOUNG_USECS USECS_PER_HOUR

static List *archived_templates(void);
static void probe(WhStore *store);
static void tell_waiting(WhDoctor *doctor);
static void tell_strangers(WhDoctor *doctor, WhStore *store);
static bool is_stranger(const WhObject *object);

/*
 * Find what keeps extracts from being archived, and those that are not loaded.
 */
void
wh_check_archive(WhDoctor *doctor)
{
	WhRole		caller;
	List	   *templates;
	WhStore    *store;

	wh_become_owner(&caller);
	templates = archived_templates();
	if (!wh_store_configured())
	{
		if (templates != NIL)
			wh_finding(doctor, WH_FINDING_ERROR,
					   psprintf("template \"%s\" is to be archived, and neither pg_warehouse.archive_directory nor pg_warehouse.s3_bucket is set",
								(const char *) linitial(templates)),
					   NULL);
		wh_role_leave(&caller);
		return;
	}

	store = wh_store_open();
	probe(store);
	tell_waiting(doctor);
	tell_strangers(doctor, store);
	wh_role_leave(&caller);
}

/*
 * Try the archive; see doctor.h.
 */
void
wh_probe_archive(void)
{
	probe(wh_store_open());
}

static List *
archived_templates(void)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, wh_templates_enabled())
	{
		const WhTemplate *tmpl = (const WhTemplate *) lfirst(lc);

		if (tmpl->archive)
			names = lappend(names, tmpl->name);
	}

	return names;
}

/*
 * Put an object into the archive and take it out; what fails is the finding.
 */
static void
probe(WhStore *store)
{
	const char *key = psprintf("probe/%d.zst", MyProcPid);
	WhPack	   *pack = wh_pack_begin();
	WhUnpack   *unpack;
	File		copy;
	int64		size = 0;

	if (!wh_pack_write(pack, "probe\n", 6) || !wh_pack_end(pack, "{}"))
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write a temporary file: %m")));

	/* One that was interrupted has left its own. */
	(void) store->remove(store, key);
	store->put(store, key, wh_pack_file(pack), wh_pack_size(pack), wh_pack_sha256(pack));
	copy = OpenTemporaryFile(false);
	if (!store->stat(store, key, &size) || size != wh_pack_size(pack) ||
		store->get(store, key, copy) != size)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("\"%s\" does not give back what was put into it", store->place)));
	unpack = wh_unpack_begin(copy, size);
	if (strcmp(wh_unpack_sha256(unpack), wh_pack_sha256(pack)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("\"%s\" gives back other bytes than were put into it", store->place)));
	(void) store->remove(store, key);
	FileClose(copy);
	wh_pack_close(pack);
}

/*
 * Tell of extracts whose load failed.  Those that a later run has made needless
 * are nobody's but the user's to remove.
 */
static void
tell_waiting(WhDoctor *doctor)
{
	List	   *uploads = wh_uploads_not_loaded();
	ListCell   *lc;

	foreach(lc, uploads)
	{
		const WhUpload *upload = (const WhUpload *) lfirst(lc);

		if (foreach_current_index(lc) == MAX_TOLD)
		{
			wh_finding(doctor, WH_FINDING_WARN,
					   psprintf("%d more extracts were not loaded",
								list_length(uploads) - MAX_TOLD), NULL);
			break;
		}
		wh_finding(doctor, WH_FINDING_WARN,
				   psprintf("the extract of run " INT64_FORMAT ", template \"%s\" and tenant \"%s\", was not loaded: %s",
							upload->run_id, upload->template_name, upload->tenant_name,
							upload->archived.path),
				   psprintf("SELECT _wh.replay(" INT64_FORMAT ");", upload->run_id));
	}
}

/*
 * Tell of files in exports/ that the log does not know: of a transaction that
 * was rolled back after it.
 */
static void
tell_strangers(WhDoctor *doctor, WhStore *store)
{
	const char *first = NULL;
	int			n = 0;
	ListCell   *lc;

	foreach(lc, store->list(store, WH_EXPORTS, NULL, MAX_FILES))
	{
		const WhObject *object = (const WhObject *) lfirst(lc);

		if (!is_stranger(object))
			continue;
		if (n++ == 0)
			first = object->key;
	}
	if (n > 0)
		wh_finding(doctor, WH_FINDING_WARN,
				   psprintf("%d files in %s are of no run that the log knows: their transaction was rolled back; remove them, the first is %s",
							n, store->place, first), NULL);
}

static bool
is_stranger(const WhObject *object)
{
	const WhUpload *upload = wh_upload(wh_archive_run_of(object->key));

	if (object->changed > GetCurrentTimestamp() - YOUNG_USECS)
		return false;

	/* One that died is adopted by the next run. */
	return upload == NULL ||
		(upload->archived.path == NULL && strcmp(upload->status, "lost") != 0 &&
		 strcmp(upload->status, "extracting") != 0);
}
