/*
 * doctor_setup.c
 *		Checks of what _wh.setup() arranged and people may have changed since.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "compat.h"
#include "doctor.h"
#include "preload.h"
#include "viewtable.h"

/*
 * Find out whether this is a copy that nobody has adopted.
 */
void
wh_check_instance(WhDoctor *doctor)
{
	if (doctor->settings->system_identifier != GetSystemIdentifier())
		wh_finding(doctor, WH_FINDING_ERROR,
				   "this copy of the warehouse was not adopted, so nothing is sent to tenants; adopt it only where it replaces the other one",
				   "SELECT _wh.adopt_instance();");
}

/*
 * Find sessions that begin without the library: their first query of a view of
 * layout expand is slower, and their first pg_warehouse.* setting a guess.
 */
void
wh_check_preload(WhDoctor *doctor)
{
	ListCell   *lc;

	foreach(lc, wh_preload_gaps())
	{
		const WhPreloadGap *gap = (const WhPreloadGap *) lfirst(lc);

		wh_finding(doctor, WH_FINDING_WARN,
				   gap->role == NULL
				   ? "sessions of this database do not preload the library; a session's first query of a view of layout expand is slower for it"
				   : psprintf("sessions of role \"%s\" preload other libraries than the database's, and not this one",
							  gap->role),
				   gap->sql);
	}
}

/*
 * Find what the owner role has too much or too little.
 */
void
wh_check_owner_role(WhDoctor *doctor)
{
	const char *owner = doctor->settings->owner_role;
	HeapTuple	tuple = SearchSysCache1(AUTHNAME, CStringGetDatum(owner));
	Form_pg_authid role;
	StringInfoData faults;
	StringInfoData fix;
	bool		is_superuser;

	if (!HeapTupleIsValid(tuple))
	{
		wh_finding(doctor, WH_FINDING_ERROR,
				   psprintf("role \"%s\" does not exist", owner),
				   wh_setup_sql(doctor->settings));
		return;
	}

	role = (Form_pg_authid) GETSTRUCT(tuple);
	is_superuser = role->rolsuper;
	initStringInfo(&faults);
	initStringInfo(&fix);
	if (is_superuser)
	{
		appendStringInfoString(&faults, ", is a superuser");
		appendStringInfoString(&fix, " NOSUPERUSER");
	}
	if (role->rolcreaterole)
	{
		appendStringInfoString(&faults, ", may create roles");
		appendStringInfoString(&fix, " NOCREATEROLE");
	}
	if (role->rolcreatedb)
	{
		appendStringInfoString(&faults, ", may create databases");
		appendStringInfoString(&fix, " NOCREATEDB");
	}
	if (wh_worker_needs_login && !role->rolcanlogin)
	{
		appendStringInfoString(&faults, ", cannot log in, as workers must");
		appendStringInfoString(&fix, " LOGIN");
	}
	ReleaseSysCache(tuple);

	if (fix.len > 0)
		wh_finding(doctor, is_superuser ? WH_FINDING_ERROR : WH_FINDING_WARN,
				   psprintf("role \"%s\" %s", owner, faults.data + strlen(", ")),
				   psprintf("ALTER ROLE %s%s;", quote_identifier(owner), fix.data));
}

/*
 * Find out whether the schema of the expanded layout is fit for use.
 */
void
wh_check_union_schema(WhDoctor *doctor)
{
	const char *owner = doctor->settings->owner_role;
	Oid			nspid = get_namespace_oid(WH_UNION_SCHEMA, true);

	if (!OidIsValid(nspid))
		wh_finding(doctor, WH_FINDING_ERROR,
				   "schema \"_wh_union\" does not exist; views of layout expand need it",
				   wh_setup_sql(doctor->settings));
	else if (!wh_namespace_ownercheck(nspid, get_role_oid(owner, false)))
		wh_finding(doctor, WH_FINDING_ERROR,
				   psprintf("schema \"_wh_union\" is not owned by role \"%s\"", owner),
				   psprintf("ALTER SCHEMA _wh_union OWNER TO %s;", quote_identifier(owner)));
}

/*
 * Write the call that sets the warehouse up again as it was.
 */
char *
wh_setup_sql(const WhSettings *settings)
{
	return psprintf("SELECT _wh.setup(%s, %s, %s);",
					quote_literal_cstr(settings->owner_role),
					quote_literal_cstr(settings->reader_role),
					quote_literal_cstr(settings->monitor_role));
}
