/* After a death, with both locks: segments that the dead one had taken out of the chain, or had not put into it. */
#define _GNU_SOURCE
#include "arena.h"
#include "segments.h"

#define SWEPT 256u /* more segments than these are not looked through: a later death will do */

static uint32_t chain_of(struct queue_view *view, uint64_t offsets[SWEPT]) {
    uint32_t count = 0;
    uint64_t last = word_read(&view->queue->last);
    for (uint64_t offset = word_read(&view->queue->oldest); count < SWEPT; offset = word_read(&segment_at(offset)->next)) {
        offsets[count++] = offset;
        if (offset == last || !segment_at(offset)) return count;
    }
    return 0;
}

static bool is_among(uint64_t offset, const uint64_t *offsets, uint32_t count) {
    while (count > 0)
        if (offsets[--count] == offset) return true;
    return false;
}

void segments_sweep(struct queue_view *view) {
    uint64_t offsets[SWEPT], spare = word_read(&view->queue->spare);
    uint32_t count = chain_of(view, offsets), owner = OWNER_OBJECT(view->holding.index);
    uint64_t top = count ? word_read(&commons->chunk_top) : 0, own = holding_offset(cell_at(view->holding.index));
    for (uint64_t chunk = COMMONS_ARENA / CHUNK_SIZE; chunk < top; chunk++) {
        uint64_t offset = chunk * CHUNK_SIZE;
        if ((word_read(&commons_chunks()[chunk]) & ~(CHUNK_HEAD | CHUNK_PART)) != owner) continue;
        if (offset != own && offset != spare && !is_among(offset, offsets, count)) arena_give(offset);
    }
    pn_step("segments swept");
}
