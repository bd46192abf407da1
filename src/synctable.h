/*
 * synctable.h
 *		The table that an incremental template keeps per tenant: found,
 *		adopted, made, grown.
 */
#ifndef WH_SYNCTABLE_H
#define WH_SYNCTABLE_H

#include "slice.h"
#include "template.h"
#include "utils/rel.h"

typedef struct WhSyncTable
{
	const WhTemplate *tmpl;
	const WhTenant *tenant;
	char	   *schema;
	char	   *name;
	Oid			relid;			/* InvalidOid: not there */
	Oid			former;			/* a materialized view or view of ours that it
								 * takes the place of; or InvalidOid */
	const WhSlice *slice;		/* NULL: not in the ledger yet */
} WhSyncTable;

/* Say where the table is, or will be; nothing is locked or checked. */
extern void wh_synctable_find(WhSyncTable *table, const WhTemplate *tmpl,
							  const WhTenant *tenant);

/*
 * Find the table and lock it against other writers' DDL, not against readers.
 * 42710 when what is there is not a table of the owner's, or, listing all
 * that is wrong, when columns or key do not fit.  One of ours grows the
 * columns that the template has got since.
 */
extern void wh_synctable_open(WhSyncTable *table, const WhTemplate *tmpl,
							  const WhTenant *tenant);

/*
 * Make the table, empty, under a name; give it its key once it is filled; and
 * what else it has once it has its own name.
 */
extern Oid	wh_synctable_create(const WhSyncTable *table, const char *name);
extern void wh_synctable_add_key(const WhSyncTable *table, const char *name);
extern void wh_synctable_complete(const WhSyncTable *table);

/* Let the reader read it. */
extern void wh_synctable_grant(const WhSyncTable *table);

/*
 * Is there anything on the table that the template did not give it, so that a
 * write runs code of the owner's: triggers, rules, constraints, columns?
 */
extern bool wh_synctable_is_furnished(const WhSyncTable *table);

extern int64 wh_synctable_count(const WhSyncTable *table);

#endif							/* WH_SYNCTABLE_H */
