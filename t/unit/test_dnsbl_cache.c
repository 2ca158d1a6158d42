/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

/* itself, for what only it can see */
#include "dnsbl_cache.c"

#define SEC   APR_USEC_PER_SEC
#define UNIT  (1 << UNIT_BITS) /* how exact an expiry is */
#define NOW   (1000 * SEC)
#define SLACK (2 * UNIT)

static const unsigned char secret[16] = "a secret of ours";
static apr_pool_t *pool;
static void *memory;
static apr_size_t size;
static fg_dnsbl_cache_t *cache;
static fg_dnsbl_zone_t zone = {"bl.test", "bl.test", 1, {{0x7f000002, 0x7f0000fe}}};

static void *map_shared(apr_size_t bytes)
{
    void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return mem == MAP_FAILED ? NULL : mem;
}

static int set_up(void **state)
{
    (void)state;
    size = fg_dnsbl_cache_size(1024);
    memory = map_shared(size);
    return !memory || apr_initialize() != APR_SUCCESS ||
           apr_pool_create(&pool, NULL) != APR_SUCCESS;
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    apr_terminate();
    munmap(memory, size);
    return 0;
}

static int fresh_cache(void **state)
{
    (void)state;
    return fg_dnsbl_cache_format(memory, size, 1024, secret) != APR_SUCCESS ||
           fg_dnsbl_cache_attach(&cache, memory, size, pool) != APR_SUCCESS;
}

static fg_address_t address_of(const char *text)
{
    fg_address_t address;

    assert_int_equal(fg_address_parse(&address, text), APR_SUCCESS);
    return address;
}

static apr_uint64_t key_of(const char *text)
{
    fg_address_t address = address_of(text);

    return fg_dnsbl_cache_key(cache, &zone, &address);
}

static fg_dnsbl_answer_t listed(apr_uint32_t code, apr_interval_time_t ttl)
{
    fg_dnsbl_answer_t answer = {FG_DNSBL_LISTED, FG_DNSBL_WORKING, code, ttl};

    return answer;
}

static fg_dnsbl_answer_t not_listed(apr_interval_time_t ttl)
{
    fg_dnsbl_answer_t answer = {FG_DNSBL_NOT_LISTED, FG_DNSBL_WORKING, 0, ttl};

    return answer;
}

static fg_dnsbl_answer_t unknown(fg_dnsbl_reason_t reason, apr_uint32_t code)
{
    fg_dnsbl_answer_t answer = {FG_DNSBL_UNKNOWN, reason, code, FG_DNSBL_BACKOFF};

    return answer;
}

static void put(apr_uint64_t key, apr_time_t now, fg_dnsbl_answer_t answer)
{
    fg_dnsbl_cache_put(cache, key, now, &answer);
}

static int is_there(apr_uint64_t key, apr_time_t now)
{
    fg_dnsbl_answer_t answer;

    return fg_dnsbl_cache_get(cache, key, now, &answer);
}

static void expect(apr_uint64_t key, apr_time_t now, fg_dnsbl_answer_t wanted)
{
    fg_dnsbl_answer_t answer;

    assert_true(fg_dnsbl_cache_get(cache, key, now, &answer));
    assert_int_equal(answer.status, wanted.status);
    assert_int_equal(answer.reason, wanted.reason);
    assert_int_equal(answer.code, wanted.code);
}

/* --- the memory ------------------------------------------------------------------------------- */

static void sizes(void **state)
{
    (void)state;
    assert_int_equal(fg_dnsbl_cache_size(0), fg_dnsbl_cache_size(1024));
    assert_true(fg_dnsbl_cache_size(1025) > fg_dnsbl_cache_size(1024));
    assert_int_equal(fg_dnsbl_cache_size(1025), fg_dnsbl_cache_size(2048));
    assert_int_equal(fg_dnsbl_cache_size(UINT32_MAX), fg_dnsbl_cache_size(1 << 24));
    assert_int_equal(fg_dnsbl_cache_format(memory, size - 1, 1024, secret), APR_EINVAL);
    assert_int_equal(fg_dnsbl_cache_format((char *)memory + 4, size, 0, secret), APR_EINVAL);
}

