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

/*
 * Files were relfilenodes before 16.  The relation's own header is utils/rel.h,
 * and that of index entries executor/executor.h.
 */
#if PG_VERSION_NUM >= 160000
#define wh_new_storage(rel) \
	RelationSetNewRelfilenumber(rel, (rel)->rd_rel->relpersistence)
#define wh_storage_subid(rel) ((rel)->rd_newRelfilelocatorSubid)
#define wh_insert_index_tuples(info, slot, estate) \
	ExecInsertIndexTuples(info, slot, estate, false, false, NULL, NIL, false)
#else
#define wh_new_storage(rel) \
	RelationSetNewRelfilenode(rel, (rel)->rd_rel->relpersistence)
#define wh_storage_subid(rel) ((rel)->rd_newRelfilenodeSubid)
#define wh_insert_index_tuples(info, slot, estate) \
	ExecInsertIndexTuples(info, slot, estate, false, false, NULL, NIL)
#endif

/* A scan of the pages in a bitmap; since 17 it is told that rows are wanted. */
#if PG_VERSION_NUM >= 170000
#define wh_beginscan_bitmap(rel, snapshot) \
	table_beginscan_bm(rel, snapshot, 0, NULL, true)
#else
#define wh_beginscan_bitmap(rel, snapshot) \
	table_beginscan_bm(rel, snapshot, 0, NULL)
#endif

/*
 * Since 16 a bulk insert makes room for as many pages as it has made before, at
 * most 64, and those which no row comes to stay at the end of the file.  Have
 * it forget, then it makes those that the next rows need.
 */
#if PG_VERSION_NUM >= 160000
#include "access/hio.h"
#define wh_extend_as_needed(bulk) ((bulk)->already_extended_by = 0)
#else
#define wh_extend_as_needed(bulk) ((void) (bulk))
#endif

/*
 * What a range table entry may be used for stands in the entry itself before
 * 16, in a list of the query since.  wh_read_as() lets an entry be read in
 * another's name; wh_columns_read() tells which columns are read of one.
 */
#if PG_VERSION_NUM >= 160000
#include "parser/parse_relation.h"
#endif
#include "catalog/pg_class.h"
#include "nodes/parsenodes.h"

static inline void
wh_read_as(Query *query, RangeTblEntry *rte, Oid role, Bitmapset *columns)
{
#if PG_VERSION_NUM >= 160000
	RTEPermissionInfo *entry = addRTEPermissionInfo(&query->rteperminfos, rte);
#else
	RangeTblEntry *entry = rte;
#endif

	entry->requiredPerms = ACL_SELECT;
	entry->checkAsUser = role;
	entry->selectedCols = columns;
}

static inline const Bitmapset *
wh_columns_read(Query *query, RangeTblEntry *rte)
{
#if PG_VERSION_NUM >= 160000
	return getRTEPermissionInfo(query->rteperminfos, rte)->selectedCols;
#else
	return rte->selectedCols;
#endif
}

/*
 * Turn a relation's entry into a subquery.  Rights, lock and dependencies stay
 * with it as with an expanded view: 16 keeps what that needs in the entry, 15
 * wants the relation itself in the range table, read by nobody.
 */
static inline void
wh_become_subquery(RangeTblEntry *rte, Query *query)
{
#if PG_VERSION_NUM >= 160000
	rte->relkind = RELKIND_VIEW;
#else
	RangeTblEntry *relation = makeNode(RangeTblEntry);

	*relation = *rte;
	relation->inh = false;
	query->rtable = lappend(query->rtable, relation);
	rte->relid = InvalidOid;
	rte->relkind = 0;
	rte->rellockmode = 0;
	rte->requiredPerms = 0;
	rte->checkAsUser = InvalidOid;
	rte->selectedCols = NULL;
#endif
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = query;
	rte->inh = false;
}

/*
 * Since 16 a Var says which outer joins can make it NULL; to whom that is all
 * the same, it is in the way of seeing through the columns of a join.
 */
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"

#if PG_VERSION_NUM >= 160000
static inline bool
wh_forget_nulling(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		((Var *) node)->varnullingrels = NULL;
		return false;
	}

	return expression_tree_walker(node, wh_forget_nulling, context);
}

/* "node" is the caller's own copy. */
static inline Node *
wh_flatten_join_alias_vars(Query *query, Node *node)
{
	(void) wh_forget_nulling(node, NULL);

	return flatten_join_alias_vars(NULL, query, node);
}
#else
#define wh_flatten_join_alias_vars(query, node) \
	flatten_join_alias_vars(query, node)
#endif

/* A foreign scan's path knows which quals it joins by since 17. */
#if PG_VERSION_NUM >= 170000
#define wh_foreign_path(root, rel, startup, total) \
	create_foreignscan_path(root, rel, NULL, (rel)->rows, startup, total, \
							NIL, (rel)->lateral_relids, NULL, NIL, NIL)
#else
#define wh_foreign_path(root, rel, startup, total) \
	create_foreignscan_path(root, rel, NULL, (rel)->rows, startup, total, \
							NIL, (rel)->lateral_relids, NULL, NIL)
#endif

/* A flag before 17. */
#if PG_VERSION_NUM >= 170000
#define wh_is_background_worker() AmBackgroundWorkerProcess()
#else
#define wh_is_background_worker() IsBackgroundWorker
#endif

/* Since 17 a background worker may connect as a role without LOGIN. */
#define wh_worker_needs_login (PG_VERSION_NUM < 170000)
#if PG_VERSION_NUM >= 170000
#define WH_WORKER_CONNECT_FLAGS BGWORKER_BYPASS_ROLELOGINCHECK
#else
#define WH_WORKER_CONNECT_FLAGS 0
#endif

#endif							/* WH_COMPAT_H */
