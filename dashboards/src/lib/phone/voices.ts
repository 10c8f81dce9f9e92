/**
 * All the calls' sound in this tab, by leg: begun, renewed after a reload, restored when its way breaks, measured.
 *
 * One offer is made ahead while something rings, so that an answer costs no gathering. Whatever the socket did, calls
 * without sound here are mended once the controller has said which there are.
 */
import { Refused, SWITCH_MS, type IceServer } from './client';
import { microphone } from './microphone.svelte';
import type { CallView, Raw } from './protocol';
import { judge, type Quality, type Sample } from './quality';
import { Voice, type Line } from './voice';

export interface VoiceView {
  readonly line: Line;
  readonly muted: boolean;
}

export interface World {
  ask(name: string, args: Raw, ms?: number): Promise<Raw>;
  online(): boolean;
  after(ms: number, run: () => void): () => void;
  changed(): void;
  silenced(): void;
}

export const REPORT_MS = 5_000;
/** Two looks that are closer together than this tell nothing. */
const LOOK_MS = 1_500;
/** After so many restarts of the way the whole connection is made anew, and after as many of those it is given up. */
const RESTARTS = 2;
const RENEWALS = 6;
/** An offer made ahead is used for so long; its candidates grow old. */
const FRESH_MS = 45_000;

interface Held {
  voice: Voice;
  call: string;
  last: Sample | null;
  /** Since the leg began, over connections that were made anew. */
  lost: number;
  received: number;
  restarts: number;
  busy: boolean;
}

export class Voices {
  quality: Readonly<Record<string, Quality>> = {};
  #world: World;
  #held = new Map<string, Held>();
  #ahead: { voice: Voice; sdp: Promise<string>; at: number } | null = null;
  #ice: readonly IceServer[] = [];
  #beginning = 0;
  #tried = new Map<string, number>();
  #calls: readonly CallView[] = [];
  #closed = false;
  #cancel: (() => void) | null = null;

  constructor(world: World) {
    this.#world = world;
    this.#report();
  }

