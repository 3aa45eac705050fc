// Tool calls and typed answers with the official Node client; every name and value is invented anew.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import OpenAI from 'openai';
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';

import { requestFor, seeded } from './invented.mjs';
import { CLAUDE, LIMIT, NOVA, suite } from './suite.mjs';

const user = (content) => [{ role: 'user', content }];
const callsOf = (message) =>
  (message.tool_calls ?? []).map((call) => [call.function.name, JSON.parse(call.function.arguments)]);

suite('openai-node: tools and JSON', (url) => {
  let client;

  before(() => {
    client = new OpenAI({ baseURL: url(), apiKey: 'any', maxRetries: 0, timeout: 300_000 });
  });

  /** The first choice of an answer, complete or accumulated from a stream by the SDK. */
  async function said(stream, request) {
    if (!stream) return (await client.chat.completions.create(request)).choices[0];
    const runner = client.chat.completions.stream(request);
    const seen = [];
    for await (const chunk of runner) {
      for (const call of chunk.choices[0]?.delta?.tool_calls ?? []) {
        const first = !seen.includes(call.index);
        assert.equal(call.id !== undefined, first, 'an id comes once');
        assert.equal(call.function.name !== undefined, first, 'a name comes once');
        if (first) assert.equal(call.index, seen.push(call.index) - 1);
      }
    }
    return (await runner.finalChatCompletion()).choices[0];
  }

  for (const model of [NOVA, CLAUDE]) {
    for (const stream of [false, true]) {
      const title = `${model}${stream ? ', streamed' : ''}`;

      test(`two calls and back: ${title}`, LIMIT, async (t) => {
        const { tools, words } = seeded(t.name);
        const [wanted, results] = [tools(), words(2)];
        const request = { model, tools: wanted.map((tool) => tool.definition) };
        const messages = user(requestFor(wanted));
        const { message, finish_reason } = await said(stream, { ...request, messages });
        assert.equal(finish_reason, 'tool_calls');
        assert.deepEqual(callsOf(message), wanted.map((tool) => [tool.name, tool.args]));
        const answers = message.tool_calls.map((call, n) => ({ role: 'tool', tool_call_id: call.id, content: results[n] }));
        messages.push({ role: 'assistant', content: message.content, tool_calls: message.tool_calls }, ...answers.reverse());
        const final = await said(stream, { ...request, messages });
        assert.equal(final.finish_reason, 'stop');
        for (const result of results) assert.ok(final.message.content.includes(result), final.message.content);
      });

      test(`a forced tool: ${title}`, LIMIT, async (t) => {
        const [other, forced] = seeded(t.name).tools();
        const { message, finish_reason } = await said(stream, {
          model,
          messages: user(`What is "${Object.values(forced.args)[0]}"?`),
          tools: [other.definition, forced.definition],
          tool_choice: { type: 'function', function: { name: forced.name } },
        });
        assert.equal(finish_reason, 'tool_calls');
        const [[name, args], ...more] = callsOf(message);
        assert.deepEqual([name, Object.keys(args), more], [forced.name, Object.keys(forced.args), []]);
      });

      test(`tools without parameters: ${title}`, LIMIT, async (t) => {
        const names = seeded(t.name).words(2);
        const { message } = await said(stream, {
          model,
          messages: user(`Call \`${names[0]}\` and call \`${names[1]}\`.`),
          tools: [
            { type: 'function', function: { name: names[0] } },
            { type: 'function', function: { name: names[1], parameters: { type: 'object', properties: {} } } },
          ],
        });
        assert.deepEqual(
          message.tool_calls.map((call) => [call.function.name, call.function.arguments]),
          names.map((name) => [name, '{}']),
        );
      });

      test(`tool_choice none: ${title}`, LIMIT, async (t) => {
        const [tool] = seeded(t.name).tools(1);
        const { message, finish_reason } = await said(stream, {
          model,
          messages: user(requestFor([tool])),
          tools: [tool.definition],
          tool_choice: 'none',
        });
        assert.equal(finish_reason, 'stop');
        assert.equal(message.tool_calls?.length ?? 0, 0);
        assert.ok(message.content.length > 0);
      });

      test(`json_object: ${title}`, LIMIT, async (t) => {
        const { word, number } = seeded(t.name);
        const { message, finish_reason } = await said(stream, {
          model,
          messages: user(`Describe the sample as a JSON object: name "${word()}", weight ${number()}.`),
          response_format: { type: 'json_object' },
        });
        assert.equal(finish_reason, 'stop');
        assert.equal(typeof JSON.parse(message.content), 'object');
      });
    }

    const Sample = z.object({
      name: z.string(),
      weight: z.number().int(),
      place: z.object({ country: z.string(), kind: z.enum(['mine', 'quarry']) }),
    });

    test(`parse with a zod schema: ${model}`, LIMIT, async (t) => {
      const { word, number } = seeded(t.name);
      const [name, weight] = [word(), number()];
      const request = {
        model,
        messages: user(`Describe the sample: name "${name}", weight ${weight}.`),
        response_format: zodResponseFormat(Sample, 'sample'),
      };
      const whole = (await client.chat.completions.parse(request)).choices[0].message;
      assert.deepEqual([whole.parsed.name, whole.parsed.weight], [name, weight]);
      Sample.parse(whole.parsed);
      const runner = client.chat.completions.stream(request);
      const streamed = (await runner.finalChatCompletion()).choices[0].message;
      assert.deepEqual(streamed.parsed, whole.parsed);
    });

    test(`parse with a zod schema that no grammar accepts unchanged: ${model}`, LIMIT, async (t) => {
      const { word, number } = seeded(t.name);
      const [name, weight] = [word(), number()];
      const Core = z.object({
        name: z.string().min(1),
        weight: z.number().int().min(1).max(1_000_000),
        labels: z.array(z.string()).min(1).max(9),
        place: z.union([z.object({ country: z.string() }), z.null()]),
      });
      const request = {
        model,
        messages: user(`Describe the core: name "${name}", weight ${weight}.`),
        response_format: zodResponseFormat(Core, 'core'),
      };
      const call = client.chat.completions.create(request);
      const { data, response } = await call.withResponse();
      const told = Core.safeParse(JSON.parse(data.choices[0].message.content)).success;
      const verdict = response.headers.get('x-outcrop-structured-output');
      assert.equal(verdict, told ? 'valid' : 'mismatch');
      const runner = client.chat.completions.stream(request);
      const streamed = (await runner.finalChatCompletion()).choices[0].message;
      assert.equal(streamed.content, data.choices[0].message.content);
      assert.deepEqual([streamed.parsed.name, streamed.parsed.weight], [name, weight]);
    });

    test(`runTools: ${model}`, LIMIT, async (t) => {
      const { word, number } = seeded(t.name);
      const [code, count, result] = [word(), number(), word()];
      const received = [];
      const runner = client.chat.completions.runTools({
        model,
        messages: user(`Look up code "${code}", count ${count}.`),
        tools: [
          zodFunction({
            name: 'look_up',
            parameters: z.object({ code: z.string(), count: z.number().int() }),
            function: async (args) => {
              received.push(args);
              return result;
            },
          }),
        ],
      });
      assert.ok((await runner.finalContent()).includes(result));
      assert.deepEqual(received, [{ code, count }]);
    });
  }
});
