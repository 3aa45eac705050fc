// Anthropic's Node client on the Messages API: text, streams, tools over turns, reasoning, counted tokens, errors.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import Anthropic from '@anthropic-ai/sdk';

import { requestFor, seeded } from './invented.mjs';
import { setUp } from './page.mjs';
import { CLAUDE, LIMIT, NOVA, suite } from './suite.mjs';

const MOST = 4000;
const said = (message) => message.content.map((block) => (block.type === 'text' ? block.text : '')).join('');

suite('@anthropic-ai/sdk', (_, root) => {
  let client;

  before(async () => {
    ({ client } = await setUp('anthropic-node', root(), ['client']));
    client = client.withOptions({ maxRetries: 0, timeout: 300_000 });
  });

  for (const model of [NOVA, CLAUDE]) {
    test(`text and stream: ${model}`, LIMIT, async (t) => {
      const word = seeded(t.name).word();
      const messages = [{ role: 'user', content: `Who is ${word}?` }];
      const request = { model, max_tokens: MOST, system: 'Be brief.', messages };
      const whole = await client.messages.create(request);
      assert.ok(said(whole).includes(word), said(whole));
      assert.equal(whole.stop_reason, 'end_turn');
      const stream = client.messages.stream(request);
      let text = '';
      stream.on('text', (delta) => (text += delta));
      const final = await stream.finalMessage();
      assert.deepEqual([text, said(final)], [said(whole), said(whole)]);
      assert.deepEqual(
        [final.usage.input_tokens, final.usage.output_tokens],
        [whole.usage.input_tokens, whole.usage.output_tokens],
      );
    });

    for (const stream of [false, true]) {
      test(`two tools and another turn${stream ? ', streamed' : ''}: ${model}`, LIMIT, async (t) => {
        const { tools, words } = seeded(t.name);
        const [wanted, results, messages] = [tools(), words(2), []];
        const request = {
          model,
          max_tokens: MOST,
          tools: wanted.map((tool) => ({ name: tool.name, description: 'A tool.', input_schema: tool.schema })),
          ...(model === CLAUDE ? { thinking: { type: 'enabled', budget_tokens: 1024 } } : {}),
        };
        const ask = async (content) => {
          messages.push({ role: 'user', content });
          const answer = stream
            ? await client.messages.stream({ ...request, messages }).finalMessage()
            : await client.messages.create({ ...request, messages });
          messages.push({ role: 'assistant', content: answer.content });
          return answer;
        };
        for (let turn = 0; turn < 2; turn++) {
          const called = await ask(requestFor(wanted));
          const uses = called.content.filter((block) => block.type === 'tool_use');
          assert.deepEqual(uses.map((use) => [use.name, use.input]), wanted.map((tool) => [tool.name, tool.args]));
          assert.equal(called.stop_reason, 'tool_use');
          assert.equal(called.content.some((block) => block.type === 'thinking' && block.signature), model === CLAUDE);
          const final = await ask(
            uses.map(({ id }, n) => ({ type: 'tool_result', tool_use_id: id, content: results[n] })),
          );
          for (const result of results) assert.ok(said(final).includes(result), said(final));
        }
      });
    }
  }

  test('tokens are counted', LIMIT, async () => {
    const count = async (content) =>
      (await client.messages.countTokens({ model: CLAUDE, messages: [{ role: 'user', content }] })).input_tokens;
    const [few, many] = [await count('Hi'), await count('granite '.repeat(200))];
    assert.ok(0 < few && few < many, `${few}, ${many}`);
  });

  test('errors are of their kind', LIMIT, async () => {
    const hi = { max_tokens: 10, messages: [{ role: 'user', content: 'Hi' }] };
    await assert.rejects(client.messages.create({ model: 'no.such-model-v9:0', ...hi }), Anthropic.NotFoundError);
    await assert.rejects(client.messages.create({ model: 'emulator.throttle', ...hi }), Anthropic.RateLimitError);
    await assert.rejects(client.messages.create({ model: NOVA, ...hi, max_tokens: 0 }), Anthropic.BadRequestError);
  });
});
