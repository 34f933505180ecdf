/* jobs.c - what is to be generated, handed to one of several workers. */
/* SPDX-License-Identifier: MIT */
#include "redis/jobs.h"

#include "base/mem.h"

#include <stdlib.h>

#define GROUP "workers"
/* At a time; more workers share better what comes in small portions. */
#define READ_COUNT 10
/* Below the silence a link takes for a loss. */
#define BLOCK_MS  2000
#define RETRY_MS  1000
#define SILENT_MS 15000
/* Jobs nobody took are forgotten past this; their runs end with QUEUE_TIMEOUT. */
#define STREAM_ENTRIES 100000
#define KEY_BYTES      192

struct jobs {
    struct jobs_options options;
    char *key;
    char *consumer;
    struct link *commands; /* borrowed */
    struct link *reader;
    struct timer retry; /* reads again after an error */
    struct timer sweep; /* looks for jobs of workers that fell silent */
    size_t wanted;
    bool has_group;
    bool is_reading;
    struct sweeping *sweeping; /* asked, not answered */
};

/* Outlives its owner when that is freed before the answer. */
struct sweeping {
    struct jobs *jobs; /* NULL: nobody waits */
};

static bool begins(struct slice text, const char *with)
{
    size_t len = strlen(with);

    return text.len >= len && memcmp(text.ptr, with, len) == 0;
}

static struct slice u64_text(uint64_t value, char out[24])
{
    struct buf text;

    buf_init(&text, 24);
    (void)buf_u64(&text, value);
    size_t len = text.len;
    memcpy(out, text.data, len);
    buf_release(&text);
    return slice_make(out, len);
}

static char *make_key(const char *prefix)
{
    struct buf key;

    buf_init(&key, KEY_BYTES);
    (void)buf_printf(&key, "%s:jobs", prefix);
    char *text = mem_text(buf_view(&key));
    buf_release(&key);
    return text;
}

/* ---- adding ---- */

struct adding {
    void (*done)(void *ctx, bool ok);
    void *ctx;
};

static void on_added(void *ctx, const struct reply *reply)
{
    struct adding *adding = ctx;

    adding->done(adding->ctx, reply != NULL && reply_kind(reply) == REPLY_TEXT);
    free(adding);
}

void jobs_add(struct link *commands, const char *prefix, const struct job *job,
              void (*done)(void *ctx, bool ok), void *ctx)
{
    struct adding *adding = mem_new(sizeof(*adding));
    char *key = make_key(prefix);
    char bound[24];
    char epoch[24];
    struct slice argv[] = {
        slice_of("XADD"),
        slice_of(key),
        slice_of("MAXLEN"),
        slice_of("~"),
        u64_text(STREAM_ENTRIES, bound),
        slice_of("*"),
        slice_of("site"),
        job->task.site,
        slice_of("task"),
        job->task.task_id,
        slice_of("epoch"),
        u64_text(job->epoch, epoch),
    };

    *adding = (struct adding){.done = done, .ctx = ctx};
    link_command(commands, argv, sizeof(argv) / sizeof(argv[0]), on_added, adding);
    free(key);
}

/* ---- finishing ---- */

void jobs_finish(struct jobs *jobs, struct slice id)
{
    struct slice ack[] = {slice_of("XACK"), slice_of(jobs->key), slice_of(GROUP), id};
    struct slice del[] = {slice_of("XDEL"), slice_of(jobs->key), id};

    link_command(jobs->commands, ack, 4, NULL, NULL);
    link_command(jobs->commands, del, 3, NULL, NULL);
}

/* ---- what comes in ---- */

/* The value of a field in [name, value, name, value ...]. */
static struct slice field_of(const struct reply *fields, const char *name)
{
    for (size_t i = 0; i + 1 < reply_count(fields); i += 2) {
        if (slice_is(reply_text(reply_at(fields, i)), name))
            return reply_text(reply_at(fields, i + 1));
    }
    return slice_make(NULL, 0);
}

static bool read_epoch(struct slice text, uint64_t *epoch)
{
    *epoch = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || *epoch > UINT64_MAX / 10 - 1)
            return false;
        *epoch = *epoch * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    return *epoch > 0;
}

/* One [id, fields]. Entries that were deleted meanwhile have nil instead of fields. */
static void take_entry(struct jobs *jobs, const struct reply *entry, bool is_again)
{
    const struct reply *fields = reply_at(entry, 1);
    struct job job = {.is_again = is_again};

    if (reply_count(entry) != 2)
        return;
    job.id = reply_text(reply_at(entry, 0));
    if (reply_kind(fields) == REPLY_LIST) {
        job.task.site = field_of(fields, "site");
        job.task.task_id = field_of(fields, "task");
    }
    if (reply_kind(fields) != REPLY_LIST || !site_is_native(job.task.site) ||
        !task_id_is_native(job.task.task_id) ||
        !read_epoch(field_of(fields, "epoch"), &job.epoch)) {
        jobs_finish(jobs, job.id);
        return;
    }
    if (jobs->wanted > 0)
        jobs->wanted--;
    jobs->options.on_job(jobs->options.ctx, &job);
}

static void take_entries(struct jobs *jobs, const struct reply *entries, bool is_again)
{
    for (size_t i = 0; i < reply_count(entries); i++)
        take_entry(jobs, reply_at(entries, i), is_again);
}

/* ---- reading ---- */

static void read_more(struct jobs *jobs);

