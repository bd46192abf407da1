/*
 * options.h
 *		The options of a template: a jsonb object of known keys; pure.
 */
#ifndef WH_OPTIONS_H
#define WH_OPTIONS_H

#include "utils/date.h"
#include "utils/jsonb.h"

/* What the options say, with their defaults. */
typedef struct WhOptions
{
	bool		has_start_date;
	DateADT		start_date;
	bool		frozen;
	int64		max_rows;		/* 0: no cap */
	int64		max_bytes;		/* 0: no cap */
	int64		max_field_bytes;
	bool		public_view;
	char	   *daily_tablespace;	/* NULL: the default */
	bool		keep_stored;	/* on_conflict is "nothing" */
	bool		has_overlap;
	int64		overlap;		/* in microseconds; default one hour */
	const char *for_incremental;	/* an option given that only an
									 * incremental template has; or NULL */
} WhOptions;

/*
 * Check the options and read them.  Throws 22023 for an unknown key or a
 * value of the wrong shape, 0A000 for a key that is known but not built.
 */
extern void wh_options_read(Jsonb *json, WhOptions *options);

#endif							/* WH_OPTIONS_H */
