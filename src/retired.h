/*
 * retired.h
 *		_wh.retired_relations: what a roll-up has replaced and not yet dropped.
 */
#ifndef WH_RETIRED_H
#define WH_RETIRED_H

#include "nodes/pg_list.h"

typedef struct WhRetired
{
	char	   *template_name;
	char	   *tenant_name;
	char	   *relation_schema;
	char	   *relation_name;
} WhRetired;

/* List those of a template and tenant, NULL means all; pair by pair. */
extern List *wh_retired(const char *template_name, const char *tenant);

/* Note relations, by schemas and names (of char *); as the installer. */
extern void wh_retired_put(const char *template_name, const char *tenant,
						   List *schemas, List *names);

/* Strike some out (of WhRetired *). */
extern void wh_retired_forget(List *retired);

/* Find the relation; InvalidOid when it is gone. */
extern Oid	wh_retired_relid(const WhRetired *retired);

#endif							/* WH_RETIRED_H */
