// Starts and stops the `outcrop` binary for the Node suite: one owner, a free port, polling with a deadline.

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, closeSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const START_DEADLINE_MS = 300_000;
const STOP_DEADLINE_MS = 300_000;
const LISTENING = /listening on (https?:\/\/[0-9.:]+)/g;

/**
 * A running gateway: `url`, `log()`, `alive()`, `stop()`. `args` are its command line, `files` (name to
 * text) are in its working directory, `environment` is added to an otherwise clean one, and `ca` is the certificate
 * to trust if it serves https.
 */
export async function start(args, { files = {}, environment = {}, ca } = {}) {
  const binary = process.env.OUTCROP_BINARY;
  if (!binary || !existsSync(binary)) {
    throw new Error('OUTCROP_BINARY names no binary: start the suites through ./tests/run');
  }
  const folder = mkdtempSync(join(tmpdir(), 'outcrop-node-'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const logPath = join(folder, 'log');
  const out = openSync(logPath, 'w');
  const child = spawn(binary, args, {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder, AWS_EC2_METADATA_DISABLED: 'true', ...environment },
    stdio: ['ignore', out, out],
  });
  closeSync(out);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const log = () => readFileSync(logPath, 'utf8');
  const alive = () => child.exitCode === null && child.signalCode === null;
  // A run that is terminated ends the process too.
  const abandoned = () => {
    child.kill('SIGKILL');
    process.exit(143);
  };
  process.once('SIGTERM', abandoned);
  const stop = async () => {
    process.removeListener('SIGTERM', abandoned);
    if (alive()) {
      child.kill('SIGTERM');
      const late = new AbortController();
      await Promise.race([ended, pause(STOP_DEADLINE_MS, null, { signal: late.signal })]).finally(() => late.abort());
      if (alive()) {
        child.kill('SIGKILL');
        await ended;
      }
    }
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const url = await ready(log, alive, ca);
    return { url, log, alive, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function ready(log, alive, ca) {
  const deadline = Date.now() + START_DEADLINE_MS;
  while (Date.now() < deadline) {
    if (!alive()) throw new Error(`the gateway ended at start:\n${log()}`);
    for (const [, url] of log().matchAll(LISTENING)) {
      if (await answers(`${url}/readyz`, ca)) return url;
    }
    await pause(20);
  }
  throw new Error(`not ready in ${START_DEADLINE_MS} ms:\n${log()}`);
}

/** Whether a GET is answered with 200. */
function answers(url, ca) {
  const { get } = url.startsWith('https:') ? https : http;
  return new Promise((resolve) => {
    const request = get(url, { ca, agent: false, timeout: 300_000 }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}
