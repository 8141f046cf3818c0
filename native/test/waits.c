/* Cells and waits by themselves, and the doorbell that serves the waits of tasks. */
#define _GNU_SOURCE
#include <sys/eventfd.h>

#include "../bell.h"
#include "../event.h"
#include "../waits.h"
#include "sync.h"

static uint32_t cell;
static word32 *word; /* shared */

static void prepare(void) {
    found();
    cell = cell_make(CELL_EVENT, 0, 0, 0);
    word = shared(sizeof *word);
}

static struct wait *begin(uint32_t key, uint32_t channel) {
    struct wait *wait;
    CHECK(wait_begin(key, 0, 0, channel, &wait) == 0);
    return wait;
}

/* --- cells ---------------------------------------------------------------------------------------------------------- */

static void a_handle_names_one_cell_only(void) {
    prepare();
    uint32_t index, again;
    CHECK(cell_claim(&index) == 0 && index != CELL_NONE && !cell_get(index, 0));
    cell_publish(index, CELL_LOCK, 0);
    uint32_t serial = cell_serial(cell_at(index));
    CHECK(cell_get(index, serial) == cell_at(index) && cell_kind(cell_at(index)) == CELL_LOCK);
    CHECK(!cell_get(index, serial + 1) && !cell_get(CELL_NONE, serial) && !cell_get(COMMONS_CELL_COUNT, serial));
    cell_drop(index, serial);
    CHECK(!cell_get(index, serial) && cell_claim(&again) == 0 && again == index); /* the first hole is used again */
    cell_publish(again, CELL_EVENT, 0);
    CHECK(!cell_get(index, serial));
    cell_drop(index, serial); /* an old handle drops nothing */
    CHECK(cell_get(again, cell_serial(cell_at(again))));
}

static void what_others_may_have_is_not_dropped(void) {
    prepare();
    uint32_t sent = cell_make(CELL_LOCK, 0, 0, CELL_SENT), before, after;
    cell_drop(sent, cell_serial(cell_at(sent)));
    CHECK(cell_kind(cell_at(sent)) == CELL_LOCK);
    CHECK(cell_claim(&before) == 0);
    cell_publish(before, CELL_LOCK, 0);
    sync_forked();
    cell_drop(before, cell_serial(cell_at(before)));
    CHECK(cell_kind(cell_at(before)) == CELL_LOCK);
    CHECK(cell_claim(&after) == 0);
    cell_publish(after, CELL_LOCK, 0);
    cell_drop(after, cell_serial(cell_at(after)));
    CHECK(cell_kind(cell_at(after)) == CELL_FREE);
}

static void all_cells_are_taken(void) {
    prepare();
    uint32_t index, n = 0;
    while (cell_claim(&index) == 0) cell_publish(index, CELL_LOCK, 0), n++;
    CHECK(n == COMMONS_CELL_COUNT - 2 && cell_claim(&index) == -ENOSPC);
    cell_drop(7777, cell_serial(cell_at(7777)));
    CHECK(cell_claim(&index) == 0 && index == 7777);
}

static void who_is_in_no_family_has_none(void) {
    uint32_t index;
    struct wait *wait;
    CHECK(cell_claim(&index) == -ESRCH && wait_begin(1, 0, 0, NO_CHANNEL, &wait) == -ESRCH && !cell_get(1, 0));
    prepare();
    sync_become(PN_NO_SLOT); /* as a forked child is */
    CHECK(cell_claim(&index) == -ESRCH && wait_begin(cell, 0, 0, NO_CHANNEL, &wait) == -ESRCH);
}

/* --- waits ------------------------------------------------------------------------------------------------------------ */

static void the_first_is_told_first(void) {
    prepare();
    struct wait *waits[5];
    uint32_t seen;
    begin(cell + 1, NO_CHANNEL);
    for (int i = 0; i < 5; i++) waits[i] = begin(cell, NO_CHANNEL);
    wait_end(waits[1]);
    waits[1] = begin(cell, NO_CHANNEL); /* in the same place, but it is the last now */
    CHECK(waits_first(cell, &seen) == waits[0] && seen == waits[0]->state);
    int order[] = {0, 2, 3, 4, 1};
    for (int i = 0; i < 5; i++) {
        CHECK(waits_tell(cell, 1, WAIT_PASSED) == 1 && wait_state(waits[order[i]]) == WAIT_PASSED);
        CHECK(wait_sleep(waits[order[i]], PN_FOREVER, false) == 0 && wait_end(waits[order[i]]) == WAIT_PASSED);
    }
    CHECK(waits_tell(cell, 3, WAIT_WOKEN) == 0 && waits_tell(cell + 1, UINT32_MAX, WAIT_WOKEN) == 1);
}

