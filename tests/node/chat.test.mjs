// The official Node client against the demo gateway: its usual calls.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import OpenAI from 'openai';

import { LIMIT, NOVA, suite } from './suite.mjs';

const ECHO = 'emulator.echo';
const PIXEL =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

const user = (content) => [{ role: 'user', content }];
const textOf = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? '').join('');

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

suite('openai-node: chat', (url) => {
  let client;

  before(() => {
    client = new OpenAI({ baseURL: url(), apiKey: 'any', maxRetries: 0, timeout: 300_000 });
  });

  test('chat', LIMIT, async () => {
    const answer = await client.chat.completions.create({ model: NOVA, messages: user('Name a rock.') });
    assert.equal(answer.object, 'chat.completion');
    assert.match(answer.id, /^chatcmpl-/);
    assert.equal(answer.choices.length, 1);
    assert.equal(answer.choices[0].finish_reason, 'stop');
    assert.equal(answer.choices[0].message.role, 'assistant');
    assert.ok(answer.choices[0].message.content.length > 0);
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
    assert.ok(answer._request_id);
  });

  test('every character survives', LIMIT, async () => {
    const said = 'Grüße, 世界 🌍 "quoted" \\ back\tslash\nsecond line\u2028end';
    const plain = await client.chat.completions.create({ model: ECHO, messages: user(said) });
    assert.equal(plain.choices[0].message.content, said);
    const chunks = await collect(await client.chat.completions.create({ model: ECHO, messages: user(said), stream: true }));
    assert.equal(textOf(chunks), said);
  });

  test('stream with usage', LIMIT, async () => {
    const chunks = await collect(
      await client.chat.completions.create({
        model: NOVA,
        messages: [{ role: 'system', content: 'Be brief.' }, ...user('Count.')],
        stream: true,
        stream_options: { include_usage: true },
      }),
    );
    assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);
    assert.equal(new Set(chunks.map((chunk) => chunk.created)).size, 1);
    assert.equal(chunks[0].choices[0].delta.role, 'assistant');
    const last = chunks.at(-1);
    assert.deepEqual(last.choices, []);
    assert.ok(last.usage.total_tokens > 0);
    assert.equal(chunks.at(-2).choices[0].finish_reason, 'stop');
    assert.ok(chunks.length > 5, 'the answer came in one piece');
  });

  test('the stream helper accumulates', LIMIT, async () => {
    const deltas = [];
    const runner = client.chat.completions
      .stream({ model: NOVA, messages: user('Tell me of slate.'), stream_options: { include_usage: true } })
      .on('content', (delta) => deltas.push(delta));
    const final = await runner.finalChatCompletion();
    assert.equal(await runner.finalContent(), deltas.join(''));
    assert.equal(final.choices[0].message.content, deltas.join(''));
    assert.equal(final.choices[0].finish_reason, 'stop');
    assert.ok(deltas.length > 3);
    const usage = await runner.totalUsage();
    assert.ok(usage.total_tokens > 0);
  });

  test('image by data URL', LIMIT, async () => {
    const answer = await client.chat.completions.create({
      model: NOVA,
      messages: user([
        { type: 'text', text: 'What is in the picture?' },
        { type: 'image_url', image_url: { url: PIXEL } },
      ]),
    });
    assert.match(answer.choices[0].message.content, /png/i);
  });

  test('limits and stops', LIMIT, async () => {
    const short = await client.chat.completions.create({ model: NOVA, messages: user('A story.'), max_completion_tokens: 2 });
    assert.equal(short.choices[0].finish_reason, 'length');
    const cut = await client.chat.completions.create({ model: ECHO, messages: user('before STOP after'), stop: ['STOP'] });
    assert.equal(cut.choices[0].message.content.trim(), 'before');
  });

  test('errors are of the right class', LIMIT, async () => {
    await assert.rejects(client.chat.completions.create({ model: 'no.such-model-v9:0', messages: user('x') }), (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError, `${error}`);
      assert.equal(error.code, 'model_not_found');
      assert.ok(error.requestID);
      return true;
    });
    await assert.rejects(
      client.chat.completions.create({ model: NOVA, messages: [{ role: 'narrator', content: 'x' }] }),
      (error) => {
        assert.ok(error instanceof OpenAI.BadRequestError, `${error}`);
        assert.equal(error.param, 'messages[0].role');
        assert.equal(error.type, 'invalid_request_error');
        return true;
      },
    );
    await assert.rejects(
      client.chat.completions.create({ model: 'emulator.throttle', messages: user('x'), stream: true }),
      OpenAI.RateLimitError,
    );
  });

  for (const model of ['emulator.cut-3', 'emulator.exception-2']) {
    test(`a stream broken by ${model} throws`, LIMIT, async () => {
      const received = [];
      await assert.rejects(
        async () => {
          const stream = await client.chat.completions.create({ model, messages: user('Tell me a lot.'), stream: true });
          for await (const chunk of stream) received.push(chunk);
        },
        (error) => error instanceof OpenAI.APIError && error.status === undefined && Boolean(error.message),
      );
      assert.ok(received.length > 0, 'the failure came before the first chunk');
    });
  }

  test('abort in mid-stream', LIMIT, async () => {
    const words = Array.from({ length: 400 }, (_, n) => `word${n}`).join(' ');
    const stream = await client.chat.completions.create({ model: ECHO, messages: user(words), stream: true });
    const received = [];
    for await (const chunk of stream) {
      received.push(chunk);
      if (received.length === 3) stream.controller.abort();
    }
    assert.ok(received.length < 200, `${received.length} chunks after an abort`);
    const next = await client.chat.completions.create({ model: ECHO, messages: user('still here') });
    assert.equal(next.choices[0].message.content, 'still here');
  });

  test('concurrent requests do not mix', LIMIT, async () => {
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, n) =>
        client.chat.completions.create({ model: ECHO, messages: user(`number ${n}`) }),
      ),
    );
    assert.deepEqual(
      answers.map((answer) => answer.choices[0].message.content),
      Array.from({ length: 12 }, (_, n) => `number ${n}`),
    );
  });

  test('text completions, whole and streamed', LIMIT, async () => {
    const request = { model: ECHO, prompt: ['Grüße', '世界 🌍'], max_tokens: 50, echo: true };
    const whole = await client.completions.create(request);
    assert.deepEqual(
      whole.choices.map((choice) => choice.text),
      ['GrüßeGrüße', '世界 🌍世界 🌍'],
    );
    const chunks = await collect(
      await client.completions.create({ ...request, stream: true, stream_options: { include_usage: true } }),
    );
    const texts = ['', ''];
    for (const { choices } of chunks) for (const choice of choices) texts[choice.index] += choice.text;
    assert.deepEqual(texts, whole.choices.map((choice) => choice.text));
    assert.deepEqual(chunks.at(-1).usage, whole.usage);
  });
});
