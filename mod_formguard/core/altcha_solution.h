/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file altcha_solution.h
 * @brief What a browser sends back of a challenge: base64 of a JSON object. For altcha.c.
 */
#ifndef FG_ALTCHA_SOLUTION_H
#define FG_ALTCHA_SOLUTION_H

#include <apr_pools.h>

/** The members that count. */
typedef struct fg_altcha_solution {
    const char *algorithm;
    const char *challenge;
    const char *salt;
    const char *signature;
    apr_int64_t number; /**< not negative */
} fg_altcha_solution_t;

/** Longest salt that is looked at: twice ours. */
#define FG_ALTCHA_SALT_MAX 192

/**
 * Read a solution.
 * @param solution filled in on success
 * @param token    NUL-terminated
 * @param pool     owns the texts
 * @return 1, or 0: a member is missing, of another type, or too long
 */
int fg_altcha_solution_read(fg_altcha_solution_t *solution, const char *token, apr_pool_t *pool);

#endif
