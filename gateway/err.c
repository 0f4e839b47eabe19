/* err: formats failure details. No thread of its own, no state. */
#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h> /* with _GNU_SOURCE strerror_r returns the text */

void
err_set(struct err *err, enum err_code code, const char *format, ...)
{
    va_list args;
    err->code = code;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
}

void
err_set_errno(struct err *err, int errno_value, const char *format, ...)
{
    va_list args;
    err->code = ERR_SYSTEM;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    size_t used = strlen(err->text);
    char reason[128];
    snprintf(err->text + used, sizeof err->text - used, ": %s",
        strerror_r(errno_value, reason, sizeof reason));
}
