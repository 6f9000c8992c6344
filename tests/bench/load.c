/* Steady load through a VIP, and what became of every request.
 *
 * Usage: load VIP PORT SHORTS_PER_SECOND KEPT_PER_SECOND DOWNLOADS UPLOADS PATTERN
 *
 * Shorts have a connection each. Kept requests share KEPT connections, and each of those is replaced after
 * EACH requests. Downloads read /download slowly, again and again on one connection, and compare it with the
 * file PATTERN; uploads put the same bytes to /kept/NAME in one endless request, for somebody else to compare.
 * It starts no request after its standard input has ended, brings all to their end, and ends.
 *
 * Prints JSON, times in seconds of CLOCK_MONOTONIC, PROBLEM null where there was none:
 *     ["request", KIND, CLIENT_PORT, DUE, LATENCY, PROBLEM]
 *     ["connection", KIND, CLIENT_PORT, OPENED, CLOSED, BYTES, NAME, PROBLEM]
 * A latency counts from when the request was due, not from when this program came to send it. A realserver that
 * cannot keep up is asked less often: what is overdue by more than SLACK_S is left out, so that a busy machine
 * makes the load smaller and not the queue longer. "begun" on standard error says that every transfer is on its
 * way.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SHORTS 16 /* at once: when all are in use, the next ones wait and the pace slackens */
#define KEPT 16
#define EACH 200
#define TRANSFERS 64
#define PIECE 1000      /* bytes that a transfer moves */
#define PACE_S 0.05     /* … each so many seconds */
#define SILENCE_S 6.0   /* without progress: lost */
#define SLACK_S 0.5
#define WINDOW 8192     /* bytes: what a realserver can send ahead of a slow reader */

enum kind { SHORT, KEEP, DOWNLOAD, UPLOAD };
static const char *const KINDS[] = {"short", "kept", "download", "upload"};
static const char *const ASKED[] = {"GET / HTTP/1.1\r\nHost: vip\r\nConnection: close\r\n\r\n",
                                    "GET / HTTP/1.1\r\nHost: vip\r\n\r\n",
                                    "GET /download HTTP/1.1\r\nHost: vip\r\n\r\n"};

struct connection {
    enum kind kind;
    int fd; /* -1: free */
    unsigned port;
    double opened, progress;
    long bytes;
    char name[32];
};
struct exchange { /* short or kept */
    struct connection on;
    double due;
    int asked, got;
    bool waiting, sent;
    char answer[1024];
};
struct transfer {
    struct connection on;
    double next;
    long at; /* in the pattern */
    int head, size, done;
    bool asked, last, ended;
    char answer[1024], out[PIECE + 64];
};

static struct exchange exchanges[SHORTS + KEPT], *const kept = exchanges + SHORTS;
static struct transfer transfers[TRANSFERS];
static int transfer_count, epoll;
static struct addrinfo *vip;
static const char *pattern;
static long pattern_bytes;
static bool stopping;

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static const char *quoted(const char *problem) {
    static char text[128];
    if (!problem) return "null";
    snprintf(text, sizeof text, "\"%s\"", problem);
    return text;
}

