/*
 * role.c
 *		The only two switches of user in this extension.
 *
 * There is no SECURITY DEFINER function: whoever calls, data and DDL are the
 * owner's work, control rows the installer's.  Both switches are
 * security-restricted operations with search_path pinned, so that code which
 * a less trusted role left in a trigger, an operator or an index expression
 * runs with nobody else's rights.  An error leaves a switch together with its
 * (sub)transaction, which restores user, context and settings.
 *
 * The one exception is an owner who works in a session of his own, where his
 * triggers would run with his rights anyway.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_namespace.h"
#include "access/transam.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/syscache.h"

#include "role.h"

static void enter(WhRole *save, Oid roleid);
static Oid	installer(void);

/*
 * Become the owner.  Checked at each switch, since a role can be altered at
 * any time: an owner with superuser rights would lend them to template text.
 */
void
wh_role_owner(WhRole *save, Oid owner)
{
	wh_role_check_owner(owner);
	enter(save, owner);
}

/*
 * Become the installer, for one fixed statement on a control table.
 */
void
wh_role_installer(WhRole *save)
{
	enter(save, installer());
}

/*
 * Go back to what wh_role_owner() or wh_role_installer() found.
 */
void
wh_role_leave(const WhRole *save)
{
	AtEOXact_GUC(false, save->nestlevel);
	SetUserIdAndSecContext(save->userid, save->sec_context);
}

/*
 * Ask whether the session is the role's own; see role.h.  Who logged in counts,
 * since RESET SESSION AUTHORIZATION would bring a superuser back.
 */
bool
wh_role_is_session(Oid roleid)
{
	Oid			userid;
	int			sec_context;

	GetUserIdAndSecContext(&userid, &sec_context);

	return userid == roleid && sec_context == 0 &&
		GetSessionUserId() == roleid && GetAuthenticatedUserId() == roleid;
}

/*
 * Lift the restriction; see role.h.
 */
void
wh_role_unrestricted(WhRole *save, const char *search_path)
{
	GetUserIdAndSecContext(&save->userid, &save->sec_context);
	if (GetAuthenticatedUserId() != save->userid)
		elog(ERROR, "session is not the owner's");
	SetUserIdAndSecContext(save->userid,
						   save->sec_context & ~SECURITY_RESTRICTED_OPERATION);
	save->nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", search_path,
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}

/*
 * Return the owner of schema _wh: the superuser who ran CREATE EXTENSION.
 */
static Oid
installer(void)
{
	Oid			nspid = get_namespace_oid("_wh", false);
	HeapTuple	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(nspid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for namespace %u", nspid);
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);

	return owner;
}

/*
 * Throw 42501 when the role must not own a warehouse.
 */
void
wh_role_check_owner(Oid owner)
{
	const char *name = GetUserNameFromId(owner, false);

	if (superuser_arg(owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" cannot own the warehouse", name),
				 errdetail("It is a superuser, and template text runs as the owner."),
				 errhint("ALTER ROLE %s NOSUPERUSER;", quote_identifier(name))));
	if (owner < FirstNormalObjectId)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" cannot own the warehouse", name),
				 errdetail("It is a predefined role."),
				 errhint("Name another with SELECT _wh.setup(owner_role => ...);")));
}

/*
 * Throw 42501 unless the caller, before any switch, is a superuser; "what" as
 * in: permission denied to "create a key ring file".
 */
void
wh_need_superuser(const char *what)
{
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to %s", what),
				 errhint("Only a superuser may do this.")));
}

/*
 * Switch, remembering in "save" what wh_role_leave() restores.
 */
static void
enter(WhRole *save, Oid roleid)
{
	GetUserIdAndSecContext(&save->userid, &save->sec_context);
	SetUserIdAndSecContext(roleid,
						   save->sec_context | SECURITY_RESTRICTED_OPERATION);
	save->nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}
