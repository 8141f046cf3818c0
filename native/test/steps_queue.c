/* Killed at every step: putting, getting, waiting, closing, and what recovery makes of it. */
#define _GNU_SOURCE
#include "steps_memory.h"

static char text[64];
static uint32_t filled; /* messages that were there before */

static struct message message(uint32_t number) {
    memset(text, 0, sizeof text);
    snprintf(text, sizeof text, "message %u", number);
    return (struct message){.body = text, .size = sizeof text, .format = 1};
}

static void put(uint32_t number) {
    struct message one = message(number);
    uint32_t done = 0;
    CHECK(queue_put(&queue, &one, 1, &done, SOON) == 0);
}

/* The number of the next message; -1: there is none. Whatever comes must be whole. */
static int got(void) {
    struct taken taken;
    unsigned number;
    int r = queue_try_get(&queue, &taken);
    if (r == -EAGAIN) return -1;
    expect(r == 0, "the queue cannot be read");
    expect(taken.size == sizeof text && sscanf(taken.body, "message %u", &number) == 1, "a message is torn");
    for (uint32_t i = 0; i < taken.parcel_count; i++) {
        struct holding holding;
        expect(taken.parcels[i].stake != CELL_NONE, "a parcel is lost");
        if (queue.queue->flags & QUEUE_REDELIVERS) expect(holding_add(taken.parcels[i].index, taken.parcels[i].serial, &holding) == 0, "a parcel is lost");
        else parcel_claimed(&taken.parcels[i], &holding);
        whole(cell_at(holding.index), 'm');
        holding_drop(&holding);
    }
    if (queue.queue->flags & QUEUE_REDELIVERS) queue_settle(&queue, &taken, false);
    taken_free(&taken);
    return (int)number;
}

static void make_with(uint32_t maxsize, uint32_t flags, uint32_t messages) {
    make_queue(maxsize, flags);
    filled = messages;
    for (uint32_t i = 0; i < messages; i++) put(i);
}

/* So many that the next entry, or the one after it, needs another segment. */
#define NEARLY_FULL ((SEGMENT_SIZE - SEGMENT_HEAD) / (8 + sizeof text) - 1)

static void prepare_empty(void) { make_with(0, 0, 0); }
static void prepare_some(void) { make_with(0, 0, 3); }
static void prepare_nearly_full(void) { make_with(0, 0, NEARLY_FULL); }
static void prepare_redelivering(void) { make_with(0, QUEUE_REDELIVERS, 3); }
static void prepare_redelivering_full(void) { make_with(0, QUEUE_REDELIVERS, NEARLY_FULL + 3); }
static void prepare_bounded(void) { make_with(3, 0, 3); }

/* All that was there but `first` comes, in order, then those of `added`; then it is as new, and it can be freed. */
static void verify(uint32_t first, int added) {
    expect(queue_size(&queue) == filled - first + (uint32_t)added, "it is counted wrongly");
    for (uint32_t i = first; i < filled; i++) expect(got() == (int)i, "a message is not in its place");
    for (int i = 0; i < added; i++) expect(got() == 1000 + i, "a message that was put is not there");
    expect(got() == -1 && queue_size(&queue) == 0, "a message came twice");
    for (uint32_t i = 0; i < 2500; i++) {
        put(i);
        expect(queue_size(&queue) == 1 && got() == (int)i, "it is not usable");
    }
    uint64_t chunks = queue.queue->flags & QUEUE_REDELIVERS ? 4 : 3; /* itself, one segment (and one before it), a spare one */
    expect(got() == -1 && arena_used(OWNER_OBJECT(plan->cell)) <= chunks * CHUNK_SIZE, "a segment is lost");
    queue_shut(&queue);
    all_is_free();
}

/* --- putting --------------------------------------------------------------------------------------------------------- */

static void run_put(void) { put(1000); }
static void run_put_three(void) {
    struct message three[] = {message(1000), message(1000), message(1000)};
    char bodies[3][64];
    for (int i = 0; i < 3; i++) {
        message(1000u + (uint32_t)i);
        memcpy(bodies[i], text, sizeof text);
        three[i].body = bodies[i];
    }
    uint32_t done = 0;
    CHECK(queue_put(&queue, three, 3, &done, SOON) == 0);
}

static void run_put_block(void) {
    struct holding block;
    struct parcel parcel;
    struct message one = message(1000);
    uint32_t done = 0;
    fill_block(&block, 'm');
    CHECK(parcel_make(block.index, block.serial, true, &parcel) == 0);
    one.parcels = &parcel, one.parcel_count = 1;
    CHECK(queue_put(&queue, &one, 1, &done, SOON) == 0);
    holding_drop(&block);
}

