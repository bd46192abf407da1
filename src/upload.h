/*
 * upload.h
 *		The extracts that the archive has, as _wh.extract_runs tells of them.
 *
 * A path in exports/ is one whose run has not been loaded, or not been moved
 * since; one in processed/ has been.
 */
#ifndef WH_UPLOAD_H
#define WH_UPLOAD_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "run.h"
#include "utils/date.h"

#define WH_EXPORTS "exports/"
#define WH_PROCESSED "processed/"

typedef struct WhUpload
{
	int64		run_id;
	char	   *template_name;
	char	   *tenant_name;
	DateADT		period_start;
	char	   *status;
	WhArchived	archived;
} WhUpload;

/*
 * Find what the archive has of a run; NULL when the log has no such run, with
 * archived.path NULL when the archive has nothing of it.  This and all that
 * read, as the current user, who has become the owner.
 */
extern WhUpload *wh_upload(int64 run_id);

/*
 * Find the last extract of a period that was not loaded, where nothing was
 * since; NULL: there is none.
 */
extern WhUpload *wh_upload_waiting(const char *template_name, const char *tenant,
								   DateADT period_start);

/*
 * List the runs of a pair, or of all (NULL), whose extracts have been loaded
 * and not been moved.
 */
extern List *wh_uploads_to_move(const char *template_name, const char *tenant);

/* List runs whose extracts wait, or waited until another took their place. */
extern List *wh_uploads_not_loaded(void);

/*
 * List the runs of a template that were loaded, and moved, before then: the
 * first ones, "limit" at most.
 */
extern List *wh_uploads_before(const char *template_name, TimestampTz before,
							   int limit);

/* Does the log know of any extract of a tenant? */
extern bool wh_uploads_exist(const char *tenant);

/*
 * Has a run of the period died, and nothing been loaded since?  It may have
 * got as far as an upload that the log has not heard of.
 */
extern bool wh_upload_is_likely(const char *template_name, const char *tenant,
								DateADT period_start);

/* Write these as the installer. */

/*
 * Note what was found of a run of the pair that died; false when there is no
 * such run.
 */
extern bool wh_upload_found(const char *template_name, const char *tenant,
							int64 run_id, const WhArchived *archived);

/* Note that a run's extract is tried again. */
extern void wh_upload_again(int64 run_id);

/* Note that another run has loaded it. */
extern void wh_upload_loaded(int64 run_id, const WhRun *by);

/* Note another path; NULL: the object is gone. */
extern void wh_upload_moved(const char *path, const char *new_path);

#endif							/* WH_UPLOAD_H */
