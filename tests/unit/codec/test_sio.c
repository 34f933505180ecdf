/* test_sio.c - Socket.IO packets: examples of the protocol, and a test per error. */
/* SPDX-License-Identifier: MIT */
#include "codec/sio.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* "type attachments nsp ?query #ack json !event", parts that are empty left out. */
static void note_packet(struct buf *seen, const struct sio_packet *packet)
{
    buf_printf(seen, "%u", (unsigned)packet->type);
    if (packet->attachments > 0)
        buf_printf(seen, " %u-", packet->attachments);
    buf_putc(seen, ' ');
    buf_slice(seen, packet->nsp);
    if (packet->nsp_query.len > 0) {
        buf_puts(seen, " ?");
        buf_slice(seen, packet->nsp_query);
    }
    if (packet->has_ack) {
        buf_puts(seen, " #");
        buf_slice(seen, packet->ack);
    }
    if (packet->json.len > 0) {
        buf_putc(seen, ' ');
        buf_slice(seen, packet->json);
    }
    if (packet->event.len > 0) {
        buf_puts(seen, " !");
        buf_slice(seen, packet->event);
    }
}

static void assert_decoded(int revision, const char *text, const char *expected)
{
    struct buf seen;
    struct sio_packet packet;
    buf_init(&seen, 2000);
    int error = sio_decode(revision, slice_of(text), &packet);
    if (error == 0)
        note_packet(&seen, &packet);
    else
        buf_puts(&seen, sio_error_text(error));
    if (strcmp(buf_text(&seen), expected) != 0)
        fail_msg("%s: expected '%s', got '%s'", text, expected, buf_text(&seen));
    buf_release(&seen);
}

static void assert_error(const char *text, enum sio_error expected)
{
    for (int revision = 3; revision <= 4; revision++) {
        struct sio_packet packet;
        int error = sio_decode(revision, slice_of(text), &packet);
        if (error != (int)expected)
            fail_msg("%s: expected %d, got %d", text, (int)expected, error);
    }
}

static void assert_both(const char *text, const char *expected)
{
    assert_decoded(3, text, expected);
    assert_decoded(4, text, expected);
}

static void packets_of_every_type_are_read(void **state)
{
    (void)state;
    assert_both("0", "0 /");
    assert_both("0{\"token\":1}", "0 / {\"token\":1}");
    assert_both("1", "1 /");
    assert_both("2[\"foo\"]", "2 / [\"foo\"] !foo");
    assert_both("3[]", "3 / []");
    assert_both("4{\"message\":\"x\"}", "4 / {\"message\":\"x\"}");
    assert_both("4\"text\"", "4 / \"text\"");
    assert_both("4", "4 /");
    assert_both("51-[\"baz\",{\"_placeholder\":true,\"num\":0}]",
                "5 1- / [\"baz\",{\"_placeholder\":true,\"num\":0}] !baz");
    assert_both("610-[{\"_placeholder\":true,\"num\":9}]",
                "6 10- / [{\"_placeholder\":true,\"num\":9}]");
}

static void the_namespace_may_lack_its_comma_when_nothing_follows(void **state)
{
    (void)state;
    assert_both("0/admin,", "0 /admin");
    assert_both("0/admin", "0 /admin");
    assert_both("1/admin,", "1 /admin");
    assert_both("1/admin", "1 /admin");
    assert_both("0/admin,{\"a\":1}", "0 /admin {\"a\":1}");
    assert_both("2/site.example.org,[\"x\"]", "2 /site.example.org [\"x\"] !x");
    assert_both("2/a/b,[\"x\"]", "2 /a/b [\"x\"] !x");
    assert_both("0/,", "0 /");
    assert_both("51-/admin,456[\"x\",{\"_placeholder\":true,\"num\":0}]",
                "5 1- /admin #456 [\"x\",{\"_placeholder\":true,\"num\":0}] !x");
}

static void the_query_of_a_namespace_is_cut_off_in_revision_3_only(void **state)
{
    (void)state;
    assert_decoded(3, "0/admin?token=1&b=2,", "0 /admin ?token=1&b=2");
    assert_decoded(3, "0/admin?token=1", "0 /admin ?token=1");
    assert_decoded(3, "0/admin?,", "0 /admin");
    assert_decoded(3, "0/?a=1,", "0 / ?a=1");
    assert_decoded(4, "0/admin?token=1,", "0 /admin?token=1");
}

static void acknowledgement_ids_are_any_digits(void **state)
{
    (void)state;
    assert_both("20[\"x\"]", "2 / #0 [\"x\"] !x");
    assert_both("2456[\"x\",1]", "2 / #456 [\"x\",1] !x");
    assert_both("2007[\"x\"]", "2 / #007 [\"x\"] !x");
    assert_both("299999999999999999999[\"x\"]", "2 / #99999999999999999999 [\"x\"] !x");
    assert_both("312[\"ok\"]", "3 / #12 [\"ok\"]");
    assert_both("2/a,7[\"x\"]", "2 /a #7 [\"x\"] !x");
}