/* A connection on its way; errors show at its first use. */
static void open_connection(struct connection *on, enum kind kind) {
    struct sockaddr_storage own;
    socklen_t size = sizeof own;
    int window = WINDOW;
    *on = (struct connection){kind, socket(vip->ai_family, SOCK_STREAM | SOCK_NONBLOCK, 0), 0, now(), now(), 0, ""};
    if (on->fd < 0) perror("socket"), exit(1);
    if (kind == DOWNLOAD) setsockopt(on->fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
    connect(on->fd, vip->ai_addr, vip->ai_addrlen);
    getsockname(on->fd, (struct sockaddr *)&own, &size);
    on->port = ntohs(((struct sockaddr_in *)&own)->sin_port); /* at the same place in sockaddr_in6 */
}

static void close_connection(struct connection *on, const char *problem) {
    if (on->kind != SHORT)
        printf("[\"connection\", \"%s\", %u, %.6f, %.6f, %ld, \"%s\", %s]\n", KINDS[on->kind], on->port, on->opened,
               now(), on->bytes, on->name, quoted(problem));
    close(on->fd);
    on->fd = -1;
}

static bool not_yet(void) { return errno == EAGAIN || errno == EINPROGRESS || errno == ENOTCONN; }

/* ---- short and kept requests */

static void begin(struct exchange *one, enum kind kind, double due) {
    struct epoll_event both = {EPOLLIN | EPOLLOUT | EPOLLET, {.ptr = one}};
    open_connection(&one->on, kind);
    one->asked = one->got = 0;
    one->sent = false;
    one->waiting = true;
    one->due = due;
    epoll_ctl(epoll, EPOLL_CTL_ADD, one->on.fd, &both);
}

static void answered(struct exchange *one, const char *problem) {
    printf("[\"request\", \"%s\", %u, %.6f, %.6f, %s]\n", KINDS[one->on.kind], one->on.port, one->due,
           now() - one->due, quoted(problem));
    one->waiting = false;
    if (problem || one->on.kind == SHORT || ++one->asked == EACH || stopping) close_connection(&one->on, problem);
}

/* Whether the answer is there to its last byte; a wrong one is a problem. */
static bool is_whole(struct exchange *one, const char **problem) {
    char *body, *length;
    one->answer[one->got] = 0;
    if (!(body = strstr(one->answer, "\r\n\r\n")) || !(length = strcasestr(one->answer, "content-length:"))) return false;
    long more = body + 4 + atol(length + 15) - (one->answer + one->got);
    if (strncmp(one->answer, "HTTP/1.1 200", 12) || more < 0) *problem = "wrong answer";
    return more <= 0;
}

/* As far as it goes without waiting; edge-triggered, so until EAGAIN. */
static void advance(struct exchange *one) {
    const char *problem = NULL, *question = ASKED[one->on.kind];
    if (one->waiting && !one->sent) {
        if (send(one->on.fd, question, strlen(question), MSG_NOSIGNAL) < 0) {
            if (!not_yet()) answered(one, strerror(errno));
            return;
        }
        one->sent = true;
    }
    for (;;) {
        int bytes = recv(one->on.fd, one->answer + one->got, sizeof one->answer - 1 - one->got, 0);
        if (bytes < 0 && not_yet()) return;
        if (bytes > 0) {
            one->got += bytes, one->on.bytes += bytes, one->on.progress = now();
            if (one->on.kind == KEEP && is_whole(one, &problem)) return answered(one, problem);
            continue;
        }
        problem = bytes < 0 ? strerror(errno) : "closed early";
        if (!one->waiting) return close_connection(&one->on, problem);
        if (bytes == 0 && one->on.kind == SHORT && is_whole(one, &problem) && !strcmp(problem, "closed early"))
            problem = NULL;
        return answered(one, problem);
    }
}

/* Whether one more is on its way. */
static bool begin_short(double due) {
    static int last;
    for (int i = 0; i < SHORTS; i++)
        if (exchanges[last = (last + 1) % SHORTS].on.fd < 0) return begin(&exchanges[last], SHORT, due), true;
    return false;
}

static double not_long_ago(double due, double at) { return due < at - SLACK_S ? at : due; }

static void ask_again(struct exchange *one, double due) {
    if (one->on.fd < 0) {
        begin(one, KEEP, due);
    } else {
        one->got = 0, one->sent = false, one->waiting = true;
        one->due = due, one->on.progress = now();
        advance(one);
    }
}

/* ---- transfers */

static void end(struct transfer *one, const char *problem) {
    one->ended = true;
    close_connection(&one->on, problem);
}

/* The head of an answer, a byte at a time; whether it is there. */
static bool has_head(struct transfer *one, const char *status) {
    while (one->head < (int)sizeof one->answer - 1) {
        int bytes = recv(one->on.fd, one->answer + one->head, 1, 0);
        if (bytes < 0 && not_yet()) return false;
        if (bytes <= 0) return end(one, bytes < 0 ? strerror(errno) : "closed early"), false;
        one->answer[++one->head] = 0;
        one->on.progress = now();
        if (one->head >= 4 && !strcmp(one->answer + one->head - 4, "\r\n\r\n"))
            return strncmp(one->answer, status, strlen(status)) ? end(one, "wrong answer"), false : true;
    }
    return end(one, "wrong answer"), false;
}

/* A piece of the file; whether there may be more at once. */
static bool download(struct transfer *one) {
    static char piece[PIECE];
    if (!one->asked) {
        if (send(one->on.fd, ASKED[DOWNLOAD], strlen(ASKED[DOWNLOAD]), MSG_NOSIGNAL) < 0)
            return not_yet() ? false : (end(one, strerror(errno)), false);
        one->asked = true, one->head = 0, one->at = 0;
    }
    if (!one->head || memcmp(one->answer + one->head - 4, "\r\n\r\n", 4)) {
        if (!has_head(one, "HTTP/1.1 200")) return false;
    }
    long left = pattern_bytes - one->at;
    int bytes = recv(one->on.fd, piece, left < PIECE ? left : PIECE, 0);
    if (bytes < 0 && not_yet()) return false;
    if (bytes <= 0) return end(one, bytes < 0 ? strerror(errno) : "closed early"), false;
    if (memcmp(piece, pattern + one->at, bytes)) return end(one, "wrong bytes"), false;
    one->at += bytes, one->on.bytes += bytes, one->on.progress = now();
    if (one->at < pattern_bytes) return true;
    one->asked = false;
    if (stopping) end(one, NULL);
    return !stopping;
}

/* What an upload sends next: its head, a chunk of the pattern, the last chunk. */
static void compose(struct transfer *one) {
    one->done = 0;
    if (!one->asked) {
        snprintf(one->on.name, sizeof one->on.name, "%.0f", one->on.opened * 1e6);
        one->size = sprintf(one->out, "PUT /kept/%s HTTP/1.1\r\nHost: vip\r\nTransfer-Encoding: chunked\r\n\r\n",
                            one->on.name);
        one->asked = true;
    } else if (stopping) {
        one->size = sprintf(one->out, "0\r\n\r\n");
        one->last = true;
    } else {
        int head = sprintf(one->out, "%x\r\n", PIECE);
        for (int i = 0; i < PIECE; i++) one->out[head + i] = pattern[(one->on.bytes + i) % pattern_bytes];
        memcpy(one->out + head + PIECE, "\r\n", 2);
        one->size = head + PIECE + 2;
        one->on.bytes += PIECE;
    }
}

/* The next piece; whether there may be more at once. Progress is what the realserver has acknowledged. */
static bool upload(struct transfer *one) {
    int unacknowledged = 0;
    ioctl(one->on.fd, SIOCOUTQ, &unacknowledged);
    if (!unacknowledged) one->on.progress = now();
    if (one->done == one->size && !one->last) compose(one);
    if (one->done < one->size) {
        int bytes = send(one->on.fd, one->out + one->done, one->size - one->done, MSG_NOSIGNAL);
        if (bytes < 0) return not_yet() ? false : (end(one, strerror(errno)), false);
        one->done += bytes;
    }
    if (one->done == one->size && one->last) {
        if (has_head(one, "HTTP/1.1 201")) end(one, NULL);
        return false;
    }
    return one->last;
}

static void move(struct transfer *one, double at) {
    if (at < one->next && !stopping) return;
    one->next = at + PACE_S;
    bool more = one->on.kind == DOWNLOAD ? download(one) : upload(one);
    for (int i = 0; stopping && more && !one->ended && i < 100; i++)
        more = one->on.kind == DOWNLOAD ? download(one) : upload(one);
}

/* ---- all of it */

static bool is_over(double at) {
    bool over = stopping;
    for (struct exchange *one = exchanges; one < kept + KEPT; one++) {
        if (one->on.fd < 0) continue;
        if (one->waiting && at - one->on.progress > SILENCE_S) answered(one, "timed out");
        else if (!one->waiting && stopping) close_connection(&one->on, NULL);
        over &= one->on.fd < 0;
    }
    for (struct transfer *one = transfers; one < transfers + transfer_count; one++) {
        if (!one->ended && at - one->on.progress > SILENCE_S) end(one, "timed out");
        over &= one->ended;
    }
    return over;
}

static void tell_when_begun(void) {
    static bool told;
    if (told) return;
    for (int i = 0; i < transfer_count; i++)
        if (transfers[i].on.bytes < PIECE) return;
    told = true;
    fputs("begun\n", stderr);
}

static void run(double shorts, double kept_requests) {
    double next_short = now(), next_kept[KEPT], next_look = 0;
    struct epoll_event events[256];
    for (int i = 0; i < KEPT; i++) next_kept[i] = next_short + i / kept_requests;
    for (;;) {
        int count = epoll_wait(epoll, events, 256, 1);
        for (int i = 0; i < count; i++) {
            struct exchange *one = events[i].data.ptr;
            char word[64];
            if (one && one->on.fd >= 0) advance(one);
            else if (!one && read(0, word, sizeof word) == 0) stopping = true, epoll_ctl(epoll, EPOLL_CTL_DEL, 0, NULL);
        }
        double at = now();
        next_short = not_long_ago(next_short, at);
        while (shorts && !stopping && next_short <= at && begin_short(next_short)) next_short += 1 / shorts;
        for (int i = 0; kept_requests && !stopping && i < KEPT; i++) {
            next_kept[i] = not_long_ago(next_kept[i], at);
            if (next_kept[i] <= at && !kept[i].waiting)
                ask_again(&kept[i], next_kept[i]), next_kept[i] += KEPT / kept_requests;
        }
        for (struct transfer *one = transfers; one < transfers + transfer_count; one++)
            if (!one->ended) move(one, at);
        if (at < next_look) continue;
        next_look = at + 0.1;
        fflush(stdout);
        tell_when_begun();
        if (is_over(at)) return;
    }
}

int main(int count, char **words) {
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    struct epoll_event end_of_input = {EPOLLIN, {.ptr = NULL}};
    struct stat file;
    int fd = count == 8 ? open(words[7], O_RDONLY) : -1;
    if (fd < 0 || fstat(fd, &file) || getaddrinfo(words[1], words[2], &wanted, &vip))
        return fputs("usage: load VIP PORT SHORTS_PER_SECOND KEPT_PER_SECOND DOWNLOADS UPLOADS PATTERN\n", stderr), 2;
    pattern_bytes = file.st_size;
    pattern = mmap(NULL, pattern_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    epoll = epoll_create1(0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &end_of_input);
    for (struct exchange *one = exchanges; one < kept + KEPT; one++) one->on.fd = -1;
    int downloads = atoi(words[5]);
    transfer_count = downloads + atoi(words[6]);
    if (transfer_count > TRANSFERS) return fputs("load: too many transfers\n", stderr), 2;
    for (int i = 0; i < transfer_count; i++) open_connection(&transfers[i].on, i < downloads ? DOWNLOAD : UPLOAD);
    run(atof(words[3]), atof(words[4]));
    return 0;
}
