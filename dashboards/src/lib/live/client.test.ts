/**
 * Whatever happens to the socket, the page ends up equal to the store.
 *
 * A small store with a numbered log and a server that may cut, lose, hold back and forget stands in for the
 * platform; time is virtual. fast-check picks what happens and when.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { callOf, type Call } from '$lib/api/types';
import { settle, Time } from './by-hand';
import { LiveClient, type Mark, type Page, type Socket } from './client';
import { EMPTY, listingBegins, listingEnds, listingPage, reduce, reduceAll } from './reduce';

/** The platform: live calls, the numbered log, and sockets that follow it. */
class Platform {
  log: { seq: number; type: string; call: Call }[] = [];
  calls = new Map<string, Call>();
  oldest = 1;
  sockets: FakeSocket[] = [];
  refuse = false;
  silent = false;
  #made = 0;
  constructor(readonly time: Time) {}

  get head(): number {
    return this.log.length;
  }

  /** One thing happens to some call; `pick` chooses which. */
  happen(pick: number): void {
    const live = [...this.calls.values()];
    const act = pick % 4;
    let call: Call;
    if (act === 0 || live.length === 0) {
      const id = `call_${String(++this.#made).padStart(5, '0')}`;
      call = callOf({ id, tenant_id: 't', node: 'a', state: 'ringing', created_us: this.#made * 1000, version: 1 });
    } else {
      const old = live[pick % live.length] as Call;
      const state = act === 3 ? 'ended' : act === 2 ? 'held' : 'bridged';
      call = { ...old, state, version: old.version + 1 };
    }
    if (call.state === 'ended') this.calls.delete(call.id);
    else this.calls.set(call.id, call);
    const entry = { seq: this.head + 1, type: `call.${call.state}`, call };
    this.log.push(entry);
    for (const socket of this.sockets) socket.offer(entry.seq);
  }

  page(cursor: string | null): Page {
    const all = [...this.calls.values()].sort((a, b) => b.created_us - a.created_us);
    const rest = cursor === null ? all : all.filter((call) => call.created_us < Number(cursor));
    const data = rest.slice(0, 3);
    const last = data.at(-1);
    return { calls: data, next: rest.length > 3 && last ? String(last.created_us) : null };
  }

  frame(seq: number): string {
    const { type, call } = this.log[seq - 1] as { type: string; call: Call };
    return JSON.stringify({ type: 'event', event: { seq, id: `evt_${seq}`, type, occurred_at: '', recorded_at: '', resource: call.id, data: { call }, schema_version: 1 } });
  }
}

class FakeSocket implements Socket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code?: number; reason?: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  #sent = -1;
  #open = true;
  loseNext = 0;
  constructor(readonly platform: Platform) {
    platform.sockets.push(this);
    platform.time.after(1, () => (platform.refuse ? this.cut() : this.onopen?.()));
    this.#beat();
  }
  #beat(): void {
    this.platform.time.after(15_000, () => {
      if (!this.#open) return;
      if (this.#sent >= 0) this.#say({ type: 'heartbeat', head_seq: this.platform.head });
      this.#beat();
    });
  }
  send(text: string): void {
    const { after_seq: after } = JSON.parse(text) as { after_seq?: number };
    this.#say({ type: 'hello', head_seq: this.platform.head, oldest_seq: this.platform.oldest, tenant: 't' });
    this.#sent = after ?? this.platform.head;
    if (this.#sent < this.platform.oldest - 1) {
      this.#sent = this.platform.head;
      this.#say({ type: 'gap', resume_at: this.#sent, resources: ['calls'] });
    }
    while (this.#sent < this.platform.head) this.offer(this.#sent + 1);
  }
  offer(seq: number): void {
    if (this.#sent < 0 || seq !== this.#sent + 1) return;
    this.#sent = seq;
    if (this.loseNext > 0) this.loseNext -= 1;
    else this.#say(null, this.platform.frame(seq));
  }
  /** In order, a millisecond later, as a network would. */
  #say(frame: object | null, text = JSON.stringify(frame)): void {
    this.platform.time.after(1, () => {
      if (this.#open && !this.platform.silent) this.onmessage?.({ data: text });
    });
  }
  cut(): void {
    this.#open = false;
    this.platform.sockets = this.platform.sockets.filter((socket) => socket !== this);
    this.onclose?.({ reason: 'cut' });
  }
  close(): void {
    this.#open = false;
    this.platform.sockets = this.platform.sockets.filter((socket) => socket !== this);
  }
}

function together(): { time: Time; platform: Platform; client: LiveClient; marks: Mark[] } {
  const time = new Time();
  const platform = new Platform(time);
  const marks: Mark[] = [];
  const client = new LiveClient({
    connect: () => new FakeSocket(platform),
    token: () => Promise.resolve('tok'),
    // A page is read now and arrives five milliseconds later: events overtake it.
    list: (cursor) => {
      const page = platform.page(cursor);
      return new Promise((done) => void time.after(5, () => done(page)));
    },
    now: () => time.now,
    random: () => 0.5,
    after: time.after,
    soon: (run) => void time.after(16, run),
    publish: (_, mark) => {
      if (marks.at(-1)?.kind !== mark.kind) marks.push(mark);
    }
  });
  return { time, platform, client, marks };
}

const same = (client: LiveClient, platform: Platform): void => {
  expect(client.state.seq).toBe(platform.head);
  const ours = [...client.state.calls.values()].sort((a, b) => a.id.localeCompare(b.id));
  const theirs = [...platform.calls.values()].sort((a, b) => a.id.localeCompare(b.id));
  expect(ours).toEqual(theirs);
};

describe('the page and the store', () => {
  it('are equal after any history of cuts, losses, silences and forgotten numbers', async () => {
    const step = fc.oneof(
      { weight: 8, arbitrary: fc.record({ do: fc.constant('happen' as const), pick: fc.nat(1000), wait: fc.nat(20) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('cut' as const, 'lose' as const, 'refuse' as const, 'silence' as const, 'forget' as const), pick: fc.nat(5), wait: fc.nat(900) }) }
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 120 }), async (steps) => {
        const { time, platform, client } = together();
        for (let n = 0; n < 7; n++) platform.happen(0);
        client.start();
        for (const { do: act, pick, wait } of steps) {
          const socket = platform.sockets.at(-1);
          if (act === 'happen') platform.happen(pick);
          else if (act === 'cut') socket?.cut();
          else if (act === 'lose' && socket) socket.loseNext = pick;
          else if (act === 'refuse') platform.refuse = !platform.refuse;
          else if (act === 'silence') platform.silent = pick < 2;
          else if (act === 'forget') platform.oldest = platform.head + 1;
          await time.run(wait);
        }
        platform.refuse = platform.silent = false;
        for (const socket of platform.sockets) socket.loseNext = 0;
        await time.run(120_000);
        same(client, platform);
        expect(client.mark.kind).toBe('live');
        client.stop();
      }),
      { numRuns: 150 }
    );
  });

  it('are found unequal by the heartbeat alone when the last event was lost and nothing follows', async () => {
    const { time, platform, client } = together();
    client.start();
    await time.run(100);
    (platform.sockets[0] as FakeSocket).loseNext = 1;
    platform.happen(0);
    await time.run(10_000);
    expect(client.state.seq).toBe(platform.head - 1);
    await time.run(15_000);
    same(client, platform);
  });

  it('say offline when the server falls silent for 35 seconds, then catch up and say how many are missing', async () => {
    const { time, platform, client, marks } = together();
    client.start();
    await time.run(1_000);
    expect(client.mark.kind).toBe('live');
    platform.silent = true;
    platform.refuse = true;
    await time.run(36_000);
    expect(client.mark.kind).toBe('offline');
    for (let n = 0; n < 4000; n++) platform.happen(n);
    platform.silent = platform.refuse = false;
    await time.run(40_000);
    expect(marks.map((mark) => mark.kind)).toEqual(['catching_up', 'live', 'offline', 'catching_up', 'live']);
    const most = marks.find((mark, at) => at > 2 && mark.kind === 'catching_up');
    expect(most).toEqual({ kind: 'catching_up', behind: 4000 });
    same(client, platform);
  });

  it('start over when the store was set back to an earlier day', async () => {
    const { time, platform, client } = together();
    for (let n = 0; n < 40; n++) platform.happen(n);
    client.start();
    await time.run(1_000);
    platform.log = [];
    platform.calls = new Map();
    platform.happen(0);
    platform.sockets[0]?.cut();
    await time.run(5_000);
    same(client, platform);
  });

  it('wait longer after each failed attempt, and never longer than the limit and a half', async () => {
    const { time, platform, client } = together();
    platform.refuse = true;
    client.start();
    const waits: number[] = [];
    for (let n = 0; n < 12; n++) {
      await time.run(2);
      if (client.mark.kind === 'offline') waits.push(client.mark.retryAt - time.now);
      await time.run(client.mark.kind === 'offline' ? client.mark.retryAt - time.now : 0);
    }
    expect(waits[0]).toBeLessThan(700);
    expect(Math.max(...waits)).toBeLessThanOrEqual(22_500);
    expect(waits.at(-1)).toBeGreaterThan(waits[0] as number);
  });
});

describe('the reducer', () => {
  const event = (seq: number, call: Partial<Call> & { id: string }): Parameters<typeof reduce>[1] => ({
    seq, id: `evt_${seq}`, type: 'call.created', occurred_at: '', recorded_at: '', resource: call.id,
    data: { call: callOf(call) }, causation_id: '', request_id: '', schema_version: 1
  });

  it('skips what it has seen and stops before a missing number', () => {
    const start = { ...EMPTY, seq: 4 };
    expect(reduce(start, event(4, { id: 'a' }))).toBe(start);
    const jumped = reduceAll(start, [event(5, { id: 'a', version: 1 }), event(7, { id: 'b', version: 1 })]);
    expect(jumped.stale).toBe(true);
    expect(jumped.seq).toBe(5);
    expect([...jumped.calls.keys()]).toEqual(['a']);
  });

  it('does not let an old page of the list revive a call that ended, nor turn one back', () => {
    let state = listingBegins({ ...EMPTY, seq: 0 });
    state = reduce(state, event(1, { id: 'a', state: 'ended', version: 5 }));
    state = reduce(state, event(2, { id: 'b', state: 'held', version: 3 }));
    state = listingPage(state, [callOf({ id: 'a', state: 'bridged', version: 4 }), callOf({ id: 'b', state: 'ringing', version: 1 })]);
    state = listingEnds(state, true);
    expect([...state.calls.values()].map((call) => call.state)).toEqual(['held']);
  });

  it('keeps a call that began after its page was read, and drops one that nobody knows any more', () => {
    let state = reduce({ ...EMPTY, seq: 0 }, event(1, { id: 'old', version: 1 }));
    state = listingBegins(state);
    state = reduce(state, event(2, { id: 'new', version: 1 }));
    state = listingEnds(listingPage(state, []), true);
    expect([...state.calls.keys()]).toEqual(['new']);
  });

  it('gives back the very same calls for those that did not change, so that their rows are not drawn again', () => {
    const one = reduce({ ...EMPTY, seq: 0 }, event(1, { id: 'a', version: 1 }));
    const two = reduce(one, event(2, { id: 'b', version: 1 }));
    expect(two.calls.get('a')).toBe(one.calls.get('a'));
  });
});
