/* Killed at every step: tagged messages put, taken, withdrawn; what a dead worker had in hand; who is kept from being woken. */
#define _GNU_SOURCE
#include "../tasks.h"
#include "steps_memory.h"

#define RESULT 1000 /* number of what is put by who is killed */

static uint32_t filled; /* tasks that were there before: 1, 2, ... */

static int put_with(uint64_t number, const struct parcel *parcel) {
    char body[64] = "";
    uint64_t tag[2] = {number, ~number};
    uint32_t done = 0;
    snprintf(body, sizeof body, "task %u", (unsigned)number);
    struct message one = {.body = body, .size = sizeof body, .format = 1, .tag = tag, .parcels = parcel, .parcel_count = parcel != NULL};
    return queue_put(&queue, &one, 1, &done, SOON);
}

static void put(uint64_t number) { CHECK(put_with(number, NULL) == 0); }

static void put_block(uint64_t number) {
    struct holding block;
    struct parcel parcel;
    fill_block(&block, 'm');
    CHECK(parcel_make(block.index, block.serial, true, &parcel) == 0);
    CHECK(put_with(number, &parcel) == 0);
    holding_drop(&block);
}

static uint64_t number_of(struct taken *taken) {
    char body[64];
    snprintf(body, sizeof body, "task %u", (unsigned)taken->tag[0]);
    expect(taken->size == sizeof body && taken->format == 1 && strcmp(taken->body, body) == 0, "a task is torn");
    expect(taken->tag[1] == ~taken->tag[0], "a tag is torn");
    for (uint32_t i = 0; i < taken->parcel_count; i++) {
        struct holding holding;
        expect(taken->parcels[i].stake != CELL_NONE, "a parcel is lost");
        parcel_claimed(&taken->parcels[i], &holding);
        whole(cell_at(holding.index), 'm');
        holding_drop(&holding);
    }
    taken_free(taken);
    return taken->tag[0];
}

/* The number of the next; 0: there is none. */
static uint64_t got(void) {
    struct taken taken;
    int r = queue_try_get(&queue, &taken);
    if (r == -EAGAIN) return 0;
    expect(r == 0, "the queue cannot be read");
    return number_of(&taken);
}

static void take(void) {
    struct taken taken;
    CHECK(queue_take(&queue, &taken, SOON) == 0);
    number_of(&taken);
}

static uint64_t in_dead_hand(void) { return word_read(&commons_records()[plan->victim.slot].task); }

static void make_with(uint32_t tasks) {
    make_queue(0, QUEUE_TASKS);
    filled = tasks;
    for (uint32_t i = 1; i <= tasks; i++) put(i);
}

/* So many that the next entry needs another segment. */
#define FULL ((SEGMENT_SIZE - SEGMENT_HEAD - 8) / (8 + 16 + 64))

static void prepare_empty(void) { make_with(0); }
static void prepare_some(void) { make_with(4); }
static void prepare_full(void) { make_with(FULL); }
static void prepare_blocks(void) {
    make_with(0);
    for (filled = 0; filled < 4; filled++) put_block(filled + 1);
}

/* Exactly `count` are there, in order from `first` on without `hole`; then it is as new, and it can be freed. */
static void verify(uint64_t first, uint64_t last, uint64_t hole) {
    put(last + 1); /* (puts in order what was begun) */
    queue_withdraw(&queue, 5000, SOON);
    bool holed = hole >= first && hole <= last;
    expect(queue_size(&queue) == last + 2 - first - holed, "it is counted wrongly");
    for (uint64_t i = first; i <= last + 1; i++)
        if (i != hole) expect(queue_readable(&queue) && got() == i, "a task is not in its place");
    expect(!queue_readable(&queue) && got() == 0 && queue_size(&queue) == 0, "a task came twice");
    for (uint64_t i = 1; i < 2000; i++) {
        put(i), put(i + 1);
        if (i % 3 == 0) expect(queue_withdraw(&queue, i, SOON) == 1, "it cannot be withdrawn");
        else expect(got() == i, "it is not usable");
        expect(queue_size(&queue) == 1 && got() == i + 1, "it is not usable");
    }
    expect(arena_used(OWNER_OBJECT(plan->cell)) <= 3 * CHUNK_SIZE, "a segment is lost");
    arena_disown(OWNER_MEMBER(plan->victim.slot));
    expect(arena_used(OWNER_ANY) == arena_used(OWNER_OBJECT(plan->cell)), "what was withdrawn is not given back");
    queue_shut(&queue);
    all_is_free();
}

