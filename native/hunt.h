/* The hunt for kin: one walk over the process table and one over /proc find all that is to get a signal. A pass may miss who is
 * being born or within an exec(): who wants everybody gone makes passes until one finds nobody. */
#ifndef PROCESSION_HUNT_H
#define PROCESSION_HUNT_H

#include <sys/types.h>

#include "kin.h"

struct struck {
    pid_t pid;
    uint64_t start_time;
    bool hit; /* it got the signal; else it is gone, or beyond our rights */
};

struct hunt {
    struct member top; /* whose kin is hunted; PN_NO_SLOT: that of the dead */
    const uint32_t *dead; /* of which dead then (kin_doomed) */
    int sig;
    int hits;   /* all that were signalled */
    int unsure; /* processes within an exec(): their cookie cannot be read at this moment */
    int blind;  /* somebody, or all, could not be looked at: that error, else 0 */
    bool spared; /* we are ourselves among those to be ended, or another sweeper is */
    pid_t self;
    bool count; /* the user's processes among them are left-over ones: count and name them */
    int depth;
    struct struck *struck; /* in a pass each gets the signal once, by however many ways it is found; in all passes it is counted once */
    size_t struck_count, pass_began;
};

/* One pass. True: all were looked at, nobody was born meanwhile (in the first passes), there was nobody to strike, and none of
 * those who were struck in earlier ones is still on its way out. */
bool hunt_pass(struct hunt *hunt, int pass);
/* What those who were struck need to be gone, and an exec() to be done, before the next pass; ns. */
int64_t hunt_moment(int pass);
/* Sleep so long. True. */
bool hunt_nap(int64_t ns);
void hunt_end(struct hunt *hunt);
/* Send `sig` to every living descendant of `who`, not to itself, sparing detached ones. Returns how many got it. */
int hunt_signal(struct member who, int sig);
/* Count and name a process of the user's that was left over; a helper of ours is none. `record` may be NULL. */
void hunt_note_left_over(pid_t pid, struct record *record);

#endif
