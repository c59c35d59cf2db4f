/* The client side of the benchmarks: one lean process on epoll, 2 to 5 us of CPU for each message it receives.
 *
 * It opens WebSocket connections to one server on the loopback, logs in with STOMP when it is told to, and then
 *
 *   --publish M   fans out: one more connection publishes M messages, N subscribers get each of them. A body begins
 *                 "T<20 digits: CLOCK_MONOTONIC in ns> <8 digits: sequence> ", from which come latency, order and loss;
 *   --echo M      sends M messages on one connection, --batch of them in a write, and waits for what comes back;
 *   --churn M     lives M short lives: connect, upgrade, close handshake;
 *   --hold S      holds the connections for S seconds and reads what comes;
 *   otherwise     holds them until it is told to go on.
 *
 * With --heartbeat MS every STOMP session asks for heart-beats both ways and sends its own, one session after the other.
 *
 * It names each phase in a line of stdout (CONNECTING CONNECTED READY START END CLOSING) and goes on when it gets a
 * line on stdin, so that whoever drives it can read the server's CPU time and memory in between. Last comes a JSON
 * object. Everything is bounded: connections, messages, and by --limit the time.
 *
 * Build: cc -O2 -o sink sink.c
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

typedef uint64_t u64;
typedef uint32_t u32;
typedef unsigned char u8;

#define MAX_CONNECTIONS 25000  /* one source address has some 28,000 ports */
#define MAX_MESSAGES 99999999
#define LEAST_BODY 31          /* what a body's stamp takes */
#define READ_SIZE (1u << 20)
#define NO_PROGRESS_NS 20000000000ull
#define MS 1000000ull
#define SEND "SEND\ndestination:%s\ncontent-type:text/plain\ncontent-length:%d\n\n"

enum proto { P_STOMP, P_RAW, P_ENGINEIO, P_BYTES };
enum role { R_SUBSCRIBER, R_SLOW, R_QUIET, R_PUBLISHER };
enum state { S_NEW, S_CONNECTING, S_HANDSHAKE, S_OPEN, S_WAIT_CONNECTED, S_UP, S_LEAVING, S_DEAD };

struct buf { u8 *p; size_t len, cap; };
struct conn {
    int fd;
    u8 state, role, want_out, probed;
    u32 idx, next_seq, beats;
    size_t out_off;
    struct buf in, out, msg;
};

static struct {
    char host[64], path[1024];
    int port, n, slow, quiet, base, ramp, window, size, publish, warmup, echo, batch, churn, rcvbuf, limit_s, heartbeat;
    double rate, stall_s, await_close_s, hold_s;
    int last_only;
    const char *protocol, *dest, *publish_dest, *quiet_dest, *vhost, *event;
    enum proto proto;
} o = { .port = 80, .n = 100, .ramp = 128, .window = 4, .size = 200, .batch = 1, .stall_s = 10, .limit_s = 600,
        .dest = "/topic/x", .quiet_dest = "/topic/quiet", .vhost = "localhost", .event = "msg", .proto = P_STOMP };

static struct conn *conns, *pub;
static int total, ep, up, dead, handshaken, probed, failed, leaving;
static u64 deliveries, recvs, ws_frames, errors, gaps, reordered, dups, completed, published;
static u64 beats_sent, beats_due, beat_turn, t_last, lives, closed_1001, closed_other, handshake_ns, login_ns;
static u32 *per_message;
static u8 *rbuf;
static struct sockaddr_in addr;
static char last_error[400];

static u64 now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000000000ull + t.tv_nsec;
}
static void die(const char *what) { fprintf(stderr, "sink: %s: %s\n", what, strerror(errno)); exit(2); }
static void too_late(int signal) {
    static const char text[] = "sink: not done within its time limit\n";
    (void)signal;
    if (write(2, text, sizeof text - 1)) {}
    _exit(4);
}

/* Latencies: a histogram of 64 linear steps for each power of two, 1.5 % wide. */

#define STEPS 64
struct hist { u64 count[64 * STEPS], n, max; };
static struct hist each, last; /* of all deliveries; of the last delivery of each message */

static void h_add(struct hist *h, u64 v) {
    int i = (int)v;
    if (v >= STEPS) {
        int e = 63 - __builtin_clzll(v);
        i = (e - 5) * STEPS + (int)((v >> (e - 6)) - STEPS);
    }
    h->count[i]++;
    h->n++;
    if (v > h->max) h->max = v;
}
static double h_us(const struct hist *h, double p) {
    u64 want = (u64)(p * h->n), seen = 0;
    if (!h->n) return 0;
    if (want >= h->n) want = h->n - 1;
    for (int i = 0; i < 64 * STEPS; i++) {
        seen += h->count[i];
        if (seen <= want) continue;
        if (i < STEPS) return i / 1000.0;
        int e = i / STEPS + 5;
        return (((u64)(i % STEPS + STEPS) << (e - 6)) + ((1ull << (e - 6)) >> 1)) / 1000.0;
    }
    return 0;
}

