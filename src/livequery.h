/*
 * livequery.h
 *		The query of a live template for one tenant, and what the names in it
 *		mean: relations of the source, or of this database.
 */
#ifndef WH_LIVEQUERY_H
#define WH_LIVEQUERY_H

#include "bridge_catalog.h"
#include "parse.h"
#include "template.h"

/* A relation as the query names it. */
typedef struct WhLiveName
{
	char	   *schema;			/* as written; NULL: none */
	char	   *name;
	WhBridgeTable *source;		/* it is the source's; NULL: it is here, */
	const char *here;			/* in this schema */
} WhLiveName;

typedef struct WhLiveQuery
{
	const WhTemplate *tmpl;
	const WhTenant *tenant;
	const WhBridge *bridge;		/* to the tenant's database */
	char	   *live_schema;	/* of its foreign tables */
	char	   *text;			/* rendered for the tenant */
	List	   *names;			/* of WhLiveName * */
	char	   *left_out;		/* columns that cannot be had here; NULL: none */
	TimestampTz as_of;			/* the source's clock when it was asked */
} WhLiveQuery;

/*
 * Read the query and find the bridge; no name has a meaning yet.  55000 when
 * there is no bridge to the tenant's database.
 */
extern void wh_livequery_read(WhLiveQuery *query, const WhTemplate *tmpl,
							  const WhTenant *tenant);

/*
 * Give the names their meaning: by asking the source, or, for a source that
 * was asked before, by the foreign tables that there are.  42P01 for a name
 * that means nothing, 42501 for what our role at the source may not read.
 */
extern void wh_livequery_ask(WhLiveQuery *query);
extern void wh_livequery_recall(WhLiveQuery *query);

/* Are its foreign tables there, and like the source's? */
extern bool wh_livequery_fits(const WhLiveQuery *query);

/* Make those that are not; the caller has the tables' lock. */
extern void wh_livequery_make_tables(const WhLiveQuery *query);

/* Have the names of a parse tree of it stand for what they mean. */
extern void wh_livequery_bind(const WhLiveQuery *query, Node *tree);

/*
 * Look up what a statement of it stands for, of which the tree is bound; and
 * run DDL with such a tree.  42P17 when it would come to read "own", the
 * template's own relation (InvalidOid: none), or all tenants' view of it.
 */
extern Query *wh_livequery_analyze(const WhLiveQuery *query, Node *tree, const char *sql);
extern void wh_livequery_ddl(const WhLiveQuery *query, Node *stmt, const char *sql);
extern void wh_livequery_check_circle(const WhLiveQuery *query, Oid own);

/* What the query returns, once its tables are there. */
extern TupleDesc wh_livequery_columns(const WhLiveQuery *query);

#endif							/* WH_LIVEQUERY_H */
