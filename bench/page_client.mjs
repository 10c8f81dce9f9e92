// The pages' own live client (dashboards/src/lib/live/client.ts) in Node, for the bench of cuts: reads what it is told on
// standard input ({"head": N}: report once you are there), says when it hears something for the first time, and in the end
// what it heard, in its order, on standard output.
//   node bench/page_client.mjs API_URL API_KEY PROXY_PORT
import { createInterface } from 'node:readline';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { join } from 'node:path';

const PAGES = fileURLToPath(new URL('../dashboards/', import.meta.url));
const require = createRequire(join(PAGES, 'package.json'));
const { build } = require('esbuild');
const WebSocket = require('ws');
// Waits are shorter than the pages', most of all those between two tries: a thousand cuts are to fit into a minute.
const FASTER = 20;
const RETRIES_FASTER = 400;

const [api, key, port] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'irisx-page-'));
const outfile = join(folder, 'client.mjs');
await build({ entryPoints: [join(PAGES, 'src/lib/live/client.ts')], bundle: true, format: 'esm', platform: 'node', outfile, alias: { $lib: join(PAGES, 'src/lib') }, logLevel: 'error' });
const { LiveClient, LAG_MS, SILENCE_MS } = await import(pathToFileURL(outfile).href);
rmSync(folder, { recursive: true });

const headers = { authorization: `Bearer ${key}` };
const heard = [];
let jumps = 0;
let wanted = Infinity;
let ticket = { text: '', until: 0 };
let live;

async function token() {
  if (ticket.until < Date.now()) {
    const answer = await fetch(`${api}/v1/auth/tokens/realtime`, { method: 'POST', headers });
    if (!answer.ok) throw new Error(`no token: ${answer.status}`);
    ticket = { text: (await answer.json()).token, until: Date.now() + 20_000 };
  }
  return ticket.text;
}
function connect() {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/stream`);
  socket.on('error', () => undefined);
  return socket;
}
function look() {
  if ((heard.at(-1)?.[0] ?? 0) < wanted) return;
  process.stdout.write(`${JSON.stringify({ heard, jumps, connects: live.counts.connects })}\n`, () => process.exit(0));
}

live = new LiveClient({
  connect, token,
  list: async () => ({ calls: [], next: null }),
  now: () => Date.now(),
  random: () => Math.random(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms / (ms === LAG_MS || ms === SILENCE_MS ? FASTER : RETRIES_FASTER));
    return () => clearTimeout(timer);
  },
  soon: (run) => void setTimeout(run, 5),
  publish: () => undefined,
  heard: (events) => {
    if (heard.length === 0) process.stdout.write('{"began":true}\n');
    for (const event of events) heard.push([event.seq, event.id]);
    look();
  },
  jumped: () => void (jumps += 1)
});
live.start();
createInterface({ input: process.stdin }).on('line', (line) => {
  wanted = JSON.parse(line).head;
  look();
});
process.stdout.write('{"ready":true}\n');
