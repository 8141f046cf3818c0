/* What the programs that kill at every step share: the n-th call of `pn_step` is the process's last instruction. */
#ifndef PROCESSION_TEST_STEPS_H
#define PROCESSION_TEST_STEPS_H

#include "check.h"

static int step, last_step; /* 0: never */
static const char *died_at = "";
static char (*place)[64]; /* shared: where the dead one stood */

static void (*meanwhile)(const char *where); /* what another process does at that step */

void pn_step(const char *where) {
    if (meanwhile) meanwhile(where);
    if (++step != last_step) return;
    snprintf(*place, sizeof *place, "%s", where);
    kill(getpid(), SIGKILL);
    pause();
}

static void expect(bool condition, const char *what) {
    if (condition) return;
    fprintf(stderr, "killed after \"%s\": %s\n", died_at, what);
    _exit(1);
}

#endif