static void verify_put(void) {
    put(2000); /* (puts in order what was begun) */
    int added = (int)(queue_size(&queue) - 1 - filled);
    expect(added >= 0 && added <= 3, "messages are lost, or came from nowhere");
    for (uint32_t i = 0; i < filled; i++) expect(got() == (int)i, "a message is not in its place");
    for (int i = 0; i < added; i++) expect(got() == 1000 + i, "a message that was put is not there");
    expect(got() == 2000, "what was put afterwards is not there");
    filled = 0;
    verify(0, 0);
}

/* --- getting --------------------------------------------------------------------------------------------------------- */

static void run_get(void) { CHECK(got() == 0); }
/* (Killed at the first and last messages of a segment, and at one in a hundred between: there, one is as the other.) */
static void run_get_all(void) {
    for (uint32_t i = 0; i < NEARLY_FULL + 2; i++) {
        unharmed = i > 2 && i + 3 < NEARLY_FULL && i % 101;
        CHECK(got() == (int)i);
    }
    unharmed = false;
}
static void prepare_two_segments(void) { make_with(0, 0, NEARLY_FULL + 3); }

static void verify_get(void) {
    put(1000);
    uint32_t first = filled + 1 - queue_size(&queue);
    expect(first <= 1, "more was taken than one");
    verify(first, 1);
}

/* Those that the dead one had in hand are given to another. */
static void verify_redelivered(void) {
    table_free(plan->victim); /* as its reaper does */
    put(1000);
    int next = got();
    expect(next == (strcmp(died_at, "entry done") == 0 || strcmp(died_at, "its end") == 0), "a message is lost");
    verify((uint32_t)next + 1, 1);
}

static void verify_get_all(void) {
    table_free(plan->victim);
    put(1000);
    int next = got();
    if (next == 1000) filled = 0, verify(0, 0);
    else verify((uint32_t)next + 1, 1);
}

static void prepare_block_sent(void) {
    make_with(0, 0, 0);
    run_put_block();
}
static void prepare_block_redelivering(void) {
    make_with(0, QUEUE_REDELIVERS, 0);
    run_put_block();
}
static void run_get_block(void) { got(); }
static void verify_block_got(void) {
    table_free(plan->victim);
    int next = got();
    expect(next == -1 || next == 1000, "a message is another");
    put(1001);
    expect(got() == 1001, "it is not usable");
    verify(0, 0);
}

/* --- the queue itself --------------------------------------------------------------------------------------------------- */

static struct queue_view mine;
static void run_make_queue(void) { CHECK(queue_make(0, 0, &mine) == 0); }
static void run_make_and_shut(void) {
    run_make_queue();
    queue_shut(&mine);
}

/* With a message, a block in it, and a queue in its own message. */
static void run_shut_full(void) {
    CHECK(queue_make(0, 0, &queue) == 0);
    run_put_block();
    put(1);
    queue_shut(&queue);
}

static void verify_shut(void) { all_is_free(); }

/* --- waiting --------------------------------------------------------------------------------------------------------- */

static void survive_get(void) {
    join_queue();
    struct taken taken;
    int r = queue_get(&queue, &taken, SOON);
    if (r == 0) taken_free(&taken);
    answer(r);
    queue_shut(&queue);
}

static void before_waited(void) {
    join_queue();
    survivor_first();
}

static void verify_waited(void) {
    if (!word_read(&plan->done)) {
        nap(2000);
        if (!word_read(&plan->done)) put(1001); /* what the dead one did not come to put */
    }
    survivor_is_done(0);
    while (got() >= 0) continue;
    verify(0, 0);
}

static void survive_put(void) {
    join_queue();
    struct message one = message(1000);
    uint32_t done = 0;
    answer(queue_put(&queue, &one, 1, &done, SOON));
    queue_shut(&queue);
}

static void verify_space(void) {
    if (!word_read(&plan->done)) {
        nap(2000);
        if (!word_read(&plan->done)) got();
    }
    survivor_is_done(0);
    while (got() >= 0) continue;
    filled = 0;
    verify(0, 0);
}

/* Both wait; what the victim is told and does not use is the survivor's. */
static void run_waiting_get(void) {
    struct taken taken;
    CHECK(queue_get(&queue, &taken, SOON) == 0);
    taken_free(&taken);
}
static void before_waiting_get(void) { join_queue(); }
static void attend_waiting_get(void) {
    if (is_asleep(plan->victim)) word_publish(&plan->go, 1);
    if (!let_go && waits_of_both()) {
        let_go = true;
        put(0);
    }
}
static void verify_waiting_get(void) {
    word_publish(&plan->go, 1);
    if (!let_go) put(0);
    nap(1000);
    if (!word_read(&plan->done)) put(1); /* the first may be in dead hands */
    survivor_is_done(0);
    while (got() >= 0) continue;
    verify(0, 0);
}

