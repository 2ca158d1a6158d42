/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file country.h
 * @brief Which country an address belongs to, from an MMDB file that may be replaced at any time.
 */
#ifndef FG_COUNTRY_H
#define FG_COUNTRY_H

#include <apr_pools.h>

#include "address.h"
#include "clock.h"
#include "log.h"

typedef struct fg_country_db fg_country_db_t;

/** An ISO 3166-1 alpha-2 code, NUL-terminated; "" is unknown. */
typedef char fg_country_code_t[3];

/** What a database says of an address. */
typedef struct fg_country {
    fg_country_code_t code;
    int in_eu; /**< 1: the key `EU` of rules means it */
} fg_country_t;

/**
 * The country of a code where no database says more.
 * @param code two capitals, or "" for unknown
 * @return with in_eu by the table of member states since 2020-02-01 (europa.eu, Country profiles)
 */
fg_country_t fg_country_of(const char *code);

typedef struct fg_country_info {
    apr_time_t built; /**< when its maker built the file, wall microseconds; 0: none open */
    const char *type; /**< the database_type it names */
} fg_country_info_t;

/**
 * Open a database: MaxMind's schema (`country/iso_code`, else `registered_country/iso_code`) or
 * the flat one (`country_code`).
 * The file is copied to an unlinked temporary file first, so that a file overwritten in place
 * cannot take the process down through its map.
 * A file that is missing or can't be used is no obstacle: the database is open without countries
 * and loads the file as soon as it can.
 * @param db    set, except where there is no folder for temporary files or no memory
 * @param path  the file
 * @param log   for lines about reloads: once a change of state; kept
 * @param pool  owns the database; a cleanup closes it
 * @param error set to a sentence in `pool` on failure
 * @return APR_SUCCESS, the error of opening, or APR_EGENERAL if it is no database with countries
 */
apr_status_t fg_country_open(fg_country_db_t **db, const char *path, const fg_log_t *log,
                             apr_pool_t *pool, const char **error);

/**
 * The country of an address. Looks at the file's inode, size and times at most once a second and
 * loads a changed file: at once if it was renamed to its place, after two looks in a row that see
 * the same if it is written in place. Lookups under way keep the old map until they are done. A
 * changed file that can't be used is logged once, and the old map stays.
 * Any thread may call it.
 * @param db      the database
 * @param address whose
 * @param now     the time
 * @param country set; "" if the database does not know it, or the address is private, whatever the
 *                database says of it (fg_address_is_private()). `in_eu` is the database's own
 *                `is_in_european_union` where the record has one, else that of fg_country_of()
 * @return APR_SUCCESS, or APR_EGENERAL when no file was usable yet or the database is
 *         damaged (logged once)
 */
apr_status_t fg_country_lookup(fg_country_db_t *db, const fg_address_t *address, fg_time_t now,
                               fg_country_t *country);

/** What is open now. */
void fg_country_info(fg_country_db_t *db, fg_country_info_t *info, apr_pool_t *pool);

#endif
