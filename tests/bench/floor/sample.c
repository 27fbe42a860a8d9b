/* The floor of a sampling tick: every counter read through a descriptor that stays open.
 *
 *     sample < FILES
 *
 * The first line of standard input says how many files follow, one a line. Then each further line
 * asks for one tick, and gets its duration in nanoseconds.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

int main(void)
{
    static char data[8192];
    char *line = NULL;
    size_t room = 0;
    if (getline(&line, &room, stdin) < 0)
        return 2;
    int count = atoi(line), *files = calloc(count, sizeof *files);
    for (int i = 0; i < count && getline(&line, &room, stdin) > 0; i++) {
        line[strcspn(line, "\n")] = 0;
        if ((files[i] = open(line, O_RDONLY | O_CLOEXEC)) < 0) {
            perror(line);
            return 1;
        }
    }
    while (getline(&line, &room, stdin) > 0) {
        uint64_t began = now();
        for (int i = 0; i < count; i++)
            if (pread(files[i], data, sizeof data, 0) < 0)
                return 1;
        printf("%lu\n", now() - began);
        fflush(stdout);
    }
    return 0;
}
