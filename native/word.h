/* Words in shared memory: the only way this core touches what another process may touch.
 *
 * Rule: fill first, publish last. `word_publish` (release) pairs with `word_read` (acquire) of whoever
 * looks: all that was written before the publish is seen by the reader that saw the published value. */
#ifndef PROCESSION_WORD_H
#define PROCESSION_WORD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic uint32_t word32;
typedef _Atomic uint64_t word64;

_Static_assert(sizeof(word32) == 4 && sizeof(word64) == 8, "atomics must have the size of their value");

#define word_read(word) atomic_load_explicit((word), memory_order_acquire)
#define word_publish(word, value) atomic_store_explicit((word), (value), memory_order_release)
#define word_add(word, value) atomic_fetch_add_explicit((word), (value), memory_order_acq_rel)
#define word_and(word, value) atomic_fetch_and_explicit((word), (value), memory_order_acq_rel)
#define word_or(word, value) atomic_fetch_or_explicit((word), (value), memory_order_acq_rel)

/* Between a store and a load of something else, of which the other side does the same the other way round: one of the two
 * sees what the other wrote. (Release and acquire do not order these, nor does the processor.) */
#define word_fence() atomic_thread_fence(memory_order_seq_cst)

/* For figures whose order against other words does not matter (names, times, counters). */
#define word_peek(word) atomic_load_explicit((word), memory_order_relaxed)
#define word_poke(word, value) atomic_store_explicit((word), (value), memory_order_relaxed)

static inline bool word_swap(word32 *word, uint32_t from, uint32_t to) {
    return atomic_compare_exchange_strong_explicit(word, &from, to, memory_order_acq_rel, memory_order_acquire);
}

static inline bool word_swap64(word64 *word, uint64_t from, uint64_t to) {
    return atomic_compare_exchange_strong_explicit(word, &from, to, memory_order_acq_rel, memory_order_acquire);
}

static inline void word_raise(word64 *word, uint64_t value) { /* word = max(word, value) */
    uint64_t seen = word_peek(word);
    while (seen < value && !atomic_compare_exchange_weak_explicit(word, &seen, value, memory_order_relaxed,
                                                                 memory_order_relaxed)) {
    }
}

static inline void word_raise32(word32 *word, uint32_t value) { /* the same, in order with what was written before */
    uint32_t seen = word_read(word);
    while (seen < value && !word_swap(word, seen, value)) seen = word_read(word);
}

/* Where the kill-at-every-step tests stop a process. Empty in a real build. */
#ifdef PROCESSION_STEPS
void pn_step(const char *where);
#else
#define pn_step(where) ((void)0)
#endif

#endif
