// Streams of a Messages endpoint whose events are out of order, against Dagway: one argument, the base URL.
// Each turn's prompt names its stream. Without Dagway this SDK throws over most of them, or loses what was said.
// Ends with status 1 and a sentence on a fault.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.argv[2], apiKey: "dummy", maxRetries: 0, timeout: 60_000 });
const call = { command: "ls" };

const expected = {
  "holes in the numbers": ["tool_use", ["hi", call]],
  "one number for all": ["tool_use", ["hi", call]],
  "no start": ["end_turn", ["hi"]],
  "two starts": ["end_turn", ["hi"]],
  "a bare start": ["end_turn", ["hi"]],
  "no usage at the end": ["end_turn", ["hi"]],
  "two ends": ["tool_use", [call]],
  "never begun": ["end_turn", ["hi"]],
  "left open": ["end_turn", ["hi"]],
  "input at the start": ["tool_use", [call]],
};

for (const [prompt, wanted] of Object.entries(expected)) {
  const messages = [{ role: "user", content: prompt }];
  const stream = client.messages.stream({ model: "claude-sonnet-5-5", max_tokens: 100, messages });
  const said = await stream.finalMessage().catch((error) => ({ error: `${error}` }));
  const heard = said.error ?? [said.stop_reason, said.content.map((block) => block.text ?? block.input)];
  if (JSON.stringify(heard) !== JSON.stringify(wanted) || !(said.usage.output_tokens > 0)) {
    console.error(`FAILED: ${prompt}: ${JSON.stringify(heard)}`);
    process.exit(1);
  }
}
console.log("all checks passed");
