/*
 * pg_warehouse.c
 *		The library's entry: defines the settings, installs the hooks.
 */
#include "postgres.h"

#include "fmgr.h"

#include "expand.h"
#include "guc.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	wh_guc_define();
	wh_expand_install();
}