static void only_a_whole_cache_is_opened(void **state)
{
    static const apr_size_t fields[] = {offsetof(header_t, magic), offsetof(header_t, version),
                                        offsetof(header_t, offset), offsetof(header_t, bytes),
                                        offsetof(header_t, sets)};
    fg_dnsbl_cache_t *other;
    header_t *header = cache->header;
    size_t i;

    (void)state;
    assert_int_equal(fg_dnsbl_cache_attach(&other, memory, size - 1, pool), APR_EINVAL);
    assert_null(other);
    assert_int_equal(fg_dnsbl_cache_attach(&other, memory, 100, pool), APR_EINVAL);
    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        unsigned char *byte = (unsigned char *)header + fields[i];

        (*byte)++;
        assert_int_equal(fg_dnsbl_cache_attach(&other, memory, size, pool), APR_EINVAL);
        (*byte)--;
        assert_int_equal(fg_dnsbl_cache_attach(&other, memory, size, pool), APR_SUCCESS);
    }
}

static void lies_at_any_alignment(void **state)
{
    char *mem = map_shared(size + 64);
    int shift;

    (void)state;
    assert_non_null(mem);
    for (shift = 0; shift < 64; shift += 8) {
        assert_int_equal(fg_dnsbl_cache_format(mem + shift, size, 1024, secret), APR_SUCCESS);
        assert_int_equal(fg_dnsbl_cache_attach(&cache, mem + shift, size, pool), APR_SUCCESS);
        assert_int_equal((uintptr_t)cache->set % LINE, 0);
        assert_true((char *)(cache->set + cache->sets) <= mem + shift + size);
        put(key_of("192.0.2.1"), NOW, listed(0x7f000002, SEC));
        assert_true(is_there(key_of("192.0.2.1"), NOW));
    }
    munmap(mem, size + 64);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void answers_come_back(void **state)
{
    int i;

    (void)state;
    assert_false(is_there(key_of("192.0.2.1"), NOW));
    put(key_of("192.0.2.1"), NOW, listed(0x7f000002, 60 * SEC));
    put(key_of("192.0.2.2"), NOW, not_listed(60 * SEC));
    put(key_of("2001:db8::1"), NOW, listed(0x7fffffff, 60 * SEC));
    expect(key_of("192.0.2.1"), NOW, listed(0x7f000002, 0));
    expect(key_of("192.0.2.2"), NOW, not_listed(0));
    expect(key_of("2001:db8::1"), NOW, listed(0x7fffffff, 0));
    assert_false(is_there(key_of("192.0.2.3"), NOW));
    put(key_of("192.0.2.1"), NOW, listed(0x7f000000, 60 * SEC));
    expect(key_of("192.0.2.1"), NOW, listed(0x7f000000, 0));
    for (i = FG_DNSBL_WORKING + 1; i < FG_DNSBL_REASONS; i++) {
        put(key_of("192.0.2.2"), NOW, unknown((fg_dnsbl_reason_t)i, 0x7ffffffd));
        expect(key_of("192.0.2.2"), NOW, unknown((fg_dnsbl_reason_t)i, 0x7ffffffd));
    }
    put(key_of("192.0.2.2"), NOW, unknown(FG_DNSBL_TAMPERED, 0x0a000001));
    expect(key_of("192.0.2.2"), NOW, unknown(FG_DNSBL_TAMPERED, 0));
}

static void keys_differ(void **state)
{
    fg_dnsbl_zone_t other = zone;
    fg_address_t v4 = address_of("192.0.2.1"), v6 = address_of("c000:201::"),
                 mapped = address_of("::ffff:192.0.2.1");
    apr_uint64_t key = fg_dnsbl_cache_key(cache, &zone, &v4);
    unsigned char another[16] = "another secret!";

    (void)state;
    assert_int_equal(fg_dnsbl_cache_key(cache, &zone, &mapped), key);
    assert_int_not_equal(fg_dnsbl_cache_key(cache, &zone, &v6), key);
    other.name = "bl2.test";
    assert_int_not_equal(fg_dnsbl_cache_key(cache, &other, &v4), key);
    other = zone;
    other.ranges[0].last--;
    assert_int_not_equal(fg_dnsbl_cache_key(cache, &other, &v4), key);
    other = zone;
    other.nranges = 2;
    assert_int_not_equal(fg_dnsbl_cache_key(cache, &other, &v4), key);
    other = zone;
    other.shown = "for people";
    assert_int_equal(fg_dnsbl_cache_key(cache, &other, &v4), key);
    memcpy(cache->secret, another, 16);
    assert_int_not_equal(fg_dnsbl_cache_key(cache, &zone, &v4), key);
}

static void answers_expire(void **state)
{
    const apr_uint64_t key = key_of("192.0.2.1");

    (void)state;
    put(key, NOW, listed(0x7f000002, 60 * SEC));
    assert_true(is_there(key, NOW + 60 * SEC - SLACK));
    assert_false(is_there(key, NOW + 60 * SEC));
    assert_false(is_there(key, NOW + 3600 * SEC));
    put(key, NOW, listed(0x7f000002, 0));
    assert_true(is_there(key, NOW)); /* what was there is not gone for it */
    put(key_of("192.0.2.2"), NOW, listed(0x7f000002, 0));
    assert_false(is_there(key_of("192.0.2.2"), NOW));
    /* A clock that lags, and one before boot, find what holds. */
    assert_true(is_there(key, NOW - 3600 * SEC));
    assert_true(is_there(key, -1));
    put(key_of("192.0.2.3"), -5, listed(0x7f000002, SEC));
    assert_true(is_there(key_of("192.0.2.3"), 0));
    assert_false(is_there(key_of("192.0.2.3"), SEC));
}

static void a_later_answer_replaces(void **state)
{
    const apr_uint64_t key = key_of("192.0.2.1");
    fg_dnsbl_cache_stats_t stats;

    (void)state;
    put(key, NOW, listed(0x7f000002, 60 * SEC));
    put(key, NOW, not_listed(10 * SEC));
    expect(key, NOW, not_listed(0));
    assert_false(is_there(key, NOW + 10 * SEC));
    fg_dnsbl_cache_stats(cache, NOW, &stats);
    assert_int_equal(stats.live, 1);
    assert_int_equal(stats.live_evictions, 0);
}

/* Keys of one set. */
static apr_uint64_t key_in_set(unsigned int n)
{
    return APR_UINT64_C(0x5555000000000000) + ((apr_uint64_t)n << 40) + (3 << 8);
}

static void the_first_to_expire_gives_way(void **state)
{
    fg_dnsbl_cache_stats_t stats;
    unsigned int i;

    (void)state;
    for (i = 0; i < WAYS; i++) { /* number 5 expires first */
        put(key_in_set(i), NOW, listed(0x7f000002 + i, (i == 5 ? 100 : 200 + i) * SEC));
    }
    fg_dnsbl_cache_stats(cache, NOW, &stats);
    assert_int_equal(stats.live, WAYS);
    assert_int_equal(stats.live_evictions, 0);
    assert_int_equal(stats.capacity, 1024);
    assert_int_equal(stats.bytes, size);
    put(key_in_set(WAYS), NOW, not_listed(600 * SEC));
    for (i = 0; i < WAYS; i++) {
        assert_int_equal(is_there(key_in_set(i), NOW), i != 5);
    }
    assert_true(is_there(key_in_set(WAYS), NOW));
    fg_dnsbl_cache_stats(cache, NOW, &stats);
    assert_int_equal(stats.live_evictions, 1);
    put(key_in_set(WAYS + 1), NOW + 201 * SEC, not_listed(600 * SEC)); /* number 0 has expired */
    fg_dnsbl_cache_stats(cache, NOW + 201 * SEC, &stats);
    assert_int_equal(stats.live_evictions, 1);
    assert_int_equal(stats.live, WAYS - 1);
}

/* Killed between the two words of an entry, or two writers at once. */
static void half_an_entry_is_nobodys(void **state)
{
    const apr_uint64_t a = key_in_set(1), b = key_in_set(2);
    entry_t *entry = set_of(cache, a)->entry;
    apr_uint64_t check_a, value_a;
    unsigned int i;

    (void)state;
    put(a, NOW, listed(0x7f000002, 60 * SEC));
    check_a = atomic_load(&entry->check);
    value_a = atomic_load(&entry->value);
    put(a, NOW, not_listed(0));
    memset(entry, 0, sizeof(*entry));
    put(b, NOW, not_listed(50 * SEC));
    atomic_store(&entry->check, check_a);
    assert_false(is_there(a, NOW));
    assert_false(is_there(b, NOW));
    put(b, NOW, not_listed(50 * SEC));
    assert_true(is_there(b, NOW));
    for (i = 0; i < WAYS; i++) {
        atomic_store(&set_of(cache, a)->entry[i].value, value_a);
        atomic_store(&set_of(cache, a)->entry[i].check, 1);
    }
    assert_false(is_there(a, NOW));
    put(a, NOW, not_listed(50 * SEC));
    expect(a, NOW, not_listed(0));
}

/* --- states of zones -------------------------------------------------------------------------- */

static int enter(apr_time_t now, fg_dnsbl_ticket_t *ticket)
{
    fg_dnsbl_answer_t answer;

    return fg_dnsbl_cache_enter(cache, &zone, now, SEC, ticket, &answer);
}

static int leave(const fg_dnsbl_ticket_t *ticket, apr_time_t now, fg_dnsbl_answer_t answer)
{
    return fg_dnsbl_cache_leave(cache, ticket, now, &answer);
}

static void denied(apr_time_t now, fg_dnsbl_reason_t reason, apr_uint32_t code)
{
    fg_dnsbl_ticket_t ticket;
    fg_dnsbl_answer_t answer;

    assert_false(fg_dnsbl_cache_enter(cache, &zone, now, SEC, &ticket, &answer));
    assert_int_equal(answer.status, FG_DNSBL_UNKNOWN);
    assert_int_equal(answer.reason, reason);
    assert_int_equal(answer.code, code);
}

static void a_zone_that_works_says_nothing(void **state)
{
    fg_dnsbl_ticket_t one, two;

    (void)state;
    assert_int_equal(fg_dnsbl_cache_zone_state(cache, &zone), FG_DNSBL_WORKING);
    assert_true(enter(NOW, &one));
    assert_true(enter(NOW, &two));
    assert_false(leave(&one, NOW, listed(0x7f000002, SEC)));
    assert_false(leave(&two, NOW, not_listed(SEC)));
    assert_true(enter(NOW, &one));
    assert_false(leave(&one, NOW, not_listed(SEC)));
    assert_int_equal(fg_dnsbl_cache_zone_state(cache, &zone), FG_DNSBL_WORKING);
}

static void a_change_is_told_once(void **state)
{
    fg_dnsbl_ticket_t one, two, three;
    apr_time_t now = NOW;

    (void)state;
    assert_true(enter(now, &one));
    assert_true(enter(now, &two));
    assert_true(enter(now, &three));
    assert_true(leave(&one, now, unknown(FG_DNSBL_OPEN_RESOLVER, 0x7ffffffe)));
    assert_false(leave(&two, now, unknown(FG_DNSBL_OPEN_RESOLVER, 0x7ffffffe)));
    assert_false(leave(&three, now, not_listed(SEC))); /* asked before: does not count */
    assert_int_equal(fg_dnsbl_cache_zone_state(cache, &zone), FG_DNSBL_OPEN_RESOLVER);
    denied(now, FG_DNSBL_OPEN_RESOLVER, 0x7ffffffe);
    denied(now + FG_DNSBL_BACKOFF - SLACK, FG_DNSBL_OPEN_RESOLVER, 0x7ffffffe);

    now += FG_DNSBL_BACKOFF; /* one may ask */
    assert_true(enter(now, &one));
    denied(now, FG_DNSBL_OPEN_RESOLVER, 0x7ffffffe);
    assert_false(leave(&one, now, unknown(FG_DNSBL_OPEN_RESOLVER, 0x7ffffffe)));
    denied(now + FG_DNSBL_BACKOFF - SLACK, FG_DNSBL_OPEN_RESOLVER, 0x7ffffffe);

    now += FG_DNSBL_BACKOFF;
    assert_true(enter(now, &one));
    assert_true(leave(&one, now, unknown(FG_DNSBL_TIMEOUT, 0)));
    denied(now, FG_DNSBL_TIMEOUT, 0);

    now += FG_DNSBL_BACKOFF;
    assert_true(enter(now, &one));
    assert_true(leave(&one, now, not_listed(SEC)));
    assert_int_equal(fg_dnsbl_cache_zone_state(cache, &zone), FG_DNSBL_WORKING);
    assert_true(enter(now, &one));
    assert_true(enter(now, &two));
    assert_false(leave(&one, now, not_listed(SEC)));
    assert_true(leave(&two, now, unknown(FG_DNSBL_TAMPERED, 0x0a000001)));
    denied(now, FG_DNSBL_TAMPERED, 0);
}

/* Who was to ask a failing zone dies: the next one is let in. */
static void nobody_waits_for_the_dead(void **state)
{
    fg_dnsbl_ticket_t dead, next;

    (void)state;
    assert_true(enter(NOW, &dead));
    assert_true(leave(&dead, NOW, unknown(FG_DNSBL_TIMEOUT, 0)));
    assert_true(enter(NOW + 20 * SEC, &dead));
    denied(NOW + 30 * SEC - SLACK, FG_DNSBL_TIMEOUT, 0);
    assert_true(enter(NOW + 30 * SEC, &next));
    assert_true(leave(&next, NOW + 30 * SEC, not_listed(SEC)));
    assert_false(leave(&dead, NOW + 40 * SEC, unknown(FG_DNSBL_TIMEOUT, 0)));
    assert_int_equal(fg_dnsbl_cache_zone_state(cache, &zone), FG_DNSBL_WORKING);
}

static void a_long_lookup_keeps_its_leave(void **state)
{
    fg_dnsbl_ticket_t ticket;
    fg_dnsbl_answer_t answer;

    (void)state;
    assert_true(enter(NOW, &ticket));
    assert_true(leave(&ticket, NOW, unknown(FG_DNSBL_TIMEOUT, 0)));
    assert_true(fg_dnsbl_cache_enter(cache, &zone, NOW + 20 * SEC, 30 * SEC, &ticket, &answer));
    denied(NOW + 50 * SEC - SLACK, FG_DNSBL_TIMEOUT, 0);
    assert_false(leave(&ticket, NOW + 50 * SEC, unknown(FG_DNSBL_TIMEOUT, 0)));
}

/* Nothing writes such a state: were it believed, the list would have everybody. */
static void a_damaged_state_is_asked(void **state)
{
    fg_dnsbl_ticket_t ticket;
    apr_uint64_t what;

    (void)state;
    assert_true(enter(NOW, &ticket));
    for (what = 0; what < 16; what++) {
        if (what > UNKNOWN && what < UNKNOWN + FG_DNSBL_REASONS) {
            continue;
        }
        atomic_store(&cache->header->zone[ticket.slot].state, what << 60 | EXPIRY_MAX);
        assert_true(enter(NOW, &ticket));
        assert_false(leave(&ticket, NOW, not_listed(SEC)));
        assert_int_equal(atomic_load(&cache->header->zone[ticket.slot].state), WORKING);
    }
}

static void zones_have_states_of_their_own(void **state)
{
    fg_dnsbl_zone_t many = zone;
    fg_dnsbl_ticket_t ticket;
    fg_dnsbl_answer_t answer = unknown(FG_DNSBL_SERVFAIL, 0), denial;
    int i;

    (void)state;
    for (i = 0; i < ZONES + 2; i++) {
        many.name = apr_psprintf(pool, "bl%d.test", i);
        assert_true(fg_dnsbl_cache_enter(cache, &many, NOW, SEC, &ticket, &denial));
        assert_int_equal(ticket.slot >= 0, i < ZONES);
        assert_true(fg_dnsbl_cache_leave(cache, &ticket, NOW, &answer));
        assert_int_equal(fg_dnsbl_cache_zone_state(cache, &many),
                         i < ZONES ? FG_DNSBL_SERVFAIL : FG_DNSBL_WORKING);
    }
    for (i = 0; i < ZONES; i++) {
        many.name = apr_psprintf(pool, "bl%d.test", i);
        assert_false(fg_dnsbl_cache_enter(cache, &many, NOW, SEC, &ticket, &denial));
    }
    many = zone; /* the same list, other codes: the same state */
    many.name = "bl0.test";
    many.ranges[0].first++;
    assert_false(fg_dnsbl_cache_enter(cache, &many, NOW, SEC, &ticket, &denial));
    /* Without a state a failure is told by everybody, success by nobody. */
    assert_true(fg_dnsbl_cache_enter(cache, &zone, NOW, SEC, &ticket, &denial));
    assert_true(leave(&ticket, NOW, answer));
    assert_false(leave(&ticket, NOW, not_listed(SEC)));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, fresh_cache)
    const struct CMUnitTest tests[] = {
        TEST(sizes),
        TEST(only_a_whole_cache_is_opened),
        TEST(lies_at_any_alignment),
        TEST(answers_come_back),
        TEST(keys_differ),
        TEST(answers_expire),
        TEST(a_later_answer_replaces),
        TEST(the_first_to_expire_gives_way),
        TEST(half_an_entry_is_nobodys),
        TEST(a_zone_that_works_says_nothing),
        TEST(a_change_is_told_once),
        TEST(nobody_waits_for_the_dead),
        TEST(a_long_lookup_keeps_its_leave),
        TEST(a_damaged_state_is_asked),
        TEST(zones_have_states_of_their_own),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
