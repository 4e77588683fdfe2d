// What Anthropic's TypeScript SDK builds on top of the API, against Dagway: two arguments, the base URL and the lane.
// Accumulators, tool runners, parsed output, paging, typed errors, retries, raw responses, hang-ups.
// Ends with status 1 and a sentence on a fault.
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { betaZodOutputFormat, betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";

const [baseURL, lane] = process.argv.slice(2);
const model = "claude-sonnet-5-5";
const client = new Anthropic({ baseURL, apiKey: "dummy", maxRetries: 0, timeout: 60_000 });
const patient = client.withOptions({ maxRetries: 2 });
const thinking = { type: "adaptive" };

const sim = (...turns) => [{ role: "user", content: `SIM[${JSON.stringify({ turns })}]` }];
const shown = (value) => JSON.stringify(value);
const same = (one, other) => shown(one) === shown(other);

function check(holds, what) {
  if (holds) return;
  console.error(`FAILED: ${what}`);
  process.exit(1);
}

/** The helper events agree with the message that was accumulated from them. */
async function events() {
  const turn = {
    think: "I must think about it for a while.", text: "Looking it up, wörd for wörd.", interleave: true,
    tools: [{ name: "look_up", args: { word: "a".repeat(60), deep: { list: [1, 2.5, null, 'ä"\\'] } } }, { name: "look_up", args: { word: "b".repeat(60) } }],
  };
  const tools = [{ name: "look_up", description: "Looks up.", input_schema: { type: "object", properties: {} } }];
  const heard = { text: "", thinking: "", json: [], blocks: [], signatures: 0, raw: [], messages: 0 };
  const stream = client.messages.stream({ model, max_tokens: 4000, thinking, tools, messages: sim(turn) })
    .on("text", (delta, snapshot) => {
      heard.text += delta;
      check(snapshot === heard.text, `the snapshot ${snapshot} of ${heard.text}`);
    })
    .on("thinking", (delta, snapshot) => {
      heard.thinking += delta;
      check(snapshot === heard.thinking, `the snapshot ${snapshot} of ${heard.thinking}`);
    })
    .on("inputJson", (delta, snapshot) => heard.json.push([delta, typeof snapshot]))
    .on("signature", () => (heard.signatures += 1))
    .on("contentBlock", (block) => heard.blocks.push(block.type))
    .on("message", () => (heard.messages += 1))
    .on("streamEvent", (event) => heard.raw.push(event.type));
  const message = await stream.finalMessage();
  check(heard.text === turn.text && heard.thinking === turn.think, `the text ${heard.text}, the thinking ${heard.thinking}`);
  check(same(heard.blocks, ["thinking", "text", "tool_use", "tool_use"]), `the blocks ${heard.blocks}`);
  const whole = heard.json.map(([delta]) => delta).join("");
  check(whole === turn.tools.map(({ args }) => shown(args)).join(""), `the partial inputs ${whole}`);
  check(heard.json.every(([, kind]) => kind === "object"), `partial inputs are objects: ${shown(heard.json)}`);
  check(same(message.content.slice(2).map((block) => block.input), turn.tools.map(({ args }) => args)), `the inputs ${shown(message.content)}`);
  check(heard.signatures === 1 && message.content[0].signature && heard.messages === 1, `${shown(heard)}`);
  check(heard.raw[0] === "message_start" && heard.raw.at(-1) === "message_stop", `the events ${heard.raw}`);
  check(stream.request_id, "a stream has a request id");
  check((await client.messages.stream({ model, max_tokens: 400, messages: sim({ text: "Only text." }) }).finalText()) === "Only text.", "the final text");
  let text = "";
  for await (const event of await client.messages.create({ model, max_tokens: 400, stream: true, messages: sim({ text: "Raw events." }) })) {
    if (event.type === "content_block_delta") text += event.delta.text;
  }
  check(text === "Raw events.", `the text of raw events ${text}`);
}

/** Citations of a web search are events, and stand in the message. */
async function cited() {
  const page = { url: "https://example.com/dag", title: "On DAGs" };
  const tools = [{ type: "web_search_20250305", name: "web_search", max_uses: 2 }];
  const cited = [];
  const stream = client.messages.stream({ model, max_tokens: 400, tools, messages: sim({ text: "Graphs have no cycles.", citations: [page] }) })
    .on("citation", (citation) => cited.push(citation.url));
  const message = await stream.finalMessage();
  check(same(cited, [page.url]), `the citations ${cited}`);
  const found = message.content.find((block) => block.type === "web_search_tool_result");
  check(found?.content[0].title === "On DAGs", `the hits ${shown(found)}`);
  check(message.usage.server_tool_use.web_search_requests === 1, `the usage ${shown(message.usage)}`);
}

/** The tool runner calls real functions, in parallel turns, until there is an answer. */
async function runTools() {
  const turns = [
    { think: "Both cities at once.", interleave: true, tools: [{ name: "weather", args: { city: "Bonn" } }, { name: "weather", args: { city: "Köln" } }] },
    { text: "One more.", tools: [{ name: "add", args: { a: 19, b: 23 } }, { name: "fails" }] },
    { text: "It is 42 and mild." },
  ];
  for (const stream of [false, true]) {
    const called = [];
    const tools = [
      betaZodTool({
        name: "weather", description: "Tells the weather.", inputSchema: z.object({ city: z.string().describe("The city."), unit: z.enum(["C", "F"]).optional() }),
        run: ({ city }) => (called.push(["weather", city]), `mild in ${city}`),
      }),
      betaTool({
        name: "add", description: "Adds.", inputSchema: { type: "object", properties: { a: { type: "number" }, b: { type: "number" } }, required: ["a", "b"] },
        run: async ({ a, b }) => (called.push(["add", a, b]), String(a + b)),
      }),
      betaZodTool({
        name: "fails", description: "Fails.", inputSchema: z.object({}),
        run: () => {
          called.push(["fails"]);
          throw new Error("it had to fail");
        },
      }),
    ];
    const runner = client.beta.messages.toolRunner({ model, max_tokens: 4000, thinking, tools, messages: sim(...turns), stream });
    let count = 0;
    let last;
    for await (const item of runner) {
      count += 1;
      last = stream ? await item.finalMessage() : item;
    }
    check(count === 3 && last.content.at(-1).text === "It is 42 and mild.", `${count} turns, the last ${shown(last)}`);
    check(same(called, [["weather", "Bonn"], ["weather", "Köln"], ["add", 19, 23], ["fails"]]), `the calls ${shown(called)}`);
  }
}

/** Structured output becomes an object, whole and streamed, in both name spaces. */
async function parsed() {
  const Invoice = z.object({ title: z.string(), kind: z.enum(["paid", "open"]), tags: z.array(z.string()), total: z.number() });
  const messages = [{ role: "user", content: "An invoice, please." }];
  const request = { model, max_tokens: 400, messages, output_config: { format: zodOutputFormat(Invoice) } };
  const whole = await client.messages.parse(request);
  check(whole.parsed_output?.kind === "paid", `the invoice ${shown(whole)}`);
  const streamed = await client.messages.stream(request).finalMessage();
  check(same(streamed.parsed_output, whole.parsed_output), `the streamed invoice ${shown(streamed)}`);
  const beta = await client.beta.messages.parse({ model, max_tokens: 400, messages, output_config: { format: betaZodOutputFormat(Invoice) } });
  check(same(beta.parsed_output, whole.parsed_output), `the invoice ${shown(beta)}`);
  const asked = { title: "T", kind: "open", tags: ["x"], total: 1.5 };
  const foreign = await client.messages.parse({ ...request, model: "openai/gpt-5", messages: sim({ text: shown(asked) }) });
  check(same(foreign.parsed_output, asked), `the invoice of another house ${shown(foreign)}`);
}

/** Pages follow one another without gaps. */
async function paging() {
  const ids = async (options) => {
    const ids = [];
    for await (const entry of client.models.list(options)) ids.push(entry.id);
    return ids;
  };
  const everything = await ids({ limit: 1000 });
  check(everything.length >= 12 && new Set(everything).size === everything.length, `the models ${everything}`);
  check(same(await ids({ limit: 3 }), everything), "the pages are the list");
  const first = await client.models.list({ limit: 5 });
  check(first.hasNextPage() && first.data.length === 5, `the first page ${shown(first)}`);
  const second = await first.getNextPage();
  check(same(second.data.map((entry) => entry.id), everything.slice(5, 10)), `the second page ${shown(second.data)}`);
}

const errorKinds = [
  [400, Anthropic.BadRequestError, "invalid_request_error", "false"],
  [401, Anthropic.AuthenticationError, "authentication_error", "false"],
  [402, Anthropic.PaymentRequiredError, "billing_error", "false"],
  [403, Anthropic.PermissionDeniedError, "permission_error", "false"],
  [404, Anthropic.NotFoundError, "not_found_error", "false"],
  [413, Anthropic.ContentTooLargeError, "request_too_large", "false"],
  [429, Anthropic.RateLimitError, "rate_limit_error", "true"],
  [500, Anthropic.InternalServerError, "api_error", "true"],
  [504, Anthropic.GatewayTimeoutError, "timeout_error", "true"],
  [529, Anthropic.OverloadedError, "overloaded_error", "true"],
];

const failing = (status, more = {}) => sim({ fail: { status, times: 99, message: `status ${status} for a test`, ...more } });

async function failure(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return check(false, "an error is expected, an answer came");
}

/** Each status becomes the exception that was made for it, with its request id and whether to try again. */
async function errors() {
  for (const [status, kind, type, retry] of errorKinds) {
    // Dagway tries again what is worth it, so not everything is asked twice.
    for (const stream of [400, 529].includes(status) ? [false, true] : [false]) {
      const error = await failure(() => client.messages.create({ model, max_tokens: 400, messages: failing(status), stream }));
      check(kind && error.constructor === kind, `${kind?.name} expected for ${status}, got ${error?.constructor?.name}: ${error}`);
      check(error.status === status && error.error.error.type === type && error.type === type, `${error.status} ${shown(error.error)} for ${status}`);
      // What passes untouched names the upstream's own request.
      const ids = [error.requestID, error.error.request_id];
      check(ids.every(Boolean) && (ids[0] === ids[1]) === (lane === "chat"), `the request ids of ${error}: ${ids}`);
      check(error.headers.get("x-should-retry") === retry, `x-should-retry for ${status}`);
    }
  }
}

/** The SDK's own retry waits as long as it is told, and does not try what is hopeless. */
async function retries() {
  // Dagway tries three times itself, a second apart; the fourth try is the SDK's.
  let began = performance.now();
  let message = await patient.messages.create({ model, max_tokens: 400, messages: sim({ fail: { status: 429, times: 3, retry_after: 1 }, text: "After a while." }) });
  let took = performance.now() - began;
  check(message.content[0].text === "After a while." && took >= 2900, `${shown(message)} after ${took} ms`);
  began = performance.now();
  const error = await failure(() => patient.messages.create({ model, max_tokens: 400, messages: failing(429, { retry_after: 3000 }) }));
  took = performance.now() - began;
  check(error instanceof Anthropic.RateLimitError && took < 30_000, `${error} after ${took} ms`);
  message = await patient.messages.create({ model, max_tokens: 400, messages: sim({ fail: { status: 529, times: 3 }, text: "No longer overloaded." }) });
  check(message.content[0].text === "No longer overloaded.", shown(message));
}

/** An error in mid-stream is an exception with its kind, and what had come before it is still there. */
async function torn() {
  for (const kind of ["error", "bare_error", "finish_error", "cut", "close"]) {
    const turn = { text: "This is torn in the middle of it.", break: { after: 4, times: 99, kind } };
    const stream = client.messages.stream({ model, max_tokens: 400, messages: sim(turn) });
    const error = await failure(() => stream.finalMessage());
    check(error instanceof Anthropic.APIError && ["api_error", "overloaded_error"].includes(error.type), `${kind}: ${error?.constructor?.name} ${error}`);
    check(error.requestID, `${kind}: a request id`);
    const [soFar] = stream.currentMessage?.content ?? [];
    check(!soFar || turn.text.startsWith(soFar.text), `${kind}: what came before: ${shown(soFar)}`);
  }
}

/** A client that has heard enough, and one that has lost its patience. */
async function hangUps() {
  const messages = sim({ text: "On and on and on. ", chunks: 50_000, pause_ms: 5 });
  let heard = 0;
  for await (const event of await client.messages.create({ model, max_tokens: 60_000, stream: true, messages })) {
    if (event.type === "content_block_delta") heard += 1;
    if (heard === 3) break;
  }
  check(heard === 3, `${heard} pieces were heard`);
  const silent = sim({ text: "Never said.", break: { after: 0, kind: "hang", times: 99 } });
  let error = await failure(() => client.messages.create({ model, max_tokens: 400, stream: true, messages: silent }, { timeout: 1500 }));
  check(error instanceof Anthropic.APIConnectionTimeoutError, `${error?.constructor?.name} ${error}`);
  const line = new AbortController();
  setTimeout(() => line.abort(), 1000);
  error = await failure(() => client.messages.create({ model, max_tokens: 400, stream: true, messages: silent }, { signal: line.signal }));
  check(error instanceof Anthropic.APIUserAbortError, `${error?.constructor?.name} ${error}`);
  const nobody = new Anthropic({ baseURL: "http://127.0.0.1:9", apiKey: "dummy", maxRetries: 0 });
  error = await failure(() => nobody.models.list());
  check(error.constructor === Anthropic.APIConnectionError, `${error?.constructor?.name} ${error}`);
}

/** The headers of an answer, whole and streamed. */
async function raw() {
  const request = { model, max_tokens: 400, messages: sim({ text: "Raw." }) };
  const { data, response, request_id } = await client.messages.create(request).withResponse();
  check(data.content[0].text === "Raw." && request_id === response.headers.get("request-id"), shown(data));
  check(response.headers.get("x-dagway-run"), "the run is named");
  const streamed = await client.messages.create({ ...request, stream: true }).asResponse();
  check(streamed.headers.get("content-type").startsWith("text/event-stream"), "a stream says so");
  const text = await streamed.text();
  check(text.startsWith("event: message_start\n") && text.includes("event: message_stop\n"), text);
}

/** Counts, and many requests at once. */
async function counts() {
  const messages = [{ role: "user", content: "Hello ".repeat(200) }];
  const plain = await client.messages.countTokens({ model, messages });
  const tools = [{ name: "t", description: "Looks up. ".repeat(50), input_schema: { type: "object", properties: {} } }];
  const more = await client.beta.messages.countTokens({ model, messages, tools, system: "Be brief.", thinking });
  check(plain.input_tokens >= 200 && more.input_tokens > plain.input_tokens, `${shown(plain)} ${shown(more)}`);
  const asked = Array.from({ length: 12 }, (_, n) => client.messages.create({ model, max_tokens: 400, messages: sim({ text: `Answer ${n}.` }) }));
  const texts = (await Promise.all(asked)).map((message) => message.content[0].text);
  check(same(texts, asked.map((_, n) => `Answer ${n}.`)), shown(texts));
}

async function timed(step) {
  const began = performance.now();
  await step();
  console.log(`ok: ${step.name} (${((performance.now() - began) / 1000).toFixed(1)} s)`);
}

// Much of it is waiting, so all of it goes on at once.
await Promise.all([retries, errors, events, cited, runTools, parsed, paging, torn, hangUps, raw, counts].map(timed));
console.log("all checks passed");
