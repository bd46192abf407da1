/*
 * expand.h
 *		Layout expand: a query's foreign tables become the slices that it
 *		needs.
 */
#ifndef WH_EXPAND_H
#define WH_EXPAND_H

/* Have every query of this session planned, and kept plans checked, so. */
extern void wh_expand_install(void);

#endif							/* WH_EXPAND_H */
