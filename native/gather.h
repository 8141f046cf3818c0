/* The zygote's heap, gathered in huge pages.
 *
 * A clone copies one page-table entry for each page that the zygote has written, an exit takes each of them down again: most
 * of what either costs. A huge page (2 MiB) has one entry for 512 pages. So a zygote takes the interpreter's arenas from
 * one aligned region, and, when all is imported, asks the kernel to gather what it has (madvise(2), MADV_COLLAPSE, Linux 6.1; before, or
 * where there are no huge pages, nothing happens and all works as without). Its children only ever write single pages: the
 * kernel copies those alone. */
#ifndef PROCESSION_GATHER_H
#define PROCESSION_GATHER_H

#include <stdbool.h>
#include <stddef.h>

/* Reserve the region. False when there is no room for it; gather_take then never gives anything. */
bool gather_reserve(void);
/* `size` bytes of the region, zeroed, aligned to `size` (a power of two); NULL when it is used up. */
void *gather_take(size_t size);
/* Give them back. False when they are not the region's. */
bool gather_give(void *at, size_t size);
/* Gather what is in use, and the C library's heap. Returns the bytes that lie in huge pages now. */
size_t gather(void);

#endif
