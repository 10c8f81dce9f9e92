// Pictures of every page for looking at: node tests/shots.mjs FOLDER [--url URL --email E --password P]
//   [--browsers chromium,firefox] [--only calls,nodes] [--widths 1440,390] [--themes light,dark]
import { mkdirSync } from 'node:fs';
import { launch } from './browser.mjs';
import { EMAIL, PASSWORD, serve } from './fake-api.mjs';

const option = (name, otherwise) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : process.argv[at + 1];
};
const folder = process.argv[2];
mkdirSync(folder, { recursive: true });
const fake = option('url') ? null : await serve({ rate: 12, calls: 140, most: 160 });
const url = option('url', fake?.url);
const only = option('only')?.split(',');
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

for (const browser of option('browsers', 'chromium').split(',')) {
  const machine = await launch(browser);
  for (const theme of option('themes', 'light,dark').split(',')) {
    for (const width of option('widths', '1440,390').split(',').map(Number)) {
      const page = await machine.page({ width, height: width > 700 ? 900 : 844, theme });
      const shot = (name) => page.screenshot({ path: `${folder}/${name}-${width}-${theme}-${browser}.png` });
      const wanted = (name) => !only || only.includes(name);
      await page.goto(`${url}/login`);
      await page.waitForSelector('#password');
      if (wanted('login')) await shot('login');
      await page.type('#email', option('email', EMAIL));
      await page.type('#password', option('password', PASSWORD));
      await page.click('button[type=submit]');
      await page.waitForSelector('[data-connection=live]', { timeout: 15000 });
      const pages = { overview: '/admin', calls: '/admin/calls', nodes: '/admin/nodes', cdrs: '/admin/cdrs', recordings: '/admin/recordings', policies: '/admin/recordings?tab=policies', conferences: '/admin/conferences', conversations: '/admin/conversations', channels: '/admin/channels', webhooks: '/admin/webhooks', carriers: '/admin/carriers', routing: '/admin/routing', content: '/admin/content', replies: '/admin/content?tab=replies', macros: '/admin/content?tab=macros', labels: '/admin/content?tab=labels', automation: '/admin/automation', levels: '/admin/automation?tab=levels', hours: '/admin/automation?tab=hours', breaches: '/admin/automation?tab=breaches', events: '/admin/events', access: '/admin/access', keys: '/admin/access?tab=keys', status: '/status' };
      for (const [name, path] of Object.entries(pages)) {
        if (!wanted(name)) continue;
        await page.goto(`${url}${path}`);
        await page.waitForSelector('h1');
        await sleep(name === 'overview' ? 9000 : 2500);
        await shot(name);
        if (name === 'calls') {
          await page.keyboard.press('j');
          await page.keyboard.press('j');
          await page.keyboard.press('o');
          await sleep(1200);
          await shot('calls-pane');
        }
      }
      if (wanted('inbox')) {
        await page.goto(`${url}/inbox?tab=all`);
        await page.waitForSelector('[data-talk]');
        await sleep(1200);
        await shot('inbox');
        await page.evaluate(() => document.querySelector('[data-talk] a').click());
        await page.waitForSelector('[data-message]');
        await sleep(1500);
        await shot('inbox-talk');
        await page.keyboard.press('z');
        await sleep(500);
        await shot('inbox-snooze');
        await page.keyboard.press('Escape');
        await page.goto(`${url}/inbox?tab=snoozed&channel=chn_03`);
        await sleep(1000);
        await shot('inbox-empty');
        await page.goto(`${url}/admin/channels?channel=chn_04`);
        await sleep(1200);
        await shot('channel-pane');
        await page.goto(`${url}/admin/channels?add=slack`);
        await sleep(1500);
        await shot('channel-add');
        await page.goto(`${url}/admin/carriers?carrier=car_01`);
        await sleep(1200);
        await shot('carrier-pane');
        await page.goto(`${url}/admin/routing?to=%2B4930123456`);
        await sleep(1200);
        await shot('routing-simulated');
      }
      if (wanted('forms')) {
        const opened = async (path, label, name) => {
          await page.goto(`${url}${path}`);
          await page.waitForSelector('[data-document]');
          await sleep(600);
          await page.evaluate((what) => document.querySelector(`[aria-label="${what}"]`).click(), label);
          await page.waitForSelector('[role=dialog] form');
          await sleep(500);
          await shot(name);
        };
        await opened('/admin/content', 'Change Order shipped', 'form-template');
        await opened('/admin/content?tab=macros', 'Change Refund', 'form-macro');
        await opened('/admin/automation', 'Change Broken things first', 'form-rule');
        await opened('/admin/automation?tab=levels', 'Change Within the hour', 'form-level');
        await opened('/admin/automation?tab=hours', 'Change Office', 'form-hours');
        await page.goto(`${url}/admin/content`);
        await page.waitForSelector('[data-document]');
        await page.evaluate(() => [...document.querySelectorAll('[data-document] .open')].find((one) => one.innerText === 'Opening hours').click());
        await page.waitForSelector('[data-preview]');
        await sleep(500);
        await shot('previews');
        await page.goto(`${url}/admin/automation`);
        await page.waitForSelector('[data-document] .open');
        await page.evaluate(() => document.querySelector('[data-document] .open').click());
        await page.waitForSelector('#runs');
        await page.keyboard.press('t');
        await page.waitForSelector('[data-trial]');
        await sleep(800);
        await shot('rule');
      }
      if (wanted('call')) {
        await page.goto(`${url}/admin/calls?state%5Bin%5D=bridged`);
        await page.waitForSelector('tr[data-state=bridged] a');
        await page.evaluate(() => document.querySelector('tr[data-state=bridged] a').click());
        await page.waitForSelector('[data-call-page]');
        await sleep(1800);
        await shot('call');
        await page.goto(`${page.url()}?tab=ladder`);
        await sleep(1500);
        await shot('call-ladder');
      }
      if (wanted('palette')) {
        await page.goto(`${url}/admin/calls`);
        await sleep(1500);
        await page.keyboard.down('Control');
        await page.keyboard.press('k');
        await page.keyboard.up('Control');
        await sleep(800);
        await shot('palette');
        await page.keyboard.press('Escape');
        await sleep(300);
        await page.keyboard.press('?');
        await sleep(600);
        await shot('shortcuts');
        await page.keyboard.press('Escape');
        await sleep(200);
        await page.keyboard.press('c');
        await sleep(600);
        await shot('place');
      }
      if (page.problems.length) console.log(browser, theme, width, page.problems);
      await page.leave();
    }
  }
  await machine.close();
}
await fake?.close();
