/*
 * template.h
 *		_wh.mv_templates: one row per query.
 */
#ifndef WH_TEMPLATE_H
#define WH_TEMPLATE_H

#include "access/tupdesc.h"
#include "nodes/pg_list.h"
#include "options.h"
#include "tenant.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

typedef struct WhTemplate
{
	char	   *name;
	char	   *description;
	char	   *query;			/* query_template as given */
	char	   *column_definitions;
	TupleDesc	columns;		/* column_definitions, parsed */
	char	   *indexes;		/* NULL: none */
	char	   *materialization;	/* daily, snapshot, incremental, live */
	char	   *time_column;	/* NULL: no range check */
	List	   *key_columns;	/* of char * */
	char	   *watermark_column;
	char	   *source;			/* tenant, local */
	int			lookback_days;
	char	   *on_drift;		/* fail, adapt */
	Jsonb	   *options;
	List	   *tenants;		/* of char *; NIL: every enabled tenant */
	int			version;
	bool		enabled;
	int			depth;			/* of what it depends on; see depend.h */

	/* Read from options, with their defaults. */
	bool		has_start_date;
	DateADT		start_date;
	bool		frozen;
	int64		max_rows;		/* 0: no cap */
	int64		max_bytes;		/* 0: no cap */
	int64		max_field_bytes;	/* default 64 MB */
	bool		public_view;
	WhLayout	layout;			/* of its views; default expand */
	char	   *daily_tablespace;	/* NULL: the default */
	double		max_shrink;		/* the part of its rows that a day may lose */
	int64		shrink_min_rows;	/* a smaller day may lose any part */
	List	   *recheck_days;	/* of int, ascending: ages of closed days */
	List	   *depends_on;		/* of char *: templates that come first */

	/* Of month and year tables; see options.h. */
	char	   *tablespace;
	char	   *access_method;
	const char *storage_options;
	char	   *after_create;
	Interval   *daily_retention;
	Interval   *monthly_retention;
	bool		archive;		/* see options.h */
	bool		archive_required;
	Interval   *archive_retention;
	bool		keep_stored;	/* on_conflict: rows that are there stay */
	bool		has_overlap;	/* even where it is not needed */
	int64		overlap;		/* in microseconds */
} WhTemplate;

/*
 * Look a template up, as the current user, who has become the owner; the
 * result is in CurrentMemoryContext.  Unknown: 42704 with HINT
 * _wh.add_template().
 */
extern WhTemplate *wh_template(const char *name);

/* Enabled templates in order of name. */
extern List *wh_templates_enabled(void);	/* of WhTemplate * */

/* The disabled ones too. */
extern List *wh_templates_all(void);

/* Does the template apply to the tenant (its list of tenants, or all)? */
extern bool wh_template_applies(const WhTemplate *tmpl, const WhTenant *tenant);

/*
 * Is it kept by days?  Any other has one relation per tenant, {schema}.{name},
 * and no view over it but the public one.
 */
extern bool wh_template_is_daily(const WhTemplate *tmpl);
extern bool wh_template_is_incremental(const WhTemplate *tmpl);

/* Is it never copied: a view over foreign tables? */
extern bool wh_template_is_live(const WhTemplate *tmpl);

/* Does its query run here, over the tenant's own relations? */
extern bool wh_template_is_local(const WhTemplate *tmpl);

/* How many indexes a relation of the template carries. */
extern int	wh_template_index_count(const WhTemplate *tmpl);

/*
 * Check a template that is about to be written, and complete it: columns and
 * what is read from options.  While column_definitions is NULL, only what can
 * be checked without them.  Errors name the template in DETAIL.
 */
extern void wh_template_check(WhTemplate *tmpl);

/*
 * Write a row as the installer.  Inserting one that exists is 42710; an update
 * whose query, columns or indexes differ raises the version.
 */
extern void wh_template_insert(const WhTemplate *tmpl);
extern void wh_template_update(const WhTemplate *tmpl);
extern void wh_template_delete(const char *name);

/*
 * Write the statement that makes the views of a template layout expand; its
 * other options stay.
 */
extern char *wh_template_expand_sql(const char *name);

/* The names in a setting that is text[] or name[]; 22023 for none. */
extern List *wh_template_list(ArrayType *array, const char *template_name,
							  const char *setting);

#endif							/* WH_TEMPLATE_H */
