"""The official Python SDKs, as a program that a test asks: as sdk.mjs, with the text of each answer."""

import functools
import json
import sys
from concurrent.futures import ThreadPoolExecutor

import anthropic
import openai


def chat(client, job):
    text = ""
    for chunk in client.chat.completions.create(**job["body"], stream=True):
        for choice in chunk.choices:
            content = choice.delta.content  # of one server a list of parts
            text += content if isinstance(content, str) else ""
            text += choice.delta.refusal or ""
    return text


def responses(client, job):
    deltas = ("response.output_text.delta", "response.refusal.delta")
    with client.responses.create(**job["body"], stream=True) as stream:
        return "".join(event.delta for event in stream if event.type in deltas)


def responses_resume(client, job):
    """Those behind the third event, asked for again, are those that came then."""
    whole = list(client.responses.create(**job["body"], stream=True))
    rest = list(client.responses.retrieve(
        whole[0].response.id, stream=True, starting_after=whole[2].sequence_number))
    assert [one.model_dump() for one in rest] == [one.model_dump() for one in whole[3:]]
    return str(len(rest))


def responses_retrieve(client, job):
    deltas = ("response.output_text.delta", "response.refusal.delta")
    with client.responses.retrieve(job["id"], stream=True) as stream:
        return "".join(event.delta for event in stream if event.type in deltas)


def responses_stop(client, job):
    told = client.responses.cancel(job["id"])
    return f"{told.id} {told.status}"


def messages(client, job):
    with client.messages.create(**job["body"], stream=True) as stream:
        deltas = [one.delta for one in stream if one.type == "content_block_delta"]
    return "".join(delta.text for delta in deltas if delta.type == "text_delta")


@functools.cache
def client_of(maker, base_url):
    return maker(api_key="sk-of-the-client", base_url=base_url, max_retries=0, timeout=60)


def run(job):
    maker = anthropic.Anthropic if job["call"] == "messages" else openai.OpenAI
    try:
        text = globals()[job["call"]](client_of(maker, job["baseURL"]), job)
        return {"text": text, "error": None}
    except (openai.OpenAIError, anthropic.AnthropicError) as error:
        return {"text": None, "error": type(error).__name__}


if __name__ == "__main__":
    with ThreadPoolExecutor(8) as pool:
        json.dump(list(pool.map(run, json.load(sys.stdin))), sys.stdout)
