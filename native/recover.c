#define _GNU_SOURCE
#include "recover.h"

#include <errno.h>
#include <string.h>

#include "barrier.h"
#include "event.h"
#include "holdings.h"
#include "mutex.h"
#include "proc.h"
#include "queue.h"
#include "semaphore.h"
#include "shares.h"
#include "tasks.h"

#define BEYOND 64 /* waits behind the last that is noted: who claimed one may have died before it noted that */

/* After whom. What is done may be done by several at once, and one of them may be slow: meanwhile another has come to the
 * end and freed the record, and the slot is the next member's. So whoever changes something reads it, then sees that the
 * generation is still the dead one's, then swaps. */
struct dead {
    uint32_t owner, generation;
    bool orderly;
    uint32_t heir; /* slot + 1 of its parent, 0 if that is dead, too */
};

static bool still(const struct dead *dead) {
    return word_read(&commons_records()[dead->owner - 1].generation) == dead->generation;
}

/* --- cells ---------------------------------------------------------------------------------------------------- */

/* Who held the lock is dead: tell of it, set the lock free, wake the next. */
static void free_lock(struct cell *cell, const struct dead *dead) {
    uint32_t tid = word_peek(&cell->tid), seen = word_read(&cell->word);
    if ((seen & HOLDER) != dead->owner || !still(dead)) return;
    struct wait *epitaph = wait_epitaph(cell_index(cell), dead->owner - 1, tid, word_peek(&cell->since));
    uint32_t written = epitaph ? word_read(&epitaph->state) : 0;
    if (tid) word_swap(&cell->tid, tid, 0); /* (not that of who took it meanwhile, if another was quicker) */
    pn_step("lock cleared");
    bool done = false;
    while (!done && (seen & HOLDER) == dead->owner && still(dead)) {
        done = word_swap(&cell->word, seen, (seen & WAITERS) | HOLDER_DIED);
        if (!done) seen = word_read(&cell->word);
    }
    pn_step("lock freed");
    if (done && (seen & WAITERS)) waits_wake(&cell->word, cell_index(cell));
    if (!done && epitaph) wait_take_back(epitaph, written); /* another was quicker */
}

/* The lock of something that is put in order by who takes it next. What it has seen of the word. */
static uint32_t free_lock_word(struct mutex mutex, const struct dead *dead) {
    uint32_t seen = word_read(mutex.word);
    while ((seen & HOLDER) == dead->owner && still(dead) && !word_swap(mutex.word, seen, (seen & WAITERS) | HOLDER_DIED))
        seen = word_read(mutex.word);
    pn_step("guard freed");
    return seen;
}

static void free_and_wake(struct mutex mutex, const struct dead *dead) {
    if ((word_read(mutex.word) & HOLDER) == dead->owner && (free_lock_word(mutex, dead) & WAITERS))
        waits_wake(mutex.word, mutex.key);
}

static void free_guard(struct cell *cell, const struct dead *dead) {
    uint32_t seen = free_lock_word(guard_of(cell), dead);
    shares_help(cell);
    if (seen & WAITERS) waits_wake(&cell->tid, cell_index(cell) | KEY_GUARD);
}

/* A stake that was made and not linked is nobody's. */
static bool linked(struct cell *cell, uint32_t wanted) {
    uint32_t stake = word_read(&cell->link);
    while (stake && stake != wanted) stake = word_read(&cell_at(stake)->link);
    return stake == wanted;
}

/* `state`: of the stake, when it was the dead one's; or it is marked already, and who did it died before it told of that. */
static void free_stake(struct cell *stake, uint32_t state, const struct dead *dead) {
    struct cell *cell = cell_at(word_peek(&stake->count));
    uint32_t owner = word_read(&stake->tid);
    if (cell_kind(cell) != CELL_SHARES && cell_kind(cell) != CELL_BARRIER) {
        if (still(dead)) holdings_recover_stake(stake, dead->owner, dead->heir);
        return;
    }
    if ((owner != dead->owner && owner != STAKE_DEAD) || !still(dead)) return;
    if (!linked(cell, cell_index(stake))) {
        word_swap(&stake->state, state, CELL_FREE);
    } else if (cell_kind(cell) == CELL_SHARES) {
        word_swap(&stake->tid, dead->owner, STAKE_DEAD);
        pn_step("stake of the dead");
        word_or(&cell->tid, HOLDER_DIED);
        pn_step("death noted");
        shares_help(cell);
    } else {
        if (!dead->orderly && word_read(&stake->word) > 0 && cell_kind(cell) == CELL_BARRIER) barrier_break(cell);
        word_swap(&stake->tid, dead->owner, 0); /* (`word` is set to 0 by who uses it next) */
        pn_step("party gone");
    }
}

