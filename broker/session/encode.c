/* encode.c - entries, merged events and notes in each dialect and framing. */
/* SPDX-License-Identifier: MIT */
#include "codec/eio.h"
#include "codec/json.h"
#include "codec/sse.h"
#include "codec/ws.h"
#include "session/internal.h"

/* A snapshot is one event: accumulated text, escaped. */
#define SNAPSHOT_LIMIT ((size_t)1 << 30)

uint32_t format_key(struct format format)
{
    return (uint32_t)format.dialect | (uint32_t)format.framing << 8 |
           (format.is_site_nsp ? 1U << 16 : 0);
}

static struct format format_of_key(uint32_t key)
{
    return (struct format){(enum dialect)(key & 0xff), (enum framing)(key >> 8 & 0xff),
                           (key >> 16 & 1) != 0};
}

/* ---- wrapping a named piece ---- */

/* The data, with its id as the first member where it is given one. */
static void put_data(struct buf *out, const struct piece *piece)
{
    struct slice data = piece->data;

    if (piece->first_id.len > 0) {
        buf_puts(out, "{\"id\":\"");
        buf_slice(out, piece->first_id);
        buf_puts(out, data.len > 2 ? "\"," : "\"");
        data = slice_make(data.ptr + 1, data.len - 1);
    }
    buf_slice(out, data);
}

static void wrap_ws(struct buf *out, const struct piece *piece)
{
    size_t start = out->len;

    if (piece->is_note) {
        /* Notes are objects of ours: {"op":name, + the object's members. */
        buf_puts(out, "{\"op\":\"");
        buf_slice(out, piece->name);
        buf_puts(out, piece->data.len > 2 ? "\"," : "\"");
        buf_append(out, piece->data.ptr + 1, piece->data.len - 1);
    } else {
        buf_puts(out, "{\"op\":\"event\",\"event\":");
        json_quote(out, piece->name);
        buf_puts(out, ",\"data\":");
        put_data(out, piece);
        buf_putc(out, '}');
    }
    ws_wrap(out, WS_TEXT, start);
}

static bool is_field_safe(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] < 0x20)
            return false;
    return true;
}

static void wrap_sse(struct buf *out, struct format format, const struct piece *piece)
{
    size_t start = out->len;
    /* A name with a line end cannot stand in an `event:` field: Frappe's names are free. */
    struct slice name = is_field_safe(piece->name) ? piece->name : slice_of("unnamed");
    struct slice data = piece->data;
    struct buf joined;

    buf_init(&joined, SNAPSHOT_LIMIT);
    if (piece->first_id.len > 0) {
        put_data(&joined, piece);
        data = buf_view(&joined);
    }
    sse_event(out, name, piece->id, data);
    buf_release(&joined);
    if (format.framing == FRAMING_CHUNKED)
        chunk_wrap(out, start);
}

/* Socket.IO's packet: what Engine.IO carries as a message. */
static void put_packet(struct buf *out, struct slice site, struct format format,
                       const struct piece *piece)
{
    buf_putc(out, '2');
    if (format.is_site_nsp) {
        buf_putc(out, '/');
        buf_slice(out, site);
        buf_putc(out, ',');
    }
    buf_putc(out, '[');
    json_quote(out, piece->name);
    buf_putc(out, ',');
    put_data(out, piece);
    if (piece->id.len > 0) {
        buf_puts(out, ",\"");
        buf_slice(out, piece->id);
        buf_putc(out, '"');
    }
    buf_putc(out, ']');
}

static void wrap_sio(struct buf *out, struct slice site, struct format format,
                     const struct piece *piece)
{
    int revision = format.framing == FRAMING_EIO3 ? 3 : 4;
    size_t start = out->len;
    struct buf packet;

    if (format.framing == FRAMING_WS) {
        buf_putc(out, '0' + EIO_MESSAGE);
        put_packet(out, site, format, piece);
        ws_wrap(out, WS_TEXT, start);
        return;
    }
    buf_init(&packet, SNAPSHOT_LIMIT);
    put_packet(&packet, site, format, piece);
    /* `start` 0: the first packet of these shared bytes has no separator; who joins them
     * behind others adds it. */
    eio_encode(out, format.framing, revision, 0,
               &(struct eio_packet){.type = EIO_MESSAGE, .data = buf_view(&packet)});
    buf_release(&packet);
}

