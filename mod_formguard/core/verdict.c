/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict.h"

const fg_reason_row_t *fg_reason(fg_reason_t reason)
{
    static const fg_reason_row_t rows[FG_REASON_COUNT] = {
#define FG_REASON_ROW(name, tag, status, key, words) {tag, status, key, words},
        FG_REASONS(FG_REASON_ROW)
#undef FG_REASON_ROW
    };
    return &rows[reason < FG_REASON_COUNT ? reason : FG_INTERNAL];
}
