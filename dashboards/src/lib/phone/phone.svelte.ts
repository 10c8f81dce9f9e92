/**
 * The phone of this browser, for views: what is in hand, how the connection is, how the calls sound, and the orders.
 *
 * One tab holds it (`tabs`): the socket, the microphone and the sound. The others get what it publishes, and their orders
 * go there. A reload in a call makes a new connection for the sound and asks the switch to take it (`renew`); which legs
 * there were is kept in the session storage, so that the offer is made while the page still signs in.
 */
import { post } from '$lib/api/client';
import { asProblem } from '$lib/api/problem';
import { clock } from '$lib/clock.svelte';
import { notices } from '$lib/notices.svelte';
import { recall, remember } from '$lib/theme.svelte';
import { Refused, SignalingClient, SWITCH_MS, type Mark, type Socket, type Ticket } from './client';
import { currentCall, declined, EMPTY_DESK, greeted, heard, wrapped, type Desk } from './machine';
import { microphone, NoMicrophone } from './microphone.svelte';
import type { Offer, Raw, Told } from './protocol';
import type { Quality } from './quality';
import { Ringer } from './ring';
import { Tabs, type Failure } from './tabs';
import { Timers } from './timers';
import { Voices, type VoiceView } from './voices';
import { callEndWord, offerEndWord, refusal } from './words';

/** What other tabs see. */
interface Seen {
  mark: Mark;
  desk: Desk;
  voices: Readonly<Record<string, VoiceView>>;
  quality: Readonly<Record<string, Quality>>;
  locked: boolean;
  pending: readonly string[];
}

export const ORDERS = ['hold', 'unhold', 'mute', 'unmute', 'hangup', 'conference', 'transfer_complete', 'transfer_cancel', 'record_pause', 'record_resume'] as const;
export type Order = (typeof ORDERS)[number];

const LEGS = 'irisx.legs';
const DEVICE = 'irisx.device';

function session(key: string, value?: string | null): string {
  try {
    if (value === undefined) return sessionStorage.getItem(key) ?? '';
    if (value === null) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, value);
  } catch {
    return ''; // blocked: a reload in a call then takes a moment longer
  }
  return '';
}

class Phone {
  /** Off, in this tab, or in another one of this browser. */
  role = $state<'off' | 'here' | 'other_tab'>('off');
  mark = $state.raw<Mark>({ kind: 'off' });
  desk = $state.raw<Desk>(EMPTY_DESK);
  voices = $state.raw<Readonly<Record<string, VoiceView>>>({});
  quality = $state.raw<Readonly<Record<string, Quality>>>({});
  /** The browser holds the sound back until something on this page was pressed. */
  locked = $state(false);
  /** Orders on their way: `hold call_…`. */
  pending = $state.raw<readonly string[]>([]);
  /** Words for those who do not see that something rings. */
  ringing = $state('');

  current = $derived(currentCall(this.desk));
  offers = $derived(this.desk.offers);

  #tabs: Tabs | null = null;
  #client: SignalingClient | null = null;
  #timers: Timers | null = null;
  #voices: Voices | null = null;
  #ringer = new Ringer();
  #told = new Map<string, Notification>();
  #leave: (() => void)[] = [];