static void free_queue(struct cell *cell, const struct dead *dead) {
    struct queue *queue = queue_map(cell);
    if (!queue) return;
    if (still(dead)) task_untake(dead->owner - 1, cell);
    free_and_wake((struct mutex){&queue->putting, cell_index(cell) | KEY_PART(PART_PUTTING)}, dead);
    free_and_wake((struct mutex){&queue->getting, cell_index(cell) | KEY_PART(PART_GETTING)}, dead);
    if (queue->flags & QUEUE_REDELIVERS) word_publish(&queue->look, 1);
    /* Those that it kept from being woken are told to look with all who wait for a queue (`nudge`). */
    if (still(dead)) word_swap(&queue->spinner, dead->owner, 0);
    if (still(dead)) word_swap(&queue->attended, dead->owner, 0);
    pn_step("queue unattended");
    queue_unmap(queue, cell);
}

static void recover_cell(struct cell *cell, const struct dead *dead) {
    uint32_t state = word_read(&cell->state), kind = state & 0xff;
    if (kind > CELL_CLAIMED && kind != CELL_STAKE && cell_is_private(cell, dead->owner)) {
        if (still(dead)) cell_free_private(cell, state);
        return;
    }
    switch ((enum cell_kind)kind) {
    case CELL_CLAIMED:
        /* Ours first: what is done in its name must not be done to who claims it after another that was quicker. */
        if (state >> 8 != dead->owner || !still(dead) || sync_enter() < 0) break;
        if (!word_swap(&cell->state, state, CELL_CLAIMED | sync_me << 8)) break;
        holdings_recover_claimed(cell, dead->owner);
        word_publish(&cell->state, CELL_FREE);
        break;
    case CELL_LOCK:
    case CELL_RLOCK:
        if ((word_read(&cell->word) & HOLDER) == dead->owner) free_lock(cell, dead);
        break;
    case CELL_SHARES:
        if ((word_read(&cell->tid) & HOLDER) == dead->owner) free_guard(cell, dead);
        break;
    case CELL_STAKE:
        free_stake(cell, state, dead);
        break;
    case CELL_MAP:
    case CELL_LIST:
        free_and_wake(guard_of(cell), dead);
        holdings_recover_object(cell, dead->owner);
        break;
    case CELL_QUEUE:
        free_queue(cell, dead);
        holdings_recover_object(cell, dead->owner);
        break;
    case CELL_BLOCK:
        holdings_recover_object(cell, dead->owner);
        break;
    default:
        break;
    }
}

/* --- waits ---------------------------------------------------------------------------------------------------- */

/* It was told something that it did not come to use. */
static void pass_on(uint32_t key, enum wait_state told) {
    struct cell *cell = cell_at(KEY_CELL(key));
    enum cell_kind kind = cell_kind(cell);
    if (key & KEY_GUARD) waits_wake(&cell->tid, key);
    else if (kind == CELL_QUEUE) waits_tell(key, 1, told);
    else if (told == WAIT_WOKEN && (kind == CELL_LOCK || kind == CELL_RLOCK || kind == CELL_SEMAPHORE))
        waits_wake(&cell->word, key);
    else if (told == WAIT_PASSED && kind == CELL_CONDITION) waits_tell(key, 1, WAIT_PASSED);
}

static void recover_wait(struct wait *wait, const struct dead *dead) {
    for (;;) {
        uint32_t state = word_read(&wait->state), key = word_peek(&wait->key);
        enum wait_state told = (enum wait_state)(state & 0xff);
        if (told == WAIT_FREE || WAIT_OWNER(state) != dead->owner || !still(dead)) return;
        struct cell *cell = cell_at(KEY_CELL(key));
        if (wait_pending(state) && cell_kind(cell) == CELL_BARRIER && barrier_counts(wait)) barrier_break(cell);
        if (told != WAIT_CLAIMED && !wait_pending(state)) pass_on(key, told);
        pn_step("passed on");
        wait_take_back(wait, state); /* (unless it was told something just now) */
        pn_step("wait freed");
    }
}

void recover_abandon(struct wait *wait) {
    uint32_t key = word_peek(&wait->key), units = word_peek(&wait->units), stake = word_peek(&wait->stake);
    struct cell *cell = cell_at(KEY_CELL(key));
    if (cell_kind(cell) == CELL_SHARES && !(key & KEY_GUARD)) {
        if (shares_end(cell, wait))
            while (shares_give(cell, stake, units, true) == -EINTR) continue;
        return;
    }
    enum wait_state told = wait_end(wait);
    if (told > WAIT_TASKED) pass_on(key, told);
}

void recover_channel(uint32_t channel) {
    for (uint32_t i = 0; i < waits_used(); i++) {
        struct wait *wait = wait_at(i);
        uint32_t state = word_read(&wait->state);
        bool ours = WAIT_OWNER(state) == sync_me && (state & 0xff) > WAIT_CLAIMED && (state & 0xff) < WAIT_EPITAPH;
        if (ours && word_read(&wait->channel) == channel) recover_abandon(wait);
    }
}

