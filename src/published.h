/*
 * published.h
 *		_wh.published_views: which views are ours and what they show; a
 *		relation that is not listed here is never replaced or dropped.
 */
#ifndef WH_PUBLISHED_H
#define WH_PUBLISHED_H

#include "nodes/pg_list.h"

typedef struct WhPublished
{
	char	   *template_name;
	char	   *tenant_name;	/* "" for the public view */
	char	   *view_schema;
	char	   *view_name;
	char	   *definition;		/* the SELECT we wrote, to see a change */
} WhPublished;

extern WhPublished *wh_published_find(const char *template_name, const char *tenant);
extern List *wh_published(const char *template_name, const char *tenant);	/* NULL: all */
extern void wh_published_put(const WhPublished *view);
extern void wh_published_forget(const char *template_name, const char *tenant);

/* The view behind the row, or InvalidOid when it is gone or another's. */
extern Oid	wh_published_relid(const WhPublished *view);

/*
 * Take the lock under which the views of one template change, until the end
 * of the transaction; 55P03 after lock_deadline.
 */
extern void wh_published_lock(const char *template_name);

#endif							/* WH_PUBLISHED_H */
