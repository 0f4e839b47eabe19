/* config_words: kinds and bounds of keys in words. Thread init. */
#include "config_words.h"

#include "config_field.h"

#include <stdlib.h>

void
config_words_bounds(struct buf *out, const struct config_key *key)
{
    char least[64];
    char most[64];
    config_field_format_number(key, least, key->least);
    config_field_format_number(key, most, key->most);
    if (key->most != 0) {
        buf_addf(out, "%s to %s", least, most);
    } else if (key->least != 0) {
        buf_addf(out, "at least %s", least);
    }
}

static void
add_choices(struct buf *out, const struct config_key *key, const char *introduction)
{
    buf_adds(out, introduction);
    for (size_t i = 0; key->choices[i] != NULL; i++) {
        buf_addf(out, "%s%s", i == 0 ? "" : ", ", key->choices[i]);
    }
}

static void
add_bounded(struct buf *out, const struct config_key *key, const char *introduction)
{
    buf_adds(out, introduction);
    if (key->least != 0 || key->most != 0) {
        buf_adds(out, ", ");
        config_words_bounds(out, key);
    }
    if (key->zero_word != NULL) {
        buf_addf(out, ", or %s", key->zero_word);
    }
}

void
config_words_kind(struct buf *out, const struct config_key *key)
{
    switch (key->kind) {
    case CONFIG_STRING:
        buf_adds(out, "text");
        break;
    case CONFIG_SECRET:
        buf_adds(out, "secret text");
        break;
    case CONFIG_BOOL:
        buf_adds(out, "true or false");
        break;
    case CONFIG_COUNT:
        add_bounded(out, key, "number");
        break;
    case CONFIG_BYTES:
        add_bounded(out, key, "size");
        break;
    case CONFIG_DURATION:
        add_bounded(out, key, "duration");
        break;
    case CONFIG_ENUM:
        add_choices(out, key, "one of ");
        break;
    case CONFIG_ENUM_SET:
        add_choices(out, key, "list of ");
        break;
    case CONFIG_STRINGS:
        buf_adds(out, "text, or a list of it");
        break;
    case CONFIG_SECRETS:
        buf_adds(out, "secret text, or a list of it");
        break;
    case CONFIG_PAIRS:
        buf_adds(out, "mapping of names to text");
        break;
    case CONFIG_SECTION:
        buf_adds(out, "mapping");
        break;
    case CONFIG_SECTIONS:
        buf_adds(out, "list of mappings");
        break;
    case CONFIG_CUSTOM:
        buf_adds(out, key->fallback != NULL ? "address" : "mapping");
        break;
    }
}
