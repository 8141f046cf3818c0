/* Making processes: true siblings, and fresh programs. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "../clone.h"
#include "check.h"

extern char **environ;

/* --- clone_sibling: this process plays the parent, a fork of it the zygote ------------------------------------- */

static int *seen; /* shared */

static void in_the_sibling(pid_t parent) {
    seen[0] = getpid();
    seen[1] = getppid() == parent;
    seen[2] = gettid() == getpid();
    pthread_mutex_t mutex;
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK); /* it compares libc's idea of our thread id */
    pthread_mutex_init(&mutex, &kind);
    seen[3] = pthread_mutex_lock(&mutex) == 0 && pthread_mutex_lock(&mutex) == EDEADLK && pthread_mutex_unlock(&mutex) == 0;
    seen[4] = pthread_kill(pthread_self(), 0) == 0;
    void *head = NULL;
    size_t size = 0;
    seen[5] = syscall(SYS_get_robust_list, 0, &head, &size) == 0 && head != NULL;
    pthread_t thread;
    seen[6] = pthread_create(&thread, NULL, (void *(*)(void *))(void (*)(void))getpid, NULL) == 0 &&
              pthread_join(thread, NULL) == 0;
    _exit(7);
}

static void a_sibling_is_our_parents_child(void) {
    if (UNDER_TSAN) return; /* it does not see raw clones */
    seen = shared(16 * sizeof *seen);
    pid_t me = getpid(), zygote = fork();
    if (zygote == 0) {
        CHECK(clone_prepare() == 0);
        pid_t pid = clone_sibling(NULL);
        CHECK(pid >= 0);
        if (pid == 0) in_the_sibling(me);
        seen[8] = pid;
        _exit(waitpid(pid, NULL, 0) == -1 && errno == ECHILD ? 0 : 1); /* it is not the zygote's */
    }
    end_of(zygote, 0);
    end_of(seen[8], 7 << 8); /* it is ours, and its exit status too */
    CHECK(seen[0] == seen[8]);
    for (int i = 1; i < 7; i++) CHECK(seen[i]);
}

static void siblings_of_siblings(void) {
    if (UNDER_TSAN) return;
    seen = shared(16 * sizeof *seen);
    if (fork() == 0) {
        CHECK(clone_prepare() == 0);
        for (int i = 0; i < 5; i++) { /* each is made by the one before it */
            pid_t pid = clone_sibling(NULL);
            if (pid > 0) {
                seen[i] = 1;
                _exit(0);
            }
            CHECK(pid == 0 && pthread_kill(pthread_self(), 0) == 0);
        }
        _exit(0);
    }
    for (int i = 0; i < 6; i++) CHECK(wait(NULL) > 0);
    CHECK(wait(NULL) < 0 && errno == ECHILD);
    for (int i = 0; i < 5; i++) CHECK(seen[i]);
}

/* --- clone_launch: the program is this one, in a mode of its own ------------------------------------------------- */

static pid_t launch(const char *mode, const int *fds, int count) {
    char *argv[] = {"test", (char *)mode, NULL};
    return clone_launch("/proc/self/exe", argv, environ, fds, count, false);
}

static void descriptors_are_placed(void) {
    int ends[2], back[2];
    CHECK(pipe(ends) == 0 && pipe(back) == 0);
    int fds[] = {-1, back[1], 2, ends[0], back[1], 0}; /* crossing places, a closed one, one twice */
    pid_t pid = launch("count-descriptors", fds, 6);
    CHECK(pid > 0);
    int found[9];
    close(back[1]);
    CHECK(read(back[0], found, sizeof found) == sizeof found);
    end_of(pid, 0);
    CHECK(!found[0]);
    for (int fd = 1; fd < 6; fd++) CHECK(found[fd]);
    for (int fd = 6; fd < 9; fd++) CHECK(!found[fd]);
    CHECK(fcntl(ends[0], F_GETFD) >= 0); /* and ours are where they were */
}

static int count_descriptors(void) {
    int found[9];
    for (int fd = 0; fd < 9; fd++) found[fd] = fcntl(fd, F_GETFD) == 0; /* open, and not close-on-exec */
    return write(1, found, sizeof found) == sizeof found ? 0 : 1;
}

