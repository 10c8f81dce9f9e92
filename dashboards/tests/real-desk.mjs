// The desk with the real program: two agents in two windows talk to each other with sound, and a caller from a queue is
// answered, held, handed over warm, renewed by a reload and wrapped up.
//   node tests/real-desk.mjs URL EMAIL PASSWORD [chromium|firefox] [FOLDER for pictures]
import { strict as assert } from 'node:assert';
import { launch } from './browser.mjs';
import { heard, watch } from './desk.mjs';
import { Person, until } from './journeys.mjs';

const [url, email, password, browser = 'chromium', folder] = process.argv.slice(2);
const machine = await launch(browser);
const said = (name, more = {}) => console.log(JSON.stringify({ name, ...more }));

const login = async (mail, word) => (await (await fetch(`${url}/v1/auth/login`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ email: mail, password: word, grant: 'token' }) })).json()).access_token;
const token = await login(email, password);
const api = async (method, path, body) => {
  const answer = await fetch(`${url}/v1${path}`, { method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'idempotency-key': crypto.randomUUID() }, ...(body ? { body: JSON.stringify(body) } : {}) });
  const found = answer.status === 204 ? null : await answer.json();
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${JSON.stringify(found)}`);
  return found;
};

async function window_(mail, word) {
  const page = await machine.page();
  await watch(page);
  const person = new Person(page, { url });
  await page.goto(`${url}/login?next=/agent`);
  await page.waitForSelector('#password');
  await page.type('#email', mail);
  await page.type('#password', word);
  await person.presses('Enter');
  await until(() => page.$('[data-phone=live]'), `the phone of ${mail} to be live`, 30_000);
  return { page, person };
}
const lead = async (page, ...letters) => {
  await page.keyboard.down('Control');
  await page.keyboard.press('.');
  await page.keyboard.up('Control');
  for (const letter of letters) await page.keyboard.press(letter);
};
const shot = async (page, name) => folder && page.screenshot({ path: `${folder}/real-desk-${name}-${browser}.png` });
/** Sound comes in: energy grows, and so do the packets. How long it took. */
const hears = async (page, what) => {
  const began = Date.now();
  const before = await heard(page);
  await until(async () => {
    const now = await heard(page);
    return now.connected && now.energy > before.energy + 1e-6 && now.received > before.received;
  }, `sound: ${what}`, 20_000);
  return Date.now() - began;
};
const state = (page, wanted) => until(() => page.$(`[data-callbar][data-state=${wanted}]`), `the call to be ${wanted}`, 20_000);
const none = (page) => until(async () => !(await page.$('[data-callbar]')), 'no call any more', 20_000);

let one;
let two;
try {
  const queue = (await api('GET', '/queues')).data[0];
  const colleague = `agent${Date.now()}@irisx.local`;
  const made = await api('POST', '/agents', { name: 'Bea Colleague', email: colleague, extension: String(Date.now() % 9000 + 1000), queues: {} });
  one = await window_(email, password);
  two = await window_(colleague, made.password);
  said('two agents are at their desks');
  await shot(one.page, 'work');
  await two.person.clicks('Ready', '.choices');
  await until(() => two.page.$('[data-agent-state=ready]'), 'the colleague to be ready');

  // Agent to agent.
  await one.page.goto(`${url}/agent/directory`);
  await one.page.waitForSelector(`[data-colleague="${made.agent.id}"]`);
  await until(() => one.page.$('[data-phone=live]'), 'the phone to be live', 20_000);
  await until(() => one.page.evaluate((id) => !document.querySelector(`[data-colleague="${id}"] button`).disabled, made.agent.id), 'the colleague to be there');
  await one.page.click(`[data-colleague="${made.agent.id}"] button`);
  await two.page.waitForSelector('[data-offer]', { timeout: 20_000 });
  await shot(two.page, 'rings');
  await lead(two.page, 'a');
  await Promise.all([state(one.page, 'talking'), state(two.page, 'talking')]);
  said('agent to agent', { first: await hears(one.page, 'the colleague'), second: await hears(two.page, 'the caller') });
  await shot(one.page, 'agent-to-agent');

  // Hold and go on, in control from the page.
  await lead(one.page, 'h');
  await state(one.page, 'held');
  await lead(one.page, 'h');
  await state(one.page, 'talking');
  await hears(one.page, 'the colleague after the hold');
  said('held and gone on');

  // A reload in the call.
  const reloaded = Date.now();
  await two.page.reload();
  await state(two.page, 'talking');
  await hears(two.page, 'the caller after the reload');
  said('a reload in the call', { ms: Date.now() - reloaded });
  await lead(one.page, 'e', 'e');
  await Promise.all([none(one.page), none(two.page)]);
  said('ended');

  // A caller from a queue. They talk as long as they like: who hangs up before all is done is followed by the next one.
  if (queue) {
    const wrapsUp = async () => {
      await one.page.goto(`${url}/agent/wrap`);
      await one.page.waitForSelector('[data-wrap]', { timeout: 30_000 });
      await until(() => one.page.$('[data-phone=live]'), 'the phone to be live', 20_000);
      await one.person.presses('1');
      await one.page.waitForSelector('label.on');
      await one.person.presses('Enter');
      await until(async () => !(await one.page.$('[data-wrap]')), 'the wrap-up to be stored', 20_000);
    };
    const calls = async () => {
      await one.page.goto(`${url}/agent`);
      await until(() => one.page.$('[data-phone=live]'), 'the phone to be live', 20_000);
      if (await one.page.$('[data-agent-state=not_ready]')) await one.person.clicks('Ready', '.choices');
      await one.page.waitForSelector('[data-offer]', { timeout: 120_000 });
      await shot(one.page, 'queue-rings');
      await lead(one.page, 'a');
      await state(one.page, 'talking');
      said('a caller from the queue', { heard: await hears(one.page, 'the caller') });
      await shot(one.page, 'queue-call');
      await lead(one.page, 't');
      await one.page.waitForSelector('#transfer-to');
      await one.page.type('#transfer-to', 'Bea');
      await one.page.waitForSelector(`[role=dialog] [data-colleague="${made.agent.id}"]`);
      await one.person.clicks('Ask Bea', '[role=dialog]');
      await two.page.waitForSelector('[data-offer]', { timeout: 30_000 });
      await lead(two.page, 'a');
      await Promise.all([state(one.page, 'consulting'), until(() => two.page.$('[data-callbar]'), 'the colleague to be in the call', 20_000)]);
      said('asked first', { first: await hears(one.page, 'the colleague'), second: await hears(two.page, 'who asks') });
      await shot(one.page, 'asking');
      await one.person.clicks('Hand over');
      await none(one.page);
      said('handed over', { heard: await hears(two.page, 'the caller') });
      await shot(two.page, 'handed-over');
    };
    for (let tries = 1; ; tries++) {
      try {
        await calls();
        break;
      } catch (error) {
        if (tries === 4 || (await one.page.$('[data-callbar]'))) throw error;
        said('the caller had hung up', { tries });
        await lead(two.page, 'e', 'e');
        await wrapsUp();
      }
    }
    await wrapsUp();
    const done = (await api('GET', '/reservations?limit=50')).data;
    assert.ok(done.some((each) => each.state === 'done' && each.disposition), 'the outcome is stored');
    await one.page.goto(`${url}/agent/day`);
    await one.page.waitForSelector('[data-reservation]');
    await shot(one.page, 'day');
    said('wrapped up');
  }
  assert.deepEqual([...one.page.problems, ...two.page.problems], []);
} catch (error) {
  console.error(error);
  for (const [name, each] of [['one', one], ['two', two]]) {
    if (!each) continue;
    console.error(name, each.page.url(), each.page.problems, (await each.person.text().catch(() => '')).slice(0, 1500));
    await shot(each.page, `failed-${name}`);
  }
  process.exitCode = 1;
} finally {
  await machine.close();
}
