/* test_eio.c - Engine.IO packets and payloads of revisions 4 and 3, and base64. */
/* SPDX-License-Identifier: MIT */
#include "codec/eio.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define LITERAL(text) slice_make((text), sizeof(text) - 1)
#define EURO          "\xe2\x82\xac"
#define GRIN          "\xf0\x9f\x98\x80"

/* "4:hello;" or "4b:68656c6c6f;" for a packet; binary in hexadecimal. */
static void note_packet(struct buf *seen, const struct eio_packet *packet)
{
    buf_printf(seen, "%u%s:", (unsigned)packet->type, packet->is_binary ? "b" : "");
    for (size_t i = 0; i < packet->data.len; i++) {
        if (packet->is_binary)
            buf_printf(seen, "%02x", (unsigned)(unsigned char)packet->data.ptr[i]);
        else
            buf_putc(seen, packet->data.ptr[i]);
    }
    buf_putc(seen, ';');
}

/* `expected` is the packet as note_packet() writes it, or "error N". */
static void assert_message(int revision, struct slice message, bool is_binary,
                           const char *expected)
{
    struct buf scratch;
    struct buf seen;
    struct eio_packet packet;
    buf_init(&scratch, 1000);
    buf_init(&seen, 1000);
    int error = eio_decode_message(revision, message, is_binary, &scratch, &packet);
    if (error == 0)
        note_packet(&seen, &packet);
    else
        buf_printf(&seen, "error %d", error);
    assert_string_equal(buf_text(&seen), expected);
    buf_release(&scratch);
    buf_release(&seen);
}

static void assert_payload(int revision, struct slice payload, bool is_octets,
                           const char *expected)
{
    struct buf scratch;
    struct buf seen;
    struct eio_packet packet;
    size_t at = 0;
    int result;
    buf_init(&scratch, 1000);
    buf_init(&seen, 10000);
    while ((result = eio_decode_payload(revision, payload, is_octets, &at, &scratch,
                                        &packet)) == 1)
        note_packet(&seen, &packet);
    if (result < 0)
        buf_printf(&seen, "error %d", result);
    else
        assert_int_equal(result, 0);
    assert_string_equal(buf_text(&seen), expected);
    buf_release(&scratch);
    buf_release(&seen);
}

static void text_messages_are_a_digit_and_data_in_both_revisions(void **state)
{
    (void)state;
    for (int revision = 3; revision <= 4; revision++) {
        assert_message(revision, slice_of("4hello"), false, "4:hello;");
        assert_message(revision, slice_of("2probe"), false, "2:probe;");
        assert_message(revision, slice_of("0"), false, "0:;");
        assert_message(revision, slice_of("6"), false, "6:;");
        assert_message(revision, slice_of("4" EURO), false, "4:" EURO ";");
        assert_message(revision, slice_of(""), false, "error -1");
        assert_message(revision, slice_of("7"), false, "error -2");
        assert_message(revision, slice_of("/x"), false, "error -2");
        assert_message(revision, slice_of("abc"), false, "error -2");
        assert_message(revision, LITERAL("\0"), false, "error -2");
        assert_message(revision, slice_of("4\xff"), false, "error -5");
        assert_message(revision, slice_of("4\xed\xa0\x80"), false, "error -5");
    }
}

static void binary_messages_of_revision_4_are_raw(void **state)
{
    (void)state;
    assert_message(4, LITERAL("\x01\x02\xff"), true, "4b:0102ff;");
    assert_message(4, slice_make(NULL, 0), true, "4b:;");
    assert_message(4, slice_of("bAQL/"), false, "4b:0102ff;");
    assert_message(4, slice_of("b"), false, "4b:;");
    assert_message(4, slice_of("b!"), false, "error -3");
    assert_message(4, slice_of("bAQL/="), false, "error -3");
}

static void binary_messages_of_revision_3_begin_with_their_type(void **state)
{
    (void)state;
    assert_message(3, LITERAL("\x04\x01\x02\xff"), true, "4b:0102ff;");
    assert_message(3, LITERAL("\x04"), true, "4b:;");
    assert_message(3, slice_make(NULL, 0), true, "error -1");
    assert_message(3, LITERAL("\x07z"), true, "error -2");
    assert_message(3, slice_of("b4AQL/"), false, "4b:0102ff;");
    assert_message(3, slice_of("b"), false, "error -2");
    assert_message(3, slice_of("b9AQL/"), false, "error -2");
    assert_message(3, slice_of("b4A"), false, "error -3");
}

