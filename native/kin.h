/* Kin: all that a member started, directly or through others. Finding it and ending it (promise 2).
 *
 * Three traces lead to a descendant, in this order of trust: its record in the process table; the cookie in
 * its environment, which plain exec'd programs inherit; and being a child, in /proc, of one of those. A program
 * that clears its environment and whose parent is gone before anybody looked leaves no trace: only the runner,
 * to whom the kernel hands such orphans, finds it. */
#ifndef PROCESSION_KIN_H
#define PROCESSION_KIN_H

#include <stdbool.h>

#include "table.h"

#define KIN_COOKIE "PROCESSION_MEMBER"
#define KIN_COOKIE_SIZE 48

/* The cookie's value for a member: family, slot and generation, in hexadecimal. */
void kin_cookie(struct member who, char *out);
/* True when `who` is `top`, or below it in the table, with no detached member from `who` up to just below `top`. */
bool kin_below(struct member who, struct member top);
/* Send `sig` to every living descendant of `who`, not to itself, sparing detached ones. Returns how many got it. */
int kin_signal(struct member who, int sig);
/* Say that a member is dead, so that the next sweep ends what it left. */
void kin_mark_dead(struct member who);
/* End, with SIGKILL, all that the members marked dead have left, pass after pass until a pass finds nothing; then free
 * their records. Any member may call it at any time: every step can be done twice. Not more than one works at it as a
 * rule; whoever finds another at work waits a moment and then helps (the other may be stopped, or dead). */
void kin_sweep(void);
/* The same for who has something else to do: between two passes it calls `wait`. When that answers false, the sweep is left as
 * it is. Whether it came to its end. */
bool kin_sweep_waiting(bool (*wait)(int64_t ns));
/* For a full table: free the records that nobody else will while the family lives, those of processes that a living member
 * forked (or that outlived their parent) and that are gone, with nothing living below them. How many. */
uint32_t kin_scavenge(void);
/* Nobody but who waits for them learns that processes have ended which the user forked: put in order what those held. */
void kin_look_at_forks(void);

#endif