static void an_acknowledgement_id_has_a_bound(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 200);
    buf_putc(&text, '2');
    for (int i = 0; i < SIO_MAX_ACK_DIGITS; i++)
        buf_putc(&text, '9');
    size_t digits_end = text.len;
    buf_puts(&text, "[\"x\"]");
    struct sio_packet packet;
    assert_int_equal(sio_decode(4, buf_view(&text), &packet), 0);
    text.len = digits_end;
    buf_puts(&text, "9[\"x\"]");
    assert_int_equal(sio_decode(4, buf_view(&text), &packet), SIO_ERR_ACK);
    buf_release(&text);
}

static void events_and_acknowledgements_may_lack_json(void **state)
{
    (void)state;
    assert_both("2", "2 /");
    assert_both("2/admin,", "2 /admin");
    assert_both("27", "2 / #7");
    assert_both("37", "3 / #7");
}

static void an_event_may_have_a_number_for_a_name(void **state)
{
    (void)state;
    assert_both("2[1,\"x\"]", "2 / [1,\"x\"]");
    assert_both("2[-1.5e3]", "2 / [-1.5e3]");
}

static void an_event_name_is_given_raw(void **state)
{
    (void)state;
    assert_both("2[\"t\\u00e9\\\"\",1]", "2 / [\"t\\u00e9\\\"\",1] !t\\u00e9\\\"");
    assert_both("2 [ \"x\" , 1 ] ", "2 / [ \"x\" , 1 ] !x");
    assert_both("2[\"\"]", "2 / [\"\"]");
}

static void nothing_is_no_packet(void **state)
{
    (void)state;
    assert_error("", SIO_ERR_EMPTY);
}

static void unknown_types_are_refused(void **state)
{
    (void)state;
    assert_error("7", SIO_ERR_TYPE);
    assert_error("9[\"x\"]", SIO_ERR_TYPE);
    assert_error("abc", SIO_ERR_TYPE);
    assert_error("/", SIO_ERR_TYPE);
    assert_error("[\"x\"]", SIO_ERR_TYPE);
}

static void attachments_are_from_one_to_ten(void **state)
{
    (void)state;
    assert_error("5[\"x\"]", SIO_ERR_ATTACHMENTS);
    assert_error("5-[\"x\"]", SIO_ERR_ATTACHMENTS);
    assert_error("50-[\"x\"]", SIO_ERR_ATTACHMENTS);
    assert_error("511-[\"x\"]", SIO_ERR_ATTACHMENTS);
    assert_error("599999999999999999999-[\"x\"]", SIO_ERR_ATTACHMENTS);
    assert_error("54294967297-[\"x\"]", SIO_ERR_ATTACHMENTS);
    assert_error("51[\"x\"]", SIO_ERR_ATTACHMENTS);
    assert_error("51", SIO_ERR_ATTACHMENTS);
    assert_error("5", SIO_ERR_ATTACHMENTS);
    assert_error("5a-[\"x\"]", SIO_ERR_ATTACHMENTS);
    assert_error("5-1-[\"x\"]", SIO_ERR_ATTACHMENTS);
    assert_error("60-[]", SIO_ERR_ATTACHMENTS);
    assert_error("6[]", SIO_ERR_ATTACHMENTS);
}

static void what_is_no_acknowledgement_id_is_refused(void **state)
{
    (void)state;
    assert_error("2abc[\"x\"]", SIO_ERR_ACK);
    assert_error("2-1[\"x\"]", SIO_ERR_ACK);
    assert_error("21.5[\"x\"]", SIO_ERR_ACK);
    assert_error("21e3[\"x\"]", SIO_ERR_ACK);
    assert_error("21-[\"x\"]", SIO_ERR_ACK);
    assert_error("2/a,x[\"x\"]", SIO_ERR_ACK);
}

static void what_is_not_json_is_refused(void **state)
{
    (void)state;
    assert_error("2[\"x\"", SIO_ERR_JSON);
    assert_error("2[\"x\",]", SIO_ERR_JSON);
    assert_error("2[\"x\"]]", SIO_ERR_JSON);
    assert_error("2{", SIO_ERR_JSON);
    assert_error("0{\"a\"}", SIO_ERR_JSON);
    assert_error("4\"text", SIO_ERR_JSON);
    assert_error("2 x", SIO_ERR_JSON);
    assert_error("2[\"x\"] x", SIO_ERR_JSON);
    assert_error("2[\"\xff\"]", SIO_ERR_JSON);
}

static void json_that_is_too_deep_is_refused(void **state)
{
    (void)state;
    struct buf text;
    struct sio_packet packet;
    buf_init(&text, 1000000);
    buf_puts(&text, "2[\"x\",");
    for (int i = 0; i < 100000; i++)
        buf_putc(&text, '[');
    for (int i = 0; i < 100000; i++)
        buf_putc(&text, ']');
    buf_putc(&text, ']');
    assert_int_equal(sio_decode(4, buf_view(&text), &packet), SIO_ERR_JSON);
    buf_release(&text);
}

