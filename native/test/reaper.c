/* Children and their reaper: reaped at once, whatever the program does, and told rightly. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/ptrace.h>
#include <sys/resource.h>

#include "check.h"

#include "../bell.h"
#include "../cells.h"
#include "../channel.h"
#include "../clone.h"
#include "../forks.h"
#include "../pidfd.h"
#include "../reaper.h"

static struct child *adopt(pid_t pid) {
    struct child *child;
    CHECK(child_adopt(pid, -1, nobody, &child) == 0);
    return child;
}

static struct child *exits_with(int code) {
    pid_t pid = fork();
    if (pid == 0) _exit(code);
    return adopt(pid);
}

static void reaped_though_nobody_waits(void) {
    struct child *child = exits_with(3);
    EVENTUALLY(is_absent((pid_t)child->pid));
    EVENTUALLY(word_read(&child->exited));
    CHECK(child->status == 3 << 8 && child_poll(child) == 1 && child_wait(child, PN_FOREVER) == 1);
    CHECK(child->pidfd == -1 && child_signal(child, SIGTERM) == -ESRCH);
    child_drop(child);
}

static void reaped_while_the_main_thread_spins(void) {
    pid_t pid = sleeper();
    struct child *child = adopt(pid);
    kill(pid, SIGKILL);
    int64_t give_up = clock_monotonic() + 20 * PN_SECOND;
    while (!word_read(&child->exited)) CHECK(clock_monotonic() < give_up); /* no system call but the clock's */
    CHECK(is_absent(pid) && child->status == SIGKILL);
    child_drop(child);
}

static void reaped_after_the_parent_was_stopped(void) {
    int *pids = shared(2 * sizeof *pids);
    pid_t parent = fork();
    if (parent == 0) {
        pid_t pid = sleeper();
        adopt(pid);
        pids[0] = pid;
        for (;;) pause();
    }
    EVENTUALLY(pids[0]);
    kill(parent, SIGSTOP);
    CHECK(waitpid(parent, NULL, WUNTRACED) == parent);
    kill(pids[0], SIGKILL);
    EVENTUALLY(is_gone(pids[0]));
    CHECK(!is_absent(pids[0])); /* nobody can have reaped it */
    kill(parent, SIGCONT);
    EVENTUALLY(is_absent(pids[0]));
    kill(parent, SIGKILL);
    end_of(parent, SIGKILL);
}

static void codes_and_signals(void) {
    const int signals[] = {SIGTERM, SIGKILL, SIGINT, SIGABRT};
    for (int code = 0; code < 256; code += 15) {
        struct child *child = exits_with(code);
        CHECK(child_wait(child, PN_FOREVER) == 1 && child->status == code << 8);
        child_drop(child);
    }
    for (int i = 0; i < 4; i++) {
        struct child *child = adopt(sleeper());
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        CHECK(child_wait(child, clock_monotonic() + PN_SECOND / 50) == 0);
        CHECK(child_signal(child, signals[i]) == 0 && child_wait(child, PN_FOREVER) == 1);
        CHECK(WIFSIGNALED(child->status) && WTERMSIG(child->status) == signals[i]);
        child_drop(child);
    }
}

static void *wait_in_thread(void *child) {
    CHECK(child_wait(child, PN_FOREVER) == 1);
    return NULL;
}

static void many_wait_for_one(void) {
    for (int round = 0; round < 20; round++) {
        struct child *child = adopt(sleeper());
        pthread_t threads[6];
        for (int i = 0; i < 6; i++) pthread_create(&threads[i], NULL, wait_in_thread, child);
        CHECK(child_wait(child, clock_monotonic() + PN_SECOND / 500) == 0);
        child_signal(child, SIGKILL);
        for (int i = 0; i < 6; i++) pthread_join(threads[i], NULL);
        CHECK(child->status == SIGKILL);
        child_drop(child);
    }
}

static void a_foreign_wait_takes_the_status(void) {
    struct child *child;
    forks_pause(); /* so that ours cannot be first */
    pid_t pid = fork();
    if (pid == 0) _exit(9);
    forks_resume();
    siginfo_t info;
    CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
    int pidfd = pidfd_open_(pid);
    CHECK(pidfd >= 0);
    close(pidfd);
    CHECK(child_adopt(pid, -1, nobody, &child) == 0);
    waitpid(pid, NULL, 0); /* either of the two gets it */
    CHECK(child_wait(child, PN_FOREVER) == 1);
    CHECK(child->status == 9 << 8 || child->status == STATUS_UNKNOWN);
    child_drop(child);
}

