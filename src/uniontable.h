/*
 * uniontable.h
 *		The foreign table of a template, _wh_union.{template}, on which its
 *		views stand in the layout expand.
 */
#ifndef WH_UNIONTABLE_H
#define WH_UNIONTABLE_H

#include "template.h"

#define WH_UNION_SCHEMA "_wh_union"
#define WH_UNION_SERVER "pg_warehouse_union"

/*
 * Make the schema if it is missing, for the role given; 42710 when it is
 * somebody else's.
 */
extern void wh_uniontable_schema(const char *owner);

/* The template's columns and schema_name, which is always the last. */
extern TupleDesc wh_uniontable_columns(const WhTemplate *tmpl);

/* The table, or InvalidOid when it is not there or is not ours. */
extern Oid	wh_uniontable_relid(const WhTemplate *tmpl);

/* Is it there, with the columns and the options that the template wants? */
extern bool wh_uniontable_fits(const WhTemplate *tmpl);

/*
 * Make the table, in place of the one that does not fit, with its grants and
 * comments.  The caller holds the template's view lock and has taken our views
 * off the old one; what else depends on that is 2BP01, something that is not
 * ours in its place 42710.
 */
extern void wh_uniontable_make(const WhTemplate *tmpl);

/* Lock it away from readers, by trying: the first lock of a change. */
extern void wh_uniontable_lock(const WhTemplate *tmpl);

/*
 * Drop the table if it is ours; 2BP01 when people built on it.  The second
 * one leaves it alone then.
 */
extern void wh_uniontable_drop(const WhTemplate *tmpl);
extern void wh_uniontable_drop_unused(const WhTemplate *tmpl);

#endif							/* WH_UNIONTABLE_H */
