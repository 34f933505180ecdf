/* report.c - progress, the table at the end, and the first violation with its history. */
/* SPDX-License-Identifier: MIT */
#include "emitters/torture/world.h"

#include <stdarg.h>
#include <stdio.h>

#define SHOWN_NOTES 80

static struct note *new_note(struct world *world, int task)
{
    struct note *note = &world->notes[world->note_count++ % WORLD_HISTORY];

    note->at_ms = world->now_ms - world->start_ms;
    note->task = task;
    return note;
}

void report_note(struct world *world, int task, const char *format, ...)
{
    struct note *note = new_note(world, task);
    va_list args;

    va_start(args, format);
    vsnprintf(note->text, sizeof(note->text), format, args);
    va_end(args);
}

static bool concerns(const struct note *note, int task)
{
    return task < 0 || note->task < 0 || note->task == task;
}

static void show_history(const struct world *world, int task)
{
    uint64_t first =
        world->note_count > WORLD_HISTORY ? world->note_count - WORLD_HISTORY : 0;
    uint64_t from = world->note_count;
    unsigned found = 0;

    while (from > first && found < SHOWN_NOTES)
        found += concerns(&world->notes[--from % WORLD_HISTORY], task);
    for (; from < world->note_count; from++) {
        const struct note *note = &world->notes[from % WORLD_HISTORY];
        if (concerns(note, task))
            printf("  %8.3f s  %s\n", (double)note->at_ms / 1000, note->text);
    }
}

void report_violation(struct world *world, int task, const char *format, ...)
{
    struct note *note;
    va_list args;

    if (world->has_failed)
        return;
    note = new_note(world, task);
    va_start(args, format);
    vsnprintf(note->text, sizeof(note->text), format, args);
    va_end(args);
    world->has_failed = true;
    printf("\nVIOLATION at %.3f s, seed %llu: %s\n",
           (double)(world->now_ms - world->start_ms) / 1000,
           (unsigned long long)world->options->seed, note->text);
    printf("What led to it%s:\n", task < 0 ? "" : " (that task, and faults)");
    show_history(world, task);
}

void report_progress(struct world *world)
{
    uint64_t events = 0;

    if (world->now_ms - world->said_ms < 5000)
        return;
    world->said_ms = world->now_ms;
    for (unsigned i = 0; i < world->reader_count; i++)
        events += world->readers[i].tally.events;
    printf("%4llu s  %llu faults, %llu runs verified, %llu events told%s\n",
           (unsigned long long)(world->now_ms - world->start_ms) / 1000,
           (unsigned long long)world->next_fault,
           (unsigned long long)world->tally.verified, (unsigned long long)events,
           world->is_calm ? ", calm" : "");
    fflush(stdout);
}

static void row(const char *name, uint64_t value)
{
    printf("  %-44s %10llu\n", name, (unsigned long long)value);
}

static void show_readers(const struct world *world)
{
    printf("\n  %-24s %8s %8s %8s %10s %8s %8s\n", "readers", "of them", "joins",
           "cuts", "events", "resyncs", "ends");
    for (int kind = 0; kind < READER_KINDS; kind++) {
        struct reader_tally sum = {0};
        unsigned count = 0;
        for (unsigned i = 0; i < world->reader_count; i++) {
            const struct reader *reader = &world->readers[i];
            if ((int)reader->kind != kind)
                continue;
            count++;
            sum.joins += reader->tally.joins;
            sum.cuts += reader->tally.cuts;
            sum.events += reader->tally.events;
            sum.resyncs += reader->tally.resyncs;
            sum.ends += reader->tally.ends;
        }
        printf("  %-24s %8u %8llu %8llu %10llu %8llu %8llu\n",
               reader_kind_name((enum reader_kind)kind), count,
               (unsigned long long)sum.joins, (unsigned long long)sum.cuts,
               (unsigned long long)sum.events, (unsigned long long)sum.resyncs,
               (unsigned long long)sum.ends);
    }
}

void report_table(const struct world *world)
{
    const struct world_tally *tally = &world->tally;

    printf("\nseed %llu\n\n", (unsigned long long)world->options->seed);
    for (int kind = 0; kind < FAULT_KINDS; kind++)
        row(fault_name((enum fault_kind)kind), tally->faults[kind]);
    show_readers(world);
    printf("\n");
    row("runs begun", tally->runs);
    for (int outcome = 1; outcome < OUTCOMES; outcome++) {
        char name[64];
        snprintf(name, sizeof(name), "  ended with %s",
                 outcome_name((enum outcome)outcome));
        row(name, tally->outcomes[outcome]);
    }
    row("  complete at every reader", tally->verified);
    row("  followed at once by the next", tally->hasty);
    row("  killed before they had begun", tally->never);
    row("  permitted loss: producer and data gone", tally->excused);
    row("published anew after Redis had lost them", tally->reopened);
    row("largest broker, MB resident", tally->peak_rss_bytes >> 20);
    row("most descriptors of a broker", tally->peak_descriptors);
    row("violations", world->has_failed ? 1 : 0);
}
