/*
 * probe.h
 *		What _wh.test_tenant() finds wrong with the way to a tenant.
 */
#ifndef WH_PROBE_H
#define WH_PROBE_H

#include "nodes/pg_list.h"
#include "tenant.h"

typedef struct WhProbeFault
{
	const char *step;
	bool		failed;			/* else it works, and should not be so */
	char	   *detail;
	char	   *fix;			/* in words or SQL, for people */
} WhProbeFault;

/*
 * Walk the steps to a tenant, whose failure is contained, and list those that
 * failed or could be better; NIL when all is well.  Caller: owner, who may
 * send something out (wh_check_outbound()).
 */
extern List *wh_probe_faults(const WhTenant *tenant);

#endif							/* WH_PROBE_H */
