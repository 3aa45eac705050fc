// The AWS SDK for JavaScript on Bedrock's own API: usual calls, exceptions, and ways to authenticate.

import assert from 'node:assert/strict';
import { Agent } from 'node:https';
import { after, before, test } from 'node:test';

import {
  AccessDeniedException,
  BedrockRuntimeClient,
  BedrockRuntimeServiceException,
  ConverseCommand,
  ConverseStreamCommand,
  InternalServerException,
  InvokeModelCommand,
  InvokeModelWithBidirectionalStreamCommand,
  InvokeModelWithResponseStreamCommand,
  ModelErrorException,
  ModelNotReadyException,
  ModelStreamErrorException,
  ModelTimeoutException,
  ResourceNotFoundException,
  ServiceUnavailableException,
  ThrottlingException,
  ValidationException,
} from '@aws-sdk/client-bedrock-runtime';
import { generate } from 'selfsigned';

import { KEYS, REGION, Remembering, withEnvironment } from './aws.mjs';
import { requestFor, seeded } from './invented.mjs';
import { CLAUDE, LIMIT, NOVA, suite } from './suite.mjs';

const ECHO = 'emulator.echo';
const user = (text) => [{ role: 'user', content: [{ text }] }];
const converse = (modelId, text) => new ConverseCommand({ modelId, messages: user(text) });
const textOf = (answer) => answer.output.message.content.map((block) => block.text ?? '').join('');
const streamedText = (events) => events.map((event) => event.contentBlockDelta?.delta.text ?? '').join('');

/** A client that sends each request once. */
const made = (root, config) =>
  new BedrockRuntimeClient({ endpoint: `${root}/bedrock`, region: REGION, maxAttempts: 1, requestHandler: new Remembering(), ...config });