/* --- putting, and the end of a task ------------------------------------------------------------------------------------ */

static void run_put(void) { put(filled + 1); }
static void run_put_block(void) { put_block(filled + 1); }

static void verify_put(void) {
    queue_withdraw(&queue, 5000, SOON);
    put(7777);
    int added = (int)(queue_size(&queue) - 1 - filled);
    expect(added == 0 || added == 1, "tasks are lost, or came from nowhere");
    expect(queue_withdraw(&queue, 7777, SOON) == 1, "what was put afterwards is not there");
    verify(1, filled + (uint32_t)added, 0);
}

static void before_end(void) {
    join_queue();
    CHECK(sync_enter() == 0);
    task_begin(&queue, 7);
}
static void run_end(void) {
    put(RESULT);
    task_end();
}
static void verify_end(void) {
    put(7777);
    bool there = queue_withdraw(&queue, RESULT, SOON) == 1;
    expect(in_dead_hand() == 7 || (in_dead_hand() == 0 && there), "a task is neither in hand nor done");
    expect(queue_withdraw(&queue, 7777, SOON) == 1, "what was put afterwards is not there");
    verify(1, filled, 0);
}

/* --- taking: what the record says is in no queue; and what is in no queue, the record says -------------------- */

static uint64_t gone; /* before */
static bool several; /* are taken one behind the other: of one alone the record can say that it is in hand */

static void verify_take(void) {
    put(7777);
    expect(queue_withdraw(&queue, 7777, SOON) == 1, "what was put afterwards is not there");
    uint64_t left = queue_size(&queue), next = filled - left + 1, task = in_dead_hand();
    expect(task != next || task == 0, "what is in the queue is said to be in hand");
    expect(task == next - 1 || (task == 0 && (next - 1 == gone || several)), "a task is lost");
    verify(next, filled, 0);
}

static void run_take_two(void) {
    take();
    task_end();
    take();
}
/* (The first was ended here without a result.) */
static void verify_take_two(void) {
    if (queue_size(&queue) == filled - 1 && in_dead_hand() == 0) verify(2, filled, 0);
    else verify_take();
}

static void run_take_three(void) {
    for (int i = 0; i < 3; i++) take();
}
static void prepare_two_segments(void) { make_with(FULL + 3); }
static void prepare_late(void) {
    prepare_two_segments();
    for (gone = 0; gone < FULL - 1; gone++) CHECK(got() == gone + 1);
}
static void verify_take_late(void) {
    several = true;
    verify_take();
    several = false;
    gone = 0;
}

/* --- recovery after one that was about to take, or had taken; who recovers is killed, and another does it again -------------- */

static uint64_t in_hand_of_dead(void) { return word_read(&commons_records()[plan->dead.slot].task); }

static void note_and_die(void) {
    join_queue();
    CHECK(mutex_try((struct mutex){&queue.queue->getting, plan->cell | KEY_PART(PART_GETTING)}) == 0);
    task_begin(&queue, 1);
}
static void prepare_noted(void) {
    prepare_some();
    die_as(note_and_die);
}
static void verify_noted(void) {
    run_recover();
    expect(in_hand_of_dead() == 0 && task_of_dead(plan->dead.slot) == 0, "what was not taken is said to be in hand");
    verify(1, filled, 0);
}

static void take_and_die(void) {
    join_queue();
    take();
    CHECK(mutex_try((struct mutex){&queue.queue->getting, plan->cell | KEY_PART(PART_GETTING)}) == 0);
}
static void prepare_taken(void) {
    prepare_some();
    die_as(take_and_die);
}
static void verify_taken(void) {
    run_recover();
    expect(in_hand_of_dead() == 1 && task_of_dead(plan->dead.slot) == 1, "what was taken is not said to be in hand");
    verify(2, filled, 0);
}

