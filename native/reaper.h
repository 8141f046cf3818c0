/* The reaper: a native thread, one per process that has children, that sleeps in epoll on their pidfds, reaps at once,
 * and puts in order what they left. It holds no GIL and needs nothing of the interpreter, so no child stays a zombie
 * while the program computes, sleeps or is stopped and continued. It blocks every signal.
 *
 * Around a fork it does not exist (forks.h): a program with one thread stays one with one thread. */
#ifndef PROCESSION_REAPER_H
#define PROCESSION_REAPER_H

#include "child.h"

extern pthread_mutex_t reaper_lock;
extern _Atomic int reaper_keeping;   /* how many keepers (leave.h) are our children now */
extern _Atomic int64_t reaper_rings; /* how often the thread woke: a test holds that an idle program has none */

/* All of these want the lock held. */
int reaper_watch(struct child *child, int fd, uint32_t events);
void reaper_unwatch(struct child *child, int fd);
int reaper_enlist(struct child *child);
void reaper_release(struct child *child); /* drop a reference */

void reaper_ring(void); /* wake the thread: a deadline or a sweep is new */
void reaper_sweep_later(struct member who);

/* Called by forks.h only. */
void reaper_pause(void);
void reaper_resume(void);
void reaper_restart(void);
void reaper_forget(void);
/* Pids of keepers (leave.h) that are our children now; the number found, at most `room`. */
int reaper_keepers(pid_t *out, int room);
int reaper_children(void); /* how many are enlisted */

#endif
