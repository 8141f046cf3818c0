/* The lock: exclusion of threads and processes, hand-overs, time-outs, signals, and what follows when its holder dies. */
#define _GNU_SOURCE
#include "sync.h"

static uint32_t cell;
static struct { int value, spoilt; word32 stop; word64 rounds; } *counted; /* (not atomic: the lock must do) */

static struct mutex lock(void) { return mutex_of(cell_at(cell)); }

static void prepare(void) {
    found();
    cell = cell_make(CELL_LOCK, 0, 0, 0);
    counted = shared(sizeof *counted);
}

static void count_up(int number) {
    (void)number;
    for (int i = 0; i < ROUNDS(20000); i++) {
        if (!mutex_try_fast(lock().word)) CHECK(mutex_lock(lock(), SOON) == 0);
        counted->value++;
        CHECK(mutex_unlock(lock(), false) == 0);
    }
}

static void threads_exclude_each_other(void) {
    prepare();
    threads(4, count_up);
    CHECK(counted->value == 4 * ROUNDS(20000));
    no_wait_is_left();
}

static void processes_exclude_each_other(void) {
    prepare();
    processes(4, count_up);
    CHECK(counted->value == 4 * ROUNDS(20000));
    no_wait_is_left();
}

/* The holder gives the processor away: the others really sleep, and are woken. (A busy machine gives it back late: not for ever.) */
static void hand_over(int number) {
    int64_t until = clock_monotonic() + 5 * PN_SECOND;
    (void)number;
    for (int i = 0; i < ROUNDS(3000) && clock_monotonic() < until; i++) {
        CHECK(mutex_lock(lock(), SOON) == 0);
        int before = counted->value++;
        if (i % 8 == 0) nap(50);
        else sched_yield();
        CHECK(counted->value == before + 1);
        mutex_unlock(lock(), false);
        word_add(&counted->rounds, 1);
    }
}

static void no_wake_up_is_lost(void) {
    prepare();
    processes(4, hand_over);
    no_wait_is_left();
    threads(4, hand_over);
    no_wait_is_left();
    CHECK(counted->value > 0 && (uint64_t)counted->value == word_read(&counted->rounds));
}

/* Some give up at any moment: what they were told goes to another. */
static void give_up_often(int number) {
    for (int i = 0; i < ROUNDS(3000); i++) {
        int r = mutex_lock(lock(), number == 0 ? SOON : clock_monotonic() + (i % 50) * 2000);
        CHECK(r == 0 || (number && r == -ETIMEDOUT));
        if (r < 0) continue;
        counted->value++;
        if (i % 4 == 0) sched_yield();
        mutex_unlock(lock(), false);
    }
}

static void who_gives_up_passes_the_wake_up_on(void) {
    prepare();
    processes(4, give_up_often);
    CHECK(mutex_lock(lock(), clock_monotonic()) == 0);
    mutex_unlock(lock(), false);
    no_wait_is_left();
}

static void time_out_and_signal(void) {
    prepare();
    CHECK(mutex_unlock(lock(), false) == -EPERM);
    CHECK(mutex_lock(lock(), SOON) == 0 && mutex_mine(lock().word));
    int64_t begin = clock_monotonic();
    CHECK(mutex_lock(lock(), begin + 20 * MS) == -ETIMEDOUT);
    CHECK(clock_monotonic() - begin >= 20 * MS);
    CHECK(mutex_lock(lock(), 0) == -ETIMEDOUT && mutex_try(lock()) == -EBUSY);
    signals(true);
    CHECK(mutex_lock(lock(), SOON) == -EINTR);
    signals(false);
    no_wait_is_left();
    CHECK(mutex_unlock(lock(), false) == 0 && word_read(lock().word) == 0 && mutex_try_fast(lock().word));
}

static void take(int number) {
    CHECK(mutex_lock(lock(), SOON) >= 0);
    lock_note(cell_at(cell), 4711);
    if (number == 1) pause();
}

static void another_may_release_it(void) {
    prepare();
    struct member who;
    pid_t pid = process(take, 1, &who);
    EVENTUALLY(cell_at(cell)->tid == 4711);
    CHECK(!mutex_mine(lock().word) && mutex_unlock(lock(), false) == 0 && mutex_try(lock()) == 0);
    kill(pid, SIGKILL);
    end_of(pid, SIGKILL);
    recover(who.slot, false); /* it has nothing any more */
    CHECK(mutex_mine(lock().word) && word_read(lock().word) == sync_me);
}

