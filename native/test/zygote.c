/* The zygote's loop and a spare's wait: this process plays the parent, a fork of it the zygote. */
#define _GNU_SOURCE
#include <sys/socket.h>

#include "check.h"

#include "../clone.h"
#include "../pidfd.h"
#include "../zygote.h"

static struct zygote_call call;
static int control = -1; /* our end of the zygote's control socket */

/* In a spare: tell by the exit status what came, and by the first byte of a start message which. */
static _Noreturn void end_with(enum zygote_news news) { _exit(news == ZYGOTE_START ? call.message[0] : 100 + (int)news); }

static _Noreturn void play_zygote(int socket, int parent, int64_t patience) {
    struct zygote zygote = {.control = socket, .parent = parent, .patience = patience};
    CHECK(clone_prepare() == 0);
    enum zygote_news news = zygote_serve(&zygote, &call, false);
    if (!call.in_spare) _exit(50 + (int)news);
    if (news == ZYGOTE_BORN) news = spare_wait(call.sock, parent, PN_FOREVER, &call);
    end_with(news);
}

static pid_t launch(int64_t patience) {
    int theirs, parent = pidfd_open_(getpid());
    CHECK(parent >= 0 && commons_found() == 0 && channel_pair(&control, &theirs) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(control);
        play_zygote(theirs, parent, patience);
    }
    close(theirs);
    return pid;
}

/* Order a spare; its pid, by its own word, and our end of its socket. */
static pid_t order(struct member who, int *sock) {
    struct zygote_order message = {.who = who};
    int theirs;
    int32_t pid = 0;
    CHECK(channel_pair(sock, &theirs) == 0 && getrlimit(RLIMIT_NPROC, &message.processes) == 0);
    CHECK(channel_send(control, &message, sizeof message, &theirs, 1) == 0);
    close(theirs);
    CHECK(recv(*sock, &pid, sizeof pid, 0) == sizeof pid && pid > 0);
    return pid;
}

static struct member add(void) {
    struct member who;
    CHECK(table_add(&who, RECORD_ORDERED, 0, nobody, "spare") == 0);
    return who;
}

static void a_spare_is_our_child_and_sits_in_its_record(void) {
    if (UNDER_TSAN) return; /* it does not see raw clones */
    launch(PN_SECOND / 1000);
    struct member who = add();
    int sock;
    pid_t pid = order(who, &sock);
    struct record *record = table_get(who);
    struct proc_stat stat;
    CHECK(proc_stat(pid, &stat) == 0 && stat.parent == getpid());
    EVENTUALLY(word_read(&record->pid) == (uint32_t)pid && word_peek(&record->start_time) == stat.start_time);
    EVENTUALLY(record_state(record) == RECORD_IDLE);
    CHECK(channel_send(sock, "*", 1, NULL, 0) == 0); /* the start message */
    end_of(pid, '*' << 8);
}

/* However long it is: before the patience is over, and long after. */
static void a_start_may_come_at_once_or_late(void) {
    if (UNDER_TSAN) return;
    launch(PN_SECOND / 1000);
    for (int i = 0; i < 20; i++) {
        int sock;
        pid_t pid = order(add(), &sock);
        if (i % 2) nap(3000);
        CHECK(channel_send(sock, "!", 1, NULL, 0) == 0);
        end_of(pid, '!' << 8);
        close(sock);
    }
}

static void a_spare_that_is_let_go_ends(void) {
    if (UNDER_TSAN) return;
    launch(0);
    int sock;
    pid_t pid = order(add(), &sock);
    shutdown(sock, SHUT_WR);
    end_of(pid, (100 + ZYGOTE_LET_GO) << 8);
}

static void descriptors_come_with_the_start(void) {
    if (UNDER_TSAN) return;
    launch(PN_FOREVER);
    int sock, ends[2];
    pid_t pid = order(add(), &sock);
    CHECK(pipe(ends) == 0 && channel_send(sock, "d", 1, ends, 2) == 0);
    end_of(pid, 'd' << 8);
}

static void a_lesson_and_the_end_are_told(void) {
    pid_t zygote = launch(0);
    CHECK(channel_send(control, "read this", 9, NULL, 0) == 0);
    end_of(zygote, (50 + ZYGOTE_LESSON) << 8);
    zygote = launch(0);
    close(control);
    end_of(zygote, (50 + ZYGOTE_LET_GO) << 8);
}

static void the_zygote_sees_its_parent_die(void) {
    pid_t *zygote = shared(sizeof *zygote);
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    pid_t parent = fork();
    if (parent == 0) {
        *zygote = launch(0);
        kill(*zygote, SIGCONT);
        _exit(0);
    }
    end_of(parent, 0);
    int status;
    CHECK(waitpid(*zygote, &status, 0) == *zygote);
    CHECK(status == (50 + ZYGOTE_ORPHAN) << 8 || status == (50 + ZYGOTE_LET_GO) << 8 || status == SIGKILL);
}

static void without_an_order_once_does_not_wait(void) {
    int ends[2], parent = pidfd_open_(getpid());
    CHECK(channel_pair(&ends[0], &ends[1]) == 0);
    struct zygote zygote = {.control = ends[1], .parent = parent};
    CHECK(zygote_serve(&zygote, &call, true) == ZYGOTE_NOTHING && !call.in_spare);
    CHECK(spare_wait(ends[1], parent, PN_SECOND / 1000, &call) == ZYGOTE_NOTHING);
}

int main(void) {
    int failed = 0;
    CASE(a_spare_is_our_child_and_sits_in_its_record);
    CASE(a_start_may_come_at_once_or_late);
    CASE(a_spare_that_is_let_go_ends);
    CASE(descriptors_come_with_the_start);
    CASE(a_lesson_and_the_end_are_told);
    CASE(the_zygote_sees_its_parent_die);
    CASE(without_an_order_once_does_not_wait);
    return failed;
}
