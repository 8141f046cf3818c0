/* Spinning: to wait for some microseconds on the processor, in the hope that what is waited for is that near. Worth it
 * only while another processor is free: at most one process fewer than there are processors spins at a time, and for how
 * long follows from how often it was worth it (as in glibc's adaptive mutex). */
#ifndef PROCESSION_SPIN_H
#define PROCESSION_SPIN_H

#include <stdbool.h>
#include <stdint.h>

struct spin {
    int64_t began, end; /* monotonic ns; end 0: not allowed */
    int lease;
    unsigned turns;
};

static inline void spin_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void spin_begin(struct spin *turn);
/* True: look once more. */
bool spin_on(struct spin *turn);
/* It came, or it did not: one of the two must be called. */
void spin_won(struct spin *turn);
void spin_lost(struct spin *turn);
/* The same for at most so many ns, by somebody who learns for himself what it is worth; it ends with spin_end. */
void spin_begin_for(struct spin *turn, int64_t limit);
void spin_end(struct spin *turn);
/* The same between two tasks, or for a task's outcome: longer, because whoever puts one has to pay for waking a sleeper, and is slower for it,
 * so that the next spinner would be too short again. */
void spin_begin_between(struct spin *turn);
void spin_end_between(struct spin *turn, bool won);

#endif
