// Every golden stream through the gateway, as openai-node reads it: the accumulated stream equals the complete
// answer, and `parse` gives the same result for both.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import OpenAI from 'openai';

import { goldens, scripted } from './goldens.mjs';
import { LIMIT, suite } from './suite.mjs';

const KNOWN = goldens();
const UNFINISHED = ['length', 'content_filter'];
let bedrock;

async function prepare() {
  bedrock = await scripted(KNOWN);
  const models = Object.fromEntries(
    KNOWN.filter(({ profile }) => profile).map(({ model, profile }) => [model, { model, accepts: profile }]),
  );
  return {
    args: ['--config', 'outcrop.yaml'],
    // A complete answer uses the first, as a stream does. JSON is valid YAML.
    files: { 'outcrop.yaml': JSON.stringify({ structured_output: { repair: 'off' }, ...(Object.keys(models).length > 0 && { models }) }) },
    environment: {
      AWS_ENDPOINT_URL_BEDROCK_RUNTIME: bedrock.url,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
      AWS_SECRET_ACCESS_KEY: 'example',
    },
  };
}

/** JSON by its value: Bedrock serialises it again in a complete answer. */
function meant(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The content of an answer, complete or streamed: without values that differ between calls, null as absent. */
function comparable({ id, created, object, service_tier, ...completion }) {
  const told = JSON.parse(JSON.stringify(completion, (_, value) => value ?? undefined));
  for (const choice of told.choices) {
    const { message } = choice;
    // Sent with the last chunk only; the accumulator keeps members that it supports.
    delete choice.outcrop;
    delete choice.logprobs;
    delete message.parsed;
    message.content = meant(message.content ?? '');
    message.tool_calls ??= [];
    delete message.reasoning_content;
    delete message.reasoning_details;
    for (const call of message.tool_calls) {
      delete call.index;
      // Ids of calls that the model wrote as text contain the answer's id.
      call.id = call.id?.replace(id.replace('chatcmpl-', ''), 'ANSWER');
    }
    for (const called of [...message.tool_calls.map((call) => call.function), message.function_call]) {
      if (!called) continue;
      delete called.parsed_arguments;
      called.arguments = meant(called.arguments);
    }
  }
  return told;
}

/** The request with strict tools, the only ones that `parse` accepts. */
function strict({ tools, ...request }) {
  const made = tools?.map((tool) => (tool.function ? { ...tool, function: { ...tool.function, strict: true } } : tool));
  return { ...request, ...(made && { tools: made }) };
}

/** Whether text is JSON if JSON was requested. */
function isSound({ request }, { message: { content, refusal } }) {
  if (request.response_format?.type !== 'json_schema' || !content || refusal) return true;
  return typeof meant(content) === 'object';
}

/** The client's parsed answer, or the error that it throws. */
async function parsed(call) {
  try {
    const [{ message }] = (await call()).choices;
    const calls = (message.tool_calls ?? []).map((made) => [made.function?.name, meant(made.function?.arguments)]);
    const { content, parsed: object = null, refusal = null } = message;
    return { content: meant(content ?? ''), parsed: object, refusal, calls };
  } catch (error) {
    if (error instanceof OpenAI.OpenAIError || error instanceof SyntaxError) return { refused: true };
    throw error;
  }
}

/** Reasoning from the chunks; the accumulator keeps only the last piece of members that it does not support. */
function thoughts(chunks) {
  const told = { text: '', details: [] };
  for (const delta of chunks.flatMap(({ choices }) => choices.map((choice) => choice.delta))) {
    told.text += delta.reasoning_content ?? '';
    for (const { index, text, signature, ...rest } of delta.reasoning_details ?? []) {
      const known = (told.details[index] ??= { index });
      Object.assign(known, rest);
      if (typeof text === 'string') known.text = (known.text ?? '') + text;
      if (signature) known.signature = signature;
    }
  }
  return told;
}

/** The same from a complete answer. */
function thoughtsOf({ choices: [{ message }] }) {
  return thoughts([{ choices: [{ delta: message }] }]);
}

suite(
  'openai-node: every golden stream',
  (url) => {
    let client;

    before(() => {
      client = new OpenAI({ baseURL: url(), apiKey: 'any', maxRetries: 0, timeout: 300_000 });
    });

    after(() => bedrock.stop());

    const asked = ({ model, request: { stream, stream_options, ...request } }) => ({ ...request, model });

    for (const golden of KNOWN.filter(({ complete, whole }) => complete && whole)) {
      test(`the accumulated stream equals the complete answer: ${golden.name}`, LIMIT, async () => {
        const whole = await client.chat.completions.create(asked(golden));
        const runner = client.chat.completions.stream({ ...asked(golden), stream_options: { include_usage: true } });
        const chunks = [];
        runner.on('chunk', (chunk) => chunks.push(chunk));
        const final = await runner.finalChatCompletion().catch((error) => {
          // The client may refuse to parse an unfinished answer.
          const unfinished = UNFINISHED.includes(whole.choices[0].finish_reason) && golden.request.response_format;
          if (unfinished && error instanceof OpenAI.OpenAIError) return undefined;
          throw error;
        });
        if (!final) return;
        const [summed, expected] = [final, whole].map(comparable);
        if (summed.usage === undefined) {
          assert.equal(expected.usage.total_tokens, 0, 'only what was never told may be missing');
          delete expected.usage;
        }
        assert.deepEqual(summed, expected);
        assert.deepEqual(thoughts(chunks), thoughtsOf(whole));
      });
    }

    for (const golden of KNOWN.filter(({ complete, whole }) => complete && whole)) {
      test(`parse gives the same for answer and stream: ${golden.name}`, LIMIT, async () => {
        const body = strict(asked(golden));
        const [created] = (await client.chat.completions.create(body)).choices;
        const whole = await parsed(() => client.chat.completions.parse(body));
        // The client parses an unfinished answer either not at all or as far as it arrived.
        assert.equal(whole.refused ?? false, UNFINISHED.includes(created.finish_reason) || !isSound(golden, created));
        if (whole.refused) return;
        assert.deepEqual(whole.content, meant(created.message.content ?? ''));
        assert.deepEqual(await parsed(() => client.chat.completions.stream(body).finalChatCompletion()), whole);
        const isShaped = golden.request.response_format?.type === 'json_schema';
        if (isShaped && whole.content) assert.deepEqual(whole.parsed, whole.content, 'an object is what was asked for');
      });
    }

    for (const golden of KNOWN.filter(({ complete }) => !complete)) {
      test(`a cut stream is an error: ${golden.name}`, LIMIT, async () => {
        await assert.rejects(client.chat.completions.stream(asked(golden)).finalChatCompletion(), OpenAI.APIError);
      });
    }

    test('no golden is left out', () => {
      assert.ok(KNOWN.length > 20);
      assert.ok(KNOWN.filter(({ whole }) => !whole).length <= 2);
    });
  },
  prepare,
);
