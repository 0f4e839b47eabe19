/* replay: run every file of the corpus directories named on the command line once through a fuzz
 * target, without libFuzzer, so that each change is checked against all that fuzzing has found. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static int
run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    size_t len = (size_t)ftell(file);
    /* Exactly as long as the input, so that the sanitizer sees any look beyond it. */
    uint8_t *bytes = malloc(len == 0 ? 1 : len);
    rewind(file);
    if (bytes == NULL || fread(bytes, 1, len, file) != len) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    fclose(file);
    int got = LLVMFuzzerTestOneInput(bytes, len);
    free(bytes);
    return got;
}

static size_t
run_directory(const char *path)
{
    DIR *directory = opendir(path);
    size_t ran = 0;
    if (directory == NULL) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char name[4096];
        if (entry->d_name[0] != '.') {
            snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
            run_file(name);
            ran++;
        }
    }
    closedir(directory);
    return ran;
}

int
main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        size_t ran = run_directory(argv[i]);
        printf("%s: %zu inputs\n", argv[i], ran);
        if (ran == 0) {
            return EXIT_FAILURE; /* an empty corpus proves nothing */
        }
    }
    return EXIT_SUCCESS;
}
