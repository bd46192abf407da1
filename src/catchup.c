/*
 * catchup.c
 *		What an earlier run of a unit has put into the archive, and not loaded.
 *
 * A load that failed, or a server that died after the upload, has the rows of
 * its time in the archive.  They are loaded before the source is asked again,
 * which may be down by now, or have purged them; what the source says
 * afterwards comes on top.  An extract is of no use any more once a later run of
 * its period has been loaded.
 */
#include "postgres.h"

#include "archive.h"
#include "catchup.h"
#include "slice.h"
#include "upload.h"

/*
 * Look for it; see catchup.h.
 */
bool
wh_catchup_find(const WhUnit *unit, const WhRun *run)
{
	const char *template_name = unit->tmpl->name;
	const char *tenant = unit->tenant->name;
	DateADT		start = unit->period.start;

	if (!unit->tmpl->archive || unit->rollup || unit->replays != 0 || !unit->begun ||
		!wh_slice_try_lock(template_name, tenant))
		return false;

	wh_run_reap(run);
	if (wh_upload_is_likely(template_name, tenant, start))
		wh_archive_adopt(unit->tmpl, unit->tenant);

	return wh_upload_waiting(template_name, tenant, start) != NULL;
}

/*
 * Load it; see catchup.h.
 */
void
wh_catchup_load(const WhUnit *unit, WhRun *former)
{
	WhUnit		again = *unit;
	const WhUpload *upload = NULL;

	memset(former, 0, sizeof(WhRun));
	if (wh_slice_try_lock(unit->tmpl->name, unit->tenant->name))
		upload = wh_upload_waiting(unit->tmpl->name, unit->tenant->name, unit->period.start);
	if (upload == NULL)
		return;

	again.purpose = WH_LOAD;
	again.replays = upload->run_id;
	again.rules.method = WH_CHOOSE;
	wh_unit_name(&again, former);
	former->run_id = upload->run_id;
	former->archived = upload->archived;
	wh_upload_again(upload->run_id);
	wh_unit_load_again(&again, former);
	if (former->error != NULL)
		wh_run_warn(former);
}
