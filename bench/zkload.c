/* zkload: a load generator that speaks the ZooKeeper client protocol.
 *
 * One thread, one epoll loop. C connections, each its own session, either keep W requests
 * outstanding each (closed loop) or send at a fixed total rate (-r, open loop: latency then
 * counts from the moment a request was due, so a stall of the server cannot hide).
 * Prints one JSON line: throughput, latency percentiles, errors and, for the servers named
 * with -p and all their descendants, CPU seconds in the measured interval and memory.
 *
 *   cc -O2 -o zkload zkload.c && ./zkload -H 127.0.0.1:2181 -o get -c 50 -w 20 -d 5
 *
 * -H host:port,...  servers; connections are spread round robin
 * -o op      get | set | exists | children | create | crdel | mixed:R (R = % of reads)
 *            split:R (R % of the connections read, the others write)
 *            connect (sessions opened and closed one after another) | fill (make znodes, end)
 * -c N       connections (50)                  -w N  requests outstanding on each (20)
 * -r N       requests per second in all, instead of "as fast as replies come"
 * -d S -W S  measured, warm-up seconds (5, 2)  -n N  end after N replies (with -W 0)
 * -s N       bytes of data (100)               -k N  znodes to read and write (1000)
 * -S         the znodes are there already      -p pid,...  server processes to account for
 * -i MS      also print a histogram of the reads for each slice of MS milliseconds
 * SIGTERM ends the measured interval: the result covers what was measured so far
 *
 * The znodes are /zkload/k<i / 1000>/<i % 1000>. What `create` made is deleted again after
 * the measured interval, and sessions are closed: nothing expires into the next run.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include "accounting.h"

enum { CREATE = 1, DELETE = 2, EXISTS = 3, GET = 4, SET = 5, CHILDREN = 8, CLOSE = -11 };
enum { MIXED = 100, SPLIT, CRDEL, CONNECT, FILL };      /* works that are no single opcode */
enum { CONNECTING, READY, CLOSED };              /* a connection's state */
enum { LOAD, DRAIN, SWEEP, BYE };                /* the run's stage */
enum { NODEEXISTS = -110, BUCKETS = 64 * 60, SETUP_WINDOW = 1000, MAX_SLICES = 4096 };
enum { CHUNK = 65536, MAX_WINDOW = 1 << 20 };
static const uint64_t SECOND = 1000000000ull;

typedef struct { uint64_t at; int is_read; } Sent;
typedef struct {
    int fd, id, state, outstanding, want_write;
    uint8_t *in, *out;
    size_t in_len, in_cap, out_len, out_off, out_cap;
    Sent *sent; int head;
    int32_t xid;
    uint64_t made, swept;                        /* znodes created, deleted again */
    int toggle;
} Conn;
typedef struct { uint64_t start; uint32_t reads[BUCKETS]; } Slice;

static struct sockaddr_in servers[64]; static int nservers;
static const char *op_name = "get";
static int op = GET, nconns = 50, window = 20, size = 100, keys = 1000, read_pct, skip_setup;
static double duration_s = 5, warm_s = 2, rate, slice_ms;
static uint64_t limit;
static Conn *conns; static int ep, stage, measuring, dead, ready;
static uint64_t now, ops, errors, hist[BUCKETS], t_start, t_end, next_due;
static int first_error, unanswered, timer = -1;
static Slice *slices; static int nslices;
static volatile sig_atomic_t ended;
static char payload[1 << 20], run_dir[40];

static uint64_t clock_ns(void) {
    struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}
static void die(const char *what) {
    fprintf(stderr, "zkload: %s: %s\n", what, errno ? strerror(errno) : "connection closed");
    exit(1);
}
static uint64_t rng = 88172645463325252ull;
static uint64_t rnd(void) { rng ^= rng << 13; rng ^= rng >> 7; rng ^= rng << 17; return rng; }

