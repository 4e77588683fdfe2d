"""What Anthropic's Python SDK builds on top of the API, against Dagway: two arguments, the base URL and the lane.

Accumulators, tool runners, parsed output, paging, typed errors, retries, the asynchronous client, raw responses.
Ends with status 1 and a sentence on a fault.
"""

import asyncio
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import List, Literal

import anthropic
from anthropic import beta_async_tool, beta_tool
from pydantic import BaseModel

BASE_URL, LANE = sys.argv[1:]
MODEL = "claude-sonnet-5-5"
THINKING = {"type": "adaptive"}
client = anthropic.Anthropic(base_url=BASE_URL, api_key="dummy", max_retries=0, timeout=60)
patient = client.with_options(max_retries=2)


def sim(*turns):
    return [{"role": "user", "content": "SIM[" + json.dumps({"turns": turns}) + "]"}]


def call(name, **args):
    return {"name": name, "args": args}


def check(holds, what):
    if not holds:
        raise SystemExit(f"FAILED: {what}")


def events():
    """The helper events agree with the message that was accumulated from them."""
    turn = {"think": "I must think about it for a while.", "text": "Looking it up, wörd for wörd.",
            "tools": [call("look_up", word="a" * 60, deep={"list": [1, 2.5, None, "ä\"\\"]}), call("look_up", word="b" * 60)],
            "interleave": True}
    tool = {"name": "look_up", "description": "Looks up.", "input_schema": {"type": "object", "properties": {}}}
    seen, text, thinking, snapshots, partial = [], "", "", [], ""
    with client.messages.stream(model=MODEL, max_tokens=4000, thinking=THINKING, tools=[tool], messages=sim(turn)) as stream:
        for event in stream:
            seen.append(event.type)
            if event.type == "text":
                text += event.text
                check(event.snapshot == text, f"the snapshot {event.snapshot!r} of {text!r}")
            elif event.type == "thinking":
                thinking += event.thinking
                check(event.snapshot == thinking, f"the snapshot {event.snapshot!r} of {thinking!r}")
            elif event.type == "input_json":
                partial += event.partial_json
                snapshots.append(event.snapshot)
            elif event.type == "content_block_stop" and event.content_block.type == "tool_use":
                check(json.loads(partial) == event.content_block.input, f"{partial!r} is the input of {event.content_block}")
                partial = ""
        message = stream.get_final_message()
        check(stream.request_id, "a stream has a request id")
    check(text == turn["text"] and thinking == turn["think"], f"the text {text!r}, the thinking {thinking!r}")
    check(all(isinstance(snapshot, dict) for snapshot in snapshots), f"partial inputs are objects: {snapshots}")
    kinds = [block.type for block in message.content]
    check(kinds == ["thinking", "text", "tool_use", "tool_use"], f"the blocks {kinds}")
    inputs = [block.input for block in message.content[2:]]
    check(inputs == [tool["args"] for tool in turn["tools"]], f"the inputs {inputs}")
    check("signature" in seen and message.content[0].signature, "a thought is signed")
    check(seen[0] == "message_start" and seen[-1] == "message_stop", f"the events {seen}")
    check(seen.count("content_block_start") == seen.count("content_block_stop") == 4, f"the events {seen}")
    with client.messages.stream(model=MODEL, max_tokens=400, messages=sim({"text": "Only text."})) as stream:
        check(stream.get_final_text() == "Only text.", "the final text")
    raw = client.messages.create(model=MODEL, max_tokens=400, stream=True, messages=sim({"text": "Raw events."}))
    text = "".join(event.delta.text for event in raw if event.type == "content_block_delta")
    check(text == "Raw events.", f"the text of raw events {text!r}")