  get views(): Readonly<Record<string, VoiceView>> {
    return Object.fromEntries([...this.#held].map(([leg, one]) => [leg, { line: one.voice.line, muted: one.voice.muted }]));
  }
  servers(ice: readonly IceServer[]): void {
    this.#ice = ice;
  }

  /** An offer ahead of its use. What fails here is said when it is used. */
  async prepare(): Promise<void> {
    if (this.#ahead && Date.now() - this.#ahead.at < FRESH_MS) return;
    this.#ahead?.voice.close();
    const made = this.#make();
    this.#ahead = { ...made, at: Date.now() };
    await made.sdp.catch(() => undefined);
  }

  #make(): { voice: Voice; sdp: Promise<string> } {
    const voice = new Voice(this.#ice, { line: (line) => this.#line(voice, line), silenced: () => this.#world.silenced() }, microphone.speaker);
    const sdp = microphone.open().then((stream) => voice.offer(stream));
    sdp.catch(() => undefined);
    return { voice, sdp };
  }

  #offered(): { voice: Voice; sdp: Promise<string> } {
    const ahead = this.#ahead;
    this.#ahead = null;
    if (ahead && Date.now() - ahead.at < FRESH_MS) return ahead;
    ahead?.voice.close();
    return this.#make();
  }

  /** Accepts or dials. Raises `Refused` or `NoMicrophone`; then nothing of it is left here. */
  async begin(name: 'accept' | 'dial', args: Raw): Promise<Raw> {
    this.#beginning += 1;
    const { voice, sdp } = this.#offered();
    try {
      const body = await this.#world.ask(name, { ...args, sdp: await sdp }, SWITCH_MS);
      this.#held.set(String(body['leg']), { voice, call: String(body['call_id']), last: null, lost: 0, received: 0, restarts: 0, busy: false });
      await voice.answer(String(body['sdp']));
      this.#world.changed();
      return { call_id: body['call_id'], leg: body['leg'] };
    } catch (error) {
      voice.close();
      for (const [leg, one] of this.#held) if (one.voice === voice) this.#held.delete(leg);
      throw error;
    } finally {
      this.#beginning -= 1;
      void this.mend(this.#calls);
    }
  }

  /** The calls there are: what is over is closed, and the microphone let go with the last one. */
  keep(calls: readonly CallView[], rings: boolean): void {
    this.#calls = calls;
    let gone = false;
    for (const [leg, one] of this.#held) {
      if (calls.some((call) => call.leg === leg || call.id === one.call)) continue;
      if (this.#beginning) continue; // (its event may come after the answer that named it)
      one.voice.close();
      this.#held.delete(leg);
      gone = true;
    }
    if (!rings && !calls.length && !this.#beginning) {
      this.#ahead?.voice.close();
      this.#ahead = null;
      if (!this.#held.size) microphone.release();
    }
    if (gone) {
      this.quality = Object.fromEntries(Object.entries(this.quality).filter(([leg]) => this.#held.has(leg)));
      this.#world.changed();
    }
  }

  /** Calls that have a leg but no sound here get it: after a reload, in another tab, after an answer that was lost. */
  async mend(calls: readonly CallView[]): Promise<void> {
    this.#calls = calls;
    if (this.#beginning || this.#closed || !this.#world.online()) return;
    for (const call of calls) {
      if (!call.leg || call.state === 'ended') continue;
      const held = this.#held.get(call.leg);
      if (!held) await this.#renew(call);
      else if (held.voice.line === 'broken') await this.#restore(call.leg, held);
    }
  }

  async #renew(call: CallView): Promise<void> {
    const tried = (this.#tried.get(call.leg) ?? 0) + 1;
    if (tried > RENEWALS) return;
    this.#tried.set(call.leg, tried);
    const { voice, sdp } = this.#offered();
    if (call.muted) voice.mute(true);
    const held: Held = { voice, call: call.id, last: null, lost: 0, received: 0, restarts: 0, busy: true };
    this.#held.set(call.leg, held);
    this.#world.changed();
    try {
      const body = await this.#world.ask('renew', { leg: call.leg, sdp: await sdp }, SWITCH_MS);
      await voice.answer(String(body['sdp']));
      this.#tried.delete(call.leg);
    } catch (error) {
      voice.close();
      if (this.#held.get(call.leg) === held) this.#held.delete(call.leg);
      if (error instanceof Refused && !error.retryable) return;
      this.#later(400 * 2 ** tried);
    } finally {
      held.busy = false;
      this.#world.changed();
    }
  }

  #later(ms: number): void {
    this.#world.after(ms * (0.75 + Math.random() / 2), () => {
      if (!this.#closed) void this.mend(this.#calls);
    });
  }

  #line(voice: Voice, line: Line): void {
    for (const [leg, one] of this.#held) {
      if (one.voice !== voice) continue;
      if (line === 'connected') {
        one.restarts = 0;
        // The first look, so that the next one tells something.
        if (!one.last) void voice.sample().then((sample) => (one.last ??= sample), () => undefined);
      }
      if (line === 'broken' && this.#world.online()) void this.#restore(leg, one);
    }
    this.#world.changed();
  }

  /** Another way for the sound: first by an ICE restart, then by a connection made anew. */
  async #restore(leg: string, one: Held): Promise<void> {
    if (one.busy || this.#closed) return;
    one.busy = true;
    one.restarts += 1;
    try {
      if (one.restarts > RESTARTS) {
        one.voice.close();
        this.#held.delete(leg);
        const call = this.#calls.find((entry) => entry.leg === leg);
        if (call) await this.#renew(call);
        return;
      }
      const body = await this.#world.ask('renew', { leg, sdp: await one.voice.again() }, SWITCH_MS);
      await one.voice.answer(String(body['sdp']));
    } catch {
      this.#later(500 * 2 ** one.restarts);
    } finally {
      one.busy = false;
    }
  }

  mute(leg: string, on: boolean): void {
    this.#held.get(leg)?.voice.mute(on);
    this.#world.changed();
  }
  microphone(stream: MediaStream): void {
    for (const one of this.#held.values()) one.voice.microphone(stream);
  }
  speak(speaker: string): void {
    for (const one of this.#held.values()) one.voice.speak(speaker);
  }
  play(): void {
    for (const one of this.#held.values()) one.voice.play();
  }
  /** The network is back: what looks connected may not be. */
  doubt(): void {
    for (const one of this.#held.values()) one.voice.doubt();
  }
  /** The network changed: if no sound came since the last look, another way is looked for. */
  look(): void {
    this.#world.after(1_500, () => void this.#measure(true));
  }

  #report(): void {
    this.#cancel = this.#world.after(REPORT_MS, () => {
      void this.#measure(false).finally(() => {
        if (!this.#closed) this.#report();
      });
    });
  }

  async #measure(doubting: boolean): Promise<void> {
    const found: Record<string, Quality> = {};
    for (const [leg, one] of [...this.#held]) {
      if (one.voice.line !== 'connected' && one.voice.line !== 'broken') continue;
      const sample = await one.voice.sample().catch(() => null);
      if (!sample) continue;
      const before = one.last;
      if (before && !doubting && sample.at - before.at < LOOK_MS) continue;
      one.last = sample;
      one.lost += Math.max(0, sample.lost - (before?.lost ?? 0));
      one.received += Math.max(0, sample.received - (before?.received ?? 0));
      if (!before) continue;
      found[leg] = judge(before, sample);
      if (doubting && sample.received === before.received) one.voice.doubt();
      if (this.#world.online() && !doubting) {
        const { rtt_ms, jitter_ms } = sample;
        void this.#world.ask('quality', { leg, rtt_ms: Math.max(0, Math.round(rtt_ms)), jitter_ms: Math.max(0, Math.round(jitter_ms)), lost: one.lost, received: one.received }).catch(() => undefined);
      }
    }
    if (Object.keys(found).length) {
      this.quality = { ...this.quality, ...found };
      this.#world.changed();
    }
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
    this.#ahead?.voice.close();
    this.#ahead = null;
    for (const one of this.#held.values()) one.voice.close();
    this.#held.clear();
    this.quality = {};
  }
}
