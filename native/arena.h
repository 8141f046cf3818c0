/* The arena: the commons' memory for payloads, in chunks of 64 KiB: whole extents of chunks, with an owner each.
 *
 * One word per chunk in the chunk map says all: 0 is free, CHUNK_WARM free with its pages, otherwise its owner, with CHUNK_HEAD on
 * the first chunk of an extent. An owner is a member, or an object with memory (holdings.h), by its cell. A process that dies
 * between two claims of one extent leaves single chunks in the owner's name: `arena_disown` takes them all back.
 *
 * Warm chunks: to take pages from the kernel and map them costs more than to copy into them. So what is given back stays
 * warm, up to a limit; `arena_trim` gives it to the kernel, and so does a shortage. */
#ifndef PROCESSION_ARENA_H
#define PROCESSION_ARENA_H

#include "commons.h"

#define CHUNK_HEAD 0x80000000u
#define CHUNK_OBJECT 0x40000000u /* the owner is an object: the rest is the index of its cell */
#define CHUNK_WARM 0x20000000u   /* free, but its pages are there, with whatever was in them */
#define CHUNK_PART 0x10000000u   /* on the head of an extent of one chunk: not all of its pages were promised */
#define OWNER_MEMBER(slot) ((slot) + 1)
#define OWNER_OBJECT(index) (CHUNK_OBJECT | (index))
#define OWNER_ANY 0u

/* An extent of at least `size` bytes in `owner`'s name, its pages promised by the kernel now (so that a shortage is
 * an error here and not SIGBUS later), with anything in them. 0, -ENOMEM, -ENOSPC or -EINVAL. */
int arena_take(uint64_t size, uint32_t owner, uint64_t *offset);
/* The same, full of zeros. */
int arena_take_clean(uint64_t size, uint32_t owner, uint64_t *offset);
/* The same as arena_take, with these bytes. */
int arena_take_copy(const void *bytes, uint64_t size, uint32_t owner, uint64_t *offset);
/* Give an extent back. */
void arena_give(uint64_t offset);
/* The same, if it is (still) `owner`'s: for who does it again after somebody that may have done it already. */
void arena_give_of(uint64_t offset, uint32_t owner);
/* Hand an extent to another owner. */
void arena_pass(uint64_t offset, uint32_t owner);
/* Give back all that `owner` has, when it is dead or being taken apart. Returns the number of chunks. */
uint64_t arena_disown(uint32_t owner);
/* Give the pages of all warm chunks to the kernel; each is in `owner`'s name meanwhile. Returns the number of chunks. */
uint64_t arena_trim(uint32_t owner);
/* Bytes in use, by `owner` or by all (OWNER_ANY). */
uint64_t arena_used(uint32_t owner);
/* A pointer to an extent's bytes: into the window, or a map of its own. arena_unmap undoes the latter. NULL: no memory. */
void *arena_map(uint64_t offset, uint64_t size);
void arena_unmap(void *map, uint64_t offset, uint64_t size);

#endif
