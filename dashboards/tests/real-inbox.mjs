// Customers of real channels, played by fake providers of a running platform, and an agent in a browser who answers:
//   node tests/real-inbox.mjs URL EMAIL PASSWORD '{"sms.twilio": "http://…/"}' [chromium|firefox] [FOLDER for pictures]
// Prints one line of JSON for each provider.
import { strict as assert } from 'node:assert';
import { launch } from './browser.mjs';
import { Person, until } from './journeys.mjs';

const [url, email, password, told, browser = 'chromium', folder] = process.argv.slice(2);
const providers = JSON.parse(told);
const CUSTOMERS = { 'sms.twilio': '+4915112345678', whatsapp: '+4915112345679', 'email.postmark': 'kim@customer.example', discord: '175928847299117063', slack: 'U0KIM' };
/** From the customer's key press to the agent's screen. */
const WITHIN_MS = 1000;
const machine = await launch(browser);
const page = await machine.page();
const person = new Person(page, { url });
const post = async (base, path, body) => {
  const answer = await fetch(`${base}${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  assert.ok(answer.ok, `${path}: ${answer.status} ${await answer.text()}`);
};

try {
  await page.goto(`${url}/login?next=${encodeURIComponent('/inbox?tab=all')}`);
  await page.waitForSelector('#password');
  await page.type('#email', email);
  await page.type('#password', password);
  await person.presses('Enter');
  await person.marked('live', 20_000);
  await page.evaluate(() => (globalThis.unreloaded = true));
  for (const [name, base] of Object.entries(providers)) {
    const says = `Hello by ${name}, is my order 47 there?`;
    const answer = `Yes, ${name}: it came this morning.`;
    const sees = (words) => page.$$eval('li[data-talk]', (rows, wanted) => rows.find((row) => row.innerText.includes(wanted))?.dataset.talk ?? '', words);
    const began = performance.now();
    await post(base, '_fake/say', { sender: CUSTOMERS[name] ?? '1001', text: says });
    const talk = await until(() => sees(says), `“${says}” in the inbox`, 15_000);
    const shown = Math.round(performance.now() - began);
    await page.click(`li[data-talk="${talk}"] a`);
    // (under the pointer, new conversations would wait behind their number)
    await page.mouse.move(900, 500);
    await page.waitForSelector(`[data-conversation="${talk}"] [data-direction=in]`);
    await until(() => page.$eval('.flow', (flow, wanted) => flow.innerText.includes(wanted), says), 'the message in the conversation');
    await person.presses('r');
    await page.keyboard.type(answer);
    await page.keyboard.down('Control');
    await person.presses('Enter');
    await page.keyboard.up('Control');
    const sent = performance.now();
    const arrived = await until(async () => {
      const found = (await (await fetch(`${base}_fake/messages`)).json()).sent;
      return found.find((one) => one.text.includes(answer));
    }, `the answer at ${name}`, 20_000);
    const there = Math.round(performance.now() - sent);
    const receipt = await until(() => page.$eval('.flow', (flow) => {
      const last = [...flow.querySelectorAll('[data-direction=out]')].at(-1);
      return last && ['sent', 'delivered', 'read'].includes(last.dataset.state) ? last.dataset.state : '';
    }), `the receipt of ${name} on the page`, 20_000);
    console.log(JSON.stringify({ name, browser, shown_ms: shown, arrived_ms: there, receipt, to: Boolean(arrived.to) }));
    // A machine that is busy with other things may be late; the bound is for one that is not.
    assert.ok(shown < WITHIN_MS * (process.env.IRISX_PATIENCE ? Number(process.env.IRISX_PATIENCE) : 1), `${name} was shown after ${shown} ms`);
    if (folder) await page.screenshot({ path: `${folder}/real-inbox-${name}-${browser}.png` });
    await person.presses('Escape');
    await person.presses('Escape');
  }
  assert.equal(await page.evaluate(() => globalThis.unreloaded), true);
  assert.deepEqual(page.problems, []);
} catch (error) {
  console.error(error);
  console.error(page.url(), page.problems);
  if (folder) await page.screenshot({ path: `${folder}/real-inbox-failed-${browser}.png` });
  process.exitCode = 1;
} finally {
  await machine.close();
}
