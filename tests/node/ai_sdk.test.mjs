// Vercel's AI SDK through its OpenAI and Anthropic providers: text, streams, tools over turns, objects, embeddings.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import { Output, embedMany, generateObject, generateText, isStepCount, jsonSchema, streamText, tool } from 'ai';
import { z } from 'zod';

import { requestFor, seeded } from './invented.mjs';
import { setUp } from './page.mjs';
import { CLAUDE, LIMIT, NOVA, suite } from './suite.mjs';

const PROVIDERS = {
  '@ai-sdk/openai, Responses': async (root) => {
    const { openai } = await setUp('ai-sdk', root, ['openai']);
    return { chat: (id) => openai(id), embedding: (id) => openai.embedding(id) };
  },
  '@ai-sdk/openai, chat': async (root) => {
    const { openai } = await setUp('ai-sdk', root, ['openai']);
    return { chat: (id) => openai.chat(id) };
  },
  '@ai-sdk/openai-compatible': async (root) => {
    const { outcrop } = await setUp('ai-sdk-compatible', root, ['outcrop']);
    return { chat: (id) => outcrop.chatModel(id), embedding: (id) => outcrop.embeddingModel(id) };
  },
  '@ai-sdk/anthropic': async (root) => {
    const { anthropic } = await setUp('ai-sdk-anthropic', root, ['anthropic']);
    return { chat: (id) => anthropic(id) };
  },
};

const Sample = z.object({ name: z.string(), weight: z.number().int() });
const PROTOCOL = { maxRetries: 0 };

/** Invented tools in the SDK's form; each records its call and returns its result. */
function runnable(wanted, results, received) {
  const entries = wanted.map((one, n) => [
    one.name,
    tool({
      description: 'A tool.',
      inputSchema: jsonSchema(one.schema),
      execute: async (input) => {
        received.push([one.name, input]);
        return results[n];
      },
    }),
  ]);
  return Object.fromEntries(entries);
}

for (const [name, provide] of Object.entries(PROVIDERS)) {
  suite(name, (_, root) => {
    let provider;

    before(async () => {
      provider = await provide(root());
    });

    for (const model of [NOVA, CLAUDE]) {
      test(`text: ${model}`, LIMIT, async (t) => {
        const word = seeded(t.name).word();
        const answer = await generateText({
          model: provider.chat(model),
          instructions: 'Be brief.',
          prompt: `Who is ${word}?`,
          ...PROTOCOL,
        });
        assert.ok(answer.text.includes(word), answer.text);
        assert.equal(answer.finishReason, 'stop');
        assert.ok(answer.usage.totalTokens > 0);
      });

      test(`stream: ${model}`, LIMIT, async (t) => {
        const word = seeded(t.name).word();
        const answer = streamText({ model: provider.chat(model), prompt: `Tell me of ${word}.`, ...PROTOCOL });
        const pieces = [];
        for await (const piece of answer.textStream) pieces.push(piece);
        assert.ok(pieces.length > 3 && pieces.join('').includes(word), pieces.join(''));
        assert.ok((await answer.usage).outputTokens > 0);
        assert.equal(await answer.finishReason, 'stop');
      });

      test(`two tools and back: ${model}`, LIMIT, async (t) => {
        const { tools, words } = seeded(t.name);
        const [wanted, results, received] = [tools(), words(2), []];
        const answer = await generateText({
          model: provider.chat(model),
          prompt: requestFor(wanted),
          tools: runnable(wanted, results, received),
          stopWhen: isStepCount(4),
          ...PROTOCOL,
        });
        assert.deepEqual(received, wanted.map((one) => [one.name, one.args]));
        for (const result of results) assert.ok(answer.text.includes(result), answer.text);
        assert.deepEqual(answer.steps.map((step) => step.finishReason), ['tool-calls', 'stop']);
      });

      test(`two tools and back, streamed: ${model}`, LIMIT, async (t) => {
        const { tools, words } = seeded(t.name);
        const [wanted, results, received] = [tools(), words(2), []];
        const answer = streamText({
          model: provider.chat(model),
          prompt: requestFor(wanted),
          tools: runnable(wanted, results, received),
          stopWhen: isStepCount(4),
          ...PROTOCOL,
        });
        const text = await answer.text;
        assert.deepEqual(received, wanted.map((one) => [one.name, one.args]));
        for (const result of results) assert.ok(text.includes(result), text);
      });

      for (const streamed of [false, true]) {
        test(`another turn${streamed ? ', streamed' : ''}: ${model}`, LIMIT, async (t) => {
          const { tools, word, words } = seeded(t.name);
          const [wanted, results, received] = [tools(), words(2), []];
          const messages = [];
          const ask = async (content) => {
            messages.push({ role: 'user', content });
            const request = {
              model: provider.chat(model),
              messages,
              tools: runnable(wanted, results, received),
              stopWhen: isStepCount(4),
              ...PROTOCOL,
            };
            const answer = streamed ? streamText(request) : await generateText(request);
            const [text, { messages: more }] = [await answer.text, await answer.response];
            messages.push(...more);
            return text;
          };
          const name = word();
          assert.ok((await ask(`Who is ${name}?`)).includes(name));
          for (let turn = 1; turn <= 2; turn++) {
            const text = await ask(requestFor(wanted));
            for (const result of results) assert.ok(text.includes(result), text);
            assert.equal(received.length, turn * wanted.length);
          }
        });
      }

      test(`objects: ${model}`, LIMIT, async (t) => {
        const { word, number } = seeded(t.name);
        const wanted = { name: word(), weight: number() };
        const prompt = `Describe the sample: name "${wanted.name}", weight ${wanted.weight}.`;
        const chat = provider.chat(model);
        const generated = await generateObject({ model: chat, schema: Sample, prompt, ...PROTOCOL });
        assert.deepEqual(generated.object, wanted);
        const whole = await generateText({ model: chat, output: Output.object({ schema: Sample }), prompt, ...PROTOCOL });
        assert.deepEqual(whole.output, wanted);
        const streamed = streamText({ model: chat, output: Output.object({ schema: Sample }), prompt, ...PROTOCOL });
        assert.deepEqual(await streamed.output, wanted);
      });
    }

    const embedders = /chat|anthropic/.test(name) ? [] : ['amazon.titan-embed-text-v2:0', 'cohere.embed-english-v3'];
    for (const model of embedders) {
      test(`embeddings: ${model}`, LIMIT, async (t) => {
        const values = seeded(t.name).words(12);
        const embedder = provider.embedding(model);
        const all = await embedMany({ model: embedder, values, ...PROTOCOL });
        assert.equal(all.embeddings.length, values.length);
        const one = await embedMany({ model: embedder, values: [values[7]], ...PROTOCOL });
        assert.deepEqual(one.embeddings[0], all.embeddings[7]);
        assert.ok(all.usage.tokens > 0);
      });
    }
  });
}
