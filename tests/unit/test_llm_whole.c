/* The object of an answer that was not streamed, of the upstream's own events: what they say in
 * full, to the byte. Recorded answers are in tests/llm/corpus. */
#include "read_file.h"
#include "unit.h"

#include "../../connectors/llm_whole.h"
#include "../../gateway/json.h"

#include <stdio.h>
#include <string.h>

static const struct llm_limits limits = {.max_event_bytes = 1 << 20, .max_answer_bytes = 1 << 22};

/* Of those bytes; NUL-terminated. Its size is bounded by most; false: it is over. */
static bool
make(const struct llm_dialect *dialect, const char *bytes, size_t len, size_t most, struct buf *out)
{
    struct llm_whole *whole = llm_whole_new(dialect, most);
    struct llm_decoder *decoder = llm_decoder_new(dialect, &limits);
    struct llm_event event;
    size_t start, end;
    llm_decoder_keep_raw(decoder);
    llm_decoder_feed(decoder, bytes, len);
    llm_decoder_finish(decoder);
    for (; llm_decoder_peek(decoder, &event); llm_decoder_take(decoder)) {
        if (event.kind == LLM_RAW) {
            llm_whole_event(whole, &event);
        }
    }
    bool good = !llm_whole_is_over(whole);
    if (good) {
        llm_whole_add(whole, out);
        ck_assert_int_eq(json_scan(out->bytes, out->len, &start, &end), JSON_ONE_LINE);
        buf_addc(out, '\0');
    }
    llm_decoder_free(decoder);
    llm_whole_free(whole);
    return good;
}

static void
check(const struct llm_dialect *dialect, const char *name, const char *expected)
{
    char path[128];
    struct buf in, out;
    buf_init(&in);
    buf_init(&out);
    snprintf(path, sizeof path, "tests/llm/corpus/%s.in", name);
    ck_assert_msg(read_file(path, &in), "%s is not there", path);
    ck_assert(make(dialect, in.bytes, in.len, 1 << 20, &out));
    ck_assert_str_eq(out.bytes, expected);
    buf_fini(&in);
    buf_fini(&out);
}

#define MESSAGE                                                                                    \
    "{\"id\":\"msg_01\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-test-1\","

START_TEST(a_message_has_the_blocks_of_the_servers_own_tools)
{
    check(&llm_anthropic, "anthropic/server_tool",
        MESSAGE "\"stop_sequence\":null,\"stop_reason\":\"end_turn\",\"content\":["
                "{\"type\":\"server_tool_use\",\"id\":\"srvtoolu_1\",\"name\":\"web_search\","
                "\"input\":{\"query\":\"x\"}},"
                "{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"srvtoolu_1\","
                "\"content\":[]},{\"type\":\"text\",\"text\":\"Found.\"}],"
                "\"usage\":{\"input_tokens\":25,\"output_tokens\":15,"
                "\"server_tool_use\":{\"web_search_requests\":1}}}");
}
END_TEST

START_TEST(citations_follow_their_text_and_arguments_that_were_cut_are_none)
{
    check(&llm_anthropic, "anthropic/citations",
        MESSAGE "\"stop_sequence\":null,\"stop_reason\":\"end_turn\",\"content\":["
                "{\"type\":\"text\",\"text\":\"The grass is green.\",\"citations\":["
                "{\"type\":\"char_location\",\"cited_text\":\"The grass is green.\","
                "\"document_index\":0,\"document_title\":\"Example\",\"start_char_index\":0,"
                "\"end_char_index\":20}]}],\"usage\":{\"input_tokens\":25,\"output_tokens\":15}}");
    check(&llm_anthropic, "anthropic/max_tokens_in_a_tool",
        MESSAGE "\"stop_sequence\":null,\"stop_reason\":\"max_tokens\",\"content\":["
                "{\"type\":\"tool_use\",\"id\":\"toolu_01\",\"name\":\"f\",\"input\":{}}],"
                "\"usage\":{\"input_tokens\":25,\"output_tokens\":64}}");
}
END_TEST

#define EVENT(type, rest) "data: {\"type\":\"" type "\"," rest "}\n\n"