static uint32_t waits_end(void) {
    uint32_t used = waits_used(), hint = word_peek(&commons->wait_hint), end = (used > hint ? used : hint) + BEYOND;
    return end < COMMONS_WAIT_COUNT ? end : COMMONS_WAIT_COUNT;
}

/* One that has given, set or told something may have died before the others learnt of it. */
static void nudge(struct wait *wait) {
    uint32_t state = word_read(&wait->state), key = word_peek(&wait->key);
    if ((state & 0xff) > WAIT_TASKED) {
        if ((state & 0xff) != WAIT_EPITAPH) wait_rouse(wait);
        return;
    }
    if (!wait_pending(state)) return;
    struct cell *cell = cell_at(KEY_CELL(key));
    if (key & KEY_GUARD) {
        if (!(word_or(&cell->tid, WAITERS) & HOLDER)) waits_wake(&cell->tid, key);
        return;
    }
    switch (cell_kind(cell)) {
    case CELL_QUEUE: /* (to look once more costs less than to find out) */
        wait_tell_seen(wait, state, WAIT_WOKEN);
        break;
    case CELL_LOCK:
    case CELL_RLOCK:
        if (!(word_or(&cell->word, WAITERS) & HOLDER)) waits_wake(&cell->word, key);
        break;
    case CELL_SEMAPHORE:
        if (word_or(&cell->word, WAITERS) & SEMAPHORE_MOST) waits_wake(&cell->word, key);
        break;
    case CELL_EVENT:
        if (event_announce(cell, wait)) wait_tell_seen(wait, state, WAIT_PASSED);
        break;
    case CELL_BARRIER:
        barrier_tell(cell);
        break;
    default:
        break;
    }
}

/* Its waits go first: what is given back must not be handed to them. */
static void recover_after(const struct dead *dead) {
    if (!(word_read(&commons_records()[dead->owner - 1].flags) & RECORD_SYNC)) return;
    uint32_t cells = word_read(&commons->cells_used);
    for (uint32_t i = 0; i < waits_end(); i++) recover_wait(wait_at(i), dead);
    for (uint32_t i = 1; i < cells; i++) recover_cell(cell_at(i), dead);
    for (uint32_t i = 0; i < waits_used(); i++) nudge(wait_at(i));
}

/* Its parent, if that lives. */
static uint32_t heir_of(uint32_t slot) {
    struct record *record = &commons_records()[slot];
    struct member parent = {word_read(&record->parent_slot), word_read(&record->parent_generation)};
    struct record *of_parent = parent.slot < PN_SLOTS ? table_get(parent) : NULL;
    if (!of_parent || record_state(of_parent) == RECORD_EXITED) return 0;
    word_or(&of_parent->flags, RECORD_SYNC); /* (its own death will have to be looked after) */
    return parent.slot + 1;
}

void recover(uint32_t slot, bool orderly) {
    recover_member((struct member){slot, word_read(&commons_records()[slot].generation)}, orderly);
}

void recover_member(struct member who, bool orderly) {
    struct dead dead = {who.slot + 1, who.generation, orderly, heir_of(who.slot)};
    recover_after(&dead);
}

/* --- a waiter's own look -------------------------------------------------------------------------------------- */

/* Recover after that member if it runs no more. (While the record is being filled in, the generation is the next member's, and
 * the rest still that of the one before.) */
static bool look_at(uint32_t owner) {
    if (owner == 0 || owner > PN_SLOTS || owner == sync_me) return false;
    struct record *record = &commons_records()[owner - 1];
    struct dead dead = {owner, word_read(&record->generation), false, heir_of(owner - 1)};
    if (record_state(record) == RECORD_CLAIMED) return false;
    pid_t pid = (pid_t)word_read(&record->pid);
    if (pid == 0 || proc_sits(pid, word_peek(&record->start_time))) return false;
    dead.orderly = word_read(&record->status_known) && word_peek(&record->status) == 0;
    recover_after(&dead);
    return true;
}

/* Those who were told something and have not used it. */
static bool look_at_told(uint32_t key) {
    bool found = false;
    for (uint32_t i = 0; i < waits_used(); i++) {
        uint32_t state = word_read(&wait_at(i)->state);
        if ((state & 0xff) >= WAIT_SPINNING && word_peek(&wait_at(i)->key) == key) found |= look_at(WAIT_OWNER(state));
    }
    return found;
}

static bool look_at_stakes(struct cell *cell) {
    bool found = false;
    for (uint32_t stake = word_read(&cell->link); stake; stake = word_read(&cell_at(stake)->link))
        found |= word_read(&cell_at(stake)->word) > 0 && look_at(word_read(&cell_at(stake)->tid));
    return found;
}

