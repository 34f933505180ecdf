/* connect.c - libthinkwire: a connection from its URL. */
/* SPDX-License-Identifier: MIT */
#include "base/diag.h"
#include "base/mem.h"
#include "emitters/lib/kept.h"
#include "emitters/lib/shell.h"
#include "redis/url.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void say(char *error, size_t size, const char *words)
{
    if (error != NULL && size > 0)
        snprintf(error, size, "%s", words);
}

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* A loop aborts when it cannot have its descriptors; a caller short of them is told. */
static bool has_descriptors(void)
{
    int fds[8];
    bool good = true;
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        good = good && fds[i] >= 0;
    }
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return good;
}

static bool is_clean(const char *text)
{
    for (; text != NULL && *text != 0; text++)
        if ((unsigned char)*text < ' ')
            return false;
    return true;
}

static bool is_prefix(const char *prefix)
{
    size_t len = strspn(prefix, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789._:-");
    return len > 0 && len <= 64 && prefix[len] == 0;
}

static void read_options(struct thinkwire *thinkwire,
                         const struct thinkwire_options *options)
{
    struct emitter_options *defaults = &thinkwire->defaults;
    defaults->window_ms = EMITTER_WINDOW_MS;
    if (options->window_ms != 0)
        defaults->window_ms = options->window_ms < 0 ? 0 : (uint64_t)options->window_ms;
    defaults->lease_ms = options->lease_ms != 0 ? options->lease_ms : EMITTER_LEASE_MS;
    defaults->max_unsent_bytes = options->max_unsent_bytes;
    defaults->max_text_bytes = options->max_text_bytes;
    thinkwire->max_block_ms = options->max_block_ms != 0 ? options->max_block_ms : 20;
    thinkwire->pid = getpid();
    list_init(&thinkwire->runs);
    list_init(&thinkwire->queue);
}

/* "http://host:port" with whatever slashes at its end taken off. */
static void connect_http(struct thinkwire *thinkwire, const char *url,
                         const struct thinkwire_options *options)
{
    size_t len = strlen(url);
    while (len > 0 && url[len - 1] == '/')
        len--;
    thinkwire->is_http = true;
    thinkwire->base_url = mem_text(slice_make(url, len));
    if (options->authorization != NULL) {
        size_t size = strlen(options->authorization) + sizeof("Authorization: ");
        thinkwire->authorization = mem_new(size);
        snprintf(thinkwire->authorization, size, "Authorization: %s",
                 options->authorization);
    }
    if (options->unix_socket != NULL)
        thinkwire->unix_socket = mem_text(slice_of(options->unix_socket));
    thinkwire->http = http_client_new(thinkwire->loop, NULL);
}

static void note_refusal(void *ctx, enum store_refusal refusal)
{
    struct thinkwire *thinkwire = ctx;

    snprintf(thinkwire->last_trouble, sizeof(thinkwire->last_trouble), "%s",
             store_refusal_text(refusal));
    thinkwire->refused_ms = loop_now_ms(thinkwire->loop);
}

static bool connect_redis(struct thinkwire *thinkwire, const char *url,
                          const struct thinkwire_options *options, struct buf *error)
{
    const char *prefix = options->prefix != NULL ? options->prefix : "tw";
    const struct link_options link = {.name = "thinkwire-emitter"};
    const struct store_limits limits = KEPT_BY_DEFAULT;
    const struct confirm_options confirm = {
        .prefix = prefix, .wait_ms = CONFIRM_WAIT_MS, .is_quiet = true};
    thinkwire->link = link_new(thinkwire->loop, url, &link, error);
    if (thinkwire->link == NULL)
        return false;
    thinkwire->store = store_new(thinkwire->link, prefix, &limits);
    store_on_refused(thinkwire->store, note_refusal, thinkwire);
    thinkwire->confirm = confirm_new(thinkwire->loop, thinkwire->link, url, &confirm);
    store_set_confirm(thinkwire->store, thinkwire->confirm);
    thinkwire->sink = sink_redis_new(thinkwire->store);
    return true;
}

static const char *judge(const char *url, const struct thinkwire_options *options)
{
    if (url == NULL)
        return "no URL";
    if (options->size != sizeof(*options))
        return "options that were not initialised, or of another version";
    if (options->prefix != NULL && !is_prefix(options->prefix))
        return "malformed key prefix";
    if (!is_clean(options->authorization) || !is_clean(options->unix_socket))
        return "a control character in an option";
    if (begins_with(url, "http://") || begins_with(url, "https://"))
        return strchr(url, '@') != NULL ? "no credentials in an http URL" : NULL;
    if (!redis_url_is_one(url))
        return "a URL begins with redis://, redis+sentinel://, unix://, http:// or "
               "https://";
    return NULL;
}

/* A library does not talk on its host's stderr: its words are statuses and counters. */
static void be_quiet(void)
{
    diag_setup(DIAG_ERROR, DIAG_TEXT);
}

struct thinkwire *thinkwire_connect(const char *url,
                                    const struct thinkwire_options *options,
                                    char *error, size_t error_size)
{
    static const struct thinkwire_options defaults = THINKWIRE_OPTIONS_INIT;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct buf words;
    pthread_once(&once, be_quiet);
    if (options == NULL)
        options = &defaults;
    const char *trouble = judge(url, options);
    if (trouble == NULL && !has_descriptors())
        trouble = "no file descriptors left";
    if (trouble != NULL) {
        say(error, error_size, trouble);
        return NULL;
    }
    struct thinkwire *thinkwire = mem_new(sizeof(*thinkwire));
    read_options(thinkwire, options);
    thinkwire->loop = loop_new();
    buf_init(&words, 512);
    bool good = true;
    if (begins_with(url, "http"))
        connect_http(thinkwire, url, options);
    else
        good = connect_redis(thinkwire, url, options, &words);
    say(error, error_size, buf_text(&words));
    buf_release(&words);
    if (!good) {
        loop_free(thinkwire->loop);
        free(thinkwire);
        return NULL;
    }
    if (!shell_start(thinkwire)) {
        say(error, error_size, "no thread to be had");
        shell_free(thinkwire);
        return NULL;
    }
    return thinkwire;
}
