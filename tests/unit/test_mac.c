/* test_mac: the published test cases of HMAC-SHA256. */
#include "mac.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static void
expect(const void *key, size_t key_len, const char *text, size_t len, const char *hex)
{
    uint8_t mac[MAC_BYTES];
    char got[2 * MAC_BYTES + 1];
    struct mac_key *ready = mac_key_new(key, key_len);
    for (int round = 0; round < 2; round++) { /* a code leaves the key as it was */
        mac_compute(ready, text, len, mac);
        for (size_t i = 0; i < sizeof mac; i++) {
            snprintf(got + 2 * i, 3, "%02x", mac[i]);
        }
        ck_assert_str_eq(got, hex);
    }
    mac_key_free(ready);
}

START_TEST(the_test_cases_of_rfc_4231_come_out)
{
    char key[131], text[50];
    memset(key, 0x0b, 20);
    expect(
        key, 20, "Hi There", 8, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    expect("Jefe", 4, "what do ya want for nothing?", 28,
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    memset(text, 0xdd, sizeof text);
    expect(key, 20, text, 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    const char large[] = "Test Using Larger Than Block-Size Key - Hash Key First";
    expect(key, sizeof key, large, sizeof large - 1,
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}
END_TEST

START_TEST(an_empty_key_and_text_are_fine)
{
    expect("", 0, "", 0, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    mac_key_free(NULL);
}
END_TEST

UNIT_MAIN("mac", the_test_cases_of_rfc_4231_come_out, an_empty_key_and_text_are_fine)
