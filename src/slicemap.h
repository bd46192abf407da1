/*
 * slicemap.h
 *		The coverage ledger as each session keeps it in memory: which slices a
 *		template has, by tenant and in order of time.
 */
#ifndef WH_SLICEMAP_H
#define WH_SLICEMAP_H

#include "nodes/pg_list.h"
#include "period.h"

typedef struct WhMapSlice
{
	DateADT		start;
	DateADT		end;			/* exclusive */
	WhSpan		bounds;			/* only where the part has bounds_of */
	char	   *relation;
	double		rows;
} WhMapSlice;

/* Slices of one tenant that are alike but for their period. */
typedef struct WhMapPart
{
	char	   *template_name;
	char	   *tenant;
	char	   *schema;			/* relation_schema */
	char	   *bounds_of;		/* wh_slice_bounds_of(), "" for none */
	bool		in_order;		/* neither bound ever steps back */
	int			nslices;
	int			capacity;
	WhMapSlice *slices;			/* in order of start */
} WhMapPart;

typedef struct WhMapTemplate
{
	char	   *name;
	int			nslices;
	List	   *parts;			/* of WhMapPart * */
} WhMapTemplate;

/*
 * Return what the ledger says of a template, NULL when it has no slice.  It
 * stays as it is until CurrentMemoryContext is reset or deleted, whatever
 * arrives meanwhile; see wh_slicemap_generation().
 */
extern const WhMapTemplate *wh_slicemap(const char *template_name);

/* A number that changes whenever the ledger may have changed. */
extern uint64 wh_slicemap_generation(void);

/* Have the next wh_slicemap() read the ledger again. */
extern void wh_slicemap_forget(void);

#endif							/* WH_SLICEMAP_H */
