/* What /proc says of a process (man 5 proc). Everything here only reads, and answers 0 or a negative errno. */
#ifndef PROCESSION_PROC_H
#define PROCESSION_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_stat {
    pid_t pid;
    char state;          /* R S D T t Z X I ... */
    bool headless;       /* its first thread has ended (and would be a zombie), others go on: `state` is S */
    pid_t parent;
    uint64_t start_time; /* clock ticks since boot */
};

bool proc_exists(pid_t pid);
int proc_stat(pid_t pid, struct proc_stat *out);
/* There were no descriptors, or no memory, to look with: nothing is known. */
bool proc_short(int error);
/* The process is there and is the one that started at `start_time`, and is not a zombie. */
bool proc_is(pid_t pid, uint64_t start_time);
/* The same, or nothing is known of it: who takes it for dead must be sure. */
bool proc_may_be(pid_t pid, uint64_t start_time);
/* That of what a record says: of a spare that has just been born the pid stands there before the start time, which is 0. */
bool proc_sits(pid_t pid, uint64_t start_time);
/* Nanoseconds that the main thread ran and that it waited for a processor; zeros where the kernel does not tell. */
void proc_sched(pid_t pid, uint64_t *run, uint64_t *ready);
/* The command name of `pid`, padded with zeros; empty when it is gone. */
void proc_name(pid_t pid, char *out, size_t size);
/* It has memory, and does not map the file of this name, as /proc/PID/maps gives it. False for what is ending. */
bool proc_lacks(pid_t pid, const char *name);
/* Call `each` with the pid of every child of every thread of `pid`. */
int proc_children(pid_t pid, void (*each)(pid_t child, void *arg), void *arg);
/* Call `each` with every pid there is. */
int proc_every(void (*each)(pid_t pid, void *arg), void *arg);
/* The last pid, of a process or a thread, that was given here: another one later means that somebody was born meanwhile. 0: the
 * kernel does not tell. */
pid_t proc_last_pid(void);
/* Find `key` (with its "=") at the start of a variable in the environment the process was started with, and
 * copy the value. -ENOENT when it is not there; -ENODATA when there is no environment at all. */
int proc_environ(const struct proc_stat *who, const char *key, char *value, size_t size);
/* It has no environment because it is within an exec(): it has the memory of its new program already, and not yet what
 * stands in that. */
bool proc_in_exec(pid_t pid);

#endif
