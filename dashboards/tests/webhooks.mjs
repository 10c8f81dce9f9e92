// What a person does with webhooks; run with the other journeys.
import { strict as assert } from 'node:assert';
import { HOOK_SECRET } from './fake-webhooks.mjs';

export const webhookJourneys = (until) => ({
  'an endpoint is added, its secret is shown once, a test arrives and its signature can be checked by hand': async ({ person, page, fake }) => {
    await person.comesBack('/admin/webhooks');
    await page.waitForSelector('tr[data-hook]');
    await person.presses('c');
    await page.waitForSelector('#w-url');
    await page.type('#w-url', 'https://127.0.0.1/hook');
    await person.clicks('Add the endpoint', '[role=dialog]');
    await person.sees('private network');
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('role')), 'alert', 'the summary has the focus');
    await page.$eval('#w-url', (field) => void (field.value = ''));
    await page.type('#w-url', 'https://orders.example/hook');
    await page.type('#w-name', 'Orders');
    await person.clicks('Add the endpoint', '[role=dialog]');
    await page.waitForSelector('[data-secret]');
    const secret = await person.text('[data-secret]');
    assert.equal(secret, HOOK_SECRET);
    await person.clicks('I have kept it', '[role=dialog]');
    await until(async () => !(await page.$('[role=dialog]')), 'the dialog to go');
    assert.ok(!(await page.content()).includes(secret), 'the secret is nowhere any more');
    await until(() => page.url().includes('webhook=whe_'), 'the new endpoint is open');
    await person.presses('t');
    await page.waitForSelector('tr[data-delivery] .open');
    await page.click('tr[data-delivery] .open');
    await page.waitForSelector('[data-payload]');
    await page.type('#w-check', 'whsec_AAAA9r8GKYqrTwjUPD8ILPZIo2LaLaSw');
    await person.sees('No signature of this delivery was made with this secret');
    await page.click('#w-check', { clickCount: 3 });
    await page.type('#w-check', secret);
    await person.sees('This secret made a signature of this delivery');
    assert.ok(fake.platform.webhooks.hooks.size === 4);
  },

  'a failed delivery is found and delivered again with the keyboard alone, and a range is replayed': async ({ person, page, fake }) => {
    await person.comesBack('/admin/webhooks');
    await page.waitForSelector('tr[data-hook]');
    await person.sees('93.4 % of 332');
    await person.sees('Fails');
    await person.presses('j');
    await person.presses('j');
    await person.presses('Enter');
    await page.waitForSelector('tr[data-delivery]');
    await until(async () => (await person.text()).includes('Oldest waits for'), 'the figures');
    await person.clicks('Failed', '.tools');
    await until(async () => (await page.$$('tr[data-delivery]')).length === 1, 'the one that failed');
    await person.presses('j');
    await person.presses('r');
    await person.sees('is delivered again');
    const hook = [...fake.platform.webhooks.hooks.values()].find((one) => one.name === 'Shop back office');
    await until(() => fake.platform.webhooks.deliveries.get(hook.id).every((one) => one.state !== 'failed'), 'it is not failed any more');
    await person.presses('y');
    await page.waitForSelector('#y-from');
    await page.$eval('#y-from', (field) => void (field.value = ''));
    await page.type('#y-from', '10');
    await page.$eval('#y-to', (field) => void (field.value = ''));
    await page.type('#y-to', '19');
    await person.clicks('Replay 10 numbers', '[role=dialog]');
    await person.sees('10 entries to Shop back office again');
    await until(async () => !(await page.$('[role=dialog]')), 'the dialog to go');
    await person.presses('Escape');
    await page.waitForSelector('tr[data-hook]');
  },

  'an endpoint that was switched off says why, is switched on again, and goes when it is removed': async ({ person, page, fake }) => {
    await person.comesBack('/admin/webhooks');
    await page.waitForSelector('tr[data-hook]');
    const hook = [...fake.platform.webhooks.hooks.values()].find((one) => one.name === 'Old CRM');
    await person.goes(`/admin/webhooks?webhook=${hook.id}`);
    await person.sees('three days of failure: it answered 500');
    await person.clicks('Switch on', '.buttons');
    await person.sees('Old CRM is switched on');
    await person.clicks('Remove…', '.buttons');
    await page.waitForSelector('[role=alertdialog]');
    await person.clicks('Remove', '[role=alertdialog]');
    await person.sees('Old CRM was removed');
    await until(async () => (await page.$$('tr[data-hook]')).length === 2, 'two are left');
  }
});
