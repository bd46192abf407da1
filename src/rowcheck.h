/*
 * rowcheck.h
 *		What every row that arrives must pass: the template's caps, and the day
 *		that it is to belong to.
 */
#ifndef WH_ROWCHECK_H
#define WH_ROWCHECK_H

#include "range.h"
#include "template.h"
#include "tenant.h"

/* The rows of one template, tenant and period so far. */
typedef struct WhRowCheck
{
	const WhTemplate *tmpl;
	const WhTenant *tenant;
	const WhPeriod *period;
	const char *subject;		/* for DETAIL */
	bool		ranged;			/* rows are checked against the period */
	WhRange		range;
	int64		rows;
	int64		bytes;
} WhRowCheck;

extern void wh_rowcheck_begin(WhRowCheck *check, const WhTemplate *tmpl,
							  const WhTenant *tenant, const WhPeriod *period,
							  const char *subject);

/* Count a row; throws 23514 for one outside the period, 54000 over a cap. */
extern void wh_rowcheck_row(WhRowCheck *check, const Datum *values,
							const bool *isnull);

/* Count bytes that have come; throws 54000 over a cap. */
extern void wh_rowcheck_bytes(WhRowCheck *check, int64 bytes);

#endif							/* WH_ROWCHECK_H */
