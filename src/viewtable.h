/*
 * viewtable.h
 *		The foreign table of a template, _wh_union.{template}, on which its
 *		views stand in the layout expand.
 */
#ifndef WH_VIEWTABLE_H
#define WH_VIEWTABLE_H

#include "template.h"

#define WH_UNION_SCHEMA "_wh_union"

/*
 * Make the schema if it is missing, for the role given; 42710 when it is
 * somebody else's.
 */
extern void wh_viewtable_schema(const char *owner);

/* Columns and schema_name, which is always the last. */
extern TupleDesc wh_with_schema_name(TupleDesc columns);

/* The table, or InvalidOid when it is not there or is not ours. */
extern Oid	wh_viewtable_relid(const WhTemplate *tmpl);

/* Is it there, with these columns and the options that the template wants? */
extern bool wh_viewtable_fits(const WhTemplate *tmpl, TupleDesc columns);

/*
 * Make the table, in place of the one that does not fit, with its grants and
 * comments.  The caller holds the template's view lock.  To begin with, the
 * schema is made if it is missing and an old table locked, by trying;
 * something that is not ours in its place is 42710.  Before the second step
 * the caller takes our views off the old table; what else depends on it is
 * 2BP01.
 */
extern void wh_viewtable_begin(const WhTemplate *tmpl);
extern void wh_viewtable_make(const WhTemplate *tmpl, TupleDesc columns);

/*
 * Drop the table if it is ours; 2BP01 when people built on it.  The second
 * one leaves it alone then.
 */
extern void wh_viewtable_drop(const WhTemplate *tmpl);
extern void wh_viewtable_drop_unused(const WhTemplate *tmpl);

#endif							/* WH_VIEWTABLE_H */
