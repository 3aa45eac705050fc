// Invented tools: names, arguments and values are new in every run, so that an answer can only come from
// the request. The seed is printed, and OUTCROP_TEST_SEED repeats a run.

import { createHash, randomInt } from 'node:crypto';

export const SEED = process.env.OUTCROP_TEST_SEED || String(randomInt(2 ** 32));

/** A separate generator for each test: `word()`, `words(n)`, `number()`, `tools(n)`. */
export function seeded(name) {
  let drawn = 0;
  const below = (limit) =>
    createHash('sha256').update(`${SEED} ${name} ${drawn++}`).digest().readUInt32BE(0) % limit;
  const letter = (from) => from[below(from.length)];
  const used = new Set();
  const word = () => {
    for (;;) {
      let made = '';
      for (let n = 0; n < 3; n++) made += letter('bdfgklmnprstvz') + letter('aeiou');
      made += below(10);
      if (!used.has(made)) {
        used.add(made);
        return made;
      }
    }
  };
  const words = (count) => Array.from({ length: count }, word);
  const number = () => 100 + below(9_900);
  // If no gateway renames them, Nova accepts no hyphen among the joints of their names.
  const tools = (count = 2, joints = '_-') =>
    Array.from({ length: count }, () => inventedTool(word() + letter(joints) + word(), { [word()]: word(), [word()]: number() }));
  return { word, words, number, tools };
}

/** A function called `name`, and the arguments that the user's text gives for it. */
function inventedTool(name, args) {
  const properties = Object.fromEntries(
    Object.entries(args).map(([key, value]) => [key, { type: typeof value === 'number' ? 'integer' : 'string' }]),
  );
  const schema = { type: 'object', properties, required: Object.keys(args), additionalProperties: false };
  const values = Object.entries(args).map(([key, value]) => `${key} ${JSON.stringify(value)}`);
  return {
    name,
    args,
    schema,
    definition: { type: 'function', function: { name, description: 'A tool.', parameters: schema } },
    asked: `call ${name} with ${values.join(' and ')}`,
  };
}

/** A user's sentence that requests all of these calls. */
export function requestFor(wanted) {
  const text = wanted.map((tool) => tool.asked).join(', and ');
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}