static void on_group(void *ctx, const struct reply *reply)
{
    struct jobs *jobs = ctx;
    bool is_there = reply != NULL && (reply_kind(reply) != REPLY_ERROR ||
                                      begins(reply_text(reply), "BUSYGROUP"));

    jobs->is_reading = false;
    jobs->has_group = is_there;
    if (is_there)
        read_more(jobs);
    else if (reply != NULL)
        timer_start(&jobs->retry, RETRY_MS, 0);
}

static void make_group(struct jobs *jobs)
{
    struct slice argv[] = {slice_of("XGROUP"),  slice_of("CREATE"),
                           slice_of(jobs->key), slice_of(GROUP),
                           slice_of("0"),       slice_of("MKSTREAM")};

    jobs->is_reading = true;
    link_command(jobs->reader, argv, 6, on_group, jobs);
}

static void on_read(void *ctx, const struct reply *reply)
{
    struct jobs *jobs = ctx;

    jobs->is_reading = false;
    if (reply == NULL)
        return; /* on_up reads again */
    if (reply_kind(reply) == REPLY_ERROR) {
        jobs->has_group = !begins(reply_text(reply), "NOGROUP");
        timer_start(&jobs->retry, RETRY_MS, 0);
        return;
    }
    /* [[key, entries]], or nil after BLOCK_MS */
    if (reply_kind(reply) == REPLY_LIST)
        take_entries(jobs, reply_at(reply_at(reply, 0), 1), false);
    read_more(jobs);
}

static void read_more(struct jobs *jobs)
{
    char count[24];
    char block[24];

    if (jobs->is_reading || jobs->wanted == 0 || !link_is_up(jobs->reader))
        return;
    if (!jobs->has_group) {
        make_group(jobs);
        return;
    }
    struct slice argv[] = {
        slice_of("XREADGROUP"),
        slice_of("GROUP"),
        slice_of(GROUP),
        slice_of(jobs->consumer),
        slice_of("COUNT"),
        u64_text(jobs->wanted < READ_COUNT ? jobs->wanted : READ_COUNT, count),
        slice_of("BLOCK"),
        u64_text(BLOCK_MS, block),
        slice_of("STREAMS"),
        slice_of(jobs->key),
        slice_of(">"),
    };
    jobs->is_reading = true;
    link_command(jobs->reader, argv, sizeof(argv) / sizeof(argv[0]), on_read, jobs);
}

static void on_retry(struct timer *timer)
{
    read_more(LIST_ENTRY(timer, struct jobs, retry));
}

static void on_up(void *ctx)
{
    struct jobs *jobs = ctx;

    jobs->has_group = false; /* Redis may have lost it */
    read_more(jobs);
}

/* ---- jobs of workers that fell silent ---- */

static void on_claimed(void *ctx, const struct reply *reply)
{
    struct sweeping *sweeping = ctx;
    struct jobs *jobs = sweeping->jobs;

    free(sweeping);
    if (jobs == NULL)
        return;
    jobs->sweeping = NULL;
    if (reply != NULL && reply_kind(reply) == REPLY_LIST)
        take_entries(jobs, reply_at(reply, 1), true);
}

static void on_sweep(struct timer *timer)
{
    struct jobs *jobs = LIST_ENTRY(timer, struct jobs, sweep);
    char silent[24];
    char count[24];

    if (jobs->sweeping != NULL || jobs->wanted == 0 || !jobs->has_group)
        return;
    struct slice argv[] = {
        slice_of("XAUTOCLAIM"),
        slice_of(jobs->key),
        slice_of(GROUP),
        slice_of(jobs->consumer),
        u64_text(jobs->options.silent_ms, silent),
        slice_of("0-0"),
        slice_of("COUNT"),
        u64_text(jobs->wanted < READ_COUNT ? jobs->wanted : READ_COUNT, count),
    };
    jobs->sweeping = mem_new(sizeof(*jobs->sweeping));
    jobs->sweeping->jobs = jobs;
    link_command(jobs->commands, argv, sizeof(argv) / sizeof(argv[0]), on_claimed,
                 jobs->sweeping);
}

/* ---- life ---- */

struct jobs *jobs_new(struct loop *loop, struct link *commands,
                      const struct jobs_options *options, struct buf *error)
{
    struct jobs *jobs = mem_new(sizeof(*jobs));
    struct link_options link = {.name = "thinkwire-jobs", .on_up = on_up, .ctx = jobs};

    jobs->options = *options;
    if (jobs->options.silent_ms == 0)
        jobs->options.silent_ms = SILENT_MS;
    jobs->commands = commands;
    jobs->key = make_key(options->prefix);
    jobs->consumer = mem_text(slice_of(options->consumer));
    timer_init(&jobs->retry, loop, on_retry);
    timer_init(&jobs->sweep, loop, on_sweep);
    jobs->reader = link_new(loop, options->url, &link, error);
    if (jobs->reader == NULL) {
        jobs_free(jobs);
        return NULL;
    }
    timer_start(&jobs->sweep, jobs->options.silent_ms / 3, jobs->options.silent_ms / 3);
    return jobs;
}

void jobs_free(struct jobs *jobs)
{
    if (jobs == NULL)
        return;
    timer_release(&jobs->retry);
    timer_release(&jobs->sweep);
    jobs->wanted = 0;
    if (jobs->sweeping != NULL)
        jobs->sweeping->jobs = NULL;
    link_free(jobs->reader);
    free(jobs->key);
    free(jobs->consumer);
    free(jobs);
}

void jobs_want(struct jobs *jobs, size_t count)
{
    jobs->wanted = count;
    read_more(jobs);
}

const char *jobs_trouble(const struct jobs *jobs)
{
    return link_trouble(jobs->reader);
}
