// What a person does with the pages, as journeys in a real browser. Each one gets a platform and a browser context
// of its own. A journey that throws has failed; what the page logged as an error fails it, too.
import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { deskJourneys } from './desk.mjs';
import { EMAIL, PASSWORD } from './fake-api.mjs';
import { contentJourneys } from './content.mjs';
import { togetherJourneys } from './together.mjs';
import { recordingJourneys } from './recordings.mjs';
import { webhookJourneys } from './webhooks.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
export const PAGES = ['/admin', '/admin/calls', '/admin/cdrs', '/admin/recordings', '/admin/recordings?tab=policies', '/admin/nodes', '/admin/conferences', '/admin/events', '/admin/access', '/admin/access?tab=roles', '/admin/access?tab=keys', '/admin/access?tab=sessions', '/inbox', '/inbox?tab=all', '/admin/conversations', '/admin/channels', '/admin/channels?tab=types', '/admin/carriers', '/admin/routing', '/admin/routing?tab=decisions', '/admin/webhooks', '/admin/content', '/admin/content?tab=macros', '/admin/automation', '/admin/automation?tab=levels', '/status'];

const COLOURS = ['color-contrast', 'link-in-text-block'];

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Waits until `look` is true; says what was waited for when it never is. */
export async function until(look, what, ms = 10_000) {
  const end = Date.now() + ms;
  for (;;) {
    // What is looked for may be drawn anew between two looks: that is no failure before the time is up.
    const got = await Promise.resolve().then(look).catch((error) => (Date.now() > end ? Promise.reject(error) : null));
    if (got) return got;
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain: ${what}`);
    await sleep(40);
  }
}

/** The steps that journeys are made of. */
export class Person {
  constructor(page, fake) {
    this.page = page;
    this.fake = fake;
    this.url = fake.url;
  }
  /** Signed in by the cookie, as after yesterday's sign-in. */
  async comesBack(path) {
    await this.page.goto(`${this.url}/icon.svg`);
    await this.page.evaluate(async (email, password) => {
      await fetch('/v1/auth/login', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ email, password }) });
    }, EMAIL, PASSWORD);
    await this.goes(path);
  }
  async goes(path) {
    await this.page.goto(`${this.url}${path}`);
    await this.page.waitForSelector('h1');
  }
  async marked(kind, ms) {
    await until(() => this.page.$(`[data-connection="${kind}"]`), `the connection mark to say ${kind}`, ms);
  }
  text(selector = 'body') {
    return this.page.$eval(selector, (element) => element.innerText);
  }
  async sees(words, ms) {
    await until(async () => (await this.text()).includes(words), `“${words}” on the page`, ms);
  }
  async presses(key) {
    await this.page.keyboard.press(key);
  }
  /** Presses the button with this name. */
  async clicks(name, within = 'body') {
    const found = await until(
      () => this.page.evaluateHandle((wanted, scope) => {
        const all = [...document.querySelectorAll(`${scope} :is(button, a, [role=menuitem], [role=tab])`)];
        return all.find((one) => !one.disabled && ((one.getAttribute('aria-label') ?? '') || one.innerText).trim().startsWith(wanted)) ?? null;
      }, name, within).then((handle) => handle.asElement()),
      `a button called ${name}`
    );
    await found.evaluate((element) => element.scrollIntoView({ block: 'nearest' }));
    await found.click();
  }
  async focused() {
    return this.page.evaluate(() => (document.activeElement?.getAttribute('aria-label') || document.activeElement?.innerText || document.activeElement?.id || '').trim());
  }
  rows() {
    return this.page.$$eval('tr[data-call]', (rows) => rows.map((row) => ({ id: row.dataset.call, state: row.dataset.state, top: Math.round(row.getBoundingClientRect().top) })));
  }
  /** The page shows exactly the calls of the store, each in its state. */
  async equalsTheStore(ms = 10_000) {
    // As tall as needed to have all rows drawn.
    const { width, height } = this.page.viewport();
    await this.page.setViewport({ width, height: 7000 });
    const ours = () => this.rows().then((rows) => rows.filter((row) => row.state !== 'ended').map(({ id, state }) => `${id} ${state}`).sort());
    const theirs = () => [...this.fake.platform.calls.values()].map(({ id, state }) => `${id} ${state}`).sort();
    await until(async () => JSON.stringify(await ours()) === JSON.stringify(theirs()), 'the page to equal the store', ms);
    await this.page.setViewport({ width, height });
    return theirs().length;
  }
  /** The messages of the open conversation: `[id, state]`, as they stand on the page. */
  said() {
    return this.page.$$eval('[data-message]', (all) => all.map((one) => [one.dataset.message, one.dataset.state ?? '']));
  }
  /** The open conversation shows exactly what the store has of it. */
  async saysWhatIsStored(talk, ms = 10_000) {
    const theirs = () => [...this.fake.platform.talks.messages.values()].filter((one) => one.conversation_id === talk.id).sort((a, b) => a.order_us - b.order_us || (a.id < b.id ? -1 : 1)).map((one) => [one.id, ['call', 'system'].includes(one.kind) ? '' : one.state]);
    await until(async () => JSON.stringify(await this.said()) === JSON.stringify(theirs()), 'the conversation to equal the store', ms);
  }
  talks() {
    return this.page.$$eval('li[data-talk]', (rows) => rows.map((row) => ({ id: row.dataset.talk, version: Number(row.dataset.version), top: Math.round(row.getBoundingClientRect().top) })));
  }
  /** The list of open conversations is the store's, in its order and at its versions. */
  async listsWhatIsStored(ms = 10_000) {
    const theirs = () => [...this.fake.platform.talks.talks.values()].filter((talk) => ['open', 'pending'].includes(talk.state)).sort((a, b) => b.last_message_us - a.last_message_us || (a.id < b.id ? 1 : -1)).map(({ id, version }) => `${id} ${version}`);
    await until(async () => JSON.stringify((await this.talks()).map(({ id, version }) => `${id} ${version}`)) === JSON.stringify(theirs()), 'the list to equal the store', ms);
  }
  async tell(what, n = 1) {
    await fetch(`${this.url}/__test/${what}?n=${n}`);
  }
  async axe(where, rules = null) {
    await this.page.evaluate(AXE);
    const found = await this.page.evaluate(async (only) => {
      const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'], runOnly: only ? { type: 'rule', values: only } : ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] });
      return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map((node) => `${node.target} ${node.any[0]?.message ?? ''}`).join(' | ')}`);
    }, rules);
    assert.deepEqual(found, [], `axe on ${where}`);
  }
}

