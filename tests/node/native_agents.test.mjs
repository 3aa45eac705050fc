// The AWS SDK for JavaScript on bedrock-agent-runtime: through the gateway to a test server, which records
// the requests.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { crc32 } from 'node:zlib';

import {
  BedrockAgentRuntimeClient,
  InvokeAgentCommand,
  RetrieveCommand,
  ThrottlingException,
} from '@aws-sdk/client-bedrock-agent-runtime';

import { KEYS, REGION, Remembering } from './aws.mjs';
import { seeded } from './invented.mjs';
import { LIMIT, suite } from './suite.mjs';

const OWN = { accessKeyId: 'AKIDGATEWAY', secretAccessKey: 'gateway-secret' };

/** A fake Bedrock: `answer` is its next answer, `seen` the requests it received. */
const upstream = { seen: [], answer: undefined, server: undefined };

upstream.server = createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    const { method, url, headers } = request;
    upstream.seen.push({ method, url, headers, body: Buffer.concat(pieces).toString() });
    const { status = 200, type = 'application/json', body, ...more } = upstream.answer;
    response.writeHead(status, { 'content-type': type, 'x-amzn-requestid': 'agents-1', ...more }).end(body);
  });
});

/** An event-stream frame with string headers. */
function frame(headers, payload) {
  const fields = Object.entries(headers).map(([name, value]) =>
    Buffer.concat([Buffer.from([name.length]), Buffer.from(name), Buffer.from([7, value.length >> 8, value.length & 255]), Buffer.from(value)]),
  );
  const head = Buffer.concat(fields);
  const whole = Buffer.alloc(16 + head.length + payload.length);
  whole.writeUInt32BE(whole.length, 0);
  whole.writeUInt32BE(head.length, 4);
  whole.writeUInt32BE(crc32(whole.subarray(0, 8)), 8);
  head.copy(whole, 12);
  payload.copy(whole, 12 + head.length);
  whole.writeUInt32BE(crc32(whole.subarray(0, -4)), whole.length - 4);
  return whole;
}

function prepare() {
  return new Promise((resolve) => {
    upstream.server.listen(0, '127.0.0.1', () => {
      const url = `http://127.0.0.1:${upstream.server.address().port}`;
      const environment = {
        AWS_REGION: REGION,
        AWS_ACCESS_KEY_ID: OWN.accessKeyId,
        AWS_SECRET_ACCESS_KEY: OWN.secretAccessKey,
        AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME: url,
        // These must not be called; a call would fail.
        AWS_ENDPOINT_URL: 'http://127.0.0.1:9',
      };
      resolve({ args: [], environment });
    });
  });
}

suite(
  'AWS SDK for JavaScript: agents and knowledge bases',
  (_, root) => {
    let client;

    before(() => {
      client = new BedrockAgentRuntimeClient({
        endpoint: `${root()}/bedrock`,
        region: REGION,
        maxAttempts: 1,
        credentials: KEYS,
        requestHandler: new Remembering(),
      });
    });

    after(async () => {
      client?.destroy();
      upstream.server.closeAllConnections();
      await new Promise((resolve) => upstream.server.close(resolve));
    });

    /** The request at the server: one call, signed by the gateway and not by the client. */
    function only() {
      const [seen, ...more] = upstream.seen.splice(0);
      assert.equal(more.length, 0);
      assert.match(seen.headers.authorization, /^AWS4-HMAC-SHA256 Credential=AKIDGATEWAY\//);
      assert.ok(!JSON.stringify(seen.headers).includes(KEYS.accessKeyId));
      return seen;
    }

    test('Retrieve', LIMIT, async (t) => {
      const [question, found] = seeded(t.name).words(2);
      upstream.answer = { body: JSON.stringify({ retrievalResults: [{ content: { text: found, type: 'TEXT' }, score: 0.5 }] }) };
      const answer = await client.send(new RetrieveCommand({ knowledgeBaseId: 'ABCDEFGHIJ', retrievalQuery: { text: question } }));
      assert.deepEqual([answer.retrievalResults[0].content.text, answer.retrievalResults[0].score], [found, 0.5]);
      assert.equal(answer.$metadata.requestId, 'agents-1');
      const { method, url, body } = only();
      assert.deepEqual([method, url], ['POST', '/knowledgebases/ABCDEFGHIJ/retrieve']);
      assert.deepEqual(JSON.parse(body), { retrievalQuery: { text: question } });
    });

    test('InvokeAgent, its stream read to the end', LIMIT, async (t) => {
      const said = seeded(t.name).words(3);
      const chunk = (text) =>
        frame(
          { ':message-type': 'event', ':event-type': 'chunk', ':content-type': 'application/json' },
          Buffer.from(JSON.stringify({ bytes: Buffer.from(text).toString('base64') })),
        );
      upstream.answer = {
        type: 'application/vnd.amazon.eventstream',
        'x-amz-bedrock-agent-session-id': 'session-1',
        'x-amzn-bedrock-agent-content-type': 'application/json',
        body: Buffer.concat(said.map(chunk)),
      };
      const request = { agentId: 'ABCDEFGHIJ', agentAliasId: 'KLMNOPQRST', sessionId: 'session-1', inputText: said[0] };
      const answer = await client.send(new InvokeAgentCommand(request));
      const received = [];
      for await (const event of answer.completion) received.push(new TextDecoder().decode(event.chunk.bytes));
      assert.deepEqual(received, said);
      assert.equal(answer.sessionId, 'session-1');
      const { url, body } = only();
      assert.equal(url, '/agents/ABCDEFGHIJ/agentAliases/KLMNOPQRST/sessions/session-1/text');
      assert.equal(JSON.parse(body).inputText, said[0]);
    });

    test('ThrottlingException', LIMIT, async () => {
      upstream.answer = { status: 429, 'x-amzn-errortype': 'ThrottlingException:http://x/', body: '{"message":"slow down"}' };
      const request = { knowledgeBaseId: 'ABCDEFGHIJ', retrievalQuery: { text: 'x' } };
      await assert.rejects(client.send(new RetrieveCommand(request)), (error) => {
        assert.ok(error instanceof ThrottlingException, `${error}`);
        assert.deepEqual([error.message, error.$metadata.httpStatusCode], ['slow down', 429]);
        return true;
      });
      only();
    });
  },
  prepare,
);
