/*
 * fault.h
 *		Whose fault an error is: the tenant's, the archive's or our own, and of
 *		what kind.
 */
#ifndef WH_FAULT_H
#define WH_FAULT_H

typedef enum WhFault
{
	WH_FAULT_OURS,
	WH_FAULT_TENANT,
	WH_FAULT_ARCHIVE			/* of where the archive is kept */
} WhFault;

/*
 * Whose failure has been raised since the last reset?  The wire marks just
 * before it raises; a unit, and whoever else goes on after an error, resets
 * before its work and asks in its handler.  SQLSTATE cannot tell: a tenant's
 * 57014 looks like the user's.  wh_remote_failed(): anybody's but ours.
 */
extern void wh_remote_failed_reset(void);
extern void wh_remote_failed_mark(void);	/* the tenant's */
extern void wh_archive_failed_mark(void);
extern void wh_archive_failed_reset(void);	/* that one alone */
extern bool wh_remote_failed(void);
extern WhFault wh_fault(void);

/*
 * Was it raised by a standby?  What that one refuses or breaks off may be
 * possible in a while.
 */
extern void wh_remote_standby_mark(bool standby);

/*
 * Was the work refused for now, at nobody's fault?  The mark is set, asked for
 * and reset like that of a failure.
 */
extern void wh_postponed_mark(void);
extern bool wh_postponed(void);

/*
 * May the same work succeed in a while, with nobody mending anything?
 */
extern bool wh_error_may_pass(int sqlerrcode, bool remote);

/*
 * Does a tenant's error say that its server is out of reach or lets nobody in,
 * whatever it is asked?
 */
extern bool wh_error_is_servers(int sqlerrcode);

/*
 * Class of an SQLSTATE in the log's words: network, authentication, source,
 * data, storage, local, cancelled.  The archive's failures are all storage:
 * who reads the log must not look for them at the tenant.
 */
extern const char *wh_error_category(int sqlerrcode, WhFault fault);

#endif							/* WH_FAULT_H */
