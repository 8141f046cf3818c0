/* What the programs share that kill at every step of cells and waits. Three members: the witness (this process), the victim, and
 * in some cases the survivor, a process that waits for the same object. The victim runs the operation and dies at its n-th step;
 * the witness calls recover() as the reaper would. Then the survivor must have got what it waited for, the object must be usable,
 * and nothing of the victim's may be left. */
#ifndef PROCESSION_TEST_STEPS_SYNC_H
#define PROCESSION_TEST_STEPS_SYNC_H

#include "../mutex.h"
#include "../recover.h"
#include "../shares.h"
#include "steps.h"

#define SOON (clock_monotonic() + 10 * PN_SECOND)

struct operation {
    const char *name;
    void (*prepare)(void);  /* the witness, before anybody else */
    void (*survive)(void);  /* the survivor, once `go` is set */
    void (*before)(void);   /* the victim, not to be killed */
    void (*run)(void);
    void (*attend)(void);   /* the witness, while the victim lives */
    void (*verify)(void);
};

static struct plan {
    struct member witness, victim, survivor, dead;
    uint32_t cell, lock, stake, serial; /* cells */
    word32 go;                  /* the survivor may begin */
    word32 done, result;        /* the survivor's */
    word32 held;                /* the victim held it when it died */
    enum wait_state told;       /* what the victim's wait was told when it died */
    bool notified;
} *plan;

static pid_t victim, survivor;

static inline struct cell *object(void) { return cell_at(plan->cell); }
static inline struct mutex lock(void) { return mutex_of(cell_at(plan->lock)); }

static inline uint32_t make(enum cell_kind kind, uint32_t word, uint32_t count, uint32_t flags) {
    uint32_t index;
    CHECK(cell_claim(&index) == 0);
    word_poke(&cell_at(index)->word, word);
    word_poke(&cell_at(index)->count, count);
    cell_publish(index, kind, flags);
    return index;
}

/* The first wait of that member, or NULL. */
static inline struct wait *wait_of(struct member who) {
    for (uint32_t i = 0; i < waits_used(); i++) {
        uint32_t state = word_read(&wait_at(i)->state);
        if ((state & 0xff) > WAIT_CLAIMED && WAIT_OWNER(state) == who.slot + 1) return wait_at(i);
    }
    return NULL;
}

static inline bool is_asleep(struct member who) {
    struct wait *wait = wait_of(who);
    return wait && wait_state(wait) == WAIT_ASLEEP;
}

static inline void answer(int result) {
    word_publish(&plan->result, (uint32_t)result);
    word_publish(&plan->done, 1);
}

static inline int result(void) { return (int)word_read(&plan->result); }

static bool let_go; /* the witness has */
static inline bool waits_of_both(void) { return is_asleep(plan->victim) && (!survivor || is_asleep(plan->survivor)); }

static inline void prepare_lock(void) { plan->lock = plan->cell = make(CELL_LOCK, 0, 0, CELL_SENT); }

static inline void take_lock(void) { CHECK(mutex_lock(lock(), SOON) == 0); }

/* The survivor sleeps before the victim goes on. */
static inline void survivor_first(void) {
    word_publish(&plan->go, 1);
    EVENTUALLY(is_asleep(plan->survivor));
}

/* --- another that is dead, and recovery as what the victim does --- */

static inline void die_as(void (*act)(void)) {
    pid_t pid = fork();
    if (pid == 0) {
        sync_become(plan->dead.slot);
        act();
        _exit(0);
    }
    end_of(pid, 0);
}

static inline void begin_wait(uint32_t key) {
    struct wait *wait;
    CHECK(wait_begin(key, 0, 0, NO_CHANNEL, &wait) == 0);
}

static inline void run_recover(void) { recover(plan->dead.slot, false); }

/* --- what is true of all afterwards ---------------------------------------------------------------------------- */

static inline void survivor_is_done(int expected) {
    if (!survivor) return;
    int64_t give_up = clock_monotonic() + 3 * PN_SECOND;
    while (!word_read(&plan->done) && clock_monotonic() < give_up) nap(50);
    expect(word_read(&plan->done), "the survivor waits in vain");
    if (expected >= 0) expect(result() == expected, "the survivor was told something else");
    end_of(survivor, 0);
    survivor = 0;
}

