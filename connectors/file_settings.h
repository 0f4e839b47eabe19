/* file_settings: what the configuration says of a file source, and what is made of it. */
#ifndef HEADGATE_FILE_SETTINGS_H
#define HEADGATE_FILE_SETTINGS_H

#include "file_parser.h"

#include "../gateway/config.h"
#include "../gateway/config_table.h"

enum file_mode { FILE_TAIL };
enum file_start { FILE_LATEST, FILE_EARLIEST };
enum file_on_error { FILE_SKIP, FILE_FAIL };

struct file_settings {
    int mode; /* enum file_mode */
    struct config_strings paths;
    struct config_strings rotated;
    int format; /* enum file_format */
    int start;  /* enum file_start */
    int on_error;
    char *key; /* JSON pointers, or NULL */
    char *time;
    uint64_t poll_ms;
    uint64_t max_files;
};

extern const struct config_section file_section;

/* file_settings_check: what the table cannot say. */
int file_settings_check(const void *settings, struct err *err);

/* Bytes of one read. */
#define FILE_READ_BYTES (UINT32_C(64) << 10)

uint64_t file_settings_memory_bytes(const void *settings);
uint64_t file_settings_descriptors(const void *settings);

#endif
