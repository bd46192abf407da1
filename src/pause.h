/*
 * pause.h
 *		_wh.pauses: templates and tenants for which scheduled work stands still.
 */
#ifndef WH_PAUSE_H
#define WH_PAUSE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

typedef struct WhPause
{
	char	   *template_name;	/* NULL: every one */
	char	   *tenant_name;	/* NULL: every one */
	TimestampTz paused_at;
	char	   *paused_by;
} WhPause;

/*
 * Find what holds a pair up, the earliest pause; NULL: nothing.  As the
 * current user, who has become the owner.
 */
extern WhPause *wh_pause_of(const char *template_name, const char *tenant);

/* All of them, the earliest first. */
extern List *wh_pauses(void);	/* of WhPause * */

/* Begin a pause; false when there is this very one. */
extern bool wh_pause_put(const char *template_name, const char *tenant,
						 const char *by);

/*
 * End pauses: all that name this template and this tenant, of which NULL means
 * any.  Returns how many.
 */
extern int64 wh_pauses_end(const char *template_name, const char *tenant);

/* Say what is paused: "template "x"", "tenant "y"", both, or everything. */
extern char *wh_pause_text(const char *template_name, const char *tenant);

#endif							/* WH_PAUSE_H */