/* Histogram of nanoseconds: 64 buckets to each doubling, so 0.8 % from a bucket's middle. */
static int bucket_of(uint64_t ns) {
    if (ns < 128) return (int)ns;
    int e = 57 - __builtin_clzll(ns), b = e * 64 + (int)(ns >> e);
    return b < BUCKETS ? b : BUCKETS - 1;
}
static double bucket_us(int b) {
    int e = b < 128 ? 0 : b / 64 - 1;
    return ((double)(b - e * 64) + 0.5) * (double)(1ull << e) / 1000;
}
static double percentile_us(double p) {
    uint64_t total = 0, seen = 0;
    for (int b = 0; b < BUCKETS; b++) total += hist[b];
    for (int b = 0; b < BUCKETS; b++)
        if ((seen += hist[b]) && seen >= p * total) return bucket_us(b);
    return 0;
}
static void record(Sent *sent, int err) {
    uint64_t ns = now > sent->at ? now - sent->at : 0;
    ops++; hist[bucket_of(ns)]++;
    if (err) { errors++; if (!first_error) first_error = err; }
    if (slices && sent->is_read) {
        int i = (int)((now - t_start) / (slice_ms * 1e6));
        if (i < MAX_SLICES) { if (i >= nslices) nslices = i + 1; slices[i].reads[bucket_of(ns)]++; }
    }
}

/* --- requests ------------------------------------------------------------------------- */

static uint8_t *reserve(Conn *c, size_t n) {
    if (c->out_off == c->out_len) c->out_off = c->out_len = 0;
    if (c->out_len + n > c->out_cap) {
        c->out_cap = (c->out_len + n) * 2; c->out = realloc(c->out, c->out_cap);
    }
    uint8_t *p = c->out + c->out_len; c->out_len += n; return p;
}
static uint8_t *put32(uint8_t *p, int32_t v) { v = htobe32(v); memcpy(p, &v, 4); return p + 4; }
static uint8_t *put64(uint8_t *p, int64_t v) { v = htobe64(v); memcpy(p, &v, 8); return p + 8; }
static uint8_t *put_bytes(uint8_t *p, const void *s, int n) {
    p = put32(p, n); memcpy(p, s, n); return p + n;
}
static int32_t get32(const uint8_t *p) { int32_t v; memcpy(&v, p, 4); return be32toh(v); }
static char *append(char *p, const char *s) { while (*s) *p++ = *s++; return p; }
static char *append_number(char *p, uint64_t v) {
    char digits[24]; int n = 0;
    do digits[n++] = '0' + v % 10; while (v /= 10);
    while (n) *p++ = digits[--n];
    return p;
}

/* One request frame: header, path, then what the operation adds. */
static void request(Conn *c, int type, const char *path, int path_len, int data_len, uint64_t due) {
    int extra = 1;
    if (type == SET) extra = 4 + data_len + 4;
    else if (type == CREATE) extra = 4 + data_len + 4 + 4 + 4 + 5 + 4 + 6 + 4;
    else if (type == DELETE) extra = 4;
    uint8_t *p = reserve(c, 16 + path_len + extra);
    p = put32(p, 12 + path_len + extra);
    p = put32(p, ++c->xid & 0x7fffffff); p = put32(p, type); p = put_bytes(p, path, path_len);
    if (type == SET || type == CREATE) p = put_bytes(p, payload, data_len);
    if (type == SET || type == DELETE) put32(p, -1);             /* any version */
    else if (type == CREATE) {                                   /* ACL world:anyone:all */
        p = put32(p, 1); p = put32(p, 31); p = put_bytes(p, "world", 5);
        p = put_bytes(p, "anyone", 6); put32(p, 0);
    } else *p = 0;                                               /* no watch */
    Sent *sent = &c->sent[(c->head + c->outstanding++) % window];
    sent->at = due; sent->is_read = type == GET || type == EXISTS || type == CHILDREN;
}
static void request_key(Conn *c, int type, uint64_t i, uint64_t due) {
    char path[64], *p = append_number(append(path, "/zkload/k"), i / 1000);
    p = append_number(append(p, "/"), i % 1000);
    request(c, type, path, p - path, size, due);
}
static void request_own(Conn *c, int type, uint64_t i, uint64_t due) {
    char path[96], *p = append_number(append(append(path, run_dir), "/"), c->id);
    p = append_number(append(p, "-"), i);
    request(c, type, path, p - path, size, due);
}
static void next_request(Conn *c, uint64_t due) {
    switch (op) {
    case CREATE: request_own(c, CREATE, c->made++, due); break;
    case CRDEL:
        if (c->toggle) request_own(c, DELETE, c->swept++, due);
        else request_own(c, CREATE, c->made++, due);
        c->toggle ^= 1; break;
    case CHILDREN: request(c, CHILDREN, "/zookeeper", 10, 0, due); break;
    case MIXED: request_key(c, (int)(rnd() % 100) < read_pct ? GET : SET, rnd() % keys, due); break;
    case SPLIT:
        request_key(c, c->id * 100 < read_pct * nconns ? GET : SET, rnd() % keys, due); break;
    default: request_key(c, op, rnd() % keys, due);
    }
}
static void request_close(Conn *c) {
    uint8_t *p = put32(reserve(c, 12), 8); p = put32(p, 0); put32(p, CLOSE);
}

