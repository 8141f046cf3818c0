/* Kin: all that a member started, directly or through others (promise 2). Who is whose is told here; `hunt.c` finds them all and
 * signals them, `sweep.c` ends what the dead have left.
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
/* The member in that value. False: it is no cookie of this family. */
bool kin_read_cookie(const char *text, struct member *out);
bool kin_same(struct member a, struct member b);
struct member kin_parent(struct record *record);
/* Who is in that slot, if anybody. */
struct member kin_at(uint32_t slot);
/* True when `who` is `top`, or below it in the table, with no detached member from `who` up to just below `top`. */
bool kin_below(struct member who, struct member top);
/* Somebody above it, or it itself, is dead, and it is not detached from them. `dead`, by slot, are the generations of the dead
 * that count; NULL: all. */
bool kin_doomed(struct member who, const uint32_t *dead);
/* Who sits in which record; NULL: in none. Of a spare that has just been born the pid alone is known (the kernel writes it, its
 * zygote or it itself tells the start time a moment later); it may have been started already, and detached. */
struct record *kin_record(pid_t pid, uint64_t start_time);
/* The process of a member, as (pid, start time). False: there is no such member any more, or it has no process yet. */
bool kin_sits(struct member who, pid_t *pid, uint64_t *start_time);
/* Its process is there, and no zombie; or that cannot be told. */
bool kin_running(struct member who);

#endif