static void signals_are_at_their_defaults(void) {
    int fds[] = {0, 1, 2};
    sigset_t some;
    sigemptyset(&some);
    sigaddset(&some, SIGTERM);
    sigaddset(&some, SIGUSR1);
    sigprocmask(SIG_BLOCK, &some, NULL);
    signal(SIGINT, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    pid_t pid = launch("check-signals", fds, 3);
    CHECK(pid > 0);
    end_of(pid, 0);
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    CHECK(sigismember(&now, SIGTERM) && !sigismember(&now, SIGINT)); /* ours are as they were */
    CHECK(signal(SIGINT, SIG_DFL) == SIG_IGN);
}

static int check_signals(void) {
    sigset_t mask;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    for (int sig = 1; sig < 32; sig++) {
        struct sigaction action;
        if (sigismember(&mask, sig) == 1) return sig;
        if (sig == SIGKILL || sig == SIGSTOP || sigaction(sig, NULL, &action) < 0) continue;
        if (SANITIZED && (sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE)) continue; /* the sanitizer's own */
        if (action.sa_handler != SIG_DFL) return 100 + sig;
    }
    return 0;
}

static void exec_errors_come_back(void) {
    int fds[] = {0, 1, 2};
    char *argv[] = {"x", NULL};
    CHECK(clone_launch("/no/such/program", argv, environ, fds, 3, false) == -ENOENT);
    CHECK(clone_launch("/etc/passwd", argv, environ, fds, 3, false) == -EACCES);
    CHECK(clone_launch("/no/such/program", argv, environ, fds, 17, false) == -EINVAL);
    CHECK(wait(NULL) < 0 && errno == ECHILD); /* nothing is left */
}

static void wait_for_byte(int fd) {
    char byte;
    CHECK(read(fd, &byte, 1) == 1);
}

/* The launched program asks to die with its parent. */
static int die_with_parent(void) {
    wait_for_byte(0); /* the launch has returned */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (write(1, "", 1) != 1) return 1;
    for (;;) pause();
}

static void *launch_in_a_thread(void *arg) {
    int *fds = arg;
    return (void *)(intptr_t)launch("die-with-parent", fds, 3);
}

static void parent_death_is_the_process_end_not_the_threads(void) {
    int *pid = shared(sizeof *pid), go[2], ready[2], end[2];
    CHECK(pipe(go) == 0 && pipe(ready) == 0 && pipe(end) == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    pid_t parent = fork();
    if (parent == 0) {
        pthread_t thread;
        void *launched;
        int fds[] = {go[0], ready[1], 2};
        pthread_create(&thread, NULL, launch_in_a_thread, fds);
        pthread_join(thread, &launched);
        *pid = (int)(intptr_t)launched;
        CHECK(write(go[1], "", 1) == 1);
        wait_for_byte(ready[0]); /* it has asked; and the thread that made it is gone */
        for (int i = 0; i < 50; i++) {
            nap(1000); /* (a signal sent would be there at once; there is nothing else to wait for) */
            CHECK(!is_gone(*pid));
        }
        wait_for_byte(end[0]);
        _exit(0);
    }
    CHECK(write(end[1], "", 1) == 1);
    end_of(parent, 0);
    end_of(*pid, SIGKILL);
}

static void many_launches(void) {
    int fds[] = {0, 1, 2};
    pid_t made[8];
    for (int i = 0; i < 8; i++) made[i] = launch("exit", fds, 3);
    for (int i = 0; i < 8; i++) end_of(made[i], 5 << 8);
}

int main(int argc, char **argv) {
    int failed = 0;
    if (argc > 1 && strcmp(argv[1], "count-descriptors") == 0) return count_descriptors();
    if (argc > 1 && strcmp(argv[1], "check-signals") == 0) return check_signals();
    if (argc > 1 && strcmp(argv[1], "die-with-parent") == 0) return die_with_parent();
    if (argc > 1) return 5;
    CASE(a_sibling_is_our_parents_child);
    CASE(siblings_of_siblings);
    CASE(descriptors_are_placed);
    CASE(signals_are_at_their_defaults);
    CASE(exec_errors_come_back);
    CASE(parent_death_is_the_process_end_not_the_threads);
    CASE(many_launches);
    return failed;
}