/* --- connections ---------------------------------------------------------------------- */

static void arm(Conn *c, int write) {
    if (write == c->want_write) return;
    c->want_write = write;
    struct epoll_event e = { .events = EPOLLIN | (write ? EPOLLOUT : 0), .data.ptr = c };
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
}
static int flush_out(Conn *c) {
    while (c->out_off < c->out_len) {
        ssize_t n = write(c->fd, c->out + c->out_off, c->out_len - c->out_off);
        if (n < 0) { if (errno != EAGAIN) return -1; arm(c, 1); return 0; }
        c->out_off += n;
    }
    arm(c, 0); return 0;
}
static void open_conn(Conn *c) {
    int one = 1; struct timeval patience = { .tv_sec = 60 };
    c->fd = socket(AF_INET, SOCK_STREAM, 0); if (c->fd < 0) die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(c->fd, (void *)&servers[c->id % nservers], sizeof servers[0]) < 0) die("connect");
    uint8_t *p = put32(reserve(c, 49), 45);
    p = put32(p, 0); p = put64(p, 0); p = put32(p, 30000); p = put64(p, 0);
    p = put32(p, 16); memset(p, 0, 17);                          /* password, not read-only */
    c->state = CONNECTING;
}
static void new_buffers(Conn *c) {
    c->in_cap = 2 * CHUNK; c->in = malloc(c->in_cap); c->sent = calloc(window, sizeof(Sent));
}
static void lose(Conn *c) {
    if (stage != BYE) dead++;
    if (c->state == READY) ready--;
    epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, 0); close(c->fd);
    c->state = CLOSED; c->outstanding = 0;
    if (dead == nconns) die("all connections lost");
}
static void on_frame(Conn *c, const uint8_t *frame) {
    if (c->state == CONNECTING) {
        c->state = READY; ready++;
        if (!rate && stage == LOAD) for (int i = 0; i < window; i++) next_request(c, now);
        return;
    }
    if (get32(frame) <= 0) return;                               /* event, ping or close */
    if (measuring) record(&c->sent[c->head], get32(frame + 12));
    c->head = (c->head + 1) % window; c->outstanding--;
    if (stage == LOAD && !rate) next_request(c, now);
    else if (stage == SWEEP && c->swept < c->made) request_own(c, DELETE, c->swept++, now);
}
static int on_readable(Conn *c) {
    for (;;) {
        if (c->in_cap - c->in_len < CHUNK) { c->in_cap *= 2; c->in = realloc(c->in, c->in_cap); }
        size_t room = c->in_cap - c->in_len, off = 0;
        ssize_t n = read(c->fd, c->in + c->in_len, room);
        if (n <= 0) { if (n < 0 && errno == EAGAIN) break; return -1; }
        c->in_len += n; now = clock_ns();
        while (c->in_len - off >= 4) {
            int32_t len = get32(c->in + off);
            if (len < 16 && c->state != CONNECTING) return -1;
            if (c->in_len - off - 4 < (size_t)len) break;
            on_frame(c, c->in + off + 4); off += 4 + len;
        }
        memmove(c->in, c->in + off, c->in_len - off); c->in_len -= off;
        if ((size_t)n < room) break;
    }
    return flush_out(c);
}

/* --- blocking use of one session: set-up and session churn ---------------------------- */