/* The victim has been told of a message, and before it takes that it is told of another, which is the survivor's then. */
static void put_another(const char *where) {
    if (strcmp(where, "waits again") != 0) return;
    meanwhile = NULL;
    put(1);
}
static void before_told_twice(void) {
    join_queue();
    meanwhile = put_another;
}
static void run_told_twice(void) { /* (not left to who learns of our end) */
    run_waiting_get();
    EVENTUALLY(word_read(&plan->done));
}

/* --- the end: the survivor waits for ever, the victim closes or just goes ----------------------------------------------- */

static void survive_closing(void) {
    join_queue();
    struct taken taken;
    answer(queue_get(&queue, &taken, PN_FOREVER));
    queue_shut(&queue);
}

static void before_closing(void) {
    join_queue();
    queue_close(&queue); /* (somebody must have) */
    join_queue();
    survivor_first();
}
static void run_close(void) { queue_close(&queue); }
static void run_leave(void) { queue_shut(&queue); }

static void verify_closed(void) {
    word_publish(&plan->go, 1);
    queue_close(&queue); /* the witness has it, too */
    survivor_is_done(-EPIPE);
    expect(queue_finished(&queue), "it is not seen to be closed");
    put(1);
    expect(!word_read(&queue.queue->closed) && got() == 1, "it does not open again");
    verify(0, 0);
}

/* --- tasks --------------------------------------------------------------------------------------------------------------- */

static void run_task_done(void) { CHECK(queue_task_done(&queue) == 0); }
static void prepare_task(void) {
    make_with(0, 0, 1);
    CHECK(got() == 0);
    filled = 0;
}
static void survive_join(void) {
    join_queue();
    answer(queue_join(&queue, SOON));
    queue_shut(&queue);
}
static void verify_task(void) {
    queue_task_done(&queue); /* (if the dead one did not) */
    expect(queue_all_done(&queue) && queue_task_done(&queue) == -EINVAL, "tasks are counted wrongly");
    survivor_is_done(0);
    verify(0, 0);
}

int main(int argc, char **argv) {
    static const struct operation operations[] = {
        {.name = "put", .prepare = prepare_empty, .before = join_queue, .run = run_put, .verify = verify_put},
        {.name = "put behind others", .prepare = prepare_some, .before = join_queue, .run = run_put, .verify = verify_put},
        {.name = "put three into the next segment", .prepare = prepare_nearly_full, .before = join_queue,
         .run = run_put_three, .verify = verify_put},
        {.name = "put a block", .prepare = prepare_empty, .before = join_queue, .run = run_put_block, .verify = verify_put},
        {.name = "get", .prepare = prepare_some, .before = join_queue, .run = run_get, .verify = verify_get},
        {.name = "get into the next segment", .prepare = prepare_two_segments, .before = join_queue, .run = run_get_all,
         .verify = verify_get_all},
        {.name = "get a block", .prepare = prepare_block_sent, .before = join_queue, .run = run_get_block,
         .verify = verify_block_got},
        {.name = "get, to be redelivered", .prepare = prepare_redelivering, .before = join_queue, .run = run_get,
         .verify = verify_redelivered},
        {.name = "get into the next segment, to be redelivered", .prepare = prepare_redelivering_full, .before = join_queue,
         .run = run_get_all, .verify = verify_get_all},
        {.name = "get a block, to be redelivered", .prepare = prepare_block_redelivering, .before = join_queue,
         .run = run_get_block, .verify = verify_block_got},
        {.name = "make a queue", .run = run_make_queue, .verify = verify_shut},
        {.name = "make and shut a queue", .run = run_make_and_shut, .verify = verify_shut},
        {.name = "shut a full queue", .run = run_shut_full, .verify = verify_shut},
        {.name = "put for one that waits", .prepare = prepare_empty, .survive = survive_get, .before = before_waited,
         .run = run_put, .verify = verify_waited},
        {.name = "make space for one that waits", .prepare = prepare_bounded, .survive = survive_put,
         .before = before_waited, .run = run_get, .verify = verify_space},
        {.name = "wait for a message", .prepare = prepare_empty, .survive = survive_get, .before = before_waiting_get,
         .run = run_waiting_get, .attend = attend_waiting_get, .verify = verify_waiting_get},
        {.name = "wait for a message, and be told of another", .prepare = prepare_empty, .survive = survive_get,
         .before = before_told_twice, .run = run_told_twice, .attend = attend_waiting_get, .verify = verify_waiting_get},
        {.name = "close", .prepare = prepare_empty, .survive = survive_closing, .before = before_closing, .run = run_close,
         .verify = verify_closed},
        {.name = "leave", .prepare = prepare_empty, .survive = survive_closing, .before = before_closing, .run = run_leave,
         .verify = verify_closed},
        {.name = "end a task", .prepare = prepare_task, .survive = survive_join, .before = before_waited,
         .run = run_task_done, .verify = verify_task},
    };
    return kill_all(operations, sizeof operations / sizeof *operations, argc > 1 ? argv[1] : NULL) ? 1 : 0;
}
