// openai-node on the Responses API: text, streams, tools over turns, typed answers.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import OpenAI from 'openai';
import { zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';

import { requestFor, seeded } from './invented.mjs';
import { setUp } from './page.mjs';
import { CLAUDE, LIMIT, NOVA, suite } from './suite.mjs';

const Sample = z.object({ name: z.string(), weight: z.number().int() });

suite('openai-node: responses', (_, root) => {
  let client;

  before(async () => {
    ({ client } = await setUp('openai-node', root(), ['client']));
    client = client.withOptions({ maxRetries: 0, timeout: 300_000 });
  });

  for (const model of [NOVA, CLAUDE]) {
    test(`text and stream: ${model}`, LIMIT, async (t) => {
      const word = seeded(t.name).word();
      const request = { model, instructions: 'Be brief.', input: `Who is ${word}?` };
      const whole = await client.responses.create(request);
      assert.ok(whole.output_text.includes(word), whole.output_text);
      const stream = client.responses.stream(request);
      let text = '';
      for await (const event of stream) if (event.type === 'response.output_text.delta') text += event.delta;
      const final = await stream.finalResponse();
      assert.deepEqual([text, final.output_text], [whole.output_text, whole.output_text]);
      assert.equal(final.usage.total_tokens, whole.usage.total_tokens);
    });

    for (const kept of ['items', 'references']) {
      for (const stream of [false, true]) {
        test(`two tools and another turn, ${kept}${stream ? ', streamed' : ''}: ${model}`, LIMIT, async (t) => {
          const { tools, words } = seeded(t.name);
          const [wanted, results] = [tools(), words(2)];
          const offered = wanted.map((tool) => ({ type: 'function', strict: false, ...tool.definition.function }));
          const history = [];
          const ask = async (items) => {
            history.push(...items);
            const request = { model, tools: offered, input: history, store: kept === 'references' };
            const answer = stream
              ? await client.responses.stream(request).finalResponse()
              : await client.responses.create(request);
            const reference = ({ id }) => ({ type: 'item_reference', id });
            history.push(...(kept === 'items' ? answer.output : answer.output.map(reference)));
            return answer;
          };
          for (let turn = 0; turn < 2; turn++) {
            const called = await ask([{ role: 'user', content: requestFor(wanted) }]);
            const calls = called.output.filter((item) => item.type === 'function_call');
            assert.deepEqual(
              calls.map((call) => [call.name, JSON.parse(call.arguments)]),
              wanted.map((tool) => [tool.name, tool.args]),
            );
            const final = await ask(
              calls.map(({ call_id }, n) => ({ type: 'function_call_output', call_id, output: results[n] })),
            );
            for (const result of results) assert.ok(final.output_text.includes(result), final.output_text);
          }
        });
      }
    }

    test(`typed answers: ${model}`, LIMIT, async (t) => {
      const { word, number } = seeded(t.name);
      const wanted = { name: word(), weight: number() };
      const answer = await client.responses.parse({
        model,
        input: `Describe the sample: name "${wanted.name}", weight ${wanted.weight}.`,
        text: { format: zodTextFormat(Sample, 'sample') },
      });
      assert.deepEqual(answer.output_parsed, wanted);
    });
  }

  test('an unknown response is an error of its kind', LIMIT, async () => {
    await assert.rejects(client.responses.retrieve('resp_unknown'), OpenAI.NotFoundError);
    const asked = { model: NOVA, input: 'And?', previous_response_id: 'resp_unknown' };
    await assert.rejects(client.responses.create(asked), OpenAI.BadRequestError);
  });
});

suite("openai-node: Bedrock's mode", (_, root) => {
  let bedrock;

  before(async () => {
    ({ bedrock } = await setUp('openai-node-bedrock', root(), ['bedrock']));
    bedrock = bedrock.withOptions({ maxRetries: 0, timeout: 300_000 });
  });

  test('chat, models and embeddings', LIMIT, async (t) => {
    const word = seeded(t.name).word();
    const messages = [{ role: 'user', content: `Who is ${word}?` }];
    const chat = await bedrock.chat.completions.create({ model: NOVA, messages });
    assert.ok(chat.choices[0].message.content.includes(word));
    assert.equal((await bedrock.models.retrieve(NOVA)).id, NOVA);
    const embedded = await bedrock.embeddings.create({ model: 'amazon.titan-embed-text-v2:0', input: word });
    assert.ok(embedded.data[0].embedding.length > 100);
  });

  test('responses', LIMIT, async (t) => {
    const word = seeded(t.name).word();
    const request = { model: NOVA, input: `Who is ${word}?` };
    assert.ok((await bedrock.responses.create(request)).output_text.includes(word));
    assert.ok((await bedrock.responses.stream(request).finalResponse()).output_text.includes(word));
  });
});
