/*
 * audit.h
 *		_wh.audit_log: who changed what; never a secret.
 */
#ifndef WH_AUDIT_H
#define WH_AUDIT_H

/*
 * Add one line as the installer.  "role" is taken from the session, so call
 * it on either side of a switch.  "detail" is jsonb text or NULL.
 */
extern void wh_audit(const char *action, const char *subject, const char *detail);

#endif							/* WH_AUDIT_H */
