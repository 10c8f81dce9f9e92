/** The connection to a controller, with time that is not real and controllers that go away. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Time, settle } from '$lib/live/by-hand';
import { GREETING_MS, PONG_MS, Refused, SignalingClient, type Mark, type Socket } from './client';
import { EMPTY_DESK, greeted, heard, type Desk } from './machine';
import type { Raw } from './protocol';

/** Controllers that share one truth: calls with a state each. A session outlives its socket and keeps some events. */
class Controllers {
  calls = new Map<string, Raw>();
  sessions = new Map<string, { n: number; events: Raw[] }>();
  sockets = new Set<Line>();
  dead = new Set<string>();
  deaf = false;
  silent = false;
  elsewhere = '';
  made = 0;
  tried: string[] = [];
  hellos: Raw[] = [];
  probed: string[] = [];
  kept = 256;

  tell(type: string, body: Raw): void {
    for (const [id, session] of this.sessions) {
      session.n += 1;
      const event = { n: session.n, type, ...body };
      session.events = [...session.events, event].slice(-this.kept);
      for (const line of this.sockets) if (line.session === id) line.say(event);
    }
  }
  change(id: string, state: string): void {
    if (state === 'ended') {
      if (this.calls.delete(id)) this.tell('call_ended', { call: id, cause: 'NORMAL_CLEARING' });
      return;
    }
    const call = { id, leg: `leg-${id}`, state, other: '+1', since: 1 };
    this.calls.set(id, call);
    this.tell('call', { call });
  }
  cut(): void {
    for (const line of [...this.sockets]) line.break();
  }
  /** Everything of a controller is gone with it, its sessions, too. */
  kill(url: string): void {
    this.dead.add(url);
    this.sessions.clear();
    this.cut();
  }
}

class Line implements Socket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { reason?: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  session = '';
  constructor(
    readonly all: Controllers,
    readonly url: string
  ) {
    all.tried.push(url);
    void Promise.resolve().then(() => {
      if (all.dead.has(url)) return this.onclose?.({ reason: 'refused' });
      all.sockets.add(this);
      this.onopen?.();
    });
  }
  say(body: Raw): void {
    if (this.all.silent) return;
    const text = JSON.stringify(body);
    void Promise.resolve().then(() => this.onmessage?.({ data: text }));
  }
  break(): void {
    this.all.sockets.delete(this);
    this.onclose?.({ reason: 'cut' });
  }
  close(): void {
    this.all.sockets.delete(this);
  }
  send(text: string): void {
    if (this.all.deaf) return;
    const asked = JSON.parse(text) as Raw;
    const ok = (body: Raw = {}): void => this.say({ re: asked['id'], ok: true, ...body });
    const { all } = this;
    if (asked['type'] === 'hello') {
      all.hellos.push(asked);
      if (all.elsewhere && !asked['take_over']) return this.say({ re: asked['id'], ok: false, code: 'other_device', detail: all.elsewhere, retryable: false });
      all.elsewhere = '';
      const resume = asked['resume'] as { session: string; n: number } | null;
      const known = resume ? all.sessions.get(resume.session) : undefined;
      const first = known?.events[0] ? Number(known.events[0]['n']) : (known?.n ?? 0) + 1;
      const resumed = Boolean(known && resume && first <= resume.n + 1);
      if (resumed && known && resume) {
        this.session = resume.session;
        ok({ session: this.session, n: known.n, resumed: true, heartbeat_s: 10, agent: null, calls: [], offers: [], wrap_ups: [] });
        for (const event of known.events) if (Number(event['n']) > resume.n) this.say(event);
        return;
      }
      all.made += 1;
      this.session = `ses-${all.made}`;
      all.sessions.set(this.session, { n: 0, events: [] });
      ok({ session: this.session, n: 0, resumed: false, heartbeat_s: 10, agent: null, calls: [...all.calls.values()], offers: [], wrap_ups: [] });
    } else if (asked['type'] === 'probed') {
      all.probed.push(String(asked['probe']));
      ok();
    } else ok({ at: 1, n: all.sessions.get(this.session)?.n ?? 0 });
  }
}

function page(all: Controllers, time: Time, urls = ['ws://a', 'ws://b'], chance: () => number = () => 0.5) {
  const out = { marks: [] as Mark[], desk: EMPTY_DESK as Desk, tickets: 0, refuse: null as Refused | null };
  const client = new SignalingClient({
    connect: (url) => new Line(all, url),
    ticket: () => {
      out.tickets += 1;
      return out.refuse ? Promise.reject(out.refuse) : Promise.resolve({ token: `t${out.tickets}`, urls, ice: [], expires: time.now + 60_000 });
    },
    device: { id: 'device', label: 'a test' },
    tab: 'tab',
    now: () => time.now,
    random: chance,
    after: time.after,
    mark: (mark) => void out.marks.push(mark),
    greeted: (hello, fresh) => void (out.desk = fresh ? greeted(out.desk, hello) : out.desk),
    heard: (told) => void (out.desk = heard(out.desk, told))
  });
  return { client, out };
}

const shown = (desk: Desk): string[] => desk.calls.map((call) => `${call.id} ${call.state}`).sort();
const true_ = (all: Controllers): string[] => [...all.calls.values()].map((call) => `${String(call['id'])} ${String(call['state'])}`).sort();

