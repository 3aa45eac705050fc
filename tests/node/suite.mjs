// Setup for every suite of this folder: a separate gateway, and a check that the suite did not crash it.

import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';

import { start } from './gateway.mjs';
import { SEED } from './invented.mjs';

export const NOVA = 'us.amazon.nova-lite-v1:0';
export const CLAUDE = 'us.anthropic.claude-sonnet-4-5-20250929-v1:0';
export const LIMIT = { timeout: 600_000 };

/**
 * Declares a suite; `tests(url, root)` declares its tests. While they run, `url()` is the base URL of
 * OpenAI's API and `root()` the gateway's address. `prepare()` may return settings for the start: `args` instead
 * of the demo's, and other options of `start`.
 */
export function suite(name, tests, prepare = () => ({})) {
  describe(name, { timeout: 3_600_000 }, () => {
    let gateway;

    before(async () => {
      console.log(`${name}: invented with OUTCROP_TEST_SEED=${SEED}`);
      const { args = ['--demo'], ...around } = await prepare();
      gateway = await start([...args, '--listen', '127.0.0.1:0'], around);
    });

    after(async () => {
      const lived = gateway?.alive();
      const log = gateway?.log();
      await gateway?.stop();
      assert.ok(lived, `the gateway died during the suite:\n${log}`);
    });

    tests(
      () => `${gateway.url}/v1`,
      () => gateway.url,
    );
  });
}
