/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer's entry: the target is the one that FUZZ_TARGET names. */
#include "fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const fuzz_target_t *target;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *name = getenv("FUZZ_TARGET");

    (void)argc;
    (void)argv;
    target = name ? fuzz_find(name) : NULL;
    if (!target) {
        fprintf(stderr, "FUZZ_TARGET names no target: %s\n", name ? name : "(not set)");
        exit(2);
    }
    fuzz_root();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz_one(target, data, len);
    return 0;
}
