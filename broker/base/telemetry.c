/* telemetry.c - rows for those who count later, in a file per day. */
/* SPDX-License-Identifier: MIT */
#include "base/telemetry.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DAY_CHARS 10 /* 2026-11-20 */
#define LEAVE_MS  1000
#define DAY_MS    UINT64_C(86400000)
#define SWEEP_MS  UINT64_C(3600000)

static const char name_begin[] = "telemetry-";
static const char name_end[] = ".jsonl";

struct telemetry {
    char *dir;
    uint64_t keep_days;
    uint64_t day_bytes;
    struct counter *rows;
    struct counter *lost;
    bool is_said; /* that rows are lost */
    pthread_t thread;
    bool has_thread;
    /* the thread's */
    int fd;
    char day[DAY_CHARS + 1];
    bool is_torn; /* the last line stands there in part */
    /* under the mutex: */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct buf queue;
    uint64_t queued; /* rows in it */
    uint64_t failed; /* rows that could not be written, not yet counted */
    int trouble;     /* errno of the last of them */
    bool is_ending;
    bool has_exited;
    bool is_abandoned; /* nobody waits: the thread frees */
};

/* ---- the file ---- */

static void telemetry_destroy(struct telemetry *telemetry)
{
    if (telemetry->fd >= 0)
        (void)close(telemetry->fd);
    buf_release(&telemetry->queue);
    pthread_mutex_destroy(&telemetry->mutex);
    pthread_cond_destroy(&telemetry->changed);
    free(telemetry->dir);
    free(telemetry);
}

/* Somebody may have taken it away to keep or to delete it. */
static bool is_gone(int fd)
{
    struct stat facts;

    return fstat(fd, &facts) != 0 || facts.st_nlink == 0;
}

/* Others may write into it, too: asked anew each time. */
static bool has_room(const struct telemetry *telemetry, size_t more)
{
    struct stat facts;

    if (telemetry->day_bytes == 0 || fstat(telemetry->fd, &facts) != 0 ||
        (uint64_t)facts.st_size + more <= telemetry->day_bytes)
        return true;
    errno = EFBIG;
    return false;
}

static bool open_file(struct telemetry *telemetry)
{
    char now[CLOCK_ISO_SIZE];
    char path[4096];

    clock_iso(clock_wall_ms(), now);
    now[DAY_CHARS] = '\0';
    if (telemetry->fd >= 0 && strcmp(now, telemetry->day) == 0 &&
        !is_gone(telemetry->fd))
        return true;
    if (telemetry->fd >= 0)
        (void)close(telemetry->fd);
    (void)mkdir(telemetry->dir, 0750); /* the open tells whether that was of use */
    int len = snprintf(path, sizeof(path), "%s/%s%s%s", telemetry->dir, name_begin, now,
                       name_end);
    errno = ENAMETOOLONG;
    telemetry->fd = len < 0 || (size_t)len >= sizeof(path)
                        ? -1
                        : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    memcpy(telemetry->day, now, sizeof(telemetry->day));
    telemetry->is_torn = false;
    return telemetry->fd >= 0;
}

/* Whole lines in one write, so that those of several processes do not mix. */
static bool write_lines(struct telemetry *telemetry, struct slice lines)
{
    if (!open_file(telemetry) || !has_room(telemetry, lines.len + 1))
        return false;
    if (telemetry->is_torn && write(telemetry->fd, "\n", 1) != 1)
        return false;
    telemetry->is_torn = false;
    ssize_t written = write(telemetry->fd, lines.ptr, lines.len);
    telemetry->is_torn = written > 0 && (size_t)written < lines.len;
    return written == (ssize_t)lines.len;
}

/* ---- days that are over ---- */

/* The day of a file of ours; NULL for any other name. */
static const char *day_of(const char *name)
{
    static const char shape[] = "0000-00-00";
    size_t begin = strlen(name_begin);

    if (strncmp(name, name_begin, begin) != 0)
        return NULL;
    for (size_t i = 0; i < DAY_CHARS; i++) {
        char c = name[begin + i];
        if (shape[i] == '0' ? c < '0' || c > '9' : c != shape[i])
            return NULL;
    }
    return strcmp(name + begin + DAY_CHARS, name_end) == 0 ? name + begin : NULL;
}

/* Several processes may do it at once: a file that is gone already is as good. */
static void drop_old_days(const struct telemetry *telemetry)
{
    char oldest[CLOCK_ISO_SIZE];
    const struct dirent *entry;
    DIR *dir;

    if (telemetry->keep_days == 0 || (dir = opendir(telemetry->dir)) == NULL)
        return;
    clock_iso(clock_wall_ms() - telemetry->keep_days * DAY_MS, oldest);
    while ((entry = readdir(dir)) != NULL) {
        const char *day = day_of(entry->d_name);
        if (day != NULL && strncmp(day, oldest, DAY_CHARS) < 0)
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    }
    (void)closedir(dir);
}

/* ---- the thread ---- */

static struct timespec deadline_in(uint64_t ms)
{
    uint64_t at = clock_mono_ns() + ms * UINT64_C(1000000);

    return (struct timespec){.tv_sec = (time_t)(at / UINT64_C(1000000000)),
                             .tv_nsec = (long)(at % UINT64_C(1000000000))};
}

/* Under the mutex, which it gives back while it writes. */
static void write_queue(struct telemetry *telemetry, struct buf *lines)
{
    uint64_t count = telemetry->queued;
    struct buf full = telemetry->queue;

    telemetry->queued = 0;
    telemetry->queue = *lines;
    *lines = full;
    pthread_mutex_unlock(&telemetry->mutex);
    bool is_written = write_lines(telemetry, buf_view(lines));
    int trouble = errno;
    buf_reset(lines);
    pthread_mutex_lock(&telemetry->mutex);
    telemetry->failed += is_written ? 0 : count;
    telemetry->trouble = is_written ? 0 : trouble;
}

