/* The way out of a child that ends in order.
 *
 * Most of an interpreter's exit is the kernel taking its memory apart, and only after that does it tell the parent: some
 * 0.5 ms in which everybody who joins has to wait for nothing. So the last thing a child does is to leave a keeper behind:
 * a process without code of its own that shares the child's memory and nothing else (no descriptor, no signal), sleeps until the
 * child is gone, and then ends, which is when the memory is taken apart. The child itself has nothing to take apart and is gone
 * at once. The keeper is a child of the same parent, whose reaper collects it (its pid stands in the record before
 * it runs). Where it cannot be made (a limit, a filter), or when other threads run
 * or the child has used more than 64 MiB, the child just exits. */
#ifndef PROCESSION_LEAVE_H
#define PROCESSION_LEAVE_H

#include <stdbool.h>

#include "table.h"

/* False: the parent has keepers enough. Processes that come and go faster than the machine can take their memory apart must do
 * that themselves. */
extern bool leave_may_keep;

/* Write the last words and exit with `code`. */
_Noreturn void leave(struct member who, int code);

#endif
