#include "kin.h"

#include <stdio.h>

#include "commons.h"
#include "proc.h"

void kin_cookie(struct member who, char *out) {
    snprintf(out, KIN_COOKIE_SIZE, "%016llx.%05x.%08x", (unsigned long long)commons->family, who.slot, who.generation);
}

bool kin_read_cookie(const char *text, struct member *out) {
    unsigned long long family;
    return sscanf(text, "%llx.%x.%x", &family, &out->slot, &out->generation) == 3 && family == commons->family;
}

bool kin_same(struct member a, struct member b) { return a.slot == b.slot && a.generation == b.generation; }

struct member kin_parent(struct record *record) {
    return (struct member){word_peek(&record->parent_slot), word_peek(&record->parent_generation)};
}

bool kin_below(struct member who, struct member top) {
    for (uint32_t depth = 0; depth < PN_SLOTS; depth++) {
        if (kin_same(who, top)) return true;
        struct record *record = table_get(who);
        if (!record || (word_read(&record->flags) & RECORD_DETACHED)) return false;
        who = kin_parent(record);
    }
    return false;
}

bool kin_doomed(struct member who, const uint32_t *dead) {
    for (uint32_t depth = 0; depth < PN_SLOTS; depth++) {
        struct record *record = table_get(who);
        if (!record) return false;
        if (record_state(record) == RECORD_EXITED && (!dead || dead[who.slot] == who.generation)) return true;
        if (word_read(&record->flags) & RECORD_DETACHED) return false;
        who = kin_parent(record);
    }
    return false;
}

struct member kin_at(uint32_t slot) {
    return (struct member){slot, word_read(&commons_records()[slot].generation)};
}

struct record *kin_record(pid_t pid, uint64_t start_time) {
    struct record *born = NULL;
    uint32_t used = word_read(&commons->slots_used);
    for (uint32_t slot = 0; slot < used; slot++) {
        struct record *record = &commons_records()[slot];
        uint32_t state = record_state(record);
        if (state == RECORD_FREE || state == RECORD_CLAIMED) continue;
        if (word_read(&record->pid) != (uint32_t)pid) continue;
        uint64_t told = word_peek(&record->start_time);
        if (told == start_time) return record;
        if (told == 0) born = record;
    }
    return born;
}

/* The handle is looked at again after the reading: the slot may have been given to somebody innocent meanwhile. */
bool kin_sits(struct member who, pid_t *pid, uint64_t *start_time) {
    struct record *record = table_get(who);
    if (!record) return false;
    *pid = (pid_t)word_read(&record->pid);
    *start_time = word_peek(&record->start_time);
    atomic_thread_fence(memory_order_acquire); /* the second look comes after both reads (partner: the claim's swap) */
    return table_get(who) == record && *pid != 0;
}

bool kin_running(struct member who) {
    pid_t pid;
    uint64_t start;
    return kin_sits(who, &pid, &start) && proc_may_be(pid, start);
}
