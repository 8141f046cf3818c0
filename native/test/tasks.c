/* Tasks: tags, withdrawing, watching; many workers at once, some of which are killed with a task in hand. */
#define _GNU_SOURCE
#include "../tasks.h"

#include "../arena.h"
#include "sync.h"

static struct queue_view queue, results;

struct note { /* shared */
    word32 begun[20001], ended[20001], withdrawn[20001];
    word32 stop, in_all, woken;
} *note;

static void join_one(const struct queue_view *from, struct queue_view *mine) {
    CHECK(holding_add(from->holding.index, from->holding.serial, &mine->holding) == 0 && queue_open(mine) == 0);
}

static void found_queue(void) {
    found();
    CHECK(queue_make(0, QUEUE_TASKS, &queue) == 0);
}

static void done_with(struct queue_view *view) {
    queue_shut(view);
    CHECK(arena_used(OWNER_ANY) == 0);
    commons_leave();
}

static void put(struct queue_view *view, uint64_t number, uint64_t aux) {
    uint64_t tag[2] = {number, aux};
    struct message one = {.body = tag, .size = sizeof tag, .format = 2, .tag = tag};
    uint32_t done = 0;
    CHECK(queue_put(view, &one, 1, &done, SOON) == 0);
}

static uint64_t of(struct taken *taken) {
    CHECK(taken->size == 16 && taken->format == 2 && memcmp(taken->tag, taken->body, 16) == 0);
    taken_free(taken);
    return taken->tag[0];
}

static void tags_come_as_they_were_put(void) {
    struct taken taken;
    uint32_t done = 0;
    found_queue();
    put(&queue, 1, UINT64_MAX), put(&queue, UINT64_MAX, 0);
    CHECK(queue_put(&queue, &(struct message){.body = "a", .size = 1, .format = 3}, 1, &done, SOON) == 0);
    CHECK(queue_try_take(&queue, &taken) == 0 && taken.tag[1] == UINT64_MAX && of(&taken) == 1);
    CHECK(word_read(&task_record()->task) == 1 && word_read(&task_record()->task_since) <= (uint64_t)clock_monotonic());
    task_end();
    CHECK(queue_try_get(&queue, &taken) == 0 && of(&taken) == UINT64_MAX && word_read(&task_record()->task) == 0);
    CHECK(queue_try_get(&queue, &taken) == 0 && taken.tag[0] == 0 && taken.tag[1] == 0 && taken.size == 1 && taken.format == 3);
    done_with(&queue);
}

static void what_is_withdrawn_is_not_there(void) {
    struct taken taken;
    found_queue();
    for (uint64_t i = 1; i <= 3000; i++) put(&queue, i, 0);
    for (uint64_t i = 3000; i > 0; i--)
        if (i % 3) CHECK(queue_withdraw(&queue, i, SOON) == 1 && queue_withdraw(&queue, i, SOON) == 0);
    CHECK(queue_size(&queue) == 1000);
    for (uint64_t i = 3; i <= 3000; i += 3) CHECK(queue_readable(&queue) && queue_try_get(&queue, &taken) == 0 && of(&taken) == i);
    CHECK(queue_size(&queue) == 0 && !queue_readable(&queue) && queue_try_get(&queue, &taken) == -EAGAIN);
    for (uint64_t i = 1; i <= 3; i++) put(&queue, i, 0);
    CHECK(queue_withdraw(&queue, 3, SOON) == 1 && queue_withdraw(&queue, 2, SOON) == 1 && queue_withdraw(&queue, 1, SOON) == 1);
    CHECK(queue_size(&queue) == 0 && !queue_readable(&queue));
    CHECK(queue_take(&queue, &taken, clock_monotonic() + 5 * MS) == -ETIMEDOUT);
    done_with(&queue);
}

/* --- watching -------------------------------------------------------------------------------------------------------------- */

static void watch(int number) {
    uint32_t seen = 0;
    (void)number;
    word_publish(&note->woken, (uint32_t)queue_watch(&queue, &seen, SOON) + 10);
    word_add(&note->in_all, 1);
}

static void *watch_main(void *arg) {
    watch((int)(intptr_t)arg);
    return NULL;
}

static pthread_t watcher(void) {
    pthread_t thread;
    word_publish(&note->woken, 0);
    CHECK(pthread_create(&thread, NULL, watch_main, NULL) == 0);
    EVENTUALLY(sleepers(queue.holding.index | KEY_PART(PART_WATCH)) == 1 || word_read(&note->woken));
    return thread;
}

static void who_watches_is_woken_unless_somebody_attends(void) {
    struct taken taken;
    found_queue();
    note = shared(sizeof *note);
    pthread_t thread = watcher();
    put(&queue, 1, 0);
    pthread_join(thread, NULL);
    CHECK(word_read(&note->woken) == 11 && queue_try_get(&queue, &taken) == 0);
    CHECK(queue_attend(&queue, true) == 0);
    thread = watcher();
    put(&queue, 2, 0);
    CHECK(sleepers(queue.holding.index | KEY_PART(PART_WATCH)) == 1 && !word_read(&note->woken));
    CHECK(queue_attend(&queue, false) == 0);
    pthread_join(thread, NULL);
    CHECK(word_read(&note->woken) == 11 && queue_try_get(&queue, &taken) == 0);
    CHECK(queue_attend(&queue, true) == 0);
    thread = watcher();
    put(&queue, 3, 0);
    CHECK(queue_try_get(&queue, &taken) == 0 && queue_attend(&queue, false) == 0 && !word_read(&note->woken));
    put(&queue, 4, 0);
    pthread_join(thread, NULL);
    no_wait_is_left();
    done_with(&queue);
}

