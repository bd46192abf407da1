/*
 * drift.h
 *		A tenant's schema against the templates, before it is relied on.
 */
#ifndef WH_DRIFT_H
#define WH_DRIFT_H

#include "tenant.h"

/*
 * Connect with the settings given and describe every template that applies;
 * throws as a load would: 42804 for drift that the template does not adapt to,
 * and whatever keeps us from the tenant.  Caller: owner.
 */
extern void wh_drift_refuse(const WhTenant *tenant);

#endif							/* WH_DRIFT_H */