async function collect(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

suite('AWS SDK for JavaScript: calls', (_, root) => {
  let client;

  before(() => {
    client = made(root(), { credentials: KEYS });
  });

  after(() => client?.destroy());

  const arn = `arn:aws:bedrock:us-east-1:123456789012:inference-profile/${NOVA}`;
  for (const model of ['nova-lite', NOVA, `bedrock/${NOVA}`, arn, CLAUDE]) {
    test(`Converse and ConverseStream give the same answer: ${model}`, LIMIT, async (t) => {
      const [name, second] = seeded(t.name).words(2);
      const request = { modelId: model, messages: user(`Tell me of ${name} and ${second}.`), inferenceConfig: { maxTokens: 200 } };
      const whole = await client.send(new ConverseCommand(request));
      assert.equal(whole.stopReason, 'end_turn');
      assert.ok(textOf(whole).includes(name) && textOf(whole).includes(second), textOf(whole));
      assert.equal(whole.usage.totalTokens, whole.usage.inputTokens + whole.usage.outputTokens);
      assert.ok(whole.$metadata.requestId);
      const events = await collect((await client.send(new ConverseStreamCommand(request))).stream);
      assert.equal(events[0].messageStart.role, 'assistant');
      assert.equal(streamedText(events), textOf(whole));
      assert.ok(events.filter((event) => event.contentBlockDelta).length > 3, 'it came in one piece');
      assert.equal(events.at(-2).messageStop.stopReason, 'end_turn');
      assert.deepEqual(events.at(-1).metadata.usage, whole.usage);
    });
  }

  for (const stream of [false, true]) {
    test(`two tool calls and back${stream ? ', streamed' : ''}`, LIMIT, async (t) => {
      const { tools, words } = seeded(t.name);
      const [wanted, results] = [tools(2, '_'), words(2)];
      const toolConfig = {
        tools: wanted.map(({ name, schema }) => ({ toolSpec: { name, description: 'A tool.', inputSchema: { json: schema } } })),
      };
      const say = async (messages) => {
        if (stream) return put(await collect((await client.send(new ConverseStreamCommand({ modelId: 'nova-lite', messages, toolConfig }))).stream));
        const answer = await client.send(new ConverseCommand({ modelId: 'nova-lite', messages, toolConfig }));
        return { content: answer.output.message.content, stopReason: answer.stopReason };
      };
      const messages = user(requestFor(wanted));
      const { content, stopReason } = await say(messages);
      const calls = content.filter((block) => block.toolUse).map((block) => block.toolUse);
      assert.equal(stopReason, 'tool_use');
      assert.deepEqual(calls.map((call) => [call.name, call.input]), wanted.map((tool) => [tool.name, tool.args]));
      const answers = calls.map(({ toolUseId }, n) => ({ toolResult: { toolUseId, content: [{ text: results[n] }] } }));
      messages.push({ role: 'assistant', content }, { role: 'user', content: answers });
      const final = await say(messages);
      assert.equal(final.stopReason, 'end_turn');
      const text = final.content.map((block) => block.text ?? '').join('');
      for (const result of results) assert.ok(text.includes(result), text);
    });
  }

  test('InvokeModel: embeddings', LIMIT, async (t) => {
    const [inputText, other] = seeded(t.name).words(2);
    const embed = async (text) => {
      const body = JSON.stringify({ inputText: text, dimensions: 256, normalize: true });
      const answer = await client.send(new InvokeModelCommand({ modelId: 'amazon.titan-embed-text-v2:0', contentType: 'application/json', body }));
      assert.equal(answer.contentType, 'application/json');
      return JSON.parse(answer.body.transformToString());
    };
    const first = await embed(inputText);
    assert.equal(first.embedding.length, 256);
    assert.ok(Math.abs(Math.hypot(...first.embedding) - 1) < 1e-3, 'not normalised');
    assert.ok(first.inputTextTokenCount > 0);
    assert.deepEqual(await embed(inputText), first);
    assert.notDeepEqual((await embed(other)).embedding, first.embedding);
  });

  test("InvokeModelWithResponseStream: Claude's own format", LIMIT, async (t) => {
    const [name] = seeded(t.name).words(1);
    const body = JSON.stringify({
      anthropic_version: 'bedrock-2023-05-31',
      max_tokens: 200,
      messages: [{ role: 'user', content: `Who is ${name}?` }],
    });
    const request = { modelId: CLAUDE, contentType: 'application/json', body };
    const answer = await client.send(new InvokeModelWithResponseStreamCommand(request));
    const events = (await collect(answer.body)).map((event) => JSON.parse(new TextDecoder().decode(event.chunk.bytes)));
    assert.deepEqual([events[0].type, events.at(-1).type], ['message_start', 'message_stop']);
    const text = events.map((event) => event.delta?.text ?? '').join('');
    assert.ok(text.includes(name), text);
    assert.ok(events.at(-1)['amazon-bedrock-invocationMetrics'].outputTokenCount > 0);
    const whole = JSON.parse((await client.send(new InvokeModelCommand(request))).body.transformToString());
    assert.equal(whole.content[0].text, text);
  });

  test('every character survives', LIMIT, async () => {
    const said = 'Grüße, 世界 🌍 "quoted" \\ back\tslash\nsecond line\u2028end';
    assert.equal(textOf(await client.send(converse(ECHO, said))), said);
    const request = { modelId: ECHO, messages: user(said) };
    assert.equal(streamedText(await collect((await client.send(new ConverseStreamCommand(request))).stream)), said);
  });

  const MODELLED = [
    ['emulator.throttle', 429, ThrottlingException],
    ['emulator.not-ready', 429, ModelNotReadyException],
    ['emulator.error-400', 400, ValidationException],
    ['emulator.error-403', 403, AccessDeniedException],
    ['emulator.error-404', 404, ResourceNotFoundException],
    ['emulator.error-408', 408, ModelTimeoutException],
    ['emulator.error-424', 424, ModelErrorException],
    ['emulator.error-500', 500, InternalServerException],
    ['emulator.error-503', 503, ServiceUnavailableException],
    ['no.such-model-v9:0', 400, ValidationException],
  ];
  for (const [modelId, status, type] of MODELLED) {
    test(`${modelId} throws ${type.name}`, LIMIT, async () => {
      for (const Command of [ConverseCommand, ConverseStreamCommand]) {
        await assert.rejects(client.send(new Command({ modelId, messages: user('x') })), (error) => {
          assert.ok(error instanceof type, `${error.constructor.name}: ${error}`);
          assert.equal(error.$metadata.httpStatusCode, status);
          assert.ok(error.message && error.$metadata.requestId);
          return true;
        });
      }
    });
  }

  for (const [modelId, type] of [['emulator.stream-throttle-3', ThrottlingException], ['emulator.exception-3', ModelStreamErrorException]]) {
    test(`${modelId} throws ${type.name} in mid-stream`, LIMIT, async () => {
      const { stream } = await client.send(new ConverseStreamCommand({ modelId, messages: user('Tell me a lot.') }));
      const received = [];
      await assert.rejects(
        async () => {
          for await (const event of stream) received.push(event);
        },
        (error) => error instanceof type && Boolean(error.message),
      );
      assert.equal(received.length, 3);
    });
  }

  test('a stream whose connection breaks throws', LIMIT, async () => {
    const { stream } = await client.send(new ConverseStreamCommand({ modelId: 'emulator.reset-3', messages: user('x') }));
    await assert.rejects(collect(stream));
  });

  test('a bidirectional stream is refused with the reason', LIMIT, async () => {
    const silence = (async function* () {
      yield { chunk: { bytes: new Uint8Array() } };
    })();
    const request = { modelId: 'amazon.nova-sonic-v1:0', body: silence };
    await assert.rejects(client.send(new InvokeModelWithBidirectionalStreamCommand(request)), (error) => {
      assert.ok(error instanceof BedrockRuntimeServiceException, `${error}`);
      assert.equal(error.$metadata.httpStatusCode, 501);
      assert.match(error.message, /HTTP\/2/);
      return true;
    });
  });
});

/** Content and stop reason of a streamed message. */
function put(events) {
  const content = [];
  for (const { contentBlockStart: start, contentBlockDelta: piece } of events) {
    if (start?.start.toolUse) content[start.contentBlockIndex] = { toolUse: { ...start.start.toolUse, input: '' } };
    if (piece?.delta.toolUse) content[piece.contentBlockIndex].toolUse.input += piece.delta.toolUse.input;
    if (piece?.delta.text) (content[piece.contentBlockIndex] ??= { text: '' }).text += piece.delta.text;
  }
  for (const block of content) if (block.toolUse) block.toolUse.input = JSON.parse(block.toolUse.input);
  return { content, stopReason: events.find((event) => event.messageStop).messageStop.stopReason };
}

/** Sends one call; returns its authorization header. */
async function authorization(root, config) {
  const client = made(root, config);
  try {
    assert.equal(textOf(await client.send(converse(ECHO, 'Who am I?'))), 'Who am I?');
    return client.config.requestHandler.sent[0].authorization;
  } finally {
    client.destroy();
  }
}

/** The SDK's ways to authenticate, the same over http and https. */
function identities(root, ca) {
  const reach = () => ({ requestHandler: new Remembering(ca() && { httpsAgent: new Agent({ ca: ca() }) }) });
  const preferred = { authSchemePreference: ['httpBearerAuth'] };

  test('invalid keys', LIMIT, async () => {
    assert.match(await authorization(root(), { ...reach(), credentials: KEYS }), /^AWS4-HMAC-SHA256 Credential=AKIDDUMMY\//);
  });

  test('a bearer token, in the code', LIMIT, async (t) => {
    const token = seeded(t.name).words(1)[0];
    const config = { ...reach(), token: { token } };
    assert.equal(await authorization(root(), { ...config, ...preferred }), `Bearer ${token}`);
    await assert.rejects(authorization(root(), config), { name: 'CredentialsProviderError' }, 'the preference has become needless');
  });

  test('a bearer token, in the environment', LIMIT, async (t) => {
    const token = seeded(t.name).words(1)[0];
    await withEnvironment({ AWS_BEARER_TOKEN_BEDROCK: token }, async () => {
      assert.equal(await authorization(root(), reach()), `Bearer ${token}`);
      assert.equal(await authorization(root(), { ...reach(), credentials: KEYS }), `Bearer ${token}`, 'it goes before keys');
    });
  });

  // The SDK's own handler for this service speaks HTTP/2 and nothing else.
  test('the default request handler', LIMIT, async (t) => {
    const requestHandler = ca() && { nodeHttp2ConnectOptions: { ca: ca() } };
    const client = made(root(), { credentials: KEYS, requestHandler });
    assert.equal(client.config.requestHandler.metadata.handlerProtocol, 'h2');
    const said = seeded(t.name).words(40).join(' ');
    assert.equal(textOf(await client.send(converse(ECHO, said))), said);
    const streamed = (text) => client.send(new ConverseStreamCommand({ modelId: ECHO, messages: user(text) }));
    assert.equal(streamedText(await collect((await streamed(said)).stream)), said);

    // Many at a time, on one connection.
    const all = Array.from({ length: 100 }, (_, at) => `${said.slice(0, at * 2)} ${at}`);
    assert.deepEqual(
      await Promise.all(
        all.map(async (text, at) => {
          if (at % 2) return textOf(await client.send(converse(ECHO, text)));
          return streamedText(await collect((await streamed(text)).stream));
        }),
      ),
      all,
    );

    // A stream that is left, a call that is aborted, errors: the connection serves on.
    for await (const _ of (await streamed(said)).stream) break;
    const aborted = client.send(converse('emulator.slow-5000', 'x'), { abortSignal: AbortSignal.timeout(200) });
    await assert.rejects(aborted, { name: /AbortError|TimeoutError/ });
    for (const Command of [ConverseCommand, ConverseStreamCommand]) {
      await assert.rejects(client.send(new Command({ modelId: 'emulator.throttle', messages: user('x') })), ThrottlingException);
    }
    const { stream } = await client.send(new ConverseStreamCommand({ modelId: 'emulator.reset-3', messages: user('x') }));
    await assert.rejects(collect(stream));
    assert.equal(textOf(await client.send(converse(ECHO, said))), said);
    client.destroy();
  });

  test('a bidirectional stream of the default request handler is refused with the reason', LIMIT, async () => {
    const requestHandler = ca() && { nodeHttp2ConnectOptions: { ca: ca() } };
    const client = made(root(), { credentials: KEYS, requestHandler });
    const silence = (async function* () {
      yield { chunk: { bytes: new Uint8Array() } };
    })();
    const request = { modelId: 'amazon.nova-sonic-v1:0', body: silence };
    await assert.rejects(client.send(new InvokeModelWithBidirectionalStreamCommand(request)), (error) => {
      assert.equal(error.$metadata?.httpStatusCode, 501, `${error}`);
      return true;
    });
    client.destroy();
  });
}

suite('AWS SDK for JavaScript: over http', (_, root) => {
  identities(root, () => undefined);

  test('an environment and no arguments', LIMIT, async () => {
    const variables = {
      AWS_ENDPOINT_URL_BEDROCK_RUNTIME: `${root()}/bedrock`,
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: KEYS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
    };
    await withEnvironment(variables, async () => {
      for (const config of [{}, { requestHandler: new Remembering() }]) {
        const client = new BedrockRuntimeClient(config);
        assert.equal(textOf(await client.send(converse(ECHO, 'Where am I?'))), 'Where am I?');
        client.destroy();
      }
    });
  });
});

let certificate;

suite(
  'AWS SDK for JavaScript: over https',
  (_, root) => identities(root, () => certificate.cert),
  () => {
    const extensions = [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }];
    const options = { algorithm: 'sha256', keySize: 2048, extensions };
    certificate = generate([{ name: 'commonName', value: '127.0.0.1' }], options);
    const files = {
      'server.pem': certificate.cert,
      'server.key': certificate.private,
      'outcrop.yaml': 'tls: { certificate: server.pem, key: server.key }\n',
    };
    return { args: ['--demo', '--config', 'outcrop.yaml'], files, ca: certificate.cert };
  },
);
