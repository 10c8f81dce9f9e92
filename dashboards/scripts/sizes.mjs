// What a browser has to load before the first view of each page, compressed: node scripts/sizes.mjs
// Fails when a page needs more than the limit.
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

const LIMIT = 150_000;
const build = new URL('../build', import.meta.url).pathname;
const size = (name) => statSync(join(build, `${name}.br`)).size;
const text = (name) => readFileSync(join(build, name), 'utf8');

/** A script with all that it imports statically. */
function closure(name, seen = new Set()) {
  if (seen.has(name)) return seen;
  seen.add(name);
  const folder = name.slice(0, name.lastIndexOf('/'));
  for (const [, path] of text(name).matchAll(/(?:import|from)\s*"(\.[^"]+\.js)"/g)) closure(join(folder, path), seen);
  return seen;
}

const page = text('index.html');
const first = [...page.matchAll(/(?:href|src)="\/(_app\/[^"]+)"/g)].map(([, name]) => name);
const base = new Set(['index.html']);
for (const name of first) {
  if (name.endsWith('.js')) for (const part of closure(name)) base.add(part);
  else base.add(name);
}
const app = text(first.find((name) => /entry\/app\./.test(name)));
const all = JSON.parse(/__vite__mapDeps=.*?\|\|\(m\.f=(\[.*?\])\)/.exec(app)?.[1] ?? '[]').map((name) => (name.startsWith('/') ? name.slice(1) : `_app/immutable/${name.slice(3)}`));
/** What each node needs: its script with all that it imports, and its style sheets. */
const nodes = new Map();
for (const [, name, n, list] of app.matchAll(/import\("\.\.\/(nodes\/(\d+)\.[^"]+\.js)"\)(?:,__vite__mapDeps\(\[([\d,]*)\]\))?/g)) {
  const styles = (list ?? '').split(',').filter(Boolean).map((at) => all[Number(at)]).filter((one) => one?.endsWith('.css'));
  nodes.set(Number(n), new Set([...closure(`_app/immutable/${name}`), ...styles]));
}
const total = (names) => [...names].reduce((sum, name) => sum + size(name), 0);
console.log(`shell ${(total(base) / 1000).toFixed(1)} kB`);
let worst = 0;
let pages = 0;
// `"/admin/calls":[7,[2]]`: the page's node, and its layouts' (the root's is 0).
for (const [, path, leaf, layouts] of app.matchAll(/"(\/[^"]*)":\[~?(\d+)(?:,\[([\d,]*)\])?/g)) {
  const needed = new Set([...base, ...nodes.get(0), ...nodes.get(Number(leaf))]);
  for (const layout of (layouts ?? '').split(',').filter(Boolean)) for (const name of nodes.get(Number(layout))) needed.add(name);
  worst = Math.max(worst, total(needed));
  pages += 1;
  console.log(`  ${path}: ${(total(needed) / 1000).toFixed(1)} kB`);
}
if (pages < 5) throw new Error('the build does not look as this script expects');
if (worst > LIMIT) {
  console.error(`the first view needs ${worst} bytes, more than ${LIMIT}`);
  process.exitCode = 1;
}
