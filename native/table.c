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

static uint32_t state_word(enum record_state state, uint32_t generation) { return state | generation << 8; }

/* The word of a published record of this generation (its low 24 bits are all that fits). */
static bool is_of(uint32_t word, uint32_t generation) {
    uint32_t state = word & 0xff;
    return state != RECORD_FREE && state != RECORD_CLAIMED && word >> 8 == (generation & 0xffffff);
}

static bool try_claim(struct record *record) {
    uint32_t state = word_read(&record->state);
    if ((state & 0xff) != RECORD_FREE && !abandoned(state)) return false;
    return word_swap(&record->state, state, claim_word());
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

int table_add(struct member *out, enum record_state state, uint32_t flags, struct member parent, const char *name) {
    uint32_t slot = claim();
    if (slot == PN_NO_SLOT) return -EAGAIN;
    pn_step("claimed");
    struct record *record = &commons_records()[slot];
    word_raise32(&commons->slots_used, slot + 1);
    pn_step("noted");
    /* Only a claimer writes the generation. Old handles are void from here on, whether this claim is completed or not. */
    uint32_t generation = word_peek(&record->generation) + 1;
    word_publish(&record->generation, generation);
    pn_step("generation grown");
    word_poke(&record->pid, 0);
    word_poke(&record->start_time, 0);
    word_poke(&record->flags, flags);
    word_poke(&record->parent_slot, parent.slot);
    word_poke(&record->parent_generation, parent.generation);
    word_poke(&record->born, (uint64_t)clock_boot());
    pn_step("half filled");
    memset((char *)&record->status, 0, offsetof(struct record, name) - offsetof(struct record, status));
    word_poke(&record->task, 0);
    word_poke(&record->task_since, 0);
    word_poke(&record->task_stop, 0);
    word_poke(&record->task_queue, 0);
    table_rename(record, name);
    out->slot = slot;
    out->generation = generation;
    pn_step("filled");
    word_publish(&record->state, state_word(state, generation));
    pn_step("published");
    return 0;
}

struct record *table_get(struct member who) {
    if (!commons || who.slot >= PN_SLOTS) return NULL;
    struct record *record = &commons_records()[who.slot];
    if (!is_of(word_read(&record->state), who.generation)) return NULL;
    return word_read(&record->generation) == who.generation ? record : NULL;
}

/* The state word carries the generation, so that a swap on it cannot hit the slot's next member. */
bool table_enter(struct member who, enum record_state state) {
    struct record *record = table_get(who);
    if (!record) return false;
    for (;;) {
        uint32_t seen = word_read(&record->state);
        if (!is_of(seen, who.generation) || (seen & 0xff) == RECORD_EXITED) return false;
        if (word_swap(&record->state, seen, state_word(state, who.generation))) break;
    }
    pn_step("state entered");
    return true;
}

void table_free(struct member who) {
    struct record *record = table_get(who);
    if (!record) return;
    for (;;) {
        uint32_t seen = word_read(&record->state);
        if (!is_of(seen, who.generation)) return;
        if (word_swap(&record->state, seen, RECORD_FREE)) break;
    }
    pn_step("freed");
    if (who.slot < word_peek(&commons->slot_hint)) word_poke(&commons->slot_hint, who.slot);
}

void table_sit(struct record *record, pid_t pid, uint64_t start_time) {
    word_poke(&record->start_time, start_time);
    pn_step("start time");
    word_publish(&record->pid, (uint32_t)pid);
    pn_step("pid");
}

void cut_text(char *out, size_t room, const char *text) {
    size_t size = strnlen(text, room);
    if (size == room) /* cut it, but not within a letter */
        for (size--; size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80;) size--;
    memcpy(out, text, size);
    memset(out + size, 0, room - size);
}

void table_cut_name(char out[PN_NAME_SIZE], const char *name) { cut_text(out, PN_NAME_SIZE, name); }

void table_rename(struct record *record, const char *name) { table_cut_name(record->name, name); }
