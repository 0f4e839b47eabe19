/* fuzz_file_ndjson: see file_check.h; lines of JSON, and the same as text. */
#include "file_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    file_check(FILE_NDJSON, bytes, len);
    file_check(FILE_TEXT, bytes, len);
    return 0;
}
