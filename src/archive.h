/*
 * archive.h
 *		The extract of a run, kept as a file of the archive while it is loaded.
 */
#ifndef WH_ARCHIVE_H
#define WH_ARCHIVE_H

#include "fetch.h"
#include "run.h"
#include "store.h"
#include "template.h"
#include "upload.h"

/* The extract of one run at work. */
typedef struct WhArchive WhArchive;

/*
 * Begin, in CurrentMemoryContext and -ResourceOwner, before the source is
 * asked: with archive_required, what keeps the archive from being used is
 * thrown now; else a problem of the run's.
 */
extern WhArchive *wh_archive_begin(const WhTemplate *tmpl, const WhTenant *tenant,
								   WhRun *run);

/*
 * Take one row; a WhRowSink's "every".  Within wh_csv_settings().
 */
extern void wh_archive_row(void *archive, const Datum *values, const bool *isnull);

/*
 * Put the extract into the archive once all of it has arrived, before what was
 * there is replaced; run->archived says where, or what the problem was, of
 * which the user is warned, or which is thrown with archive_required.  An
 * extract without rows is not kept.  "archive" may be NULL.
 */
extern void wh_archive_keep(WhArchive *archive, const WhFetched *fetched);

/*
 * Move what has been loaded, and committed, from exports/ to processed/: of a
 * pair, or of all (NULL).  Contained: false, with a warning, when it could not
 * be done; it is tried again.  Caller: owner, who commits.
 */
extern bool wh_archive_settle(const char *template_name, const char *tenant);

/*
 * Find extracts that runs of the pair have put into the archive and died, and
 * tell the log.  Contained likewise.  Caller: owner, pair's object lock held.
 */
extern void wh_archive_adopt(const WhTemplate *tmpl, const WhTenant *tenant);

/*
 * Remove the extracts of a template's runs that were loaded and began before
 * then, "limit" at most; returns how many.  Caller: owner, who commits.
 */
extern int	wh_archive_expire(const char *template_name, TimestampTz before, int limit);

/*
 * Remove all that the archive has of a tenant, "limit" objects at most, or only
 * count them; returns how many.  No transaction brings them back.
 */
extern int	wh_archive_count(const WhTenant *tenant, int limit);
extern int	wh_archive_erase(const WhTenant *tenant, int limit);

/*
 * The folder of a pair, or of all that a tenant has (NULL), below WH_EXPORTS or
 * WH_PROCESSED.
 */
extern char *wh_archive_folder(const char *below, const WhTenant *tenant,
							   const char *template_name);

/* The run that an object's name says it is of; 0: none. */
extern int64 wh_archive_run_of(const char *key);

#endif							/* WH_ARCHIVE_H */