static void a_payload_must_fit_its_type(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "0[]",        "0\"x\"", "0null",  "0true",  /* CONNECT wants an object */
        "1{}",        "1[]",    "1null",  "1\"x\"", /* DISCONNECT nothing */
        "2{}",        "2\"x\"", "2null",  "2[]",       "2[null]", "2[true]", "2[{}]",
        "2[[\"x\"]]", "3{}",    "3\"x\"", "3null",     "37{}", /* ACK an array */
        "4[]",        "4null", /* CONNECT_ERROR object or string */
        "51-{}",      "51-[]",  "51-",    "51-[null]", "61-{}",   "61-",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_error(bad[i], SIO_ERR_PAYLOAD);
}

static void reserved_names_are_refused_however_they_are_written(void **state)
{
    (void)state;
    assert_error("2[\"connect\"]", SIO_ERR_RESERVED);
    assert_error("2[\"connect_error\"]", SIO_ERR_RESERVED);
    assert_error("2[\"disconnect\"]", SIO_ERR_RESERVED);
    assert_error("2[\"disconnecting\"]", SIO_ERR_RESERVED);
    assert_error("2[\"newListener\"]", SIO_ERR_RESERVED);
    assert_error("2[\"removeListener\"]", SIO_ERR_RESERVED);
    assert_error("2[\"c\\u006fnnect\"]", SIO_ERR_RESERVED);
    assert_error("51-[\"disconnect\"]", SIO_ERR_RESERVED);
    assert_both("2[\"Connect\"]", "2 / [\"Connect\"] !Connect");
    assert_both("2[\"connect \"]", "2 / [\"connect \"] !connect ");
    assert_both("3[\"connect\"]", "3 / [\"connect\"]");
    assert_true(sio_event_is_reserved(slice_of("disconnecting")));
    assert_false(sio_event_is_reserved(slice_of("ai_progress")));
    assert_false(sio_event_is_reserved(slice_of("")));
}

static void every_error_has_its_text(void **state)
{
    (void)state;
    static const char *const texts[] = {"no error",
                                        "empty packet",
                                        "unknown packet type",
                                        "bad number of attachments",
                                        "bad acknowledgement id",
                                        "not JSON",
                                        "payload does not fit the packet type",
                                        "reserved event name"};
    for (int i = 0; i < 8; i++)
        assert_string_equal(sio_error_text(-i), texts[i]);
}

static void packets_are_written_as_they_are_read(void **state)
{
    (void)state;
    static const char *const packets[] = {
        "0",
        "0{\"sid\":\"x\"}",
        "0/admin,{\"sid\":\"x\"}",
        "0/admin,",
        "1",
        "1/admin,",
        "2[\"foo\"]",
        "2/admin,7[\"foo\",1]",
        "3007[]",
        "44",
        "4/x,{\"message\":\"Invalid namespace\"}",
        "52-/admin,3[\"x\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]",
        "61-0[{\"_placeholder\":true,\"num\":0}]",
    };
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct sio_packet packet;
        struct buf out;
        buf_init(&out, 1000);
        assert_int_equal(sio_decode(4, slice_of(packets[i]), &packet), 0);
        assert_true(sio_encode(&out, &packet));
        assert_string_equal(buf_text(&out), packets[i]);
        buf_release(&out);
    }
}

static void an_unset_namespace_is_the_root(void **state)
{
    (void)state;
    const struct sio_packet packet = {.type = SIO_EVENT, .json = slice_of("[\"x\"]")};
    struct buf out;
    buf_init(&out, 6);
    assert_true(sio_encode(&out, &packet));
    assert_string_equal(buf_text(&out), "2[\"x\"]");
    assert_false(sio_encode(&out, &packet));
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_of_every_type_are_read),
        cmocka_unit_test(the_namespace_may_lack_its_comma_when_nothing_follows),
        cmocka_unit_test(the_query_of_a_namespace_is_cut_off_in_revision_3_only),
        cmocka_unit_test(acknowledgement_ids_are_any_digits),
        cmocka_unit_test(an_acknowledgement_id_has_a_bound),
        cmocka_unit_test(events_and_acknowledgements_may_lack_json),
        cmocka_unit_test(an_event_may_have_a_number_for_a_name),
        cmocka_unit_test(an_event_name_is_given_raw),
        cmocka_unit_test(nothing_is_no_packet),
        cmocka_unit_test(unknown_types_are_refused),
        cmocka_unit_test(attachments_are_from_one_to_ten),
        cmocka_unit_test(what_is_no_acknowledgement_id_is_refused),
        cmocka_unit_test(what_is_not_json_is_refused),
        cmocka_unit_test(json_that_is_too_deep_is_refused),
        cmocka_unit_test(a_payload_must_fit_its_type),
        cmocka_unit_test(reserved_names_are_refused_however_they_are_written),
        cmocka_unit_test(every_error_has_its_text),
        cmocka_unit_test(packets_are_written_as_they_are_read),
        cmocka_unit_test(an_unset_namespace_is_the_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
