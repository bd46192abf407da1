/*
 * shim.h
 *		Views with plain names over a bridge's tables, and materialized views
 *		of their rows.
 */
#ifndef WH_SHIM_H
#define WH_SHIM_H

#include "bridge_import.h"
#include "bridges.h"

typedef struct WhShim WhShim;

/* Our view over the foreign table of that name; NULL when there is none. */
extern WhShim *wh_shim_of(const WhBridge *bridge, const char *source);
extern Oid	wh_shim_relid(const WhShim *shim);
extern char *wh_shim_name(const WhShim *shim);

/*
 * Drop the view so that its table can change, and make it again as it was, its
 * grants and comments too, with the columns that the source has now.
 */
extern void wh_shim_put_aside(WhShim *shim, const WhBridgeTable *source);
extern void wh_shim_put_back(WhShim *shim, const WhBridgeTable *source);

/* Drop it for good. */
extern void wh_shim_drop(const WhShim *shim);

#endif							/* WH_SHIM_H */
