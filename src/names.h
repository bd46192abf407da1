/*
 * names.h
 *		Names of templates, tenants, relations and indexes: made, bounded,
 *		checked; pure.  Lengths count bytes.
 */
#ifndef WH_NAMES_H
#define WH_NAMES_H

#include "period.h"

#define WH_TEMPLATE_NAME_MAX 52 /* + "_YYYY_MM_DD" = 63 */

/* No tenant: what the keys of the archive's bucket are given for. */
#define WH_ARCHIVE_NAME "archive:s3"

/* After a tenant's schema: that of the foreign tables of live templates. */
#define WH_LIVE_SUFFIX "__src"

/* {template}_{YYYY_MM_DD}, _{YYYY_MM}, _{YYYY} or {template} itself. */
extern char *wh_slice_name(const char *template_name, const WhPeriod *period);

/* The name itself, or cut at a character border plus "_" and 8 hex of a hash. */
extern char *wh_bounded_name(const char *name);

/* The statement that frees a relation's name: for HINTs. */
extern char *wh_rename_aside(const char *schema, const char *name);

/*
 * Throw 42622 (too long), 42939 (reserved: ends like a period; public, _wh,
 * _wh_union, pg_*, information_schema, a schema *__src; holds a control
 * character) or 22023
 * (empty).
 */
extern void wh_check_template_name(const char *name);
extern void wh_check_tenant_name(const char *name);
extern void wh_check_schema_name(const char *name);

#endif							/* WH_NAMES_H */
