#define _GNU_SOURCE
#include "table.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "commons.h"
#include "proc.h"

static uint32_t claim_word(void) { return RECORD_CLAIMED | ((uint32_t)getpid() << 8); }

/* A claimer that died while it filled a record in has published nothing: the slot is free again. */
static bool abandoned(uint32_t state) {
    return (state & 0xff) == RECORD_CLAIMED && !proc_exists((pid_t)(state >> 8));
}

static bool try_claim(struct record *record) {
    uint32_t state = word_read(&record->state);
    if (state == RECORD_FREE || abandoned(state)) return word_swap(&record->state, state, claim_word());
    return false;
}

static uint32_t claim(void) {
    uint32_t from = word_peek(&commons->slot_hint);
    for (uint32_t i = 0; i < PN_SLOTS; i++) {
        uint32_t slot = (from + i) % PN_SLOTS;
        if (!try_claim(&commons_records()[slot])) continue;
        word_poke(&commons->slot_hint, slot + 1);
        return slot;
    }
    return PN_NO_SLOT;
}

static void note_used(uint32_t slot) {
    uint32_t used = word_read(&commons->slots_used);
    while (used <= slot && !word_swap(&commons->slots_used, used, slot + 1)) used = word_read(&commons->slots_used);
}

int table_add(struct member *out, enum record_state state, uint32_t flags, struct member parent, const char *name) {
    uint32_t slot = claim();
    if (slot == PN_NO_SLOT) return -EAGAIN;
    pn_step("claimed");
    struct record *record = &commons_records()[slot];
    note_used(slot);
    word_poke(&record->pid, 0);
    word_poke(&record->start_time, 0);
    word_poke(&record->flags, flags);
    word_poke(&record->parent_slot, parent.slot);
    word_poke(&record->parent_generation, parent.generation);
    word_poke(&record->born, (uint64_t)clock_boot());
    pn_step("half filled");
    memset((char *)&record->status, 0, offsetof(struct record, name) - offsetof(struct record, status));
    table_rename(record, name);
    out->slot = slot;
    out->generation = word_read(&record->generation);
    pn_step("filled");
    word_publish(&record->state, state);
    pn_step("published");
    return 0;
}

struct record *table_get(struct member who) {
    if (!commons || who.slot >= PN_SLOTS) return NULL;
    struct record *record = &commons_records()[who.slot];
    uint32_t state = word_read(&record->state) & 0xff;
    if (state == RECORD_FREE || state == RECORD_CLAIMED) return NULL;
    return word_read(&record->generation) == who.generation ? record : NULL;
}

void table_free(struct member who) {
    struct record *record = table_get(who);
    if (!record) return;
    /* The generation's step decides who frees: of two that try, one sees it changed. Whoever dies between the
     * two stores leaves a slot with a new generation and an old state, which `table_get` of the old handle
     * rejects; `table_free` of a reader that lists the new one finishes the step. */
    uint32_t generation = who.generation;
    if (!word_swap(&record->generation, generation, generation + 1)) return;
    pn_step("generation grown");
    word_publish(&record->state, RECORD_FREE);
    pn_step("freed");
    if (who.slot < word_peek(&commons->slot_hint)) word_poke(&commons->slot_hint, who.slot);
}

void table_sit(struct record *record, pid_t pid, uint64_t start_time) {
    word_poke(&record->start_time, start_time);
    pn_step("start time");
    word_publish(&record->pid, (uint32_t)pid);
    pn_step("pid");
}

void table_rename(struct record *record, const char *name) {
    size_t size = strnlen(name, PN_NAME_SIZE - 1);
    while (size > 0 && size == PN_NAME_SIZE - 1 && ((unsigned char)name[size] & 0xc0) == 0x80) size--; /* whole letters */
    memcpy(record->name, name, size);
    memset(record->name + size, 0, PN_NAME_SIZE - size);
}
