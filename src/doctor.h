/*
 * doctor.h
 *		_wh.wh_doctor(): what is wrong with this warehouse, and the SQL that
 *		mends it.
 */
#ifndef WH_DOCTOR_H
#define WH_DOCTOR_H

#include "settings.h"

typedef enum WhFindingStatus
{
	WH_FINDING_OK,
	WH_FINDING_WARN,			/* works, and will fail one day */
	WH_FINDING_ERROR			/* does not work, or is not safe */
} WhFindingStatus;

/* Where a check puts what it finds. */
typedef struct WhDoctor
{
	const WhSettings *settings;
	const char *check_name;
	int			findings;		/* of this check so far */
	struct ReturnSetInfo *rsinfo;
} WhDoctor;

/*
 * A check looks, and tells by wh_finding() what it does not like, as often as
 * there is something.  It changes nothing, calls no tenant, and becomes the
 * owner itself where it reads records.  An error that it throws is a finding.
 */
typedef void (*WhCheck) (WhDoctor *doctor);

/*
 * Tell of one thing; "fix_sql" is a statement ready to be run by whoever may,
 * or NULL where no statement helps.
 */
extern void wh_finding(WhDoctor *doctor, WhFindingStatus status,
					   const char *detail, const char *fix_sql);

/* doctor_setup.c */
extern void wh_check_preload(WhDoctor *doctor);
extern void wh_check_owner_role(WhDoctor *doctor);
extern void wh_check_union_schema(WhDoctor *doctor);

/* doctor_views.c */
extern void wh_check_lock_budget(WhDoctor *doctor);
extern void wh_check_union_views(WhDoctor *doctor);

#endif							/* WH_DOCTOR_H */
