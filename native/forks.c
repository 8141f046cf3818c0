#define _GNU_SOURCE
#include "forks.h"

#include <pthread.h>

#include "bell.h"
#include "cells.h"
#include "reaper.h"

static pthread_mutex_t fork_lock = PTHREAD_MUTEX_INITIALIZER; /* held through a pause: one fork at a time */

void forks_pause(void) {
    pthread_mutex_lock(&fork_lock);
    bell_pause();
    reaper_pause();
}

void forks_resume(void) {
    sync_forked();
    reaper_resume();
    bell_resume();
    pthread_mutex_unlock(&fork_lock);
}

void forks_restart(void) { /* (does nothing while another thread's pause lasts: that one will) */
    reaper_restart();
    bell_restart();
}

void forks_forget(void) {
    pthread_mutex_init(&fork_lock, NULL);
    bell_forget();
    reaper_forget();
}
