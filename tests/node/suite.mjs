// What every suite of this folder needs around its tests: a gateway of its own, and proof that the
// suite did not kill it.

import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';

import { start } from './gateway.mjs';
import { SEED } from './invented.mjs';

export const NOVA = 'us.amazon.nova-lite-v1:0';
export const CLAUDE = 'us.anthropic.claude-sonnet-4-5-20250929-v1:0';
export const LIMIT = { timeout: 30_000 };

/** Declares a suite; `tests(url)` declares its tests, `url()` is the gateway's address while they run. */
export function suite(name, tests) {
  describe(name, { timeout: 180_000 }, () => {
    let gateway;

    before(async () => {
      console.log(`${name}: invented with OUTCROP_TEST_SEED=${SEED}`);
      gateway = await start(['--demo', '--listen', '127.0.0.1:0']);
    });

    after(async () => {
      const lived = gateway?.alive();
      const log = gateway?.log();
      await gateway?.stop();
      assert.ok(lived, `the gateway died during the suite:\n${log}`);
    });

    tests(() => `${gateway.url}/v1`);
  });
}
