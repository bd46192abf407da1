/*
 * json.h
 *		Pieces of the jsonb that functions answer with, and values of options.
 */
#ifndef WH_JSON_H
#define WH_JSON_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* Append an array of strings (char *). */
extern void wh_json_strings(StringInfo json, const List *strings);

/*
 * Read a whole number from 1 on that a bigint can hold; an interval longer than
 * nothing, as microseconds with months of thirty days.  False when it is none.
 */
extern bool wh_json_count(const JsonbValue *value, int64 *number);
extern bool wh_json_duration(const JsonbValue *value, int64 *microseconds);

#endif							/* WH_JSON_H */
