/*
 * settings.c
 *		_wh.settings: one row, the three roles and the instance's identity.
 *
 * Read by a scan of the table, not by a query: whoever may call a function of
 * ours needs no right on the row that names the owner he becomes.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "row.h"
#include "settings.h"

/*
 * Read the row; see settings.h.
 */
WhSettings *
wh_settings(void)
{
	Oid			relid = get_relname_relid("settings", get_namespace_oid("_wh", false));
	Relation	rel = table_open(relid, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);
	HeapTuple	tuple = heap_getnext(scan, ForwardScanDirection);
	WhSettings *settings = NULL;

	if (HeapTupleIsValid(tuple))
	{
		TupleDesc	desc = RelationGetDescr(rel);

		settings = (WhSettings *) palloc(sizeof(WhSettings));
		settings->owner_role = wh_row_text(tuple, desc, "owner_role");
		settings->reader_role = wh_row_text(tuple, desc, "reader_role");
		settings->monitor_role = wh_row_text(tuple, desc, "monitor_role");
		settings->public_schema = wh_row_text(tuple, desc, "public_schema");
		settings->system_identifier =
			strtoull(wh_row_text(tuple, desc, "system_identifier"), NULL, 10);
		settings->timeline = strtoll(wh_row_text(tuple, desc, "timeline"), NULL, 10);
	}
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);

	if (settings == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the warehouse is not set up"),
				 errhint("SELECT _wh.setup();")));

	return settings;
}

/*
 * Look the owner role up; it can have been dropped or renamed since.
 */
Oid
wh_owner_oid(void)
{
	const char *name = wh_settings()->owner_role;
	Oid			owner = get_role_oid(name, true);

	if (!OidIsValid(owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("owner role \"%s\" does not exist", name),
				 errhint("SELECT _wh.setup(owner_role => ...);")));

	return owner;
}

void
wh_become_owner(WhRole *save)
{
	wh_role_owner(save, wh_owner_oid());
}

char *
wh_owner_session_path(void)
{
	if (!wh_role_is_session(wh_owner_oid()))
		return NULL;

	return GetConfigOptionByName("search_path", NULL, false);
}

/*
 * Throw where nothing may go out; see settings.h.  An instance restored from a
 * dump has another system identifier, one promoted from a base backup another
 * timeline: a staging copy must not pull from, nor load, production until
 * somebody says so.
 */
void
wh_check_outbound(void)
{
	const WhSettings *settings;

	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot read from tenants during recovery"),
				 errhint("Run it on the primary, or after this standby is promoted.")));
	if (IsBinaryUpgrade)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot read from tenants during a binary upgrade")));
	PreventCommandIfReadOnly("reading from tenants");
	PreventCommandIfParallelMode("reading from tenants");

	settings = wh_settings();
	if (settings->system_identifier != GetSystemIdentifier() ||
		settings->timeline != wh_timeline())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this copy of the warehouse was not adopted"),
				 errdetail("It was set up on another instance, or before this one was promoted, so nothing is sent to tenants."),
				 errhint("Where it is meant to replace that one: SELECT _wh.adopt_instance();")));
}

/*
 * Tell the timeline that is written; see settings.h.
 */
int64
wh_timeline(void)
{
	return GetWALInsertionTimeLine();
}
