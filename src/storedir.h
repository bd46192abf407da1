/*
 * storedir.h
 *		A store that is a folder of this machine.
 */
#ifndef WH_STOREDIR_H
#define WH_STOREDIR_H

#include "store.h"

/*
 * Open the folder at "path": 55000 unless it is an absolute path, outside the
 * data directory, of a folder that is there.
 */
extern WhStore *wh_storedir_open(const char *path);

#endif							/* WH_STOREDIR_H */
