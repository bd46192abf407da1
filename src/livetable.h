/*
 * livetable.h
 *		The foreign tables that live templates of a tenant read, in
 *		{schema}__src.
 */
#ifndef WH_LIVETABLE_H
#define WH_LIVETABLE_H

#include "bridge_catalog.h"
#include "tenant.h"

/* The schema that has them, there or not. */
extern char *wh_live_schema(const char *tenant_schema);

/*
 * How the foreign table over a relation of the source is called: like that,
 * but with its schema in front where it is not the bridge's own.
 */
extern char *wh_livetable_name(const WhBridge *bridge, const char *schema, const char *name);

/* Is it there, over that bridge, and like the source's? */
extern bool wh_livetable_fits(const char *live_schema, const WhBridge *bridge,
							  const WhBridgeTable *source);

/* What stands under such a name; InvalidOid: nothing. */
extern Oid	wh_livetable_relid(const char *live_schema, const char *name);

/*
 * Keep others from changing the tenant's foreign tables until the end of the
 * transaction; 55P03 after lock_deadline.  Returns the milliseconds it took.
 */
extern double wh_livetables_lock(const char *live_schema);

/*
 * Make it, with its schema if that is missing.  One that does not fit any more
 * gives up its name, so that views on it stay until they are made anew: each
 * by the refresh of its own template.  42710 for what is not ours to move.
 */
extern void wh_livetable_make(const char *live_schema, const WhBridge *bridge,
							  const WhBridgeTable *source);

/*
 * Drop those that no view reads and nobody has in use, and the schema when it
 * is empty then; lists (char *) what went.  Nothing while others are at work
 * there.
 */
extern List *wh_livetables_tidy(const char *live_schema);

/* List (OIDs) those of a schema, or all that are over a server. */
extern List *wh_livetables_in(const char *live_schema);
extern List *wh_livetables_over(const char *server);

#endif							/* WH_LIVETABLE_H */