static void a_nudge_is_not_missed(void) {
    found_queue();
    note = shared(sizeof *note);
    pthread_t thread = watcher();
    queue_nudge(&queue);
    pthread_join(thread, NULL);
    CHECK(word_read(&note->woken) == 10);
    uint32_t seen = 0;
    CHECK(queue_watch(&queue, &seen, SOON) == 0 && seen == 1); /* (it came before) */
    CHECK(queue_watch(&queue, &seen, clock_monotonic() + 5 * MS) == -ETIMEDOUT);
    no_wait_is_left();
    done_with(&queue);
}

/* --- many at once ---------------------------------------------------------------------------------------------------------- */

static int each;

static void work(int number) {
    struct queue_view mine, back;
    struct taken taken;
    (void)number;
    holdings_of_process = NULL;
    join_one(&queue, &mine), join_one(&results, &back);
    for (;;) {
        CHECK(queue_take(&mine, &taken, SOON) == 0);
        uint64_t task = of(&taken);
        if (task == 0) break;
        word_add(&note->begun[task], 1);
        put(&back, task, 0);
        task_end();
    }
    queue_shut(&mine), queue_shut(&back);
}

/* One at a time, so that workers sleep and spin; then many, of which some are withdrawn. */
static void collect(uint64_t from, uint64_t to) {
    struct taken taken;
    for (uint64_t i = from; i < to; i++) {
        CHECK(queue_get(&results, &taken, SOON) == 0);
        word_add(&note->ended[of(&taken)], 1);
    }
}

static void every_task_is_done_once(void) {
    found_queue();
    CHECK(queue_make(0, QUEUE_TASKS, &results) == 0);
    note = shared(sizeof *note);
    each = ROUNDS(4000);
    pid_t pids[3];
    for (int i = 0; i < 3; i++) pids[i] = process(work, i, NULL);
    for (int i = 1; i <= each; i++) {
        put(&queue, (uint64_t)i, 0);
        if (i % 7) collect(0, 1);
        else put(&queue, (uint64_t)++i, 0), collect(0, 2);
    }
    uint32_t begun = 0, ended = 0, withdrawn = 0;
    for (int i = 1; i <= each + 1; i++) begun += word_read(&note->begun[i]), ended += word_read(&note->ended[i]);
    CHECK(begun == ended && begun >= (uint32_t)each);
    for (int i = 1; i <= each; i++) put(&queue, 10000 + (uint64_t)i, 0);
    for (int i = each; i > 0; i -= 5) withdrawn += queue_withdraw(&queue, 10000 + (uint64_t)i, SOON) == 1 ? word_add(&note->withdrawn[10000 + i], 1) + 1 : 0;
    collect(0, (uint32_t)each - withdrawn);
    for (int i = 10001; i <= 10000 + each; i++)
        CHECK(word_read(&note->begun[i]) + word_read(&note->withdrawn[i]) == 1 && word_read(&note->ended[i]) == word_read(&note->begun[i]));
    for (int i = 0; i < 3; i++) put(&queue, 0, 0);
    for (int i = 0; i < 3; i++) end_of(pids[i], 0);
    CHECK(queue_size(&queue) == 0 && queue_size(&results) == 0 && !word_read(&queue.queue->spinner));
    queue_shut(&results);
    done_with(&queue);
}

/* --- real deaths ----------------------------------------------------------------------------------------------------------- */

/* (Who mends the queue may have its lock for a moment.) */
static void drain(void) {
    struct taken taken;
    while (queue_get_now(&results, &taken) == 0) word_add(&note->ended[of(&taken)], 1);
}

/* As a pool does: what the dead one had in hand, and is not done, is put again. */
static void bury(pid_t pid, struct member who, uint32_t *again) {
    kill(pid, SIGKILL);
    end_of(pid, SIGKILL);
    uint64_t task = task_of_dead(who.slot);
    recover(who.slot, false);
    table_free(who);
    drain();
    if (task == 0 || word_read(&note->ended[task])) return;
    CHECK(queue_withdraw(&queue, task, SOON) == 0);
    put(&queue, task, 0);
    ++*again;
}

static void no_task_is_lost_with_its_worker(void) {
    found_queue();
    CHECK(queue_make(0, QUEUE_TASKS, &results) == 0);
    note = shared(sizeof *note);
    int rounds = ROUNDS(60), in_all = 0;
    uint32_t again = 0;
    pid_t pids[2];
    struct member who[2];
    for (int i = 0; i < 2; i++) pids[i] = process(work, i, &who[i]);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < 200; i++) put(&queue, (uint64_t)++in_all, 0);
        nap(50 + round * 37 % 400);
        bury(pids[round % 2], who[round % 2], &again);
        pids[round % 2] = process(work, 0, &who[round % 2]);
    }
    for (int i = 0; i < 2; i++) put(&queue, 0, 0);
    for (int i = 0; i < 2; i++) end_of(pids[i], 0);
    drain();
    for (int i = 1; i <= in_all; i++) CHECK(word_read(&note->ended[i]) == 1);
    queue_shut(&results);
    done_with(&queue);
}

int main(void) {
    int failed = 0;
    CASE(tags_come_as_they_were_put);
    CASE(what_is_withdrawn_is_not_there);
    CASE(who_watches_is_woken_unless_somebody_attends);
    CASE(a_nudge_is_not_missed);
    CASE(every_task_is_done_once);
    CASE(no_task_is_lost_with_its_worker);
    return failed;
}
