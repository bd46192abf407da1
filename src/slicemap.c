/*
 * slicemap.c
 *		The coverage ledger as each session keeps it in memory.
 *
 * Planning a query must not read 36,500 rows, and reading a ledger must not
 * need a right on it, so each session scans the table once, as itself and
 * with a snapshot of its own, and keeps the result until somebody says that
 * membership changed: the trigger below, fired by whoever writes the ledger
 * and by whatever means, sends an invalidation of the table, which drops these
 * maps, and one of each foreign table that shows the template, which drops
 * kept plans.  A refresh that only changes counts sends none.
 *
 * A map in use is never freed: users pin it to their memory context.  Which
 * slices survive a query is prune's.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "row.h"
#include "slicemap.h"
#include "uniontable.h"

typedef struct Map
{
	MemoryContext context;
	int			pins;
	List	   *templates;		/* of WhMapTemplate * */
} Map;

/* A pin, which its memory context takes away. */
typedef struct Pin
{
	Map		   *map;
	MemoryContextCallback on_reset;
} Pin;

/* Where the columns are; a later version of the table may have more. */
typedef struct Columns
{
	AttrNumber	template_name;
	AttrNumber	tenant_name;
	AttrNumber	period_start;
	AttrNumber	period_end;
	AttrNumber	relation_schema;
	AttrNumber	relation_name;
	AttrNumber	state;
	AttrNumber	row_count;
	AttrNumber	lower_bound;
	AttrNumber	upper_bound;
	AttrNumber	bounds_of;
} Columns;

/* Bytes that are somebody else's. */
typedef struct Bytes
{
	const char *data;
	int			len;
} Bytes;

/* What makes a part. */
typedef struct PartKey
{
	Bytes		names[4];		/* template, tenant, schema, bounds_of */
} PartKey;

typedef struct PartEntry
{
	PartKey		key;
	WhMapPart  *part;
} PartEntry;

static Map *current = NULL;
static bool stale = true;
static uint64 generation = 0;
static Oid	ledger = InvalidOid;
static bool listening = false;

PG_FUNCTION_INFO_V1(wh_slices_changed);

static void invalidate_plans(HeapTuple tuple, TupleDesc desc);
static void note_change(Datum arg, Oid relid);
static Map *fresh_map(void);
static void read_ledger(Map *map, Relation rel);
static Columns find_columns(TupleDesc desc);
static void add_slice(Map *map, HTAB *parts, const Columns *columns,
					  const Datum *values, const bool *isnull);
static WhMapPart *make_part(Map *map, const PartKey *key);
static WhMapTemplate *find_template(const Map *map, const char *name);
static void put_in_order(WhMapPart *part);
static int	compare_slices(const void *a, const void *b);
static Bytes bytes_of_text(Datum value);
static uint32 hash_key(const void *key, Size size);
static int	compare_keys(const void *a, const void *b, Size size);
static void pin(Map *map);
static void unpin(void *arg);

/*
 * Return what the ledger says of a template; see slicemap.h.
 */
const WhMapTemplate *
wh_slicemap(const char *template_name)
{
	if (stale)
	{
		Map		   *map = fresh_map();

		if (current != NULL && current->pins == 0)
			MemoryContextDelete(current->context);
		current = map;
	}
	pin(current);

	return find_template(current, template_name);
}

uint64
wh_slicemap_generation(void)
{
	return generation;
}

void
wh_slicemap_forget(void)
{
	stale = true;
	generation++;
}

/*
 * _wh.slices_changed() returns trigger
 *
 * After any change of which slices there are, or where.
 */
Datum
wh_slices_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	desc;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "not called as a trigger");

	desc = RelationGetDescr(trigger->tg_relation);
	CacheInvalidateRelcache(trigger->tg_relation);
	if (TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
		wh_union_invalidate(NULL);
	else
		invalidate_plans(trigger->tg_trigtuple, desc);
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		invalidate_plans(trigger->tg_newtuple, desc);

	return PointerGetDatum(NULL);
}

static void
invalidate_plans(HeapTuple tuple, TupleDesc desc)
{
	wh_union_invalidate(wh_row_text(tuple, desc, "template_name"));
}

/*
 * Take notice that the ledger, or anything at all, has changed.
 */
static void
note_change(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == ledger)
		wh_slicemap_forget();
}

/*
 * Read the whole ledger into a new map.
 *
 * The table is opened first, which takes in all invalidations sent so far;
 * then the map counts as fresh, so that one arriving from here on is not lost;
 * and only then is the snapshot taken.  A catalog snapshot is one that every
 * caller may take: a parallel worker's functions too.
 */
