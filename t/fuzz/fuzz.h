/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file fuzz.h
 * @brief What every fuzz target is made of. A target is a function that takes any bytes and aborts
 *        if what it tests breaks a promise; main.c feeds it with files, libfuzzer.c with what
 *        libFuzzer makes up.
 */
#ifndef FG_FUZZ_H
#define FG_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_pools.h>
#include <apr_strings.h>

/** A target's function. @param pool destroyed after the call */
typedef void fuzz_fn(const unsigned char *data, size_t len, apr_pool_t *pool);

typedef struct fuzz_target {
    const char *name;
    fuzz_fn *run;
    struct fuzz_target *next;
} fuzz_target_t;

/** All targets, in no order. */
extern fuzz_target_t *fuzz_targets;

/** The target of that name, or NULL. */
fuzz_target_t *fuzz_find(const char *name);

/** A pool that lasts: for what a target makes once. */
apr_pool_t *fuzz_root(void);

/** Run a target on a copy of the input that is as long as the input. */
void fuzz_one(const fuzz_target_t *target, const unsigned char *data, size_t len);

/** Open a file's body: `FUZZ_TARGET(name) { ... }`. */
#define FUZZ_TARGET(id)                                                                            \
    static void id##_run(const unsigned char *data, size_t len, apr_pool_t *pool);                 \
    __attribute__((constructor)) static void id##_register(void)                                   \
    {                                                                                              \
        static fuzz_target_t target = {#id, id##_run, NULL};                                       \
                                                                                                   \
        target.next = fuzz_targets;                                                                \
        fuzz_targets = &target;                                                                    \
    }                                                                                              \
    static void id##_run(const unsigned char *data, size_t len,                                    \
                         apr_pool_t *pool __attribute__((unused)))

/** A promise. */
#define MUST(condition) ((condition) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #condition))

/** Say which promise is broken, and abort. */
void fuzz_fail(const char *file, int line, const char *condition) __attribute__((noreturn));

/* --- taking the input apart ------------------------------------------------------------------- */

/** What is left of an input. Numbers beyond its end are 0. */
typedef struct fuzz_in {
    const unsigned char *p;
    size_t left;
} fuzz_in_t;

static inline unsigned int fuzz_byte(fuzz_in_t *in)
{
    return in->left ? in->left--, *in->p++ : 0;
}

/** So many bytes, the first the highest. */
static inline uint64_t fuzz_number(fuzz_in_t *in, unsigned int bytes)
{
    uint64_t value = 0;

    while (bytes--) {
        value = value << 8 | fuzz_byte(in);
    }
    return value;
}

/** The rest as a text of its own, which ends at a NUL. */
static inline const char *fuzz_rest(fuzz_in_t *in, apr_pool_t *pool)
{
    const char *text = apr_pstrndup(pool, (const char *)in->p, in->left);

    in->p += in->left;
    in->left = 0;
    return text;
}

/** What comes before the next `end`, which is taken, too; else the rest. */
static inline const char *fuzz_until(fuzz_in_t *in, char end, apr_pool_t *pool)
{
    const unsigned char *at = in->left ? memchr(in->p, end, in->left) : NULL;
    size_t len = at ? (size_t)(at - in->p) : in->left;
    const char *text = apr_pstrndup(pool, (const char *)in->p, len);

    len += at != NULL;
    in->p += len;
    in->left -= len;
    return text;
}

/** A number that follows from the bytes: a seed that needs no place in the input. */
static inline uint32_t fuzz_hash(const void *data, size_t len)
{
    const unsigned char *p = data;
    uint32_t hash = 2166136261u;

    while (len--) {
        hash = (hash ^ *p++) * 16777619u;
    }
    return hash;
}

/** 1 if a text holds nothing but visible ASCII and blanks. */
static inline int fuzz_printable(const char *text)
{
    for (; *text; text++) {
        if (*text < ' ' || *text > '~') {
            return 0;
        }
    }
    return 1;
}

/* --- text that grows -------------------------------------------------------------------------- */

/** What was told, for comparison. */
typedef struct fuzz_text {
    char *text;
    size_t len, room;
} fuzz_text_t;

static inline void fuzz_add(fuzz_text_t *t, const void *data, size_t len)
{
    if (t->len + len + 1 > t->room) {
        t->room = 2 * (t->len + len + 1);
        t->text = realloc(t->text, t->room);
        if (!t->text) {
            abort();
        }
    }
    if (len) {
        memcpy(t->text + t->len, data, len);
    }
    t->len += len;
    t->text[t->len] = '\0';
}

static inline void fuzz_add_text(fuzz_text_t *t, const char *text)
{
    fuzz_add(t, text, strlen(text));
}

static inline void fuzz_add_number(fuzz_text_t *t, long long number)
{
    char text[32];

    fuzz_add(t, text, (size_t)snprintf(text, sizeof(text), "%lld,", number));
}

static inline int fuzz_same(const fuzz_text_t *a, const fuzz_text_t *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->text, b->text, a->len) == 0);
}

/* --- pieces ----------------------------------------------------------------------------------- */

/** From how many bytes on a text is not cut into bytes: that takes long and finds nothing more. */
#define FUZZ_BYTES_MAX 4096

/** How a text is cut: 0 not at all, 1 into bytes, others by chance. */
typedef struct fuzz_cut {
    const char *data;
    size_t left;
    uint32_t seed, random;
    char *piece; /**< a copy of its own, so that reading past it is noticed */
    size_t room; /**< bytes of it */
} fuzz_cut_t;

static inline fuzz_cut_t fuzz_cut(const void *data, size_t len, uint32_t seed)
{
    fuzz_cut_t cut = {data, len, seed, seed, NULL, 0};

    return cut;
}

/** The next piece, good until the next call. @return NULL behind the last one */
static inline const char *fuzz_piece(fuzz_cut_t *cut, size_t *len)
{
    *len = cut->left;
    if (cut->left == 0) {
        free(cut->piece);
        return NULL;
    }
    if (cut->seed == 1 && cut->left < FUZZ_BYTES_MAX) {
        *len = 1;
    }
    else if (cut->seed > 0) {
        cut->random = cut->random * 1664525u + 1013904223u;
        *len = 1 + (cut->random >> 8) % (cut->random >> 30 ? 9 : 3000);
        *len = *len < cut->left ? *len : cut->left;
    }
    if (*len != cut->room) {
        free(cut->piece);
        cut->piece = malloc(*len);
        cut->room = *len;
    }
    if (!cut->piece) {
        abort();
    }
    memcpy(cut->piece, cut->data, *len);
    cut->data += *len;
    cut->left -= *len;
    return cut->piece;
}

#endif
