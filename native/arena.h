/* The arena: the commons' memory for payloads, in chunks of 64 KiB. This is its base: whole extents of chunks, with an
 * owner each. (Small objects, rings and arrays come to lie in such extents.)
 *
 * One word per chunk in the chunk map says all: 0 is free, otherwise the owner's slot + 1, with CHUNK_HEAD on the
 * first chunk of an extent. A process that dies between two claims of one extent leaves single chunks in its own
 * name: `arena_disown` of the dead one takes them all back. */
#ifndef PROCESSION_ARENA_H
#define PROCESSION_ARENA_H

#include "commons.h"

#define CHUNK_HEAD 0x80000000u

/* An extent of at least `size` bytes in `owner`'s name, its pages promised by the kernel now (so that a shortage is
 * an error here and not SIGBUS later). 0, -ENOMEM, -ENOSPC or -EINVAL. */
int arena_take(uint64_t size, uint32_t owner, uint64_t *offset);
/* Give an extent back, and its pages to the kernel. */
void arena_give(uint64_t offset);
/* Hand an extent to another owner. */
void arena_pass(uint64_t offset, uint32_t owner);
/* Give back all that `owner` has. Called when it is dead. Returns the number of chunks. */
uint64_t arena_disown(uint32_t owner);
/* Bytes in use, by `owner` or by all (PN_NO_SLOT). */
uint64_t arena_used(uint32_t owner);
/* A pointer to an extent's bytes: into the window, or a map of its own. arena_unmap undoes the latter. NULL: no memory. */
void *arena_map(uint64_t offset, uint64_t size);
void arena_unmap(void *map, uint64_t offset, uint64_t size);

#endif