static void b_add(struct buf *b, const void *p, size_t n) {
    if (b->len + n > b->cap) {
        size_t c = b->cap ? b->cap : 256;
        while (c < b->len + n) c *= 2;
        b->p = realloc(b->p, c);
        b->cap = c;
        if (!b->p) die("realloc");
    }
    memcpy(b->p + b->len, p, n);
    b->len += n;
}
static void b_free(struct buf *b) { free(b->p); b->p = NULL; b->len = b->cap = 0; }

/* Connections. */

static void set_error(const char *what) {
    if (last_error[0]) return;
    snprintf(last_error, sizeof last_error, "%s", what);
    for (char *q = last_error; *q; q++) if ((u8)*q < 32 || *q == '"' || *q == '\\') *q = ' ';
}
static void c_end(struct conn *c, const char *why) {
    if (c->state == S_DEAD) return;
    if (c->state == S_LEAVING) leaving--;
    else if (c->state == S_UP) up--;
    else failed++;
    if (why && c->state != S_LEAVING) {
        char text[400];
        snprintf(text, sizeof text, "connection %u: %s", c->idx, why);
        set_error(text);
    }
    c->state = S_DEAD;
    dead++;
    close(c->fd);
    b_free(&c->in); b_free(&c->out); b_free(&c->msg);
}
static void c_want_out(struct conn *c, int out) {
    if (c->want_out == out) return;
    struct epoll_event e = { .events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c };
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
    c->want_out = out;
}
static void c_flush(struct conn *c) {
    while (c->out_off < c->out.len) {
        ssize_t k = send(c->fd, c->out.p + c->out_off, c->out.len - c->out_off, MSG_NOSIGNAL);
        if (k < 0 && errno == EAGAIN) { c_want_out(c, 1); return; }
        if (k < 0) { c_end(c, strerror(errno)); return; }
        c->out_off += k;
    }
    c->out.len = c->out_off = 0;
    if (c->role != R_PUBLISHER) b_free(&c->out);
    c_want_out(c, 0);
}
static void ws_add(struct buf *b, int opcode, const void *p, size_t n) {
    u8 h[14];
    int k = 2;
    u32 mask = (u32)random();
    const u8 *m = (const u8 *)&mask;
    h[0] = 0x80 | opcode;
    if (n < 126) h[1] = 0x80 | n;
    else if (n < 65536) { h[1] = 0x80 | 126; h[2] = n >> 8; h[3] = n; k = 4; }
    else { h[1] = 0x80 | 127; for (int i = 0; i < 8; i++) h[2 + i] = (u64)n >> (56 - 8 * i); k = 10; }
    memcpy(h + k, m, 4);
    b_add(b, h, k + 4);
    size_t at = b->len;
    b_add(b, p, n);
    for (size_t i = 0; i < n; i++) b->p[at + i] ^= m[i & 3];
}
static void ws_send(struct conn *c, int opcode, const void *p, size_t n) { ws_add(&c->out, opcode, p, n); c_flush(c); }

static void c_open(struct conn *c) {
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (o.rcvbuf && c->role == R_SLOW) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &o.rcvbuf, sizeof o.rcvbuf);
    c->state = S_CONNECTING;
    c->want_out = 1;
    if (connect(c->fd, (struct sockaddr *)&addr, sizeof addr) < 0 && errno != EINPROGRESS) {
        c_end(c, strerror(errno));
        return;
    }
    struct epoll_event e = { .events = EPOLLIN | EPOLLOUT, .data.ptr = c };
    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e)) die("epoll_ctl");
}
static void c_hello(struct conn *c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char key[25], request[2048];
    for (int i = 0; i < 21; i++) key[i] = digits[random() & 63];
    key[21] = "AQgw"[random() & 3]; key[22] = key[23] = '='; key[24] = 0; /* 16 random bytes in base64 */
    int k = snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n%s%s%s\r\n", o.path, o.host, o.port, key,
        o.protocol ? "Sec-WebSocket-Protocol: " : "", o.protocol ? o.protocol : "", o.protocol ? "\r\n" : "");
    c->state = S_HANDSHAKE;
    b_add(&c->out, request, k);
    c_flush(c);
}
static void c_up(struct conn *c) { c->state = S_UP; up++; }
static void c_login(struct conn *c) {
    char frame[256];
    if (o.proto != P_STOMP && o.proto != P_ENGINEIO) { c_up(c); return; }
    c->state = S_WAIT_CONNECTED;
    if (o.proto == P_ENGINEIO) { ws_send(c, 1, "40", 2); return; }
    int k = snprintf(frame, sizeof frame, "CONNECT\naccept-version:1.2,1.1\nhost:%s\nheart-beat:%d,%d\n\n",
        o.vhost, o.heartbeat, o.heartbeat);
    ws_send(c, 1, frame, k + 1); /* with its NUL */
}
static void c_connected(struct conn *c) {
    char frame[512];
    const char *dest = c->role == R_QUIET ? o.quiet_dest : o.dest;
    c_up(c);
    if (c->role == R_PUBLISHER) return;
    int k = snprintf(frame, sizeof frame, "SUBSCRIBE\nid:sub-%u\ndestination:%s\n\n", c->idx, dest);
    ws_send(c, 1, frame, k + 1);
}

