/* Start channels: whole messages, with descriptors, and the end. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/resource.h>

#include "../channel.h"
#include "check.h"

static int ours, theirs;

static void pair(void) { CHECK(channel_pair(&ours, &theirs) == 0); }

static void messages_stay_whole(void) {
    char in[100];
    pair();
    CHECK(channel_send(ours, "first", 5, NULL, 0) == 0 && channel_send(ours, "second", 6, NULL, 0) == 0);
    CHECK(channel_receive(theirs, in, sizeof in, NULL, NULL) == 5 && memcmp(in, "first", 5) == 0);
    CHECK(channel_receive(theirs, in, sizeof in, NULL, NULL) == 6 && memcmp(in, "second", 6) == 0);
    CHECK(fcntl(ours, F_GETFD) & FD_CLOEXEC && fcntl(theirs, F_GETFD) & FD_CLOEXEC);
}

static void descriptors_arrive(void) {
    int ends[2], got[8], count = 8, fds[3];
    char in[8];
    pair();
    CHECK(pipe(ends) == 0);
    fds[0] = ends[1], fds[1] = ends[0], fds[2] = ends[1];
    CHECK(channel_send(ours, "fds", 3, fds, 3) == 0);
    CHECK(channel_receive(theirs, in, sizeof in, got, &count) == 3 && count == 3);
    close(ends[1]);
    for (int i = 0; i < 3; i++) CHECK(fcntl(got[i], F_GETFD) & FD_CLOEXEC);
    CHECK(write(got[2], "x", 1) == 1 && read(got[1], in, 1) == 1 && in[0] == 'x');
}

static void many_descriptors(void) {
    int fds[CHANNEL_FDS + 1], got[CHANNEL_FDS], count = CHANNEL_FDS;
    char in[1];
    pair();
    for (int i = 0; i <= CHANNEL_FDS; i++) fds[i] = ours;
    CHECK(channel_send(ours, "", 1, fds, CHANNEL_FDS + 1) == -EINVAL);
    CHECK(channel_send(ours, "", 1, fds, CHANNEL_FDS) == 0);
    CHECK(channel_receive(theirs, in, 1, got, &count) == 1 && count == CHANNEL_FDS);
    for (int i = 0; i < count; i++) close(got[i]);
    count = 2; /* room for fewer: the others are closed, not leaked */
    CHECK(channel_send(ours, "", 1, fds, 10) == 0);
    CHECK(channel_receive(theirs, in, 1, got, &count) == 1 && count == 2);
    int next = dup(0);
    CHECK(next <= got[1] + 1);
}

static void no_room_for_descriptors_is_an_error(void) {
    int got[4], count = 4, fds[] = {0, 0, 0};
    char in[8];
    pair();
    CHECK(channel_send(ours, "fds", 3, fds, 3) == 0 && channel_send(ours, "next", 4, NULL, 0) == 0);
    int next = dup(0);
    close(next);
    struct rlimit old, tight = {(rlim_t)next + 1, 1024};
    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0 && setrlimit(RLIMIT_NOFILE, &tight) == 0);
    CHECK(channel_receive(theirs, in, sizeof in, got, &count) == -EMFILE && count == 0);
    CHECK(fcntl(next, F_GETFD) < 0); /* the one that came is closed */
    CHECK(channel_receive(theirs, in, sizeof in, got, &count) == 4);
}

static void big_messages(void) {
    static char out[CHANNEL_BYTES], in[CHANNEL_BYTES];
    pair();
    for (size_t i = 0; i < sizeof out; i++) out[i] = (char)(i * 7);
    CHECK(channel_send(ours, out, sizeof out, NULL, 0) == 0);
    CHECK(channel_receive(theirs, in, sizeof in, NULL, NULL) == (int)sizeof in && memcmp(in, out, sizeof in) == 0);
    CHECK(channel_send(ours, out, 1000, NULL, 0) == 0);
    CHECK(channel_receive(theirs, in, 999, NULL, NULL) == -EMSGSIZE); /* never a part of a message */
}

static void the_end(void) {
    char in[8];
    pair();
    CHECK(channel_send(ours, "last", 4, NULL, 0) == 0);
    close(ours);
    CHECK(channel_receive(theirs, in, sizeof in, NULL, NULL) == 4);
    CHECK(channel_receive(theirs, in, sizeof in, NULL, NULL) == 0);
    CHECK(channel_send(theirs, "x", 1, NULL, 0) == -EPIPE); /* and no SIGPIPE */
}

static void a_killed_sender_leaves_whole_messages(void) {
    char in[3000];
    pair();
    pid_t pid = fork();
    if (pid == 0) {
        memset(in, 'm', sizeof in);
        close(theirs);
        for (;;) CHECK(channel_send(ours, in, sizeof in, NULL, 0) == 0);
    }
    close(ours);
    for (int i = 0; i < 50; i++) CHECK(channel_receive(theirs, in, sizeof in, NULL, NULL) == (int)sizeof in);
    kill(pid, SIGKILL);
    int n;
    while ((n = channel_receive(theirs, in, sizeof in, NULL, NULL)) > 0) CHECK(n == (int)sizeof in);
    CHECK(n == 0);
    end_of(pid, SIGKILL);
}

int main(void) {
    int failed = 0;
    CASE(messages_stay_whole);
    CASE(descriptors_arrive);
    CASE(many_descriptors);
    CASE(no_room_for_descriptors_is_an_error);
    CASE(big_messages);
    CASE(the_end);
    CASE(a_killed_sender_leaves_whole_messages);
    return failed;
}
