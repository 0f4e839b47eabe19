/* lines: count the lines of a file, or of stdin, as a plain program reads them: fread(3) and
 * memchr(3). Prints one JSON line.
 *
 *   lines [FILE] */
#include "../../gateway/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_BYTES 65536

int
main(int argc, char **argv)
{
    static char buffer[READ_BYTES];
    unsigned long long lines = 0, bytes = 0;
    int64_t begun = clock_mono_ns();
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : stdin;
    if (file == NULL) {
        perror(argv[1]);
        return EXIT_FAILURE;
    }
    size_t n;
    while ((n = fread(buffer, 1, sizeof buffer, file)) > 0) {
        const char *end = buffer + n;
        for (const char *at = buffer; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++) {
            lines++;
        }
        bytes += n;
    }
    if (ferror(file) != 0) {
        perror("read");
        return EXIT_FAILURE;
    }
    double seconds = (double)(clock_mono_ns() - begun) / 1e9;
    printf("{\"lines\":%llu,\"bytes\":%llu,\"seconds\":%.4f}\n", lines, bytes, seconds);
    return EXIT_SUCCESS;
}
