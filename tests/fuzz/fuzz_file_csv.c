/* fuzz_file_csv: see file_check.h. */
#include "file_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    file_check(FILE_CSV, bytes, len);
    return 0;
}