static void payloads_of_revision_4_are_separated(void **state)
{
    (void)state;
    assert_payload(4, slice_of("4hello"), false, "4:hello;");
    assert_payload(4,
                   slice_of("4hello\x1e"
                            "2\x1e"
                            "4" EURO),
                   false, "4:hello;2:;4:" EURO ";");
    assert_payload(4,
                   slice_of("4a\x1e"
                            "bAQID\x1e"
                            "3"),
                   false, "4:a;4b:010203;3:;");
}

static void bad_payloads_of_revision_4_are_refused(void **state)
{
    (void)state;
    assert_payload(4, slice_make(NULL, 0), false, "error -1");
    assert_payload(4, slice_of("\x1e"), false, "error -1");
    assert_payload(4, slice_of("4a\x1e"), false, "4:a;error -1");
    assert_payload(4,
                   slice_of("\x1e"
                            "4a"),
                   false, "error -1");
    assert_payload(4,
                   slice_of("4a\x1e\x1e"
                            "4b"),
                   false, "4:a;error -1");
    assert_payload(4,
                   slice_of("4a\x1e"
                            "abc"),
                   false, "4:a;error -2");
    assert_payload(4, slice_of("abc"), false, "error -2");
    assert_payload(4, slice_of("bAQ%D"), false, "error -3");
    assert_payload(4, slice_of("4\xc3"), false, "error -5");
    assert_payload(4, slice_of("4a"), true, "error -6");
    assert_payload(4, slice_make(NULL, 0), true, "error -1");
}

static void text_payloads_of_revision_3_count_utf16_units(void **state)
{
    (void)state;
    assert_payload(3, slice_of("6:4hello"), false, "4:hello;");
    assert_payload(3, slice_of("6:4hello2:4" EURO "3:4" GRIN "1:2"), false,
                   "4:hello;4:" EURO ";4:" GRIN ";2:;");
    assert_payload(3, slice_of("6:b4AQID1:3"), false, "4b:010203;3:;");
    assert_payload(3, slice_of("0:1:20:"), false, "2:;");
    assert_payload(3, slice_of("0:"), false, "");
    assert_payload(3, slice_of("007:4hellox"), false, "4:hellox;");
}

static void bad_text_payloads_of_revision_3_are_refused(void **state)
{
    (void)state;
    assert_payload(3, slice_make(NULL, 0), false, "error -1");
    assert_payload(3, slice_of("4hello"), false, "error -4");
    assert_payload(3, slice_of(":4"), false, "error -4");
    assert_payload(3, slice_of("1"), false, "error -4");
    assert_payload(3, slice_of("7:4hello"), false, "error -4");
    assert_payload(3, slice_of("-1:4"), false, "error -4");
    assert_payload(3, slice_of("1.0:4"), false, "error -4");
    assert_payload(3, slice_of("99999999999:4"), false, "error -4");
    assert_payload(3, slice_of("9999999999:4"), false, "error -4");
    assert_payload(3, slice_of("2:4" GRIN), false, "error -4");
    assert_payload(3, slice_of("2:4\xff"), false, "error -5");
    assert_payload(3, slice_of("1:9"), false, "error -2");
    assert_payload(3, slice_of("1:2x:4"), false, "2:;error -4");
    assert_payload(3, slice_of("1:b"), false, "error -2");
    assert_payload(3, slice_of("4:b4A="), false, "error -3");
}

/* The example of the official suite is the first. */
static void binary_payloads_of_revision_3_count_bytes(void **state)
{
    (void)state;
    assert_payload(3,
                   LITERAL("\x00\x06\xff"
                           "4hello\x01\x05\xff\x04\x01\x02\x03\x04"),
                   true, "4:hello;4b:01020304;");
    assert_payload(3,
                   LITERAL("\x00\x04\xff"
                           "4" EURO),
                   true, "4:" EURO ";");
    assert_payload(3,
                   LITERAL("\x00\x01\x02\xff"
                           "4hello world"),
                   true, "4:hello world;");
}