/* What arrives. */

static void echo_reply(const u8 *p, size_t n) {
    u32 index = 0;
    if (n < LEAST_BODY || p[0] != 'E') { errors++; set_error("a reply that nothing was sent for"); return; }
    for (int i = 1; i <= 8; i++) index = index * 10 + (p[i] - '0');
    if (index != (o.last_only ? (u32)o.batch - 1 : (u32)(completed % o.batch))) reordered++;
    completed += o.last_only ? o.batch : 1;
    deliveries++;
}
static void body(struct conn *c, const u8 *p, size_t n, u64 now) {
    if (o.echo) { echo_reply(p, n); return; }
    if (c->role == R_PUBLISHER || c->role == R_QUIET) { errors++; set_error("a message for no subscription"); return; }
    if (n && p[0] == 'P') { if (!c->probed) { c->probed = 1; if (c->role == R_SUBSCRIBER) probed++; } return; }
    if (c->role == R_SLOW) return;
    if (n && p[0] == 'W') { completed++; return; } /* warm-up: counts for the window alone */
    deliveries++;
    t_last = now;
    if (n < LEAST_BODY || p[0] != 'T') { errors++; set_error("a body that was not sent"); return; }
    u64 sent = 0;
    u32 seq = 0;
    for (int i = 1; i <= 20; i++) sent = sent * 10 + (p[i] - '0');
    for (int i = 22; i < 30; i++) seq = seq * 10 + (p[i] - '0');
    u64 took = now > sent ? now - sent : 0;
    h_add(&each, took);
    if (seq == c->next_seq) c->next_seq++;
    else if (seq > c->next_seq) { gaps += seq - c->next_seq; c->next_seq = seq + 1; }
    else reordered++; /* late, or a second time */
    if (seq >= (u32)o.publish) return;
    u32 k = ++per_message[seq];
    if (k == (u32)o.n) { completed++; h_add(&last, took); }
    else if (k > (u32)o.n) dups++;
}
static void stomp_frames(struct conn *c, const u8 *p, size_t n, u64 now) {
    const u8 *end = p + n;
    while (p < end) {
        if (*p == '\n' || *p == '\r') { p++; c->beats++; continue; } /* a heart-beat */
        const u8 *command = p, *nl = memchr(p, '\n', end - p);
        if (!nl) { errors++; set_error("half a STOMP frame"); return; }
        size_t command_len = nl - command;
        long long length = -1;
        for (p = nl + 1;; p = nl + 1) {
            nl = memchr(p, '\n', end - p);
            if (!nl) { errors++; set_error("half a STOMP frame"); return; }
            if (nl == p) break;
            if (nl - p > 15 && !memcmp(p, "content-length:", 15)) length = atoll((const char *)p + 15);
        }
        const u8 *b = nl + 1, *nul = length >= 0 && b + length < end ? b + length : memchr(b, 0, end - b);
        size_t body_len = (nul ? nul : end) - b;
        p = nul ? nul + 1 : end;
        if (command_len == 7 && !memcmp(command, "MESSAGE", 7)) body(c, b, body_len, now);
        else if (command_len == 9 && !memcmp(command, "CONNECTED", 9) && c->state == S_WAIT_CONNECTED) c_connected(c);
        else {
            char text[300];
            snprintf(text, sizeof text, "%.*s", (int)(b - command > 250 ? 250 : b - command), command);
            errors++;
            set_error(text);
        }
        if (c->state == S_DEAD) return;
    }
}
static void socketio_packet(struct conn *c, const u8 *p, size_t n, u64 now) { /* engine.io 4, socket.io 5, text only */
    if (n == 1 && *p == '2') { ws_send(c, 1, "3", 1); c->beats++; }
    else if (n >= 2 && !memcmp(p, "40", 2)) { if (c->state == S_WAIT_CONNECTED) c_up(c); }
    else if (n >= 2 && !memcmp(p, "42", 2)) { /* 42["event","body"] */
        const u8 *quote = memmem(p, n, "\",\"", 3);
        if (!quote || n - (quote - p) < 5) { errors++; set_error("an event without a body"); return; }
        body(c, quote + 3, p + n - 2 - (quote + 3), now);
    }
    else if (!n || *p != '0') { errors++; set_error("a packet of an unknown kind"); }
}
static void message(struct conn *c, const u8 *p, size_t n, u64 now) {
    if (o.proto == P_STOMP) stomp_frames(c, p, n, now);
    else if (o.proto == P_ENGINEIO) socketio_packet(c, p, n, now);
    else body(c, p, n, now);
}
static void closed_by_server(struct conn *c, const u8 *p, size_t n) {
    int code = n >= 2 ? p[0] << 8 | p[1] : 1005;
    char text[160];
    if (c->state == S_LEAVING) return; /* the answer to our own */
    if (code == 1001) closed_1001++; else closed_other++;
    snprintf(text, sizeof text, "closed with %d %.*s", code, (int)(n > 2 ? n - 2 : 0), p + 2);
    if (!o.await_close_s) { c_end(c, text); return; }
    if (code != 1001) set_error(text);
    ws_send(c, 8, p, n >= 2 ? 2 : 0);
    if (c->state != S_DEAD) { if (c->state == S_UP) up--; c->state = S_LEAVING; leaving++; }
}
static size_t ws_parse(struct conn *c, const u8 *p, size_t n, u64 now) {
    size_t off = 0;
    while (n - off >= 2) {
        const u8 *h = p + off;
        u64 len = h[1] & 127;
        size_t k = 2;
        if (len == 126) { if (n - off < 4) break; len = (u64)h[2] << 8 | h[3]; k = 4; }
        else if (len == 127) {
            if (n - off < 10) break;
            len = 0;
            for (int i = 0; i < 8; i++) len = len << 8 | h[2 + i];
            k = 10;
        }
        if (len > READ_SIZE / 2) { c_end(c, "a frame of more than 512 KiB"); return n; }
        if (n - off < k + len) break;
        const u8 *payload = h + k;
        int fin = h[0] & 0x80, opcode = h[0] & 15;
        off += k + len;
        ws_frames++;
        if (h[0] & 0x70) { c_end(c, "reserved bits are set"); return n; }
        if (opcode == 9) ws_send(c, 10, payload, len);
        else if (opcode == 8) closed_by_server(c, payload, len);
        else if (opcode == 0 || (opcode <= 2 && !fin)) {
            if (opcode) c->msg.len = 0;
            b_add(&c->msg, payload, len);
            if (fin) { message(c, c->msg.p, c->msg.len, now); b_free(&c->msg); }
        }
        else if (opcode <= 2) message(c, payload, len, now);
        if (c->state == S_DEAD) return n;
    }
    return off;
}
static void c_read(struct conn *c) {
    size_t have = c->in.len;
    if (have) memcpy(rbuf, c->in.p, have);
    ssize_t k = recv(c->fd, rbuf + have, READ_SIZE - have - 1, 0);
    if (k < 0 && errno == EAGAIN) return;
    if (k <= 0) { c_end(c, k ? strerror(errno) : "the server ended the stream without a close frame"); return; }
    recvs++;
    u8 *p = rbuf;
    size_t n = have + k;
    u64 now = now_ns();
    if (c->state == S_HANDSHAKE) {
        p[n] = 0;
        u8 *e = memmem(p, n, "\r\n\r\n", 4);
        if (!e) { c->in.len = 0; b_add(&c->in, p, n); return; }
        if (n < 12 || memcmp(p, "HTTP/1.1 101", 12)) {
            char text[200];
            snprintf(text, sizeof text, "handshake refused: %.*s", (int)strcspn((char *)p, "\r"), p);
            c_end(c, text);
            return;
        }
        n -= e + 4 - p;
        p = e + 4;
        handshaken++;
        c->state = S_OPEN;
        if (o.churn) { c->state = S_LEAVING; leaving++; lives++; ws_send(c, 8, "\x03\xe8", 2); }
        if (c->state == S_DEAD) return;
    }
    size_t used = n;
    if (o.proto == P_BYTES) completed += n;
    else used = ws_parse(c, p, n, now);
    if (c->state == S_DEAD) return;
    if (used < n) {
        struct buf rest = { 0 };
        b_add(&rest, p + used, n - used);
        b_free(&c->in);
        c->in = rest;
    } else if (c->in.cap) b_free(&c->in);
}
static void beat(void) { /* whose turn it is; each once in an interval */
    u64 t = now_ns(), gap = (u64)o.heartbeat * MS / total;
    if (!beats_due) beats_due = t;
    for (; beats_due <= t; beats_due += gap) {
        struct conn *c = &conns[beat_turn++ % total];
        if (c->state == S_UP && c->role != R_SLOW) { ws_send(c, 1, "\n", 1); beats_sent++; }
    }
}
static void step(int timeout_ms) {
    static struct epoll_event ev[512];
    if (o.heartbeat) {
        u64 t = now_ns();
        beat();
        if (beats_due < t + timeout_ms * MS) timeout_ms = beats_due > t ? (int)((beats_due - t) / MS) + 1 : 0;
    }
    int k = epoll_wait(ep, ev, 512, timeout_ms);
    for (int i = 0; i < k; i++) {
        struct conn *c = ev[i].data.ptr;
        if (c->state == S_DEAD) continue;
        if (c->state == S_CONNECTING) {
            int err = 0;
            socklen_t len = sizeof err;
            getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
            if (err) c_end(c, strerror(err));
            else if (ev[i].events & EPOLLOUT) c_hello(c);
            continue;
        }
        if (ev[i].events & EPOLLOUT) c_flush(c);
        if (c->state != S_DEAD && ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) c_read(c);
    }
}
static void pump(u64 ms) {
    u64 until = now_ns() + ms * MS;
    do { u64 t = now_ns(); step(t < until ? (int)((until - t) / MS) + 1 : 0); } while (now_ns() < until);
}
static void give_up(const char *what, int did, int of) {
    fprintf(stderr, "sink: only %d of %d %s (%s)\n", did, of, what, last_error[0] ? last_error : "no answer");
    exit(1);
}
static void phase(const char *name) {
    char line[64];
    printf("%s\n", name);
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) exit(3); /* whoever drives us is gone */
}

