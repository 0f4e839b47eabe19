/* unit: one suite a program. A test file lists its tests and ends with UNIT_MAIN. */
#ifndef HEADGATE_UNIT_H
#define HEADGATE_UNIT_H

#include <check.h>
#include <stdlib.h>

/* UNIT_MAIN: run the tests named in the NULL-terminated array; CK_FORK as the environment says. */
#define UNIT_MAIN(suite_name, ...)                                                                 \
    int main(void)                                                                                 \
    {                                                                                              \
        const TTest *const tests[] = {__VA_ARGS__};                                                \
        Suite *suite = suite_create(suite_name);                                                   \
        TCase *tcase = tcase_create(suite_name);                                                   \
        tcase_set_timeout(tcase, 120);                                                             \
        for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {                                \
            tcase_add_test(tcase, tests[i]);                                                       \
        }                                                                                          \
        suite_add_tcase(suite, tcase);                                                             \
        SRunner *runner = srunner_create(suite);                                                   \
        srunner_run_all(runner, CK_NORMAL);                                                        \
        int failed = srunner_ntests_failed(runner);                                                \
        srunner_free(runner);                                                                      \
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;                                          \
    }

#endif
