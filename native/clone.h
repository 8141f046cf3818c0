/* Making processes: a true sibling by clone(CLONE_PARENT), and a fresh program by vfork and exec. */
#ifndef PROCESSION_CLONE_H
#define PROCESSION_CLONE_H

#include <stdbool.h>
#include <sys/types.h>

/* Called once before the first `clone_sibling`: find where libc keeps this thread's id. -ENOTSUP: it cannot be found. */
int clone_prepare(void);
/* Where libc keeps the first thread's id, NULL when it cannot be found. */
pid_t *clone_tid_word(void);
/* Fork, but the child's parent is *our* parent. 0 in the child, its pid in the caller, or -errno. `pid_word` (or NULL) is
 * set to its pid before it runs: the kernel does that, so it holds even if the caller dies at once. The caller must
 * have a single thread; libc's fork handlers are not run. */
pid_t clone_sibling(void *pid_word);
/* Run `argv` with `envp` as a child of this process; fds[i] becomes descriptor i, every other one is closed, signals
 * are at their defaults and unblocked, but a `deaf` one ignores SIGINT: a terminal's Ctrl-C is not for helpers. Returns its pid or -errno (exec's error included).
 *
 * It is cloned by a thread that ends at once, so the kernel counts the process's *first* thread as its parent: a
 * parent-death signal (PR_SET_PDEATHSIG) then fires at the end of the process, not of whatever thread called us. The program
 * must ask for it only when this call has returned (it is told so by its first message): until then it may get one at once. */
pid_t clone_launch(const char *path, char *const argv[], char *const envp[], const int *fds, int count,
                   bool deaf);

#endif