/* What is done with them. */

static void open_and_log_in(int from, int to, int is_base) {
    u64 start = now_ns(), progress = start;
    int opened = from, asked = from, seen = -1;
    while (handshaken < to) {
        while (opened < to && opened - handshaken < o.ramp) c_open(&conns[opened++]);
        step(100);
        if (handshaken != seen) { seen = handshaken; progress = now_ns(); }
        if (failed || now_ns() - progress > NO_PROGRESS_NS) give_up("shook hands", handshaken, to);
    }
    handshake_ns = now_ns() - start;
    if (!is_base) phase("CONNECTED");
    start = progress = now_ns();
    for (seen = -1; up < to;) {
        while (asked < to && asked - up < o.ramp) c_login(&conns[asked++]);
        step(100);
        if (up != seen) { seen = up; progress = now_ns(); }
        if (dead || now_ns() - progress > NO_PROGRESS_NS) give_up("logged in", up, to);
    }
    login_ns = now_ns() - start;
    pump(200);
}
static void publish(char kind, u64 stamp, u32 seq) {
    static char *frame;
    static size_t cap;
    if (pub->state == S_DEAD) return;
    if (!frame) { cap = o.size + 2048; frame = malloc(cap); if (!frame) die("malloc"); }
    int b = o.proto == P_STOMP ? snprintf(frame, cap, SEND, o.publish_dest, o.size)
        : o.proto == P_ENGINEIO ? snprintf(frame, cap, "42[\"%s\",\"", o.event) : 0;
    int k = b + snprintf(frame + b, cap - b, "%c%020llu %08u ", kind, (unsigned long long)stamp, seq);
    memset(frame + k, 'x', b + o.size - k);
    k = b + o.size;
    if (o.proto == P_STOMP) frame[k++] = 0;
    else if (o.proto == P_ENGINEIO) { frame[k++] = '"'; frame[k++] = ']'; }
    ws_send(pub, 1, frame, k);
}
static void probe(void) { /* until every subscriber has seen one: no SUBSCRIBE is under way any more */
    u64 end = now_ns() + 60000 * MS;
    for (u64 gap = 500 * MS; probed < o.n && now_ns() < end; gap *= 2) { /* rarely, for a server that takes long */
        publish('P', 0, 0);
        u64 until = now_ns() + gap;
        while (probed < o.n && now_ns() < until && now_ns() < end) step(50);
    }
    if (probed < o.n) give_up("saw the probe", probed, o.n);
    pump(200);
}
static void warm_up(void) {
    u64 until = now_ns() + (u64)(o.stall_s * 1e9);
    completed = 0;
    for (int i = 0; i < o.warmup && now_ns() < until;)
        if ((u64)i * o.n < completed + (u64)o.window * o.n) { publish('W', 0, i++); step(0); } else step(50);
    while (completed < (u64)o.warmup * o.n && now_ns() < until) step(50);
    completed = 0;
}
static void fan_out(u64 start) {
    u64 progress = start, seen = 0;
    while (deliveries < (u64)o.publish * o.n) {
        u64 t = now_ns();
        int wait = 50;
        if (o.rate > 0) {
            while (published < (u64)o.publish) {
                u64 due = start + (u64)(published * 1e9 / o.rate);
                if (due > t) { u64 ms = (due - t) / MS; wait = ms < 50 ? (int)ms : 50; break; }
                publish('T', due, published++); /* the time it was due: a late publisher is late for the server, too */
            }
        } else
            while (published < (u64)o.publish && published < completed + o.window) publish('T', now_ns(), published++);
        step(wait);
        if (deliveries != seen) { seen = deliveries; progress = t; }
        if ((t - progress) / 1e9 > o.stall_s || pub->state == S_DEAD) { set_error("stalled"); break; }
    }
}
static void make_batch(struct buf *b) {
    char *frame = malloc(o.size + 2048);
    if (!frame) die("malloc");
    for (int i = 0; i < o.batch; i++) {
        int k = 0;
        const char *dest = o.last_only && i == o.batch - 1 ? o.dest : o.publish_dest;
        if (o.proto != P_RAW)
            k = snprintf(frame, 2048, SEND, dest, o.size);
        int at = k;
        k += snprintf(frame + k, 2048, "E%08d ", i);
        memset(frame + k, 'x', at + o.size - k);
        frame[at + o.size] = 0;
        ws_add(b, 1, frame, at + o.size + (o.proto != P_RAW));
    }
    free(frame);
}
static void echo(u64 messages, struct conn *c, const struct buf *batch) {
    u64 per_batch = o.proto == P_BYTES ? batch->len : (u64)o.batch;
    for (u64 sent = 0; sent < messages && c->state == S_UP; sent += o.batch) {
        u64 start = now_ns(), until = start + (u64)(o.stall_s * 1e9);
        completed = 0;
        b_add(&c->out, batch->p, batch->len);
        c_flush(c);
        while (completed < per_batch && c->state == S_UP && now_ns() < until) step(50);
        t_last = now_ns();
        if (completed < per_batch) { errors++; set_error("stalled"); return; }
        if (completed > per_batch) { errors++; set_error("more replies than messages"); return; }
        h_add(&each, t_last - start);
        published += o.batch;
    }
}
static void churn(int count) {
    u64 progress = now_ns(), seen = 0, goal = lives + count, opened = lives;
    while (lives < goal || leaving) {
        for (int i = 0; i < total && opened < goal; i++)
            if (conns[i].state == S_NEW || conns[i].state == S_DEAD) { c_open(&conns[i]); opened++; }
        if (failed) give_up("shook hands", (int)lives, (int)goal);
        step(50);
        if (lives + dead != seen) { seen = lives + dead; progress = now_ns(); }
        if (now_ns() - progress > NO_PROGRESS_NS) { set_error("stalled"); errors++; break; }
    }
}
static void hold(u64 start) {
    u64 until = start + (u64)(o.hold_s * 1e9);
    while (now_ns() < until && !dead) step(50);
    t_last = now_ns();
}
static void await_close(void) { /* the server is told to stop: everybody should hear 1001 and then the end */
    u64 until = now_ns() + (u64)(o.await_close_s * 1e9);
    while (dead < total && now_ns() < until) step(50);
}