static void write_all(Conn *c) {
    while (c->out_off < c->out_len) {
        ssize_t n = write(c->fd, c->out + c->out_off, c->out_len - c->out_off);
        if (n <= 0) die("write");
        c->out_off += n;
    }
}
/* Reads at least one frame; returns how many came whole, and the last one's error code. */
static int read_frames(Conn *c, int *err) {
    for (int frames = 0;;) {
        size_t off = 0;
        while (c->in_len - off >= 4) {
            size_t len = get32(c->in + off);
            if (c->in_len - off - 4 < len) break;
            *err = get32(c->in + off + 4 + 12); frames++; off += 4 + len;
        }
        memmove(c->in, c->in + off, c->in_len - off); c->in_len -= off;
        if (frames) return frames;
        errno = 0;
        ssize_t n = read(c->fd, c->in + c->in_len, c->in_cap - c->in_len);
        if (n <= 0) die("read");
        c->in_len += n;
    }
}
static void free_conn(Conn *c) { close(c->fd); free(c->in); free(c->out); free(c->sent); }

/* The znodes that the operations use, made through one session. */
static void setup(void) {
    int saved = window, err, handshake = 1; window = 2 * SETUP_WINDOW;
    Conn c = { .id = 0 }; new_buffers(&c); open_conn(&c);
    int64_t i = -3;                              /* -3 and -2: the parents */
    while (i < keys || c.outstanding) {
        while (i < keys && c.outstanding < SETUP_WINDOW) {
            char path[64], *p = append_number(append(path, "/zkload/k"), i < 0 ? 0 : i / 1000);
            if (i == -3) request(&c, CREATE, "/zkload", 7, 0, 0);
            else if (i == -2) request(&c, CREATE, run_dir, strlen(run_dir), 0, 0);
            else if (i >= 0 && i % 1000 == 0) request(&c, CREATE, path, p - path, 0, 0);
            if (i >= 0) request_key(&c, CREATE, i, 0);
            i++;
        }
        write_all(&c);
        c.outstanding -= read_frames(&c, &err) - handshake; handshake = 0;
        if (c.outstanding || !err || err == NODEEXISTS) continue;
        fprintf(stderr, "zkload: create: error %d\n", err); exit(1);
    }
    if (op != CREATE && op != CRDEL) request(&c, DELETE, run_dir, strlen(run_dir), 0, 0);
    request_close(&c); write_all(&c);
    for (int left = 1 + c.outstanding; left > 0; ) left -= read_frames(&c, &err);
    free_conn(&c); window = saved;
}
static void remove_run_dir(void) {
    Conn c = { .id = 0 }; int err; new_buffers(&c); open_conn(&c);
    request(&c, DELETE, run_dir, strlen(run_dir), 0, 0); request_close(&c); write_all(&c);
    for (int left = 3; left > 0; ) left -= read_frames(&c, &err);
    free_conn(&c);
}

/* --- runs ----------------------------------------------------------------------------- */

