/* fuzz_config: the input is a configuration file. It is refused with printable lines, or taken;
 * what is taken must print to a file that is taken too and prints the same. */
#include "../unit/fake_connector.h"
#include "bound.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void
must(int condition)
{
    if (!condition) {
        abort();
    }
}

/* Load text; what was said goes to *errors. */
static int
load(struct config *config, const char *text, size_t len, char **errors)
{
    size_t errors_len = 0;
    FILE *out = open_memstream(errors, &errors_len);
    must(out != NULL);
    int result = config_load_text(config, "f", text, len, out);
    fclose(out);
    must((result == 0) == (errors_len == 0));
    must(errors_len == 0 || (*errors)[errors_len - 1] == '\n');
    for (size_t i = 0; i < errors_len; i++) {
        unsigned char c = (unsigned char)(*errors)[i];
        must(c >= 0x20 || c == '\n');
    }
    return result;
}

static char *
print_and_free(struct config *config, size_t *len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, len);
    must(out != NULL);
    config_print(config, out);
    fclose(out);
    struct bound bound;
    bound_compute(&bound, config);
    must(bound.total_bytes >= bound.base_bytes);
    config_fini(config);
    return text;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct config config;
    char *errors;
    if (load(&config, (const char *)bytes, len, &errors) == 0) {
        size_t first_len;
        size_t second_len;
        char *first = print_and_free(&config, &first_len);
        free(errors);
        must(load(&config, first, first_len, &errors) == 0);
        char *second = print_and_free(&config, &second_len);
        must(first_len == second_len && memcmp(first, second, first_len) == 0);
        free(first);
        free(second);
    }
    free(errors);
    return 0;
}
