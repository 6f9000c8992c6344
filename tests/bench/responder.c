/* The far end of the probe benchmark: answers SYNs, plain or in IPv4-in-IPv4, as thousands of hosts would.
 *
 * Usage: responder INTERFACE. Who is asked decides the answer: 10.31.0.0/16 is well, 10.33.0.N is ill in the
 * way that kind_of() says, everybody else is dead.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define BATCH 64
#define LONGEST 256

enum kind { DEAD, WELL, CLOSED, LARGE_MSS, WRONG_NUMBER, EVERY_FOURTH_PORT_DEAD };

struct answer {
    struct ether_header ethernet;
    struct iphdr ip;
    struct tcphdr tcp;
    unsigned char mss[4];
} __attribute__((packed));

static enum kind kind_of(unsigned host) {
    if (host >> 16 == (10 << 8 | 31)) return WELL;
    if (host >> 8 == (10 << 16 | 33 << 8) && (host & 255) <= EVERY_FOURTH_PORT_DEAD) return host & 255;
    return DEAD;
}

static unsigned add(const void *data, int bytes, unsigned sum) {
    for (const unsigned short *word = data; bytes > 0; bytes -= 2) sum += *word++;
    return sum;
}

static unsigned short folded(unsigned sum) {
    sum = (sum >> 16) + (sum & 65535);
    return ~(sum + (sum >> 16));
}

/* The answer to one frame; its length, 0 for none. */
static int answered(const unsigned char *frame, int length, struct answer *answer) {
    const struct ether_header *ethernet = (const void *)frame;
    const struct iphdr *ip = (const void *)(ethernet + 1);
    enum kind kind = kind_of(ntohl(ip->daddr));
    if (ip->protocol == IPPROTO_IPIP) ip++;
    const struct tcphdr *syn = (const void *)(ip + 1);
    int has_all = (const unsigned char *)(syn + 1) <= frame + length;
    if (kind == DEAD || !has_all || ip->protocol != IPPROTO_TCP || !syn->syn || syn->ack) return 0;
    if (kind == EVERY_FOURTH_PORT_DEAD && ntohs(syn->source) % 4 == 0) return 0;

    memset(answer, 0, sizeof *answer);
    memcpy(answer->ethernet.ether_dhost, ethernet->ether_shost, 6);
    memcpy(answer->ethernet.ether_shost, ethernet->ether_dhost, 6);
    answer->ethernet.ether_type = htons(ETHERTYPE_IP);
    int mss = kind == LARGE_MSS ? 1460 : 1440, bytes = sizeof answer->tcp + sizeof answer->mss;
    answer->ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP,
                                .tot_len = htons(sizeof answer->ip + bytes),
                                .saddr = ip->daddr, .daddr = ip->saddr};
    answer->ip.check = folded(add(&answer->ip, sizeof answer->ip, 0));
    answer->tcp = (struct tcphdr){.source = syn->dest, .dest = syn->source, .doff = bytes / 4, .ack = 1,
                                  .seq = htonl(7), .window = htons(64240),
                                  .ack_seq = htonl(ntohl(syn->seq) + 1 + (kind == WRONG_NUMBER))};
    answer->tcp.syn = kind != CLOSED;
    answer->tcp.rst = kind == CLOSED;
    memcpy(answer->mss, (unsigned char[]){2, 4, mss >> 8, mss & 255}, 4);
    unsigned pseudo = add(&answer->ip.saddr, 8, htons(IPPROTO_TCP) + htons(bytes));
    answer->tcp.check = folded(add(&answer->tcp, bytes, pseudo));
    return sizeof *answer;
}

int main(int count, char **words) {
    static unsigned char frames[BATCH][LONGEST];
    static struct answer answers[BATCH];
    struct iovec in[BATCH], out[BATCH];
    struct mmsghdr coming[BATCH], leaving[BATCH];
    int yes = 1, size = 64 << 20;
    struct sockaddr_ll here = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP)};
    here.sll_ifindex = count == 2 ? (int)if_nametoindex(words[1]) : 0;
    int wire = socket(AF_PACKET, SOCK_RAW, 0);
    setsockopt(wire, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes);
    setsockopt(wire, SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof yes);
    setsockopt(wire, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    if (!here.sll_ifindex || bind(wire, (void *)&here, sizeof here) < 0) return perror("bind"), 1;
    for (int i = 0; i < BATCH; i++) {
        in[i] = (struct iovec){frames[i], LONGEST};
        coming[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &in[i], .msg_iovlen = 1}};
        leaving[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &out[i], .msg_iovlen = 1}};
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        int got = recvmmsg(wire, coming, BATCH, MSG_WAITFORONE, NULL), replies = 0;
        for (int i = 0; i < got; i++) {
            int bytes = answered(frames[i], coming[i].msg_len, &answers[replies]);
            if (bytes) out[replies] = (struct iovec){&answers[replies], bytes}, replies++;
        }
        for (int sent = 0, now; sent < replies; sent += now)
            if ((now = sendmmsg(wire, leaving + sent, replies - sent, 0)) < 0) now = 1;
    }
}
