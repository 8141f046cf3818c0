/* What the programs that kill at every step share: the n-th call of `pn_step` is the process's last instruction. */
#ifndef PROCESSION_TEST_STEPS_H
#define PROCESSION_TEST_STEPS_H

#include "check.h"

static int step, last_step; /* 0: never */
static bool unharmed;       /* nobody dies here: others did, where all was the same */
static const char *died_at = "";
static char (*place)[64]; /* shared: where the dead one stood */

static void (*meanwhile)(const char *where); /* what another process does at that step */

void pn_step(const char *where) {
    if (meanwhile) meanwhile(where);
    if (unharmed || ++step != last_step) return;
    snprintf(*place, sizeof *place, "%s", where);
    kill(getpid(), SIGKILL);
    pause();
}

static int points; /* at which a process was killed, in all */

/* `run(operation, n)` dies at the n-th step: for n = 1, 2, ... until it comes to its end (true). How many failed: 0 or 1. */
static inline int kill_at_every_step(const char *name, bool (*run)(const void *operation, int n), const void *operation) {
    fflush(NULL);
    int *reached = shared(sizeof *reached), status;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(60);
        for (*reached = 1; !run(operation, *reached);) ++*reached;
        _exit(0);
    }
    waitpid(pid, &status, 0);
    points += *reached - 1;
    if (status == 0 && *reached > 1) return 0;
    fprintf(stderr, "%s failed at point %d (wait status %#x)\n", name, *reached, (unsigned)status);
    return 1;
}

static void expect(bool condition, const char *what) {
    if (condition) return;
    fprintf(stderr, "killed after \"%s\": %s\n", died_at, what);
    _exit(1);
}

#endif
