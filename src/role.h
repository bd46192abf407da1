/*
 * role.h
 *		The only two switches of user: to the owner for data and DDL, to the
 *		installer for rows of control tables.
 */
#ifndef WH_ROLE_H
#define WH_ROLE_H

/* What wh_role_leave() restores; lives on the caller's stack. */
typedef struct WhRole
{
	Oid			userid;
	int			sec_context;
	int			nestlevel;
} WhRole;

/*
 * Become a role in a security-restricted operation with a GUC nest level of
 * its own and search_path = pg_catalog, pg_temp.  An error undoes it with the
 * (sub)transaction; never commit in between.  wh_role_owner() re-checks that
 * the role is no superuser and not predefined, and throws 42501 else.
 */
extern void wh_role_owner(WhRole *save, Oid owner);
extern void wh_role_installer(WhRole *save);
extern void wh_role_leave(const WhRole *save);

/*
 * Is the session the role's own, and nothing restricted: is there no way back
 * from here to another's rights?  Asked before any switch.
 */
extern bool wh_role_is_session(Oid roleid);

/*
 * Inside wh_role_owner(), in a session that was the owner's before: lift the
 * restriction for statements that fire what he put on his tables, with his
 * search_path.  Left by wh_role_leave(), too.
 */
extern void wh_role_unrestricted(WhRole *save, const char *search_path);

extern void wh_role_check_owner(Oid owner);
extern void wh_need_superuser(const char *what);

#endif							/* WH_ROLE_H */
