// What a person does with texts and rules; run with the other journeys.
import { strict as assert } from 'node:assert';

/** Chooses in the list of this name: by its value, else by its words. */
const choose = (page, selector, wanted) => page.$eval(selector, (field, value) => {
  field.value = [...field.options].find((one) => one.value === value || one.text === value).value;
  field.dispatchEvent(new Event('change', { bubbles: true }));
}, wanted);
const fill = async (page, selector, text) => {
  await page.$eval(selector, (field) => field.focus());
  await page.$eval(selector, (field) => field.select());
  await page.type(selector, text);
};

export const contentJourneys = (until) => ({
  'a template is written, its SMS counted and looked at on every channel, and a macro that uses it is kept': async ({ person, page, fake }) => {
    const { contents } = fake.platform;
    await person.comesBack('/admin/content');
    await page.waitForSelector('[data-document]');
    await person.presses('c');
    await page.waitForSelector('#t-text');
    await person.clicks('Make the template', '[role=dialog]');
    await person.sees('Give it a name');
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('role')), 'alert', 'the summary has the focus');
    await page.type('#t-name', 'Late');
    await page.type('#t-text', 'Hello ');
    await person.clicks('First name', '.places');
    await until(() => page.$eval('#t-text', (box) => box.value === 'Hello {{contact.first_name|there}}'), 'the place in the text');
    await page.type('#t-text', `, your order is late${'.'.repeat(150)}`);
    await until(() => page.$('[data-parts="2"]'), 'two parts');
    await page.type('#t-text', ' {{oops}');
    await page.type('#t-text', '} {{1st}} ');
    await person.sees('{{1st}} is no place for a value');
    await fill(page, '#t-text', 'Hello {{contact.first_name|there}}, order {{order.id}} is late.');
    await person.axe('the form of a template');
    await person.clicks('Make the template', '[role=dialog]');
    // Kept, and looked at at once: with values, and with what lacks without them.
    await page.waitForSelector('[data-preview=sms]');
    await until(async () => (await person.text('[data-preview=sms]')).includes('Hello Maria, order [id] is late.'), 'the SMS with values');
    assert.match(await person.text('[data-preview=sms]'), /1 SMS \(7-bit\), 32 of 1,600 characters/);
    assert.equal((await page.$$('[data-preview]')).length, 5);
    await page.click('[role=dialog] input[type=checkbox]');
    await until(async () => (await person.text('[data-preview=whatsapp]')).includes('No value for order.id'), 'what lacks');
    await person.axe('the previews');
    await person.clicks('Close', '[role=dialog] .foot');
    await until(async () => !(await page.$('[role=dialog]')), 'the dialog to go');

    await person.goes('/admin/content?tab=macros');
    await page.waitForSelector('[data-document]');
    await person.presses('c');
    await page.waitForSelector('#m-name');
    await page.type('#m-name', 'Late, sorry');
    await choose(page, '[aria-label="Action 1: what"]', 'reply');
    await choose(page, '[aria-label="Which template"]', 'Late');
    await person.clicks('Another action', '[role=dialog]');
    await choose(page, '[aria-label="Action 2: what"]', 'snooze');
    await fill(page, '[aria-label="For how long"]', '1 d');
    await person.clicks('Action 2 earlier', '[role=dialog]');
    await person.clicks('Make the macro', '[role=dialog]');
    await person.sees('put it away for 24 h, then answer with “Late”');
    const [macro] = contents.kept.get('macros');
    const late = contents.kept.get('templates').find((one) => one.name === 'Late');
    assert.deepEqual(macro.actions, [{ do: 'snooze', for_s: 86_400 }, { do: 'reply', template_id: late.id, text: '' }]);
    // What is in use stays.
    await person.goes('/admin/content');
    await page.waitForSelector('[data-document]');
    await person.clicks('Delete Late');
    await page.waitForSelector('[role=alertdialog]');
    await person.clicks('Delete', '[role=alertdialog]');
    await person.sees('Late was not deleted');
    assert.ok(contents.kept.get('templates').includes(late));
    await page.setViewport({ width: 390, height: 844 });
    await until(() => page.evaluate(() => document.documentElement.scrollWidth <= 390), 'nothing to scroll sideways');
  },

  'a rule is made, tried out before it does anything, switched on and told what it did; hours are kept': async ({ person, page, fake }) => {
    const { contents } = fake.platform;
    await person.comesBack('/admin/automation');
    await page.waitForSelector('[data-document]');
    await person.sees('When somebody writes, and the message contains broken, charged: put on angry, then priority 2');
    await person.presses('c');
    await page.waitForSelector('#u-name');
    await page.type('#u-name', 'Saturdays');
    await person.clicks('Add a condition', '[role=dialog]');
    await page.waitForSelector('[aria-label="Condition 1: about"]');
    await page.type('[aria-label=What]', 'saturday');
    await page.type('[aria-label="Labels to put on"]', 'hours');
    await person.axe('the form of a rule');
    await person.clicks('Make the rule', '[role=dialog]');
    await page.waitForSelector('#runs');
    await person.sees('Switched off');
    await person.sees('Nothing yet. It is switched off.');
    await person.presses('t');
    await page.waitForSelector('[data-trial="2"]');
    await person.sees('It would apply to 2 of the 14 newest conversations');
    await person.clicks('Switch on', '.buttons');
    await person.sees('Saturdays is switched on');
    const rule = contents.kept.get('rules').find((one) => one.name === 'Saturdays');
    assert.deepEqual([rule.enabled, rule.on, rule.all, rule.actions], [true, ['message.received'], [{ field: 'text', op: 'contains', value: 'saturday' }], [{ do: 'label', add: ['hours'], remove: [] }]]);
    await person.axe('a rule');
    await person.presses('Escape');
    await until(async () => (await page.$$('[data-document]')).length === 3, 'all rules');
    await person.clicks('Broken things first');
    await until(() => page.$('[data-run=partly]'), 'what it did');
    await person.sees('priority not: the conversation is resolved');

    await person.goes('/admin/automation?tab=hours');
    await page.waitForSelector('[data-document]');
    await person.sees('Mon–Fri 09:00–17:00');
    await person.clicks('Change Office');
    await page.waitForSelector('#s-5');
    await page.type('#s-5', '14-10');
    await person.sees('ends before it begins');
    await fill(page, '#s-5', '10-14');
    await person.clicks('Save', '[role=dialog]');
    await person.sees('Mon–Fri 09:00–17:00; Sat 10:00–14:00');
    // Somebody else changes it meanwhile: nothing is overwritten.
    await person.clicks('Change Office');
    await page.waitForSelector('#s-name');
    contents.kept.get('schedules')[0].version += 1;
    await person.clicks('Save', '[role=dialog]');
    await person.sees('Somebody else has changed it since it was opened');
  }
});