static void a_stolen_status_is_told_by_the_last_words(void) {
    CHECK(commons_found() == 0);
    struct member who;
    CHECK(table_add(&who, RECORD_RUNNING, RECORD_PROCESS, nobody, "robbed") == 0);
    struct record *record = table_get(who);
    struct child *child;
    pid_t pid = sleeper();
    CHECK(child_adopt(pid, -1, who, &child) == 0);
    word_poke(&record->status, 4 << 8);
    word_publish(&record->status_known, 1);
    word_add(&commons->alive, 1);
    forks_pause();
    kill(pid, SIGKILL);
    CHECK(waitpid(pid, NULL, 0) == pid);
    forks_resume();
    forks_restart();
    CHECK(child_wait(child, PN_FOREVER) == 1 && child->status == 4 << 8);
    EVENTUALLY(table_get(who) == NULL && word_read(&commons->failed) == 1 && word_read(&commons->alive) == 0);
    child_drop(child);
}

static void a_traced_child_is_its_tracers_first(void) {
    int *step = shared(sizeof *step);
    word32 *go = (word32 *)shared(sizeof *go);
    pid_t pid = sleeper(), tracer = fork();
    if (tracer == 0) {
        long r = ptrace(PTRACE_SEIZE, pid, 0, 0);
        *step = r == 0 ? 1 : 2;
        while (!word_read(go)) nap(500);
        _exit(r == 0 && waitpid(pid, NULL, 0) != pid);
    }
    EVENTUALLY(*step);
    struct child *child = adopt(pid);
    child_signal(child, SIGKILL);
    EVENTUALLY(is_gone(pid));
    if (*step == 1) CHECK(child_wait(child, clock_monotonic() + PN_SECOND / 20) == 0);
    word_publish(go, 1);
    CHECK(child_wait(child, PN_FOREVER) == 1 && child->status == SIGKILL);
    end_of(tracer, 0);
    child_drop(child);
}

static void grace(void) {
    int ready[2];
    char byte;
    CHECK(pipe(ready) == 0);
    pid_t stubborn = fork();
    if (stubborn == 0) {
        signal(SIGTERM, SIG_IGN);
        CHECK(write(ready[1], "", 1) == 1);
        for (;;) pause();
    }
    CHECK(read(ready[0], &byte, 1) == 1);
    struct child *child = adopt(stubborn), *meek = adopt(sleeper());
    int64_t begin = clock_monotonic();
    CHECK(child_terminate(child, PN_SECOND / 5) == 0 && child_terminate(meek, PN_FOREVER) == 0);
    CHECK(child_wait(meek, PN_FOREVER) == 1 && meek->status == SIGTERM);
    CHECK(child_wait(child, PN_FOREVER) == 1 && child->status == SIGKILL);
    CHECK(clock_monotonic() - begin >= PN_SECOND / 5);
    child_drop(child);
    child_drop(meek);
}

static int threads_now(void) {
    int n = 0;
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    while (file && fgets(line, sizeof line, file)) sscanf(line, "Threads: %d", &n);
    fclose(file);
    return n;
}

static void a_pause_leaves_one_thread(void) {
    int before = threads_now(); /* (a sanitizer may have one of its own) */
    pid_t pid = sleeper();
    struct child *child = adopt(pid);
    for (int i = 0; i < 50; i++) {
        CHECK(threads_now() == before + 1);
        forks_pause();
        CHECK(threads_now() == before);
        pid_t forked = fork();
        if (forked == 0) {
            forks_forget();
            CHECK(reaper_children() == 0 && child_wait(child, PN_FOREVER) == -ECHILD); /* not ours */
            struct child *mine = exits_with(1); /* and it can have its own */
            CHECK(child_wait(mine, PN_FOREVER) == 1 && mine->status == 1 << 8);
            _exit(0);
        }
        forks_resume();
        forks_restart();
        end_of(forked, 0);
    }
    CHECK(!word_read(&child->exited));
    forks_pause();
    kill(pid, SIGKILL); /* what happens during a pause is seen after it */
    forks_resume();
    forks_restart();
    EVENTUALLY(is_absent(pid));
    child_drop(child);
}

static void *fork_often(void *arg) {
    for (int i = 0; i < 100; i++) {
        forks_pause();
        forks_resume();
        forks_restart();
        struct child *child = adopt(sleeper());
        child_signal(child, SIGKILL);
        CHECK(child_wait(child, PN_FOREVER) == 1);
        child_drop(child);
    }
    return arg;
}

