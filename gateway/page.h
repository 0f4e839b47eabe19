/* page: the files of the demo page, in the program itself. page_data.c is made from gateway/page/
 * by the Makefile. The page needs no more than this Content-Security-Policy allows. Thread any. */
#ifndef HEADGATE_PAGE_H
#define HEADGATE_PAGE_H

#include <stddef.h>

#define PAGE_CSP                                                                                   \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "                    \
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

struct page_file {
    const char *path; /* as requested: "/", "/app.js" */
    const char *type; /* of the content */
    const unsigned char *bytes;
    size_t len;
};

extern const struct page_file page_files[];
extern const size_t page_files_n;

#endif
