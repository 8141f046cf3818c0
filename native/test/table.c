/* The process table: handles, generations, a full table, names, and many at it at once. */
#define _GNU_SOURCE
#include <pthread.h>

#include "check.h"

static struct member add(const char *name) {
    struct member who;
    CHECK(table_add(&who, RECORD_READY, RECORD_DAEMON, nobody, name) == 0);
    return who;
}

static void add_get_free(void) {
    CHECK(commons_found() == 0);
    struct member parent = add("parent"), who;
    CHECK(table_add(&who, RECORD_ORDERED, RECORD_DETACHED, parent, "child") == 0);
    struct record *record = table_get(who);
    CHECK(record && record_state(record) == RECORD_ORDERED && record->flags == RECORD_DETACHED);
    CHECK(record->parent_slot == parent.slot && record->parent_generation == parent.generation && record->pid == 0);
    CHECK(strcmp(record->name, "child") == 0 && record->born > 0 && record->born <= (uint64_t)clock_boot());
    table_sit(record, 4711, 99);
    CHECK(record->pid == 4711 && record->start_time == 99);
    table_free(who);
    CHECK(table_get(who) == NULL && table_get(parent) != NULL);
    table_free(who); /* nothing happens */
    CHECK(table_get(parent) != NULL);
    commons_leave();
    CHECK(table_get(parent) == NULL);
}

static void an_old_handle_never_names_the_new_member(void) {
    CHECK(commons_found() == 0);
    struct member old = add("first");
    for (int i = 0; i < 1000; i++) {
        table_free(old);
        struct member young = add("next");
        CHECK(young.slot == old.slot && young.generation == old.generation + 1);
        CHECK(table_get(old) == NULL && !table_enter(old, RECORD_EXITED));
        table_free(old);
        CHECK(record_state(table_get(young)) == RECORD_READY);
        old = young;
    }
    CHECK(table_get(nobody) == NULL && table_get((struct member){PN_SLOTS, 0}) == NULL);
    commons_leave();
}

static void exited_is_for_ever(void) {
    CHECK(commons_found() == 0);
    struct member who = add("mortal");
    CHECK(table_enter(who, RECORD_RUNNING) && record_state(table_get(who)) == RECORD_RUNNING);
    CHECK(table_enter(who, RECORD_EXITED) && !table_enter(who, RECORD_RUNNING));
    CHECK(record_state(table_get(who)) == RECORD_EXITED);
    commons_leave();
}

static void a_full_table_says_so_and_works_again(void) {
    CHECK(commons_found() == 0);
    struct member *all = calloc(PN_SLOTS, sizeof *all), one_more;
    for (uint32_t i = 0; i < PN_SLOTS; i++) all[i] = add("filler");
    CHECK(commons->slots_used == PN_SLOTS);
    CHECK(table_add(&one_more, RECORD_READY, 0, nobody, "too many") == -EAGAIN);
    table_free(all[9000]);
    CHECK(table_add(&one_more, RECORD_READY, 0, nobody, "fits") == 0 && one_more.slot == all[9000].slot);
    for (uint32_t i = 0; i < PN_SLOTS; i++) table_free(all[i]);
    CHECK(table_get(one_more) != NULL && add("again").slot < PN_SLOTS);
    free(all);
    commons_leave();
}

static void names_are_cut_at_whole_letters(void) {
    CHECK(commons_found() == 0);
    char name[100];
    for (int lead = 0; lead < 4; lead++) {
        memset(name, 'x', (size_t)lead);
        for (int i = 0; i < 24; i++) memcpy(name + lead + 3 * i, "\xe8\xbf\x9b", 3); /* a letter of three bytes */
        name[lead + 72] = 0;
        const char *kept = table_get(add(name))->name;
        size_t size = strlen(kept);
        CHECK(size <= PN_NAME_SIZE - 1 && size > PN_NAME_SIZE - 4 && (size - (size_t)lead) % 3 == 0);
        CHECK(memcmp(kept, name, size) == 0);
    }
    memset(name, 'y', 99), name[99] = 0;
    CHECK(strlen(table_get(add(name))->name) == PN_NAME_SIZE - 1);
    name[PN_NAME_SIZE - 1] = 0; /* fits exactly */
    CHECK(strcmp(table_get(add(name))->name, name) == 0);
    CHECK(strcmp(table_get(add(""))->name, "") == 0);
    commons_leave();
}

/* --- many at once: whoever gets a slot writes itself down as its holder; nobody may stand there already --- */

static word32 *holders; /* one per slot */

static void hold_and_release(unsigned rounds, uint32_t me) {
    struct member mine[8];
    for (unsigned round = 0; round < rounds; round++) {
        for (int i = 0; i < 8; i++) {
            mine[i] = add("contender");
            CHECK(word_swap(&holders[mine[i].slot], 0, me));
        }
        for (int i = 0; i < 8; i++) {
            CHECK(table_get(mine[i]) != NULL && word_swap(&holders[mine[i].slot], me, 0));
            table_free(mine[i]);
            CHECK(table_get(mine[i]) == NULL);
        }
    }
}

static void *contend(void *arg) {
    hold_and_release(SANITIZED ? 500 : 4000, (uint32_t)(intptr_t)arg);
    return NULL;
}

static void no_slot_is_handed_out_twice_to_threads(void) {
    CHECK(commons_found() == 0);
    holders = shared(PN_SLOTS * sizeof *holders);
    pthread_t threads[8];
    for (intptr_t i = 0; i < 8; i++) pthread_create(&threads[i], NULL, contend, (void *)(i + 1));
    for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
    commons_leave();
}

static void no_slot_is_handed_out_twice_to_processes(void) {
    CHECK(commons_found() == 0);
    holders = shared(PN_SLOTS * sizeof *holders);
    pid_t pids[6];
    for (uint32_t i = 0; i < 6; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            hold_and_release(2000, i + 1);
            _exit(0);
        }
    }
    for (int i = 0; i < 6; i++) end_of(pids[i], 0);
    for (uint32_t slot = 0; slot < PN_SLOTS; slot++) CHECK(holders[slot] == 0);
    commons_leave();
}

static word32 wins;
static struct member prize;

static void *free_it(void *arg) {
    (void)arg;
    word_add(&wins, table_enter(prize, RECORD_EXITED) ? 1 : 0);
    table_free(prize);
    return NULL;
}

/* Of many that end one member, one does it; and none of them hits the member that gets the slot next. */
static void two_frees_are_one(void) {
    CHECK(commons_found() == 0);
    for (int i = 0; i < (SANITIZED ? 100 : 1000); i++) {
        prize = add("prize");
        word_publish(&wins, 0);
        pthread_t threads[3];
        for (int t = 0; t < 3; t++) pthread_create(&threads[t], NULL, free_it, NULL);
        struct member next = add("next");
        for (int t = 0; t < 3; t++) pthread_join(threads[t], NULL);
        CHECK(word_read(&wins) <= 1 && record_state(table_get(next)) == RECORD_READY);
        table_free(next);
    }
    commons_leave();
}

int main(void) {
    int failed = 0;
    CASE(add_get_free);
    CASE(an_old_handle_never_names_the_new_member);
    CASE(exited_is_for_ever);
    CASE(a_full_table_says_so_and_works_again);
    CASE(names_are_cut_at_whole_letters);
    CASE(no_slot_is_handed_out_twice_to_threads);
    CASE(no_slot_is_handed_out_twice_to_processes);
    CASE(two_frees_are_one);
    return failed;
}
