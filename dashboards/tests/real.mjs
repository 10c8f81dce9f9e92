// The journeys that need no stand-in, against a running platform:
//   node tests/real.mjs URL EMAIL PASSWORD [chromium|firefox] [FOLDER for pictures]
import { strict as assert } from 'node:assert';
import { launch } from './browser.mjs';
import { Person, until } from './journeys.mjs';

const [url, email, password, browser = 'chromium', folder] = process.argv.slice(2);
const machine = await launch(browser);
const page = await machine.page();
const person = new Person(page, { url });
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const api = (method, path, body) =>
  page.evaluate(async (how, where, what) => {
    const login = await (await fetch('/v1/auth/refresh', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })).json();
    const answer = await fetch(where, { method: how, headers: { authorization: `Bearer ${login.access_token}`, 'content-type': 'application/json', 'idempotency-key': crypto.randomUUID() }, ...(what ? { body: JSON.stringify(what) } : {}) });
    return answer.json();
  }, method, path, body);

/** Every live call of the store with its state. */
async function stored() {
  const found = [];
  for (let cursor = ''; ; ) {
    const answer = await api('GET', `/v1/calls?live=true&limit=200${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    found.push(...answer.data.map((call) => `${call.id} ${call.version}`));
    if (!answer.has_more) return new Set(found);
    cursor = answer.next_cursor;
  }
}

try {
  await page.goto(`${url}/login?next=/admin/calls`);
  await page.waitForSelector('#password');
  await page.type('#email', email);
  await page.type('#password', password);
  await person.presses('Enter');
  await person.marked('live');
  await page.waitForSelector('tr[data-call]');
  console.log('signed in, live calls are shown');

  await until(() => page.$('tr[data-state=bridged] a'), 'a call in which somebody talks', 30_000);
  const wanted = await page.$eval('tr[data-state=bridged]', (row) => row.dataset.call);
  await page.goto(`${url}/admin/calls/${wanted}`);
  await page.waitForSelector('[data-order=hold]');
  await page.click('[data-order=hold]');
  await page.waitForSelector('[data-call-state=held]');
  await page.click('[data-order=unhold]');
  await page.waitForSelector('[data-call-state=bridged]');
  await until(async () => (await page.$$('.timeline .order')).length >= 2, 'both commands in the timeline');
  await person.presses('e');
  await page.waitForSelector('[role=alertdialog]');
  await person.clicks('Hang up', '[role=alertdialog]');
  await page.waitForSelector('[data-call-state=ended]');
  console.log('held, resumed and hung up; the timeline has the commands');
  if (folder) await page.screenshot({ path: `${folder}/real-call-${browser}.png` });

  await page.goto(`${url}/admin/calls`);
  await person.marked('live');
  await page.setViewport({ width: 1440, height: 9000 });
  await sleep(1000);
  await page.evaluate(() => (globalThis.unreloaded = true));
  // Cut by taking the network away from the page, several times, while calls go on.
  for (let n = 0; n < 3; n++) {
    await page.setOfflineMode(true);
    await person.marked('offline', 45_000);
    await sleep(3000);
    await page.setOfflineMode(false);
    await person.marked('live', 30_000);
  }
  assert.equal(await page.evaluate(() => globalThis.unreloaded), true);
  // Calls go on meanwhile: equal means that the page shows what the store had just before or just after.
  let same = false;
  for (let n = 0; n < 20 && !same; n++) {
    const before = await stored();
    const shown = new Set(await page.$$eval('tr[data-call]', (rows) => rows.filter((row) => row.dataset.state !== 'ended').map((row) => `${row.dataset.call}`)));
    const after = await stored();
    const ids = (set) => new Set([...set].map((text) => text.split(' ')[0]));
    const [old, now] = [ids(before), ids(after)];
    const lost = [...old].filter((id) => now.has(id) && !shown.has(id));
    const ghosts = [...shown].filter((id) => !old.has(id) && !now.has(id));
    same = lost.length === 0 && ghosts.length === 0;
    if (!same) await sleep(500);
  }
  assert.ok(same, 'the page equals the store after three cuts');
  console.log('after three cuts the page equals the store, without a reload');
  await page.setViewport({ width: 1440, height: 900 });

  await person.goes('/admin/nodes');
  await page.waitForSelector('tr[data-node]');
  await page.click('tr[data-node] th a');
  await person.clicks('Probe', 'aside');
  await person.sees('there and back');
  await person.clicks('Drain', 'aside');
  await person.clicks('Drain', '[role=alertdialog]');
  await page.waitForSelector('tr[data-state=draining]');
  if (folder) await page.screenshot({ path: `${folder}/real-nodes-${browser}.png` });
  await person.clicks('Resume', 'aside');
  await page.waitForSelector('tr[data-state=active]', { timeout: 30_000 });
  await person.clicks('Resync', 'aside');
  await person.sees('compared with the store');
  console.log('probed, drained, resumed, resynced');
  assert.deepEqual(page.problems, []);
  console.log(`${browser}: all well`);
} catch (error) {
  console.error(error);
  console.error(page.url(), page.problems);
  if (folder) await page.screenshot({ path: `${folder}/real-failed-${browser}.png` });
  process.exitCode = 1;
} finally {
  await machine.close();
}
