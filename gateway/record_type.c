/* record_type: see record_type.h. */
#include "record_type.h"

#include <string.h>

static const char *const reserved[] = {"hello", "gap", "snapshot_end", "failed", "cancelled", "end",
    "closing", "position", "pong", /* control messages */
    "error", "open" /* an EventSource's own */};

static bool
is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

const char *
record_type_fault(const char *name, size_t len)
{
    if (len == 0 || len > RECORD_TYPE_MAX || !is_letter(name[0])) {
        return "must be 1 to 64 characters and begin with a letter";
    }
    for (size_t i = 1; i < len; i++) {
        bool digit = name[i] >= '0' && name[i] <= '9';
        if (!is_letter(name[i]) && !digit && (name[i] == '\0' || strchr("._-", name[i]) == NULL)) {
            return "takes letters, digits and . _ - alone";
        }
    }
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        if (strlen(reserved[i]) == len && memcmp(reserved[i], name, len) == 0) {
            return "this name belongs to the stream's own messages";
        }
    }
    return NULL;
}
