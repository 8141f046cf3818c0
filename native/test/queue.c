/* Queues: order, limits, closing; many producers and consumers at once; real deaths. */
#define _GNU_SOURCE
#include "../arena.h"
#include "../queue.h"
#include "sync.h"

static struct queue_view queue;

struct note { /* what the consumers saw; shared */
    word32 got[8][40000];
    word32 in_all, out_of_order;
} *note;

static void found_queue(uint32_t maxsize, uint32_t flags) {
    found();
    CHECK(queue_make(maxsize, flags, &queue) == 0);
}

static void join_queue(struct queue_view *mine) {
    holdings_of_process = NULL;
    CHECK(holding_add(queue.holding.index, queue.holding.serial, &mine->holding) == 0 && queue_open(mine) == 0);
}

static int put_bytes(struct queue_view *view, const void *bytes, uint32_t size, int64_t deadline) {
    struct message one = {.body = bytes, .size = size, .format = 1};
    uint32_t done = 0;
    if (deadline == 0) return queue_try_put(view, &one, 1, &done);
    return queue_put(view, &one, 1, &done, deadline);
}

static void messages_of_all_sizes_come_in_order(void) {
    static char bytes[MESSAGE_MOST];
    found_queue(0, 0);
    for (uint32_t size = 0; size <= MESSAGE_MOST; size += 97) {
        memset(bytes, (int)size & 0xff, size);
        CHECK(put_bytes(&queue, bytes, size, 0) == 0);
    }
    for (uint32_t size = 0; size <= MESSAGE_MOST; size += 97) {
        struct taken taken;
        CHECK(queue_try_get(&queue, &taken) == 0 && taken.size == size);
        for (uint32_t i = 0; i < size; i++) CHECK((uint8_t)taken.body[i] == (uint8_t)size);
        taken_free(&taken);
    }
    struct taken taken;
    CHECK(queue_try_get(&queue, &taken) == -EAGAIN && queue_size(&queue) == 0);
    CHECK(arena_used(OWNER_ANY) <= 3 * CHUNK_SIZE); /* itself, a segment, a spare one */
    queue_shut(&queue);
    CHECK(arena_used(OWNER_ANY) == 0);
    commons_leave();
}

static void a_bounded_one_is_full(void) {
    found_queue(2, 0);
    struct taken taken;
    CHECK(put_bytes(&queue, "a", 1, 0) == 0 && !queue_full(&queue) && put_bytes(&queue, "b", 1, 0) == 0);
    CHECK(queue_full(&queue) && put_bytes(&queue, "c", 1, 0) == -EAGAIN && queue_size(&queue) == 2);
    CHECK(put_bytes(&queue, "c", 1, clock_monotonic() + 5 * MS) == -ETIMEDOUT);
    CHECK(queue_try_get(&queue, &taken) == 0 && taken.body[0] == 'a');
    CHECK(put_bytes(&queue, "c", 1, 0) == 0);
    for (int i = 'b'; i <= 'c'; i++) CHECK(queue_try_get(&queue, &taken) == 0 && taken.body[0] == i);
    CHECK(queue_get(&queue, &taken, clock_monotonic() + 5 * MS) == -ETIMEDOUT);
    queue_shut(&queue);
    commons_leave();
}

static void a_block_goes_with_its_message(void) {
    found_queue(0, 0);
    struct holding block;
    struct parcel parcel;
    CHECK(holding_make(CELL_BLOCK, 300000, NULL, 0, &block) == 0);
    CHECK(parcel_make(block.index, block.serial, false, &parcel) == 0);
    struct message one = {.body = "", .format = 1, .parcel_count = 1, .parcels = &parcel};
    uint32_t done = 0;
    CHECK(queue_try_put(&queue, &one, 1, &done) == 0);
    holding_drop(&block);
    CHECK(arena_used(OWNER_ANY) >= 300000);
    struct taken taken;
    CHECK(queue_try_get(&queue, &taken) == 0 && taken.parcel_count == 1);
    parcel_claimed(&taken.parcels[0], &block);
    taken_free(&taken);
    CHECK(block_size(holding_cell(&block)) == 300000);
    holding_drop(&block);
    CHECK(arena_used(OWNER_ANY) < 300000);
    queue_shut(&queue);
    CHECK(arena_used(OWNER_ANY) == 0);
    commons_leave();
}

/* --- many at once -------------------------------------------------------------------------------------------------------- */

static int each;         /* messages of each producer */
static bool one_handle;  /* threads share it */

static void produce(int number) {
    struct queue_view own, *view = one_handle ? &queue : &own;
    if (!one_handle) join_queue(view);
    for (int i = 0; i < each; i++) {
        uint32_t what[8] = {(uint32_t)number, (uint32_t)i};
        CHECK(put_bytes(view, what, sizeof what - (uint32_t)i % 3 * 8, SOON) == 0);
    }
    if (!one_handle) queue_shut(view);
}