/* Each pause ends both threads; a thread that two of them waited for would be waited for for ever. */
static void pauses_from_many_threads(void) {
    CHECK(commons_found() == 0);
    struct member who;
    CHECK(table_add(&who, RECORD_RUNNING, RECORD_PROCESS, nobody, "forks") == 0);
    sync_become(who.slot);
    uint32_t channel;
    int fd;
    CHECK(bell_open(&channel, &fd) == 0);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, fork_often, NULL);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    CHECK(reaper_children() == 0);
    bell_close(channel);
}

static int open_descriptors(void) {
    int n = 0;
    for (int fd = 0; fd < 1024; fd++) n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void thousands(void) {
    child_drop(exits_with(0));
    EVENTUALLY(reaper_children() == 0);
    int descriptors = open_descriptors(), all = SANITIZED ? 300 : 3000;
    for (int i = 0; i < all; i++) {
        struct child *child = exits_with(i & 0x7f);
        if (i % 3 == 0) CHECK(child_wait(child, PN_FOREVER) == 1 && child->status == (i & 0x7f) << 8);
        child_drop(child); /* the others are reaped without anybody who knows of them */
    }
    EVENTUALLY(reaper_children() == 0);
    CHECK(wait(NULL) < 0 && errno == ECHILD && open_descriptors() == descriptors);
}

static void many_at_once(void) {
    enum { MANY = 400 };
    static struct child *all[MANY];
    for (int i = 0; i < MANY; i++) all[i] = adopt(sleeper());
    for (int i = 0; i < MANY; i++) child_signal(all[i], SIGKILL);
    for (int i = 0; i < MANY; i++) {
        CHECK(child_wait(all[i], PN_FOREVER) == 1 && all[i]->status == SIGKILL);
        child_drop(all[i]);
    }
    EVENTUALLY(reaper_children() == 0);
}

static void idle_is_idle(void) {
    struct child *child = adopt(sleeper());
    nap(20000); /* the thread has begun to sleep */
    int64_t before = reaper_rings;
    CHECK(child_wait(child, clock_monotonic() + PN_SECOND / 2) == 0); /* half a second in which nothing happens */
    CHECK(reaper_rings == before);
    child_signal(child, SIGKILL);
    CHECK(child_wait(child, PN_FOREVER) == 1);
    child_drop(child);
}

static void sentinels(void) {
    struct child *child = adopt(sleeper());
    struct pollfd fd = {child_sentinel(child), POLLIN, 0};
    CHECK(fd.fd >= 0 && poll(&fd, 1, 0) == 0);
    child_signal(child, SIGKILL);
    CHECK(poll(&fd, 1, 20000) == 1 && child_wait(child, PN_FOREVER) == 1);
    CHECK(child_sentinel(child) == fd.fd && poll(&fd, 1, 0) == 1); /* it stays what it is */
    child_drop(child);
    CHECK(fcntl(fd.fd, F_GETFD) < 0);
    child = exits_with(0);
    CHECK(child_wait(child, PN_FOREVER) == 1);
    fd.fd = child_sentinel(child); /* asked for after the end */
    CHECK(fd.fd >= 0 && poll(&fd, 1, 0) == 1);
    child_drop(child);
}

static void on_signal(int sig) { (void)sig; }

static void a_wait_is_interrupted_by_a_signal(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, NULL);
    struct child *child = adopt(sleeper());
    pid_t me = getpid(), pest = fork();
    if (pest == 0)
        for (;;) {
            kill(me, SIGUSR1);
            nap(2000);
        }
    CHECK(child_wait(child, clock_monotonic() + 20 * PN_SECOND) == -EINTR);
    kill(pest, SIGKILL);
    end_of(pest, SIGKILL);
    child_signal(child, SIGKILL);
    while (child_wait(child, PN_FOREVER) != 1) continue;
    child_drop(child);
}

/* --- orders: a fork of this process plays the zygote --------------------------------------------------------------- */

static _Noreturn void be_spare(int sock) {
    char start[8];
    int32_t pid = getpid();
    if (channel_send(sock, &pid, sizeof pid, NULL, 0) < 0) _exit(1);
    _exit(channel_receive(sock, start, sizeof start, NULL, NULL) > 0 ? 42 : 0);
}

static _Noreturn void be_zygote(int control) {
    CHECK(clone_prepare() == 0);
    for (;;) {
        char order[64];
        struct member who;
        int sock, count = 1;
        if (channel_receive(control, order, sizeof order, &sock, &count) <= 0) _exit(0);
        memcpy(&who, order, sizeof who);
        if (who.slot != 1000 && clone_sibling(NULL) == 0) { /* 1000: one that it fails to make */
            close(control);
            be_spare(sock);
        }
        close(sock);
    }
}

