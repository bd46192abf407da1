/*
 * compat.h
 *		Every test of a server or libpq version; the rest of the code asks for
 *		a feature by name and never for a version.
 */
#ifndef WH_COMPAT_H
#define WH_COMPAT_H

#if PG_VERSION_NUM < 150013 || (PG_VERSION_NUM >= 160000 && PG_VERSION_NUM < 160009)
#error "pg_warehouse needs PostgreSQL 15.13, 16.9, 17 or later"
#endif

#if PG_VERSION_NUM >= 170000
#include "utils/wait_event.h"
#define wh_wait_event(name) WaitEventExtensionNew(name)
#define wh_create_wait_event_set(n) CreateWaitEventSet(NULL, n)
#else
#define wh_wait_event(name) PG_WAIT_EXTENSION
#define wh_create_wait_event_set(n) CreateWaitEventSet(CurrentMemoryContext, n)
#endif

/* pg_namespace.aclcheck and friends took a class argument in 16. */
#if PG_VERSION_NUM >= 160000
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "utils/acl.h"
#define wh_namespace_ownercheck(oid, role) \
	object_ownercheck(NamespaceRelationId, oid, role)
#define wh_class_ownercheck(oid, role) \
	object_ownercheck(RelationRelationId, oid, role)
#else
#define wh_namespace_ownercheck(oid, role) pg_namespace_ownercheck(oid, role)
#define wh_class_ownercheck(oid, role) pg_class_ownercheck(oid, role)
#endif

/* Since 17 a background worker may connect as a role without LOGIN. */
#define wh_worker_needs_login (PG_VERSION_NUM < 170000)
#if PG_VERSION_NUM >= 170000
#define WH_WORKER_CONNECT_FLAGS BGWORKER_BYPASS_ROLELOGINCHECK
#else
#define WH_WORKER_CONNECT_FLAGS 0
#endif

#endif							/* WH_COMPAT_H */
