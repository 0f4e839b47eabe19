/* file_settings: what the configuration says of a file source, and what is made of it. */
#ifndef HEADGATE_FILE_SETTINGS_H
#define HEADGATE_FILE_SETTINGS_H

#include "file_parser.h"

#include "../gateway/config.h"
#include "../gateway/config_table.h"

enum file_mode { FILE_TAIL, FILE_REPLAY };
enum file_start { FILE_LATEST, FILE_EARLIEST };
enum file_on_error { FILE_SKIP, FILE_FAIL };

/* A variable of a replay's path: {NAME}, as /data/{id}.ndjson has it. */
#define FILE_VARIABLES_MAX 8
#define FILE_VARIABLE_BYTES 33 /* with its NUL */

struct file_settings {
    int mode; /* enum file_mode */
    struct config_strings paths;
    struct config_strings rotated;
    int format;      /* enum file_format */
    int compression; /* enum file_compression */
    int start;       /* enum file_start */
    int on_error;
    char *key; /* JSON pointers, or NULL */
    char *time;
    uint64_t poll_ms;
    uint64_t max_files;
    /* Filled in by the check: what a request must give. */
    char variables[FILE_VARIABLES_MAX][FILE_VARIABLE_BYTES];
    size_t n_variables;
};

extern const struct config_section file_section;

/* file_settings_check: what the table cannot say. */
int file_settings_check(const void *settings, struct err *err);

/* Bytes of one read. */
#define FILE_READ_BYTES (UINT32_C(64) << 10)

uint64_t file_settings_memory_bytes(const void *settings);
uint64_t file_settings_descriptors(const void *settings);

#endif
