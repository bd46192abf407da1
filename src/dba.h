/*
 * dba.h
 *		What the procedures that commit share.
 */
#ifndef WH_DBA_H
#define WH_DBA_H

#include "nodes/pg_list.h"

/*
 * Rebuild the views of these templates in a transaction of their own; false
 * when one could not be.  Caller: a procedure, as nobody else.
 */
extern bool wh_publish_committed(List *templates);

#endif							/* WH_DBA_H */
