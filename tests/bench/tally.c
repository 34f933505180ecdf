/* tally.c - what each reader has got: order, losses, duplicates, latencies. */
/* SPDX-License-Identifier: MIT */
#include "tally.h"

#include <stdlib.h>

struct tally_reader {
    unsigned next;       /* one past the highest number seen */
    unsigned char *seen; /* a bit per event */
};

static void *zeroed(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        abort();
    return memory;
}

void tally_init(struct tally *tally, unsigned readers, unsigned warmup, unsigned events)
{
    size_t bits = ((size_t)warmup + events + 7) / 8;
    *tally = (struct tally){.readers = readers, .warmup = warmup, .events = events};
    tally->each = zeroed(readers, sizeof(*tally->each));
    for (unsigned i = 0; i < readers; i++)
        tally->each[i].seen = zeroed(bits, 1);
    tally->latency_ns = zeroed((size_t)readers * events, sizeof(uint64_t));
}

void tally_release(struct tally *tally)
{
    for (unsigned i = 0; i < tally->readers; i++)
        free(tally->each[i].seen);
    free(tally->each);
    free(tally->latency_ns);
    *tally = (struct tally){0};
}

static void tally_time(struct tally *tally, const struct marker *marker, uint64_t at_ns)
{
    uint64_t sent_ns = marker->sent_ns;
    if (tally->timed == 0 || sent_ns < tally->first_sent_ns)
        tally->first_sent_ns = sent_ns;
    tally->last_seen_ns = at_ns;
    tally->latency_ns[tally->timed++] = at_ns > sent_ns ? at_ns - sent_ns : 0;
}

void tally_delivery(struct tally *tally, unsigned reader, unsigned task,
                    const struct marker *marker, uint64_t at_ns)
{
    struct tally_reader *each = &tally->each[reader];
    unsigned seq = marker->seq;
    if (marker->task != task || seq >= tally->warmup + tally->events) {
        tally->foreign++;
        return;
    }
    unsigned char bit = (unsigned char)(1u << (seq & 7));
    if (each->seen[seq / 8] & bit) {
        tally->duplicates++;
        return;
    }
    each->seen[seq / 8] |= bit;
    if (seq < each->next)
        tally->reordered++;
    else
        each->next = seq + 1;
    if (seq < tally->warmup)
        tally->warm++;
    else
        tally_time(tally, marker, at_ns);
}

bool tally_is_warm(const struct tally *tally)
{
    return tally->warm == (uint64_t)tally->readers * tally->warmup;
}

bool tally_is_complete(const struct tally *tally)
{
    return tally_lost(tally) == 0;
}

uint64_t tally_lost(const struct tally *tally)
{
    uint64_t wanted = (uint64_t)tally->readers * (tally->warmup + tally->events);
    return wanted - tally->warm - tally->timed;
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

void tally_sort(struct tally *tally)
{
    qsort(tally->latency_ns, tally->timed, sizeof(uint64_t), compare);
}

uint64_t tally_percentile(const struct tally *tally, unsigned permille)
{
    if (tally->timed == 0)
        return 0;
    size_t rank = (tally->timed * permille + 999) / 1000;
    return tally->latency_ns[rank > 0 ? rank - 1 : 0];
}