def cited():
    """Citations of a web search are events, and stand in the message."""
    page = {"url": "https://example.com/dag", "title": "On DAGs"}
    tool = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
    messages = sim({"text": "Graphs have no cycles.", "citations": [page]})
    with client.messages.stream(model=MODEL, max_tokens=400, tools=[tool], messages=messages) as stream:
        cited = [event.citation for event in stream if event.type == "citation"]
        message = stream.get_final_message()
    check([citation.url for citation in cited] == [page["url"]], f"the citations {cited}")
    kinds = [block.type for block in message.content]
    check("server_tool_use" in kinds and "web_search_tool_result" in kinds, f"the blocks {kinds}")
    found = next(block for block in message.content if block.type == "web_search_tool_result")
    check([hit.title for hit in found.content] == ["On DAGs"], f"the hits {found}")
    check(message.usage.server_tool_use.web_search_requests == 1, f"the usage {message.usage}")


TURNS = [
    {"think": "Both cities at once.", "tools": [call("weather", city="Bonn"), call("weather", city="Köln", unit="F")], "interleave": True},
    {"text": "One more.", "tools": [call("add", a=19, b=23), call("fails")]},
    {"text": "It is 42 and mild."},
]


def run_tools():
    """The tool runner calls real functions, in parallel turns, until there is an answer."""
    for streams in (False, True):
        called = []

        @beta_tool
        def weather(city: str, unit: Literal["C", "F"] = "C") -> str:
            """Tells the weather of a city.

            Args:
                city: The city.
                unit: The unit of the temperature.
            """
            called.append(("weather", city, unit))
            return f"mild in {city}"

        @beta_tool
        def add(a: int, b: int) -> str:
            """Adds two numbers."""
            called.append(("add", a, b))
            return str(a + b)

        @beta_tool
        def fails() -> str:
            """Fails."""
            called.append(("fails",))
            raise ValueError("it had to fail")

        runner = client.beta.messages.tool_runner(
            model=MODEL, max_tokens=4000, thinking=THINKING, tools=[weather, add, fails], messages=sim(*TURNS), stream=streams)
        turns = 0
        for item in runner:
            turns += 1
            message = item.get_final_message() if streams else item
        check(turns == 3, f"{turns} turns")
        check(message.content[-1].text == "It is 42 and mild.", f"the last message {message}")
        expected = [("weather", "Bonn", "C"), ("weather", "Köln", "F"), ("add", 19, 23), ("fails",)]
        check(called == expected, f"the calls {called}")


class Invoice(BaseModel):
    title: str
    kind: Literal["paid", "open"]
    tags: List[str]
    total: float


def parsed():
    """Structured output becomes an object, whole, streamed, with the schema that the model was given."""
    messages = [{"role": "user", "content": "An invoice, please."}]
    message = client.messages.parse(model=MODEL, max_tokens=400, messages=messages, output_format=Invoice)
    invoice = message.parsed_output
    check(isinstance(invoice, Invoice) and invoice.kind == "paid", f"the invoice {invoice}")
    message = client.beta.messages.parse(model=MODEL, max_tokens=400, messages=messages, output_format=Invoice)
    check(isinstance(message.parsed_output, Invoice), f"the invoice {message.parsed_output}")
    with client.messages.stream(model=MODEL, max_tokens=400, messages=messages, output_format=Invoice) as stream:
        message = stream.get_final_message()
    check(isinstance(message.parsed_output, Invoice), f"the streamed invoice {message.parsed_output}")
    asked = {"title": "T", "kind": "open", "tags": ["x"], "total": 1.5}
    message = client.messages.parse(model="openai/gpt-5", max_tokens=400, messages=sim({"text": json.dumps(asked)}), output_format=Invoice)
    check(message.parsed_output == Invoice(**asked), f"the invoice of another house {message.parsed_output}")