static void usage(void) {
    fprintf(stderr,
        "usage: sink [options] ws://127.0.0.1:port/path\n"
        "  --proto P                stomp: log in with STOMP (default); raw: do not, and publish bare bodies;\n"
        "                           engineio: socket.io 5, publish as --event E; bytes: do not even look at frames\n"
        "  --protocol P             Sec-WebSocket-Protocol to offer\n"
        "  -n N                     connections that subscribe to --dest D (default 100, /topic/x)\n"
        "  --quiet K                K more, which subscribe to --quiet-dest D (default /topic/quiet)\n"
        "  --slow K                 K more, which never read once they are subscribed; --rcvbuf B: their SO_RCVBUF\n"
        "  --base K                 the first K of all are up before CONNECTING, as a warm-up\n"
        "  --ramp K                 attempts to connect that are under way at once (default 128)\n"
        "  --publish M, --echo M, --churn M, --hold S      see the head of sink.c\n"
        "  --heartbeat MS           of STOMP sessions, both ways (default 0: none)\n"
        "  --vhost H                host header of CONNECT (default localhost)\n"
        "  --publish-dest D         where SENDs go (default: as --dest)\n"
        "  --size B                 bytes of a body (default 200, at least 31)\n"
        "  --warmup M               this many before START\n"
        "  --window W               publish: messages that not all have yet (default 4); --rate R: R a second instead\n"
        "  --batch B                echo: messages in a write (default 1); --last-only: only the last goes to --dest\n"
        "  --await-close S          at the end wait at most so many seconds until the server has closed all\n"
        "  --stall S                give up after so many seconds without a delivery (default 10)\n"
        "  --limit S                and after so many in all (default 600)\n");
    exit(2);
}
static void parse_arguments(int argc, char **argv) {
    const char *url = NULL;
    for (int i = 1; i < argc; i++) {
        char *a = argv[i];
#define OPTION(name) (!strcmp(a, name))
#define VALUE (i + 1 < argc ? argv[++i] : (usage(), ""))
        if (OPTION("-n")) o.n = atoi(VALUE);
        else if (OPTION("--proto")) {
            a = VALUE;
            o.proto = !strcmp(a, "raw") ? P_RAW : !strcmp(a, "bytes") ? P_BYTES
                : !strcmp(a, "engineio") ? P_ENGINEIO : P_STOMP;
        }
        else if (OPTION("--protocol")) o.protocol = VALUE;
        else if (OPTION("--quiet")) o.quiet = atoi(VALUE);
        else if (OPTION("--quiet-dest")) o.quiet_dest = VALUE;
        else if (OPTION("--slow")) o.slow = atoi(VALUE);
        else if (OPTION("--rcvbuf")) o.rcvbuf = atoi(VALUE);
        else if (OPTION("--base")) o.base = atoi(VALUE);
        else if (OPTION("--ramp")) o.ramp = atoi(VALUE);
        else if (OPTION("--publish")) o.publish = atoi(VALUE);
        else if (OPTION("--echo")) o.echo = atoi(VALUE);
        else if (OPTION("--churn")) o.churn = atoi(VALUE);
        else if (OPTION("--hold")) o.hold_s = atof(VALUE);
        else if (OPTION("--heartbeat")) o.heartbeat = atoi(VALUE);
        else if (OPTION("--vhost")) o.vhost = VALUE;
        else if (OPTION("--event")) o.event = VALUE;
        else if (OPTION("--dest")) o.dest = VALUE;
        else if (OPTION("--publish-dest")) o.publish_dest = VALUE;
        else if (OPTION("--size")) o.size = atoi(VALUE);
        else if (OPTION("--warmup")) o.warmup = atoi(VALUE);
        else if (OPTION("--window")) o.window = atoi(VALUE);
        else if (OPTION("--rate")) o.rate = atof(VALUE);
        else if (OPTION("--batch")) o.batch = atoi(VALUE);
        else if (OPTION("--last-only")) o.last_only = 1;
        else if (OPTION("--await-close")) o.await_close_s = atof(VALUE);
        else if (OPTION("--stall")) o.stall_s = atof(VALUE);
        else if (OPTION("--limit")) o.limit_s = atoi(VALUE);
        else if (a[0] == '-' || url) usage();
        else url = a;
    }
    if (!url || sscanf(url, "ws://%63[0-9.]:%d%1023s", o.host, &o.port, o.path) != 3) usage();
    if (!o.publish_dest) o.publish_dest = o.dest;
    if (o.size < LEAST_BODY) o.size = LEAST_BODY;
    total = o.churn ? o.ramp : o.n + o.slow + o.quiet + (o.publish ? 1 : 0);
    if (total < 1 || total > MAX_CONNECTIONS || o.churn > MAX_CONNECTIONS) {
        fprintf(stderr, "sink: 1 to %d connections\n", MAX_CONNECTIONS);
        exit(2);
    }
    if (o.publish > MAX_MESSAGES || o.echo > MAX_MESSAGES || o.base > total) usage();
    if (o.batch < 1 || o.ramp < 1 || o.window < 1 || o.publish < 0 || o.echo < 0 || o.heartbeat < 0) usage();
    if (strlen(o.vhost) > 100 || strlen(o.event) > 100) usage();
    addr.sin_family = AF_INET;
    addr.sin_port = htons(o.port);
    if (inet_pton(AF_INET, o.host, &addr.sin_addr) != 1 || *(u8 *)&addr.sin_addr != 127) {
        fprintf(stderr, "sink: the loopback alone\n");
        exit(2);
    }
}
static void report(double span, double cpu, int closed) {
    u64 beats = 0, fewest = total ? ~0ull : 0;
    for (int i = 0; i < total; i++) {
        beats += conns[i].beats;
        if (conns[i].beats < fewest) fewest = conns[i].beats;
    }
    if (span <= 0) span = 1e-9;
#define COUNT(name, value) printf("\"%s\":%llu,", name, (unsigned long long)(value))
#define REAL(name, value) printf("\"%s\":%.4f,", name, (double)(value))
    printf("{");
    COUNT("connections", total); COUNT("up", up);
    COUNT("failed", failed); COUNT("closed", closed); COUNT("ended", dead);
    COUNT("published", published); COUNT("lives", lives); COUNT("deliveries", deliveries);
    COUNT("expected", (u64)o.publish * o.n);
    COUNT("gaps", gaps); COUNT("late", reordered); COUNT("twice", dups); COUNT("errors", errors);
    COUNT("beats", beats); COUNT("fewest_beats", fewest); COUNT("beats_sent", beats_sent);
    COUNT("closed_1001", closed_1001); COUNT("closed_other", closed_other);
    REAL("seconds", span); REAL("sink_cpu_s", cpu);
    REAL("handshake_seconds", handshake_ns / 1e9); REAL("login_seconds", login_ns / 1e9);
    REAL("ws_frames_per_recv", recvs ? (double)ws_frames / recvs : 0);
    REAL("p50_us", h_us(&each, .5)); REAL("p99_us", h_us(&each, .99)); REAL("p999_us", h_us(&each, .999));
    REAL("max_us", each.max / 1e3); REAL("last_p50_us", h_us(&last, .5)); REAL("last_p99_us", h_us(&last, .99));
    printf("\"last_error\":\"%s\"}\n", last_error);
}

