/* ws_deflate: offers of permessage-deflate, and what clients compress. Any thread: no state. */
#include "ws_deflate.h"

#include "http_scan.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* ---- offers ---- */

enum parameter {
    SERVER_NO_TAKEOVER = 1,
    CLIENT_NO_TAKEOVER = 2,
    SERVER_WINDOW = 4,
    CLIENT_WINDOW = 8
};

static unsigned
parameter_of(struct slice name)
{
    static const struct {
        const char *name;
        unsigned bit;
    } known[] = {
        {"server_no_context_takeover", SERVER_NO_TAKEOVER},
        {"client_no_context_takeover", CLIENT_NO_TAKEOVER},
        {"server_max_window_bits", SERVER_WINDOW},
        {"client_max_window_bits", CLIENT_WINDOW},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (slice_eq_nocase(name, known[i].name)) {
            return known[i].bit;
        }
    }
    return 0;
}

/* Whether value, NULL where there is none, is one that is accepted for the parameter: "8" to "15"
 * (RFC 7692 section 7.1.2), without leading zeros. */
static bool
takes_value(unsigned bit, struct slice value)
{
    bool bits = (value.len == 1 && (value.at[0] == '8' || value.at[0] == '9')) ||
                (value.len == 2 && value.at[0] == '1' && value.at[1] >= '0' && value.at[1] <= '5');
    switch (bit) {
    case SERVER_WINDOW:
        return slice_eq(value, "15");
    case CLIENT_WINDOW:
        return value.at == NULL || bits;
    default:
        return value.at == NULL;
    }
}

/* "=value", perhaps in quotes: RFC 6455 section 9.1. *value has at NULL where there is none. */
static bool
take_value(struct slice *offer, struct slice *value)
{
    *value = (struct slice){NULL, 0};
    http_scan_blanks(offer);
    if (!http_scan_char(offer, '=')) {
        return true;
    }
    http_scan_blanks(offer);
    bool quoted = http_scan_char(offer, '"');
    *value = http_scan_token(offer);
    return value->len != 0 && (!quoted || http_scan_char(offer, '"'));
}

/* The parameters of an offer; false when it cannot be accepted. */
static bool
read_offer(struct slice offer, unsigned *parameters)
{
    *parameters = 0;
    if (!slice_eq_nocase(http_scan_token(&offer), "permessage-deflate")) {
        return false;
    }
    for (;;) {
        http_scan_blanks(&offer);
        if (offer.len == 0) {
            return true;
        }
        if (!http_scan_char(&offer, ';')) {
            return false;
        }
        http_scan_blanks(&offer);
        struct slice value;
        unsigned bit = parameter_of(http_scan_token(&offer));
        if (bit == 0 || (*parameters & bit) != 0 || !take_value(&offer, &value) ||
            !takes_value(bit, value)) {
            return false;
        }
        *parameters |= bit;
    }
}

bool
ws_deflate_accept(const struct http_request *request, struct buf *line)
{
    for (size_t i = 0; i < request->n_headers; i++) {
        struct slice list = request->headers[i].value;
        if (!slice_eq_nocase(request->headers[i].name, "Sec-WebSocket-Extensions")) {
            continue;
        }
        while (list.len != 0) {
            unsigned parameters;
            if (read_offer(http_scan_member(&list), &parameters)) {
                /* Both may be answered unasked: RFC 7692 section 7.1.1. */
                BUF_LITERAL(line, "Sec-WebSocket-Extensions: permessage-deflate; "
                                  "server_no_context_takeover; client_no_context_takeover");
                buf_adds(line,
                    (parameters & SERVER_WINDOW) != 0 ? "; server_max_window_bits=15\r\n" : "\r\n");
                return true;
            }
        }
    }
    return false;
}

/* ---- messages ---- */

#define FIRST_BYTES 1024

static void *
zlib_alloc(void *opaque, unsigned items, unsigned size)
{
    (void)opaque;
    return mem_calloc(items, size);
}

static void
zlib_free(void *opaque, void *address)
{
    (void)opaque;
    free(address);
}

/* Inflate all of the stream's input into out. False: it is no deflate. Stops beyond most. */
static bool
inflate_all(z_stream *stream, struct buf *out, size_t most)
{
    while (out->len <= most) {
        size_t room = out->len < FIRST_BYTES ? FIRST_BYTES : out->len;
        room = room > most + 1 - out->len ? most + 1 - out->len : room;
        stream->next_out = (Bytef *)buf_reserve(out, room);
        stream->avail_out = (uInt)room;
        int result = inflate(stream, Z_SYNC_FLUSH);
        out->len += room - stream->avail_out;
        if (result == Z_STREAM_END && stream->avail_in != 0) {
            result = inflateReset(stream); /* a last block, then more: RFC 7692 section 7.2.3.4 */
        } else if (stream->avail_in == 0 && stream->avail_out != 0) {
            /* All is read. It must end between two blocks, at a whole byte. */
            return (result == Z_OK || result == Z_BUF_ERROR) && (stream->data_type & 0x87) == 0x80;
        }
        if (result != Z_OK && result != Z_BUF_ERROR) {
            return false;
        }
    }
    return true;
}

int
ws_deflate_inflate(struct buf *message, uint64_t most_bytes)
{
    struct buf out;
    size_t most = most_bytes < UINT32_MAX ? (size_t)most_bytes : UINT32_MAX - 1;
    z_stream stream = {.zalloc = zlib_alloc, .zfree = zlib_free};
    buf_init(&out);
    BUF_LITERAL(message, "\0\0\xff\xff"); /* what its sender took away: RFC 7692 section 7.2.2 */
    stream.next_in = (Bytef *)message->bytes;
    stream.avail_in = (uInt)message->len;
    bool good = inflateInit2(&stream, -MAX_WBITS) == Z_OK && inflate_all(&stream, &out, most);
    (void)inflateEnd(&stream);
    buf_fini(message);
    if (!good || out.len > most) {
        buf_fini(&out);
        return good ? 1009 : 1007;
    }
    *message = out;
    return 0;
}
