// Embeddings and the model list with the official Node client.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import OpenAI from 'openai';

import { seeded } from './invented.mjs';
import { LIMIT, suite } from './suite.mjs';

suite('openai-node: embeddings and models', (url) => {
  let client;

  before(() => {
    client = new OpenAI({ baseURL: url(), apiKey: 'any', maxRetries: 0, timeout: 300_000 });
  });

  for (const model of ['amazon.titan-embed-text-v2:0', 'cohere.embed-multilingual-v3']) {
    test(`base64, the SDK's own choice, equals float: ${model}`, LIMIT, async (t) => {
      const input = seeded(t.name).words(3);
      const packed = await client.embeddings.create({ model, input });
      const plain = await client.embeddings.create({ model, input, encoding_format: 'float' });
      assert.deepEqual(packed.data.map((item) => item.index), [0, 1, 2]);
      for (const [n, { embedding }] of plain.data.entries()) {
        assert.deepEqual(packed.data[n].embedding, embedding.map(Math.fround));
      }
      assert.ok(plain.usage.prompt_tokens > 0);
      assert.equal(plain.usage.total_tokens, plain.usage.prompt_tokens);
    });
  }

  test('models: list and retrieve', LIMIT, async () => {
    const listed = [];
    for await (const model of client.models.list()) listed.push(model);
    assert.ok(listed.length > 10, `${listed.length} models`);
    assert.equal(new Set(listed.map((model) => model.id)).size, listed.length);
    for (const model of listed) assert.equal(model.object, 'model');
    const [first] = listed;
    assert.equal((await client.models.retrieve(first.id)).id, first.id);
    await assert.rejects(client.models.retrieve('no.such-model-v9:0'), OpenAI.NotFoundError);
  });
});
