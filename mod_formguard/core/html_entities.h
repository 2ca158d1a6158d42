/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file html_entities.h
 * @brief Attribute values of HTML as browsers read them.
 */
#ifndef FG_HTML_ENTITIES_H
#define FG_HTML_ENTITIES_H

#include <apr_pools.h>

/**
 * Decode the character references of a value: numbers, and the names amp, lt, gt, quot and apos;
 * what else there are names for stands in no URL. Characters beyond ASCII become UTF-8.
 * @return the text in `pool`
 */
const char *fg_html_decode(const char *value, apr_pool_t *pool);

/** A text as it can stand in a double-quoted value, in `pool`. */
const char *fg_html_encode(const char *text, apr_pool_t *pool);

#endif
