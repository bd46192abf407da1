/*
 * pg_warehouse.c
 *		The library's entry: defines the settings, and nothing else.
 */
#include "postgres.h"

#include "fmgr.h"

#include "guc.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	wh_guc_define();
}
