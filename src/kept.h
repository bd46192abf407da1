/*
 * kept.h
 *		What people gave a relation and the one that takes its place keeps:
 *		grants, comments, view options; and what of theirs depends on it.
 */
#ifndef WH_KEPT_H
#define WH_KEPT_H

#include "access/tupdesc.h"
#include "nodes/pg_list.h"

typedef struct WhKept
{
	char	   *view_options;	/* security_barrier='true', ...; NULL: none */
	char	   *comment;		/* NULL: none */
	List	   *statements;		/* of char *: GRANT and COMMENT, by its name */
} WhKept;

/*
 * Note what the relation has, as far as its successor has columns for it.
 * wh_kept_restore() gives it to the relation that has the same name by then.
 */
extern WhKept *wh_kept(Oid relid, TupleDesc successor);
extern void wh_kept_restore(const WhKept *kept, Oid relid);

/* The kind of a relation as DROP and COMMENT ON want it. */
extern const char *wh_kept_kind(Oid relid);

/*
 * The same for what people demand of a table's rows, as statements: CHECK,
 * UNIQUE, PRIMARY KEY, EXCLUDE and NOT NULL, but for constraints of the names
 * "ours".  Foreign keys are triggers, too, and left to who looks at these.
 */
extern List *wh_kept_constraints(Oid relid, TupleDesc successor, List *ours);

/*
 * List what depends on the relations (OIDs) and would go with them, but for
 * themselves and those of "ours", as people know it; NULL for nothing.
 */
extern char *wh_kept_dependents(const List *relids, const List *ours);

/* The relations in an order in which they can be dropped one by one. */
extern List *wh_kept_readers_first(List *relids);

/*
 * Throw 2BP01 listing what depends on the relation, but for the view "ours"
 * (InvalidOid: none); "what" as in: view "a.b".
 */
extern void wh_kept_check_dependents(Oid relid, Oid ours, const char *what);

/* The same for several of ours (OIDs). */
extern void wh_kept_check_others(Oid relid, const List *ours, const char *what);

/*
 * Describe a relation's columns as the catalogs have them at this moment,
 * dropped ones too, without a lock on it; none when it is gone by then.
 */
extern TupleDesc wh_columns_of(Oid relid);

/* Does "now" begin with the very columns of "before"? */
extern bool wh_columns_extend(TupleDesc before, TupleDesc now);

/* Are they the same columns? */
extern bool wh_columns_same(TupleDesc a, TupleDesc b);

#endif							/* WH_KEPT_H */