static inline void nothing_is_left(void) {
    uint32_t gone = plan->victim.slot + 1, gone_too = plan->dead.slot + 1;
    for (uint32_t i = 1; i < word_read(&commons->cells_used); i++) {
        struct cell *cell = cell_at(i);
        uint32_t owner = word_read(&cell->tid);
        expect(cell_kind(cell) != CELL_CLAIMED, "a claimed cell is left");
        if (cell_kind(cell) != CELL_STAKE) continue;
        expect(owner != gone && owner != gone_too && owner != STAKE_DEAD, "a stake of the dead is left");
        expect(owner != 0 || word_read(&cell->word) == 0 || cell_kind(cell_at(cell->count)) == CELL_BARRIER,
               "nobody's stake has something");
    }
    for (uint32_t i = 0; i < 64; i++) {
        enum wait_state state = wait_state(wait_at(i));
        if (state == WAIT_EPITAPH) CHECK(wait_end(wait_at(i)) == WAIT_EPITAPH);
        else expect(state == WAIT_FREE, "a wait is left");
    }
}

static inline void lock_is_usable(int expected) {
    int r = mutex_lock(lock(), clock_monotonic() + PN_SECOND);
    expect(r >= 0, "the lock cannot be had");
    if (expected >= 0) expect(r == expected, "HOLDER_DIED is not told as it is");
    expect(mutex_try(lock()) == -EBUSY, "the lock can be had twice");
    mutex_unlock(lock(), false);
    expect(word_read(lock().word) == 0, "a free lock is not free");
}

/* --- the run ----------------------------------------------------------------------------------------------------------- */

static inline struct member add(void) {
    struct member who;
    CHECK(table_add(&who, RECORD_RUNNING, 0, nobody, "member") == 0);
    return who;
}

static inline pid_t start(struct member who, void (*before)(void), void (*run)(void), int n, bool when_told) {
    pid_t me = getpid(), pid = fork();
    CHECK(pid >= 0);
    if (pid > 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != me) _exit(0);
    sync_become(who.slot);
    while (when_told && !word_read(&plan->go)) nap(20);
    if (before) before();
    step = 0;
    last_step = n;
    run();
    _exit(0);
}

static inline bool run_until(const void *which, int n) {
    const struct operation *operation = which;
    CHECK(commons_found() == 0);
    memset(plan, 0, sizeof *plan);
    let_go = false;
    plan->witness = add(), plan->victim = add(), plan->survivor = add(), plan->dead = add();
    sync_become(plan->witness.slot);
    CHECK(sync_enter() == 0);
    survivor = operation->survive ? start(plan->survivor, NULL, operation->survive, 0, true) : 0;
    if (operation->prepare) operation->prepare();
    strcpy(*place, "its end");
    victim = start(plan->victim, operation->before, operation->run, n, false);
    int status;
    pid_t gone;
    while ((gone = waitpid(victim, &status, operation->attend ? WNOHANG : 0)) == 0) {
        operation->attend();
        nap(20);
    }
    CHECK(gone == victim && (status == 0 || status == SIGKILL));
    died_at = *place;
    if (plan->lock && (word_read(lock().word) & HOLDER) == plan->victim.slot + 1) plan->held = 1;
    struct wait *wait = wait_of(plan->victim);
    if (wait) plan->told = wait_state(wait);
    recover(plan->victim.slot, false);
    operation->verify();
    expect(!survivor, "the survivor is not done");
    nothing_is_left();
    commons_leave();
    return status == 0;
}

/* Each of them; how many failed. `only`: the name of one, or NULL. */
static inline int kill_all(const struct operation *operations, int count, const char *only) {
    int failed = 0;
    plan = shared(sizeof *plan);
    place = shared(sizeof *place);
    for (int i = 0; i < count; i++)
        if (!only || strcmp(only, operations[i].name) == 0) failed += kill_at_every_step(operations[i].name, run_until, &operations[i]);
    printf("%d operations killed at %d points\n", count, points);
    return failed;
}

/* --- races, step by step ------------------------------------------------------------------------------------------------- */

static inline void found_alone(enum cell_kind kind, uint32_t count) {
    CHECK(commons_found() == 0);
    plan->witness = add();
    sync_become(plan->witness.slot);
    plan->cell = make(kind, 0, count, CELL_SENT);
}

#endif
