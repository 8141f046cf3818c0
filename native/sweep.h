/* Sweeps: what dead members have left is ended, and their records are freed. */
#ifndef PROCESSION_SWEEP_H
#define PROCESSION_SWEEP_H

#include <stdbool.h>

#include "table.h"

/* Say that a member is dead, so that the next sweep ends what it left. */
void sweep_mark_dead(struct member who);
/* End, with SIGKILL, all that the members marked dead have left, pass after pass until a pass finds nothing and nobody who was
 * struck is still on its way out; then free their records. Any member may call it at any time: every step can be done twice. Not
 * more than one works at it as a rule; whoever finds another at work waits while that goes on, and takes over when it is dead or
 * stopped, or takes too long. */
void sweep_all(void);
/* The same for who has something else to do: between two passes, and while another is at work, it calls `wait`. When that answers
 * false, the sweep is left as it is. Whether it came to its end, and was not short of descriptors or memory to look with. */
bool sweep_all_waiting(bool (*wait)(int64_t ns));
/* For a full table: free the records that nobody else will while the family lives, those of processes that a living member
 * forked (or that outlived their parent) and that are gone, with nothing living below them. How many. */
uint32_t sweep_forks(void);
/* Nobody but who waits for them learns that processes have ended which the user forked: put in order what those held. */
void sweep_look_at_forks(void);

#endif
