// Anthropic's TypeScript SDK against Dagway: one argument, the base URL. Ends with status 1 and a sentence on a fault.
import Anthropic from "@anthropic-ai/sdk";

const baseURL = process.argv[2];
const model = "claude-sonnet-5-5";
const client = new Anthropic({ baseURL, apiKey: "dummy", maxRetries: 0, timeout: 60_000 });
const tool = {
  name: "look_up",
  description: "Looks a word up.",
  input_schema: { type: "object", properties: { word: { type: "string" } }, required: ["word"] },
};

const sim = (...turns) => [{ role: "user", content: `SIM[${JSON.stringify({ turns })}]` }];

function check(holds, what) {
  if (holds) return;
  console.error(`FAILED: ${what}`);
  process.exit(1);
}

const shown = (value) => JSON.stringify(value);

async function create() {
  const message = await client.messages.create({ model, max_tokens: 500, messages: sim({ text: "Hello, wörld." }) });
  check(message.content[0].text === "Hello, wörld.", `the text of ${shown(message)}`);
  check(message.stop_reason === "end_turn", `the stop reason of ${shown(message)}`);
  check(message.usage.input_tokens > 0 && message.usage.output_tokens > 0, `the usage of ${shown(message)}`);
  check(message._request_id, "a request id");
}

async function stream() {
  const pieces = [];
  const events = client.messages.stream({ model, max_tokens: 500, messages: sim({ text: "A longer sentence, in pieces." }) });
  events.on("text", (text) => pieces.push(text));
  const message = await events.finalMessage();
  check(pieces.length > 2 && pieces.join("") === "A longer sentence, in pieces.", `the pieces ${shown(pieces)}`);
  check(message.stop_reason === "end_turn" && message.usage.output_tokens > 0, `the end of ${shown(message)}`);
}

async function tools() {
  const words = ["a".repeat(50), "b".repeat(50)];
  const messages = sim(
    { think: "I need both.", text: "Looking.", tools: words.map((word) => ({ name: "look_up", args: { word } })), interleave: true },
    { text: "Both are letters." },
  );
  const rest = { model, max_tokens: 4000, thinking: { type: "adaptive" }, tools: [tool] };
  const first = await client.messages.stream({ ...rest, messages }).finalMessage();
  const calls = first.content.filter((block) => block.type === "tool_use");
  const thought = first.content.find((block) => block.type === "thinking");
  check(first.stop_reason === "tool_use", `the stop reason of ${shown(first)}`);
  check(shown(calls.map((call) => call.input)) === shown(words.map((word) => ({ word }))), `the calls of ${shown(first)}`);
  check(thought?.signature, `the thinking of ${shown(first)}`);
  messages.push({ role: "assistant", content: first.content });
  messages.push({ role: "user", content: calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: "a letter" })).reverse() });
  const second = await client.messages.create({ ...rest, messages });
  check(second.content.at(-1).text === "Both are letters.", `the second answer ${shown(second)}`);
}

async function expectError(kind, status, type, call) {
  try {
    await call();
  } catch (error) {
    check(error instanceof kind, `${kind.name} expected, got ${error?.constructor?.name}: ${error}`);
    check(error.status === status, `${kind.name} has status ${error.status}, not ${status}`);
    const body = error.error;
    check(body?.type === "error" && body.error.type === type, `the body of ${kind.name}: ${shown(body)}`);
    return body.error.message;
  }
  return check(false, `${kind.name} expected, got an answer`);
}

async function errors() {
  const failing = (status) => () =>
    client.messages.create({ model, max_tokens: 500, messages: sim({ fail: { status, times: 99, message: `status ${status} for a test` } }) });
  await expectError(Anthropic.BadRequestError, 400, "invalid_request_error", failing(400));
  await expectError(Anthropic.AuthenticationError, 401, "authentication_error", failing(401));
  await expectError(Anthropic.PermissionDeniedError, 403, "permission_error", failing(403));
  await expectError(Anthropic.NotFoundError, 404, "not_found_error", failing(404));
  await expectError(Anthropic.RateLimitError, 429, "rate_limit_error", failing(429));
  await expectError(Anthropic.InternalServerError, 529, "overloaded_error", failing(529));
  const bad = () => client.messages.create({ model, max_tokens: 5, messages: [{ role: "user", content: [{ type: "text", text: 7 }] }] });
  const message = await expectError(Anthropic.BadRequestError, 400, "invalid_request_error", bad);
  check(message.includes("messages.0.content"), `the path in ${message}`);
  const huge = [{ role: "user", content: "x".repeat(33 * 1024 * 1024) }];
  await expectError(Anthropic.APIError, 413, "request_too_large", () => client.messages.create({ model, max_tokens: 5, messages: huge }));
}

async function torn() {
  const turn = { text: "This is torn in the middle of it.", break: { after: 4, times: 99, message: "Provider disconnected" } };
  try {
    await client.messages.stream({ model, max_tokens: 500, messages: sim(turn) }).finalMessage();
  } catch (error) {
    check(error instanceof Anthropic.APIError && String(error).includes("Provider disconnected"), `the words of ${error}`);
    return;
  }
  check(false, "a torn stream is an error");
}

async function abort() {
  const events = client.messages.stream({ model, max_tokens: 60_000, messages: sim({ text: "On and on. ", chunks: 50_000, pause_ms: 5 }) });
  let pieces = 0;
  events.on("text", () => {
    pieces += 1;
    if (pieces === 3) events.abort();
  });
  try {
    await events.finalMessage();
  } catch (error) {
    check(error instanceof Anthropic.APIUserAbortError, `an abort is ${error?.constructor?.name}`);
    return;
  }
  check(false, "an aborted stream is an error");
}

async function counts() {
  const few = await client.messages.countTokens({ model, messages: [{ role: "user", content: "Hello" }] });
  check(few.input_tokens > 0 && few.input_tokens < 50, `the count ${shown(few)}`);
}

async function models() {
  const listed = [];
  for await (const entry of client.models.list({ limit: 1000 })) listed.push(entry);
  check(listed.length >= 12 && listed.every((entry) => entry.type === "model" && entry.display_name), `the models ${shown(listed.slice(0, 2))}`);
  const one = await client.models.retrieve(listed[0].id);
  check(one.id === listed[0].id, `${shown(one)} is the model that was asked for`);
  await expectError(Anthropic.NotFoundError, 404, "not_found_error", () => client.models.retrieve("no-such-model"));
}

for (const step of [create, stream, tools, errors, torn, abort, counts, models]) {
  await step();
  console.log("ok:", step.name);
}
console.log("all checks passed");
