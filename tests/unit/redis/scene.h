/* scene.h - a private Redis and a loop that runs until something has happened. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_REDIS_SCENE_H
#define THINKWIRE_TESTS_REDIS_SCENE_H

#include "redis/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/types.h>

/* A redis-server of our own on a free loopback port, in a directory of its own; it dies with
 * this process. */
struct private_redis {
    pid_t pid; /* 0 = not running */
    unsigned port;
    int output;
    char dir[64];
    char url[64];
    char socket_path[96];
    /* Set before the start: */
    const char *password; /* or NULL */
    unsigned replica_of;  /* port of a master on this machine, or 0 */
    unsigned sentinel_of; /* the same; then this is a sentinel that calls it "main" */
};
void private_redis_start(struct private_redis *redis);
/* SIGKILL: nothing is saved, connections break. The port is kept for the next start. */
void private_redis_kill(struct private_redis *redis);
void private_redis_pause(struct private_redis *redis);
void private_redis_resume(struct private_redis *redis);
void private_redis_release(struct private_redis *redis);

struct scene {
    struct loop *loop;
    struct timer pump;
    bool (*is_over)(void *ctx);
    void *is_over_ctx;
    uint64_t deadline_ms;
    struct private_redis redis;
    struct link *admin; /* a second way in: what other people do to Redis */
    struct buf answer;  /* of the last scene_ask() */
    uint64_t answer_number;
    size_t answer_count;
    bool has_answer;
};
/* cmocka set-up and tear-down of a group; *state is the scene. */
int scene_new(void **state);
int scene_free(void **state);
/* Set-up of a test: an empty Redis that answers. */
int scene_clean(void **state);

/* Runs the loop until the condition holds; fails the test after thirty seconds. */
void scene_until(struct scene *scene, bool (*is_over)(void *ctx), void *ctx);
void scene_until_flag(struct scene *scene, bool *flag);
void scene_until_count(struct scene *scene, const unsigned *count, unsigned wanted);
/* Lets the loop run for a while: only to show that something does NOT happen. */
void scene_idle(struct scene *scene, uint64_t ms);

/* Asks on the second connection, words separated by blanks, and waits: texts of the answer,
 * lists flattened, joined by '|'. Valid until the next call. */
const char *scene_ask(struct scene *scene, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same with arguments that may hold blanks; ends with NULL. */
const char *scene_ask_words(struct scene *scene, ...) __attribute__((sentinel));

/* The next part of `rest` that is not empty and ends at `mark` or the end. */
bool next_part(struct slice *rest, char mark, struct slice *part);

#endif
