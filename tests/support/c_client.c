/* A story told by the C client library: every step prints what came of it, one line each.
 * usage: c_client host:port      cc -o c_client c_client.c -lzookeeper_mt
 * Times, zxids and session ids are left out, so two servers' outputs can be compared. */
#define THREADED
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zookeeper/zookeeper.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int connected, events;
static char heard[8][256];              /* what came on the library's own thread, in order */

static void note(int *counter) {
    pthread_mutex_lock(&lock);
    ++*counter;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void await(int *counter, int wanted) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    pthread_mutex_lock(&lock);
    while (*counter < wanted)
        if (pthread_cond_timedwait(&changed, &lock, &until)) { printf("timed out\n"); exit(1); }
    pthread_mutex_unlock(&lock);
    if (counter == &events) printf("%s\n", heard[wanted - 1]);
}

static void on_session(zhandle_t *handle, int type, int state, const char *path, void *context) {
    (void)handle; (void)path; (void)context;
    if (type == ZOO_SESSION_EVENT && state == ZOO_CONNECTED_STATE) note(&connected);
}

static void on_event(zhandle_t *handle, int type, int state, const char *path, void *context) {
    (void)handle;
    if (type == ZOO_SESSION_EVENT) return;
    snprintf(heard[events], sizeof heard[0], "event %d state %d path %s of %s", type, state, path,
             (char *)context);
    note(&events);
}

static void on_completion(int code, const struct String_vector *names, const void *data) {
    snprintf(heard[events], sizeof heard[0], "async %s: %d, %d children", (const char *)data, code,
             names ? names->count : -1);
    note(&events);
}

static void show(const char *what, int code, const struct Stat *stat) {
    printf("%s: %d", what, code);
    if (code == ZOK && stat)
        printf(" version %d cversion %d aversion %d length %d children %d ephemeral %d",
               stat->version, stat->cversion, stat->aversion, stat->dataLength,
               stat->numChildren, stat->ephemeralOwner != 0);
    printf("\n");
}

static zhandle_t *open_handle(const char *hosts) {
    int before = connected;
    zhandle_t *handle = zookeeper_init(hosts, on_session, 20000, 0, 0, 0);
    if (!handle) { printf("no handle\n"); exit(1); }
    await(&connected, before + 1);
    return handle;
}

static void write_and_read(zhandle_t *zk) {
    char buffer[256];
    int length = sizeof buffer;
    struct Stat stat;
    show("create", zoo_create(zk, "/c", "one", 3, &ZOO_OPEN_ACL_UNSAFE, 0, buffer, sizeof buffer), 0);
    show("again", zoo_create(zk, "/c", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, buffer, sizeof buffer), 0);
    show("null", zoo_create(zk, "/c/null", 0, -1, &ZOO_OPEN_ACL_UNSAFE, 0, buffer, sizeof buffer), 0);
    show("sequence", zoo_create2(zk, "/c/s-", "", 0, &ZOO_OPEN_ACL_UNSAFE,
                                 ZOO_SEQUENCE | ZOO_EPHEMERAL, buffer, sizeof buffer, &stat), &stat);
    printf("named %s\n", buffer);
    show("set", zoo_set2(zk, "/c", "two!", 4, 0, &stat), &stat);
    show("stale", zoo_set(zk, "/c", "", 0, 7), 0);
    show("get", zoo_get(zk, "/c", 0, buffer, &length, &stat), &stat);
    printf("data %.*s\n", length, buffer);
    length = sizeof buffer;
    show("get null", zoo_get(zk, "/c/null", 0, buffer, &length, &stat), &stat);
    printf("length %d\n", length);
    show("missing", zoo_exists(zk, "/none", 0, &stat), 0);
    show("not empty", zoo_delete(zk, "/c", -1), 0);
}

static void watch(zhandle_t *zk) {
    struct Stat stat;
    struct String_vector names;
    show("watch", zoo_wexists(zk, "/w", on_event, "exists", &stat), 0);
    show("create", zoo_create(zk, "/w", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, 0, 0), 0);
    await(&events, 1);
    show("watch", zoo_wget_children(zk, "/w", on_event, "children", &names), 0);
    show("child", zoo_create(zk, "/w/x", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, 0, 0), 0);
    await(&events, 2);
    deallocate_String_vector(&names);
    show("async", zoo_aget_children(zk, "/w", 0, on_completion, "names"), 0);
    await(&events, 3);
}

static void all_or_nothing(zhandle_t *zk) {
    zoo_op_t ops[3];
    zoo_op_result_t results[3];
    struct Stat stat;
    char path[64];
    zoo_create_op_init(&ops[0], "/m", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof path);
    zoo_set_op_init(&ops[1], "/m", "x", 1, 0, &stat);
    zoo_check_op_init(&ops[2], "/m", 1);
    show("multi", zoo_multi(zk, 3, ops, results), 0);
    printf("%d %d %d\n", results[0].err, results[1].err, results[2].err);
    zoo_delete_op_init(&ops[0], "/m", 1);
    zoo_delete_op_init(&ops[1], "/none", -1);
    zoo_delete_op_init(&ops[2], "/w/x", -1);
    show("multi", zoo_multi(zk, 3, ops, results), 0);
    printf("%d %d %d\n", results[0].err, results[1].err, results[2].err);
}

static void guard(zhandle_t *zk, zhandle_t *other) {
    struct Stat stat;
    struct ACL_vector acl;
    char buffer[64];
    int length = sizeof buffer;
    show("auth", zoo_add_auth(zk, "digest", "ann:secret", 10, 0, 0), 0);
    show("private", zoo_create(zk, "/p", "mine", 4, &ZOO_CREATOR_ALL_ACL, 0, 0, 0), 0);
    show("stranger", zoo_get(other, "/p", 0, buffer, &length, &stat), 0);
    show("acl", zoo_get_acl(zk, "/p", &acl, &stat), &stat);
    printf("%d %s %s\n", acl.data[0].perms, acl.data[0].id.scheme, acl.data[0].id.id);
    deallocate_ACL_vector(&acl);
    show("open", zoo_set_acl(zk, "/p", -1, &ZOO_OPEN_ACL_UNSAFE), 0);
    length = sizeof buffer;
    show("stranger", zoo_get(other, "/p", 0, buffer, &length, &stat), &stat);
}

int main(int argc, char **argv) {
    (void)argc;
    struct Stat stat;
    zoo_set_debug_level(0);
    setvbuf(stdout, 0, _IOLBF, 0);
    zhandle_t *zk = open_handle(argv[1]), *other = open_handle(argv[1]);
    write_and_read(zk);
    watch(zk);
    all_or_nothing(zk);
    guard(zk, other);
    show("ephemeral", zoo_exists(other, "/c/s-0000000001", 0, &stat), &stat);
    show("close", zookeeper_close(zk), 0);
    show("gone", zoo_exists(other, "/c/s-0000000001", 0, &stat), 0);
    show("close", zookeeper_close(other), 0);
    return 0;
}
