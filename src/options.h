/*
 * options.h
 *		The options of a template: a jsonb object of known keys; pure.
 */
#ifndef WH_OPTIONS_H
#define WH_OPTIONS_H

#include "nodes/pg_list.h"
#include "utils/date.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

/* How the views of a template are made. */
typedef enum WhLayout
{
	WH_LAYOUT_EXPAND,			/* over one foreign table */
	WH_LAYOUT_UNION				/* literal UNION ALL */
} WhLayout;

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
	WhLayout	layout;
	List	   *depends_on;		/* of char *: templates that come first */
	double		max_shrink;		/* the part of its rows that a day may lose */
	int64		shrink_min_rows;	/* a smaller day may lose any part */
	List	   *recheck_days;	/* of int, ascending: ages of closed days */
	char	   *daily_tablespace;	/* NULL: the default */

	/* Of month and year tables; NULL: the default, or not at all. */
	char	   *tablespace;
	char	   *access_method;
	const char *storage_options;	/* as SQL has them in WITH (...), or "" */
	char	   *after_create;	/* function called with the new table */
	Interval   *daily_retention;	/* older days go into months */
	Interval   *monthly_retention;	/* older months go into years */
	bool		archive;		/* extracts are kept as files */
	bool		archive_required;	/* or else nothing is loaded */
	Interval   *archive_retention;	/* NULL: for ever */
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
