/*
 * json.h
 *		Pieces of the jsonb that functions answer with.
 */
#ifndef WH_JSON_H
#define WH_JSON_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

/* Append an array of strings (char *). */
extern void wh_json_strings(StringInfo json, const List *strings);

#endif							/* WH_JSON_H */
