// The stock JavaScript client against a running node: OPENLEDGER_URL, OPENLEDGER_KEY, OPENLEDGER_MODEL.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";

const { OPENLEDGER_URL: url, OPENLEDGER_KEY: apiKey, OPENLEDGER_MODEL: model } = process.env;
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "contract Token {" }];
const base = { model, messages, max_tokens: 12, seed: 7 };

test("models", async () => {
  const { data } = await client.models.list();
  assert(data.some(({ id }) => id === model));
});

test("a chat, plain and streamed", async () => {
  const answer = await client.chat.completions.create(base);
  const text = answer.choices[0].message.content;
  assert.equal(answer.usage.completion_tokens, Number(answer.openledger.receipt.tokensOut));
  assert(BigInt(answer.openledger.receipt.fee) > 0n);

  const stream = await client.chat.completions.create({
    ...base,
    stream: true,
    stream_options: { include_usage: true },
  });
  let streamed = "";
  let usage;
  for await (const chunk of stream) {
    streamed += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(streamed, text);
  assert.deepEqual(usage, answer.usage);
});

test("a stream that is left is not charged to its end", async () => {
  const stream = await client.chat.completions.create({ ...base, max_tokens: 60, stream: true });
  for await (const _ of stream) break;
  const next = await client.chat.completions.create(base);
  assert(next.choices[0].message.content.length > 0);
});

test("completions", async () => {
  const prompt = "library Math {";
  const answer = await client.completions.create({ model, prompt, max_tokens: 8, temperature: 0 });
  const stream = await client.completions.create({
    model,
    prompt,
    max_tokens: 8,
    temperature: 0,
    stream: true,
  });
  let streamed = "";
  for await (const chunk of stream) streamed += chunk.choices[0]?.text ?? "";
  assert.equal(streamed, answer.choices[0].text);
});

test("embeddings", async () => {
  const input = ["contract Token {", "library Math {"];
  const { data, usage } = await client.embeddings.create({ model: "auto", input });
  assert.equal(data.length, 2);
  const length = data[0].embedding.reduce((sum, value) => sum + value * value, 0);
  assert(Math.abs(length - 1) < 1e-4, `${length}`);
  assert(usage.total_tokens > 0);
});

test("errors are the client's own", async () => {
  await assert.rejects(client.chat.completions.create({ ...base, model: "nobodys" }), (error) => {
    assert(error instanceof OpenAI.NotFoundError);
    return error.code === "model_not_found";
  });
  await assert.rejects(
    client.chat.completions.create({ ...base, top_p: 2 }),
    (error) => error instanceof OpenAI.BadRequestError && error.param === "top_p",
  );
  const stranger = new OpenAI({ baseURL: `${url}/v1`, apiKey: "wrong", maxRetries: 0 });
  await assert.rejects(
    stranger.chat.completions.create(base),
    (error) => error instanceof OpenAI.AuthenticationError && error.code === "invalid_api_key",
  );
});
