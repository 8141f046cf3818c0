/* Around fork(): our threads (reaper.h, bell.h) do not exist, so that a program with one thread forks as one.
 *
 * Before it (waits for their ends, so not with a lock held, the GIL, that others hold while they ask for ours), in the parent
 * after it, in the parent a moment later (some Pythons count the threads after their hooks), in the child after it. Each
 * pause is ended by one resume or forget; until then every other pause waits. */
#ifndef PROCESSION_FORKS_H
#define PROCESSION_FORKS_H

void forks_pause(void);
void forks_resume(void);
void forks_restart(void);
void forks_forget(void);

#endif
