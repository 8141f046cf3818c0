/* Names of blocks. A block with a name has it in its first page, zero-terminated, and its data after that. The name holds the
 * block: a stake TID_NAME. What says that it is found under its name is its flag CELL_NAMED, set and cleared by one store.
 *
 * All below is done between names_enter and names_leave. Who enters after one that died there makes the two agree again. */
#ifndef PROCESSION_NAMES_H
#define PROCESSION_NAMES_H

#include "holdings.h"

#define NAME_MOST 255u /* bytes, as of a file's name */
#define NAME_PAGE 4096u

/* Wait until nobody else changes names. 0; -EINTR, -ETIMEDOUT, -ESRCH (no family), -ENOSPC (no cell, or no wait is free). */
int names_enter(int64_t deadline);
void names_leave(void);

/* The block of that name, or NULL. */
struct cell *names_find(const char *name);
/* This block, which has its name in its first page, is found under it from now on. -EEXIST: another is; -ENOSPC; -ENOENT. */
int names_give(struct cell *block);
/* Nothing has that name any more. What was found under it lives on while somebody else holds it. -ENOENT. */
int names_take(const char *name);
/* Call `each` with every block that has a name. */
void names_each(void (*each)(struct cell *block, const char *name, void *with), void *with);

#endif
