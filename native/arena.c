#define _GNU_SOURCE
#include "arena.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define FIRST ((uint32_t)(COMMONS_ARENA / CHUNK_SIZE))
_Static_assert(COMMONS_ARENA % CHUNK_SIZE == 0, "the arena begins at a chunk");

static uint32_t chunks_of(uint64_t size) { return (uint32_t)((size + CHUNK_SIZE - 1) / CHUNK_SIZE); }

static void release(uint32_t chunk, uint32_t count) {
    fallocate(commons_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(chunk * CHUNK_SIZE),
              (off_t)(count * CHUNK_SIZE));
    pn_step("punched");
    /* The head goes last: whoever dies here leaves an extent that is still owned, and shorter. */
    for (uint32_t i = count; i-- > 0;) {
        word_publish(&commons_chunks()[chunk + i], 0);
        pn_step("chunk freed");
    }
}

/* Claim `count` chunks from `chunk` on; on meeting a taken one, undo and say how far to jump. */
static uint32_t claim(uint32_t chunk, uint32_t count, uint32_t owner) {
    word_raise(&commons->chunk_top, chunk + count); /* before the claim: what `arena_disown` does not see leaks */
    pn_step("top raised");
    for (uint32_t i = 0; i < count; i++) {
        if (word_swap(&commons_chunks()[chunk + i], 0, (owner + 1) | (i == 0 ? CHUNK_HEAD : 0))) {
            pn_step("chunk claimed");
            continue;
        }
        for (uint32_t j = i; j-- > 0;) {
            word_publish(&commons_chunks()[chunk + j], 0);
            pn_step("claim undone");
        }
        return i + 1;
    }
    return 0;
}

static int find(uint32_t count, uint32_t owner, uint32_t from, uint32_t to, uint32_t *found) {
    for (uint32_t at = from; at + count <= to;) {
        uint32_t jump = claim(at, count, owner);
        if (jump == 0) {
            *found = at;
            return 0;
        }
        at += jump;
    }
    return -ENOMEM;
}

/* In pieces: a signal interrupts fallocate, and what it had done of the piece is lost. */
#define PIECE 64u

static int promise_pages(uint32_t chunk, uint32_t count) {
    for (uint32_t done = 0; done < count;) {
        uint32_t n = count - done < PIECE ? count - done : PIECE;
        if (fallocate(commons_fd, FALLOC_FL_KEEP_SIZE, (off_t)((chunk + done) * CHUNK_SIZE), (off_t)(n * CHUNK_SIZE)) == 0)
            done += n;
        else if (errno != EINTR)
            return -errno;
    }
    return 0;
}

int arena_take(uint64_t size, uint32_t owner, uint64_t *offset) {
    if (size == 0 || size > COMMONS_SIZE - COMMONS_ARENA || owner >= PN_SLOTS) return -EINVAL;
    uint32_t count = chunks_of(size), end = (uint32_t)COMMONS_CHUNK_COUNT, chunk = 0;
    uint32_t hint = (uint32_t)word_peek(&commons->chunk_hint);
    if (hint < FIRST || hint >= end) hint = FIRST;
    if (find(count, owner, hint, end, &chunk) < 0 && find(count, owner, FIRST, end, &chunk) < 0) return -ENOMEM;
    pn_step("extent claimed");
    int error = promise_pages(chunk, count);
    if (error) {
        release(chunk, count);
        return error;
    }
    word_poke(&commons->chunk_hint, chunk + count);
    *offset = chunk * CHUNK_SIZE;
    return 0;
}

static uint32_t extent(uint32_t chunk) {
    uint32_t owner = word_read(&commons_chunks()[chunk]) & ~CHUNK_HEAD, count = 1;
    while (chunk + count < COMMONS_CHUNK_COUNT && word_read(&commons_chunks()[chunk + count]) == owner) count++;
    return count;
}

void arena_give(uint64_t offset) {
    uint32_t chunk = (uint32_t)(offset / CHUNK_SIZE);
    if (chunk < FIRST || !(word_read(&commons_chunks()[chunk]) & CHUNK_HEAD)) return;
    release(chunk, extent(chunk));
    if (chunk < word_peek(&commons->chunk_hint)) word_poke(&commons->chunk_hint, chunk);
}

void arena_pass(uint64_t offset, uint32_t owner) {
    uint32_t chunk = (uint32_t)(offset / CHUNK_SIZE), count = extent(chunk);
    /* The tail first: an extent cut by a death in between falls into two, each with a living or dead owner. */
    for (uint32_t i = count; i-- > 0;) {
        word_publish(&commons_chunks()[chunk + i], (owner + 1) | (i == 0 ? CHUNK_HEAD : 0));
        pn_step("chunk passed");
    }
}

/* No chunk from here on was ever taken: the map is sparse, and reading it would cost pages. */
static uint32_t top_chunk(void) {
    uint64_t top = word_read(&commons->chunk_top);
    return top > FIRST ? (uint32_t)top : FIRST;
}

uint64_t arena_disown(uint32_t owner) {
    uint64_t freed = 0;
    uint32_t top = top_chunk();
    for (uint32_t chunk = FIRST; chunk < top; chunk++) {
        if ((word_read(&commons_chunks()[chunk]) & ~CHUNK_HEAD) != owner + 1) continue;
        release(chunk, 1);
        freed++;
    }
    return freed;
}

uint64_t arena_used(uint32_t owner) {
    uint64_t used = 0;
    uint32_t top = top_chunk();
    for (uint32_t chunk = FIRST; chunk < top; chunk++) {
        uint32_t word = word_read(&commons_chunks()[chunk]) & ~CHUNK_HEAD;
        if (word && (owner == PN_NO_SLOT || word == owner + 1)) used += CHUNK_SIZE;
    }
    return used;
}

void *arena_map(uint64_t offset, uint64_t size) {
    if (offset + size <= commons_mapped) return (char *)commons + offset;
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, commons_fd, (off_t)offset);
    return map == MAP_FAILED ? NULL : map;
}

void arena_unmap(void *map, uint64_t offset, uint64_t size) {
    if (offset + size > commons_mapped) munmap(map, size);
}
