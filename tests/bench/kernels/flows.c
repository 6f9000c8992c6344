/* Both ends of the TCP connections that a guest watches over an edit.
 *
 *   flows serve         every connection to port 80 gets back what it sends
 *   flows hold ADDRESS  holds connections to port 80 there, and does what its standard input says:
 *     open COUNT        opens that many more; answers how many came up
 *     ask FIRST LAST    sends a byte on each connection from FIRST to before LAST; answers how many echoed it
 *
 * Both questions wait PATIENCE milliseconds: TCP has by then sent a lost packet again three times or four.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORT 80
#define MOST 64
#define PATIENCE 4000

static struct pollfd held[MOST];
static int holding;

static int serve(void) {
    struct sockaddr_in6 all = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
    int listener = socket(AF_INET6, SOCK_STREAM, 0), off = 0;
    setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(listener, (void *)&all, sizeof all) || listen(listener, MOST)) return perror("flows serve"), 1;
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int one = accept(listener, NULL, NULL);
        if (one < 0 || fork()) {
            close(one);
            continue;
        }
        char bytes[MOST];
        for (ssize_t got; (got = read(one, bytes, sizeof bytes)) > 0;) write(one, bytes, got);
        _exit(0);
    }
}

static int began(const char *address) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
    int is_v4 = inet_pton(AF_INET, address, &v4.sin_addr);
    int one = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct linger reset = {.l_onoff = 1}; /* no packet of it may come after its process has ended */
    setsockopt(one, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    inet_pton(AF_INET6, address, &v6.sin6_addr);
    connect(one, is_v4 ? (void *)&v4 : (void *)&v6, is_v4 ? sizeof v4 : sizeof v6);
    return one;
}

static int came_up(int one, char round) {
    int error = 0;
    socklen_t length = sizeof error;
    (void)round;
    return !getsockopt(one, SOL_SOCKET, SO_ERROR, &error, &length) && !error;
}

/* An echo of an earlier round may come late; it says nothing about this one. */
static int echoed(int one, char round) {
    char bytes[MOST];
    ssize_t got = recv(one, bytes, sizeof bytes, MSG_DONTWAIT);
    return got > 0 && memchr(bytes, round, got);
}

static long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* How many of these connections are good within PATIENCE. One with an error is bad at once. */
static int good(int first, int last, short event, int (*is_good)(int, char), char round) {
    struct pollfd left[MOST];
    int count = 0, open = last - first;
    memcpy(left, held + first, open * sizeof *left);
    for (int i = 0; i < open; i++) left[i].events = event;
    for (long end = now() + PATIENCE, rest; open && (rest = end - now()) > 0;) {
        poll(left, open, rest);
        for (int i = open - 1; i >= 0; i--) {
            int is_bad = left[i].revents & (POLLERR | POLLHUP);
            int is_done = left[i].revents && !is_bad && is_good(left[i].fd, round);
            count += is_done;
            if (is_done || is_bad) left[i] = left[--open];
        }
    }
    return count;
}

static int hold(const char *address) {
    char line[MOST], round = 0;
    for (int first, last; fgets(line, sizeof line, stdin);) {
        if (sscanf(line, "open %d", &last) == 1 && holding + last <= MOST) {
            first = holding;
            for (last += first; holding < last; holding++) held[holding].fd = began(address);
            printf("%d\n", good(first, last, POLLOUT, came_up, 0));
        } else if (sscanf(line, "ask %d %d", &first, &last) == 2 && first >= 0 && last <= holding) {
            round++;
            for (int i = first; i < last; i++) send(held[i].fd, &round, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
            printf("%d\n", good(first, last, POLLIN, echoed, round));
        } else
            return fprintf(stderr, "flows hold: not understood: %s", line), 2;
        fflush(stdout);
    }
    return 0;
}

int main(int count, char **words) {
    if (count == 2 && !strcmp(words[1], "serve")) return serve();
    if (count == 3 && !strcmp(words[1], "hold")) return hold(words[2]);
    return fprintf(stderr, "usage: flows serve | flows hold ADDRESS\n"), 2;
}