static void print_result(uint64_t replies, double secs, double cpu, double own, double rss) {
    printf("{\"op\":\"%s\",\"conns\":%d,\"window\":%d,\"size\":%d,\"ops\":%llu,\"ops_per_s\":%.1f,"
           "\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,\"errors\":%llu,"
           "\"first_error\":%d,\"dead\":%d,\"unanswered\":%d,\"server_cpu_s\":%.2f,"
           "\"ops_per_cpu_s\":%.1f,\"client_cpu_s\":%.2f,\"rss_mb\":%.1f,\"seconds\":%.3f",
           op_name, nconns, window, size, (unsigned long long)replies, replies / secs,
           percentile_us(.5), percentile_us(.99), percentile_us(.999), percentile_us(1),
           (unsigned long long)errors, first_error, dead, unanswered, cpu,
           cpu > 0 ? replies / cpu : 0, own, rss, secs);
    if (slices) printf(",\"slices\":[");
    for (int i = 0; slices && i < nslices; i++) {
        const char *comma = "";
        printf("%s{\"start_ns\":%llu,\"reads\":{", i ? "," : "",
               (unsigned long long)(t_start + (uint64_t)(i * slice_ms * 1e6)));
        for (int b = 0; b < BUCKETS; b++) if (slices[i].reads[b]) {
            printf("%s\"%.1f\":%u", comma, bucket_us(b), slices[i].reads[b]); comma = ",";
        }
        printf("}}");
    }
    printf("%s}\n", slices ? "]" : "");
}
static void churn(void) {
    double rss, own = own_cpu(), cpu = servers_cpu(&rss); int err;
    nconns = window = 1; t_start = clock_ns();
    while ((now = clock_ns()) - t_start < duration_s * SECOND && (!limit || ops < limit)) {
        Conn c = { .id = (int)ops }; Sent sent = { .at = now };
        new_buffers(&c); open_conn(&c); write_all(&c); read_frames(&c, &err);
        request_close(&c); write_all(&c); read_frames(&c, &err); free_conn(&c);
        now = clock_ns(); record(&sent, err);
    }
    t_end = clock_ns(); cpu = servers_cpu(&rss) - cpu;
    print_result(ops, (t_end - t_start) / (double)SECOND, cpu, own_cpu() - own, rss);
}
static void send_due(void) {
    now = clock_ns();
    for (int full = 0; next_due <= now && full < nconns; ) {
        static unsigned turn; Conn *c = &conns[turn++ % nconns];
        if (c->state != READY || c->outstanding == window) { full++; continue; }
        next_request(c, next_due); next_due += (uint64_t)(SECOND / rate); full = 0;
    }
    for (Conn *c = conns; c < conns + nconns; c++)
        if (c->state == READY && c->out_off < c->out_len && flush_out(c) < 0) lose(c);
}
static void poll_once(void) {
    struct epoll_event ev[256]; uint64_t ticks;
    int n = epoll_wait(ep, ev, 256, 10);
    now = clock_ns();
    for (int i = 0; i < n; i++) {
        Conn *c = ev[i].data.ptr; int r = -1;
        if (!c) {
            if (read(timer, &ticks, sizeof ticks) == sizeof ticks && stage == LOAD) send_due();
            continue;
        }
        if (ev[i].events & EPOLLIN) r = on_readable(c);
        else if (ev[i].events & EPOLLOUT) r = flush_out(c);
        if (r < 0) lose(c);
    }
}
static int total_outstanding(void) {
    int n = 0; for (int i = 0; i < nconns; i++) n += conns[i].outstanding;
    return n;
}
static int drain(void) {                         /* returns what was left unanswered */
    uint64_t deadline = clock_ns() + 30 * SECOND;
    while (total_outstanding() && clock_ns() < deadline) poll_once();
    return total_outstanding();
}
static void start_timer(void) {                  /* wakes up to send what is due, at most 4000/s */
    long period = rate > 4000 ? 250000 : (long)(SECOND / rate);
    struct timespec t = { period / SECOND, period % SECOND };
    struct itimerspec every = { t, t };
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = 0 };
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK); timerfd_settime(timer, 0, &every, 0);
    epoll_ctl(ep, EPOLL_CTL_ADD, timer, &e); next_due = clock_ns();
}
static void open_all(void) {
    ep = epoll_create1(0); conns = calloc(nconns, sizeof *conns);
    for (int i = 0; i < nconns; i++) {
        Conn *c = &conns[i]; struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
        c->id = i; new_buffers(c); open_conn(c); fcntl(c->fd, F_SETFL, O_NONBLOCK);
        epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e); if (flush_out(c) < 0) die("handshake");
    }
    if (limit) measuring = 1;
    t_start = clock_ns();
    while (ready < nconns) {
        poll_once(); errno = ETIMEDOUT;
        if (clock_ns() > t_start + 60 * SECOND) die("handshake");
    }
    if (rate) start_timer();
}
static void close_all(void) {
    if (op == CREATE || op == CRDEL) {
        stage = SWEEP;
        for (Conn *c = conns; c < conns + nconns; c++) {
            if (c->state != READY) continue;
            while (c->swept < c->made && c->outstanding < window)
                request_own(c, DELETE, c->swept++, 0);
            if (flush_out(c) < 0) lose(c);
        }
        drain(); remove_run_dir();
    }
    stage = BYE;
    for (Conn *c = conns; c < conns + nconns; c++)
        if (c->state == READY) { request_close(c); if (flush_out(c) < 0) lose(c); }
    uint64_t deadline = clock_ns() + 10 * SECOND;
    while (ready && clock_ns() < deadline) poll_once();
}
static void on_term(int number) { ended = number; }
static void run(void) {
    double rss, own = own_cpu(), cpu = servers_cpu(&rss);
    open_all();
    if (!limit) {
        t_start = clock_ns() + (uint64_t)(warm_s * SECOND);
        while (clock_ns() < t_start) poll_once();
        own = own_cpu(); cpu = servers_cpu(&rss);
        t_start = clock_ns(); measuring = 1;
    }
    signal(SIGTERM, on_term);
    t_end = t_start + (uint64_t)(duration_s * SECOND);
    while (clock_ns() < t_end && !ended && (!limit || ops < limit)) poll_once();
    t_end = clock_ns(); measuring = rate > 0; stage = DRAIN;
    cpu = servers_cpu(&rss) - cpu; own = own_cpu() - own;
    uint64_t replies = ops;
    unanswered = drain(); measuring = 0;
    double secs = (t_end - t_start) / (double)SECOND;
    close_all();
    print_result(replies, secs, cpu, own, rss);
}

