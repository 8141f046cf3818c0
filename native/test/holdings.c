/* Holdings: an object lives exactly as long as somebody has it; parcels; forks; many at once. */
#define _GNU_SOURCE
#include "../arena.h"
#include "../holdings.h"
#include "sync.h"

static struct holding first;
static uint32_t block, serial;

static void make_block(uint64_t size) {
    found();
    CHECK(holding_make(CELL_BLOCK, size, NULL, 0, &first) == 0);
    block = first.index;
    serial = first.serial;
}

static bool is_there(void) { return cell_get(block, serial) && arena_used(OWNER_OBJECT(block)) > 0; }

static void the_last_one_frees_it(void) {
    struct holding other;
    make_block(100000);
    CHECK(holding_add(block, serial, &other) == 0 && other.stake != first.stake);
    holding_drop(&first);
    CHECK(is_there() && holding_cell(&other) && !holding_cell(&first));
    holding_drop(&first); /* twice is once */
    holding_drop(&other);
    CHECK(!is_there() && arena_used(OWNER_ANY) == 0 && holdings_of_process == NULL);
    CHECK(holding_add(block, serial, &other) == -ENOENT);
    commons_leave();
}

static void stakes_are_used_again(void) {
    make_block(1);
    uint32_t cells = word_read(&commons->cells_used);
    for (int i = 0; i < 100; i++) {
        struct holding other;
        CHECK(holding_add(block, serial, &other) == 0);
        holding_drop(&other);
    }
    CHECK(word_read(&commons->cells_used) <= cells + 1);
    commons_leave();
}

static void a_parcel_is_received_once(void) {
    struct parcel parcel;
    struct holding got, again;
    make_block(100000);
    CHECK(parcel_make(block, serial, false, &parcel) == 0);
    holding_drop(&first);
    CHECK(is_there()); /* the parcel holds it */
    CHECK(parcel_receive(&parcel, &got) == 0 && got.stake == parcel.stake);
    CHECK(parcel_receive(&parcel, &again) == 0 && again.stake != parcel.stake); /* one more, while it lives */
    parcel_drop(&parcel); /* it is nobody's parcel any more */
    holding_drop(&got);
    CHECK(is_there());
    holding_drop(&again);
    CHECK(!is_there() && parcel_receive(&parcel, &got) == -ENOENT);
    commons_leave();
}

static void an_old_parcel_is_not_a_new_one(void) {
    struct parcel old, young;
    struct holding got;
    make_block(1);
    CHECK(parcel_make(block, serial, false, &old) == 0 && parcel_receive(&old, &got) == 0);
    holding_drop(&got);
    CHECK(parcel_make(block, serial, false, &young) == 0 && young.stake == old.stake); /* the same stake, used again */
    CHECK(parcel_receive(&old, &got) == 0 && got.stake != young.stake);
    CHECK(!parcel_post(&old, 7) && parcel_post(&young, 7));
    parcel_drop_posted(&young, 8);
    CHECK(word_read(&cell_at(young.stake)->tid) == (TID_QUEUE | 7));
    parcel_drop_posted(&young, 7);
    CHECK(word_read(&cell_at(young.stake)->tid) == 0);
    commons_leave();
}

static void a_name_holds_it(void) {
    make_block(100000);
    CHECK(holding_name(block, serial) == 0);
    holding_drop(&first);
    CHECK(is_there());
    holding_unname(block, serial);
    CHECK(!is_there());
    commons_leave();
}

/* --- deaths and forks -------------------------------------------------------------------------------------------------------- */

static void hold_until_killed(int number) {
    struct holding mine;
    (void)number;
    holdings_of_process = NULL;
    CHECK(holding_add(block, serial, &mine) == 0);
    raise(SIGKILL);
}

static void the_dead_hold_nothing(void) {
    struct member who;
    make_block(100000);
    pid_t pid = process(hold_until_killed, 0, &who);
    end_of(pid, SIGKILL);
    holding_drop(&first);
    CHECK(is_there());
    recover(who.slot, false);
    CHECK(!is_there() && arena_used(OWNER_ANY) == 0);
    commons_leave();
}