static void nothing_is_told_twice_or_too_late(void) {
    prepare();
    struct wait *wait = begin(cell, NO_CHANNEL);
    uint32_t seen = word_read(&wait->state);
    CHECK(wait_tell(wait, WAIT_WOKEN) && !wait_tell(wait, WAIT_PASSED) && wait_same(wait, seen));
    wait_again(wait);
    CHECK(!wait_tell_seen(wait, seen, WAIT_PASSED) && wait_state(wait) == WAIT_SPINNING);
    seen = word_read(&wait->state);
    CHECK(wait_end(wait) == WAIT_SPINNING && begin(cell, NO_CHANNEL) == wait);
    CHECK(!wait_same(wait, seen) && !wait_tell_seen(wait, seen, WAIT_PASSED) && wait_tell(wait, WAIT_REFUSED));
    CHECK(wait_end(wait) == WAIT_REFUSED);
}

static void readers_look_no_further_than_they_need(void) {
    prepare();
    struct wait *waits[100];
    for (int i = 0; i < 100; i++) waits[i] = begin(cell, NO_CHANNEL);
    CHECK(waits_used() == 100);
    for (int i = 0; i < 100; i++) wait_end(waits[(i * 37 + 11) % 100]);
    CHECK(waits_used() == 0 && begin(cell, NO_CHANNEL) == wait_at(0));
}

static void all_waits_are_taken(void) {
    prepare();
    struct wait *wait;
    for (uint32_t i = 0; i < COMMONS_WAIT_COUNT; i++) begin(cell, NO_CHANNEL);
    CHECK(wait_begin(cell, 0, 0, NO_CHANNEL, &wait) == -ENOSPC && waits_used() == COMMONS_WAIT_COUNT);
    CHECK(event_wait(cell_at(cell), SOON) == -ENOSPC);
    wait_end(wait_at(12345));
    CHECK(begin(cell, NO_CHANNEL) == wait_at(12345));
    for (uint32_t i = 0; i < COMMONS_WAIT_COUNT; i++) wait_end(wait_at(i));
    CHECK(waits_used() == 0);
}

static void churn(int number) {
    (void)number;
    unsigned seed = (unsigned)number;
    struct wait *waits[6];
    for (int i = 0; i < ROUNDS(20000); i++) {
        int n = rand_r(&seed) % 6 + 1;
        for (int k = 0; k < n; k++) waits[k] = begin(1000 + (uint32_t)number, NO_CHANNEL);
        for (int k = 0; k < n; k++) {
            CHECK(wait_index(waits[k]) < waits_used() && waits[k]->key == 1000 + (uint32_t)number);
            CHECK(wait_end(waits[k]) == WAIT_SPINNING);
        }
    }
}

static void no_wait_is_handed_out_twice(void) {
    prepare();
    processes(4, churn);
    no_wait_is_left();
    threads(4, churn);
    no_wait_is_left();
}

/* --- the doorbell -------------------------------------------------------------------------------------------------------- */

/* (ThreadSanitizer lets a program that has threads wait at its end.) */
static void close_bell(uint32_t channel) {
    bell_close(channel);
    bell_pause();
}

static bool rung(int fd, int ms) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    uint64_t count;
    return poll(&poll_fd, 1, ms) == 1 && read(fd, &count, sizeof count) == sizeof count;
}

static void tell_one(int number) {
    (void)number;
    CHECK(waits_tell(cell, 1, WAIT_PASSED) == 1);
}

static void a_channel_is_rung(void) {
    prepare();
    uint32_t one, two;
    int first, other;
    CHECK(bell_open(&one, &first) == 0 && bell_open(&two, &other) == 0 && one != two);
    struct wait *wait = begin(cell, one), *later = begin(cell, two);
    CHECK(wait_state(wait) == WAIT_TASKED && !rung(first, 20) && !rung(other, 0));
    processes(1, tell_one);
    CHECK(rung(first, 5000) && wait_state(wait) == WAIT_PASSED && !rung(other, 20) && !rung(first, 0)); /* once */
    processes(1, tell_one);
    CHECK(rung(other, 5000) && wait_end(wait) == WAIT_PASSED && wait_end(later) == WAIT_PASSED);
    bell_close(one);
    bell_close(99);
    close_bell(two);
    no_wait_is_left();
}

