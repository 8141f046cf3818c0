#define _GNU_SOURCE
#include "condition.h"

#include <errno.h>

int condition_enter(struct cell *cell, uint32_t channel, struct wait **out) {
    return wait_begin(cell_index(cell), 0, 0, channel, out);
}

int condition_sleep(struct wait *wait, int64_t deadline) {
    for (bool spin = true;; spin = false) {
        int r = wait_sleep(wait, deadline, spin);
        if (r < 0 || !wait_pending(word_read(&wait->state))) return r;
    }
}

bool condition_leave(struct wait *wait) { return wait_end(wait) == WAIT_PASSED; }

uint32_t condition_notify(struct cell *cell, uint32_t count) {
    return waits_tell(cell_index(cell), count, WAIT_PASSED);
}
