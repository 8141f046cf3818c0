/* What a member writes of itself: its cookie when its life begins, its last words when it ends in order. */
#ifndef PROCESSION_SELF_H
#define PROCESSION_SELF_H

#include "table.h"

/* Write the member's cookie over the one that this program image was started with, so that /proc/PID/environ of
 * this process, and of what it forks without exec, names this member. 0, or -ENOENT when there is none to write over. */
int self_wear_cookie(struct member who);
/* A spare is ready: note its identity and the scheduler's figures so far; they are not the user's process's.
 * False when the record is gone. */
bool self_settle(struct member who, enum record_state state);
/* What it has run and waited for a processor until now does not count as the user's process's. */
void self_count_from_here(struct member who);
/* The member ends in order with the wait status `status`: leave the scheduler's figures, the status, and whether it
 * ever had a child. After this it must do nothing but _exit. */
void self_last_words(struct record *record, int status);
/* Die with the parent (PR_SET_PDEATHSIG), which must still be `parent`: -ESRCH when it is gone already. */
int self_die_with(int parent, int sig);
/* From now on, orphans below this process become its children (PR_SET_CHILD_SUBREAPER). 0 or -errno. */
int self_subreaper(void);

#endif
