/* world.h - all that is tortured, and the one who watches. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TORTURE_WORLD_H
#define THINKWIRE_TORTURE_WORLD_H

#include "emitters/torture/cable.h"
#include "emitters/torture/oracle.h"
#include "emitters/torture/process.h"
#include "emitters/torture/producer.h"
#include "emitters/torture/reader.h"
#include "emitters/torture/schedule.h"

#define WORLD_BROKERS 8
#define WORLD_TASKS   64
#define WORLD_RUNS    4096 /* of a task */
#define WORLD_PENDING 64
#define WORLD_HISTORY 4096

struct torture_options {
    uint64_t seed;
    uint64_t seconds;
    uint64_t brokers;
    uint64_t tasks;
    uint64_t readers; /* of each transport */
    uint64_t lease_ms;
    uint64_t rss_bytes; /* bound of a broker */
    bool keep;
};

/* ---- tasks and runs ---- */

struct run {
    struct story story;
    struct run_facts facts;
    struct journal *journal;
    struct process producer;
    uint64_t lost_ms; /* when Redis has lost its data last */
    bool is_excused; /* data went after its end, or with it: nobody can tell it again */
};

/* RESTING --next_at_ms--> RUNNING --producer has ended--> SETTLING --all have it--> RESTING */
enum task_phase { TASK_RESTING, TASK_RUNNING, TASK_SETTLING };
struct task {
    unsigned number;
    enum task_phase phase;
    struct run **runs;
    unsigned run_count;
    uint64_t next_at_ms;
    uint64_t settling_ms; /* healthy time since its producer has ended */
    uint64_t final_ms;    /* ... since Redis has its end; 0 = it has not */
    uint64_t last_epoch;  /* of the run that was settled last */
    uint64_t looked_ms;
};

/* ---- what is put right again later ---- */

enum remedy_kind {
    REMEDY_START_REDIS,
    REMEDY_RELEASE_CABLE,
    REMEDY_KILL_REDIS, /* the second half of a fault, and so is the next */
    REMEDY_SILENCE_REDIS,
    REMEDY_START_BROKER,
    REMEDY_CONTINUE_REDIS,
    REMEDY_CONTINUE_BROKER,
    REMEDY_CONTINUE_PRODUCER,
    REMEDY_LIFT_LIMIT,
    REMEDY_CLOSE_SOCKET
};
struct remedy {
    uint64_t at_ms; /* 0: a free slot */
    enum remedy_kind kind;
    unsigned target;
    unsigned length_ms;
    struct run *run;
};

struct note {
    uint64_t at_ms;
    int task; /* -1: concerns all */
    char text[176];
};

struct world_tally {
    uint64_t faults[FAULT_KINDS];
    uint64_t outcomes[OUTCOMES];
    uint64_t runs;     /* begun */
    uint64_t verified; /* wholly, at every reader */
    uint64_t hasty;    /* not waited for: the next one began at once */
    uint64_t excused;  /* lost together with its producer, or after its end */
    uint64_t never;    /* killed before they had begun */
    uint64_t reopened; /* times a producer published its run anew */
    uint64_t calm_ms;  /* faults held back to let somebody catch up */
    uint64_t peak_rss_bytes;
    unsigned peak_descriptors;
};

struct world {
    const struct torture_options *options;
    char folder[64];
    char redis_path[PATH_MAX];
    char broker_path[PATH_MAX];
    struct process redis;
    uint16_t redis_port;
    struct process brokers[WORLD_BROKERS];
    uint16_t broker_ports[WORLD_BROKERS];
    unsigned first_descriptors[WORLD_BROKERS];
    bool is_terminated[WORLD_BROKERS]; /* by us: it may end */
    bool has_limit;

    struct watch_set set;
    struct watch signals; /* that end it before its time */
    struct cable cable;
    struct house house;
    struct reader *readers;
    unsigned reader_count;
    struct task tasks[WORLD_TASKS];

    struct fault *faults;
    size_t fault_count;
    size_t next_fault;
    struct remedy remedies[WORLD_PENDING];

    uint64_t start_ms;
    uint64_t now_ms;
    uint64_t schedule_ms; /* stands still while it is calm */
    uint64_t healthy_ms;  /* time in which nothing was away */
    uint64_t kept_ms;     /* house was kept */
    uint64_t measured_ms;
    uint64_t said_ms;
    bool is_calm;
    bool is_draining; /* no new runs */

    struct note *notes; /* a ring */
    uint64_t note_count;
    struct world_tally tally;
    bool has_failed;
    bool is_interrupted;
};

/* world.c: 0, 1 at a violation, 2 when it could not begin. */
int world_run(struct world *world);

/* servers.c */
bool servers_start(struct world *world);
void servers_stop(struct world *world);
void redis_start(struct world *world);
void redis_forget(struct world *world);
void broker_start(struct world *world, unsigned broker);
/* Bounds, and whether one has ended by itself. */
void servers_watch(struct world *world);
/* After all readers have gone. */
void servers_settle(struct world *world);
bool servers_are_whole(const struct world *world);

/* runs.c */
void tasks_tick(struct world *world);
bool tasks_are_resting(const struct world *world);
void task_begin_run(struct world *world, struct task *task);
struct run *task_run(const struct task *task); /* the newest, or NULL */
bool run_is_on(const struct run *run);
/* No producer of it has still to find out that Redis has lost its run. */
bool task_may_begin(const struct task *task);
/* Redis has just lost data. */
void runs_lost_data(struct world *world);
void runs_release(struct world *world);

/* faults.c */
void faults_tick(struct world *world);
void faults_drop(struct world *world); /* puts everything right at once */

/* report.c */
void report_note(struct world *world, int task, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The first one is printed with its history; the torture ends. */
void report_violation(struct world *world, int task, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void report_progress(struct world *world);
void report_table(const struct world *world);

#endif