def edited():
    """What `context_management` cleared is told, in a message and at the end of a stream."""
    turns = [{"tools": [call("read", path="/a")]}, {"tools": [call("read", path="/b")]}, {"text": "Both read."}]
    messages = sim(*turns)
    for number, text in enumerate(["the first file " * 50, "the second file"]):
        use = {"type": "tool_use", "id": f"toolu_{number}", "name": "read", "input": {"path": "/a"}}
        messages.append({"role": "assistant", "content": [use]})
        result = {"type": "tool_result", "tool_use_id": use["id"], "content": text}
        messages.append({"role": "user", "content": [result]})
    one = {"type": "tool_uses", "value": 1}
    edits = [{"type": "clear_tool_uses_20250919", "trigger": one, "keep": one}]
    asked = {"model": "openai/gpt-5", "max_tokens": 400, "messages": messages, "betas": ["context-management-2025-06-27"],
             "tools": [{"name": "read", "description": "Reads.", "input_schema": {"type": "object", "properties": {}}}],
             "context_management": {"edits": edits}}
    with client.beta.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    for message in (client.beta.messages.create(**asked), streamed):
        check(message.content[0].text == "Both read.", f"the answer {message}")
        [edit] = message.context_management.applied_edits
        check(edit.type == "clear_tool_uses_20250919" and edit.cleared_tool_uses == 1, f"the edit {edit}")
        check(edit.cleared_input_tokens > 100, f"the tokens of the edit {edit}")


def paging():
    """Pages follow one another without gaps, forwards and by hand."""
    everything = [model.id for model in client.models.list(limit=1000)]
    check(len(everything) == len(set(everything)) >= 12, f"the models {everything}")
    by_pages = [model.id for model in client.models.list(limit=3)]
    check(by_pages == everything, f"{by_pages} by pages, {everything} at once")
    first = client.models.list(limit=5)
    check(first.has_next_page() and len(first.data) == 5, f"the first page {first}")
    second = first.get_next_page()
    check([model.id for model in second.data] == everything[5:10], f"the second page {second}")
    before = client.models.list(limit=5, before_id=second.data[0].id)
    check([model.id for model in before.data] == everything[:5], f"the page before {before}")
    for model in client.beta.models.list(limit=1000):
        check(model.max_input_tokens is None or model.max_input_tokens > 0, f"the window of {model}")


ERRORS = [
    (400, anthropic.BadRequestError, "invalid_request_error", False),
    (401, anthropic.AuthenticationError, "authentication_error", False),
    (402, anthropic.PaymentRequiredError, "billing_error", False),
    (403, anthropic.PermissionDeniedError, "permission_error", False),
    (404, anthropic.NotFoundError, "not_found_error", False),
    (413, anthropic.ContentTooLargeError, "request_too_large", False),
    (429, anthropic.RateLimitError, "rate_limit_error", True),
    (500, anthropic.InternalServerError, "api_error", True),
    (504, anthropic.GatewayTimeoutError, "timeout_error", True),
    (529, anthropic.OverloadedError, "overloaded_error", True),
]


def failing(status, **more):
    return sim({"fail": {"status": status, "times": 99, "message": f"status {status} for a test", **more}})


def failure(call):
    try:
        call()
    except anthropic.APIError as error:
        return error
    return check(False, "an error is expected, an answer came")


def errors():
    """Each status becomes the exception that was made for it, with its request id and whether to try again."""
    for status, kind, error_type, retry in ERRORS:
        # Dagway tries again what is worth it, so not everything is asked twice.
        for streams in (False, True) if status in (400, 529) else (False,):
            error = failure(lambda: client.messages.create(model=MODEL, max_tokens=400, messages=failing(status), stream=streams))
            check(type(error) is kind, f"{kind.__name__} expected for {status}, got {type(error).__name__}: {error}")
            check(error.status_code == status and error.type == error_type, f"{error.status_code} {error.type} for {status}")
            # What passes untouched names the upstream's own request.
            ids = {error.request_id, error.body["request_id"]}
            check(all(ids) and len(ids) == (1 if LANE == "chat" else 2), f"the request ids of {error}: {ids}")
            check(f"status {status} for a test" in error.api_message, f"the words of {error.api_message}")
            told = error.response.headers.get("x-should-retry")
            check(told == str(retry).lower(), f"x-should-retry is {told} for {status}")
    error = failure(lambda: client.messages.create(model="no-such-model", max_tokens=4, messages=[{"role": "user", "content": "x"}]))
    check(isinstance(error, (anthropic.BadRequestError, anthropic.NotFoundError)) and "no-such-model" in str(error), f"{error}")
    error = failure(lambda: client.beta.files.list())
    check(isinstance(error, anthropic.NotFoundError) and "Dagway" in str(error), f"what is not served says so: {error}")


