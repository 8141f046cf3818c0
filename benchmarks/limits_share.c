/* The limit of passing data on: copying it, once, within one process, from memory that is in use into memory that is in use. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t copy_often(char *to, const char *from, size_t size, int64_t count) {
    memcpy(to, from, size); /* its pages are there from now on */
    int64_t begin = now();
    for (int64_t i = 0; i < count; i++) {
        memcpy(to, from, size);
        __asm__ volatile("" : : "r"(to) : "memory"); /* or the compiler would copy once */
    }
    return now() - begin;
}

/* Nanoseconds for copying `size` bytes as many times. */
int64_t limit_memcpy(int64_t size, int64_t count) {
    char *from = malloc((size_t)size), *to = malloc((size_t)size);
    int64_t taken = -ENOMEM;
    if (from != NULL && to != NULL) {
        memset(from, 1, (size_t)size);
        taken = copy_often(to, from, (size_t)size, count);
    }
    free(from);
    free(to);
    return taken;
}
