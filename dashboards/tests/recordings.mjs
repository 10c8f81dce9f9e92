// What a person does with recordings; run with the other journeys.
import { strict as assert } from 'node:assert';

export const recordingJourneys = (until) => ({
  'a recording is found, heard with the keyboard, held, and erased with a second press': async ({ person, page, fake }) => {
    const { recordings } = fake.platform;
    await person.comesBack('/admin/recordings');
    await page.waitForSelector('a[data-recording]');
    await person.sees('21 of 23 found');
    await person.presses('m');
    await until(async () => (await page.$$('a[data-recording]')).length === 1, 'what is missing');
    await page.click('a[data-recording]');
    await person.sees('no file is there');
    await person.goes('/admin/recordings');
    await page.waitForSelector('a[data-state=stored]');
    const id = await page.$eval('a[data-state=stored]', (link) => link.dataset.recording);
    await page.evaluate(() => document.querySelector('a[data-state=stored]').click());
    await page.waitForSelector('[data-player] path.lane');
    assert.equal((await page.$$('[data-player] path.lane')).length, 2, 'a lane for each side');
    await person.presses('p');
    await page.waitForSelector('[data-player][data-playing=true]');
    await until(async () => (await page.$eval('audio', (audio) => audio.currentTime)) > 0.2, 'it plays');
    await person.presses('s');
    await until(async () => (await page.$eval('audio', (audio) => audio.playbackRate)) === 1.25, 'it plays faster');
    await person.presses('p');
    await page.waitForSelector('[data-player][data-playing=false]');
    await page.focus('[data-player] input[type=range]');
    await page.keyboard.press('End');
    await until(async () => (await page.$eval('audio', (audio) => audio.currentTime)) > 3.5, 'the slider goes to its end');
    assert.ok(recordings.kept.get(id).plays === 1, 'it was written down');
    await person.clicks('Hold', 'aside');
    await person.sees('nobody can erase it');
    assert.ok(await page.$eval('aside .danger, aside [class*=danger]', (button) => button.disabled), 'a held one cannot be erased');
    await person.clicks('Lift the hold', 'aside');
    await until(() => !recordings.kept.get(id).hold, 'it is held no longer');
    await person.clicks('Erase…', 'aside');
    await page.waitForSelector('[role=alertdialog]');
    await person.clicks('Erase for good', '[role=alertdialog]');
    await person.sees('Proof of its erasure');
    assert.equal(recordings.kept.get(id).state, 'erased');
  },

  'a recording policy is asked, added and switched off': async ({ person, page, fake }) => {
    const { recordings } = fake.platform;
    await person.comesBack('/admin/recordings?tab=policies');
    await page.waitForSelector('tr[data-policy]');
    await person.sees('20 % of every call');
    await page.type('[aria-label="Number outside"]', '+442071234567');
    await person.clicks('Ask', '.ask');
    await person.sees('Never abroad forbids it');
    await person.clicks('Recordings', '[role=tablist]');
    await person.clicks('Policies', '[role=tablist]');
    await page.waitForSelector('tr[data-policy]');
    await person.presses('c');
    await page.waitForSelector('#rp-name');
    await page.type('#rp-name', 'Night line');
    await page.type('#rp-prefixes', '+49, +43');
    await page.select('#rp-announcement', 'med_01');
    await person.clicks('Add the policy', '[role=dialog]');
    await person.sees('numbers +49…, +43…');
    const made = [...recordings.policies.values()].find((one) => one.name === 'Night line');
    assert.deepEqual([made.prefixes, made.announcement, made.retention_days], [['49', '43'], 'med_01', 90]);
    await page.evaluate((id) => [...document.querySelectorAll(`tr[data-policy="${id}"] button`)].find((one) => one.textContent.includes('Switch off')).click(), made.id);
    await until(() => made.state === 'off', 'it is off');
  }
});