static void bad_binary_payloads_of_revision_3_are_refused(void **state)
{
    (void)state;
    assert_payload(3, slice_make(NULL, 0), true, "error -1");
    assert_payload(3,
                   LITERAL("\x02\x01\xff"
                           "4"),
                   true, "error -4");
    assert_payload(3, LITERAL("\x00"), true, "error -4");
    assert_payload(3,
                   LITERAL("\x00\xff"
                           "4"),
                   true, "error -4");
    assert_payload(3,
                   LITERAL("\x00\x0a\xff"
                           "4"),
                   true, "error -4");
    assert_payload(3,
                   LITERAL("\x00\x02\xff"
                           "4"),
                   true, "error -4");
    assert_payload(3,
                   LITERAL("\x00\x01"
                           "4"),
                   true, "error -4");
    assert_payload(3, LITERAL("\x00\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\xff"),
                   true, "error -4");
    assert_payload(3, LITERAL("\x00\x00\xff"), true, "error -1");
    assert_payload(3, LITERAL("\x01\x00\xff"), true, "error -1");
    assert_payload(3,
                   LITERAL("\x00\x01\xff"
                           "8"),
                   true, "error -2");
    assert_payload(3, LITERAL("\x01\x01\xff\x08"), true, "error -2");
    assert_payload(3,
                   LITERAL("\x00\x02\xff"
                           "4\xff"),
                   true, "error -5");
}

static void every_error_has_its_text(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "no error",   "empty packet",  "unknown packet type",    "bad base64",
        "bad length", "invalid UTF-8", "binary not allowed here"};
    for (int i = 0; i < 7; i++)
        assert_string_equal(eio_error_text(-i), texts[i]);
}

static void assert_encoded(enum framing framing, int revision,
                           const struct eio_packet *packet, struct slice expected)
{
    struct buf out;
    buf_init(&out, 1000);
    assert_true(eio_encode(&out, framing, revision, 0, packet));
    assert_int_equal(out.len, expected.len);
    assert_memory_equal(out.data, expected.ptr, expected.len);
    buf_release(&out);
}

static void packets_are_framed_for_each_transport(void **state)
{
    (void)state;
    const struct eio_packet text = {EIO_MESSAGE, false, slice_of("a" EURO GRIN)};
    const struct eio_packet ping = {EIO_PING, false, slice_make(NULL, 0)};
    const struct eio_packet binary = {EIO_MESSAGE, true, slice_of("\x01\x02\x03\x04")};
    const struct eio_packet nothing = {EIO_MESSAGE, true, slice_make(NULL, 0)};
    for (int revision = 3; revision <= 4; revision++) {
        assert_encoded(FRAMING_WS, revision, &text,
                       slice_of("\x81\x09"
                                "4a" EURO GRIN));
        assert_encoded(FRAMING_WS, revision, &ping,
                       slice_of("\x81\x01"
                                "2"));
    }
    assert_encoded(FRAMING_WS, 4, &binary, slice_of("\x82\x04\x01\x02\x03\x04"));
    assert_encoded(FRAMING_WS, 3, &binary, slice_of("\x82\x05\x04\x01\x02\x03\x04"));
    assert_encoded(FRAMING_EIO4, 4, &text, slice_of("4a" EURO GRIN));
    assert_encoded(FRAMING_EIO4, 4, &ping, slice_of("2"));
    assert_encoded(FRAMING_EIO4, 4, &binary, slice_of("bAQIDBA=="));
    assert_encoded(FRAMING_EIO4, 4, &nothing, slice_of("b"));
    assert_encoded(FRAMING_EIO3, 3, &text, slice_of("5:4a" EURO GRIN));
    assert_encoded(FRAMING_EIO3, 3, &ping, slice_of("1:2"));
    assert_encoded(FRAMING_EIO3, 3, &binary, slice_of("10:b4AQIDBA=="));
    assert_encoded(FRAMING_EIO3, 3, &nothing, slice_of("2:b4"));
}

static void the_separator_stands_between_packets_only(void **state)
{
    (void)state;
    const struct eio_packet packet = {EIO_MESSAGE, false, slice_of("x")};
    struct buf out;
    buf_init(&out, 100);
    buf_puts(&out, "headers");
    assert_true(eio_encode(&out, FRAMING_EIO4, 4, 7, &packet));
    assert_true(eio_encode(&out, FRAMING_EIO4, 4, 7, &packet));
    assert_string_equal(buf_text(&out), "headers4x\x1e"
                                        "4x");
    buf_release(&out);
}

