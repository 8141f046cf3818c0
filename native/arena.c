#define _GNU_SOURCE
#include "arena.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "room.h"

#define FIRST ((uint32_t)(COMMONS_ARENA / CHUNK_SIZE))
#define PAGE 4096ull
_Static_assert(COMMONS_ARENA % CHUNK_SIZE == 0, "the arena begins at a chunk");

static uint32_t chunks_of(uint64_t size) { return (uint32_t)((size + CHUNK_SIZE - 1) / CHUNK_SIZE); }
static uint32_t owner_of(uint32_t word) { return word & ~(CHUNK_HEAD | CHUNK_PART); }
static bool is_free(uint32_t word) { return word == 0 || word == CHUNK_WARM; }

static void punch(uint32_t chunk, uint32_t count) {
    fallocate(commons_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(chunk * CHUNK_SIZE),
              (off_t)(count * CHUNK_SIZE));
    pn_step("punched");
}

/* The head goes last: whoever dies here leaves an extent that is still owned, and shorter. */
static void free_words(uint32_t chunk, uint32_t count, uint32_t what) {
    for (uint32_t i = count; i-- > 0;) {
        word_publish(&commons_chunks()[chunk + i], what);
        pn_step("chunk freed");
    }
}

static void release(uint32_t chunk, uint32_t count) {
    punch(chunk, count);
    free_words(chunk, count, 0);
}

/* --- warm chunks ------------------------------------------------------------------------------------------------ */

/* How many there are is counted in `commons->warm`, which is only a hint: who dies between the two makes it wrong. */
static void count_warm(int32_t change) {
    int32_t now = (int32_t)word_add(&commons->warm, (uint32_t)change) + change;
    if (now < 0) word_poke(&commons->warm, 0);
}

static bool may_stay_warm(uint32_t count) { return word_peek(&commons->warm) + count <= commons->warm_most; }

static uint32_t top_chunk(void); /* (below) */

uint64_t arena_trim(uint32_t owner) {
    uint64_t trimmed = 0;
    uint32_t top = top_chunk();
    for (uint32_t chunk = FIRST; chunk < top; chunk++) {
        if (word_peek(&commons_chunks()[chunk]) != CHUNK_WARM) continue;
        if (!word_swap(&commons_chunks()[chunk], CHUNK_WARM, owner | CHUNK_HEAD)) continue;
        pn_step("trimming");
        release(chunk, 1);
        trimmed++;
    }
    word_poke(&commons->warm, 0);
    return trimmed;
}

/* --- taking ----------------------------------------------------------------------------------------------------- */

/* Claim `count` chunks from `chunk` on; on meeting a taken one, undo and say how far to jump. */
static uint32_t claim(uint32_t chunk, uint32_t count, uint32_t owner, uint32_t *warm) {
    word_raise(&commons->chunk_top, chunk + count); /* before the claim: what `arena_disown` does not see leaks */
    pn_step("top raised");
    *warm = 0;
    for (uint32_t i = 0; i < count; i++) {
        word32 *word = &commons_chunks()[chunk + i];
        uint32_t seen = word_peek(word);
        if (is_free(seen) && word_swap(word, seen, owner | (i == 0 ? CHUNK_HEAD : 0))) {
            pn_step("chunk claimed");
            *warm += seen == CHUNK_WARM;
            continue;
        }
        if (*warm) punch(chunk, i); /* (some are warm, some are not: none is, then) */
        for (uint32_t j = i; j-- > 0;) {
            word_publish(&commons_chunks()[chunk + j], 0);
            pn_step("claim undone");
        }
        if (*warm) count_warm(-(int32_t)*warm);
        return i + 1;
    }
    if (*warm) count_warm(-(int32_t)*warm);
    return 0;
}

static int find(uint32_t count, uint32_t owner, uint32_t from, uint32_t to, uint32_t *found, uint32_t *warm) {
    for (uint32_t at = from; at + count <= to;) {
        if (!is_free(word_peek(&commons_chunks()[at])) || !is_free(word_peek(&commons_chunks()[at + count - 1]))) {
            at++;
            continue;
        }
        uint32_t jump = claim(at, count, owner, warm);
        if (jump == 0) {
            *found = at;
            return 0;
        }
        at += jump;
    }
    return -ENOMEM;
}

/* In pieces: a signal interrupts fallocate, and what it had done of the piece is lost. */
#define PIECE (64 * CHUNK_SIZE)

static int promise_pages(uint64_t offset, uint64_t size) {
    if (room_for(size) < 0) return -ENOMEM;
    for (uint64_t done = 0; done < size;) {
        uint64_t n = size - done < PIECE ? size - done : PIECE;
        if (fallocate(commons_fd, FALLOC_FL_KEEP_SIZE, (off_t)(offset + done), (off_t)n) == 0) done += n;
        else if (errno != EINTR) return -errno;
    }
    return 0;
}

/* Of a single chunk only as many pages as are wanted. */
static uint64_t pages_wanted(uint64_t size) {
    return size <= CHUNK_SIZE ? (size + PAGE - 1) / PAGE * PAGE : chunks_of(size) * CHUNK_SIZE;
}

static int claim_somewhere(uint64_t size, uint32_t owner, uint32_t *chunk, uint32_t *warm) {
    if (size == 0 || size > COMMONS_SIZE - COMMONS_ARENA || owner_of(owner) == 0 || owner_of(owner) != owner) return -EINVAL;
    uint32_t count = chunks_of(size), end = (uint32_t)COMMONS_CHUNK_COUNT;
    uint32_t hint = (uint32_t)word_peek(&commons->chunk_hint);
    if (hint < FIRST || hint >= end) hint = FIRST;
    if (find(count, owner, hint, end, chunk, warm) < 0 && find(count, owner, FIRST, end, chunk, warm) < 0) return -ENOMEM;
    pn_step("extent claimed");
    word_poke(&commons->chunk_hint, *chunk + count);
    if (*warm < count && pages_wanted(size) < CHUNK_SIZE) {
        word_or(&commons_chunks()[*chunk], CHUNK_PART);
        pn_step("noted as part");
    }
    return 0;
}

