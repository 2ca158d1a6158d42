/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages that come as the reply to a blocklist's query. Only a code that counts is a listing,
 * and nothing is kept for longer than it may be. */
#include "dnsbl_internal.h"
#include "fuzz.h"

FUZZ_TARGET(dnsbl_reply)
{
    static fg_dnsbl_zone_t zone;
    fg_dnsbl_answer_t answer;
    char text[FG_DNSBL_CODE_TEXT];

    if (!zone.name) {
        MUST(!fg_dnsbl_zone_parse(&zone, "bl.example.org", fuzz_root()));
        MUST(!fg_dnsbl_codes_parse(&zone, "127.0.0.2,127.0.0.4-7,127.0.1.0-127.0.1.255"));
    }
    answer = fg_dnsbl_reply_judge(&zone, data, len);
    MUST(answer.ttl >= 0 && answer.ttl <= FG_DNSBL_LISTED_MAX);
    MUST(strlen(fg_dnsbl_code_text(text, answer.code)) < sizeof(text));
    switch (answer.status) {
    case FG_DNSBL_LISTED:
        MUST(answer.reason == FG_DNSBL_WORKING && fg_dnsbl_code_counts(&zone, answer.code));
        MUST(answer.code >> 24 == 127);
        MUST(len >= 12 && (data[2] & 0x80) != 0 && (data[3] & 0x0f) == 0);
        break;
    case FG_DNSBL_NOT_LISTED:
        MUST(answer.reason == FG_DNSBL_WORKING && answer.code == 0);
        MUST(answer.ttl <= FG_DNSBL_NOT_LISTED_MAX);
        break;
    default:
        MUST(answer.status == FG_DNSBL_UNKNOWN);
        MUST(answer.reason > FG_DNSBL_WORKING && answer.reason < FG_DNSBL_REASONS);
        MUST(fuzz_printable(fg_dnsbl_reason_text(answer.reason)));
        break;
    }
}
