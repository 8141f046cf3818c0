/* Killed at every step: blocks, their holdings and parcels, and the recovery of these. */
#define _GNU_SOURCE
#include "steps_memory.h"

static struct holding held, mine; /* the witness's; the victim's */
static struct parcel sent;

/* --- making ---------------------------------------------------------------------------------------------------------- */

static void run_make(void) { fill_block(&mine, 'v'); }
static void run_make_copy(void) {
    static char bytes[SIZE];
    CHECK(holding_make(CELL_BLOCK, SIZE, bytes, 0, &mine) == 0);
}

/* Warm chunks are taken, too. */
static void prepare_warm(void) {
    fill_block(&held, 'w');
    holding_drop(&held);
}

static void run_trim(void) {
    CHECK(sync_enter() == 0);
    arena_trim(OWNER_MEMBER(sync_me - 1));
}

static void verify_nothing(void) {
    all_is_free();
    fill_block(&held, 'x');
    whole(cell_at(held.index), 'x');
    holding_drop(&held);
    all_is_free();
}

/* --- one of two holdings ---------------------------------------------------------------------------------------------- */

static void prepare_block(void) {
    fill_block(&held, 'w');
    plan->cell = held.index, plan->serial = held.serial;
}

static void hold(void) { CHECK(holding_add(plan->cell, plan->serial, &mine) == 0); }
static void drop(void) { holding_drop(&mine); }

static void verify_block(void) {
    whole(object(), 'w');
    expect(holding_cell(&held) == object(), "who holds it has it no more");
    holding_drop(&held);
    all_is_free();
}

/* The victim's is the last: the witness has given up its own. */
static void prepare_passed(void) {
    prepare_block();
    plan->go = 0;
}
static void before_last(void) {
    hold();
    word_publish(&plan->go, 1);
    EVENTUALLY(word_read(&plan->go) == 2);
}
static void attend_last(void) {
    if (word_read(&plan->go) != 1) return;
    holding_drop(&held);
    word_publish(&plan->go, 2);
}

/* --- parcels ----------------------------------------------------------------------------------------------------------- */

static void run_send(void) { CHECK(parcel_make(plan->cell, plan->serial, false, &sent) == 0); }
static void run_send_in_vain(void) {
    run_send();
    parcel_drop(&sent);
}

static void prepare_parcel(void) {
    prepare_block();
    CHECK(parcel_make(plan->cell, plan->serial, false, &sent) == 0);
}
static void run_receive(void) { CHECK(parcel_receive(&sent, &mine) == 0); }
static void run_receive_and_drop(void) {
    run_receive();
    drop();
}

static void verify_parcel(void) {
    parcel_drop(&sent); /* (if nobody received it) */
    verify_block();
}

/* What a dead one has sent is its parent's. */
static void prepare_heir(void) {
    prepare_block();
    struct record *record = &commons_records()[plan->victim.slot];
    word_poke(&record->parent_slot, plan->witness.slot);
    word_poke(&record->parent_generation, plan->witness.generation);
    sent = (struct parcel){0};
}

static void verify_heir(void) {
    for (uint32_t i = word_read(&object()->link); i; i = word_read(&cell_at(i)->link)) {
        uint32_t tid = word_read(&cell_at(i)->tid);
        expect(tid == 0 || tid == sync_me || tid == (TID_PARCEL | sync_me), "a parcel is nobody's");
        if (tid != (TID_PARCEL | sync_me)) continue;
        struct holding got;
        struct parcel parcel = {plan->cell, plan->serial, i, word_read(&cell_at(i)->since)};
        expect(parcel_receive(&parcel, &got) == 0 && got.stake == i, "what the dead one sent cannot be received");
        holding_drop(&got);
    }
    verify_block();
}

/* --- names, forks ------------------------------------------------------------------------------------------------------- */

static void run_name(void) { CHECK(holding_name(plan->cell, plan->serial) == 0); }
static void prepare_named(void) {
    prepare_block();
    run_name();
}
static void run_unname(void) { holding_unname(plan->cell, plan->serial); }

static void verify_name(void) {
    holding_unname(plan->cell, plan->serial);
    verify_block();
}

static void run_fork(void) { CHECK(holdings_fork(plan->dead.slot) == 0); }

static void verify_fork(void) {
    recover(plan->dead.slot, false); /* (the child that there was to be) */
    verify_block();
}

/* --- recovery ----------------------------------------------------------------------------------------------------------- */

static void prepare_dead(void) {
    prepare_block();
    die_as(hold);
}

static void make_and_die(void) { fill_block(&mine, 'd'); }
static void prepare_dead_owner(void) { die_as(make_and_die); }

static void half_make(void) {
    uint32_t index;
    uint64_t offset;
    CHECK(cell_claim(&index) == 0 && arena_take(SIZE, OWNER_OBJECT(index), &offset) == 0);
}
static void prepare_half_made(void) { die_as(half_make); }

static void verify_dead(void) {
    run_recover();
    verify_block();
}
static void verify_dead_owner(void) {
    run_recover();
    verify_nothing();
}

int main(int argc, char **argv) {
    static const struct operation operations[] = {
        {.name = "make a block", .run = run_make, .verify = verify_nothing},
        {.name = "make a block of warm chunks", .prepare = prepare_warm, .run = run_make, .verify = verify_nothing},
        {.name = "make a copy", .run = run_make_copy, .verify = verify_nothing},
        {.name = "make a copy in warm chunks", .prepare = prepare_warm, .run = run_make_copy, .verify = verify_nothing},
        {.name = "trim", .prepare = prepare_warm, .run = run_trim, .verify = verify_nothing},
        {.name = "drop one's own block", .before = run_make, .run = drop, .verify = verify_nothing},
        {.name = "hold another's block", .prepare = prepare_block, .run = hold, .verify = verify_block},
        {.name = "drop another's block", .prepare = prepare_block, .before = hold, .run = drop, .verify = verify_block},
        {.name = "drop the last", .prepare = prepare_passed, .before = before_last, .run = drop, .attend = attend_last,
         .verify = verify_nothing},
        {.name = "send", .prepare = prepare_block, .before = hold, .run = run_send, .verify = verify_block},
        {.name = "send, with an heir", .prepare = prepare_heir, .before = hold, .run = run_send, .verify = verify_heir},
        {.name = "send in vain", .prepare = prepare_block, .before = hold, .run = run_send_in_vain, .verify = verify_block},
        {.name = "receive", .prepare = prepare_parcel, .run = run_receive, .verify = verify_parcel},
        {.name = "receive and drop", .prepare = prepare_parcel, .run = run_receive_and_drop, .verify = verify_parcel},
        {.name = "name", .prepare = prepare_block, .run = run_name, .verify = verify_name},
        {.name = "unname", .prepare = prepare_named, .run = run_unname, .verify = verify_name},
        {.name = "hold for a fork", .prepare = prepare_block, .before = hold, .run = run_fork, .verify = verify_fork},
        {.name = "recover a holding", .prepare = prepare_dead, .run = run_recover, .verify = verify_dead},
        {.name = "recover a block", .prepare = prepare_dead_owner, .run = run_recover, .verify = verify_dead_owner},
        {.name = "recover half a block", .prepare = prepare_half_made, .run = run_recover, .verify = verify_dead_owner},
    };
    return kill_all(operations, sizeof operations / sizeof *operations, argc > 1 ? argv[1] : NULL) ? 1 : 0;
}