/* Under the mutex: until there is a row, the end, or an hour is over (false). */
static bool wait_for_rows(struct telemetry *telemetry, const struct timespec *hour)
{
    int late = 0;

    while (telemetry->queue.len == 0 && !telemetry->is_ending && late == 0)
        late = pthread_cond_timedwait(&telemetry->changed, &telemetry->mutex, hour);
    return late == 0;
}

static void work(struct telemetry *telemetry, struct buf *lines)
{
    while (!telemetry->is_ending) {
        struct timespec hour = deadline_in(SWEEP_MS);
        pthread_mutex_unlock(&telemetry->mutex);
        drop_old_days(telemetry);
        pthread_mutex_lock(&telemetry->mutex);
        while (wait_for_rows(telemetry, &hour) && telemetry->queue.len > 0)
            write_queue(telemetry, lines);
    }
    if (telemetry->queue.len > 0)
        write_queue(telemetry, lines);
}

static void *run_thread(void *arg)
{
    struct telemetry *telemetry = arg;
    struct buf lines;

    buf_init(&lines, TELEMETRY_QUEUE_BYTES);
    pthread_mutex_lock(&telemetry->mutex);
    work(telemetry, &lines);
    telemetry->has_exited = true;
    bool is_abandoned = telemetry->is_abandoned;
    pthread_cond_broadcast(&telemetry->changed);
    pthread_mutex_unlock(&telemetry->mutex);
    buf_release(&lines);
    if (is_abandoned)
        telemetry_destroy(telemetry);
    return NULL;
}

/* ---- life ---- */

/* Signals are the loop's. */
static bool start_thread(struct telemetry *telemetry)
{
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int fault = pthread_create(&telemetry->thread, NULL, run_thread, telemetry);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return fault == 0;
}

struct telemetry *telemetry_new(const struct telemetry_options *options,
                                struct counters *counters)
{
    struct telemetry *telemetry = mem_new(sizeof(*telemetry));
    pthread_condattr_t attributes;

    telemetry->dir = mem_text(slice_of(options->dir));
    telemetry->keep_days = options->keep_days;
    telemetry->day_bytes = options->day_bytes;
    telemetry->fd = -1;
    telemetry->rows = counters_add(counters, COUNTER_TOTAL, "telemetry_rows_total",
                                   NULL, "Rows handed to telemetry");
    telemetry->lost = counters_add(counters, COUNTER_TOTAL, "telemetry_lost_total",
                                   NULL, "Rows of telemetry that could not be written");
    buf_init(&telemetry->queue, TELEMETRY_QUEUE_BYTES);
    pthread_mutex_init(&telemetry->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&telemetry->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    telemetry->has_thread = start_thread(telemetry);
    return telemetry;
}

void telemetry_free(struct telemetry *telemetry)
{
    if (telemetry == NULL)
        return;
    struct timespec deadline = deadline_in(LEAVE_MS);
    int late = 0;
    pthread_mutex_lock(&telemetry->mutex);
    telemetry->is_ending = true;
    pthread_cond_broadcast(&telemetry->changed);
    while (telemetry->has_thread && !telemetry->has_exited && late == 0)
        late =
            pthread_cond_timedwait(&telemetry->changed, &telemetry->mutex, &deadline);
    bool is_stuck = telemetry->has_thread && !telemetry->has_exited;
    telemetry->is_abandoned = is_stuck;
    pthread_mutex_unlock(&telemetry->mutex);
    if (is_stuck) {
        (void)pthread_detach(telemetry->thread);
        return;
    }
    if (telemetry->has_thread)
        (void)pthread_join(telemetry->thread, NULL);
    telemetry_destroy(telemetry);
}

/* ---- rows ---- */

static bool put_in_queue(struct telemetry *telemetry, struct slice line)
{
    size_t len = telemetry->queue.len;

    if (telemetry->has_thread && buf_slice(&telemetry->queue, line)) {
        telemetry->queued++;
        return true;
    }
    telemetry->queue.len = len; /* full: the thread is behind by a whole queue */
    telemetry->queue.failed = false;
    telemetry->failed++;
    return false;
}

static void note_losses(struct telemetry *telemetry, uint64_t failed, int trouble)
{
    if (failed == 0)
        return;
    counter_add(telemetry->lost, failed);
    if (!telemetry->is_said)
        diag(DIAG_DEBUG, "telemetry cannot be written", DIAG_S("dir", telemetry->dir),
             DIAG_S("why", trouble == 0       ? "the disk is too slow"
                           : trouble == EFBIG ? "the day's file is full"
                                              : strerror(trouble)));
    telemetry->is_said = true;
}

void telemetry_row(struct telemetry *telemetry, const char *type, struct slice payload)
{
    char now[CLOCK_ISO_SIZE];
    struct buf line;

    clock_iso(clock_wall_ms(), now);
    buf_init(&line, payload.len + 200);
    (void)buf_printf(
        &line, "{\"type\":\"%s\",\"created_at\":\"%s\",\"payload_json\":", type, now);
    (void)buf_slice(&line, payload);
    (void)buf_puts(&line, "}\n");
    counter_add(telemetry->rows, 1);
    pthread_mutex_lock(&telemetry->mutex);
    if (!line.failed && put_in_queue(telemetry, buf_view(&line)))
        pthread_cond_broadcast(&telemetry->changed);
    uint64_t failed = telemetry->failed;
    int trouble = telemetry->trouble;
    telemetry->failed = 0;
    pthread_mutex_unlock(&telemetry->mutex);
    note_losses(telemetry, failed, trouble);
    buf_release(&line);
}
