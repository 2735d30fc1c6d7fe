// The official JavaScript client against a running server: node npm_client.mjs BASE_URL
// Throws, and so exits with 1, at the first thing that is not as it should be.
import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
const program = "#include <cmath>\ndouble f(double a, double b) {\n  return a - 0.5 * b;\n}\n";
const messages = [
  {
    role: "user",
    content: "## Parent program\nVariant 1\nFile: f.cpp\n```cpp\n" + program +
      "```\n## Operator: diff\n## Variation seed: 1\n",
  },
];
const chat = (more) =>
  client.chat.completions.create({ model: "cambrian-mutator", messages, seed: 3, ...more });

const ids = [];
for await (const model of client.models.list()) ids.push(model.id);
assert(ids.includes("cambrian-mutator"));

const whole = await chat({ n: 2 });
assert.equal(whole.choices.length, 2);
assert(whole.choices[0].message.content.includes("<<<<<<< SEARCH"));
assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens);

const one = await chat({});
let text = "";
let usage = null;
for await (const chunk of await chat({ stream: true, stream_options: { include_usage: true } })) {
  text += chunk.choices[0]?.delta?.content ?? "";
  usage = chunk.usage ?? usage;
}
assert.equal(text, one.choices[0].message.content);
assert.equal(usage.completion_tokens, one.usage.completion_tokens);

assert.equal((await chat({ max_tokens: 4 })).choices[0].finish_reason, "length");
await assert.rejects(chat({ model: "fault-429" }), OpenAI.RateLimitError);
await assert.rejects(chat({ model: "nobody" }), (error) => {
  return error instanceof OpenAI.NotFoundError && error.code === "model_not_found";
});
await assert.rejects(async () => {
  for await (const chunk of await chat({ model: "fault-error-in-stream", stream: true })) {
    assert(chunk);
  }
}, OpenAI.APIError);
console.log(`openai ${process.versions.node}: ok`);