static Map *
fresh_map(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "pg_warehouse slices",
												  ALLOCSET_DEFAULT_SIZES);
	Map		   *map = (Map *) MemoryContextAllocZero(context, sizeof(Map));
	Relation	rel;

	map->context = context;
	if (!listening)
	{
		CacheRegisterRelcacheCallback(note_change, (Datum) 0);
		listening = true;
	}

	ledger = get_relname_relid("slices", get_namespace_oid("_wh", false));
	rel = table_open(ledger, AccessShareLock);
	stale = false;
	PG_TRY();
	{
		read_ledger(map, rel);
	}
	PG_CATCH();
	{
		stale = true;
		PG_RE_THROW();
	}
	PG_END_TRY();
	table_close(rel, AccessShareLock);
	MemoryContextSetParent(context, CacheMemoryContext);

	return map;
}

static void
read_ledger(Map *map, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Columns		columns = find_columns(desc);
	Datum	   *values = (Datum *) palloc(desc->natts * sizeof(Datum));
	bool	   *isnull = (bool *) palloc(desc->natts * sizeof(bool));
	HASHCTL		ctl = {0};
	HTAB	   *parts;
	SysScanDesc scan;
	HeapTuple	tuple;
	ListCell   *lt;

	ctl.keysize = sizeof(PartKey);
	ctl.entrysize = sizeof(PartEntry);
	ctl.hash = hash_key;
	ctl.match = compare_keys;
	ctl.hcxt = CurrentMemoryContext;
	parts = hash_create("pg_warehouse parts", 64, &ctl,
						HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);

	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		heap_deform_tuple(tuple, desc, values, isnull);
		add_slice(map, parts, &columns, values, isnull);
	}
	systable_endscan(scan);
	hash_destroy(parts);

	foreach(lt, map->templates)
	{
		WhMapTemplate *tmpl = (WhMapTemplate *) lfirst(lt);
		ListCell   *lp;

		foreach(lp, tmpl->parts)
		{
			WhMapPart  *part = (WhMapPart *) lfirst(lp);

			put_in_order(part);
			tmpl->nslices += part->nslices;
		}
	}
}

static Columns
find_columns(TupleDesc desc)
{
	Columns		columns;

	columns.template_name = wh_row_position(desc, "template_name");
	columns.tenant_name = wh_row_position(desc, "tenant_name");
	columns.period_start = wh_row_position(desc, "period_start");
	columns.period_end = wh_row_position(desc, "period_end");
	columns.relation_schema = wh_row_position(desc, "relation_schema");
	columns.relation_name = wh_row_position(desc, "relation_name");
	columns.state = wh_row_position(desc, "state");
	columns.row_count = wh_row_position(desc, "row_count");
	columns.lower_bound = wh_row_position(desc, "lower_bound");
	columns.upper_bound = wh_row_position(desc, "upper_bound");
	columns.bounds_of = wh_row_position(desc, "bounds_of");

	return columns;
}

/*
 * Take one row of the ledger into the map.  Names are compared where they
 * lie; what is kept is copied.
 */
static void
add_slice(Map *map, HTAB *parts, const Columns *columns,
		  const Datum *values, const bool *isnull)
{
#define VALUE(column) values[columns->column - 1]
#define IS_NULL(column) isnull[columns->column - 1]
	static const Bytes empty = {"empty", 5};
	static const Bytes none = {"", 0};
	Bytes		state = bytes_of_text(VALUE(state));
	PartKey		key;
	PartEntry  *entry;
	WhMapPart  *part;
	WhMapSlice *slice;
	bool		found;
	bool		bound;

	if (state.len == empty.len && memcmp(state.data, empty.data, empty.len) == 0)
		return;

	bound = !IS_NULL(bounds_of) && !IS_NULL(lower_bound) &&
		!IS_NULL(upper_bound) &&
		!TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(VALUE(lower_bound))) &&
		!TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(VALUE(upper_bound))) &&
		!DATE_NOT_FINITE(DatumGetDateADT(VALUE(period_start))) &&
		!DATE_NOT_FINITE(DatumGetDateADT(VALUE(period_end)));

	key.names[0] = bytes_of_text(VALUE(template_name));
	key.names[1] = bytes_of_text(VALUE(tenant_name));
	key.names[2].data = NameStr(*DatumGetName(VALUE(relation_schema)));
	key.names[2].len = strlen(key.names[2].data);
	key.names[3] = bound ? bytes_of_text(VALUE(bounds_of)) : none;

	entry = (PartEntry *) hash_search(parts, &key, HASH_ENTER, &found);
	if (!found)
	{
		entry->part = make_part(map, &key);
		entry->key.names[0].data = entry->part->template_name;
		entry->key.names[1].data = entry->part->tenant;
		entry->key.names[2].data = entry->part->schema;
		entry->key.names[3].data = entry->part->bounds_of;
	}
	part = entry->part;

	if (part->nslices == part->capacity)
	{
		part->capacity *= 2;
		part->slices = (WhMapSlice *) repalloc_huge(part->slices,
													part->capacity * sizeof(WhMapSlice));
	}
	slice = &part->slices[part->nslices++];
	slice->start = DatumGetDateADT(VALUE(period_start));
	slice->end = DatumGetDateADT(VALUE(period_end));
	slice->bounds.start = bound ? DatumGetTimestampTz(VALUE(lower_bound)) : DT_NOBEGIN;
	slice->bounds.end = bound ? DatumGetTimestampTz(VALUE(upper_bound)) : DT_NOEND;
	slice->relation = MemoryContextStrdup(map->context,
										  NameStr(*DatumGetName(VALUE(relation_name))));
	slice->rows = IS_NULL(row_count) ? 0 : (double) DatumGetInt64(VALUE(row_count));
