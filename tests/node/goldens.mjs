// The golden streams of the translator, and a Bedrock that answers with them: as streams, or folded into
// complete answers by the code here, independently of the translator.

import { readFileSync, readdirSync } from 'node:fs';
import http from 'node:http';
import { fileURLToPath } from 'node:url';
import { crc32 } from 'node:zlib';

const FOLDER = new URL('../../crates/translate/tests/fixtures/stream/', import.meta.url);
const NO_USAGE = { inputTokens: 0, outputTokens: 0, totalTokens: 0 };

/** Every golden stream: its name, the model id, the request, and the events in both forms. */
export function goldens() {
  return readdirSync(fileURLToPath(FOLDER)).sort().filter((file) => file.endsWith('.jsonl')).map((file) => {
    const lines = readFileSync(new URL(file, FOLDER), 'utf8').split('\n').filter((line) => line.trim());
    const [{ request, profile }, ...told] = lines.map((line) => JSON.parse(line));
    // If several answers are requested, all get the events of the first.
    const events = told.filter(({ choice = 0 }) => choice === 0);
    const name = file.replace(/\.jsonl$/, '');
    const complete = events.some(({ event }) => event === 'messageStop');
    const stream = Buffer.concat(events.map(({ event, payload }) => frame(event, payload)));
    return { name, model: `golden.${name}`, request, profile, complete, stream, whole: counted(whole(events), profile) };
  });
}

/** The answer with its input counted net, for streams whose input tokens include the cached ones. */
function counted(answer, profile) {
  if (!answer || profile?.stream_counts !== 'gross') return answer;
  const { usage } = answer;
  const cached = (usage.cacheReadInputTokens ?? 0) + (usage.cacheWriteInputTokens ?? 0);
  if (usage.inputTokens < cached) return answer;
  return { ...answer, usage: { ...usage, inputTokens: usage.inputTokens - cached } };
}

/** One message of an event stream, byte by byte from the published format. */
function frame(name, body) {
  const headers = Buffer.concat(
    [[':event-type', name], [':content-type', 'application/json'], [':message-type', 'event']].map(([key, value]) =>
      Buffer.concat([Buffer.from([key.length]), Buffer.from(key), Buffer.from([7, value.length >> 8, value.length & 255]), Buffer.from(value)]),
    ),
  );
  const payload = Buffer.from(JSON.stringify(body));
  const prelude = Buffer.concat([number(16 + headers.length + payload.length), number(headers.length)]);
  const head = Buffer.concat([prelude, number(crc32(prelude)), headers, payload]);
  return Buffer.concat([head, number(crc32(head))]);
}

function number(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** The complete answer; undefined if a call's input never became JSON. */
function whole(events) {
  const blocks = new Map();
  const answer = { stopReason: 'end_turn', usage: NO_USAGE, metrics: { latencyMs: 1 } };
  for (const { event, payload } of events) {
    const at = payload.contentBlockIndex;
    if (at !== undefined && !blocks.has(at)) blocks.set(at, {});
    const block = blocks.get(at) ?? {};
    if (event === 'contentBlockStart' && payload.start?.toolUse) block.toolUse = { ...payload.start.toolUse, input: '' };
    else if (event === 'contentBlockDelta') grow(block, payload.delta ?? {});
    else if (event === 'messageStop') Object.assign(answer, pick(payload, ['stopReason', 'additionalModelResponseFields']));
    else if (event === 'metadata') Object.assign(answer, pick(payload, ['usage', 'serviceTier', 'trace']));
  }
  try {
    const content = [...blocks].sort(([a], [b]) => a - b).map(([, block]) => settled(block));
    answer.output = { message: { role: 'assistant', content: content.filter((block) => Object.keys(block).length > 0) } };
    return answer;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

const pick = (from, names) => Object.fromEntries(names.filter((name) => name in from).map((name) => [name, from[name]]));

/** Adds a delta to its block. */
function grow(block, delta) {
  if (typeof delta.text === 'string') block.text = (block.text ?? '') + delta.text;
  if (delta.toolUse && block.toolUse) block.toolUse.input += delta.toolUse.input ?? '';
  if (delta.citation) (block.citations ??= []).push(delta.citation);
  const thought = delta.reasoningContent;
  if (!thought) return;
  if ('redactedContent' in thought) {
    // Pieces of bytes, each encoded separately.
    const pieces = [block.reasoningContent?.redactedContent ?? '', thought.redactedContent];
    const bytes = Buffer.concat(pieces.map((piece) => Buffer.from(piece, 'base64')));
    block.reasoningContent = { redactedContent: bytes.toString('base64') };
  } else {
    const known = ((block.reasoningContent ??= {}).reasoningText ??= { text: '' });
    known.text += thought.text ?? '';
    if (thought.signature) known.signature = (known.signature ?? '') + thought.signature;
  }
}

/** A finished block: its input is parsed, and its citations surround its text. */
function settled({ toolUse, citations, text, ...rest }) {
  if (toolUse) return { ...rest, toolUse: { ...toolUse, input: toolUse.input ? JSON.parse(toolUse.input) : {} } };
  if (citations) return { ...rest, citationsContent: { content: [{ text: text ?? '' }], citations } };
  return text === undefined ? rest : { ...rest, text };
}

/** A Bedrock that answers each model with its golden: `url`, `stop()`. */
export async function scripted(known) {
  const byModel = new Map(known.map((golden) => [golden.model, golden]));
  const server = http.createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      const [, , label, operation] = request.url.split('/');
      const golden = byModel.get(decodeURIComponent(label));
      const streamed = operation === 'converse-stream';
      const kind = streamed ? 'application/vnd.amazon.eventstream' : 'application/json';
      response.writeHead(200, { 'content-type': kind });
      response.end(streamed ? golden.stream : JSON.stringify(golden.whole));
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${server.address().port}`, stop };
}
