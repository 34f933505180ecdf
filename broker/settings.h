/* settings.h - every setting of thinkwired: one table of rows. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_SETTINGS_H
#define THINKWIRE_SETTINGS_H

#include "base/config.h"
#include "emitters/worker/worker_settings.h"

/* What the rows of settings.c fill; base/config.h says which type a field has. */
struct settings {
    struct worker_settings worker; /* first, so that worker_rows fit */
    bool test_scenarios;
    bool hires; /* --worker */
    struct config_list listen;
    char *bus;
    char *redis_prefix;
    char *events_redis;
    char *events_channel;

    char *default_site;
    struct config_list sites;
    struct config_list origins;
    struct config_list auth; /* names; settings_auth() */
    char *api_keys_file;
    char *jwt_secret_file;
    char *jwt_audience;
    bool insecure;
    unsigned native_writes; /* enum writes_choice */

    bool frappe;
    char *frappe_bench;
    char *frappe_web_base;
    uint64_t frappe_version;
    bool frappe_needs_origin;
    bool developer_mode;
    uint64_t webserver_port;
    unsigned task_guard; /* 0 off, 1 backend, 2 own */
    char *task_guard_method;
    uint64_t auth_timeout_ms;
    uint64_t auth_cache_ms;
    uint64_t auth_max_questions;

    unsigned recovery; /* enum recovery */
    uint64_t recovery_ms;
    uint64_t max_saved_sessions;

    uint64_t ping_interval_ms;
    uint64_t ping_timeout_ms;
    uint64_t upgrade_timeout_ms;
    uint64_t connect_timeout_ms;
    uint64_t max_payload_bytes;
    bool eio3;
    bool eio_default_3;

    uint64_t heartbeat_ms;
    uint64_t retry_ms;
    uint64_t retry_jitter;
    uint64_t silence_ms;
    uint64_t wait_unknown_ms;
    uint64_t poll_wait_ms;

    uint64_t retain_events;
    uint64_t retain_bytes;
    uint64_t retain_text_bytes;
    uint64_t retain_total_bytes;
    uint64_t retain_finished_ms;
    uint64_t retain_room_ms;
    uint64_t linger_ms;
    bool lift;
    uint64_t queue_timeout_ms;
    uint64_t abandon_ms;
    uint64_t stop_grace_ms;
    uint64_t redis_wait_ms;

    uint64_t max_connections;
    uint64_t max_connections_per_ip;
    uint64_t max_subscriptions;
    uint64_t max_tasks;
    uint64_t publish_bytes;
    uint64_t publish_events;
    uint64_t submit_bytes;
    uint64_t max_message_chars;
    uint64_t telemetry_event_bytes;
    uint64_t telemetry_per_minute;
    uint64_t opaque_lag_bytes;
    uint64_t snapshot_total_bytes;
    uint64_t snapshot_hold_ms;
    uint64_t control_bytes;
    uint64_t message_bytes;
    uint64_t max_namespaces;
    uint64_t redis_max_waiting;
    uint64_t socket_unsent_bytes;
    uint64_t header_timeout_ms;
    uint64_t body_timeout_ms;
    uint64_t keepalive_ms;
    uint64_t keepalive_requests;
    uint64_t close_timeout_ms;
    uint64_t drain_ms;

    unsigned log_level;
    unsigned log_format;
};

enum auth_way { AUTH_NONE = 0, AUTH_FRAPPE = 1, AUTH_KEYS = 2, AUTH_JWT = 4 };
/* The ways together; `auto` resolved: frappe where the broker stands in for a bench, else
 * none. */
unsigned settings_auth(const struct settings *settings);

enum writes_choice { WRITES_AUTO, WRITES_LOCAL, WRITES_ON };
/* WRITES_AUTO resolved. True: who is not on this machine may not write over HTTP. */
bool settings_writes_are_local(const struct settings *settings);

/* The rows of thinkwired and those of its worker, in one table that the caller frees. */
struct config_row *settings_rows(size_t *count);
extern const char settings_intro[];

/* What no single row can tell: false with a message that names the remedy. */
bool settings_check(const struct settings *settings, struct buf *error);

#endif
