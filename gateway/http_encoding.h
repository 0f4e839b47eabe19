/* http_encoding: which coding of a streamed body a request takes (RFC 9110 section 12.5.3). Thread
 * any: no state. */
#ifndef HEADGATE_HTTP_ENCODING_H
#define HEADGATE_HTTP_ENCODING_H

#include "coding.h"
#include "http.h"

#define CODING_BIT(coding) (UINT32_C(1) << (coding))

/* http_encoding_choose: of the codings in offered (CODING_BIT each) the one that Accept-Encoding
 * likes best; among equals zstd where it is named, gzip, zstd where only "*" means it, identity.
 * zstd costs a third of gzip, but not all that say "*" have it. Without the header, or with an
 * empty one, it is identity: not all that send none can decode. Malformed members are ignored,
 * "x-gzip" is gzip. Falls back to identity, unless that is refused ("identity;q=0", "*;q=0"): then
 * false. */
bool http_encoding_choose(
    const struct http_request *request, uint32_t offered, enum coding *coding);

#endif
