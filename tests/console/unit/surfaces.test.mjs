// Requests and streams of the Playground's APIs, and the axis of charts.
import assert from "node:assert/strict";
import test from "node:test";

globalThis.document = { baseURI: "http://127.0.0.1/console/" };
const { EventReader, FrameReader, SURFACES } = await import("../../../crates/console/assets/js/surfaces.js");
const { layersOf, niceCeiling } = await import("../../../crates/console/assets/js/chart.js");

const ask = { model: "m/x", system: "be brief", text: "Hello", max: 10, temperature: null, stream: true };

test("each API has its own words", () => {
  assert.deepEqual(SURFACES.chat.body(ask).messages, [{ role: "system", content: "be brief" }, { role: "user", content: "Hello" }]);
  assert.equal("temperature" in SURFACES.chat.body(ask), false);
  assert.equal(SURFACES.messages.body({ ...ask, max: null }).max_tokens, 1024);
  assert.equal(SURFACES.converse.path(ask), "/bedrock/model/m%2Fx/converse-stream");
  assert.equal("inferenceConfig" in SURFACES.converse.body({ ...ask, max: null }), false);
  for (const surface of Object.values(SURFACES)) assert.equal(surface.answer({ error: { message: "no" }, message: "no" }).error, "no");
});

test("events are read however they are cut", () => {
  const text = 'event: a\r\ndata: {"n": 1}\r\n\r\n: comment\n\ndata: {"n": 2}\n\ndata: [DONE]\n\n';
  for (let size = 1; size < 9; size += 1) {
    const reader = new EventReader();
    const found = [];
    for (let at = 0; at < text.length; at += size) found.push(...reader.push(text.slice(at, at + size)));
    assert.deepEqual(found, [{ n: 1 }, { n: 2 }], `pieces of ${size}`);
  }
});

/** A frame of AWS's event stream, without valid checksums, which the page leaves to the gateway. */
function frame(headers, payload) {
  const [head, body] = [headers, payload].map((text) => new TextEncoder().encode(text));
  const bytes = new Uint8Array(16 + head.length + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length);
  view.setUint32(4, head.length);
  bytes.set(head, 12);
  bytes.set(body, 12 + head.length);
  return bytes;
}

test("frames are read however they are cut, and errors are told", () => {
  const all = [frame(":event-type", '{"delta":{"text":"Hi"}}'), frame(":exception-type", '{"message":"no"}')];
  const bytes = new Uint8Array(all[0].length + all[1].length);
  bytes.set(all[0]);
  bytes.set(all[1], all[0].length);
  for (const size of [1, 7, 1000]) {
    const reader = new FrameReader();
    const found = [];
    for (let at = 0; at < bytes.length; at += size) found.push(...reader.push(bytes.slice(at, at + size)));
    assert.deepEqual(found.map((event) => SURFACES.converse.event(event)), [{ text: "Hi", usage: undefined }, { error: "no" }]);
  }
  assert.throws(() => new FrameReader().push(new Uint8Array(20)), /cannot be read/);
});

test("layers of a chart add up to the total", () => {
  const series = (id, values) => ({ id, label: id, spend_nano: values.map(String), requests: values, tokens: values });
  const activity = { series: [series("a", [1, 2]), series("b", [0, 0])], other: series("", [3, 4]), overlapping: false };
  const layers = layersOf(activity, "spend");
  assert.deepEqual(layers.map((one) => [one.label, one.total]), [["a", 3n], ["other", 7n]]);
  for (const value of [0.3, 1, 7, 99, 12_345, 9e12]) {
    const top = niceCeiling(value);
    assert.ok(top >= value && top <= value * 2.5, `${value}: ${top}`);
  }
  assert.equal(niceCeiling(0), 1);
});
