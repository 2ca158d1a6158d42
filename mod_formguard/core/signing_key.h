/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file signing_key.h
 * @brief The key that signs challenges and clearances, in a file that outlives the server.
 */
#ifndef FG_SIGNING_KEY_H
#define FG_SIGNING_KEY_H

#include <apr_pools.h>

#include "altcha.h"

/**
 * Read the key's file, or make it, readable by its owner alone.
 * @param key  FG_ALTCHA_KEY_BYTES, made of all the file holds
 * @param path the file; the folder it is in must be there
 * @param made set to 1 if the file was made, else 0
 * @param pool for the error text
 * @return NULL, or what is wrong with the file: not 32 bytes at least, readable by others, no
 *         plain file
 */
const char *fg_signing_key_load(unsigned char *key, const char *path, int *made, apr_pool_t *pool);

/** Make a key that lives in memory only. @return APR_SUCCESS, or APR's error without randomness */
apr_status_t fg_signing_key_random(unsigned char *key);

/** Overwrite a key that is no longer needed. @param key FG_ALTCHA_KEY_BYTES */
void fg_signing_key_wipe(unsigned char *key);

#endif