static void wrap_poll(struct buf *out, const struct piece *piece)
{
    if (out->len > 0)
        buf_putc(out, ',');
    put_data(out, piece);
}

/* Only progress has words in other dialects. A line end in what was published stands between
 * the tokens of its JSON: a blank says the same. */
static void wrap_line(struct buf *out, const struct piece *piece)
{
    size_t start = out->len;

    if (!slice_is(piece->name, "ai_progress"))
        return;
    buf_slice(out, piece->data);
    for (size_t i = start; i < out->len; i++)
        if (out->data[i] == '\n')
            out->data[i] = ' ';
    buf_putc(out, '\n');
}

void encode_piece(struct buf *out, struct slice site, struct format format,
                  const struct piece *piece)
{
    switch (format.dialect) {
    case DIALECT_WS:
        wrap_ws(out, piece);
        return;
    case DIALECT_SSE:
    case DIALECT_SSE_MULTI:
        wrap_sse(out, format, piece);
        return;
    case DIALECT_SIO_STRING:
    case DIALECT_SIO_OBJECT:
        wrap_sio(out, site, format, piece);
        return;
    case DIALECT_POLL:
        wrap_poll(out, piece);
        return;
    case DIALECT_LINES:
        wrap_line(out, piece);
        return;
    }
}

/* ---- entries ---- */

/* A body that is an object and has no "id" yet. */
static bool takes_id(const struct entry *entry)
{
    struct json_member member;

    if (entry->body.len < 2 || entry->body.ptr[0] != '{')
        return false;
    return !entry->is_opaque || entry->lacks_id ||
           !json_get(entry->body, "id", &member);
}

void encode_event(struct buf *out, const struct topic *topic, const struct entry *entry,
                  struct format format, struct slice mark)
{
    struct piece piece = {.name = entry->name, .data = entry->body, .id = mark};
    char id_text[EVENT_ID_SIZE];
    struct slice id;

    if (format.dialect != DIALECT_SIO_STRING) {
        id = slice_make(id_text, event_id_format(entry->id, id_text));
        if (takes_id(entry))
            piece.first_id = id;
        if (format.dialect == DIALECT_SSE)
            piece.id = id;
    }
    encode_piece(out, topic_site(topic), format, &piece);
}

void encode_entry(struct buf *out, const struct topic *topic, const struct entry *entry,
                  uint32_t key)
{
    encode_event(out, topic, entry, format_of_key(key), (struct slice){0});
}

void encode_merged(struct buf *out, const struct merged *merged, struct slice mark,
                   struct format format)
{
    char id_text[EVENT_ID_SIZE];
    struct slice id = {id_text, event_id_format(merged->id, id_text)};
    struct piece piece = {.name = slice_of("ai_progress")};
    struct buf data;

    buf_init(&data, SNAPSHOT_LIMIT);
    buf_putc(&data, '{');
    if (id.len > 0) {
        buf_puts(&data, "\"id\":\"");
        buf_slice(&data, id);
        buf_puts(&data, "\",");
    }
    buf_puts(&data, "\"task_id\":");
    json_quote(&data, topic_name(merged->topic));
    buf_puts(&data, ",\"type\":\"");
    buf_puts(&data, event_type_name(merged->type));
    buf_puts(&data, "\",\"text\":\"");
    buf_slice(&data, merged->raw_text);
    json_escape(&data, merged->plain_text);
    buf_puts(&data, "\",\"partial\":true");
    if (merged->timestamp.len > 0) {
        buf_puts(&data, ",\"timestamp\":\"");
        buf_slice(&data, merged->timestamp);
        buf_putc(&data, '"');
    }
    buf_puts(&data, ",\"merged\":");
    buf_u64(&data, merged->count);
    buf_putc(&data, '}');
    piece.data = buf_view(&data);
    if (format.dialect == DIALECT_SSE)
        piece.id =
            id.len > 0 ? id : slice_of("-"); /* no place to resume at: join_parse() */
    else
        piece.id = mark;
    encode_piece(out, topic_site(merged->topic), format, &piece);
    buf_release(&data);
}
