/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs targets on files, without libFuzzer.
 *   replay               all targets, on t/fuzz/corpus/TARGET/ of the source tree ($srcdir)
 *   replay TARGET FILE   one, on one file
 *   replay --list        names of the targets
 * Each file is run whole, and cut short in some places.
 */
#include "fuzz.h"

#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#define SHORTER  8  /* how often a file is cut short */
#define PATIENCE 60 /* seconds for a file, sanitizers included */

static char where[1024]; /* the file under way */

/* A crash, a broken promise, or a file that takes too long. */
static void told(int signal_number)
{
    static const char at[] = "while running ";

    if (write(2, at, sizeof(at) - 1) < 0 || write(2, where, strlen(where)) < 0 ||
        write(2, "\n", 1) < 0) {
        _exit(3);
    }
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static int run_file(const fuzz_target_t *target, const char *path)
{
    FILE *file = fopen(path, "rb");
    fuzz_text_t text = {NULL, 0, 0};
    char part[4096];
    size_t got, i;

    snprintf(where, sizeof(where), "%s %s", target->name, path);
    if (!file) {
        perror(path);
        return 0;
    }
    fuzz_add(&text, "", 0);
    while ((got = fread(part, 1, sizeof(part), file)) > 0) {
        fuzz_add(&text, part, got);
    }
    fclose(file);
    alarm(PATIENCE);
    fuzz_one(target, (const unsigned char *)text.text, text.len);
    for (i = 0; i < SHORTER; i++) {
        fuzz_one(target, (const unsigned char *)text.text, text.len * i / SHORTER);
    }
    alarm(0);
    free(text.text);
    return 1;
}

/* @return how many files there were */
static int run_folder(const fuzz_target_t *target, const char *folder)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    int files = 0;

    while (dir && (entry = readdir(dir)) != NULL) {
        char path[2048];

        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
            if (!run_file(target, path)) {
                exit(1);
            }
            files++;
        }
    }
    if (dir) {
        closedir(dir);
    }
    return files;
}

/* A folder that is no target's holds what nobody runs. */
static int check_folders(const char *corpus)
{
    DIR *dir = opendir(corpus);
    const struct dirent *entry;
    int good = dir != NULL;

    while (dir && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.' && !fuzz_find(entry->d_name)) {
            fprintf(stderr, "%s/%s: there is no such target\n", corpus, entry->d_name);
            good = 0;
        }
    }
    if (dir) {
        closedir(dir);
    }
    else {
        perror(corpus);
    }
    return good;
}

static int run_all(void)
{
    const char *srcdir = getenv("srcdir");
    const fuzz_target_t *target;
    char corpus[1024], folder[1200];
    int good;

    snprintf(corpus, sizeof(corpus), "%s/t/fuzz/corpus", srcdir ? srcdir : ".");
    good = check_folders(corpus);
    for (target = fuzz_targets; target; target = target->next) {
        int files;

        snprintf(folder, sizeof(folder), "%s/%s", corpus, target->name);
        files = run_folder(target, folder);
        printf("%s: %d files\n", target->name, files);
        if (files == 0) {
            fprintf(stderr, "%s: no files for the target\n", folder);
            good = 0;
        }
    }
    return good && fuzz_targets ? 0 : 1;
}

int main(int argc, char **argv)
{
    const fuzz_target_t *target;

    signal(SIGABRT, told);
    signal(SIGALRM, told);
    signal(SIGSEGV, told);
    signal(SIGBUS, told);
    signal(SIGFPE, told);
    if (argc == 1) {
        return run_all();
    }
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (target = fuzz_targets; target; target = target->next) {
            puts(target->name);
        }
        return 0;
    }
    target = argc == 3 ? fuzz_find(argv[1]) : NULL;
    if (!target) {
        fprintf(stderr, "usage: %s [--list | TARGET FILE]\n", argv[0]);
        return 2;
    }
    return run_file(target, argv[2]) ? 0 : 1;
}