/* --- withdrawing --------------------------------------------------------------------------------------------------------- */

static uint64_t withdrawn;

static void withdraw(uint64_t number) { CHECK(queue_withdraw(&queue, number, SOON) == 1); }
static void run_withdraw_first(void) { withdraw(1); }
static void run_withdraw_second(void) { withdraw(2); }
static void run_withdraw_last(void) { withdraw(FULL + 3); }

static void verify_withdrawn(uint64_t number) {
    put(7777);
    expect(queue_withdraw(&queue, 7777, SOON) == 1, "what was put afterwards is not there");
    uint32_t left = queue_size(&queue);
    expect(left == filled || left == filled - 1, "it is counted wrongly");
    withdrawn = left == filled ? 0 : number;
    expect(withdrawn == 0 || queue_withdraw(&queue, number, SOON) == 0, "it was withdrawn twice");
    verify(number == 1 && withdrawn ? 2 : 1, filled, withdrawn);
}
static void verify_first(void) { verify_withdrawn(1); }
static void verify_second(void) { verify_withdrawn(2); }
static void verify_last(void) { verify_withdrawn(FULL + 3); }

/* Some were withdrawn, and who is killed passes them. */
static void prepare_holes(void) {
    prepare_blocks();
    withdraw(2), withdraw(3);
}
static void run_take_past(void) {
    take();
    take();
}
static void verify_take_past(void) {
    put(7777);
    expect(queue_withdraw(&queue, 7777, SOON) == 1, "what was put afterwards is not there");
    uint32_t left = queue_size(&queue);
    uint64_t task = in_dead_hand(), last = left == 2 ? 0 : left == 1 ? 1 : 4;
    expect(left <= 2 && (task == last || (task == 0 && last == 1)), "a task is lost, or came from nowhere");
    if (left == 2) expect(got() == 1, "a task is not in its place");
    if (left > 0) expect(got() == 4, "a task is not in its place");
    verify(1, 0, 0);
}

/* --- who is kept from being woken ---------------------------------------------------------------------------------------- */

static void survive_watch(void) {
    join_queue();
    uint32_t seen = 0;
    answer(queue_watch(&queue, &seen, SOON));
    queue_shut(&queue);
}
static void before_watched(void) {
    join_queue();
    survivor_first();
}
static void run_attend(void) {
    queue_attend(&queue, true);
    put(1);
    queue_attend(&queue, false);
}
static void run_attend_for_ever(void) {
    queue_attend(&queue, true);
    put(1);
}
static void verify_watched(void) {
    nap(1000);
    if (queue_size(&queue) == 0) put(1);
    survivor_is_done(1);
    while (got()) continue;
    verify(1, 0, 0);
}

static void run_nudge(void) { queue_nudge(&queue); }
static void verify_nudged(void) {
    if (!word_read(&queue.queue->nudges)) queue_nudge(&queue);
    survivor_is_done(0);
    verify(1, 0, 0);
}

/* While it looks, one is put: the survivor is not woken for it. */
static void put_while_spinning(const char *where) {
    if (strcmp(where, "spinning") != 0) return;
    meanwhile = NULL;
    put(1);
}
static void survive_take(void) {
    join_queue();
    take();
    answer(0);
    queue_shut(&queue);
}
static void before_spinning(void) {
    join_queue();
    survivor_first();
    meanwhile = put_while_spinning;
}
static void verify_spinning(void) {
    nap(1000);
    if (in_dead_hand() || !word_read(&plan->done)) put(2); /* (the first may be in dead hands, or was not put) */
    survivor_is_done(0);
    while (got()) continue;
    verify(1, 0, 0);
}
/* The message is there; nobody but the dead one was told. */
static void verify_spinning_strictly(void) {
    bool taken = in_dead_hand() && queue_size(&queue) == 0 && !word_read(&commons_records()[plan->survivor.slot].task);
    if (strcmp(died_at, "spinning") == 0 || strcmp(died_at, "spun") == 0) survivor_is_done(0);
    else if (taken) put(2);
    verify_spinning();
}