static int parse_op(void) {
    static const struct { const char *name; int op; } names[] = {
        { "get", GET }, { "set", SET }, { "exists", EXISTS }, { "children", CHILDREN },
        { "create", CREATE }, { "crdel", CRDEL }, { "connect", CONNECT }, { "fill", FILL } };
    if (!strncmp(op_name, "mixed:", 6)) { read_pct = atoi(op_name + 6); return MIXED; }
    if (!strncmp(op_name, "split:", 6)) { read_pct = atoi(op_name + 6); return SPLIT; }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(op_name, names[i].name)) return names[i].op;
    return 0;
}
static int parse_hosts(char *hosts) {
    for (char *p = strtok(hosts, ","); p && nservers < 64; p = strtok(0, ",")) {
        char *colon = strrchr(p, ':'); if (!colon) return 0;
        struct sockaddr_in *server = &servers[nservers++]; *colon = 0;
        server->sin_family = AF_INET; server->sin_port = htons(atoi(colon + 1));
        if (inet_pton(AF_INET, p, &server->sin_addr) != 1) return 0;
    }
    return nservers;
}
static void parse_pids(char *list) {
    for (char *p = strtok(list, ","); p && npids < 64; p = strtok(0, ",")) pids[npids++] = atoi(p);
}
static int usage(const char *what) {
    fprintf(stderr, "zkload: %s; the head of zkload.c explains the options\n", what); return 2;
}
int main(int argc, char **argv) {
    char *hosts = strdup("127.0.0.1:2181"); int o;
    while ((o = getopt(argc, argv, "H:o:c:w:r:d:W:n:s:k:Sp:i:")) != -1) switch (o) {
        case 'H': hosts = strdup(optarg); break;    case 'o': op_name = optarg; break;
        case 'c': nconns = atoi(optarg); break;     case 'w': window = atoi(optarg); break;
        case 'r': rate = atof(optarg); break;       case 'd': duration_s = atof(optarg); break;
        case 'W': warm_s = atof(optarg); break;     case 'n': limit = atoll(optarg); break;
        case 's': size = atoi(optarg); break;       case 'k': keys = atoi(optarg); break;
        case 'S': skip_setup = 1; break;            case 'i': slice_ms = atof(optarg); break;
        case 'p': parse_pids(optarg); break;
        default: return usage("unknown option");
    }
    if (!parse_hosts(hosts)) return usage("-H takes numeric-address:port,...");
    if (!(op = parse_op())) return usage("-o takes one of the works listed");
    if (nconns < 1 || window < 1 || window > MAX_WINDOW || keys < 1 || duration_s <= 0 || warm_s < 0
        || size < 0 || size > (int)sizeof payload || rate < 0 || slice_ms < 0)
        return usage("a number is out of range");
    if (slice_ms > 0) slices = calloc(MAX_SLICES, sizeof *slices);
    memset(payload, 'x', sizeof payload);
    rng ^= clock_ns();
    snprintf(run_dir, sizeof run_dir, "/zkload/r%llx", (unsigned long long)(rnd() & 0xffffffff));
    uint64_t begun = clock_ns();
    if (!skip_setup) setup();
    if (op == FILL) {
        double rss; servers_cpu(&rss);
        print_result(keys, (clock_ns() - begun) / (double)SECOND, 0, own_cpu(), rss);
    } else if (op == CONNECT) churn();
    else run();
    return 0;
}
