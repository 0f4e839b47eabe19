/* http_encoding: what Accept-Encoding thinks of the codings there are. Any thread: no state. */
#include "http_encoding.h"

#include "http_scan.h"

#define UNSAID (-1)

/* What the header says, 0 to 1000 each. */
struct wishes {
    int quality[CODING_COUNT];
    int others; /* "*" */
};

/* The weight behind a coding's name: 1000 without one, -1 where it is malformed. */
static int
take_weight(struct slice *member)
{
    http_scan_blanks(member);
    if (member->len == 0) {
        return 1000;
    }
    if (!http_scan_char(member, ';')) {
        return -1;
    }
    http_scan_blanks(member);
    struct slice name = http_scan_token(member);
    if (!slice_eq_nocase(name, "q") || !http_scan_char(member, '=')) {
        return -1;
    }
    int quality = http_quality(http_scan_token(member));
    http_scan_blanks(member);
    return member->len == 0 ? quality : -1;
}

static int *
place_of(struct wishes *wishes, struct slice name)
{
    if (slice_eq(name, "*")) {
        return &wishes->others;
    }
    if (slice_eq_nocase(name, "gzip") || slice_eq_nocase(name, "x-gzip")) {
        return &wishes->quality[CODING_GZIP];
    }
    if (slice_eq_nocase(name, "zstd")) {
        return &wishes->quality[CODING_ZSTD];
    }
    return slice_eq_nocase(name, "identity") ? &wishes->quality[CODING_IDENTITY] : NULL;
}

static void
take_wish(struct wishes *wishes, struct slice member)
{
    int *place = place_of(wishes, http_scan_token(&member));
    int quality = take_weight(&member);
    if (place != NULL && quality > *place) {
        *place = quality;
    }
}

static struct wishes
read_wishes(const struct http_request *request)
{
    struct wishes wishes = {.quality = {UNSAID, UNSAID, UNSAID, UNSAID}, .others = UNSAID};
    for (size_t i = 0; i < request->n_headers; i++) {
        struct slice list = request->headers[i].value;
        if (slice_eq_nocase(request->headers[i].name, "Accept-Encoding")) {
            while (list.len != 0) {
                take_wish(&wishes, http_scan_member(&list));
            }
        }
    }
    return wishes;
}

bool
http_encoding_choose(const struct http_request *request, uint32_t offered, enum coding *coding)
{
    struct wishes wishes = read_wishes(request);
    int identity = wishes.quality[CODING_IDENTITY];
    bool named = wishes.quality[CODING_ZSTD] != UNSAID;
    const enum coding order[] = {
        named ? CODING_ZSTD : CODING_GZIP, named ? CODING_GZIP : CODING_ZSTD};
    int best = identity == UNSAID ? wishes.others : identity;
    bool refused = best == 0;
    *coding = CODING_IDENTITY;
    best = best < 1 ? 1 : best; /* among equals the coded one; what has 0 is never taken */
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        int quality = wishes.quality[order[i]];
        quality = quality == UNSAID ? wishes.others : quality;
        bool better = *coding == CODING_IDENTITY ? quality >= best : quality > best;
        if ((offered & CODING_BIT(order[i])) != 0 && better) {
            *coding = order[i];
            best = quality;
        }
    }
    return *coding != CODING_IDENTITY || !refused;
}
