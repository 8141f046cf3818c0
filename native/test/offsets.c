/* Prints every offset and size that README.md states, for the test that compares them. */
#define _GNU_SOURCE
#include <stdio.h>

#include "../arena.h"
#include "../list.h"
#include "../map.h"
#include "../queue.h"
#include "../start.h"
#include "../waits.h"

#define FIELD(type, field) \
    printf("%s.%s %zu %zu\n", #type, #field, offsetof(struct type, field), sizeof(((struct type *)0)->field))

int main(void) {
    printf("header 0 %llu\n", COMMONS_TABLE);
    printf("table %llu %llu\n", COMMONS_TABLE, COMMONS_CHUNKS - COMMONS_TABLE);
    printf("chunk_map %llu %llu\n", COMMONS_CHUNKS, COMMONS_CELLS - COMMONS_CHUNKS);
    printf("cells %llu %llu\n", COMMONS_CELLS, COMMONS_WAITS - COMMONS_CELLS);
    printf("waits %llu %llu\n", COMMONS_WAITS, COMMONS_ARENA - COMMONS_WAITS);
    printf("arena %llu %llu\n", COMMONS_ARENA, COMMONS_SIZE - COMMONS_ARENA);
    FIELD(commons, magic); FIELD(commons, version); FIELD(commons, layout); FIELD(commons, family);
    FIELD(commons, founded); FIELD(commons, founded_ticks); FIELD(commons, slots); FIELD(commons, root_slot);
    FIELD(commons, slot_hint); FIELD(commons, slots_used); FIELD(commons, chunk_hint); FIELD(commons, started);
    FIELD(commons, alive); FIELD(commons, most_alive); FIELD(commons, failed); FIELD(commons, killed);
    FIELD(commons, left_over); FIELD(commons, run_time); FIELD(commons, ready_time); FIELD(commons, blocked_time);
    FIELD(commons, peak_kib); FIELD(commons, obituary_count); FIELD(commons, chunk_top); FIELD(commons, sweeper);
    FIELD(commons, sweeps_asked); FIELD(commons, cell_hint); FIELD(commons, cells_used); FIELD(commons, cell_serial);
    FIELD(commons, wait_hint); FIELD(commons, waits_used); FIELD(commons, tickets); FIELD(commons, spinning);
    FIELD(commons, processors); FIELD(commons, warm); FIELD(commons, warm_most);
    FIELD(commons, names); FIELD(commons, swept); FIELD(commons, reserved); FIELD(commons, obituaries);
    FIELD(obituary, serial); FIELD(obituary, pid); FIELD(obituary, status); FIELD(obituary, run_time);
    FIELD(obituary, peak_kib); FIELD(obituary, flags); FIELD(obituary, name);
    FIELD(record, state); FIELD(record, generation); FIELD(record, pid); FIELD(record, flags);
    FIELD(record, start_time); FIELD(record, parent_slot); FIELD(record, parent_generation); FIELD(record, born);
    FIELD(record, status); FIELD(record, keeper); FIELD(record, wait_kind); FIELD(record, wait_slot);
    FIELD(record, wait_since); FIELD(record, wait_object); FIELD(record, holds); FIELD(record, doorbell);
    FIELD(record, run_base); FIELD(record, ready_base); FIELD(record, run_time); FIELD(record, ready_time);
    FIELD(record, peak_kib); FIELD(record, status_known); FIELD(record, name); FIELD(record, task);
    FIELD(record, task_since); FIELD(record, task_stop); FIELD(record, task_queue); FIELD(record, reserved);
    FIELD(cell, state); FIELD(cell, word); FIELD(cell, tid); FIELD(cell, count); FIELD(cell, since); FIELD(cell, flags);
    FIELD(cell, link);
    FIELD(wait, state); FIELD(wait, key); FIELD(wait, tid); FIELD(wait, channel); FIELD(wait, ticket); FIELD(wait, since);
    FIELD(wait, units); FIELD(wait, stake); FIELD(wait, name);
    FIELD(queue, maxsize); FIELD(queue, flags); FIELD(queue, closes); FIELD(queue, closed); FIELD(queue, done);
    FIELD(queue, look); FIELD(queue, putting); FIELD(queue, last); FIELD(queue, draft); FIELD(queue, getting);
    FIELD(queue, returned); FIELD(queue, first); FIELD(queue, oldest); FIELD(queue, items); FIELD(queue, space);
    FIELD(queue, joins); FIELD(queue, watches); FIELD(queue, spare); FIELD(queue, withdrawn); FIELD(queue, spinner);
    FIELD(queue, attended); FIELD(queue, nudges);
    FIELD(segment, next); FIELD(segment, back); FIELD(segment, front);
    FIELD(parcel, index); FIELD(parcel, serial); FIELD(parcel, stake); FIELD(parcel, ticket);
    FIELD(heap_head, table); FIELD(heap_head, version); FIELD(heap_head, reserved);
    FIELD(heap_log, size); FIELD(heap_log, end);
    FIELD(map_table, size); FIELD(map_table, end); FIELD(map_table, slots); FIELD(map_table, count); FIELD(map_table, used);
    FIELD(map_table, last);
    FIELD(map_entry, size); FIELD(map_entry, hash); FIELD(map_entry, value); FIELD(map_entry, spare);
    FIELD(map_entry, before); FIELD(map_entry, key_size); FIELD(map_entry, form_size);
    FIELD(list_table, size); FIELD(list_table, end); FIELD(list_table, room); FIELD(list_table, which);
    FIELD(list_table, length);
    FIELD(value_record, size); FIELD(value_record, body); FIELD(body, what);
    FIELD(start, size); FIELD(start, changes); FIELD(start, flags); FIELD(start, standard); FIELD(start, parent);
    FIELD(start, keeper); FIELD(start, ignored); FIELD(start, name); FIELD(start, world);
}
