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
const nodes = [...app.matchAll(/"(\.\.\/nodes\/\d+\.[^"]+\.js)"/g)].map(([, name]) => `_app/immutable/${name.slice(3)}`);
const unique = [...new Set(nodes)].sort((a, b) => Number(/nodes\/(\d+)/.exec(a)[1]) - Number(/nodes\/(\d+)/.exec(b)[1]));
const css = JSON.parse(/__vite__mapDeps=.*?\|\|\(m\.f=(\[.*?\])\)/.exec(app)?.[1] ?? '[]').filter((name) => name.endsWith('.css')).map((name) => (name.startsWith('/') ? name.slice(1) : `_app/immutable/${name.slice(3)}`));
const total = (names) => [...names].reduce((sum, name) => sum + size(name), 0);
console.log(`shell ${(total(base) / 1000).toFixed(1)} kB, all style sheets ${(total(css) / 1000).toFixed(1)} kB`);
let worst = 0;
for (const node of unique.slice(3)) {
  // The layout of /admin is the third node; a page of it needs both.
  const needed = new Set([...base, ...closure(unique[2]), ...closure(node), ...css]);
  worst = Math.max(worst, total(needed));
  console.log(`  page ${/nodes\/(\d+)/.exec(node)[1]}: ${(total(needed) / 1000).toFixed(1)} kB`);
}
if (worst > LIMIT) {
  console.error(`the first view needs ${worst} bytes, more than ${LIMIT}`);
  process.exitCode = 1;
}