/* Nothing that is null takes the place of something; what nobody knows yet is passed on. */
START_TEST(what_comes_later_counts_but_for_null)
{
    static const char bytes[] = EVENT("message_start",
        "\"message\":{\"id\":\"m\",\"content\":[],\"stop_reason\":null,"
        "\"usage\":{\"input_tokens\":7,\"tier\":\"a\",\"new\":null}}") EVENT("content_block_start",
        "\"index\":0,\"content_block\":{\"type\":\"thinking\","
        "\"thinking\":\"\",\"signature\":\"old\"}") EVENT("content_block_delta",
        "\"index\":0,\"delta\":{\"type\":\"thinking_delta\","
        "\"thinking\":\"\\ud83d\"}") EVENT("content_block_delta",
        "\"index\":0,\"delta\":{\"type\":\"thinking_delta\","
        "\"thinking\":\"\\ude00\"}") EVENT("content_block_delta",
        "\"index\":0,\"delta\":{\"type\":\"signature_delta\","
        "\"signature\":\"new\"}")
        EVENT("content_block_start", "\"index\":1,\"content_block\":{\"type\":\"unheard_of\","
                                     "\"n\":12345678901234567890123}") EVENT("content_block_delta",
            "\"index\":9,\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"}")
            EVENT("message_delta", "\"delta\":{\"stop_reason\":\"end_turn\",\"container\":null},"
                                   "\"usage\":{\"input_tokens\":null,\"output_tokens\":3,\"new\":"
                                   "null}") "data: {\"type\":\"message_stop\"}\n\n";
    struct buf out;
    buf_init(&out);
    ck_assert(make(&llm_anthropic, bytes, sizeof bytes - 1, 1 << 20, &out));
    ck_assert_str_eq(out.bytes,
        "{\"id\":\"m\",\"stop_reason\":\"end_turn\",\"container\":null,\"content\":["
        "{\"type\":\"thinking\",\"thinking\":\"\\ud83d\\ude00\",\"signature\":\"new\"},"
        "{\"type\":\"unheard_of\",\"n\":12345678901234567890123}],"
        "\"usage\":{\"input_tokens\":7,\"tier\":\"a\",\"new\":null,\"output_tokens\":3}}");
    buf_fini(&out);
}
END_TEST

START_TEST(a_response_is_what_its_last_event_has)
{
    static const char bytes[] =
        EVENT("response.created", "\"response\":{\"id\":\"r\",\"status\":\"in_progress\"}")
            EVENT("response.completed", "\"response\":{\"id\":\"r\", \"status\":\"completed\","
                                        "\"output\":[{\"type\":\"web_search_call\"}]}");
    struct buf out;
    buf_init(&out);
    ck_assert(make(&llm_responses, bytes, sizeof bytes - 1, 1 << 20, &out));
    ck_assert_str_eq(out.bytes,
        "{\"id\":\"r\",\"status\":\"completed\",\"output\":[{\"type\":\"web_search_call\"}]}");
    buf_fini(&out);
}
END_TEST

START_TEST(what_is_kept_is_bounded)
{
    struct buf in, out;
    buf_init(&in);
    buf_init(&out);
    buf_adds(&in, EVENT("content_block_start",
                      "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}"));
    for (int i = 0; i < 100; i++) {
        buf_adds(
            &in, EVENT("content_block_delta", "\"index\":0,\"delta\":{\"text\":\"0123456789\"}"));
    }
    ck_assert(!make(&llm_anthropic, in.bytes, in.len, 900, &out));
    ck_assert(make(&llm_anthropic, in.bytes, in.len, 2000, &out));
    ck_assert_ptr_null(llm_whole_new(&llm_openai, 900));
    buf_fini(&in);
    buf_fini(&out);
}
END_TEST

UNIT_MAIN("llm_whole", a_message_has_the_blocks_of_the_servers_own_tools,
    citations_follow_their_text_and_arguments_that_were_cut_are_none,
    what_comes_later_counts_but_for_null, a_response_is_what_its_last_event_has,
    what_is_kept_is_bounded)