#undef VALUE
#undef IS_NULL
}

static WhMapPart *
make_part(Map *map, const PartKey *key)
{
	MemoryContext caller = MemoryContextSwitchTo(map->context);
	WhMapPart  *part = (WhMapPart *) palloc0(sizeof(WhMapPart));
	WhMapTemplate *tmpl;

	part->template_name = pnstrdup(key->names[0].data, key->names[0].len);
	part->tenant = pnstrdup(key->names[1].data, key->names[1].len);
	part->schema = pnstrdup(key->names[2].data, key->names[2].len);
	part->bounds_of = pnstrdup(key->names[3].data, key->names[3].len);
	part->capacity = 32;
	part->slices = (WhMapSlice *) palloc(part->capacity * sizeof(WhMapSlice));

	tmpl = find_template(map, part->template_name);
	if (tmpl == NULL)
	{
		tmpl = (WhMapTemplate *) palloc0(sizeof(WhMapTemplate));
		tmpl->name = part->template_name;
		map->templates = lappend(map->templates, tmpl);
	}
	tmpl->parts = lappend(tmpl->parts, part);
	MemoryContextSwitchTo(caller);

	return part;
}

static WhMapTemplate *
find_template(const Map *map, const char *name)
{
	ListCell   *lc;

	foreach(lc, map->templates)
	{
		WhMapTemplate *tmpl = (WhMapTemplate *) lfirst(lc);

		if (strcmp(tmpl->name, name) == 0)
			return tmpl;
	}

	return NULL;
}

/*
 * Sort by day.  Instants are in the same order unless the tenant's zone
 * changed between two loads.
 */
static void
put_in_order(WhMapPart *part)
{
	qsort(part->slices, part->nslices, sizeof(WhMapSlice), compare_slices);

	part->in_order = true;
	for (int i = 1; i < part->nslices; i++)
	{
		if (part->slices[i].bounds.start < part->slices[i - 1].bounds.start ||
			part->slices[i].bounds.end < part->slices[i - 1].bounds.end)
			part->in_order = false;
	}
}

static int
compare_slices(const void *a, const void *b)
{
	const WhMapSlice *left = (const WhMapSlice *) a;
	const WhMapSlice *right = (const WhMapSlice *) b;

	return (left->start > right->start) - (left->start < right->start);
}

static Bytes
bytes_of_text(Datum value)
{
	text	   *t = DatumGetTextPP(value);
	Bytes		bytes = {VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t)};

	return bytes;
}

static uint32
hash_key(const void *key, Size size)
{
	const PartKey *k = (const PartKey *) key;
	uint32		hash = 0;

	for (Size i = 0; i < lengthof(k->names); i++)
		hash = hash_combine(hash,
							hash_bytes((const unsigned char *) k->names[i].data,
									   k->names[i].len));

	return hash;
}

static int
compare_keys(const void *a, const void *b, Size size)
{
	const PartKey *left = (const PartKey *) a;
	const PartKey *right = (const PartKey *) b;

	for (Size i = 0; i < lengthof(left->names); i++)
	{
		if (left->names[i].len != right->names[i].len ||
			memcmp(left->names[i].data, right->names[i].data,
				   left->names[i].len) != 0)
			return 1;
	}

	return 0;
}

/*
 * Keep the map until CurrentMemoryContext goes.
 */
static void
pin(Map *map)
{
	Pin		   *held = (Pin *) palloc(sizeof(Pin));

	held->map = map;
	held->on_reset.func = unpin;
	held->on_reset.arg = held;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &held->on_reset);
	map->pins++;
}

static void
unpin(void *arg)
{
	Map		   *map = ((Pin *) arg)->map;

	if (--map->pins == 0 && map != current)
		MemoryContextDelete(map->context);
}