static void it_is_rung_again(void) {
    prepare();
    uint32_t channel;
    int fd;
    CHECK(bell_open(&channel, &fd) == 0);
    struct wait *wait = begin(cell, channel);
    for (int i = 0; i < ROUNDS(2000); i++) {
        CHECK(wait_tell(wait, WAIT_WOKEN));
        if (i % 3) CHECK(rung(fd, 5000)); /* else its owner is quicker than the bell */
        wait_again(wait);
    }
    rung(fd, 20);
    CHECK(wait_tell(wait, WAIT_WOKEN) && rung(fd, 5000) && wait_end(wait) == WAIT_WOKEN);
    close_bell(channel);
}

static void bell_around_a_fork(void) {
    prepare();
    uint32_t channel, own;
    int fd, mine;
    CHECK(bell_open(&channel, &fd) == 0);
    struct wait *wait = begin(cell, channel);
    bell_pause();
    CHECK(wait_tell(wait, WAIT_WOKEN) && !rung(fd, 20)); /* nobody is there */
    struct member who = member_add();
    pid_t pid = fork();
    if (pid == 0) {
        bell_forget();
        be(who);
        if (UNDER_TSAN) _exit(0);
        CHECK(bell_open(&own, &mine) == 0 && own == 1);
        struct wait *another = begin(cell, own);
        CHECK(wait_tell(another, WAIT_PASSED) && rung(mine, 5000) && wait_end(another) == WAIT_PASSED);
        _exit(0);
    }
    end_of(pid, 0);
    bell_resume();
    bell_restart();
    CHECK(rung(fd, 5000) && wait_end(wait) == WAIT_WOKEN);
    close_bell(channel);
}

/* Who told a task died before it rang: recovery rings. */
static void recovery_rings(void) {
    prepare();
    uint32_t channel;
    int fd;
    CHECK(bell_open(&channel, &fd) == 0);
    struct member who = member_add();
    word_or(&commons_records()[who.slot].flags, RECORD_SYNC);
    struct wait *wait = begin(cell, channel);
    event_announce(cell_at(cell), wait);
    CHECK(word_or(&cell_at(cell)->word, EVENT_SET) & WAITERS);
    recover(who.slot, false);
    CHECK(rung(fd, 5000) && wait_end(wait) == WAIT_PASSED);
    close_bell(channel);
}

static void hold(int number) {
    (void)number;
    CHECK(mutex_lock(mutex_of(cell_at(cell)), SOON) == 0);
    word_publish(word, 1);
    pause();
}

/* A task waits, the holder dies, no reaper is there: the bell's thread finds out. It slept before the task came. */
static void nobody_recovers(void) {
    prepare();
    uint32_t channel;
    int fd;
    cell = cell_make(CELL_LOCK, 0, 0, 0);
    CHECK(bell_open(&channel, &fd) == 0);
    bell_pause(); /* (a fork beside a thread is not for ThreadSanitizer) */
    pid_t pid = process(hold, 0, NULL);
    bell_resume();
    bell_restart();
    EVENTUALLY(word_read(word) == 1);
    nap(20000);
    struct wait *wait = begin(cell, channel);
    CHECK(mutex_try_waiting(mutex_of(cell_at(cell))) == -EBUSY);
    kill(pid, SIGKILL);
    end_of(pid, SIGKILL);
    for (int i = 0; i < 40 && wait_state(wait) == WAIT_TASKED; i++) { /* rung for other things all the time */
        bell_ring(sync_me);
        nap(50000);
    }
    CHECK(rung(fd, 10000) && wait_state(wait) == WAIT_WOKEN);
    CHECK(mutex_try_waiting(mutex_of(cell_at(cell))) == HOLDER_DIED && wait_end(wait) == WAIT_WOKEN);
    close_bell(channel);
}

int main(void) {
    int failed = 0;
    CASE(a_handle_names_one_cell_only);
    CASE(what_others_may_have_is_not_dropped);
    CASE(all_cells_are_taken);
    CASE(who_is_in_no_family_has_none);
    CASE(the_first_is_told_first);
    CASE(nothing_is_told_twice_or_too_late);
    CASE(readers_look_no_further_than_they_need);
    CASE(all_waits_are_taken);
    CASE(no_wait_is_handed_out_twice);
    CASE(a_channel_is_rung);
    CASE(it_is_rung_again);
    CASE(bell_around_a_fork);
    CASE(recovery_rings);
    CASE(nobody_recovers);
    return failed;
}
