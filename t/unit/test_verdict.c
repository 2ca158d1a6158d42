/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "verdict.h"

/* People grep for these tags and write fail2ban filters with them: once released, a row of this
 * table changes only by a new row. */
static const struct {
    fg_reason_t reason;
    const char *tag;
    int status;
    const char *key;
} released[] = {
    {FG_ACCEPTED, "FG1000", 200, "accepted"},
    {FG_NOT_SUBMISSION, "FG1001", 200, "not-submission"},
    {FG_LIMIT, "FG1100", 429, "limit"},
    {FG_CLOSED, "FG1101", 503, "closed"},
    {FG_COUNTRY, "FG1200", 403, "country"},
    {FG_DNSBL, "FG1210", 403, "dnsbl"},
    {FG_DENY, "FG1220", 403, "deny"},
    {FG_MALFORMED, "FG1300", 400, "malformed"},
    {FG_TOO_LARGE, "FG1301", 413, "too-large"},
    {FG_OVER_CAPS, "FG1302", 413, "too-large"},
    {FG_BODY_LOST, "FG1303", 400, "malformed"},
    {FG_KEPT, "FG1304", 403, "kept"},
    {FG_FIELD_MISSING, "FG1310", 422, "required"},
    {FG_FIELD_FILLED, "FG1311", 403, "honeypot"},
    {FG_FIELD_LINES, "FG1312", 422, "single-line"},
    {FG_FIELD_LINKS, "FG1313", 422, "links"},
    {FG_CAPTCHA_MISSING, "FG1400", 403, "captcha"},
    {FG_CAPTCHA_SHAPE, "FG1401", 403, "captcha"},
    {FG_CAPTCHA_REJECTED, "FG1402", 403, "captcha"},
    {FG_CAPTCHA_EXPIRED, "FG1403", 403, "expired"},
    {FG_CAPTCHA_HOSTNAME, "FG1404", 403, "captcha"},
    {FG_CAPTCHA_ACTION, "FG1405", 403, "captcha"},
    {FG_CAPTCHA_SCORE, "FG1406", 403, "captcha"},
    {FG_VERIFIER, "FG1500", 503, "verifier"},
    {FG_INTERNAL, "FG1900", 503, "verifier"},
};

#define RELEASED (sizeof(released) / sizeof(released[0]))

static void tags_and_statuses_are_the_released_ones(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < RELEASED; i++) {
        const fg_reason_row_t *row = fg_reason(released[i].reason);

        assert_string_equal(row->tag, released[i].tag);
        assert_int_equal(row->status, released[i].status);
        assert_string_equal(row->key, released[i].key);
    }
    assert_int_equal(RELEASED, FG_REASON_COUNT); /* a new reason: add its row above */
}

static void no_two_reasons_share_a_tag_or_words(void **state)
{
    int i, j;

    (void)state;
    for (i = 0; i < FG_REASON_COUNT; i++) {
        for (j = 0; j < i; j++) {
            assert_string_not_equal(fg_reason((fg_reason_t)i)->tag, fg_reason((fg_reason_t)j)->tag);
            assert_string_not_equal(fg_reason((fg_reason_t)i)->words,
                                    fg_reason((fg_reason_t)j)->words);
        }
    }
}

static void a_row_can_stand_in_a_log_line(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < FG_REASON_COUNT; i++) {
        const fg_reason_row_t *row = fg_reason((fg_reason_t)i);

        assert_int_equal(strlen(row->tag), 6);
        assert_memory_equal(row->tag, "FG", 2);
        assert_int_equal(strspn(row->tag + 2, "0123456789"), 4);
        assert_int_equal(strspn(row->key, "abcdefghijklmnopqrstuvwxyz-"), strlen(row->key));
        assert_true(*row->key != '\0' && *row->words != '\0');
        assert_null(strpbrk(row->words, "\"\\\n%"));
    }
}

static void no_reason_at_all_is_a_fault_of_ours(void **state)
{
    (void)state;
    assert_string_equal(fg_reason(FG_REASON_COUNT)->tag, "FG1900");
    assert_string_equal(fg_reason((fg_reason_t)1000)->tag, "FG1900");
    assert_string_equal(fg_reason((fg_reason_t)-1)->tag, "FG1900");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_and_statuses_are_the_released_ones),
        cmocka_unit_test(no_two_reasons_share_a_tag_or_words),
        cmocka_unit_test(a_row_can_stand_in_a_log_line),
        cmocka_unit_test(no_reason_at_all_is_a_fault_of_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
