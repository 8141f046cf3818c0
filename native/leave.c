#define _GNU_SOURCE
#include "leave.h"

#include <linux/close_range.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clone.h"
#include "self.h"

#define KEEPER_KIB 65536

bool leave_may_keep = true;

struct watch {
    pid_t *tid_word; /* libc's id of the child's first thread: the kernel clears it, and wakes us, when that thread goes */
    pid_t tid;
};

/* The keeper. It runs on the child's memory, so it calls nothing but the kernel. */
static int keep(void *arg) {
    struct watch *watch = arg;
    while (*(volatile pid_t *)watch->tid_word == watch->tid)
        syscall(SYS_futex, watch->tid_word, FUTEX_WAIT, watch->tid, NULL, NULL, 0);
    syscall(SYS_exit_group, 0);
    return 0;
}

static void leave_keeper(struct record *record) {
    static struct watch watch; /* not on the stack: the child's stack goes on being used for a few calls */
    static _Alignas(16) char stack[4096];
    watch.tid_word = clone_tid_word();
    watch.tid = (pid_t)syscall(SYS_gettid);
    if (!watch.tid_word || *watch.tid_word != watch.tid) return;
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    syscall(SYS_close_range, 0, ~0u, 0); /* now, or the keeper would hold pipes and locks open for that moment */
    const int shared = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND;
    pid_t *noted = (pid_t *)&record->keeper;
    int pid = clone(keep, stack + sizeof stack, shared | CLONE_PARENT | CLONE_PARENT_SETTID, &watch, noted);
    /* Behind those who wait for the child to be gone: on the same processor it would go before them. */
    if (pid > 0) setpriority(PRIO_PROCESS, (id_t)pid, 10);
}

/* Another thread may use descriptors to its last moment; and memory that is worth waiting for must be free when the parent
 * goes on. */
static bool keeper_is_harmless(void) {
    struct rusage usage;
    if (unshare(CLONE_THREAD) < 0) return false; /* (which does nothing but say whether there is one thread) */
    return getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss < KEEPER_KIB;
}

void leave(struct member who, int code) {
    struct record *record = table_get(who);
    if (record) {
        self_last_words(record, (code & 0xff) << 8);
        if (leave_may_keep && keeper_is_harmless()) leave_keeper(record);
    }
    syscall(SYS_exit_group, code & 0xff);
    __builtin_unreachable();
}
