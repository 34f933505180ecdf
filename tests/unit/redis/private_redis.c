/* private_redis.c - a redis-server of a test's own. */
/* SPDX-License-Identifier: MIT */
#include "scene.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)(void *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)(void *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void become_server(const struct private_redis *redis, char *port)
{
    char replica_of[32];

    (void)snprintf(replica_of, sizeof(replica_of), "127.0.0.1 %u", redis->replica_of);
    execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1",
           "--unixsocket", redis->socket_path, "--save", "", "--appendonly", "no",
           "--dir", redis->dir, "--maxmemory-policy", "noeviction",
           "--repl-diskless-sync-delay", "0",
           redis->replica_of != 0    ? "--replicaof"
           : redis->password != NULL ? "--requirepass"
                                     : NULL,
           redis->replica_of != 0 ? replica_of : redis->password, (char *)NULL);
}

/* A sentinel writes down in its file what it learns. */
static void become_sentinel(const struct private_redis *redis, char *port)
{
    FILE *conf = fopen(redis->socket_path, "w");

    if (conf == NULL)
        _exit(127);
    (void)fprintf(conf,
                  "sentinel monitor main 127.0.0.1 %u 1\n"
                  "sentinel down-after-milliseconds main 300\n"
                  "sentinel failover-timeout main 2000\n",
                  redis->sentinel_of);
    if (fclose(conf) != 0)
        _exit(127);
    execlp("redis-sentinel", "redis-sentinel", redis->socket_path, "--port", port,
           "--bind", "127.0.0.1", "--dir", redis->dir, (char *)NULL);
}

static void become_redis(const struct private_redis *redis, int output)
{
    char port[16];

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)dup2(output, STDOUT_FILENO);
    (void)dup2(output, STDERR_FILENO);
    (void)snprintf(port, sizeof(port), "%u", redis->port);
    if (redis->sentinel_of != 0)
        become_sentinel(redis, port);
    else
        become_server(redis, port);
    _exit(127);
}

/* False when it ended instead: somebody else has its port. */
static bool is_ready(struct private_redis *redis)
{
    char text[8192];
    size_t len = 0;

    for (;;) {
        struct pollfd wait = {.fd = redis->output, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, 30000), 1);
        ssize_t got = read(redis->output, text + len, sizeof(text) - 1 - len);
        assert_true(got >= 0);
        if (got == 0)
            return false;
        len += (size_t)got;
        text[len] = '\0';
        /* With a unix socket the last line names it, after the TCP port. */
        if (strstr(text, redis->sentinel_of != 0 ? "+monitor master"
                                                 : "connections at") != NULL)
            return true;
    }
}

static void take_a_port(struct private_redis *redis)
{
    redis->port = free_port();
    (void)snprintf(redis->url, sizeof(redis->url), "redis://127.0.0.1:%u", redis->port);
}

static void launch(struct private_redis *redis)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    redis->pid = fork();
    assert_true(redis->pid >= 0);
    if (redis->pid == 0)
        become_redis(redis, ends[1]);
    close(ends[1]);
    redis->output = ends[0];
}

void private_redis_start(struct private_redis *redis)
{
    const bool is_first = redis->port == 0;

    if (is_first) {
        (void)snprintf(redis->dir, sizeof(redis->dir), "/tmp/thinkwire-redis-XXXXXX");
        assert_non_null(mkdtemp(redis->dir));
        (void)snprintf(redis->socket_path, sizeof(redis->socket_path), "%s/redis.sock",
                       redis->dir);
    }
    for (int tries = 0; tries < 5; tries++) {
        if (is_first)
            take_a_port(redis);
        launch(redis);
        if (is_ready(redis))
            return;
        private_redis_kill(redis);
    }
    fail_msg("redis-server does not start");
}

void private_redis_kill(struct private_redis *redis)
{
    if (redis->pid == 0)
        return;
    kill(redis->pid, SIGKILL);
    (void)waitpid(redis->pid, NULL, 0);
    close(redis->output);
    redis->pid = 0;
}

void private_redis_pause(struct private_redis *redis)
{
    kill(redis->pid, SIGSTOP);
}

void private_redis_resume(struct private_redis *redis)
{
    kill(redis->pid, SIGCONT);
}

void private_redis_release(struct private_redis *redis)
{
    private_redis_kill(redis);
    if (redis->port == 0)
        return;
    (void)unlink(redis->socket_path);
    (void)rmdir(redis->dir);
}
