/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests that include a file of core whose atomic steps stumble: what happens between two of
 * its instructions once in a million runs happens here all the time. Include this, then the file,
 * then race_end.h.
 */
#ifndef FG_RACE_H
#define FG_RACE_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_time.h>

enum { PROCESSES = 3, THREADS = 2, WORKERS = PROCESSES * THREADS };

/* One step in so many takes a nap. */
#ifndef RACE_ODDS
#define RACE_ODDS 4096
#endif

static apr_uint64_t race_seed;

/* 0 in the parent, which never stumbles */
static _Thread_local apr_uint64_t stumbling;

static apr_uint64_t draw(apr_uint64_t *state, apr_uint64_t below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (*state >> 11) % below;
}

/*
 * Or let somebody else do all of its work just before a certain step: one of those counted from
 * now on, or of those only that change something.
 */
static void (*intruder)(void);
static unsigned int intrude_at; /* 0: never */
static int intrude_at_changes;

static void stumble(int changes)
{
    struct timespec pause = {0, 0};
    apr_uint64_t chance;

    if (intrude_at > 0 && (changes || !intrude_at_changes) && --intrude_at == 0) {
        intruder();
    }
    if (stumbling == 0) {
        return;
    }
    chance = draw(&stumbling, RACE_ODDS);
    if (chance == 0) {
        pause.tv_nsec = (long)draw(&stumbling, 1000000);
        nanosleep(&pause, NULL);
    }
    else if (chance < RACE_ODDS / 128) {
        sched_yield();
    }
}

static void race_set_seed(void)
{
    race_seed = getenv("FG_SEED") ? strtoull(getenv("FG_SEED"), NULL, 10)
                                  : (apr_uint64_t)apr_time_now() | 1;
    print_message("FG_SEED=%llu\n", (unsigned long long)race_seed);
}

static void *map_shared(apr_size_t bytes)
{
    void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return mem == MAP_FAILED ? NULL : mem;
}

/* Threads that do `work(number of the worker)`. */
static pid_t start_process(unsigned int process, void *(*work)(void *))
{
    pthread_t thread[THREADS];
    pid_t pid = fork();
    unsigned int i;

    assert_true(pid >= 0);
    if (pid > 0) {
        return pid;
    }
    for (i = 0; i < THREADS; i++) {
        void *worker = (void *)(uintptr_t)(process * THREADS + i);

        if (pthread_create(&thread[i], NULL, work, worker)) {
            _exit(1);
        }
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    _exit(0);
}

static void join_processes(const pid_t pid[PROCESSES])
{
    unsigned int i;
    int status;

    for (i = 0; i < PROCESSES; i++) {
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

/* How many children are killed: FORMGUARD_LONG of them, or these few. */
static inline unsigned int race_kills(unsigned int few)
{
    const char *many = getenv("FORMGUARD_LONG");

    return many ? (unsigned int)strtoul(many, NULL, 10) : few;
}

/* Start processes, kill one now and then and start it anew, until `kills`. Then they end. */
static inline void run_and_kill(void *(*work)(void *), unsigned int kills, atomic_int *stop,
                                void (*meanwhile)(void))
{
    struct timespec pause = {0, 0};
    pid_t pid[PROCESSES];
    unsigned int i, killed;
    int status;

    for (i = 0; i < PROCESSES; i++) {
        pid[i] = start_process(i, work);
    }
    for (killed = 0; killed < kills; killed++) {
        pause.tv_nsec = (long)draw(&race_seed, 8000000);
        nanosleep(&pause, NULL);
        meanwhile();
        i = (unsigned int)draw(&race_seed, PROCESSES);
        assert_int_equal(kill(pid[i], SIGKILL), 0);
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        pid[i] = start_process(i, work);
    }
    atomic_store(stop, 1);
    join_processes(pid);
}

#pragma push_macro("atomic_load")
#pragma push_macro("atomic_store")
#pragma push_macro("atomic_exchange")
#pragma push_macro("atomic_fetch_add")
#pragma push_macro("atomic_compare_exchange_strong")
#pragma push_macro("atomic_compare_exchange_weak")
#undef atomic_load
#undef atomic_store
#undef atomic_exchange
#undef atomic_fetch_add
#undef atomic_compare_exchange_strong
#undef atomic_compare_exchange_weak
#define atomic_load(word) (stumble(0), atomic_load_explicit(word, memory_order_seq_cst))
#define atomic_store(word, value)                                                                  \
    (stumble(1), atomic_store_explicit(word, value, memory_order_seq_cst))
#define atomic_exchange(word, value)                                                               \
    (stumble(1), atomic_exchange_explicit(word, value, memory_order_seq_cst))
#define atomic_fetch_add(word, value)                                                              \
    (stumble(1), atomic_fetch_add_explicit(word, value, memory_order_seq_cst))
#define atomic_compare_exchange_strong(word, old, new)                                             \
    (stumble(1), atomic_compare_exchange_strong_explicit(word, old, new, memory_order_seq_cst,     \
                                                         memory_order_seq_cst))

#define atomic_compare_exchange_weak(word, old, new)                                               \
    (stumble(1), atomic_compare_exchange_weak_explicit(word, old, new, memory_order_seq_cst,       \
                                                       memory_order_seq_cst))

#endif
