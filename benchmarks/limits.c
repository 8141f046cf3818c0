/* The limits: what the kernel alone takes for the same steps, called by the same measuring code as every rival.
 *
 * Built at run time as a shared object, and loaded into a parent of the same resident size as the rivals' parents, so
 * that fork copies the same page tables. A raw clone, not libc's fork: the handlers that libraries have put around fork
 * are not the kernel's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Write the moment `at` into the named pipe, as the rivals' children do. */
static void tell(const char *path, int64_t at) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, &at, sizeof at) != sizeof at) _exit(1);
    close(fd);
}

static pid_t raw_fork(void) { return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }

/* A child that does nothing. */
int limit_fork_empty(void) {
    pid_t pid = raw_fork();
    if (pid == 0) _exit(0);
    return pid < 0 ? -errno : pid;
}

/* A child that tells when it began. */
int limit_fork_stamp(const char *path) {
    pid_t pid = raw_fork();
    if (pid == 0) {
        tell(path, now());
        _exit(0);
    }
    return pid < 0 ? -errno : pid;
}

/* A child that tells when it began, and waits for a signal. */
int limit_fork_stand(const char *path) {
    pid_t pid = raw_fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        tell(path, now());
        for (;;) pause();
    }
    return pid < 0 ? -errno : pid;
}

/* A child that borrows our memory: the least that a process can cost, whatever the parent's size. It has ended when we
 * return. */
int limit_vfork_empty(void) {
    pid_t pid = vfork();
    if (pid == 0) _exit(0);
    return pid < 0 ? -errno : pid;
}

/* The wait status, or -errno. */
int limit_wait(int pid) {
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return -errno;
    return status;
}

/* --- a process that stands ready and sleeps: the least that any hand-over can cost --- */

static int sockets[2];
static uint32_t *word; /* shared with the sleeper: counts the wake-ups asked for */

static void sleep_on_socket(const char *path) {
    char byte;
    while (recv(sockets[1], &byte, 1, 0) == 1) tell(path, now());
    _exit(0);
}

static void sleep_on_word(const char *path) {
    for (uint32_t seen = 0;;) {
        while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == seen)
            syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
        int64_t at = now();
        seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
        tell(path, at);
    }
}

/* Make the sleeper, which ends with us; its pid or -errno. */
int limit_sleeper(const char *path, int on_word) {
    if (on_word) {
        word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (word == MAP_FAILED) return -errno;
    } else if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0) {
        return -errno;
    }
    pid_t pid = raw_fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (on_word) sleep_on_word(path);
        sleep_on_socket(path);
    }
    return pid < 0 ? -errno : pid;
}

/* Wake it: 0 or -errno. */
int limit_wake(int on_word) {
    if (!on_word) return send(sockets[0], "x", 1, MSG_NOSIGNAL) == 1 ? 0 : -errno;
    __atomic_fetch_add(word, 1, __ATOMIC_RELEASE); /* partner: the acquire loads in sleep_on_word */
    return syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0) < 0 ? -errno : 0;
}
