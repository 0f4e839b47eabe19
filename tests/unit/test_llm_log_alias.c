/* What upstreams call answers: which names are kept, which is found, what is passed over. */
#include "unit.h"

#include "../../connectors/llm_log.h"
#include "../../connectors/llm_log_alias.h"
#include "stream.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define ID_SIZE (LLM_LOG_ID_MAX + 1)

static void
take(struct llm_log_aliases *aliases, int64_t offset, const char *id, const char *alias)
{
    llm_log_aliases_take(aliases, offset, id, strlen(id), alias, strlen(alias));
}

/* Which answer it is; "": none. */
static const char *
find(struct llm_log_aliases *aliases, const char *alias)
{
    static char id[ID_SIZE];
    return llm_log_aliases_find(aliases, alias, id, sizeof id) ? id : "";
}

START_TEST(an_answer_is_found_by_what_its_upstream_calls_it)
{
    struct llm_log_aliases *aliases = llm_log_aliases_new(10);
    ck_assert_str_eq(find(aliases, "resp_1"), "");
    take(aliases, 1, "one", "resp_1");
    take(aliases, 2, "two", "resp_2");
    ck_assert_str_eq(find(aliases, "resp_1"), "one");
    ck_assert_str_eq(find(aliases, "resp_2"), "two");
    ck_assert_str_eq(find(aliases, "resp_"), "");
    ck_assert_str_eq(find(aliases, "resp_11"), "");
    ck_assert_str_eq(find(aliases, ""), "");
    char small[3];
    ck_assert(!llm_log_aliases_find(aliases, "resp_1", small, sizeof small));
    llm_log_aliases_clear(aliases);
    ck_assert_str_eq(find(aliases, "resp_1"), "");
    llm_log_aliases_free(aliases);
}
END_TEST

START_TEST(of_two_answers_of_one_name_the_later_one_is_found)
{
    struct llm_log_aliases *aliases = llm_log_aliases_new(10);
    take(aliases, 5, "later", "resp");
    take(aliases, 3, "earlier", "resp"); /* the past is read after what comes */
    ck_assert_str_eq(find(aliases, "resp"), "later");
    take(aliases, 5, "again", "resp");
    ck_assert_str_eq(find(aliases, "resp"), "later");
    take(aliases, 6, "latest", "resp");
    ck_assert_str_eq(find(aliases, "resp"), "latest");
    llm_log_aliases_free(aliases);
}
END_TEST

START_TEST(the_oldest_go_whatever_came_first)
{
    struct llm_log_aliases *aliases = llm_log_aliases_new(3);
    take(aliases, 10, "live", "a");
    take(aliases, 1, "past", "b");
    take(aliases, 2, "past", "c");
    take(aliases, 11, "live", "d"); /* b is the oldest */
    ck_assert_str_eq(find(aliases, "b"), "");
    ck_assert_str_eq(find(aliases, "c"), "past");
    take(aliases, 1, "past", "e"); /* older than all there are */
    ck_assert_str_eq(find(aliases, "e"), "");
    take(aliases, 3, "past", "f");
    ck_assert_str_eq(find(aliases, "c"), "");
    ck_assert_str_eq(find(aliases, "f"), "past");
    ck_assert_str_eq(find(aliases, "a"), "live");
    ck_assert_str_eq(find(aliases, "d"), "live");
    llm_log_aliases_free(aliases);
}
END_TEST

START_TEST(no_more_than_the_most_are_kept)
{
    char alias[32], id[32];
    struct llm_log_aliases *aliases = llm_log_aliases_new(100);
    for (int i = 0; i < 1000; i++) {
        snprintf(alias, sizeof alias, "resp_%d", i);
        snprintf(id, sizeof id, "id-%d", i);
        take(aliases, i, id, alias);
    }
    for (int i = 0; i < 1000; i++) {
        snprintf(alias, sizeof alias, "resp_%d", i);
        snprintf(id, sizeof id, "id-%d", i);
        ck_assert_str_eq(find(aliases, alias), i < 900 ? "" : id);
    }
    llm_log_aliases_free(aliases);
}
END_TEST

START_TEST(what_can_be_no_name_is_passed_over)
{
    char text[STREAM_ALIAS_MAX + 2];
    memset(text, 'x', sizeof text);
    struct llm_log_aliases *aliases = llm_log_aliases_new(10);
    const struct {
        const char *id;
        size_t id_len;
        const char *alias;
        size_t alias_len;
    } bad[] = {{NULL, 0, "a", 1}, {"", 0, "a", 1}, {"i\0d", 3, "a", 1}, {"id", 2, NULL, 0},
        {"id", 2, "", 0}, {"id", 2, "a\0b", 3}, {"id", 2, text, STREAM_ALIAS_MAX + 1},
        {text, LLM_LOG_ID_MAX + 1, "a", 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        llm_log_aliases_take(aliases, 1, bad[i].id, bad[i].id_len, bad[i].alias, bad[i].alias_len);
        ck_assert_str_eq(find(aliases, "a"), "");
        ck_assert_str_eq(find(aliases, ""), "");
    }
    llm_log_aliases_take(aliases, 1, text, LLM_LOG_ID_MAX, text, STREAM_ALIAS_MAX);
    text[STREAM_ALIAS_MAX] = '\0';
    ck_assert_uint_eq(strlen(find(aliases, text)), LLM_LOG_ID_MAX);
    llm_log_aliases_free(aliases);
}
END_TEST

static void *
look_for(void *aliases)
{
    for (int i = 0; i < 2000; i++) {
        const char *const ids[] = {"even", "odd"};
        char id[ID_SIZE];
        if (llm_log_aliases_find(aliases, "resp", id, sizeof id)) {
            ck_assert(strcmp(id, ids[0]) == 0 || strcmp(id, ids[1]) == 0);
        }
    }
    return NULL;
}

START_TEST(it_is_asked_while_it_changes)
{
    pthread_t thread;
    struct llm_log_aliases *aliases = llm_log_aliases_new(2);
    ck_assert_int_eq(pthread_create(&thread, NULL, look_for, aliases), 0);
    for (int i = 0; i < 2000; i++) {
        take(aliases, i, i % 2 == 0 ? "even" : "odd", "resp");
    }
    pthread_join(thread, NULL);
    ck_assert_str_eq(find(aliases, "resp"), "odd");
    llm_log_aliases_free(aliases);
}
END_TEST

UNIT_MAIN("llm_log_alias", an_answer_is_found_by_what_its_upstream_calls_it,
    of_two_answers_of_one_name_the_later_one_is_found, the_oldest_go_whatever_came_first,
    no_more_than_the_most_are_kept, what_can_be_no_name_is_passed_over,
    it_is_asked_while_it_changes)