/** The times between frames, shortest first, while `ms` pass. */
const frameGaps = (page, ms) =>
  page.evaluate((length) => new Promise((done) => {
    const gaps = [];
    let last = performance.now();
    const end = last + length;
    const tick = (now) => {
      gaps.push(now - last);
      last = now;
      if (now < end) requestAnimationFrame(tick);
      else done(gaps.sort((a, b) => a - b));
    };
    requestAnimationFrame(tick);
  }), ms);

const live = (id) => `tr[data-call="${id}"]`;

/**
 * Where browsers differ: streams, storage, locks, keyboard, frames, painting. These run in all of them. The others say what a
 * page does and run in Chromium; with IRISX_ALL_JOURNEYS=1 every journey runs in every browser.
 */
export const EVERYWHERE = [
  'signing in leads',
  'fifty changes a second',
  'rows never move',
  'filters are text',
  'a call is placed once',
  'after a cut the page',
  'tabs renew the session',
  'everything is reached by keyboard',
  'a key\u2019s secret',
  'an answer is shown at once',
  'whatever is cut, the inbox',
  'what is written survives',
  'a stranger’s mail',
  'on a phone nothing',
  'no page has an accessibility'
];

export const JOURNEYS = {
  ...webhookJourneys(until),
  ...deskJourneys(until),
  ...contentJourneys(until),
  ...recordingJourneys(until),
  ...togetherJourneys(until),

  'signing in leads to the page that was asked for, and a wrong password is explained': async ({ person, page }) => {
    await page.goto(`${person.url}/admin/nodes`);
    await page.waitForSelector('#password');
    assert.match(page.url(), /\/login\?next=%2Fadmin%2Fnodes$/);
    await page.type('#email', EMAIL);
    await page.type('#password', 'guess');
    await person.presses('Enter');
    await person.sees('Email and password do not fit together.');
    await person.sees('Request req_');
    await page.type('#password', PASSWORD);
    await person.presses('Enter');
    await until(() => page.url().endsWith('/admin/nodes'), 'the page that was asked for');
    await person.sees('lon-1');
    await person.marked('live');
    await person.clicks('Olga Perator');
    await person.clicks('Sign out');
    await page.waitForSelector('#password');
    await page.goto(`${person.url}/admin`);
    await page.waitForSelector('#password');
  },

  'fifty changes a second are drawn in place without stealing the processor': async ({ person, page, browser }) => {
    await person.comesBack('/admin/calls');
    await person.marked('live');
    await page.waitForSelector('tr[data-call]');
    const quiet = await frameGaps(page, 1000);
    await person.tell('rate', 50);
    await sleep(1000);
    // Processor time of the page's main thread, not time on the wall: other programs of this machine do not count.
    const session = browser === 'chromium' ? await page.createCDPSession() : null;
    const used = async () => (await session.send('Performance.getMetrics')).metrics.find(({ name }) => name === 'TaskDuration').value;
    await session?.send('Performance.enable', { timeDomain: 'threadTicks' });
    const before = session ? await used() : 0;
    const from = person.fake.platform.head;
    const busy = [];
    let changes = 0;
    let seconds = 0;
    // A machine that is busy with other things makes fewer changes in the same time: then it is looked at for longer.
    while (changes <= 120 && seconds < 40) {
      busy.push(...(await frameGaps(page, 4000)));
      seconds += 4;
      changes = person.fake.platform.head - from;
    }
    busy.sort((one, other) => one - other);
    const middle = (gaps) => Math.round(gaps[Math.floor(gaps.length / 2)]);
    const figures = { changes, idle_frame_ms: middle(quiet), busy_frame_ms: middle(busy), worst_frame_ms: Math.round(busy.at(-1)) };
    if (session) figures.processor_percent = Math.round((((await used()) - before) / seconds) * 100);
    assert.ok(changes > 120, `only ${changes} changes came`);
    assert.ok(figures.busy_frame_ms < Math.max(50, 4 * figures.idle_frame_ms), JSON.stringify(figures));
    assert.ok((figures.processor_percent ?? 0) < 60, JSON.stringify(figures));
    await person.tell('rate', 0);
    await person.equalsTheStore(12_000);
    return figures;
  },

  'rows never move under the pointer: new calls wait behind their number': async ({ person, page, fake }) => {
    await person.comesBack('/admin/calls');
    await person.marked('live');
    await page.waitForSelector('tr[data-call]');
    await sleep(400);
    const row = (await person.rows())[3];
    await page.mouse.move(600, row.top + 15);
    await sleep(350);
    const before = await person.rows();
    const ended = fake.platform.calls.get(before[1].id);
    fake.platform.end(ended, 'USER_BUSY');
    for (let n = 0; n < 12; n++) fake.platform.happenCreate();
    await person.sees('12 new');
    const after = await person.rows();
    assert.deepEqual(after.map(({ id, top }) => [id, top]), before.map(({ id, top }) => [id, top]));
    assert.equal(after[1].state, 'ended');
    await person.clicks('12 new');
    await page.mouse.move(5, 5);
    await until(async () => (await person.rows())[0].id !== before[0].id, 'the new calls at the top');
    await person.equalsTheStore();
  },

  'filters are text, chips and address at once, and a reload restores them': async ({ person, page, fake }) => {
    await person.comesBack('/admin/calls');
    await person.marked('live');
    await page.waitForSelector('tr[data-call]');
    await person.presses('/');
    await page.keyboard.type('state:talking from:+1 ');
    await until(() => page.url().includes('state%5Bin%5D=bridged') && page.url().includes('caller%5Bprefix%5D=%2B1'), 'the filters in the address');
    await person.sees('From begins with');
    const wanted = [...fake.platform.calls.values()].filter((call) => call.state === 'bridged' && call.caller.startsWith('+1')).length;
    await until(async () => (await person.rows()).length === wanted, `${wanted} rows`);
    await page.reload();
    await page.waitForSelector('tr[data-call]');
    await until(async () => (await person.rows()).length === wanted, `${wanted} rows after the reload`);
    await person.clicks('Clear all');
    await person.equalsTheStore();
  },

  'a call is held, resumed and muted from the list, and the inspector tells who ordered it': async ({ person, page, fake }) => {
    const call = [...fake.platform.calls.values()].findLast((entry) => entry.state === 'bridged');
    await person.comesBack(`/admin/calls?call=${call.id}`);
    await person.marked('live');
    await page.waitForSelector('aside [data-order=hold]');
    await page.click('aside [data-order=hold]');
    await page.waitForSelector('aside [data-order=unhold]');
    await person.presses('h');
    await page.waitForSelector('aside [data-order=hold]');
    await person.presses('m');
    await page.waitForSelector('aside [data-order=unmute]');
    await person.clicks('Press keys', 'aside');
    await page.waitForSelector('#ask-digits');
    await page.type('#ask-digits', '12#');
    await person.presses('Enter');
    await until(() => fake.platform.orders.at(-1)?.order === 'dtmf', 'the keys to arrive');
    assert.deepEqual(fake.platform.orders.map(({ order }) => order), ['hold', 'unhold', 'mute', 'dtmf']);
    await person.clicks('Open the inspector');
    await page.waitForSelector('[data-call-page]');
    await person.sees('Put on hold by order');
    const lines = await page.$$('[data-line]');
    assert.ok(lines.length >= 8, `${lines.length} lines in the timeline`);
    fake.platform.hold(fake.platform.calls.get(call.id));
    await until(async () => (await page.$$('[data-line]')).length === lines.length + 1, 'the timeline to grow while one looks');
    await person.clicks('Ladder');
    await page.waitForSelector('.ladder svg');
    await person.clicks('Raw');
    await person.sees(`"id": "${call.id}"`);
  },

  'hanging up asks with the consequence and wants a second, different press': async ({ person, page, fake }) => {
    const call = [...fake.platform.calls.values()].find((entry) => entry.state === 'bridged');
    await person.comesBack(`/admin/calls/${call.id}`);
    await page.waitForSelector('[data-order=hangup]');
    await person.presses('e');
    await page.waitForSelector('[role=alertdialog]');
    await person.sees('2 people hear the line go dead');
    assert.equal(await person.focused(), 'Keep the call');
    await person.presses('e');
    await sleep(200);
    assert.equal(fake.platform.calls.has(call.id), true);
    await person.presses('Escape');
    await until(async () => !(await page.$('[role=alertdialog]')), 'the question to go');
    assert.equal(fake.platform.calls.has(call.id), true);
    await person.presses('e');
    await page.waitForSelector('[role=alertdialog]');
    await person.clicks('Hang up', '[role=alertdialog]');
    await until(() => page.$('[data-call-state=ended]'), 'the call to end');
    await person.sees('Ended by an operator');
  },

  'many calls are ended together, with the numbers said before': async ({ person, page, fake }) => {
    await person.comesBack('/admin/calls?state%5Bin%5D=held');
    await person.marked('live');
    await page.waitForSelector('tr[data-call]');
    const many = (await person.rows()).length;
    await page.click('thead input');
    await person.sees(`${many} selected`);
    await person.clicks('Hang up', '.bulk');
    await person.sees(`Hang up ${many} call`);
    await person.clicks('Hang up', '[role=alertdialog]');
    await person.sees(`${many} call${many === 1 ? '' : 's'} ended`);
    assert.equal([...fake.platform.calls.values()].filter((call) => call.state === 'held').length, 0);
  },

  'a call is placed once however often it is pressed, and a draft survives a reload': async ({ person, page, fake }) => {
    await person.comesBack('/admin/calls');
    await person.marked('live');
    await person.presses('c');
    await page.waitForSelector('#o-to');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'o-to');
    await page.type('#o-to', '+442071234567');
    await page.reload();
    await person.marked('live');
    await person.presses('c');
    await page.waitForSelector('#o-to');
    assert.equal(await page.$eval('#o-to', (field) => field.value), '+442071234567');
    const before = fake.platform.calls.size;
    await person.tell('slow', 150);
    await person.presses('Enter');
    await person.presses('Enter');
    await page.waitForSelector('[data-call-page]');
    await person.tell('slow', 0);
    assert.equal(fake.platform.calls.size - before, 1);
    await person.sees('+44 20 7123 4567');
  },

  'a switch is drained, its progress is told in words, and it is put back': async ({ person, page, fake }) => {
    await person.comesBack('/admin/nodes');
    await page.waitForSelector('tr[data-node]');
    await page.click('tr[data-node=node_01] th a');
    await person.clicks('Drain', 'aside');
    await person.sees('takes the new calls'.slice(5));
    await person.clicks('Drain', '[role=alertdialog]');
    await page.waitForSelector('tr[data-node=node_01][data-state=draining] [data-drain]');
    await person.sees('left');
    await until(() => page.$('tr[data-node=node_01][data-state=drained]'), 'the switch to be drained', 40_000);
    assert.equal([...fake.platform.calls.values()].filter((call) => call.node === 'node_01').length, 0);
    await person.clicks('Resume', 'aside');
    await page.waitForSelector('tr[data-node=node_01][data-state=active]');
    await person.clicks('Probe', 'aside');
    await person.sees('there and back');
  },

  'after a cut the page says since when, catches up, and equals the store without a reload': async ({ person, page, fake }) => {
    await person.comesBack('/admin/calls');
    await person.marked('live');
    await person.equalsTheStore();
    await page.evaluate(() => {
      globalThis.unreloaded = true;
      globalThis.marks = [];
      new MutationObserver(() => {
        const words = document.querySelector('[data-connection]').innerText.replace(/\s+/g, ' ');
        if (globalThis.marks.at(-1) !== words) globalThis.marks.push(words);
      }).observe(document.querySelector('header'), { subtree: true, childList: true, characterData: true, attributes: true });
    });
    await person.tell('down', 1);
    await person.marked('offline');
    await person.sees('Offline since');
    for (let n = 0; n < 3000; n++) fake.platform.happen();
    await person.tell('down', 0);
    await person.marked('live', 25_000);
    await person.equalsTheStore();
    const marks = await page.evaluate(() => globalThis.marks.join(' / '));
    assert.match(marks, /Offline since .* Catching up [\d,.\s]+ events.* Live/);
    assert.equal(await page.evaluate(() => globalThis.unreloaded), true);

    for (let n = 0; n < 5; n++) {
      await person.tell('cut');
      for (let m = 0; m < 30; m++) fake.platform.happen();
    }
    await person.marked('live', 25_000);
    await person.equalsTheStore();
  },

  'when the log has forgotten the numbers in between, the calls are listed again': async ({ person, fake }) => {
    await person.comesBack('/admin/calls');
    await person.marked('live');
    await person.equalsTheStore();
    await person.tell('down', 1);
    await person.marked('offline');
    for (let n = 0; n < 200; n++) fake.platform.happen();
    await person.tell('forget');
    for (let n = 0; n < 20; n++) fake.platform.happen();
    await person.tell('down', 0);
    await person.marked('live', 25_000);
    await person.equalsTheStore();
  },

  'an expired token is renewed without anybody noticing': async ({ person, page, fake }) => {
    const call = [...fake.platform.calls.values()].find((entry) => entry.state === 'bridged');
    await person.comesBack(`/admin/calls/${call.id}`);
    await page.waitForSelector('[data-order=hold]');
    await person.tell('expire');
    await page.click('[data-order=hold]');
    await page.waitForSelector('[data-order=unhold]');
    assert.ok(!(await person.text()).includes('Sign in'));
  },

  'tabs renew the session one after the other, with and without locks of the browser, and a reload in between is no end': async ({ person, page, fake }) => {
    await person.comesBack('/admin/calls');
    await person.marked('live');
    for (const locks of [true, false]) {
      const others = [await page.browserContext().newPage(), await page.browserContext().newPage()];
      const people = [];
      for (const tab of others) {
        if (!locks) await tab.evaluateOnNewDocument(() => Object.defineProperty(Navigator.prototype, 'locks', { value: undefined }));
        people.push(new Person(tab, fake));
        await people.at(-1).goes('/admin/calls');
        await people.at(-1).marked('live');
      }
      const calls = [...fake.platform.calls.values()].filter((entry) => entry.state === 'bridged').slice(0, 2);
      for (const [n, one] of people.entries()) await one.goes(`/admin/calls/${calls[n].id}`);
      await Promise.all(others.map((tab) => tab.waitForSelector('[data-order=hold]')));
      // All tokens are refused at once, and each answer takes its time: both tabs ask for a new one.
      await person.tell('slow', 300);
      await person.tell('expire');
      const before = fake.platform.refreshes;
      await Promise.all(others.map((tab) => tab.$eval('[data-order=hold]', (button) => button.click())));
      await Promise.all(others.map((tab) => tab.waitForSelector('[data-order=unhold]')));
      assert.ok(fake.platform.refreshes - before >= 2, 'both tabs renewed');
      // Reloaded while the answer with the new cookie is on its way.
      const asked = fake.platform.refreshes;
      void others[0].evaluate(() => location.reload()).catch(() => undefined);
      await until(() => fake.platform.asking > 0, 'the reloaded page to ask');
      await others[0].reload();
      await people[0].marked('live');
      await person.tell('slow', 0);
      assert.ok(fake.platform.refreshes - asked >= 2, 'both pages renewed');
      for (const tab of others) await tab.close();
    }
    assert.equal(fake.platform.reused, 0);
  },

  'everything is reached by keyboard alone': async ({ person, page }) => {
    await page.goto(`${person.url}/login`);
    await page.waitForSelector('#email');
    await until(async () => (await page.evaluate(() => document.activeElement?.id)) === 'email', 'the focus in the first field');
    await page.keyboard.type(EMAIL);
    await person.presses('Tab');
    await page.keyboard.type(PASSWORD);
    await person.presses('Enter');
    await person.marked('live');
    await person.presses('Tab');
    await person.presses('g');
    await person.presses('c');
    await until(() => page.url().endsWith('/admin/calls'), 'the live calls');
    await page.waitForSelector('tr[data-call]');
    await person.presses('j');
    await person.presses('j');
    const second = (await person.rows())[1].id;
    assert.equal(await page.evaluate(() => document.activeElement.closest('tr')?.dataset.call), second);
    await person.presses('x');
    await person.sees('1 selected');
    await person.presses('Escape');
    await person.presses('o');
    await page.waitForSelector('aside.pane');
    await page.evaluate((row) => document.querySelector(row).querySelector('a').focus(), live(second));
    await person.presses('Enter');
    await page.waitForSelector('[data-call-page]');
    await page.waitForSelector('[data-line]');
    await person.presses('j');
    assert.ok(await page.evaluate(() => 'line' in document.activeElement.dataset));
    await person.presses('Enter');
    await page.waitForSelector('[data-line][aria-expanded=true]');
    await person.presses('Escape');
    await until(() => page.url().includes('/admin/calls') && !page.url().includes('call_'), 'back at the list');
    await page.keyboard.down('Control');
    await person.presses('k');
    await page.keyboard.up('Control');
    await page.waitForSelector('.palette-input');
    await page.keyboard.type('nodes');
    await sleep(150);
    await person.presses('Enter');
    await until(() => page.url().endsWith('/admin/nodes'), 'the switches, by the palette');
    await page.waitForSelector('tr[data-node]');
    await person.presses('?');
    await person.sees('Single keys rest while you type');
    await page.click('[role=dialog] input[type=checkbox]');
    await person.presses('Escape');
    await until(async () => !(await page.$('[role=dialog]')), 'the list of shortcuts to go');
    await person.presses('g');
    await person.presses('c');
    await sleep(200);
    assert.ok(page.url().endsWith('/admin/nodes'), 'single keys are off');
  },

  'a key\u2019s secret is shown once, and can be copied': async ({ person, page }) => {
    await person.comesBack('/admin/access?tab=keys');
    await person.sees('Billing export');
    await person.clicks('Make an API key', 'main');
    await page.waitForSelector('#g-name');
    await page.type('#g-name', 'Wallboard');
    await page.click('input[value="calls:read"]');
    await person.clicks('Make the key', '[role=dialog]');
    const secret = await (await page.waitForSelector('[data-secret]')).evaluate((element) => element.innerText);
    assert.match(secret, /^irx_key_/);
    await person.clicks('I have kept it');
    await person.sees('Wallboard');
    assert.ok(!(await page.content()).includes(secret));
  },

  'a person in a conference is muted and removed': async ({ person, page, fake }) => {
    await person.comesBack('/admin/conferences');
    await page.waitForSelector('[data-room]');
    await person.clicks('Mute', '[data-room]');
    await until(() => [...fake.platform.conferences.values()][0].members[0].muted, 'the person to be muted');
    await person.clicks('Remove', '[data-room]');
    await person.sees('1 of 4 people leaves');
    await person.clicks('Remove', '[role=alertdialog]');
    await until(() => [...fake.platform.conferences.values()][0].members.length === 3, 'three people to be left');
    await person.sees('3 people');
  },

  'the log is followed at its end and read from any number': async ({ person, page, fake }) => {
    await person.comesBack('/admin/events');
    await person.marked('live');
    await page.waitForSelector('[data-row]');
    const head = fake.platform.head;
    fake.platform.happen();
    await until(async () => Number((await page.$eval('.seq', (element) => element.innerText)).replace(/\D/g, '')) > head, 'the newest entry on top');
    await person.presses('/');
    await page.keyboard.type('42');
    await person.presses('Enter');
    await until(async () => (await page.$eval('.seq', (element) => element.innerText)) === '42', 'entry 42 on top');
    await page.click('.seq');
    await person.sees('"seq": 42');
  },

  'call records are filtered by how they ended, and lead to the call': async ({ person, page, fake }) => {
    await person.comesBack('/admin/cdrs');
    await page.waitForSelector('[data-row]');
    await page.select('.cause', 'USER_BUSY');
    const wanted = fake.platform.ended.filter((call) => call.hangup_cause === 'USER_BUSY').length;
    await until(async () => (await page.$$('[data-row]')).length === wanted, `${wanted} busy calls`);
    await page.click('[data-row] a');
    await page.waitForSelector('[data-call-state=ended]');
    await person.sees('Busy');
  },

  'an answer is shown at once, settles, and what becomes of it is told while one looks': async ({ person, page, fake }) => {
    const { talks } = fake.platform;
    const talk = [...talks.talks.values()][2];
    await person.comesBack(`/inbox?tab=all&conversation=${talk.id}`);
    await person.marked('live');
    await person.saysWhatIsStored(talk);
    await person.presses('r');
    await page.keyboard.type('It is on its way: tomorrow before ten.');
    await person.tell('slow', 400);
    await page.keyboard.down('Control');
    await person.presses('Enter');
    await page.keyboard.up('Control');
    await page.waitForSelector('[data-underway=sending]');
    await person.tell('slow', 0);
    await until(async () => !(await page.$('[data-underway]')), 'the answer to be stored');
    await person.saysWhatIsStored(talk);
    const sent = [...talks.messages.values()].at(-1);
    assert.equal(sent.text, 'It is on its way: tomorrow before ten.');
    for (const [state, words] of [['sent', 'Sent'], ['delivered', 'Delivered'], ['read', 'Read']]) {
      talks.settle(sent, state);
      await until(() => page.$eval(`[data-message="${sent.id}"] [data-receipt]`, (one, wanted) => one.innerText === wanted, words), `${words} beside the answer`);
    }
    talks.customerWrites('Perfect, thank you!', talk);
    await person.sees('Perfect, thank you!', 1500);
    await person.presses('Escape');
    await person.presses('n');
    await page.keyboard.type('Promised for tomorrow.');
    await person.clicks('Leave the note');
    await until(() => [...talks.messages.values()].at(-1).kind === 'note', 'the note to be stored');
    await person.saysWhatIsStored(talk);
    // A file goes with a text, or alone.
    await person.clicks('Answer by', '.composer');
    await (await page.$('.composer input[type=file]')).uploadFile(createRequire(import.meta.url).resolve('../package.json'));
    await until(() => page.$eval('.composer .files', (list) => list.innerText.includes('package.json') && !list.innerText.includes('uploading')), 'the file to be uploaded');
    await page.click('.composer .foot .primary');
    await until(() => [...talks.messages.values()].at(-1).files.length === 1, 'the file to be sent');
    await page.waitForSelector('[data-file]');
    // What failed says why, and is written anew with one press.
    talks.settle(sent, 'failed', { code: '30003', reason: 'The telephone is switched off.' });
    await person.sees('The telephone is switched off.');
    await person.clicks('Try again', `[data-message="${sent.id}"]`);
    await until(() => [...talks.messages.values()].filter((one) => one.text === sent.text).length === 2, 'the same text to be stored again');
  },

  'whatever is cut, the inbox and the open conversation equal the store again without a reload': async ({ person, page, fake }) => {
    const { talks } = fake.platform;
    const talk = [...talks.talks.values()][0];
    await page.setViewport({ width: 1440, height: 3000 });
    await person.comesBack(`/inbox?tab=all&conversation=${talk.id}`);
    await person.marked('live');
    await person.listsWhatIsStored();
    await page.evaluate(() => (globalThis.unreloaded = true));
    await person.tell('cut');
    await person.marked('offline');
    for (let n = 0; n < 12; n++) talks.customerWrites(`while you were away ${n}`, n % 3 ? null : talk);
    talks.settle([...talks.messages.values()].find((one) => one.state === 'unknown'), 'delivered');
    await person.marked('live', 15_000);
    await person.listsWhatIsStored();
    await person.saysWhatIsStored(talk);
    // The platform has forgotten the numbers in between: everything is read again.
    await person.tell('refuse', 1);
    await person.tell('cut');
    await person.marked('offline');
    for (let n = 0; n < 8; n++) talks.customerWrites(`long ago ${n}`, n % 2 ? null : talk);
    const gone = [...talks.talks.values()][1];
    talks.talks.delete(gone.id);
    await person.tell('forget');
    await person.tell('refuse', 0);
    await person.marked('live', 20_000);
    await person.listsWhatIsStored();
    await person.saysWhatIsStored(talk);
    // Rows that cannot be read are not shown as if they were true.
    await person.tell('down', 1);
    await person.marked('offline');
    talks.customerWrites('during the outage', talk);
    await person.tell('down', 0);
    await person.marked('live', 20_000);
    await person.saysWhatIsStored(talk);
    assert.equal(await page.evaluate(() => globalThis.unreloaded), true);
  },

  'conversations stay under the hand: new ones wait behind their number': async ({ person, page, fake }) => {
    const { talks } = fake.platform;
    await person.comesBack('/inbox?tab=all');
    await person.marked('live');
    await person.listsWhatIsStored();
    const before = await person.talks();
    await page.mouse.move(400, before[2].top + 20);
    await sleep(200);
    for (let n = 0; n < 3; n++) talks.begin(n);
    talks.customerWrites('me again', talks.talks.get(before[4].id));
    await person.sees('3 new');
    const after = await person.talks();
    assert.deepEqual(after.slice(0, before.length).map(({ id, top }) => [id, top]), before.map(({ id, top }) => [id, top]));
    await until(async () => (await person.talks())[4].version > before[4].version, 'the row to change in its place');
    await person.clicks('3 new');
    await page.mouse.move(5, 5);
    await page.evaluate(() => document.activeElement?.blur());
    await person.listsWhatIsStored();
  },

  'who was faster is told, resolving can be undone, and a snoozed conversation goes to its tab': async ({ person, page, fake }) => {
    const { talks } = fake.platform;
    const talk = [...talks.talks.values()][3];
    await person.comesBack(`/inbox?conversation=${talk.id}`);
    await person.marked('live');
    await page.waitForSelector('[data-conversation-state=open]');
    // Another agent takes it while the answer of the log is on its way to this page.
    Object.assign(talk, { assignee: 'usr_02', version: talk.version + 1 });
    await person.clicks('Take', '.talk');
    await person.sees('Sam Visor was faster');
    await person.presses('a');
    await page.waitForSelector('[role=dialog]');
    await page.keyboard.type('me');
    await person.presses('Enter');
    await until(async () => talk.assignee === 'usr_01' && !(await page.$('[role=dialog]')), 'the conversation to be mine');
    await person.presses('e');
    await page.waitForSelector('[data-conversation-state=resolved]');
    await person.clicks('Undo', '.notice:last-child');
    await page.waitForSelector('[data-conversation-state=open]');
    await person.presses('z');
    await page.waitForSelector('[role=dialog]');
    await person.clicks('Tomorrow morning', '[role=dialog]');
    await page.waitForSelector('[data-conversation-state=snoozed]');
    assert.ok(talk.snoozed_until_us > Date.now() * 1000);
    await person.clicks('Snoozed', '.tabs');
    await until(async () => (await person.talks()).some(({ id }) => id === talk.id), 'it among the snoozed ones');
    await person.presses('l');
    await page.waitForSelector('[role=dialog]');
    await page.keyboard.type('returns');
    await person.presses('Enter');
    await until(() => talk.labels.includes('returns'), 'the label');
  },

  'what is written survives a reload, and an answer that got lost is stored once': async ({ person, page, fake }) => {
    const { talks } = fake.platform;
    const talk = [...talks.talks.values()][2];
    await person.comesBack(`/inbox?tab=all&conversation=${talk.id}`);
    await page.waitForSelector('textarea');
    await page.type('textarea', 'Half a thought');
    await sleep(300);
    await page.reload();
    await until(() => page.$eval('textarea', (field) => field.value === 'Half a thought'), 'the draft');
    const before = talks.messages.size;
    // The platform stores it and its answer never arrives; then the page is reloaded. The key stays the same.
    await person.tell('deaf', 1);
    await page.focus('textarea');
    await page.keyboard.down('Control');
    await person.presses('Enter');
    await page.keyboard.up('Control');
    await person.sees('stored once');
    await page.reload();
    await page.waitForSelector('[data-underway]');
    await person.tell('deaf', 0);
    await until(async () => !(await page.$('[data-underway]')), 'the answer to settle', 20_000);
    assert.equal(talks.messages.size - before, 1);
    assert.equal(await page.$eval('textarea', (field) => field.value), '');
    // An SMS says what it costs before it is sent.
    await page.type('textarea', 'Grüße – bis morgen');
    await person.sees('because of –');
  },

  'a stranger’s mail runs nothing and loads nothing that was not asked for': async ({ person, page, fake }) => {
    const { talks } = fake.platform;
    const talk = [...talks.talks.values()].find((one) => one.subject);
    const asked = [];
    page.on('request', (request) => asked.push(request.url()));
    await person.comesBack(`/inbox?tab=all&conversation=${talk.id}`);
    await person.sees('I would take two of them.');
    await person.clicks('As it was designed');
    await until(async () => page.$eval('iframe', (frame) => Boolean(frame.contentDocument?.querySelector('b'))), 'the mail in its frame');
    await sleep(300);
    assert.equal(await page.evaluate(() => globalThis.hacked ?? false), false);
    assert.equal(asked.some((url) => url.startsWith('http://127.0.0.1:65123/')), false, 'a picture from elsewhere was loaded');
    await person.clicks('Load the pictures');
    await until(() => asked.some((url) => url.startsWith('http://127.0.0.1:65123/pixel.png')), 'the picture to be asked for');
    assert.equal(await page.evaluate(() => globalThis.hacked ?? false), false);
    // What the frame refuses is told by the browser; that it was refused is the point.
    page.problems = page.problems.filter((problem) => !/Content.Security.Policy|sandboxed|Blocked script|CSP/i.test(problem));
  },

  'an account is connected by the form of its channel, its secret is never shown, and switching it off says what follows': async ({ person, page, fake }) => {
    const { talks } = fake.platform;
    await person.comesBack('/admin/channels');
    await person.marked('live');
    await page.waitForSelector('tr[data-channel]');
    await person.sees('invalid_auth');
    await person.presses('c');
    await page.waitForSelector('#set-type');
    await page.select('#set-type', 'slack');
    await page.waitForSelector('#set-token');
    await person.clicks('Connect', '.foot');
    await person.sees('Something is missing');
    await page.type('#set-account', 'T0ACME');
    await page.type('#set-token', 'xoxb-not-for-eyes');
    await page.reload();
    await page.waitForSelector('#set-account');
    assert.equal(await page.$eval('#set-account', (field) => field.value), 'T0ACME');
    assert.equal(await page.$eval('#set-token', (field) => field.value), '');
    assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes('not-for-eyes')), false);
    await page.type('#set-token', 'xoxb-not-for-eyes');
    await person.clicks('Connect', '.foot');
    await person.sees('Slack is connected');
    assert.equal(talks.accounts[0].settings.account, 'T0ACME');
    assert.equal((await page.content()).includes('not-for-eyes'), false);
    await person.clicks('WhatsApp support', 'tbody');
    await page.waitForSelector('aside');
    await until(async () => (await person.text('aside')).includes('12 messages'), 'what waits');
    await person.clicks('Switch off', 'aside');
    await person.sees('12 messages wait in it');
    await person.clicks('Switch off', '[role=alertdialog]');
    await page.waitForSelector('tr[data-state=disabled]');
    assert.equal(talks.accounts.find((one) => one.id === 'chn_02').state, 'disabled');
  },

  'a channel is checked, what it does not keep is said with its reason, and nothing is asked once one has left': async ({ person, page, fake }) => {
    const { talks } = fake.platform;
    const row = (type) => `tbody[data-type="${type}"]`;
    const stands = (type, words) => until(async () => (await person.text(row(type))).includes(words), `${words} at ${type}`);
    await person.comesBack('/admin/channels?tab=types');
    await person.sees("No module named 'spandsp'");
    await stands('sms.twilio', 'Plugin irisx 0.1.0');
    await stands('sms.twilio', '3 hold, 1 does not apply');
    await stands('sms.twilio', '3 h ago');
    await stands('slack', 'Plugin irisx-slack 2.3.1');
    await stands('slack', 'Never checked');
    await page.focus(`${row('slack')} .told button`);
    await person.presses('Enter');
    await stands('slack', 'Waits for its turn');
    assert.match(await person.focused(), /^Check\s+Slack$/);
    talks.runCheck(talks.jobs.get('slack'));
    await stands('slack', 'Being checked');
    talks.endCheck(talks.jobs.get('slack'));
    await stands('slack', '1 of 4 promises does not hold');
    await stands('slack', 'cut by one character was accepted');
    // The same by its name; a check that could not be made is no verdict.
    await page.keyboard.down('Control');
    await person.presses('k');
    await page.keyboard.up('Control');
    await page.waitForSelector('[role=dialog] input');
    await page.keyboard.type('check telegram');
    await until(async () => (await person.text('[role=dialog]')).includes('Check Telegram'), 'the action');
    await person.presses('Enter');
    await stands('telegram', 'Waits for its turn');
    talks.endCheck(talks.jobs.get('telegram'), 'failed');
    await stands('telegram', 'it did not end within 300 s');
    await person.clicks('Check', row('whatsapp'));
    await stands('whatsapp', 'Waits for its turn');
    const looked = talks.looks;
    await until(() => talks.looks > looked, 'somebody to look after the check');
    await person.clicks('Accounts', '[role=tablist]');
    await page.waitForSelector('tr[data-channel]');
    await sleep(300);
    const left = talks.looks;
    await sleep(4500);
    assert.equal(talks.looks, left, 'the page still asks after it was left');
  },

  'conversations are found by filters, given to others together, and given back': async ({ person, page, fake }) => {
    const { talks } = fake.platform;
    await person.comesBack('/admin/conversations');
    await person.marked('live');
    await page.waitForSelector('th[data-talk]');
    await person.presses('/');
    await page.keyboard.type('state:open has:nobody kim ');
    await person.presses('Enter');
    await until(() => page.url().includes('state%5Bin%5D=open') && page.url().includes('q=kim'), 'the filters in the address');
    const kim = talks.contacts.find((one) => one.name.startsWith('Kim'));
    const wanted = [...talks.talks.values()].filter((talk) => talk.contact_id === kim.id && talk.state === 'open' && !talk.assignee).length;
    await until(async () => (await page.$$('th[data-talk]')).length === wanted, `${wanted} conversations of Kim`);
    await person.clicks('Clear all');
    await until(async () => (await page.$$('th[data-talk]')).length === talks.talks.size, 'all conversations');
    await person.presses('/');
    await page.keyboard.type('said:carrier ');
    await person.presses('Enter');
    await until(async () => (await page.$$('th[data-talk]')).length === 1, 'the conversation in which the carrier was spoken of');
    await person.clicks('Clear all');
    await until(async () => (await page.$$('th[data-talk]')).length === talks.talks.size, 'all conversations again');
    const boxes = await page.$$('tbody input');
    for (const box of boxes.slice(2, 5)) await box.click();
    await person.sees('3 conversations selected');
    await person.clicks('Assign', '.bulk');
    await page.waitForSelector('[role=dialog]');
    await page.keyboard.type('sam');
    await person.presses('Enter');
    await person.sees('3 conversations with Sam Visor now');
    const given = () => [...talks.talks.values()].filter((talk) => talk.assignee === 'usr_02').length;
    const now = given();
    assert.ok(now >= 3);
    await person.clicks('Undo', '.notice:last-child');
    await until(() => given() < now, 'the conversations to be given back');
  },

  'one timeline has what a person wrote anywhere and the calls with them, and a canned reply is found by its name': async ({ person, page, fake }) => {
    const { talks } = fake.platform;
    const talk = [...talks.talks.values()][0];
    await person.comesBack(`/inbox?tab=all&conversation=${talk.id}`);
    await person.marked('live');
    await person.sees('They called, talked for 3 min 16 s');
    await person.saysWhatIsStored(talk);
    const other = [...talks.talks.values()].find((one) => one.contact_id === talk.contact_id && one.id !== talk.id);
    const written = talks.customerWrites('And one more thing, by mail.', other);
    await page.waitForSelector(`[data-beside="${written.id}"]`);
    await person.clicks('Show this conversation only');
    await until(async () => !(await page.$('[data-beside], [data-call]')), 'this conversation alone');
    await person.presses('r');
    await page.keyboard.type('Hello! :hou');
    await page.waitForSelector('[role=option]');
    await person.presses('Enter');
    await until(() => page.$eval('textarea', (field) => field.value === 'Hello! We are open Monday to Friday, 9 to 17.'), 'the canned reply in the text');
  },

  'when a channel’s window is over, only what its provider has approved is sent': async ({ person, page, fake }) => {
    const { talks } = fake.platform;
    const talk = [...talks.talks.values()].find((one) => one.channel_id === 'chn_02' && one.state === 'open');
    await person.comesBack(`/inbox?tab=all&conversation=${talk.id}`);
    await person.sees('Free text for another 23 h');
    talk.last_inbound_us -= 90_000e6;
    talks.changed(talk);
    await person.sees('allows free text only within 24 hours');
    await page.type('textarea', 'Are you there?');
    const before = talks.messages.size;
    await page.keyboard.down('Control');
    await person.presses('Enter');
    await page.keyboard.up('Control');
    await person.sees('Free text is not allowed any more');
    assert.equal(talks.messages.size, before);
    await person.clicks('Choose a template');
    await page.waitForSelector('[role=dialog] li');
    assert.equal((await page.$$('[role=dialog] li')).length, 1);
    await person.clicks('Order shipped', '[role=dialog]');
    await person.sees('it is on its way.');
    await person.clicks('Send', '[role=dialog]');
    await until(() => talks.messages.size === before + 1, 'the template to be stored');
    await person.saysWhatIsStored(talk);
  },

  'a number is simulated, its carriers are compared in words, and a decision is looked up': async ({ person, page, fake }) => {
    await person.comesBack('/admin/routing');
    await person.presses('s');
    await until(() => page.evaluate(() => document.activeElement?.id === 'r-to'), 'the field for the number');
    await page.keyboard.type('030 12345');
    await person.presses('Enter');
    await person.sees('is no number with its country code');
    await page.$eval('#r-to', (field) => field.select());
    await page.keyboard.type('+49 30 123456');
    await person.presses('Enter');
    await page.waitForSelector('[data-simulated="+4930123456"]');
    await person.sees('Baltic SMS before Cheap Route: it arrives in 97.3 % instead of 81.0 %');
    await person.sees('Switched off');
    await page.reload();
    await page.waitForSelector('[data-simulated="+4930123456"]');
    await person.clicks('Decisions', '[role=tablist]');
    await page.waitForSelector('[data-row] a');
    await page.click('[data-row] a');
    await page.waitForSelector('[data-decision]');
    await person.sees('The second best was taken');
    await person.goes('/admin/carriers');
    await page.waitForSelector('tr[data-carrier]');
    await person.clicks('Baltic SMS', 'tbody');
    await until(async () => (await person.text('aside')).includes('41,200 rates'), 'its rates');
    await person.clicks('Switch off', 'aside');
    await person.sees('What waits goes by 1 other carrier');
    await person.clicks('Switch off', '[role=alertdialog]');
    await until(() => fake.platform.talks.carriers[0].state === 'off', 'it to be switched off');
  },

  'on a phone nothing scrolls sideways and the sections are at the bottom': async ({ person, page, browser }) => {
    await page.setViewport({ width: 390, height: 844 });
    await person.comesBack('/admin');
    await person.marked('live');
    for (const path of PAGES) {
      await person.goes(path);
      await sleep(250);
      const over = await page.evaluate(() => {
        const main = document.querySelector('main');
        return Math.max(document.documentElement.scrollWidth - innerWidth, main.scrollWidth - main.clientWidth);
      });
      assert.ok(over <= 0, `${path} is ${over} px too wide`);
    }
    await person.goes('/admin');
    await person.clicks('Calls', 'nav.bar');
    await page.waitForSelector('tr[data-call]');
    await page.click('tr[data-call] .to');
    await page.waitForSelector('[data-call-page]');
    await person.clicks('More', 'nav.bar');
    await person.clicks('Access', '[role=dialog]');
    await until(() => page.url().endsWith('/admin/access'), 'the access page');
    return { browser };
  },

  'no page has an accessibility violation that axe can find, in light and in dark': async ({ person, page, fake, browser }) => {
    await page.goto(`${person.url}/login`);
    await page.waitForSelector('#password');
    await person.axe('/login');
    await person.comesBack('/admin');
    await person.marked('live');
    const { talks } = fake.platform;
    talks.endCheck(talks.beginCheck('slack'));
    const call = [...fake.platform.calls.values()].findLast((entry) => entry.state === 'bridged');
    const paths = [...PAGES, `/admin/calls?call=${call.id}`, `/admin/calls/${call.id}`, `/admin/calls/${call.id}?tab=ladder`, `/admin/calls/${call.id}?tab=raw`, '/admin/nodes?node=node_00', '/admin/calls/call_none', `/inbox?tab=all&conversation=${[...fake.platform.talks.talks.keys()][0]}`, '/admin/channels?channel=chn_02', '/admin/channels?add=slack', `/admin/webhooks?webhook=${[...fake.platform.webhooks.hooks.keys()][1]}`, '/nowhere'];
    // Structure is the same in both themes: each page is looked at once, then for its colours in the dark. Firefox
    // looks at the colours of the busiest pages.
    const busiest = paths.filter((path) => path === '/admin' || path.includes(call.id));
    const light = browser === 'chromium';
    let looked = 0;
    const look = async (what) => {
      if (light) await person.axe(`${what} in light`);
      await page.evaluate(() => void (document.documentElement.dataset.theme = 'dark'));
      // Colours change over a moment: looked at in between, they are of neither theme.
      const still = () => document.getAnimations().every((one) => one.playState !== 'running' || one.effect.getComputedTiming().endTime === Infinity);
      await until(() => page.evaluate(still), 'the colours to have changed');
      await person.axe(`${what} in dark`, COLOURS);
      await page.evaluate(() => void (document.documentElement.dataset.theme = 'light'));
      looked += light ? 2 : 1;
    };
    for (const path of light ? paths : busiest) {
      await person.goes(path);
      await sleep(path === '/admin' ? 2500 : 250);
      await look(path);
    }
    // On a phone tables fold and panes become sheets: other structures.
    await page.setViewport({ width: 390, height: 844 });
    for (const path of light ? ['/inbox', '/admin/channels', '/admin/channels?tab=types'] : []) {
      await person.goes(path);
      await sleep(250);
      await look(`${path} on a phone`);
    }
    await page.setViewport({ width: 1440, height: 900 });
    await person.goes('/admin/calls');
    await person.marked('live');
    for (const [key, what] of [['c', 'the dialog for a call'], ['?', 'the shortcuts']]) {
      await person.presses(key);
      await page.waitForSelector('[role=dialog]');
      await sleep(250);
      await look(what);
      await person.presses('Escape');
      await until(async () => !(await page.$('[role=dialog]')), 'the dialog to go');
    }
    page.problems = page.problems.filter((problem) => !problem.includes('/nowhere'));
    return { looked };
  }
};
