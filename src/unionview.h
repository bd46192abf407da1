/*
 * unionview.h
 *		The views that people read: one per template and tenant, one per
 *		template over all tenants; in either layout.
 */
#ifndef WH_UNIONVIEW_H
#define WH_UNIONVIEW_H

#include "template.h"
#include "tenant.h"

/*
 * Create or rebuild {schema}.{template} and public.{template}: over the
 * template's foreign table, which is made or made to fit first, or over the
 * populated slices of the ledger and the tenants' views.  A template that is
 * not daily has no view per tenant: the public one shows its relations.
 * False when nothing had to change, as in the layout expand when slices come
 * and go.
 * Caller: owner, in a transaction of its own or after the last byte, since
 * replacing takes AccessExclusiveLock (tried with back-off until
 * lock_deadline, then 55P03); the schema exists (wh_matview_schema).  A
 * relation of that name that is not ours is 42710 with HINT.  Columns that
 * changed beyond CREATE OR REPLACE: recreated with grants, comments and
 * options kept; 2BP01 listing outside dependents.
 */
extern bool wh_unionview_tenant(const WhTemplate *tmpl, const WhTenant *tenant);
extern bool wh_unionview_public(const WhTemplate *tmpl);

/*
 * Both, for every tenant of the template that has slices or a view.  One
 * tenant's failure is contained: logged, warned of, and the result is false.
 */
extern bool wh_unionview_all(const WhTemplate *tmpl);

/*
 * The view that shows a tenant's slices themselves in the layout union; or
 * InvalidOid.
 */
extern Oid	wh_unionview_over(const WhTemplate *tmpl, const WhTenant *tenant);

/*
 * Write that view anew if it shows this relation, which is about to give its
 * place to another.
 */
extern void wh_unionview_let_go(const WhTemplate *tmpl, const WhTenant *tenant,
								Oid relid);

/*
 * Lock, at one moment or not at all (55P03), the templates' views that show a
 * tenant who is to be renamed; and write one template's anew when he is, with
 * the columns that they have: a view that still asks for the old schema would
 * show nothing.
 */
extern void wh_unionview_lock(List *templates, const WhTenant *tenant);
extern void wh_unionview_renamed(const WhTemplate *tmpl, const WhTenant *tenant);

/*
 * Take a tenant (or, tenant NULL, the template) out of the views before its
 * relations go: views rebuilt without it, its own dropped, with the template
 * its foreign table too.
 */
extern void wh_unionview_detach(const WhTemplate *tmpl, const WhTenant *tenant);

/*
 * Write all views of the template in the layout union whatever its own is, and
 * drop its foreign table, so that they need no code of ours; throws.
 */
extern void wh_unionview_plain(const WhTemplate *tmpl);

#endif							/* WH_UNIONVIEW_H */
