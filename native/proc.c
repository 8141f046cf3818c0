#define _GNU_SOURCE
#include "proc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool proc_exists(pid_t pid) { return kill(pid, 0) == 0 || errno == EPERM; }

static ssize_t read_file(const char *path, char *buffer, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    ssize_t n = read(fd, buffer, size - 1);
    if (n < 0) n = -errno;
    close(fd);
    if (n >= 0) buffer[n] = 0;
    return n;
}

int proc_stat(pid_t pid, struct proc_stat *out) {
    char path[48], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    ssize_t n = read_file(path, text, sizeof text);
    if (n <= 0) return n < 0 ? (int)n : -ESRCH;
    char *field = strrchr(text, ')'); /* the name before it may hold anything, brackets and blanks too */
    if (!field) return -EPROTO;
    int parent = 0;
    if (sscanf(field + 1, " %c %d", &out->state, &parent) != 2) return -EPROTO;
    out->pid = pid;
    out->parent = parent;
    for (int i = 2; i < 20 && field; i++) field = strchr(field + 1, ' '); /* fields 3 .. 22 follow the bracket */
    out->headless = out->state == 'Z' && field && atoi(field + 1) > 1;
    if (out->headless) out->state = 'S';
    for (int i = 20; i < 22 && field; i++) field = strchr(field + 1, ' ');
    if (!field) return -EPROTO;
    out->start_time = strtoull(field, NULL, 10);
    return 0;
}

bool proc_short(int error) { return error == -EMFILE || error == -ENFILE || error == -ENOMEM; }

/* 1: it is; 0: it is not; below 0: nothing is known. */
static int is(pid_t pid, uint64_t start_time, bool any) {
    struct proc_stat stat;
    int error = proc_stat(pid, &stat);
    if (error < 0) return proc_short(error) && proc_exists(pid) ? error : 0;
    return stat.state != 'Z' && stat.state != 'X' && (any || stat.start_time == start_time);
}

bool proc_is(pid_t pid, uint64_t start_time) { return is(pid, start_time, false) > 0; }

bool proc_may_be(pid_t pid, uint64_t start_time) { return is(pid, start_time, false) != 0; }

bool proc_sits(pid_t pid, uint64_t start_time) { return is(pid, start_time, start_time == 0) != 0; }

void proc_sched(pid_t pid, uint64_t *run, uint64_t *ready) {
    char path[64], text[128];
    unsigned long long a = 0, b = 0;
    snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
    if (read_file(path, text, sizeof text) > 0 && sscanf(text, "%llu %llu", &a, &b) != 2) a = b = 0;
    *run = a;
    *ready = b;
}

void proc_name(pid_t pid, char *out, size_t size) {
    char path[48];
    memset(out, 0, size);
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    ssize_t n = read_file(path, out, size);
    if (n > 0 && out[n - 1] == '\n') out[n - 1] = 0;
}

static int each_number(const char *path, void (*each)(pid_t, void *), void *arg) {
    DIR *dir = opendir(path);
    if (!dir) return -errno;
    for (struct dirent *entry; (entry = readdir(dir));)
        if (isdigit((unsigned char)entry->d_name[0])) each((pid_t)atoi(entry->d_name), arg);
    closedir(dir);
    return 0;
}

static bool has_memory(pid_t thread) {
    char path[48], size[64];
    snprintf(path, sizeof path, "/proc/%d/statm", thread);
    return read_file(path, size, sizeof size) > 0 && size[0] != '0';
}

static void take_thread(pid_t thread, void *arg) {
    pid_t *found = arg;
    if (*found == 0 && has_memory(thread)) *found = thread;
}

/* The first thread; another one when that has ended. */
static pid_t with_memory(pid_t pid) {
    char path[48];
    pid_t found = 0;
    if (has_memory(pid)) return pid;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    each_number(path, take_thread, &found);
    return found ? found : pid;
}

bool proc_lacks(pid_t pid, const char *name) {
    char path[48], *line = NULL;
    pid = with_memory(pid);
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *file = fopen(path, "re");
    if (!file) return false;
    size_t room = 0;
    bool found = false;
    while (!found && getline(&line, &room, file) > 0) found = strstr(line, name) != NULL;
    free(line);
    fclose(file);
    return !found && has_memory(pid); /* (a process that ends loses its memory between two reads) */
}

int proc_every(void (*each)(pid_t, void *), void *arg) { return each_number("/proc", each, arg); }

pid_t proc_last_pid(void) {
    char text[128];
    char *field = read_file("/proc/loadavg", text, sizeof text) > 0 ? strrchr(text, ' ') : NULL;
    return field ? (pid_t)atoi(field) : 0;
}

struct children {
    pid_t pid;
    void (*each)(pid_t, void *);
    void *arg;
    int error;
};

static void children_of_thread(pid_t tid, void *arg) {
    struct children *c = arg;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", c->pid, tid);
    FILE *file = fopen(path, "re");
    if (!file) c->error = -errno;
    if (!file) return;
    for (int child; fscanf(file, "%d", &child) == 1;) c->each(child, c->arg);
    fclose(file);
}

int proc_children(pid_t pid, void (*each)(pid_t, void *), void *arg) {
    struct children c = {pid, each, arg, 0};
    char path[48];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    int error = each_number(path, children_of_thread, &c);
    return error ? error : c.error;
}

bool proc_in_exec(pid_t pid) {
    char path[48], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    char *field = read_file(path, text, sizeof text) > 0 ? strrchr(text, ')') : NULL;
    char state = field ? field[2] : 'Z';
    unsigned long long memory = 0, begin = 0, end = 1;
    for (int i = 3; i <= 51 && field; i++) {
        field = strchr(field + 1, ' ');
        if (field && i == 23) memory = strtoull(field, NULL, 10); /* (none: it is ending, or a thread of the kernel) */
        if (field && i == 50) begin = strtoull(field, NULL, 10);
        if (field && i == 51) end = strtoull(field, NULL, 10);
    }
    /* Last the kernel counts what is there: the end grows from the beginning on. One whose environment is empty looks the same,
     * but sleeps as a rule. */
    return memory > 0 && (end == 0 || (end == begin && (state == 'R' || state == 'D')));
}

/* `thread` is a process, or any thread of it. */
static int environ_of(pid_t thread, const char *key, char *value, size_t size) {
    char path[48];
    snprintf(path, sizeof path, "/proc/%d/environ", thread);
    FILE *file = fopen(path, "re");
    if (!file) return -errno;
    char *variable = NULL;
    size_t room = 0, length = strlen(key);
    int found = -ENODATA;
    while (found && getdelim(&variable, &room, 0, file) > 0) {
        found = -ENOENT;
        if (strncmp(variable, key, length) != 0) continue;
        snprintf(value, size, "%s", variable + length);
        found = 0;
    }
    free(variable);
    fclose(file);
    return found;
}

int proc_environ(const struct proc_stat *who, const char *key, char *value, size_t size) {
    return environ_of(who->headless ? with_memory(who->pid) : who->pid, key, value, size);
}