/* The lock is another's, who does not come to give it back: the message that nobody was woken for is the survivor's. */
static void hold_the_lock(const char *where) {
    put_while_spinning(where);
    if (strcmp(where, "spun") == 0) word_swap(&queue.queue->getting, 0, plan->dead.slot + 1);
    else if (strcmp(where, "spinning") == 0) meanwhile = hold_the_lock;
}
static void before_giving_up(void) {
    before_spinning();
    word_or(&commons_records()[plan->dead.slot].flags, RECORD_SYNC);
    meanwhile = hold_the_lock;
}
static void run_give_up(void) {
    struct taken taken;
    CHECK(queue_take(&queue, &taken, clock_monotonic() + 3 * PN_SECOND / 1000) == -ETIMEDOUT);
    struct wait *wait = wait_of(plan->survivor);
    bool told = !wait || wait_state(wait) != WAIT_ASLEEP || word_peek(&wait->key) != (plan->cell | KEY_PART(PART_ITEMS));
    expect(told, "a message is forgotten");
}
static void verify_given_up(void) {
    recover(plan->dead.slot, false);
    verify_spinning();
}

int main(int argc, char **argv) {
    static const struct operation operations[] = {
        {.name = "put a task", .prepare = prepare_some, .before = join_queue, .run = run_put, .verify = verify_put},
        {.name = "put a task into the next segment", .prepare = prepare_full, .before = join_queue, .run = run_put,
         .verify = verify_put},
        {.name = "put a task with a block", .prepare = prepare_full, .before = join_queue, .run = run_put_block,
         .verify = verify_put},
        {.name = "end a task", .prepare = prepare_some, .before = before_end, .run = run_end, .verify = verify_end},
        {.name = "take a task", .prepare = prepare_some, .before = join_queue, .run = take, .verify = verify_take},
        {.name = "take a task with a block", .prepare = prepare_blocks, .before = join_queue, .run = take, .verify = verify_take},
        {.name = "take two tasks", .prepare = prepare_some, .before = join_queue, .run = run_take_two, .verify = verify_take_two},
        {.name = "take tasks into the next segment", .prepare = prepare_late, .before = join_queue, .run = run_take_three,
         .verify = verify_take_late},
        {.name = "recover one that was about to take", .prepare = prepare_noted, .run = run_recover, .verify = verify_noted},
        {.name = "recover one that had taken", .prepare = prepare_taken, .run = run_recover, .verify = verify_taken},
        {.name = "withdraw the first", .prepare = prepare_some, .before = join_queue, .run = run_withdraw_first,
         .verify = verify_first},
        {.name = "withdraw the second", .prepare = prepare_some, .before = join_queue, .run = run_withdraw_second,
         .verify = verify_second},
        {.name = "withdraw a block", .prepare = prepare_blocks, .before = join_queue, .run = run_withdraw_first,
         .verify = verify_first},
        {.name = "withdraw the second block", .prepare = prepare_blocks, .before = join_queue, .run = run_withdraw_second,
         .verify = verify_second},
        {.name = "withdraw from the next segment", .prepare = prepare_two_segments, .before = join_queue,
         .run = run_withdraw_last, .verify = verify_last},
        {.name = "take past what was withdrawn", .prepare = prepare_holes, .before = join_queue, .run = run_take_past,
         .verify = verify_take_past},
        {.name = "attend for a while", .prepare = prepare_empty, .survive = survive_watch, .before = before_watched,
         .run = run_attend, .verify = verify_watched},
        {.name = "attend for ever", .prepare = prepare_empty, .survive = survive_watch, .before = before_watched,
         .run = run_attend_for_ever, .verify = verify_watched},
        {.name = "nudge", .prepare = prepare_empty, .survive = survive_watch, .before = before_watched, .run = run_nudge,
         .verify = verify_nudged},
        {.name = "look while another sleeps", .prepare = prepare_empty, .survive = survive_take, .before = before_spinning,
         .run = take, .verify = verify_spinning_strictly},
        {.name = "look, and give up", .prepare = prepare_empty, .survive = survive_take, .before = before_giving_up,
         .run = run_give_up, .verify = verify_given_up},
    };
    return kill_all(operations, sizeof operations / sizeof *operations, argc > 1 ? argv[1] : NULL) ? 1 : 0;
}
