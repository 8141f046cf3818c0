/* The start message: what it says is what the process that takes it becomes. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include "../start.h"
#include "check.h"

static char buffer[sizeof(struct start) + 64];

/* A message from this process to `child`, with 5 bytes of changes and a payload. Its size. */
static size_t write_message(uint32_t flags, uint32_t standard) {
    struct start head;
    CHECK(start_fill(&head, true) == 0);
    head.flags = flags;
    head.standard = standard;
    head.changes = 5;
    table_cut_name(head.name, "the child");
    memcpy(buffer, &head, head.size);
    memcpy(buffer + head.size, "12345payload", 12);
    return head.size + 12;
}

static void a_message_is_read_back(void) {
    size_t size = write_message(RECORD_DAEMON, 7);
    const struct start *start = start_read(buffer, size);
    CHECK(start && start->flags == RECORD_DAEMON && start->standard == 7 && start->parent == getpid());
    CHECK(strcmp(start->name, "the child") == 0 && start->changes == 5 && start->size < sizeof *start);
    CHECK(memcmp(buffer + start->size, "12345payload", 12) == 0);
}

static void what_is_no_message_is_refused(void) {
    size_t size = write_message(0, 7);
    struct start *start = (struct start *)buffer, good = *start;
    CHECK(!start_read(buffer, 3) && !start_read(buffer, start->size - 1)); /* cut off */
    start->size += 8;
    CHECK(!start_read(buffer, size));
    *start = good;
    start->changes = (uint32_t)size;
    CHECK(!start_read(buffer, size));
    *start = good;
    memset(start->name, 'x', sizeof start->name);
    CHECK(!start_read(buffer, size));
    *start = good;
    CHECK(start_read(buffer, size));
}

static void the_streams_and_the_world_are_taken_on(void) {
    int ends[2];
    start_deafen();
    umask(022);
    CHECK(pipe(ends) == 0);
    int null = open("/dev/null", O_RDWR);
    write_message(0, 1u << 1 | 1u << 2); /* standard input is closed in the parent */
    struct start *start = (struct start *)buffer;
    start->world.umask = 0117;
    start->ignored |= 1ull << (SIGUSR1 - 1);
    pid_t pid = fork();
    if (pid == 0) {
        struct start_news news;
        int fds[] = {ends[1], null, ends[0]};
        CHECK(start_take(start, fds, 3, false, &news) == 2);
        CHECK(write(1, "x", 1) == 1 && fcntl(0, F_GETFD) < 0 && fcntl(ends[1], F_GETFD) < 0 && fcntl(ends[0], F_GETFD) >= 0);
        CHECK(umask(0) == 0117 && news.terminals == 0);
        CHECK(news.signals & 1ull << (SIGUSR1 - 1)); /* Python has to see to it */
        _exit(0);
    }
    end_of(pid, 0);
    char byte;
    CHECK(read(ends[0], &byte, 1) == 1 && byte == 'x');
}

static void a_rehearsal_changes_nothing_but_the_streams(void) {
    start_deafen();
    umask(022);
    write_message(0, 7);
    ((struct start *)buffer)->world.umask = 0117;
    int fds[] = {open("/dev/null", O_RDWR), open("/dev/null", O_RDWR), open("/dev/null", O_RDWR)};
    struct start_news news;
    struct sigaction interrupt;
    CHECK(start_take((struct start *)buffer, fds, 3, true, &news) == 3 && news.signals == 0);
    CHECK(umask(022) == 022);
    CHECK(sigaction(SIGINT, NULL, &interrupt) == 0 && interrupt.sa_handler == SIG_IGN);
}

static void on_interrupt(int sig) { (void)sig; }

/* A helper is deaf to SIGINT; its children have the handler that it had before. */
static void interrupts_are_given_back(void) {
    struct sigaction handler = {.sa_handler = on_interrupt}, found;
    CHECK(sigaction(SIGINT, &handler, NULL) == 0);
    write_message(0, 7);
    start_deafen();
    start_deafen(); /* (a second look at the rest forgets nothing) */
    CHECK(sigaction(SIGINT, NULL, &found) == 0 && found.sa_handler == SIG_IGN);
    int fds[] = {open("/dev/null", O_RDWR), open("/dev/null", O_RDWR), open("/dev/null", O_RDWR)};
    struct start_news news;
    CHECK(start_take((struct start *)buffer, fds, 3, false, &news) == 3);
    CHECK(sigaction(SIGINT, NULL, &found) == 0 && found.sa_handler == on_interrupt);
}

static void a_life_is_counted_once_it_begins(void) {
    struct member who;
    CHECK(commons_found() == 0);
    CHECK(table_add(&who, RECORD_IDLE, 0, nobody, "spare") == 0);
    CHECK(start_life(who, RECORD_DAEMON, "worker") && commons->alive == 1 && commons->started == 1);
    struct record *record = table_get(who);
    CHECK(record_state(record) == RECORD_READY && strcmp(record->name, "worker") == 0);
    CHECK((record->flags & (RECORD_PROCESS | RECORD_DAEMON)) == (RECORD_PROCESS | RECORD_DAEMON));
    table_free(who);
    CHECK(!start_life(who, 0, "gone") && commons->alive == 1);
}

/* Its zygote was to tell it, and was killed. */
static void a_start_time_that_nobody_told(void) {
    struct member who;
    struct proc_stat stat;
    CHECK(commons_found() == 0 && proc_stat(getpid(), &stat) == 0);
    CHECK(table_add(&who, RECORD_IDLE, 0, nobody, "spare") == 0);
    word_publish(&table_get(who)->pid, (uint32_t)getpid());
    start_sit(who);
    CHECK(word_peek(&table_get(who)->start_time) == stat.start_time);
    word_poke(&table_get(who)->start_time, 7);
    start_sit(who); /* what is there stands */
    CHECK(word_peek(&table_get(who)->start_time) == 7);
}

static void a_child_whose_parent_is_gone_is_told(void) {
    write_message(0, 7);
    struct start *start = (struct start *)buffer;
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(start_tie(start) == 0);
        start->parent = 1 << 22; /* nobody's pid */
        CHECK(start_tie(start) == -ESRCH);
        start->flags = RECORD_DETACHED;
        CHECK(start_tie(start) == 0 && getsid(0) == getpid());
        _exit(0);
    }
    end_of(pid, 0);
}

int main(void) {
    int failed = 0;
    CASE(a_message_is_read_back);
    CASE(what_is_no_message_is_refused);
    CASE(the_streams_and_the_world_are_taken_on);
    CASE(a_rehearsal_changes_nothing_but_the_streams);
    CASE(interrupts_are_given_back);
    CASE(a_life_is_counted_once_it_begins);
    CASE(a_start_time_that_nobody_told);
    CASE(a_child_whose_parent_is_gone_is_told);
    return failed;
}
