// What an agent does at the desk; run with the other journeys, in Chromium. The far end of each call is a page of its own
// with a real peer connection, so that sound is proven and not believed.
import { strict as assert } from 'node:assert';
import { farEnd } from './fake-phone.mjs';

export const DESK = ['/agent', '/agent/call', '/agent/talks', '/agent/wrap', '/agent/directory', '/agent/day', '/agent/settings'];

/** Every peer connection of the page, for what its statistics say. */
export const watch = (page) =>
  page.evaluateOnNewDocument(() => {
    const made = (globalThis.__peers = []);
    const Real = globalThis.RTCPeerConnection;
    globalThis.RTCPeerConnection = class extends Real {
      constructor(...args) {
        super(...args);
        made.push(this);
      }
    };
  });

/** What came in of sound on the connection that lives. */
export const heard = (page) =>
  page.evaluate(async () => {
    let best = { received: 0, energy: 0, connected: false };
    for (const peer of globalThis.__peers) {
      if (peer.connectionState !== 'connected') continue;
      for (const one of (await peer.getStats()).values()) if (one.type === 'inbound-rtp') best = { received: one.packetsReceived, energy: one.totalAudioEnergy ?? 0, connected: true };
    }
    return best;
  });

export const deskJourneys = (until) => {
  const lead = async (page, ...letters) => {
    await page.keyboard.down('Control');
    await page.keyboard.press('.');
    await page.keyboard.up('Control');
    for (const letter of letters) await page.keyboard.press(letter);
  };
  const atTheDesk = async (person, page, path = '/agent') => {
    await watch(page);
    await person.comesBack(path);
    await until(() => page.$('[data-phone=live]'), 'the phone to be live');
  };
  const asked = (phones, type) => phones.asked.filter(([name]) => name === type);
  /** Sound in both directions, now. */
  const soundGoes = async (page, far, leg) => {
    const [ours, theirs] = [await heard(page), await far.hears(leg())];
    await until(async () => {
      const now = await heard(page);
      return now.connected && now.energy > ours.energy && now.received > ours.received;
    }, 'the tone of the far end to be heard here', 15_000);
    await until(async () => (await far.hears(leg())).received > theirs.received, 'the far end to hear us', 15_000);
  };
  const ready = async (person, page, phones) => {
    await person.presses('y');
    await until(() => phones.me.state === 'ready', 'to be ready');
    await until(() => page.$('[data-agent-state=ready]'), 'the page to say so');
  };

  return {
    'a call from a queue is answered, held, muted and ended with keys alone, sound goes both ways, and one digit wraps it up': async ({ person, page, fake }) => {
      const { phones } = fake.platform;
      await atTheDesk(person, page);
      const far = await farEnd(page, fake);
      await ready(person, page, phones);
      phones.rings({ caller_name: 'Maria Lopez', waited_s: 34 });
      await page.waitForSelector('[data-offer]');
      await until(() => page.$eval('[data-ringing]', (one) => one.textContent === 'Incoming call: Maria Lopez, queue Support, waits for 34 seconds'), 'it to be said aloud');
      assert.equal(phones.probed.length, 1, 'the probe was answered');
      await lead(page, 'a');
      const call = await until(() => [...phones.calls.values()][0], 'the call to begin');
      await soundGoes(page, far, () => call.leg);
      await until(() => page.url().endsWith('/agent/call'), 'the page of the call');
      await until(() => page.$('[data-quality=good]'), 'the light to say how it sounds', 20_000);
      // Inside a text field the letters are the call's only after the leader.
      await page.focus('#call-notes');
      await page.keyboard.type('hem');
      await lead(page, 'h');
      await until(() => call.state === 'held', 'to be held');
      await person.sees('Maria Lopez waits and hears music');
      await lead(page, 'h');
      await until(() => call.state === 'talking', 'to go on');
      await lead(page, 'm');
      await until(() => call.muted, 'the switch to know that we are mute');
      await person.sees('You are muted: you hear Maria Lopez, nobody hears you.');
      const silent = await until(async () => {
        const before = await far.hears(call.leg);
        await new Promise((done) => setTimeout(done, 400));
        const after = await far.hears(call.leg);
        return after.received > before.received && after.energy - before.energy < 1e-4 ? after : null;
      }, 'packets of silence to arrive', 15_000);
      await lead(page, 'm');
      await until(async () => (await far.hears(call.leg)).energy > silent.energy + 0.001, 'to be heard again', 15_000);
      await lead(page, 'k');
      await page.waitForSelector('[role=dialog] .keys');
      await page.keyboard.type('42#');
      await until(() => asked(phones, 'dtmf').map(([, one]) => one.keys).join('') === '42#', 'the digits to be sent');
      await person.presses('Escape');
      await until(async () => !(await page.$('[role=dialog]')), 'the keypad to go');
      await person.clicks('Pause for card data');
      await until(() => call.recording === 'paused', 'the recording to pause');
      await person.sees('Recording paused');
      await lead(page, 'e');
      await person.sees('Press e again to end the call');
      assert.equal(phones.calls.size, 1, 'the first press ends nothing');
      await person.presses('e');
      await until(() => phones.calls.size === 0, 'the call to end');
      await until(() => page.$('a.wrap'), 'the wrap-up to be offered');
      await page.click('a.wrap');
      await page.waitForSelector('[data-wrap]');
      assert.equal(await page.$eval('#wrap-notes', (field) => field.value), 'hem', 'the notes of the call');
      await page.$eval('h1', () => document.activeElement.blur());
      await person.presses('x');
      await until(() => asked(phones, 'wrap_extend').length === 1, 'more time');
      await person.presses('2');
      await until(() => page.$('label.on input[value="We have to follow up"]'), 'the outcome to be chosen');
      await person.presses('Enter');
      await until(() => [...phones.reservations.values()].some((one) => one.state === 'done' && one.disposition === 'We have to follow up' && one.notes === 'hem'), 'the wrap-up to be stored');
      await until(() => page.url().endsWith('/agent'), 'the page of work');
      const peers = await page.evaluate(() => globalThis.__peers.filter((one) => one.connectionState !== 'closed').length);
      assert.equal(peers, 0, 'no connection is left');
    },

    'a reload in a call goes on with sound, and what was written is still there': async ({ person, page, fake }) => {
      const { phones } = fake.platform;
      await atTheDesk(person, page);
      const far = await farEnd(page, fake);
      const talk = [...fake.platform.talks.talks.values()][0];
      phones.rings({ conversation_id: talk.id });
      await page.waitForSelector('[data-offer]');
      await lead(page, 'a');
      const call = await until(() => [...phones.calls.values()][0], 'the call to begin');
      await soundGoes(page, far, () => call.leg);
      await page.waitForSelector(`[data-conversation="${talk.id}"] [data-message]`);
      await page.type('#call-notes', 'wants a new lamp');
      await page.type('[data-conversation] textarea', 'Half a sentence');
      await until(() => page.evaluate(() => Object.values(localStorage).some((value) => value.includes('Half a sentence'))), 'the draft to be kept');
      const began = Date.now();
      await page.reload();
      await until(() => asked(phones, 'renew').length === 1, 'the leg to be renewed');
      await soundGoes(page, far, () => call.leg);
      const gap = Date.now() - began;
      assert.equal((await far.hears(call.leg)).made, 2, 'a connection made anew, for the same leg');
      assert.equal(phones.calls.size, 1);
      assert.equal(await page.$eval('#call-notes', (field) => field.value), 'wants a new lamp');
      await until(() => page.$eval('[data-conversation] textarea', (field) => field.value === 'Half a sentence'), 'the draft');
      return { gap };
    },

    'when the controller is killed the sound goes on, the page says so, and the desk is in control again': async ({ person, page, fake }) => {
      const { phones } = fake.platform;
      await atTheDesk(person, page);
      const far = await farEnd(page, fake);
      phones.rings();
      await page.waitForSelector('[data-offer]');
      await person.clicks('Answer', '[data-offer]');
      const call = await until(() => [...phones.calls.values()][0], 'the call to begin');
      await soundGoes(page, far, () => call.leg);
      phones.mode.refuse = true;
      phones.kill();
      await until(() => page.$('[data-phone=offline]'), 'the mark to say offline');
      await soundGoes(page, far, () => call.leg);
      phones.mode.refuse = false;
      await until(() => page.$('[data-phone=live]'), 'the phone to be live again', 15_000);
      await lead(page, 'h');
      await until(() => call.state === 'held', 'to be in control again');
      assert.equal(asked(phones, 'renew').length, 0, 'the sound needed nothing');
      // A cut alone: the session goes on, and what happened meanwhile is told.
      phones.mode.refuse = true;
      phones.cut();
      await until(() => page.$('[data-phone=offline]'), 'the mark to say offline');
      call.state = 'talking';
      phones.showCall(call);
      phones.mode.refuse = false;
      await until(() => page.$('[data-callbar][data-state=talking]'), 'what happened in between', 15_000);
      // The way of the sound breaks: another one is made, for the same keys.
      await page.evaluate(() => globalThis.dispatchEvent(new Event('online')));
      await until(() => asked(phones, 'renew').length === 1, 'another way to be asked for', 15_000);
      await soundGoes(page, far, () => call.leg);
      const { made, restarts } = await far.hears(call.leg);
      assert.deepEqual([made, restarts], [1, 1]);
    },

    'a caller is handed over after a colleague was asked, or comes back, or goes at once': async ({ person, page, fake }) => {
      const { phones } = fake.platform;
      await atTheDesk(person, page);
      phones.rings();
      await page.waitForSelector('[data-offer]');
      await lead(page, 'a');
      const call = await until(() => [...phones.calls.values()][0], 'the call to begin');
      await page.waitForSelector('article[data-call]');
      await lead(page, 't');
      await page.waitForSelector('#transfer-to');
      await page.type('#transfer-to', 'sam');
      await until(async () => (await page.$$('[role=dialog] [data-colleague]')).length === 1, 'one colleague of this name');
      await person.presses('Enter');
      await until(() => call.state === 'consulting', 'the colleague to be asked');
      await person.sees('while you talk with Sam Visor');
      await person.clicks('Back to the caller');
      await until(() => call.state === 'talking', 'to be back');
      await lead(page, 't');
      await page.waitForSelector('#transfer-to');
      await page.type('#transfer-to', '+44 20 7946 0999');
      await person.clicks('Ask first', '[role=dialog]');
      await until(() => call.state === 'consulting' && call.transfer.to === '+442079460999', 'a number to be asked');
      await person.clicks('Hand over');
      await until(() => phones.calls.size === 0, 'to be out of the call');
      await until(() => page.$('a.wrap'), 'the wrap-up');
      // A colleague is called from the directory and the call sent on at once.
      await person.clicks('Directory', 'nav.sub');
      await page.waitForSelector('[data-colleague]');
      await page.keyboard.press('/');
      await page.keyboard.type('visor');
      await until(async () => (await page.$$('[data-colleague]')).length === 1, 'to find by typing');
      await person.clicks('Call Sam Visor');
      const out = await until(() => [...phones.calls.values()][0], 'the call out');
      await until(() => page.$('[data-callbar][data-state=ringing]'), 'it to ring');
      out.state = 'talking';
      phones.showCall(out);
      await lead(page, 't');
      await page.waitForSelector('[data-colleague=agt_02]');
      await page.type('#transfer-to', 'visor');
      await person.clicks('Send to Sam Visor at once', '[role=dialog]');
      await until(() => phones.calls.size === 0, 'to be sent on');
      assert.equal(asked(phones, 'transfer').at(-1)[1].kind, 'blind');
    },

    'one tab holds the phone, the other shows it and orders through it, and takes it over with the call when the first is closed': async ({ person, page, fake }) => {
      const { phones } = fake.platform;
      await atTheDesk(person, page);
      const far = await farEnd(page, fake);
      const second = await page.browserContext().newPage();
      second.problems = page.problems;
      await watch(second);
      await second.goto(`${fake.url}/agent`);
      await until(() => second.$('[data-phone=live][data-phone-role=other_tab]'), 'the second tab to show the phone of the first');
      phones.rings();
      await second.waitForSelector('[data-offer]');
      await second.click('[data-offer] .primary');
      const call = await until(() => [...phones.calls.values()][0], 'the call to begin');
      await soundGoes(page, far, () => call.leg);
      assert.equal((await heard(second)).connected, false, 'the sound is in the first tab only');
      await until(() => second.$('[data-callbar]'), 'the second tab to show the call');
      await second.click('[data-callbar] [data-do=hold]');
      await until(() => call.state === 'held', 'to be held from the second tab');
      assert.equal(phones.sessions.size, 1);
      await page.close();
      await until(() => second.$('[data-phone=live][data-phone-role=here]'), 'the second tab to hold the phone', 15_000);
      await soundGoes(second, far, () => call.leg);
      await second.click('[data-callbar] [data-do=hold]');
      await until(() => call.state === 'talking', 'to go on from there');
      await second.close();
    },

    'what is missed or taken is told, another device keeps the phone until it is asked for, and leaving the desk ends it': async ({ person, page, fake }) => {
      const { phones } = fake.platform;
      phones.mode.other = 'Your phone is on Firefox on Windows.';
      await watch(page);
      await person.comesBack('/agent');
      await until(() => page.$('[data-phone=elsewhere]'), 'the phone to be elsewhere');
      await person.clicks('Use it here');
      await until(() => page.$('[data-phone=live]'), 'the phone to be here');
      await ready(person, page, phones);
      const missed = phones.rings({ caller_name: 'Ben Okafor' });
      await page.waitForSelector('[data-offer]');
      phones.offerEnds(missed.id, 'missed');
      await person.sees('Missed: Ben Okafor');
      await until(() => page.$('[data-agent-state=not_ready]'), 'to be not ready after it');
      await person.clicks('Ready', '.choices');
      await until(() => phones.me.state === 'ready', 'to be ready again');
      const talk = [...fake.platform.talks.talks.values()][1];
      phones.rings({ kind: 'conversation', caller_name: 'Jun Tanaka', conversation_id: talk.id });
      await page.waitForSelector('[data-offer]');
      await lead(page, 'a');
      await until(() => page.url().includes(`conversation=${talk.id}`), 'the conversation to be open');
      await page.waitForSelector('[data-message]');
      const declined = phones.rings();
      await page.waitForSelector('[data-offer]');
      await lead(page, 'd');
      await until(() => phones.reservations.get(declined.id).state === 'declined', 'it to be declined');
      await until(async () => !(await page.$('[data-offer]')), 'it to be gone');
      // The desk goes along to other pages of the platform, and ends when it is left.
      await person.clicks('Live calls', 'nav.rail');
      await page.waitForSelector('tr[data-call]');
      await page.waitForSelector('[data-phone=live]');
      await person.clicks('Ready', '.strip');
      await person.clicks('Leave the desk', '[role=menu]').catch(() => undefined);
      await until(() => page.evaluate(() => [...document.querySelectorAll('[role=menuitem]')].find((one) => one.innerText.startsWith('Leave'))?.click() ?? true), 'the menu');
      await until(async () => !(await page.$('[data-phone]')), 'the desk to be left');
      await until(() => [...phones.sessions.values()].every((one) => !one.say), 'the connection to be closed');
    },

    'the desk has no accessibility violation that axe can find, and nothing scrolls sideways on a phone': async ({ person, page, fake }) => {
      const { phones } = fake.platform;
      const dark = (on) => page.evaluate((now) => void (document.documentElement.dataset.theme = now ? 'dark' : 'light'), on);
      const talk = [...fake.platform.talks.talks.values()][0];
      await atTheDesk(person, page);
      // There is something to see: a call with its conversation, another one that rings, a wrap-up.
      phones.begins({ id: 'call_axe', leg: 'none', state: 'talking', other: '+442079460018', other_name: 'Maria Lopez', conversation_id: talk.id });
      phones.rings({ seconds: 300 });
      const old = phones.reservations.get('rsv_old1');
      Object.assign(old, { state: 'wrap_up', wrap_until_us: (Date.now() + 300_000) * 1000 });
      phones.tell('wrap_up', phones.wrapView(old));
      const shown = { '/agent': '[data-queue]', '/agent/call': 'article[data-call]', '/agent/wrap': '[data-wrap]', '/agent/directory': '[data-colleague]', '/agent/day': '[data-reservation]' };
      let looked = 0;
      for (const path of DESK) {
        await person.goes(path);
        await page.waitForSelector('[data-offer]');
        if (shown[path]) await page.waitForSelector(shown[path]);
        await person.axe(`${path} in light`);
        looked += 1;
        if (!['/agent', '/agent/call', '/agent/wrap'].includes(path)) continue;
        await dark(true);
        await until(() => page.evaluate(() => document.getAnimations().every((one) => one.playState !== 'running' || one.effect.getComputedTiming().endTime === Infinity || one.effect.getComputedTiming().duration >= 900)), 'the colours to have changed');
        await person.axe(`${path} in dark`, ['color-contrast', 'link-in-text-block']);
        await dark(false);
        looked += 1;
      }
      await page.setViewport({ width: 390, height: 844 });
      for (const path of DESK) {
        await person.goes(path);
        await page.waitForSelector('[data-offer]');
        const over = await page.evaluate(() => {
          const content = document.querySelector('.content');
          return Math.max(document.documentElement.scrollWidth - innerWidth, content.scrollWidth - content.clientWidth);
        });
        assert.ok(over <= 0, `${path} is ${over} px too wide`);
      }
      return { looked };
    }
  };
};
