/*
 * viewtext.h
 *		What a view of ours should show now, as relations and as text.
 */
#ifndef WH_VIEWTEXT_H
#define WH_VIEWTEXT_H

#include "template.h"

/* The tenant_name of the public view's row in _wh.published_views. */
#define WH_PUBLIC_VIEW ""

/* One relation that a view shows. */
typedef struct WhViewArm
{
	const char *schema;
	const char *name;
	Oid			relid;
	bool		all_tenants;	/* the foreign table, which has schema_name */
} WhViewArm;

/* A view as it should be now; its name is the template's. */
typedef struct WhView
{
	const WhTemplate *tmpl;
	const char *tenant;			/* or WH_PUBLIC_VIEW */
	const char *schema;
	TupleDesc	columns;		/* of the public one: with schema_name */
	List	   *arms;			/* of WhViewArm * */
	char	   *definition;		/* the SELECT behind it */
} WhView;

/*
 * Describe a tenant's view over its populated slices.  In the layout expand
 * either view is over the foreign table, which has to be there.
 */
extern WhView *wh_view_of_tenant(const WhTemplate *tmpl, const char *tenant,
								 const char *schema);

/*
 * Describe the public view over the tenants' views that are there (of a
 * template that is not daily, over their relations), but for the tenant
 * "without" (NULL: all).
 */
extern WhView *wh_view_of_all(const WhTemplate *tmpl, const char *without);

/* Write the SELECT that shows view->arms with view->columns. */
extern char *wh_view_select(const WhView *view);

#endif							/* WH_VIEWTEXT_H */
