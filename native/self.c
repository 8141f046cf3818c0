#define _GNU_SOURCE
#include "self.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cells.h"
#include "kin.h"
#include "proc.h"

static char *worn; /* where the cookie's value lies in the block that /proc/self/environ shows */

/* Fields 50 and 51 of /proc/self/stat: the environment block on the stack. */
static int environment_block(char **start, char **end) {
    char text[1024];
    FILE *file = fopen("/proc/self/stat", "re");
    if (!file) return -errno;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = 0;
    char *field = strrchr(text, ')');
    for (int i = 2; i < 50 && field; i++) field = strchr(field + 1, ' ');
    unsigned long from = 0, to = 0;
    if (!field || sscanf(field, "%lu %lu", &from, &to) != 2 || from == 0) return -EPROTO;
    *start = (char *)from;
    *end = (char *)to;
    return 0;
}

static char *find_worn(void) {
    static const char key[] = KIN_COOKIE "=";
    char *at, *end;
    if (environment_block(&at, &end) < 0) return NULL;
    for (; at < end; at += strnlen(at, (size_t)(end - at)) + 1)
        if (strncmp(at, key, sizeof key - 1) == 0) return at + sizeof key - 1;
    return NULL;
}

int self_wear_cookie(struct member who) {
    char cookie[KIN_COOKIE_SIZE];
    if (!worn) worn = find_worn();
    if (!worn) return -ENOENT;
    kin_cookie(who, cookie);
    if (strlen(worn) != strlen(cookie)) return -ENOENT;
    memcpy(worn, cookie, strlen(cookie));
    return 0;
}

bool self_settle(struct member who, enum record_state state) {
    struct record *record = table_get(who);
    struct proc_stat stat;
    if (!record) return false;
    if (proc_stat(getpid(), &stat) == 0) table_sit(record, getpid(), stat.start_time);
    sync_become(who.slot);
    self_count_from_here(who);
    return table_enter(who, state);
}

void self_count_from_here(struct member who) {
    struct record *record = table_get(who);
    uint64_t run, ready;
    if (!record) return;
    proc_sched(getpid(), &run, &ready);
    word_poke(&record->run_base, run);
    word_poke(&record->ready_base, ready);
    pn_step("bases");
}

/* No child now, and none ever waited for: nothing that this process started can be left behind. */
static bool childless(void) {
    struct sigaction action;
    if (sigaction(SIGCHLD, NULL, &action) < 0 || action.sa_handler == SIG_IGN || (action.sa_flags & SA_NOCLDWAIT))
        return false; /* the kernel reaps without counting: we cannot know */
    siginfo_t info;
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 || errno != ECHILD) return false;
    struct rusage usage;
    return getrusage(RUSAGE_CHILDREN, &usage) == 0 && usage.ru_minflt == 0 && usage.ru_majflt == 0;
}

void self_last_words(struct record *record, int status) {
    uint64_t run, ready;
    proc_sched(getpid(), &run, &ready);
    word_poke(&record->run_time, run - word_peek(&record->run_base));
    word_poke(&record->ready_time, ready - word_peek(&record->ready_base));
    if (childless()) word_or(&record->flags, RECORD_CHILDLESS);
    word_poke(&record->status, (uint32_t)status);
    pn_step("status");
    word_publish(&record->status_known, 1);
}

int self_die_with(int parent, int sig) {
    if (prctl(PR_SET_PDEATHSIG, sig) < 0) return -errno;
    return getppid() == parent ? 0 : -ESRCH; /* it died before the signal was armed */
}

int self_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ? -errno : 0; }