static pid_t zygote(int *control) {
    int theirs;
    CHECK(channel_pair(control, &theirs) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(*control);
        be_zygote(theirs);
    }
    close(theirs);
    return pid;
}

static void order_and_hand_over(void) {
    int control;
    pid_t maker = zygote(&control);
    struct child *child;
    CHECK(child_order(control, (struct member){PN_NO_SLOT, 1}, &child) == 0);
    CHECK(child_hello(child) == 1 && child->pid > 0 && child_hello(child) == 1);
    CHECK(child_hand_over(child, "start", 5, NULL, 0) == 0);
    CHECK(child_wait(child, PN_FOREVER) == 1 && child->status == 42 << 8);
    child_drop(child);
    close(control);
    end_of(maker, 0);
}

static void a_spare_that_is_killed(void) {
    int control;
    pid_t maker = zygote(&control);
    struct child *child;
    CHECK(child_order(control, (struct member){PN_NO_SLOT, 1}, &child) == 0 && child_hello(child) == 1);
    kill(child->pid, SIGKILL);
    CHECK(child_wait(child, PN_FOREVER) == 1 && child->status == SIGKILL);
    CHECK(child_hand_over(child, "start", 5, NULL, 0) < 0);
    child_drop(child);
    close(control);
    end_of(maker, 0);
}

static void spares_that_nobody_wants_leave_nothing(void) {
    int control;
    pid_t maker = zygote(&control);
    struct child *child;
    for (int i = 0; i < 30; i++) {
        CHECK(child_order(control, (struct member){PN_NO_SLOT, 1}, &child) == 0);
        if (i % 2) CHECK(child_hello(child) == 1);
        child_drop(child);
    }
    EVENTUALLY(reaper_children() == 0);
    close(control);
    end_of(maker, 0);
    CHECK(wait(NULL) < 0 && errno == ECHILD); /* no zombie, no living one */
}

static void a_spare_that_never_comes(void) {
    int control;
    pid_t maker = zygote(&control);
    struct child *child;
    CHECK(child_order(control, (struct member){1000, 0}, &child) == 0);
    CHECK(child_hello(child) == -ECHILD);
    child_drop(child);
    CHECK(child_order(control, (struct member){1000, 0}, &child) == 0);
    EVENTUALLY(word_read(&child->exited)); /* also if nobody asks */
    child_drop(child);
    kill(maker, SIGKILL);
    end_of(maker, SIGKILL);
    CHECK(child_order(control, nobody, &child) < 0);
    EVENTUALLY(reaper_children() == 0);
    close(control);
}

static void no_descriptor_for_a_spare(void) {
    int control;
    pid_t maker = zygote(&control);
    struct child *child;
    CHECK(child_order(control, (struct member){PN_NO_SLOT, 1}, &child) == 0);
    struct rlimit old, none = {0, 4096};
    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
    none.rlim_max = old.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK(child_hello(child) == -EMFILE);
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
    child_drop(child);
    EVENTUALLY(reaper_children() == 0);
    CHECK(child_order(control, (struct member){PN_NO_SLOT, 1}, &child) == 0 && child_hello(child) == 1); /* again */
    child_drop(child);
    EVENTUALLY(reaper_children() == 0);
    close(control);
    end_of(maker, 0);
    CHECK(wait(NULL) < 0 && errno == ECHILD);
}

int main(void) {
    int failed = 0;
    CASE(reaped_though_nobody_waits);
    CASE(reaped_while_the_main_thread_spins);
    CASE(reaped_after_the_parent_was_stopped);
    CASE(codes_and_signals);
    CASE(many_wait_for_one);
    CASE(a_foreign_wait_takes_the_status);
    CASE(a_stolen_status_is_told_by_the_last_words);
    CASE(a_traced_child_is_its_tracers_first);
    CASE(grace);
    CASE(thousands);
    CASE(many_at_once);
    CASE(idle_is_idle);
    CASE(sentinels);
    CASE(a_wait_is_interrupted_by_a_signal);
    if (UNDER_TSAN) return failed; /* it does not see raw clones, nor threads of a process forked beside threads */
    CASE(a_pause_leaves_one_thread);
    CASE(pauses_from_many_threads);
    CASE(order_and_hand_over);
    CASE(a_spare_that_is_killed);
    CASE(spares_that_nobody_wants_leave_nothing);
    CASE(a_spare_that_never_comes);
    CASE(no_descriptor_for_a_spare);
    return failed;
}
