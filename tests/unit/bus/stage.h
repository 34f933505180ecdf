/* stage.h - a hub with a bus over a private Redis, and readers that write down what comes. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_BUS_STAGE_H
#define THINKWIRE_TESTS_BUS_STAGE_H

#include "bus/bus.h"
#include "shop.h"

struct stage {
    struct shop shop; /* another process that publishes */
    struct scene *scene;
    struct hub *hub;
    struct counters *counters;
    struct bus *bus;
    struct bus_frappe *frappe;
    struct bus_lift *lift; /* the bus's, or NULL */
    struct bus_limits limits;
    unsigned told;
    enum stop_status stopped;
    struct publish_result result;
    uint64_t epoch;
    bool is_good;
    struct buf listed;
};

/* With the Redis bus; `frappe` too when asked for. */
void stage_open(struct stage *stage, void **state);
void stage_open_frappe(struct stage *stage, void **state);
/* In two steps; the bus is not waited for. */
void stage_open_without_bus(struct stage *stage, void **state);
void stage_open_bus(struct stage *stage, const char *url);
void stage_close(struct stage *stage);
/* A counter's value, by the name and label of its line in the exposition. */
uint64_t stage_counter(struct stage *stage, const char *line);

/* A reader of one topic. */
struct eye {
    struct reader reader;
    struct topic *topic;
    unsigned woken;
    unsigned seen;   /* events */
    unsigned lost;   /* times its place was lost */
    struct buf log;  /* "<seq>:<type or name> " of each event seen, "! " where lost */
    struct buf last; /* body of the last event */
};
/* Attaches at the head of what is there and waits until the topic is ready. */
void eye_open(struct eye *eye, struct stage *stage, const char *task_id);
void eye_attach(struct eye *eye, struct topic *topic);
void eye_close(struct eye *eye);
void eye_until_seen(struct eye *eye, struct stage *stage, unsigned count);
void eye_until_lost(struct eye *eye, struct stage *stage, unsigned count);
bool eye_is_ready(void *ctx);
/* Text of the run as the topic has it. */
const char *eye_text(struct eye *eye, struct stage *stage);

#endif