static void what_is_encoded_is_decoded_again(void **state)
{
    (void)state;
    const struct eio_packet packets[] = {
        {EIO_MESSAGE, false, slice_of("2[\"" GRIN "\"]")},
        {EIO_MESSAGE, true, LITERAL("\x00\xff\x1e")},
        {EIO_NOOP, false, slice_make(NULL, 0)}};
    for (int revision = 3; revision <= 4; revision++) {
        struct buf out;
        buf_init(&out, 1000);
        for (int i = 0; i < 3; i++)
            assert_true(eio_encode(&out, revision == 4 ? FRAMING_EIO4 : FRAMING_EIO3,
                                   revision, 0, &packets[i]));
        assert_payload(revision, buf_view(&out), false,
                       "4:2[\"" GRIN "\"];4b:00ff1e;6:;");
        buf_release(&out);
    }
}

static void a_full_buffer_is_told(void **state)
{
    (void)state;
    static const enum framing framings[] = {FRAMING_WS, FRAMING_EIO4, FRAMING_EIO3};
    for (int i = 0; i < 3; i++) {
        for (int binary = 0; binary < 2; binary++) {
            const struct eio_packet packet = {EIO_MESSAGE, binary == 1,
                                              slice_of("12345")};
            struct buf out;
            buf_init(&out, 5);
            assert_false(eio_encode(&out, framings[i], 3, 0, &packet));
            buf_release(&out);
        }
    }
}

/* RFC 4648 section 10. */
static void the_vectors_of_rfc_4648_hold(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct buf out;
        buf_init(&out, 100);
        assert_true(base64_encode(&out, slice_of(vectors[i][0])));
        assert_string_equal(buf_text(&out), vectors[i][1]);
        buf_reset(&out);
        assert_true(base64_decode(&out, slice_of(vectors[i][1])));
        assert_string_equal(buf_text(&out), vectors[i][0]);
        buf_reset(&out);
        assert_true(base64_decode(
            &out, slice_make(vectors[i][1], strcspn(vectors[i][1], "="))));
        assert_string_equal(buf_text(&out), vectors[i][0]);
        buf_release(&out);
    }
}

static void every_byte_survives_base64(void **state)
{
    (void)state;
    char data[256];
    struct buf text;
    struct buf back;
    buf_init(&text, 1000);
    buf_init(&back, 1000);
    for (int i = 0; i < 256; i++)
        data[i] = (char)i;
    for (size_t len = 0; len <= sizeof(data); len++) {
        buf_reset(&text);
        buf_reset(&back);
        assert_true(base64_encode(&text, slice_make(data, len)));
        assert_true(base64_decode(&back, buf_view(&text)));
        assert_int_equal(back.len, len);
        if (len > 0)
            assert_memory_equal(back.data, data, len);
    }
    buf_release(&text);
    buf_release(&back);
}

static void bad_base64_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "A",      "A===",     "AA=",         "AAA==", "=",   "==",
        "====",   "Zg==Zg==", "Zh==",        "Zm9=",  "Zm9", "Z g=",
        "Zm9v\n", "-_-_",     "Zm\xc3\xa9v", "AAAAA", "Zm=v"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct buf out;
        buf_init(&out, 100);
        if (base64_decode(&out, slice_of(bad[i])))
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(out.len, 0);
        buf_release(&out);
    }
    struct buf out;
    buf_init(&out, 2);
    assert_false(base64_decode(&out, slice_of("Zm9v")));
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_messages_are_a_digit_and_data_in_both_revisions),
        cmocka_unit_test(binary_messages_of_revision_4_are_raw),
        cmocka_unit_test(binary_messages_of_revision_3_begin_with_their_type),
        cmocka_unit_test(payloads_of_revision_4_are_separated),
        cmocka_unit_test(bad_payloads_of_revision_4_are_refused),
        cmocka_unit_test(text_payloads_of_revision_3_count_utf16_units),
        cmocka_unit_test(bad_text_payloads_of_revision_3_are_refused),
        cmocka_unit_test(binary_payloads_of_revision_3_count_bytes),
        cmocka_unit_test(bad_binary_payloads_of_revision_3_are_refused),
        cmocka_unit_test(every_error_has_its_text),
        cmocka_unit_test(packets_are_framed_for_each_transport),
        cmocka_unit_test(the_separator_stands_between_packets_only),
        cmocka_unit_test(what_is_encoded_is_decoded_again),
        cmocka_unit_test(a_full_buffer_is_told),
        cmocka_unit_test(the_vectors_of_rfc_4648_hold),
        cmocka_unit_test(every_byte_survives_base64),
        cmocka_unit_test(bad_base64_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