static int take(uint64_t size, uint32_t owner, uint64_t *offset, uint32_t *warm) {
    uint32_t chunk = 0;
    int error = claim_somewhere(size, owner, &chunk, warm);
    if (error) return error;
    *offset = chunk * CHUNK_SIZE;
    if (*warm == chunks_of(size)) return 0;
    error = promise_pages(*offset, pages_wanted(size));
    if (error && arena_trim(owner) > 0) error = promise_pages(*offset, pages_wanted(size)); /* (there is room, now) */
    if (error) release(chunk, chunks_of(size));
    return error;
}

int arena_take(uint64_t size, uint32_t owner, uint64_t *offset) {
    uint32_t warm;
    return take(size, owner, offset, &warm);
}

int arena_take_clean(uint64_t size, uint32_t owner, uint64_t *offset) {
    uint32_t warm;
    int error = take(size, owner, offset, &warm);
    if (error || warm == 0) return error;
    void *map = arena_map(*offset, size);
    if (!map) {
        arena_give(*offset);
        return -ENOMEM;
    }
    memset(map, 0, size);
    arena_unmap(map, *offset, size);
    return 0;
}

/* Into cold chunks the kernel copies: it need not clear the pages before, and nothing faults. The rest of the last chunk is
 * promised, so that the extent can stay warm. */
static int fill_cold(const char *bytes, uint64_t size, uint64_t offset) {
    if (room_for(size) < 0) return -ENOMEM;
    for (uint64_t done = 0; done < size;) {
        ssize_t n = pwrite(commons_fd, bytes + done, size - done, (off_t)(offset + done));
        if (n > 0) done += (uint64_t)n;
        else if (n == 0 || errno != EINTR) return n == 0 ? -ENOSPC : -errno;
    }
    uint64_t written = (size + PAGE - 1) / PAGE * PAGE, wanted = pages_wanted(size);
    return wanted > written ? promise_pages(offset + written, wanted - written) : 0;
}

int arena_take_copy(const void *bytes, uint64_t size, uint32_t owner, uint64_t *offset) {
    uint32_t chunk = 0, warm;
    int error = claim_somewhere(size, owner, &chunk, &warm);
    if (error) return error;
    *offset = chunk * CHUNK_SIZE;
    void *map = warm == chunks_of(size) ? arena_map(*offset, size) : NULL;
    if (map) {
        memcpy(map, bytes, size);
        arena_unmap(map, *offset, size);
        return 0;
    }
    error = fill_cold(bytes, size, *offset);
    if (error && arena_trim(owner) > 0) error = fill_cold(bytes, size, *offset);
    if (error) release(chunk, chunks_of(size));
    return error;
}

/* --- giving ----------------------------------------------------------------------------------------------------- */

static uint32_t extent(uint32_t chunk) {
    uint32_t owner = owner_of(word_read(&commons_chunks()[chunk])), count = 1;
    while (chunk + count < COMMONS_CHUNK_COUNT && word_read(&commons_chunks()[chunk + count]) == owner) count++;
    return count;
}

/* What is low is used first: it is within everybody's window. */
static void lower_hint(uint32_t chunk) {
    if (chunk < word_peek(&commons->chunk_hint)) word_poke(&commons->chunk_hint, chunk);
}

void arena_give(uint64_t offset) {
    uint32_t chunk = (uint32_t)(offset / CHUNK_SIZE);
    uint32_t head = chunk < FIRST ? 0 : word_read(&commons_chunks()[chunk]);
    if (!(head & CHUNK_HEAD)) return;
    uint32_t count = extent(chunk);
    if ((head & CHUNK_PART) || !may_stay_warm(count)) {
        release(chunk, count);
    } else {
        count_warm((int32_t)count);
        free_words(chunk, count, CHUNK_WARM);
    }
    lower_hint(chunk);
}

void arena_give_of(uint64_t offset, uint32_t owner) {
    uint32_t chunk = (uint32_t)(offset / CHUNK_SIZE);
    if (chunk >= FIRST && owner_of(word_read(&commons_chunks()[chunk])) == owner) arena_give(offset);
}

void arena_pass(uint64_t offset, uint32_t owner) {
    uint32_t chunk = (uint32_t)(offset / CHUNK_SIZE), count = extent(chunk);
    uint32_t part = word_read(&commons_chunks()[chunk]) & CHUNK_PART;
    /* The tail first: an extent cut by a death in between falls into two, each with a living or dead owner. */
    for (uint32_t i = count; i-- > 0;) {
        word_publish(&commons_chunks()[chunk + i], owner | (i == 0 ? CHUNK_HEAD | part : 0));
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
        if (owner_of(word_read(&commons_chunks()[chunk])) != owner) continue;
        uint32_t count = 1; /* at a time: in a run that is one extent or several */
        while (chunk + count < top && owner_of(word_read(&commons_chunks()[chunk + count])) == owner) count++;
        release(chunk, count);
        lower_hint(chunk);
        freed += count;
        chunk += count - 1;
    }
    return freed;
}

uint64_t arena_used(uint32_t owner) {
    uint64_t used = 0;
    uint32_t top = top_chunk();
    for (uint32_t chunk = FIRST; chunk < top; chunk++) {
        uint32_t word = word_read(&commons_chunks()[chunk]);
        if (!is_free(word) && (owner == OWNER_ANY || owner_of(word) == owner)) used += CHUNK_SIZE;
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
