// @openai/agents on the Responses API, its default: text, streams, tools over turns, typed answers, handoffs.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import { Agent, run, tool } from '@openai/agents';
import { z } from 'zod';

import { seeded } from './invented.mjs';
import { setUp } from './page.mjs';
import { LIMIT, suite } from './suite.mjs';

suite('@openai/agents', (_, root) => {
  let agent;

  before(async () => {
    ({ agent } = await setUp('openai-agents-js', root(), ['agent']));
  });

  const like = (more) => new Agent({ name: 'assistant', model: agent.model, ...more });

  test('text and stream', LIMIT, async (t) => {
    const word = seeded(t.name).word();
    assert.ok((await run(agent, `Who is ${word}?`)).finalOutput.includes(word));
    const streamed = await run(agent, `Who is ${word}?`, { stream: true });
    let events = 0;
    for await (const _ of streamed) events++;
    await streamed.completed;
    assert.ok(streamed.finalOutput.includes(word) && events > 5, `${events}: ${streamed.finalOutput}`);
  });

  for (const stream of [false, true]) {
    test(`tools over turns${stream ? ', streamed' : ''}`, LIMIT, async (t) => {
      const [first, second, result] = seeded(t.name).words(3);
      const asked = [];
      const find = tool({
        name: 'find_rock',
        description: 'Finds a rock.',
        parameters: z.object({ place: z.string() }),
        execute: async ({ place }) => {
          asked.push(place);
          return result;
        },
      });
      const withTool = like({ tools: [find] });
      let history = [];
      for (const place of [first, second]) {
        const question = { role: 'user', content: `Call find_rock with place "${place}".` };
        const answer = await run(withTool, [...history, question], { stream });
        if (stream) {
          for await (const _ of answer);
          await answer.completed;
        }
        assert.ok(answer.finalOutput.includes(result), answer.finalOutput);
        history = answer.history;
      }
      assert.deepEqual(asked, [first, second]);
    });
  }

  test('a typed answer', LIMIT, async (t) => {
    const { word, number } = seeded(t.name);
    const wanted = { name: word(), weight: number() };
    const typed = like({ outputType: z.object({ name: z.string(), weight: z.number() }) });
    const answer = await run(typed, `The rock: name "${wanted.name}", weight ${wanted.weight}.`);
    assert.deepEqual(answer.finalOutput, wanted);
  });

  test('a handoff', LIMIT, async (t) => {
    const billing = new Agent({ name: 'Billing', model: agent.model });
    const answer = await run(like({ handoffs: [billing] }), `Use transfer_to_Billing for ${seeded(t.name).word()}.`);
    assert.equal(answer.lastAgent.name, 'Billing');
    assert.ok(answer.finalOutput);
  });
});
