/* err: the detail of a failure, set once where it is found and carried up by pointer.
 *
 * A function that can fail for a reason that a person should read takes a `struct err *` (never
 * NULL) and returns -1 or NULL after err_set(). Nothing is logged on the way: whoever handles the
 * failure logs it. All of it is plain memory: no ownership, any thread that owns the struct. */
#ifndef HEADGATE_ERR_H
#define HEADGATE_ERR_H

enum err_code {
    ERR_NONE = 0,
    ERR_INVALID, /* input is not what it must be: configuration, parameter, token, bytes */
    ERR_SYSTEM,  /* the operating system refused: the text ends with strerror */
    ERR_LIMIT,   /* a configured bound is reached */
    ERR_REMOTE,  /* a broker or server answered with a failure */
    ERR_MISSING  /* what was asked for is not there */
};

struct err {
    enum err_code code;
    int line;   /* from 1; 0 when there is no position */
    int column; /* from 1; 0 when there is no position */
    char file[256];
    char text[512];
};

/* err_set: store code and the printf-formatted text; the position is left as it was.
 * Thread  any.  Blocks  no. */
void err_set(struct err *err, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* err_set_errno: as err_set with ERR_SYSTEM, and ": " and the text of errno_value appended. */
void err_set_errno(struct err *err, int errno_value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
