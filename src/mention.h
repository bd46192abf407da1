/*
 * mention.h
 *		The relations that a query names, as its author wrote them; pure.
 */
#ifndef WH_MENTION_H
#define WH_MENTION_H

#include "nodes/parsenodes.h"

typedef struct WhMention
{
	RangeVar   *var;			/* in the tree */
	char	   *schema;			/* as written; NULL: none */
	char	   *name;
} WhMention;

/*
 * List them in a raw parse tree: all but the names of its own WITH queries,
 * and those that name a database.
 */
extern List *wh_mentions(Node *tree);	/* of WhMention * */

/* Let a mention mean the relation given, under the name that it has. */
extern void wh_mention_means(const WhMention *mention, const char *schema,
							 const char *name);

/*
 * Once all have their meaning: take the schema off columns that are written
 * with it, as in a.b.c, since a.b goes by the name b now.
 */
extern void wh_mentions_settle(Node *tree, List *mentions);

#endif							/* WH_MENTION_H */