  /** Comes to the desk: the phone is held here, or shown from the tab that has it. */
  start(person: string): void {
    if (this.#tabs) return;
    this.role = 'other_tab';
    this.#tabs = new Tabs(`irisx.phone.${person}`, {
      begin: () => this.#begin(),
      end: () => this.#end('other_tab'),
      seen: (state) => this.#take(state as Seen),
      asked: () => this.#publish(),
      order: (name, args) => this.#run(name, args)
    });
    this.#tabs.start();
  }

  /** Leaves the desk: nothing is offered any more. */
  stop(): void {
    session(LEGS, null);
    this.#end('off');
    this.#tabs?.stop();
    this.#tabs = null;
    this.role = 'off';
    this.desk = EMPTY_DESK;
    this.mark = { kind: 'off' };
  }

  /** The phone is wanted in this tab, on this device. */
  take(): void {
    if (this.#client) this.#client.takeOver();
    else this.#tabs?.take();
  }
  retry(): void {
    this.#client?.retry();
  }

  // ------------------------------------------------------------------ the tab that has it

  #begin(): void {
    this.role = 'here';
    this.#timers = new Timers();
    const device = recall(DEVICE) ?? crypto.randomUUID();
    remember(DEVICE, device);
    this.#voices = new Voices({
      ask: (name, args, ms) => this.#client?.ask(name, args, ms) ?? Promise.reject(new Refused('offline', '', true)),
      online: () => this.#client?.open ?? false,
      after: this.#timers.after,
      changed: () => this.#heardVoices(),
      silenced: () => {
        this.locked = true;
        this.#publish();
      }
    });
    this.#client = new SignalingClient({
      connect: (url, protocol) => new WebSocket(url, protocol) as unknown as Socket,
      ticket: async () => {
        const ticket = await ask();
        this.#voices?.servers(ticket.ice);
        return ticket;
      },
      device: { id: device, label: deviceLabel() },
      tab: crypto.randomUUID(),
      now: () => Date.now(),
      random: () => Math.random(),
      after: this.#timers.after,
      mark: (mark) => {
        this.mark = mark;
        this.#publish();
      },
      greeted: (hello, fresh) => {
        if (fresh) this.#change(greeted(this.desk, hello));
        void this.#voices?.mend(this.desk.calls);
        this.#devices();
      },
      heard: (told) => this.#heard(told)
    });
    // In a call before the reload: the sound is got ready while the page signs in.
    if (session(LEGS)) void this.#voices.prepare();
    this.#client.start();
    const lost = (): void => this.#client?.lost('this computer has no network');
    const back = (): void => {
      this.#client?.retry();
      this.#voices?.doubt();
    };
    const seen = (): void => {
      if (!document.hidden) this.#client?.retry();
    };
    const pressed = (): void => {
      this.#ringer.unlock();
      if (this.locked) {
        this.locked = false;
        this.#voices?.play();
        this.#publish();
      }
    };
    const network = (navigator as { connection?: EventTarget }).connection;
    const hear = (target: EventTarget | undefined, name: string, run: () => void): void => {
      target?.addEventListener(name, run);
      this.#leave.push(() => target?.removeEventListener(name, run));
    };
    hear(window, 'offline', lost);
    hear(window, 'online', back);
    hear(network, 'change', () => this.#voices?.look());
    hear(document, 'visibilitychange', seen);
    hear(window, 'pointerdown', pressed);
    hear(window, 'keydown', pressed);
    microphone.changed = (stream) => {
      this.#voices?.microphone(stream);
      this.#devices();
    };
    this.#publish();
  }

  #end(role: 'off' | 'other_tab'): void {
    for (const leave of this.#leave.splice(0)) leave();
    this.#client?.stop();
    this.#client = null;
    this.#voices?.close();
    this.#voices = null;
    this.#timers?.close();
    this.#timers = null;
    this.#ringer.stop();
    for (const note of this.#told.values()) note.close();
    this.#told.clear();
    microphone.release();
    this.ringing = '';
    this.role = role;
  }

  #heard(told: Told): void {
    const before = this.desk;
    this.#change(heard(before, told));
    if (told.kind === 'offer_ended' && told.reason && told.reason !== 'accepted') {
      const offer = before.offers.find((one) => one.id === told.offer);
      const words = offerEndWord(told.reason);
      if (offer && words && told.reason !== 'declined') notices.say(`${told.reason === 'missed' ? 'Missed' : 'Gone'}: ${nameOf(offer)}`, told.reason === 'missed' ? 'bad' : 'info', words);
    }
    if (told.kind === 'call_ended') {
      const call = before.calls.find((one) => one.id === told.call);
      if (call) notices.announce(`The call with ${call.other_name || call.other || 'them'} is over: ${callEndWord(told.cause)}`);
    }
  }

  #change(desk: Desk): void {
    this.desk = desk;
    const rings = desk.offers.filter((one) => one.kind === 'call');
    if (rings.length && microphone.permission === 'granted') void this.#voices?.prepare();
    this.#voices?.keep(desk.calls, rings.length > 0);
    session(LEGS, desk.calls.length ? desk.calls.map((one) => one.leg).join(' ') : null);
    const first = desk.offers[0];
    this.#ringer.play(!first ? '' : first.kind === 'conversation' ? 'chime' : desk.calls.length ? 'knock' : 'ring');
    this.locked ||= Boolean(first) && this.#ringer.locked;
    this.#ring(desk.offers);
    this.#publish();
  }

  #ring(offers: readonly Offer[]): void {
    this.ringing = rung(offers);
    for (const [id, note] of this.#told) {
      if (offers.some((one) => one.id === id)) continue;
      note.close();
      this.#told.delete(id);
    }
    if (!document.hidden || typeof Notification === 'undefined' || Notification.permission !== 'granted') return;
    for (const offer of offers) {
      if (this.#told.has(offer.id)) continue;
      const note = new Notification(offer.kind === 'call' ? `Call: ${nameOf(offer)}` : `Message: ${nameOf(offer)}`, { body: offer.queue ? offer.queue.name : 'Directly for you', tag: offer.id, requireInteraction: true });
      note.onclick = () => {
        window.focus();
        note.close();
      };
      this.#told.set(offer.id, note);
    }
  }

  #heardVoices(): void {
    this.voices = this.#voices?.views ?? {};
    this.quality = this.#voices?.quality ?? {};
    this.#publish();
  }

  #devices(): void {
    if (!this.#client?.open) return;
    const network = (navigator as { connection?: { effectiveType?: string } }).connection?.effectiveType ?? '';
    void this.#client.ask('devices', { microphone: microphone.label || microphone.permission, speaker: microphone.speaker ? 'chosen' : 'default', network }).catch(() => undefined);
  }

  #publish(): void {
    this.#tabs?.publish({ mark: this.mark, desk: this.desk, voices: this.voices, quality: this.quality, locked: this.locked, pending: this.pending } satisfies Seen);
  }

  // ------------------------------------------------------------------ the other tabs

  #take(seen: Seen): void {
    this.mark = seen.mark;
    this.desk = seen.desk;
    this.voices = seen.voices;
    this.quality = seen.quality;
    this.locked = seen.locked;
    this.pending = seen.pending;
    this.ringing = rung(seen.desk.offers);
  }

  // ------------------------------------------------------------------ orders, from any tab

  /** One order; what went wrong is told in words. Whether it was done. */
  async #do(name: string, about: string, args: Raw, words: string): Promise<Raw | null> {
    const mark = `${name} ${about}`;
    if (this.pending.includes(mark)) return null;
    this.pending = [...this.pending, mark];
    try {
      return ((this.role === 'here' ? await this.#run(name, args) : await this.#tabs?.order(name, args)) ?? {}) as Raw;
    } catch (error) {
      const { code = 'page', detail = '' } = error as Partial<Failure>;
      notices.say(words, 'bad', error instanceof NoMicrophone ? error.detail : refusal(code, detail || (error instanceof Error ? error.message : '')));
      return null;
    } finally {
      this.pending = this.pending.filter((one) => one !== mark);
      this.#publish();
    }
  }

  /** In the tab that has the phone. Raises `Refused` or `NoMicrophone`. */
  async #run(name: string, args: Raw): Promise<Raw> {
    const client = this.#client;
    const voices = this.#voices;
    if (!client || !voices) throw new Refused('offline', '', true);
    const id = String(args['offer'] ?? '');
    if (name === 'accept') {
      const offer = this.desk.offers.find((one) => one.id === id);
      if (offer?.kind === 'conversation') return client.ask('accept', { offer: id, sdp: '' });
      return voices.begin('accept', { offer: id });
    }
    if (name === 'dial') return voices.begin('dial', { to: args['to'] });
    if (name === 'take') {
      client.takeOver();
      return {};
    }
    if (name === 'mute' || name === 'unmute') {
      // At once here, so that nobody hears a word more; the switch is told, too.
      const call = this.desk.calls.find((one) => one.id === args['call']);
      if (call) voices.mute(call.leg, name === 'mute');
    }
    const body = await client.ask(name, args, name === 'state' || name.startsWith('wrap') || name === 'decline' ? undefined : SWITCH_MS);
    if (name === 'decline') this.#change(declined(this.desk, id));
    if (name === 'wrap_up') this.#change(wrapped(this.desk, id));
    return body;
  }

  isPending(name: string, about = ''): boolean {
    return this.pending.includes(`${name} ${about}`);
  }
  async setState(state: 'ready' | 'not_ready', reason = ''): Promise<void> {
    if (state === 'ready' && microphone.permission === 'prompt') await microphone.open().then(() => microphone.release(), () => undefined);
    await this.#do('state', '', { state, reason }, state === 'ready' ? 'You are not ready yet' : 'You are still ready');
  }
  async accept(offer: Offer): Promise<boolean> {
    return (await this.#do('accept', offer.id, { offer: offer.id }, `${nameOf(offer)} was not connected`)) !== null;
  }
  async decline(offer: Offer, reason = 'declined'): Promise<void> {
    await this.#do('decline', offer.id, { offer: offer.id, reason }, 'It could not be declined');
  }
  async dial(to: string): Promise<boolean> {
    return (await this.#do('dial', '', { to }, `${to} was not called`)) !== null;
  }
  async order(order: Order, call: string): Promise<void> {
    const failed: Record<Order, string> = {
      hold: 'They are not on hold', unhold: 'They still wait', mute: 'The switch does not know that you are muted', unmute: 'You are still muted', hangup: 'The call was not ended', conference: 'They were not brought together',
      transfer_complete: 'It was not handed over', transfer_cancel: 'You are not back with the caller', record_pause: 'The recording goes on', record_resume: 'The recording is still paused'
    };
    await this.#do(order, call, { call }, failed[order]);
  }
  async dtmf(call: string, keys: string): Promise<void> {
    await this.#do('dtmf', `${call}${keys}${Date.now()}`, { call, keys }, `${keys} was not sent`);
  }
  async transfer(call: string, to: string, kind: 'blind' | 'attended'): Promise<boolean> {
    return (await this.#do('transfer', call, { call, to, kind }, 'It was not transferred')) !== null;
  }
  async wrapUp(offer: string, disposition: string, notes: string): Promise<boolean> {
    return (await this.#do('wrap_up', offer, { offer, disposition, notes }, 'The wrap-up was not stored: your notes are kept here')) !== null;
  }
  async extend(offer: string, seconds: number): Promise<void> {
    await this.#do('wrap_extend', offer, { offer, seconds }, 'There is no more time');
  }

  /** What this tab knows of its connection, for the page of checks. */
  get counts(): SignalingClient['counts'] | null {
    return this.#client?.counts ?? null;
  }
  get ticket(): Ticket | null {
    return this.#client?.ticket ?? null;
  }
  /** Sound of the speaker: the ring, once. */
  tryRing(): void {
    this.#ringer.unlock();
    this.#ringer.play('ring');
    setTimeout(() => {
      if (!this.desk.offers.length) this.#ringer.stop();
    }, 2_500);
  }
}

export const nameOf = (offer: Pick<Offer, 'caller' | 'caller_name'>): string => offer.caller_name || offer.caller || 'Somebody without a number';

/** For the assertive live region: who, from which queue, how long they wait. */
function rung(offers: readonly Offer[]): string {
  const first = offers[0];
  if (!first) return '';
  const what = first.kind === 'call' ? 'Incoming call' : 'New message';
  return `${what}: ${nameOf(first)}${first.queue ? `, queue ${first.queue.name}` : ', directly for you'}${first.waited_s >= 1 ? `, waits for ${Math.round(first.waited_s)} seconds` : ''}`;
}

async function ask(): Promise<Ticket> {
  try {
    const got = await post<{ token: string; expires_at?: string; expires_in?: number; urls: string[]; ice_servers?: Ticket['ice'] }>('/v1/auth/tokens/signaling');
    const until = got.expires_at ? Date.parse(got.expires_at) - clock.skew : Date.now() + (got.expires_in ?? 60) * 1000;
    return { token: got.token, urls: got.urls, ice: got.ice_servers ?? [], expires: until };
  } catch (error) {
    const problem = asProblem(error);
    const final = problem.status === 403 || problem.status === 404 || problem.code === 'no_agent';
    throw new Refused(problem.code || String(problem.status), problem.code === 'no_agent' ? refusal('no_agent', '') : problem.detail || problem.title, !final);
  }
}

function deviceLabel(): string {
  const agent = navigator.userAgent;
  const browser = /Firefox\//.test(agent) ? 'Firefox' : /Edg\//.test(agent) ? 'Edge' : /Chrome\//.test(agent) ? 'Chrome' : /Safari\//.test(agent) ? 'Safari' : 'a browser';
  const system = /Windows/.test(agent) ? 'Windows' : /Android/.test(agent) ? 'Android' : /iPhone|iPad/.test(agent) ? 'iOS' : /Mac OS/.test(agent) ? 'macOS' : /Linux/.test(agent) ? 'Linux' : '';
  return system ? `${browser} on ${system}` : browser;
}

export const phone = new Phone();