int main(int argc, char **argv) {
    struct rlimit files;
    struct rusage before, after;
    struct buf batch = { 0 };
    parse_arguments(argc, argv);
    signal(SIGALRM, too_late);
    alarm(o.limit_s);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    srandom((unsigned)now_ns());
    ep = epoll_create1(EPOLL_CLOEXEC);
    rbuf = malloc(READ_SIZE);
    conns = calloc(total, sizeof *conns);
    per_message = calloc(o.publish + 1, sizeof *per_message);
    if (ep < 0 || !rbuf || !conns || !per_message) die("start");
    for (int i = 0; i < total; i++) {
        conns[i].idx = i;
        conns[i].role = i < o.n ? R_SUBSCRIBER : i < o.n + o.slow ? R_SLOW
            : i < o.n + o.slow + o.quiet ? R_QUIET : R_PUBLISHER;
    }
    if (o.publish) pub = &conns[total - 1];
    if (o.base) open_and_log_in(0, o.base, 1);
    phase("CONNECTING");
    if (o.churn) { if (o.warmup) churn(o.warmup); }
    else {
        open_and_log_in(o.base, total, 0);
        if (o.publish) probe();
        for (int i = 0; i < total; i++)
            if (conns[i].role == R_SLOW && conns[i].state == S_UP) epoll_ctl(ep, EPOLL_CTL_DEL, conns[i].fd, NULL);
    }
    phase("READY");
    if (o.publish) warm_up();
    if (o.echo) { make_batch(&batch); echo(o.warmup, &conns[0], &batch); }
    published = completed = deliveries = each.n = each.max = lives = recvs = ws_frames = beats_sent = 0;
    memset(each.count, 0, sizeof each.count);
    for (int i = 0; i < total; i++) conns[i].beats = 0;
    phase("START");
    getrusage(RUSAGE_SELF, &before);
    u64 start = t_last = now_ns();
    if (o.publish) fan_out(start);
    if (o.echo) echo(o.echo, &conns[0], &batch);
    if (o.churn) { churn(o.churn); t_last = now_ns(); }
    if (o.hold_s) hold(start);
    getrusage(RUSAGE_SELF, &after);
    int closed = o.churn ? 0 : dead - failed;
    phase("END");
    if (o.await_close_s) { phase("CLOSING"); await_close(); }
    double cpu = after.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_utime.tv_sec - before.ru_stime.tv_sec
        + (after.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_utime.tv_usec - before.ru_stime.tv_usec) / 1e6;
    report((t_last - start) / 1e9, cpu, closed);
    return 0;
}