describe('the connection to a controller', () => {
  it('goes on in the same session after a cut, and hears what happened meanwhile', async () => {
    const [all, time] = [new Controllers(), new Time()];
    const { client, out } = page(all, time);
    client.start();
    await time.run(10);
    expect(client.mark.kind).toBe('live');
    all.change('one', 'talking');
    await settle();
    all.cut();
    expect(client.mark.kind).toBe('offline');
    all.change('one', 'held');
    all.change('two', 'talking');
    await time.run(2_000);
    expect(client.mark.kind).toBe('live');
    expect(client.counts.resumed).toBe(1);
    expect(shown(out.desk)).toEqual(['one held', 'two talking']);
  });

  it('finds another controller within a second when its own is killed', async () => {
    const [all, time] = [new Controllers(), new Time()];
    const { client, out } = page(all, time);
    all.change('one', 'talking');
    client.start();
    await time.run(15_000);
    const here = all.tried.at(-1) as string;
    all.kill(here);
    await time.run(1_000);
    expect(client.mark.kind).toBe('live');
    expect(all.tried.at(-1)).not.toBe(here);
    expect(shown(out.desk)).toEqual(['one talking']);
  });

  it('shows at the end what the controllers have, whatever is cut, killed or swallowed', async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('change' as const), id: fc.constantFrom('a', 'b', 'c'), to: fc.constantFrom('talking', 'held', 'ended') }),
      fc.record({ do: fc.constant('cut' as const) }),
      fc.record({ do: fc.constant('kill' as const), id: fc.constantFrom('ws://a', 'ws://b') }),
      fc.record({ do: fc.constant('deaf' as const), id: fc.constantFrom('', 'deaf', 'silent') }),
      fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 20_000 }) }),
      fc.record({ do: fc.constant('forget' as const), kept: fc.integer({ min: 0, max: 3 }) })
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), async (steps, chance) => {
        const [all, time] = [new Controllers(), new Time()];
        const { client, out } = page(all, time, ['ws://a', 'ws://b'], () => chance.next().value as number);
        client.start();
        await time.run(10);
        for (const one of steps) {
          if (one.do === 'change') all.change(one.id, one.to);
          else if (one.do === 'cut') all.cut();
          else if (one.do === 'kill') {
            all.dead.clear();
            all.kill(one.id);
          } else if (one.do === 'deaf') {
            all.deaf = one.id === 'deaf';
            all.silent = one.id === 'silent';
          } else if (one.do === 'forget') all.kept = one.kept;
          else await time.run(one.ms);
          await settle();
        }
        all.deaf = all.silent = false;
        all.dead.clear();
        await time.run(60_000);
        expect(client.mark.kind).toBe('live');
        expect(shown(out.desk)).toEqual(true_(all));
        client.stop();
      }),
      { numRuns: 60 }
    );
  });

  it('takes a controller that does not answer for dead', async () => {
    const [all, time] = [new Controllers(), new Time()];
    const { client } = page(all, time);
    client.start();
    await time.run(10);
    all.deaf = true;
    await time.run(10_000 + PONG_MS + 10);
    expect(client.mark.kind).toBe('offline');
    await time.run(GREETING_MS + 1_000);
    expect(all.tried.length).toBeGreaterThan(2);
    client.stop();
  });

  it('answers a probe at once, and leaves the phone to another device until it is asked for', async () => {
    const [all, time] = [new Controllers(), new Time()];
    const { client, out } = page(all, time);
    all.elsewhere = 'Your phone is on the laptop.';
    client.start();
    await time.run(60_000);
    expect(client.mark).toEqual({ kind: 'elsewhere', why: 'Your phone is on the laptop.' });
    expect(all.hellos.length).toBe(1);
    client.takeOver();
    await time.run(10);
    expect(client.mark.kind).toBe('live');
    all.tell('probe', { probe: 'p1' });
    await settle();
    expect(all.probed).toEqual(['p1']);
    all.tell('bye', { code: 'replaced', reconnect: false });
    await time.run(60_000);
    expect(client.mark.kind).toBe('elsewhere');
    expect(out.marks.at(-1)?.kind).toBe('elsewhere');
  });

  it('does not try again for somebody who is no agent, and does for a platform that is away', async () => {
    const [all, time] = [new Controllers(), new Time()];
    const { client, out } = page(all, time);
    out.refuse = new Refused('unreachable', 'no connection', true);
    client.start();
    await time.run(30_000);
    expect(out.tickets).toBeGreaterThan(3);
    out.refuse = new Refused('no_agent', 'You have no desk.', false);
    await time.run(30_000);
    const before = out.tickets;
    await time.run(120_000);
    expect(out.tickets).toBe(before);
    expect(client.mark).toEqual({ kind: 'refused', why: 'You have no desk.' });
  });

  it('says of a request that was cut that its fate is not known', async () => {
    const [all, time] = [new Controllers(), new Time()];
    const { client } = page(all, time);
    client.start();
    await time.run(10);
    all.silent = true;
    const asked = client.ask('hold', { call: 'one' });
    all.cut();
    await expect(asked).rejects.toMatchObject({ code: 'connection_lost', retryable: true });
    client.stop();
  });
});
