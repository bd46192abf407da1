/*
 * unionview.h
 *		The views that people read: one per template and tenant, one per
 *		template over all tenants (layout union).
 */
#ifndef WH_UNIONVIEW_H
#define WH_UNIONVIEW_H

#include "template.h"
#include "tenant.h"

/*
 * Create or rebuild {schema}.{template} over the populated slices of the
 * ledger, and public.{template} over the tenants' views.  A template that is
 * not daily has no view per tenant: the public one is over its relations.
 * False when nothing had to change.  Caller: owner, in a transaction of its own or after the last
 * byte, since replacing takes AccessExclusiveLock (tried with back-off until
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
 * Take a tenant (or, tenant NULL, the template) out of the views before its
 * relations go: views rebuilt without it, its own dropped.
 */
extern void wh_unionview_detach(const WhTemplate *tmpl, const WhTenant *tenant);

#endif							/* WH_UNIONVIEW_H */
