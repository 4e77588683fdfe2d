"""Anthropic's Python SDK against Dagway: one argument, the base URL. Ends with status 1 and a sentence on a fault."""

import json
import sys

import anthropic

BASE_URL = sys.argv[1]
MODEL = "claude-sonnet-5-5"
TOOL = {
    "name": "look_up",
    "description": "Looks a word up.",
    "input_schema": {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]},
}
client = anthropic.Anthropic(base_url=BASE_URL, api_key="dummy", max_retries=0, timeout=60)


def sim(*turns):
    return [{"role": "user", "content": "SIM[" + json.dumps({"turns": turns}) + "]"}]


def check(holds, what):
    if not holds:
        raise SystemExit(f"FAILED: {what}")


def create():
    message = client.messages.create(model=MODEL, max_tokens=500, messages=sim({"text": "Hello, wörld."}))
    check(message.content[0].text == "Hello, wörld.", f"the text of {message}")
    check(message.stop_reason == "end_turn", f"the stop reason of {message}")
    check(message.model == MODEL, f"the model of {message}")
    check(message.usage.input_tokens > 0 and message.usage.output_tokens > 0, f"the usage of {message}")
    check(message.id.startswith("msg_"), f"the id of {message}")
    check(message._request_id, "a request id")


def stream():
    with client.messages.stream(model=MODEL, max_tokens=500, messages=sim({"text": "A longer sentence, in pieces."})) as events:
        pieces = list(events.text_stream)
        message = events.get_final_message()
    check(len(pieces) > 2, f"the text comes in pieces: {pieces}")
    check("".join(pieces) == "A longer sentence, in pieces.", f"the pieces {pieces}")
    check(message.stop_reason == "end_turn" and message.usage.output_tokens > 0, f"the end of {message}")


def tools():
    history = sim(
        {"think": "I need both.", "text": "Looking.", "tools": [
            {"name": "look_up", "args": {"word": "a" * 50}}, {"name": "look_up", "args": {"word": "b" * 50}}], "interleave": True},
        {"text": "Both are letters."},
    )
    thinking = {"type": "adaptive"}
    with client.messages.stream(model=MODEL, max_tokens=4000, thinking=thinking, messages=history, tools=[TOOL]) as events:
        first = events.get_final_message()
    calls = [block for block in first.content if block.type == "tool_use"]
    thoughts = [block for block in first.content if block.type == "thinking"]
    check(first.stop_reason == "tool_use", f"the stop reason of {first}")
    check([call.input for call in calls] == [{"word": "a" * 50}, {"word": "b" * 50}], f"the calls of {first}")
    check(thoughts and thoughts[0].signature, f"the thinking of {first}")
    history.append({"role": "assistant", "content": first.content})
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "a letter"} for call in calls]
    history.append({"role": "user", "content": list(reversed(results))})
    second = client.messages.create(model=MODEL, max_tokens=4000, thinking=thinking, messages=history, tools=[TOOL])
    check(second.content[-1].text == "Both are letters.", f"the second answer {second}")


def choice():
    message = client.messages.create(
        model=MODEL, max_tokens=500, tools=[TOOL], tool_choice={"type": "tool", "name": "look_up"},
        messages=[{"role": "user", "content": "Look up anything."}],
    )
    check(message.content[0].name == "look_up", f"the forced call of {message}")


def expect(kind, status, call, error_type=None):
    try:
        call()
    except kind as error:
        check(error.status_code == status, f"{kind.__name__} has status {error.status_code}, not {status}")
        body = error.body
        check(isinstance(body, dict) and body.get("type") == "error", f"the body of {kind.__name__}: {body}")
        found = body["error"]["type"]
        check(error_type is None or found == error_type, f"{kind.__name__} is {found}, not {error_type}")
        return body["error"]["message"]
    except Exception as error:
        check(False, f"{kind.__name__} expected, got {type(error).__name__}: {error}")
    check(False, f"{kind.__name__} expected, got an answer")


def errors():
    def failing(status):
        turn = {"fail": {"status": status, "times": 99, "message": f"status {status} for a test"}}
        return lambda: client.messages.create(model=MODEL, max_tokens=500, messages=sim(turn))

    for kind, status, error_type in [
        (anthropic.BadRequestError, 400, "invalid_request_error"),
        (anthropic.AuthenticationError, 401, "authentication_error"),
        (anthropic.PermissionDeniedError, 403, "permission_error"),
        (anthropic.NotFoundError, 404, "not_found_error"),
        (anthropic.RateLimitError, 429, "rate_limit_error"),
        (anthropic.OverloadedError, 529, "overloaded_error"),
    ]:
        expect(kind, status, failing(status), error_type)
    expect(anthropic.OverloadedError, 529, failing(503), "overloaded_error")
    message = expect(
        anthropic.BadRequestError, 400, lambda: client.messages.create(
            model=MODEL, max_tokens=5, messages=[{"role": "user", "content": [{"type": "text", "text": 7}]}]),
        "invalid_request_error",
    )
    check("messages.0.content" in message, f"the path in {message!r}")
    huge = [{"role": "user", "content": "x" * (33 * 1024 * 1024)}]
    expect(anthropic.APIStatusError, 413, lambda: client.messages.create(model=MODEL, max_tokens=5, messages=huge), "request_too_large")


def torn():
    turn = {"text": "This is torn in the middle of it.", "break": {"after": 4, "times": 99, "message": "Provider disconnected"}}
    try:
        with client.messages.stream(model=MODEL, max_tokens=500, messages=sim(turn)) as events:
            events.get_final_message()
    except anthropic.APIStatusError as error:
        check("Provider disconnected" in str(error), f"the words of {error}")
        return
    check(False, "a torn stream is an error")


def counts():
    few = client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "Hello"}])
    many = client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "Hello " * 200}], tools=[TOOL], system="Be brief.")
    check(0 < few.input_tokens < 50, f"the count {few}")
    check(200 <= many.input_tokens < 600, f"the count {many}")


def models():
    listed = list(client.models.list(limit=1000))
    check(len(listed) >= 12, f"{len(listed)} models are listed")
    check(all(model.type == "model" and model.display_name for model in listed), f"the models {listed[:2]}")
    one = client.models.retrieve(listed[0].id)
    check(one.id == listed[0].id, f"{one} is the model that was asked for")
    expect(anthropic.NotFoundError, 404, lambda: client.models.retrieve("no-such-model"), "not_found_error")


for step in [create, stream, tools, choice, errors, torn, counts, models]:
    step()
    print("ok:", step.__name__, flush=True)
print("all checks passed")