def retries():
    """The SDK's own retry waits as long as it is told, and does not try what is hopeless."""
    # Dagway tries three times itself, a second apart; the fourth try is the SDK's.
    turn = {"fail": {"status": 429, "times": 3, "retry_after": 1}, "text": "After a while."}
    began = time.monotonic()
    message = patient.messages.create(model=MODEL, max_tokens=400, messages=sim(turn))
    took = time.monotonic() - began
    check(message.content[0].text == "After a while.", f"{message}")
    check(took >= 2.9, f"three waits of a second took {took} s")
    began = time.monotonic()
    error = failure(lambda: patient.messages.create(model=MODEL, max_tokens=400, messages=failing(429, retry_after=3000)))
    took = time.monotonic() - began
    check(isinstance(error, anthropic.RateLimitError) and took < 30, f"{error} after {took} s")
    check(error.response.headers["retry-after"] == "60", f"{error.response.headers}")
    turn = {"fail": {"status": 529, "times": 3}, "text": "No longer overloaded."}
    message = patient.messages.create(model=MODEL, max_tokens=400, messages=sim(turn))
    check(message.content[0].text == "No longer overloaded.", f"{message}")


def torn():
    """An error in mid-stream is an exception with its kind, and what had come before it is still there."""
    for kind in ("error", "bare_error", "finish_error", "cut", "close"):
        turn = {"text": "This is torn in the middle of it.", "break": {"after": 4, "times": 99, "kind": kind}}
        with client.messages.stream(model=MODEL, max_tokens=400, messages=sim(turn)) as stream:
            error = failure(stream.until_done)
            check(isinstance(error, anthropic.APIStatusError), f"{kind}: {type(error).__name__} {error}")
            check(error.body["type"] == "error" and error.body["error"]["type"] in ("api_error", "overloaded_error"), f"{kind}: {error.body}")
            check(error.request_id, f"{kind}: a request id")
            so_far = stream.current_message_snapshot.content
            check(not so_far or turn["text"].startswith(so_far[0].text), f"{kind}: what came before: {so_far}")


def hang_ups():
    """A client that has heard enough, and one that has lost its patience."""
    endless = {"text": "On and on and on. ", "chunks": 50_000, "pause_ms": 5}
    with client.messages.stream(model=MODEL, max_tokens=60_000, messages=sim(endless)) as stream:
        heard = [text for text, _ in zip(stream.text_stream, range(3))]
    check(len(heard) == 3, f"{heard}")
    silent = {"text": "Never said.", "break": {"after": 0, "kind": "hang", "times": 99}}
    error = failure(lambda: client.with_options(timeout=1.5).messages.create(
        model=MODEL, max_tokens=400, stream=True, messages=sim(silent)))
    check(isinstance(error, anthropic.APITimeoutError), f"{type(error).__name__} {error}")
    nobody = anthropic.Anthropic(base_url="http://127.0.0.1:9", api_key="dummy", max_retries=0)
    error = failure(lambda: nobody.models.list())
    check(type(error) is anthropic.APIConnectionError, f"{type(error).__name__} {error}")


