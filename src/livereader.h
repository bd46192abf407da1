/*
 * livereader.h
 *		Live views that read a relation of their tenant's, while that gives its
 *		place to another.
 */
#ifndef WH_LIVEREADER_H
#define WH_LIVEREADER_H

#include "tenant.h"

/* List them (OIDs): those of live templates that name it in their query. */
extern List *wh_live_readers(const WhTenant *tenant, Oid relid);

/*
 * Have them let go of the relation, which has its name yet, each under its AccessExclusiveLock (tried;
 * 55P03); and, once another has its name, read that.  2BP01 when one needs a
 * column that the new one has not got.  "lock_ms" is added to.
 */
typedef struct WhLiveReader WhLiveReader;
extern List *wh_live_readers_put_aside(const WhTenant *tenant, Oid relid,
									   double *lock_ms);	/* of WhLiveReader * */
extern void wh_live_readers_put_back(List *readers, const char *what);

#endif							/* WH_LIVEREADER_H */