static bool look_at_holders(struct cell *cell) {
    bool found = false;
    for (uint32_t stake = word_read(&cell->link); stake; stake = word_read(&cell_at(stake)->link))
        found |= look_at(word_read(&cell_at(stake)->tid));
    return found;
}

static uint32_t holder_in_queue(struct cell *cell, uint32_t key) {
    struct queue *queue = queue_map(cell);
    if (!queue) return 0;
    bool gets = (key & ~KEY_CELL(key)) == KEY_PART(PART_GETTING) || (key & ~KEY_CELL(key)) == KEY_PART(PART_SPACE);
    uint32_t holder = word_read(gets ? &queue->getting : &queue->putting) & HOLDER; /* (whom it waits for, in the end) */
    queue_unmap(queue, cell);
    return holder;
}

/* Of a lock, or of a guard. */
static uint32_t holder_of(uint32_t key) {
    struct cell *cell = cell_at(KEY_CELL(key));
    enum cell_kind kind = cell_kind(cell);
    if (kind == CELL_QUEUE) return holder_in_queue(cell, key);
    if (kind == CELL_SHARES || kind == CELL_MAP || kind == CELL_LIST) return word_read(&cell->tid) & HOLDER;
    return kind == CELL_LOCK || kind == CELL_RLOCK ? word_read(&cell->word) & HOLDER : 0;
}

bool recover_look(uint32_t key) {
    struct cell *cell = cell_at(KEY_CELL(key));
    bool found = look_at_told(key);
    found |= look_at(holder_of(key));
    if (cell_kind(cell) == CELL_SHARES || cell_kind(cell) == CELL_BARRIER) found |= look_at_stakes(cell);
    if (cell_kind(cell) == CELL_QUEUE) found |= look_at_holders(cell);
    return found;
}

/* --- the look of many tasks at once --- */

static uint64_t cells_waited_for[COMMONS_CELL_COUNT / 64], owners_to_see[PN_SLOTS / 64 + 1]; /* the doorbell's thread's own */

static bool marked(const uint64_t *bits, uint32_t n) { return bits[n / 64] >> (n & 63) & 1; }

static void mark(uint64_t *bits, uint32_t n) { bits[n / 64] |= 1ull << (n & 63); }

static void mark_owner(uint32_t owner) {
    if (owner && owner <= PN_SLOTS) mark(owners_to_see, owner);
}

static void mark_those_waited_for(uint32_t key) {
    struct cell *cell = cell_at(KEY_CELL(key));
    enum cell_kind kind = cell_kind(cell);
    mark_owner(holder_of(key));
    if (marked(cells_waited_for, KEY_CELL(key))) return;
    mark(cells_waited_for, KEY_CELL(key));
    if (kind != CELL_SHARES && kind != CELL_BARRIER && kind != CELL_QUEUE) return;
    for (uint32_t stake = word_read(&cell->link); stake; stake = word_read(&cell_at(stake)->link))
        if (kind == CELL_QUEUE || word_read(&cell_at(stake)->word) > 0) mark_owner(word_read(&cell_at(stake)->tid));
}

static bool mark_for_tasks(uint32_t owner) {
    bool found = false;
    for (uint32_t i = 0; i < waits_used(); i++) {
        uint32_t state = word_read(&wait_at(i)->state), key = word_peek(&wait_at(i)->key);
        if (WAIT_OWNER(state) != owner || (state & 0xff) != WAIT_TASKED || KEY_CELL(key) >= COMMONS_CELL_COUNT) continue;
        mark_those_waited_for(key);
        found = true;
    }
    return found;
}

void recover_look_for_tasks(uint32_t owner) {
    memset(cells_waited_for, 0, sizeof cells_waited_for);
    memset(owners_to_see, 0, sizeof owners_to_see);
    if (!mark_for_tasks(owner)) return;
    for (uint32_t i = 0; i < waits_used(); i++) {
        uint32_t state = word_read(&wait_at(i)->state), cell = KEY_CELL(word_peek(&wait_at(i)->key));
        if ((state & 0xff) >= WAIT_SPINNING && cell < COMMONS_CELL_COUNT && marked(cells_waited_for, cell))
            mark_owner(WAIT_OWNER(state));
    }
    for (uint32_t i = 1; i <= PN_SLOTS; i++)
        if (marked(owners_to_see, i)) look_at(i);
}

int64_t recover_patience(uint32_t key, int64_t last) {
    uint32_t owner = holder_of(key);
    bool unwatched = owner && owner <= PN_SLOTS &&
                     (word_read(&commons_records()[owner - 1].flags) & (RECORD_FORKED | RECORD_DETACHED));
    int64_t next = last * 2 < LOOK_SECOND || unwatched ? LOOK_SECOND : last * 2;
    return next < LOOK_LONGEST ? next : LOOK_LONGEST;
}
