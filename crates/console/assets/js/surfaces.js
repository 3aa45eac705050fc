// The APIs of the Playground: the request of each, and what its answer or its stream says. No page, no network.

/** @typedef {{model: string, system: string, text: string, max: number | null, temperature: number | null, stream: boolean}} Ask */
/** @typedef {{text?: string, usage?: any, done?: boolean, error?: string}} Heard */
/**
 * @typedef {{name: string, path: (ask: Ask) => string, body: (ask: Ask) => any, answer: (body: any) => Heard, event: (event: any) => Heard}} Surface
 */

/** @param {Record<string, any>} members */
function given(members) {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== null && value !== undefined && value !== ""));
}

/** @param {any} body */
function refusal(body) {
  const error = body?.error;
  return error ? { error: error.message ?? JSON.stringify(error) } : null;
}

export const SURFACES = /** @type {Record<string, Surface>} */ ({
  chat: {
    name: "Chat Completions",
    path: () => "/v1/chat/completions",
    body: (ask) => given({
      model: ask.model, messages: [...(ask.system ? [{ role: "system", content: ask.system }] : []), { role: "user", content: ask.text }],
      max_completion_tokens: ask.max, temperature: ask.temperature, stream: ask.stream || null, stream_options: ask.stream ? { include_usage: true } : null,
    }),
    answer: (body) => refusal(body) ?? { text: body.choices?.map((/** @type {any} */ one) => one.message?.content ?? JSON.stringify(one.message?.tool_calls ?? null)).join("\n"), usage: body.usage },
    event: (event) => refusal(event) ?? { text: event.choices?.[0]?.delta?.content ?? "", usage: event.usage },
  },
  responses: {
    name: "Responses",
    path: () => "/v1/responses",
    body: (ask) => given({ model: ask.model, input: ask.text, instructions: ask.system, max_output_tokens: ask.max, temperature: ask.temperature, stream: ask.stream || null, store: false }),
    answer: (body) => refusal(body) ?? { text: body.output?.flatMap((/** @type {any} */ item) => item.content ?? []).map((/** @type {any} */ part) => part.text ?? "").join(""), usage: body.usage },
    event: (event) => refusal(event) ?? refusal(event.response) ?? { text: event.type === "response.output_text.delta" ? event.delta : "", usage: event.response?.usage },
  },
  messages: {
    name: "Messages",
    path: () => "/v1/messages",
    body: (ask) => given({ model: ask.model, max_tokens: ask.max ?? 1024, system: ask.system, messages: [{ role: "user", content: ask.text }], temperature: ask.temperature, stream: ask.stream || null }),
    answer: (body) => refusal(body) ?? { text: body.content?.map((/** @type {any} */ part) => part.text ?? "").join(""), usage: body.usage },
    event: (event) => refusal(event) ?? { text: event.delta?.text ?? "", usage: event.usage ?? event.message?.usage },
  },
  converse: {
    name: "Converse (Bedrock)",
    path: (ask) => `/bedrock/model/${encodeURIComponent(ask.model)}/converse${ask.stream ? "-stream" : ""}`,
    body: (ask) => {
      const inference = given({ maxTokens: ask.max, temperature: ask.temperature });
      return given({
        messages: [{ role: "user", content: [{ text: ask.text }] }], system: ask.system ? [{ text: ask.system }] : null,
        inferenceConfig: Object.keys(inference).length > 0 ? inference : null,
      });
    },
    answer: (body) => (body.message && !body.output ? { error: body.message } : { text: body.output?.message?.content?.map((/** @type {any} */ part) => part.text ?? "").join(""), usage: body.usage }),
    event: (event) => (event.exception ? { error: event.message ?? event.exception } : { text: event.delta?.text ?? "", usage: event.usage }),
  },
});

/** Reads server-sent events out of text that comes in pieces. */
export class EventReader {
  rest = "";

  /** @param {string} text @returns {any[]} */
  push(text) {
    this.rest += text.replace(/\r/g, "");
    const blocks = this.rest.split("\n\n");
    this.rest = blocks.pop() ?? "";
    return blocks.flatMap((block) => {
      const data = block.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim()).join("\n");
      return data && data !== "[DONE]" ? [JSON.parse(data)] : [];
    });
  }
}

/** Reads AWS's event stream out of bytes that come in pieces: lengths, headers, and a payload of JSON. */
export class FrameReader {
  rest = new Uint8Array(0);

  /** @param {Uint8Array} bytes @returns {any[]} */
  push(bytes) {
    const all = new Uint8Array(this.rest.length + bytes.length);
    all.set(this.rest);
    all.set(bytes, this.rest.length);
    const events = [];
    let at = 0;
    while (all.length - at >= 16) {
      const view = new DataView(all.buffer, at);
      const length = view.getUint32(0);
      const headers = view.getUint32(4);
      if (length < 16 + headers || length > 16_777_216) throw new Error("The stream of Bedrock cannot be read.");
      if (all.length - at < length) break;
      const text = new TextDecoder().decode(all.subarray(at + 12 + headers, at + length - 4));
      const names = new TextDecoder("latin1").decode(all.subarray(at + 12, at + 12 + headers));
      const event = text ? JSON.parse(text) : {};
      events.push(names.includes(":exception-type") ? { exception: "exception", ...event } : event);
      at += length;
    }
    this.rest = all.slice(at);
    return events;
  }
}
