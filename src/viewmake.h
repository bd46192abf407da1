/*
 * viewmake.h
 *		Bring ONE view into being, or away, with all that people gave it.
 */
#ifndef WH_VIEWMAKE_H
#define WH_VIEWMAKE_H

#include "published.h"
#include "viewtext.h"

/* The view of a tenant, or WH_PUBLIC_VIEW; InvalidOid: not there, not ours. */
extern Oid	wh_view_relid(const WhTemplate *tmpl, const char *tenant);

/* As in: could not lock view "a.b". */
extern char *wh_view_what(const char *schema, const char *name);

/*
 * Is it there, with this text, over these very relations?  "row" is its row,
 * NULL when it has none.
 */
extern bool wh_view_is_current(const WhView *view, const WhPublished *row);

/* Does the view (InvalidOid: no) show that very relation? */
extern bool wh_view_shows(Oid view, Oid relid);

/*
 * Bring the view into being as described, and note it: created, replaced in
 * place, or made anew.  The caller holds the template's lock.  True when the
 * public view had to let go of it and wants to be brought up to date.
 */
extern bool wh_view_publish(const WhView *view);

/*
 * Write a view that is there over view->arms, with the columns that it has
 * and the options given, and note that.
 */
extern void wh_view_rewrite(WhView *view, Oid relid, const char *options);

/*
 * Rewrite the public view without a tenant whose view, this one, it shows;
 * false when it does not.
 */
extern bool wh_view_take_out_of_public(const WhTemplate *tmpl,
									   const char *tenant, Oid relid);

/* Drop a view of ours and forget it; 2BP01 when people built on it. */
extern void wh_view_drop(const WhPublished *row);

#endif							/* WH_VIEWMAKE_H */