static void a_forked_child_holds_what_its_parent_holds(void) {
    make_block(100000);
    struct member child = member_add();
    CHECK(holdings_fork(child.slot) == 0);
    word32 *dropped = shared(sizeof *dropped);
    pid_t pid = fork();
    if (pid == 0) {
        be(child);
        holdings_forked();
        while (!word_read(dropped)) nap(100);
        CHECK(is_there() && holding_cell(&first));
        holding_drop(&first);
        CHECK(!is_there());
        _exit(0);
    }
    holding_drop(&first);
    CHECK(is_there());
    word_publish(dropped, 1);
    end_of(pid, 0);
    CHECK(!is_there());
    commons_leave();
}

static void no_fork_after_all(void) {
    make_block(1);
    struct member child = member_add();
    CHECK(holdings_fork(child.slot) == 0);
    holdings_not_forked();
    holding_drop(&first);
    CHECK(!is_there());
    commons_leave();
}

/* It died between giving the memory back and the end: the place may be another's by now. */
static void what_was_given_back_is_not_given_back_again(void) {
    struct holding other;
    make_block(100000);
    struct member dead = member_add();
    word_or(&table_get(dead)->flags, RECORD_SYNC);
    struct cell *cell = cell_at(block);
    uint64_t offset = holding_offset(cell);
    word_publish(&cell_at(first.stake)->tid, 0);
    word_publish(&cell->word, HOLDING_GONE | (dead.slot + 1));
    arena_give(offset);
    CHECK(holding_make(CELL_BLOCK, 100000, NULL, 0, &other) == 0 && holding_offset(cell_at(other.index)) == offset);
    recover(dead.slot, false);
    CHECK(!cell_get(block, serial) && arena_used(OWNER_OBJECT(other.index)) >= 100000);
    holding_drop(&other);
    CHECK(arena_used(OWNER_ANY) == 0);
    commons_leave();
}

/* --- many at once: it is never gone while somebody has it, and gone afterwards ---------------------------------------------- */

static void churn(int number) {
    holdings_of_process = NULL;
    struct holding mine[4] = {0};
    CHECK(holding_add(block, serial, &mine[0]) == 0);
    for (int round = 0; round < ROUNDS(20000); round++) {
        struct holding *one = &mine[1 + round % 3];
        holding_drop(one);
        if (round % 2) {
            CHECK(holding_add(block, serial, one) == 0);
        } else {
            struct parcel parcel;
            CHECK(parcel_make(block, serial, false, &parcel) == 0 && parcel_receive(&parcel, one) == 0);
        }
    }
    CHECK(is_there());
    for (int i = 0; i < 4; i++) holding_drop(&mine[i]);
    (void)number;
}

static void processes_hold_and_drop(void) {
    make_block(100000);
    processes(4, churn);
    CHECK(is_there());
    holding_drop(&first);
    CHECK(!is_there() && arena_used(OWNER_ANY) == 0);
    commons_leave();
}

/* The last two drop at one moment; then it is gone, whoever saw it. */
static word32 *turn;
static void drop_at_once(int number) {
    struct holding mine;
    (void)number;
    holdings_of_process = NULL;
    CHECK(holding_add(block, serial, &mine) == 0);
    word_add(turn, 1);
    while (word_read(turn) < 3) sched_yield();
    holding_drop(&mine);
}

static void the_last_two_at_once(void) {
    turn = shared(sizeof *turn);
    for (int round = 0; round < (SANITIZED ? 20 : 200); round++) {
        if (round == 0) make_block(1);
        else CHECK(holding_make(CELL_BLOCK, 1, NULL, 0, &first) == 0);
        block = first.index, serial = first.serial;
        word_publish(turn, 0);
        pid_t one = process(drop_at_once, 0, NULL), two = process(drop_at_once, 1, NULL);
        while (word_read(turn) < 2) sched_yield();
        holding_drop(&first);
        CHECK(is_there());
        word_publish(turn, 3);
        end_of(one, 0), end_of(two, 0);
        CHECK(!is_there());
    }
    commons_leave();
}

int main(void) {
    int failed = 0;
    CASE(the_last_one_frees_it);
    CASE(stakes_are_used_again);
    CASE(a_parcel_is_received_once);
    CASE(an_old_parcel_is_not_a_new_one);
    CASE(a_name_holds_it);
    CASE(the_dead_hold_nothing);
    CASE(a_forked_child_holds_what_its_parent_holds);
    CASE(no_fork_after_all);
    CASE(what_was_given_back_is_not_given_back_again);
    CASE(processes_hold_and_drop);
    CASE(the_last_two_at_once);
    return failed;
}
