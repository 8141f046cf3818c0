#define _GNU_SOURCE
#include "leave.h"

#include <linux/close_range.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clone.h"
#include "self.h"

#define KEEPER_KIB 65536

struct watch {
    pid_t *tid_word; /* libc's id of the child's first thread: the kernel clears it, and wakes us, when that thread goes */
    pid_t tid;
};

/* The keeper. It runs on the child's memory, so it calls nothing but the kernel. */
static int keep(void *arg) {
    struct watch *watch = arg;
    syscall(SYS_setpriority, PRIO_PROCESS, 0, 10); /* behind those who wait for the child to be gone */
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
    syscall(SYS_close_range, 0, ~0u, 0); /* now, or the keeper's copies would hold pipes and locks open for that moment */
    clone(keep, stack + sizeof stack, CLONE_VM | CLONE_PARENT | CLONE_PARENT_SETTID, &watch, (pid_t *)&record->keeper);
}

/* Another thread may use descriptors to its last moment; and memory that is worth waiting for must be free when the parent
 * goes on. */
static bool keeper_is_harmless(void) {
    struct stat tasks;
    struct rusage usage;
    if (stat("/proc/self/task", &tasks) < 0 || tasks.st_nlink != 3) return false; /* (., .. and one thread) */
    return getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss < KEEPER_KIB;
}

void leave(struct member who, int code) {
    struct record *record = table_get(who);
    if (record) {
        self_last_words(record, (code & 0xff) << 8);
        if (keeper_is_harmless()) leave_keeper(record);
    }
    syscall(SYS_exit_group, code & 0xff);
    __builtin_unreachable();
}
