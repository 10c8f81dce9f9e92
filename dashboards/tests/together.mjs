// What people who answer together see of each other, and how somebody who only called is answered; run with the other journeys.
import { strict as assert } from 'node:assert';

export const togetherJourneys = (until) => ({
  'a colleague who looks and types is seen at once, in the conversation and in the list, and sees the same of us': async ({ person, page, fake }) => {
    const { talks } = fake.platform;
    const talk = [...talks.talks.values()][0];
    talks.looking.set(talk.id, ['usr_02']);
    await person.comesBack(`/inbox?tab=all&conversation=${talk.id}`);
    await page.waitForSelector('[data-message]');
    await person.marked('live');
    await until(async () => (await person.text('[data-looking]')).includes('Sam Visor'), 'who looks');
    assert.equal(await page.$('[data-writer]'), null);
    talks.colleague('usr_02', talk, { types: true });
    await until(async () => (await person.text('[data-writer=usr_02]')).includes('Sam Visor is writing an answer'), 'who writes');
    await until(async () => (await person.text(`[data-talk="${talk.id}"]`)).includes('Sam Visor writes'), 'who writes, in the list');
    await person.axe('a conversation in which somebody else writes');
    talks.colleague('usr_02', talk);
    await until(async () => !(await page.$('[data-writer]')), 'nobody writes any more');
    // A note is for colleagues: only an answer is a claim.
    await person.presses('n');
    await page.type('textarea[aria-label="Note for colleagues"]', 'hm');
    await person.clicks('Answer by', '.modes');
    await page.$eval('.composer textarea', (box) => { box.value = ''; box.dispatchEvent(new Event('input', { bubbles: true })); });
    assert.ok(!talks.signs.some(([what, , on]) => what === 'typing' && on), 'a note is no claim');
    await page.type('.composer textarea', 'I look it up.');
    await until(() => talks.signs.some(([what, id, on]) => what === 'typing' && id === talk.id && on), 'our typing to be told');
    assert.equal(talks.signs.filter(([what, , on]) => what === 'typing' && on).length, 1, 'thirteen keys are one sign');
    await person.clicks('Send', '.composer');
    await until(() => talks.signs.at(-1)[0] === 'typing' && talks.signs.at(-1)[2] === false, 'that we are done');
    await person.presses('Escape');
    await person.presses('Escape');
    await until(() => talks.signs.some(([what, , on]) => what === 'here' && on === false), 'that we left');
  },

  'somebody who only called is answered by SMS, and a macro does three things with one word': async ({ person, page, fake }) => {
    const { talks, contents } = fake.platform;
    const talk = talks.calledIn(0);
    await person.comesBack(`/inbox?tab=all&conversation=${talk.id}`);
    await page.waitForSelector('.composer textarea');
    await until(async () => (await person.text(`[data-talk="${talk.id}"]`)).includes('Missed call from +44 20 7946 0018'), 'the number in groups');
    await until(async () => (await person.text('.way')).includes('The answer goes through Twilio support to +44 20 7946 0018'), 'the way to them');
    await page.type('.composer textarea', 'We saw your call. How can we help?');
    await until(async () => (await person.text('#composer-state')).includes('1 SMS'), 'what it costs');
    await person.axe('the answer to a call');
    await page.keyboard.down('Control');
    await person.presses('Enter');
    await page.keyboard.up('Control');
    await until(() => talk.channel_id === 'chn_01', 'the conversation to have an account');
    const said = [...talks.messages.values()].filter((one) => one.conversation_id === talk.id && one.direction === 'out');
    assert.deepEqual([said.length, said[0].text, said[0].recipient.value], [1, 'We saw your call. How can we help?', '+442079460018']);
    await until(async () => !(await page.$('.way')) && (await person.text('.modes')).includes('Answer by SMS'), 'a conversation like any other');

    await page.type('.composer textarea', 'One moment :ref');
    await page.waitForSelector('#canned [role=option]');
    assert.match(await person.text('#canned'), /Refund\s*Macro: put on money, then answer “Your money is on its way back.”, then resolve it/);
    await person.presses('Enter');
    await person.sees('Refund is done');
    await until(() => talk.state === 'resolved' && talk.labels.includes('money'), 'all three');
    assert.equal(await page.$eval('.composer textarea', (box) => box.value), 'One moment ', 'what was typed to find it is gone');
    // Once more: it is resolved already, so nothing is done.
    await page.type('.composer textarea', ';refund');
    await page.waitForSelector('#canned [role=option]');
    await person.presses('Tab');
    await person.sees('Nothing of Refund was done');
    assert.equal(contents.ran.length, 1);
  }
});
