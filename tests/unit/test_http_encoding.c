/* test_http_encoding: which coding Accept-Encoding gets. */
#include "http_encoding.h"
#include "unit.h"

#include <string.h>

#define BOTH (CODING_BIT(CODING_GZIP) | CODING_BIT(CODING_ZSTD))
#define REFUSED (-1)

/* What is chosen for the header values; NULL: no header. */
static int
chosen(uint32_t offered, const char *first, const char *second)
{
    struct http_request request = {.method = HTTP_GET};
    enum coding coding;
    const char *const values[] = {first, second};
    for (size_t i = 0; i < 2; i++) {
        if (values[i] != NULL) {
            request.headers[request.n_headers++] =
                (struct http_header){{"accept-encoding", 15}, {values[i], strlen(values[i])}};
        }
    }
    return http_encoding_choose(&request, offered, &coding) ? (int)coding : REFUSED;
}

START_TEST(best_coding_is_chosen)
{
    static const struct {
        const char *header;
        int coding;
    } cases[] = {
        {"", CODING_IDENTITY},
        {"gzip", CODING_GZIP},
        {"GZip", CODING_GZIP},
        {"x-gzip", CODING_GZIP},
        {"zstd", CODING_ZSTD},
        {"deflate, br", CODING_IDENTITY},
        {"gzip, deflate", CODING_GZIP},
        {"deflate, gzip, br, zstd", CODING_ZSTD},
        {"gzip, deflate, br, zstd", CODING_ZSTD},
        {"gzip, zstd;q=0.9", CODING_GZIP},
        {"gzip;q=0.9, zstd", CODING_ZSTD},
        {"gzip;q=0.9,zstd;q=0.8", CODING_GZIP},
        {"gzip ; q=0.001", CODING_GZIP},
        {"gzip;q=0", CODING_IDENTITY},
        {"gzip;q=0.000, zstd;q=0.1", CODING_ZSTD},
        {"gzip;q=0.5, identity", CODING_IDENTITY},
        {"gzip;q=0.5, identity;q=0.5", CODING_GZIP},
        {"gzip;q=0.4, identity;q=0.5, zstd;q=0.6", CODING_ZSTD},
        {"*", CODING_GZIP},
        {"*;q=0.1", CODING_GZIP},
        {"*;q=0", REFUSED},
        {"*;q=0, gzip;q=0.1", CODING_GZIP},
        {"*;q=0, identity", CODING_IDENTITY},
        {"gzip;q=0, *", CODING_ZSTD},
        {"identity;q=0", REFUSED},
        {"identity;q=0, br", REFUSED},
        {"identity;q=0, gzip;q=0.2", CODING_GZIP},
        {"identity;q=0, *;q=0.1", CODING_GZIP},
        {"identity;q=0.5, *;q=0", CODING_IDENTITY},
        {"br;q=1, *;q=0.5", CODING_GZIP},
        {"gzip;q=2", CODING_IDENTITY},
        {"gzip;q=", CODING_IDENTITY},
        {"gzip;q=0.1x", CODING_IDENTITY},
        {"gzip;level=3", CODING_IDENTITY},
        {"gzip;q=0.2;q=0.3", CODING_IDENTITY},
        {"gzip zstd", CODING_IDENTITY},
        {",,\t, gzip,", CODING_GZIP},
        {"\"gzip\"", CODING_IDENTITY},
        {"foo=\"a, gzip\", zstd", CODING_ZSTD},
        {"gzip;q=0, gzip", CODING_GZIP},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int got = chosen(BOTH, cases[i].header, NULL);
        ck_assert_msg(
            got == cases[i].coding, "%s: %d, not %d", cases[i].header, got, cases[i].coding);
    }
}
END_TEST

START_TEST(without_the_header_nothing_is_coded)
{
    ck_assert_int_eq(chosen(BOTH, NULL, NULL), CODING_IDENTITY);
}
END_TEST

START_TEST(headers_are_one_list)
{
    ck_assert_int_eq(chosen(BOTH, "gzip;q=0.1", "zstd;q=0.2"), CODING_ZSTD);
    ck_assert_int_eq(chosen(BOTH, "br", "gzip"), CODING_GZIP);
}
END_TEST

START_TEST(only_what_is_offered_is_chosen)
{
    ck_assert_int_eq(chosen(CODING_BIT(CODING_ZSTD), "gzip, zstd;q=0.1", NULL), CODING_ZSTD);
    ck_assert_int_eq(chosen(CODING_BIT(CODING_GZIP), "gzip;q=0.1, zstd", NULL), CODING_GZIP);
    ck_assert_int_eq(chosen(CODING_BIT(CODING_MESSAGE), "gzip, zstd, *", NULL), CODING_IDENTITY);
    ck_assert_int_eq(chosen(0, "gzip", NULL), CODING_IDENTITY);
    ck_assert_int_eq(chosen(0, "gzip, identity;q=0", NULL), REFUSED);
}
END_TEST

UNIT_MAIN("http_encoding", best_coding_is_chosen, without_the_header_nothing_is_coded,
    headers_are_one_list, only_what_is_offered_is_chosen)