def raw():
    """The headers of an answer, whole and streamed."""
    response = client.messages.with_raw_response.create(model=MODEL, max_tokens=400, messages=sim({"text": "Raw."}))
    check(response.headers["request-id"] == response.parse()._request_id, f"{response.headers}")
    check(response.headers["content-type"] == "application/json" and response.headers["x-dagway-run"], f"{response.headers}")
    check(response.parse().content[0].text == "Raw.", f"{response.parse()}")
    with client.messages.with_streaming_response.create(model=MODEL, max_tokens=400, stream=True, messages=sim({"text": "Raw."})) as response:
        check(response.headers["content-type"].startswith("text/event-stream"), f"{response.headers}")
        check(response.headers["request-id"] and response.headers["x-dagway-run"], f"{response.headers}")
        lines = list(response.iter_lines())
    check(lines[0] == "event: message_start" and "event: message_stop" in lines, f"{lines}")
    page = client.models.with_raw_response.list(limit=2)
    check(page.headers["request-id"] and len(page.parse().data) == 2, f"{page.headers}")


def counts():
    """A count knows tools, thinking and pictures, in both name spaces."""
    messages = [{"role": "user", "content": "Hello " * 200}]
    plain = client.messages.count_tokens(model=MODEL, messages=messages).input_tokens
    tool = {"name": "t", "description": "Looks up. " * 50, "input_schema": {"type": "object", "properties": {}}}
    more = client.beta.messages.count_tokens(model=MODEL, messages=messages, tools=[tool], system="Be brief.", thinking=THINKING).input_tokens
    check(200 <= plain < more < 2 * plain + 400, f"{plain} without, {more} with tools")
    with_schema = client.messages.count_tokens(model=MODEL, messages=messages, output_format=Invoice).input_tokens
    check(with_schema >= plain, f"{with_schema} with a schema")


async def asynchronous():
    """The asynchronous client: many at once, streams, tools, pages, and an error among them."""
    async with anthropic.AsyncAnthropic(base_url=BASE_URL, api_key="dummy", max_retries=0, timeout=60) as client:
        asked = [client.messages.create(model=MODEL, max_tokens=400, messages=sim({"text": f"Answer {n}."})) for n in range(12)]
        texts = [message.content[0].text for message in await asyncio.gather(*asked)]
        check(texts == [f"Answer {n}." for n in range(12)], f"{texts}")
        async with client.messages.stream(model=MODEL, max_tokens=400, messages=sim({"text": "In pieces, asynchronously."})) as stream:
            pieces = [piece async for piece in stream.text_stream]
            message = await stream.get_final_message()
        check(len(pieces) > 2 and "".join(pieces) == message.content[0].text, f"{pieces}")
        called = []

        @beta_async_tool
        async def weather(city: str, unit: str = "C") -> str:
            """Tells the weather."""
            called.append(city)
            return "mild"

        turns = [{"tools": [call("weather", city="Bonn"), call("weather", city="Köln")]}, {"text": "Mild."}]
        message = await client.beta.messages.tool_runner(
            model=MODEL, max_tokens=400, tools=[weather], messages=sim(*turns)).until_done()
        check(sorted(called) == ["Bonn", "Köln"] and message.content[0].text == "Mild.", f"{called} {message}")
        listed = [model.id async for model in client.models.list(limit=4)]
        check(len(listed) >= 12, f"{listed}")
        count = await client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "Hello"}])
        check(count.input_tokens > 0, f"{count}")
        try:
            await client.messages.create(model=MODEL, max_tokens=400, messages=failing(529))
        except anthropic.OverloadedError as error:
            check(error.request_id, f"{error}")
        else:
            check(False, "an overloaded model is an exception")


def timed(step):
    began = time.monotonic()
    outcome = step()
    if asyncio.iscoroutine(outcome):
        asyncio.run(outcome)
    print(f"ok: {step.__name__} ({time.monotonic() - began:.1f} s)", flush=True)


# Much of it is waiting, and one client may be used by many threads.
with ThreadPoolExecutor(4) as pool:
    steps = [retries, errors, events, cited, run_tools, parsed, edited, paging, torn, hang_ups, raw, counts, asynchronous]
    for done in [pool.submit(timed, step) for step in steps]:
        done.result()
print("all checks passed")
