#define _GNU_SOURCE
#include "cells.h"

#include <errno.h>
#include <unistd.h>

#include "clock.h"

uint32_t sync_me, sync_forks;
_Thread_local uint32_t sync_tid_known, sync_tid_forks;
static uint32_t my_slot = PN_NO_SLOT;

void sync_become(uint32_t slot) {
    my_slot = slot;
    sync_me = 0;
    sync_forks++;
}

void sync_forked(void) {
    uint32_t used = commons && sync_me ? word_read(&commons->cells_used) : 0;
    for (uint32_t i = 1; i < used; i++)
        if (cell_is_private(cell_at(i), sync_me)) word_or(&cell_at(i)->flags, CELL_SENT);
}

int sync_enter(void) {
    if (sync_me) return 0;
    if (!commons || my_slot == PN_NO_SLOT) return -ESRCH;
    word_or(&commons_records()[my_slot].flags, RECORD_SYNC);
    pn_step("entered");
    sync_me = my_slot + 1;
    return 0;
}

uint32_t sync_tid_slowly(void) {
    sync_tid_known = (uint32_t)gettid();
    sync_tid_forks = sync_forks + 1;
    return sync_tid_known;
}

uint64_t sync_now(void) { return (uint64_t)clock_of(CLOCK_MONOTONIC_COARSE); }

static uint32_t find_free(void) {
    uint32_t from = word_peek(&commons->cell_hint);
    for (uint32_t i = 0; i < COMMONS_CELL_COUNT; i++) {
        uint32_t index = (from + i) % COMMONS_CELL_COUNT;
        if (index == CELL_NONE || word_read(&cell_at(index)->state) != CELL_FREE) continue;
        word_raise32(&commons->cells_used, index + 1); /* before it is ours: recovery must look there */
        pn_step("cell noted");
        if (!word_swap(&cell_at(index)->state, CELL_FREE, CELL_CLAIMED | sync_me << 8)) continue;
        word_poke(&commons->cell_hint, index + 1);
        return index;
    }
    return CELL_NONE;
}

int cell_claim(uint32_t *out) {
    int error = sync_enter();
    if (error) return error;
    uint32_t index = find_free();
    if (index == CELL_NONE) return -ENOSPC;
    pn_step("cell claimed");
    struct cell *cell = cell_at(index);
    word_poke(&cell->word, 0);
    word_poke(&cell->tid, 0);
    word_poke(&cell->count, 0);
    word_poke(&cell->since, 0);
    word_poke(&cell->link, 0);
    pn_step("cell cleared");
    *out = index;
    return 0;
}

void cell_publish(uint32_t index, enum cell_kind kind, uint32_t flags) {
    struct cell *cell = cell_at(index);
    word_poke(&cell->flags, flags | sync_me << 8);
    word_publish(&cell->state, kind | word_add(&commons->cell_serial, 1) << 8); /* partner: cell_get */
    pn_step("cell published");
}

struct cell *cell_get(uint32_t index, uint32_t serial) {
    if (!commons || index == CELL_NONE || index >= COMMONS_CELL_COUNT) return NULL;
    uint32_t state = word_read(&cell_at(index)->state);
    enum cell_kind kind = (enum cell_kind)(state & 0xff);
    return kind != CELL_FREE && kind != CELL_CLAIMED && state >> 8 == serial ? cell_at(index) : NULL;
}

static void note_free(struct cell *cell) {
    if (cell_index(cell) < word_peek(&commons->cell_hint)) word_poke(&commons->cell_hint, cell_index(cell));
}

void cell_free(struct cell *cell) {
    word_publish(&cell->state, CELL_FREE);
    pn_step("cell freed");
    note_free(cell);
}

void cell_free_private(struct cell *cell, uint32_t state) {
    for (uint32_t stake = word_read(&cell->link), next; stake; stake = next) { /* its maker's: nobody else had it */
        next = word_read(&cell_at(stake)->link);
        word_publish(&cell->link, next);
        pn_step("stake unlinked");
        cell_free(cell_at(stake));
    }
    if (word_swap(&cell->state, state, CELL_FREE)) note_free(cell);
    pn_step("cell freed");
}

void cell_drop(uint32_t index, uint32_t serial) {
    struct cell *cell = cell_get(index, serial);
    if (cell && sync_me && cell_is_private(cell, sync_me)) cell_free_private(cell, word_read(&cell->state));
}
