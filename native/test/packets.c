/* Packets: whole messages of all sizes, whoever dies. */
#define _GNU_SOURCE
#include "../clock.h"
#include "../packets.h"

#include <sys/socket.h>

#include "check.h"

static int ours, theirs;
static char room[PACKETS_ROOM];

static void pair(void) {
    int ends[2];
    CHECK(packets_pair(ends) == 0);
    ours = ends[0], theirs = ends[1];
}

static char letter(size_t i) { return (char)(i * 7 + i / 1000); }

static char *make(size_t size) {
    char *message = malloc(size + 1);
    for (size_t i = 0; i < size; i++) message[i] = letter(i);
    return message;
}

static int begin(struct packet_out *out, const struct iovec *pieces, int count) {
    packets_fill(out, pieces, count);
    return packets_send(ours, out);
}

static void send_size(size_t size) {
    struct iovec whole = {make(size), size};
    struct packet_out out;
    int r;
    packets_fill(&out, &whole, 1);
    while ((r = packets_send(ours, &out)) == -EAGAIN) CHECK(packets_wait(ours, POLLOUT, PN_FOREVER) == 1);
    if (r > 0) r = packets_push(&out);
    packets_drop(&out);
    free(whole.iov_base);
    CHECK(r == 0);
}

static void expect(size_t size) {
    struct packet_in in;
    CHECK(packets_wait(theirs, POLLIN, PN_FOREVER) == 1 && packets_take(theirs, room, &in, true) == 1 && in.size == size);
    char *message = malloc(size + 1);
    memcpy(message, room, in.got);
    CHECK(packets_pull(&in, message) == 1);
    for (size_t i = 0; i < size; i++) CHECK(message[i] == letter(i));
    if (in.rest >= 0) close(in.rest);
    free(message);
}

static void sizes_around_the_limits(void) {
    const size_t most = PACKETS_INLINE, sizes[] = {0, 1, 2048, 2049, most - 1, most, most + 1, 2 * most, 5000000};
    pair();
    pid_t pid = fork();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (pid) expect(sizes[i]);
        else send_size(sizes[i]);
    }
    if (pid == 0) exit(0);
    end_of(pid, 0);
}

static void many_pieces(void) {
    enum { COUNT = 1000 };
    static struct iovec pieces[COUNT];
    pair();
    char *message = make(COUNT * 300);
    for (size_t i = 0; i < COUNT; i++) pieces[i] = (struct iovec){message + i * 300, 300};
    pid_t pid = fork();
    if (pid == 0) {
        struct packet_out out;
        CHECK(begin(&out, pieces, COUNT) == 1 && packets_push(&out) == 0);
        _exit(0);
    }
    expect(COUNT * 300);
    end_of(pid, 0);
    free(message);
}

static void the_smallest_buffers(void) {
    const int least = 1;
    pair();
    setsockopt(ours, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 3; i++) send_size(100000);
        _exit(0);
    }
    for (int i = 0; i < 3; i++) expect(100000);
    end_of(pid, 0);
}

static void nobody_there(void) {
    struct packet_in in;
    struct packet_out out;
    struct iovec one = {room, 10};
    pair();
    CHECK(packets_take(theirs, room, &in, false) == -EAGAIN);
    CHECK(packets_wait(theirs, POLLIN, clock_monotonic() + 1000000) == 0);
    CHECK(begin(&out, &one, 1) == 0 && !packets_alone(ours));
    close(theirs); /* with something unread */
    CHECK(begin(&out, &one, 1) == -EPIPE && packets_alone(ours));
    CHECK(packets_take(ours, room, &in, true) == 0);
}

static void a_full_buffer(void) {
    struct iovec one = {make(100000), 100000};
    struct packet_out out;
    int sent = 0, r;
    pair();
    while ((r = begin(&out, &one, 1)) == 0) sent++;
    CHECK(r == -EAGAIN && sent > 0);
    while (sent-- > 0) expect(100000);
    CHECK(packets_wait(ours, POLLOUT, PN_FOREVER) == 1 && begin(&out, &one, 1) == 0);
    free(one.iov_base);
}

static void strange_packets(void) {
    struct packet_in in;
    pair();
    CHECK(write(ours, "hello", 5) == 5 && write(ours, "B", 1) == 1 && write(ours, "12345678B", 9) == 9);
    static char huge[PACKETS_ROOM + 1];
    CHECK(write(ours, huge, sizeof huge) == (ssize_t)sizeof huge);
    for (int i = 0; i < 4; i++) CHECK(packets_take(theirs, room, &in, true) == -EBADMSG);
    send_size(0);
    expect(0);
    CHECK(packets_speak(ours) && !packets_speak(0) && !packets_speak(-1));
}

static void a_message_that_is_dropped(void) {
    struct packet_in in;
    struct packet_out out;
    struct iovec one = {make(1000000), 1000000};
    pair();
    CHECK(begin(&out, &one, 1) == 1);
    packets_drop(&out); /* the sender thinks better of it, or is dead */
    CHECK(packets_take(theirs, room, &in, true) == 1 && packets_pull(&in, one.iov_base) == 0);
    close(in.rest);
    CHECK(begin(&out, &one, 1) == 1 && packets_take(theirs, room, &in, true) == 1);
    close(in.rest); /* the receiver does */
    CHECK(packets_push(&out) == -EPIPE && !packets_alone(ours));
    packets_drop(&out);
    free(one.iov_base);
    send_size(0);
    expect(0);
}

static void a_killed_sender(void) {
    int64_t until = clock_monotonic() + 15 * PN_SECOND; /* (on a busy machine fewer) */
    for (int round = 0; round < 30 && (round < 5 || clock_monotonic() < until); round++) {
        struct packet_in in;
        pair();
        pid_t pid = fork();
        if (pid == 0) {
            close(theirs);
            for (size_t size = 1;; size = size * 5 % 1000000) send_size(size);
        }
        close(ours);
        char *message = malloc(1000000);
        int r, whole = 0;
        while ((r = packets_take(theirs, room, &in, true)) == 1) {
            memcpy(message, room, in.got);
            if (packets_pull(&in, message) == 1) {
                for (size_t i = 0; i < in.size; i += 97) CHECK(message[i] == letter(i));
                if (++whole == 2 * round) kill(pid, SIGKILL);
            }
            if (in.rest >= 0) close(in.rest);
            if (round == 0) kill(pid, SIGKILL);
        }
        CHECK(r == 0);
        end_of(pid, SIGKILL);
        close(theirs);
        free(message);
    }
}

int main(void) {
    int failed = 0;
    CASE(sizes_around_the_limits);
    CASE(many_pieces);
    CASE(the_smallest_buffers);
    CASE(nobody_there);
    CASE(a_full_buffer);
    CASE(strange_packets);
    CASE(a_message_that_is_dropped);
    CASE(a_killed_sender);
    return failed;
}