/* The reaper is not there: who waits finds out by itself. */
static void nobody_recovers(void) {
    prepare();
    struct member who;
    pid_t pid = process(take, 1, &who);
    EVENTUALLY(cell_at(cell)->tid == 4711);
    kill(pid, SIGKILL);
    EVENTUALLY(is_gone(pid)); /* (a zombie is as dead as one that is not there) */
    int64_t begin = clock_monotonic();
    CHECK(mutex_lock(lock(), SOON) == HOLDER_DIED);
    CHECK(clock_monotonic() - begin < PN_SECOND / 2 * (SANITIZED ? 4 : 1));
    CHECK(wait_state(wait_at(0)) == WAIT_EPITAPH || wait_state(wait_at(1)) == WAIT_EPITAPH);
    struct wait *epitaph = wait_at(wait_state(wait_at(0)) == WAIT_EPITAPH ? 0 : 1);
    CHECK(epitaph->units == (uint32_t)pid && epitaph->tid == 4711 && strcmp(epitaph->name, "member") == 0);
    wait_end(epitaph);
    end_of(pid, SIGKILL);
    CHECK(mutex_unlock(lock(), true) == 0);
    CHECK(mutex_try(lock()) == HOLDER_DIED); /* kept */
    CHECK(mutex_unlock(lock(), false) == 0 && mutex_try(lock()) == 0);
    no_wait_is_left();
}

/* Several recover at once, and again, while another takes the lock: what it noted stays, and it stays the holder. */
static struct member dead;
static void recover_at_once(int number) {
    while (number > 0 && !word_read(&counted->stop)) recover(dead.slot, false);
    for (int i = 0; number == 0 && i < ROUNDS(1000); i++) {
        while (mutex_try(lock()) == -EBUSY) sched_yield();
        lock_note(cell_at(cell), 7);
        for (int turn = 0; turn < 20; turn++) CHECK(word_read(&cell_at(cell)->tid) == 7 && mutex_mine(lock().word));
        for (uint32_t w = 0; w < waits_used(); w++)
            if (wait_state(wait_at(w)) == WAIT_EPITAPH) wait_end(wait_at(w));
        lock_note(cell_at(cell), 9);
        word_publish(lock().word, dead.slot + 1); /* it dies with it, again */
    }
    if (number == 0) word_publish(&counted->stop, 1);
}

static void recovery_by_several_is_as_by_one(void) {
    prepare();
    dead = member_add();
    word_or(&commons_records()[dead.slot].flags, RECORD_SYNC);
    threads(3, recover_at_once);
    recover(dead.slot, false);
    CHECK(mutex_try(lock()) == HOLDER_DIED);
    for (uint32_t i = 0; i < 64; i++)
        if (wait_state(wait_at(i)) == WAIT_EPITAPH) wait_end(wait_at(i));
    no_wait_is_left();
}

/* Members are killed at any moment, and followed by others in the same slots. */
static void live(int number) {
    for (;;) {
        int r = mutex_lock(lock(), SOON);
        CHECK(r >= 0);
        lock_note(cell_at(cell), (uint32_t)number + 1);
        if (counted->spoilt) CHECK(r == HOLDER_DIED);
        counted->spoilt = 1;
        counted->value++;
        counted->spoilt = 0;
        if (number % 2) sched_yield();
        mutex_unlock(lock(), false);
    }
}

static void killed_at_any_moment(void) {
    prepare();
    struct member who[4];
    pid_t pids[4];
    for (int i = 0; i < 4; i++) pids[i] = process(live, i, &who[i]);
    unsigned seed = 5;
    for (int round = 0; round < (SANITIZED ? 60 : 300); round++) {
        int i = rand_r(&seed) % 4, before = *(volatile int *)&counted->value;
        nap(rand_r(&seed) % 1500);
        kill(pids[i], SIGKILL);
        end_of(pids[i], SIGKILL);
        recover(who[i].slot, false);
        table_free(who[i]);
        pids[i] = process(live, i, &who[i]);
        EVENTUALLY(*(volatile int *)&counted->value > before);
        for (uint32_t w = 0; w < waits_used(); w++)
            if (wait_state(wait_at(w)) == WAIT_EPITAPH) wait_end(wait_at(w));
    }
    for (int i = 0; i < 4; i++) {
        kill(pids[i], SIGKILL);
        end_of(pids[i], SIGKILL);
        recover(who[i].slot, false);
    }
    CHECK(mutex_lock(lock(), SOON) >= 0);
}

int main(void) {
    int failed = 0;
    CASE(threads_exclude_each_other);
    CASE(processes_exclude_each_other);
    CASE(no_wake_up_is_lost);
    CASE(who_gives_up_passes_the_wake_up_on);
    CASE(time_out_and_signal);
    CASE(another_may_release_it);
    CASE(nobody_recovers);
    CASE(recovery_by_several_is_as_by_one);
    CASE(killed_at_any_moment);
    return failed;
}
