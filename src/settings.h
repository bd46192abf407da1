/*
 * settings.h
 *		_wh.settings: one row, the three roles and the instance's identity.
 */
#ifndef WH_SETTINGS_H
#define WH_SETTINGS_H

#include "role.h"

typedef struct WhSettings
{
	char	   *owner_role;
	char	   *reader_role;
	char	   *monitor_role;
	char	   *public_schema;
	uint64		system_identifier;
	int64		timeline;
} WhSettings;

/*
 * Read the row whatever the caller may read; 55000 with HINT _wh.setup()
 * when there is none.  palloc'd in CurrentMemoryContext.
 */
extern WhSettings *wh_settings(void);

/* Become the owner that the settings name (see wh_role_owner). */
extern void wh_become_owner(WhRole *save);
extern Oid	wh_owner_oid(void);

/*
 * The search_path of a session that is the owner's own, palloc'd; NULL in any
 * other (see wh_role_is_session).  Asked before becoming the owner.
 */
extern char *wh_owner_session_path(void);

/*
 * Throw before anything is sent out or written: 25006 in recovery or a
 * read-only transaction, 55000 in a parallel worker, in binary upgrade, and
 * in a restored, cloned or promoted instance that was not adopted.
 */
extern void wh_check_outbound(void);

/*
 * The WAL timeline that this instance writes, which a promotion and a recovery
 * to a point in time change; not in recovery.
 */
extern int64 wh_timeline(void);

#endif							/* WH_SETTINGS_H */
