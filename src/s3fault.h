/*
 * s3fault.h
 *		A bucket's failures as errors of ours.
 */
#ifndef WH_S3FAULT_H
#define WH_S3FAULT_H

#include "http.h"

/* What was asked, of whom. */
typedef struct WhS3Attempt
{
	const char *doing;			/* could not ...: read object "x" */
	const char *key;			/* of the object; NULL: the bucket as a whole */
	const char *bucket;
	const char *region;
	int			tries;
} WhS3Attempt;

/* Is it worth to ask again what was answered so? */
extern bool wh_s3_may_pass(const WhHttpAnswer *answer);

/*
 * Raise what an answer, or the lack of one, means.  "http" has the headers of
 * that answer.
 */
extern void wh_s3_raise(const WhS3Attempt *attempt, WhHttp *http,
						const WhHttpAnswer *answer) pg_attribute_noreturn();

#endif							/* WH_S3FAULT_H */
