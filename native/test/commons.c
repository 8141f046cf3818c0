/* The commons: founded, joined, refused, and small under a tight limit. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>

#include "../waits.h"
#include "check.h"

static void found_and_join(void) {
    CHECK(commons_found() == 0);
    CHECK(commons->magic == COMMONS_MAGIC && commons->version == COMMONS_VERSION);
    CHECK(commons->family != 0 && commons->slots == PN_SLOTS && commons_mapped == COMMONS_WINDOW);
    CHECK(fcntl(commons_fd, F_GETFD) & FD_CLOEXEC);
    uint64_t family = commons->family;
    int fd = dup(commons_fd);
    commons->started = 42;
    commons_leave();
    CHECK(commons == NULL && commons_fd == -1 && commons_mapped == 0);
    CHECK(commons_join(fd) == 0 && commons_fd == fd);
    CHECK(commons->family == family && commons->started == 42);
    commons_leave();
}

static void a_member_sees_what_another_writes(void) {
    CHECK(commons_found() == 0);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(commons_join(dup(commons_fd)) == 0);
        word_add(&commons->failed, 7);
        _exit(0);
    }
    end_of(pid, 0);
    CHECK(commons->failed == 7);
    commons_leave();
}

static void refuse(int fd, int error) {
    CHECK(commons_join(fd) == error);
    CHECK(commons == NULL && commons_fd == -1 && commons_mapped == 0);
    CHECK(fcntl(fd, F_GETFD) >= 0); /* the caller's still */
}

static int lines_of_maps(void) { return count_entries("/proc/self/map_files"); }

static void wrong_headers_are_refused(void) {
    CHECK(commons_found() == 0);
    int fd = dup(commons_fd), maps = lines_of_maps();
    commons->version++;
    commons_leave();
    refuse(fd, -EPROTO);
    void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    struct commons *header = map;
    header->version--, header->layout++;
    refuse(fd, -EPROTO);
    header->layout--, header->magic++;
    refuse(fd, -EPROTO);
    header->magic--;
    munmap(map, 4096);
    CHECK(commons_join(fd) == 0);
    CHECK(lines_of_maps() == maps);
    commons_leave();
}

static void other_files_are_refused(void) {
    int empty = memfd_create("empty", MFD_CLOEXEC), ends[2];
    CHECK(pipe(ends) == 0);
    refuse(empty, -EPROTO);
    refuse(ends[0], -EPROTO);
    CHECK(ftruncate(empty, 4096) == 0);
    refuse(empty, -EPROTO);
    CHECK(commons_join(9999) == -EBADF);
}

static void limit_address_space(rlim_t more) {
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    CHECK(file && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    struct rlimit limit = {pages * 4096 + more, pages * 4096 + more};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

static void a_tight_limit_gives_a_smaller_window(void) {
    if (SANITIZED) return;
    limit_address_space(56 << 20);
    CHECK(commons_found() == 0);
    CHECK(commons_mapped >= COMMONS_WINDOW_LEAST && commons_mapped < 56 << 20);
    commons_records()[PN_SLOTS - 1].pid = 1; /* the whole table is in it */
    word_add(&commons_chunks()[COMMONS_CHUNK_COUNT - 1], 1);
    word_add(&wait_at(COMMONS_WAIT_COUNT - 1)->key, 1); /* and all of the waits */
    commons_leave();
}

static int open_descriptors(void) {
    int n = 0;
    for (int fd = 0; fd < 256; fd++) n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void too_tight_a_limit_is_an_error_and_leaves_nothing(void) {
    if (SANITIZED) return;
    int before = open_descriptors();
    limit_address_space(8 << 20);
    CHECK(commons_found() == -ENOMEM);
    CHECK(commons == NULL && commons_fd == -1 && open_descriptors() == before);
    int fd = memfd_create("like a commons", MFD_CLOEXEC);
    CHECK(ftruncate(fd, (off_t)COMMONS_SIZE) == 0);
    refuse(fd, -ENOMEM);
}

static void no_descriptors_is_an_error(void) {
    int next = open("/dev/null", O_RDONLY);
    close(next);
    struct rlimit none = {(rlim_t)next, (rlim_t)next};
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK(commons_found() == -EMFILE);
    CHECK(commons == NULL);
    _exit(0); /* (a leak checker at exit would need descriptors) */
}

static void *write_obituaries(void *arg) {
    char name[PN_NAME_SIZE] = "";
    memset(name, 'a' + (int)(intptr_t)arg, sizeof name - 1);
    for (unsigned i = 0; i < 2000; i++) commons_obituary((uint32_t)(intptr_t)arg, i, 0, name, i, i);
    return NULL;
}

/* Only the serials of two writers that are 256 apart at one moment meet in an entry; a reader never takes a torn one. */
static void obituaries_are_whole_or_not_read(void) {
    CHECK(commons_found() == 0);
    struct obituary copy;
    CHECK(!commons_read_obituary(1, &copy));
    pthread_t writers[2];
    for (intptr_t i = 0; i < 2; i++) pthread_create(&writers[i], NULL, write_obituaries, (void *)i);
    for (intptr_t i = 0; i < 2; i++) pthread_join(writers[i], NULL);
    CHECK(commons->obituary_count == 4000);
    CHECK(!commons_read_obituary(4000 - OBITUARIES, &copy)); /* overwritten */
    for (uint64_t serial = 4001 - OBITUARIES; serial <= 4000; serial++) {
        CHECK(commons_read_obituary(serial, &copy));
        CHECK(copy.serial == serial && copy.run_time == copy.status && copy.name[0] == 'a' + (char)copy.pid);
        CHECK(copy.name[PN_NAME_SIZE - 2] == copy.name[0] && copy.name[PN_NAME_SIZE - 1] == 0);
    }
    commons_leave();
}

static void the_dead_are_counted(void) {
    CHECK(commons_found() == 0);
    struct member who;
    CHECK(table_add(&who, RECORD_RUNNING, RECORD_PROCESS, nobody, "worker") == 0);
    struct record *record = table_get(who);
    word_poke(&record->peak_kib, 77);
    commons_bury(record, 0);
    commons_bury(record, 3 << 8);
    commons_bury(record, SIGSEGV);
    word_or(&record->flags, RECORD_TERMINATED);
    commons_bury(record, SIGTERM);
    CHECK(commons->failed == 1 && commons->killed == 1 && commons->obituary_count == 3 && commons->peak_kib == 77);
    commons_leave();
}

int main(void) {
    int failed = 0;
    CASE(found_and_join);
    CASE(a_member_sees_what_another_writes);
    CASE(wrong_headers_are_refused);
    CASE(other_files_are_refused);
    CASE(a_tight_limit_gives_a_smaller_window);
    CASE(too_tight_a_limit_is_an_error_and_leaves_nothing);
    CASE(no_descriptors_is_an_error);
    CASE(obituaries_are_whole_or_not_read);
    CASE(the_dead_are_counted);
    return failed;
}
