// Sets clients up by their blocks of docs/clients/, for the gateway of the test.

import { mkdtempSync, readFileSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const PRINTED_ADDRESS = '127.0.0.1:4000';
const PAGES = new URL('../../docs/clients/', import.meta.url);
const BLOCK = /<!-- run: (?<name>[\w.-]+) -->\n```javascript\n(?<text>.*?)\n```/gs;

/** The names that a block defines, of those in `names`; the gateway is at `root`. */
export async function setUp(name, root, names) {
  const pages = readdirSync(PAGES).map((page) => readFileSync(new URL(page, PAGES), 'utf8'));
  const found = pages.flatMap((page) => [...page.matchAll(BLOCK)]).filter(({ groups }) => groups.name === name);
  if (found.length !== 1) throw new Error(`${found.length} examples are called ${name}`);
  const text = found[0].groups.text.replaceAll(PRINTED_ADDRESS, root.replace('http://', ''));
  const folder = mkdtempSync(join(tmpdir(), 'outcrop-page-'));
  try {
    // Node resolves packages from where the file lies.
    symlinkSync(realpathSync(new URL('node_modules', import.meta.url)), join(folder, 'node_modules'));
    writeFileSync(join(folder, 'block.mjs'), `${text}\nexport { ${names.join(', ')} };\n`);
    return await import(pathToFileURL(join(folder, 'block.mjs')).href);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