static void consume(int number) {
    struct queue_view own, *view = one_handle ? &queue : &own;
    int64_t last[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
    if (!one_handle) join_queue(view);
    while (word_read(&note->in_all) < (uint32_t)each * 2) {
        struct taken taken;
        int r = queue_get(view, &taken, clock_monotonic() + 20 * MS);
        if (r == -ETIMEDOUT) continue;
        CHECK(r == 0);
        const uint32_t *what = (const uint32_t *)taken.body;
        if (last[what[0]] >= (int64_t)what[1]) word_add(&note->out_of_order, 1);
        last[what[0]] = what[1];
        word_add(&note->got[what[0]][what[1]], 1);
        word_add(&note->in_all, 1);
        taken_free(&taken);
    }
    (void)number;
    if (!one_handle) queue_shut(view);
}

static void one_of_each(int number) {
    if (number < 2) produce(number);
    else consume(number);
}

static void all_came_once(void) {
    for (int p = 0; p < 2; p++)
        for (int i = 0; i < each; i++) CHECK(word_read(&note->got[p][i]) == 1);
    CHECK(word_read(&note->out_of_order) == 0 && queue_size(&queue) == 0);
    queue_shut(&queue);
    CHECK(arena_used(OWNER_ANY) == 0);
    commons_leave();
}

static void many(uint32_t maxsize, uint32_t flags, bool of_one_process) {
    found_queue(maxsize, flags);
    note = shared(sizeof *note);
    each = ROUNDS(20000);
    one_handle = of_one_process;
    if (of_one_process) threads(4, one_of_each);
    else processes(4, one_of_each);
    all_came_once();
}

static void threads_get_all_once(void) { many(0, 0, true); }
static void processes_get_all_once(void) { many(0, 0, false); }
static void threads_of_a_bounded_one(void) { many(7, 0, true); }
static void processes_of_a_bounded_one(void) { many(7, 0, false); }

/* --- real deaths ----------------------------------------------------------------------------------------------------------- */

static void hold_for_ever(int number) {
    struct queue_view mine;
    struct taken taken;
    (void)number;
    join_queue(&mine);
    CHECK(queue_get(&mine, &taken, SOON) == 0);
    word_publish(&note->in_all, 1);
    for (;;) pause();
}

/* One that waits gets what another had in hand when it was killed. */
static void in_dead_hands(void) {
    found_queue(0, QUEUE_REDELIVERS);
    note = shared(sizeof *note);
    CHECK(put_bytes(&queue, "precious", 9, 0) == 0);
    struct member who;
    pid_t pid = process(hold_for_ever, 0, &who);
    EVENTUALLY(word_read(&note->in_all) == 1);
    struct taken taken;
    CHECK(queue_try_get(&queue, &taken) == -EAGAIN);
    kill(pid, SIGKILL);
    end_of(pid, SIGKILL);
    recover(who.slot, false); /* as its reaper does */
    CHECK(queue_get(&queue, &taken, SOON) == 0 && strcmp(taken.body, "precious") == 0);
    queue_settle(&queue, &taken, false);
    taken_free(&taken);
    CHECK(queue_try_get(&queue, &taken) == -EAGAIN);
    queue_shut(&queue);
    CHECK(arena_used(OWNER_ANY) == 0);
    commons_leave();
}

/* It was given back by its own receiver. */
static void what_is_given_back_comes_again(void) {
    found_queue(0, QUEUE_REDELIVERS);
    struct taken taken, other;
    CHECK(put_bytes(&queue, "a", 2, 0) == 0 && put_bytes(&queue, "b", 2, 0) == 0);
    CHECK(queue_try_get(&queue, &taken) == 0);
    queue_settle(&queue, &taken, true);
    CHECK(queue_try_get(&queue, &other) == 0 && other.body[0] == 'a');
    queue_settle(&queue, &other, false);
    CHECK(queue_try_get(&queue, &other) == 0 && other.body[0] == 'b');
    queue_settle(&queue, &other, false);
    CHECK(queue_try_get(&queue, &other) == -EAGAIN);
    queue_shut(&queue);
    commons_leave();
}

/* Its pid is known, its start time not yet, and a parcel is addressed to it: who looks after the dead takes it for alive. So it
 * does while the record is that of the next member, not filled in yet. */
static void who_has_just_been_born_is_not_dead(void) {
    found_queue(0, 0);
    struct parcel parcel;
    struct member born = member_add();
    struct record *record = table_get(born);
    pid_t pid = fork();
    if (pid == 0) pause();
    word_poke(&record->pid, (uint32_t)pid);
    CHECK(parcel_make(queue.holding.index, queue.holding.serial, false, &parcel) == 0 && parcel_address(&parcel, born.slot));
    CHECK(!recover_look(queue.holding.index) && word_read(&cell_at(parcel.stake)->tid) == born.slot + 1);
    uint32_t state = word_read(&record->state);
    kill(pid, SIGKILL);
    end_of(pid, SIGKILL);
    word_publish(&record->state, RECORD_CLAIMED);
    CHECK(!recover_look(queue.holding.index) && word_read(&cell_at(parcel.stake)->tid) == born.slot + 1);
    word_publish(&record->state, state);
    CHECK(recover_look(queue.holding.index) && word_read(&cell_at(parcel.stake)->tid) == 0);
    queue_shut(&queue);
    CHECK(arena_used(OWNER_ANY) == 0);
    commons_leave();
}

int main(void) {
    int failed = 0;
    CASE(messages_of_all_sizes_come_in_order);
    CASE(a_bounded_one_is_full);
    CASE(a_block_goes_with_its_message);
    CASE(threads_get_all_once);
    CASE(processes_get_all_once);
    CASE(threads_of_a_bounded_one);
    CASE(processes_of_a_bounded_one);
    CASE(in_dead_hands);
    CASE(what_is_given_back_comes_again);
    CASE(who_has_just_been_born_is_not_dead);
    return failed;
}
