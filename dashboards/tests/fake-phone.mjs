// Agents, queues and the signaling socket of the stand-in platform: sessions that resume, offers, calls, wrap-ups.
// The sound comes from a page of its own in the same browser (`answerer`): whole peer connections, a real tone.
import { randomUUID } from 'node:crypto';
import { WebSocketServer } from 'ws';

const US = () => Date.now() * 1000;
const iso = (ms) => new Date(ms).toISOString();
const OPEN = ['offered', 'accepted', 'connected', 'wrap_up'];

/** An answer that leads nowhere, for pages that are only looked at: nobody listens on port 9. */
function deadEnd(offer) {
  const mid = /a=mid:(\S+)/.exec(offer)?.[1] ?? '0';
  return ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0', `a=group:BUNDLE ${mid}`, 'm=audio 9 UDP/TLS/RTP/SAVPF 0', 'c=IN IP4 127.0.0.1', `a=mid:${mid}`, 'a=rtcp-mux', 'a=rtpmap:0 PCMU/8000', 'a=ice-ufrag:abcd', 'a=ice-pwd:abcdefghijklmnopqrstuvwx',
    `a=fingerprint:sha-256 ${Array(32).fill('00').join(':')}`, 'a=setup:active', 'a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host', ''].join('\r\n');
}

export class Phones {
  constructor(platform) {
    this.platform = platform;
    this.sessions = new Map();
    this.offers = new Map();
    this.calls = new Map();
    this.reservations = new Map();
    /** What pages asked, newest last: `[type, body]`. */
    this.asked = [];
    this.probed = [];
    this.quality = [];
    this.answerer = null;
    this.mode = { refuse: false, deaf: false, other: '' };
    this.made = 0;
    const agent = (n, user_id, name, state, activity, extension, queues, reason = '') => ({ id: `agt_0${n}`, tenant_id: 'tnt_main', user_id, name, extension, state, reason, activity, since_us: US() - n * 190e6, skills: { english: 5, billing: 3 }, capacity: { attention: 1, audio: 1, slots: 4 }, queues, session: '', idle_since_us: 0, offered_us: 0, version: 1, created_us: US(), updated_us: US() });
    this.agents = new Map([
      agent(1, 'usr_01', 'Olga Perator', 'offline', '', '201', ['que_01', 'que_02']), agent(2, 'usr_02', 'Sam Visor', 'ready', '', '202', ['que_01']), agent(3, 'usr_03', 'Ada Gent', 'ready', 'busy', '203', ['que_01', 'que_02']),
      agent(4, 'usr_04', 'Jun Tanaka', 'not_ready', '', '204', ['que_02'], 'lunch'), agent(5, 'usr_05', 'Léa Martin', 'offline', '', '205', ['que_02'])
    ].map((one) => [one.id, one]));
    this.queues = new Map([['que_01', 'Support', 3, 48], ['que_02', 'Sales', 0, 0], ['que_03', 'Night line', 1, 12]].map(([id, name, waiting, longest]) => [id, { id, tenant_id: 'tnt_main', name, settings: { target_s: 20 }, version: 1, waiting, longest }]));
    for (const [n, [state, disposition, kind]] of [['done', 'solved', 'call'], ['missed', '', 'call'], ['done', 'follow_up', 'call'], ['connected', '', 'conversation']].entries()) {
      const at = US() - (n * 20 + 4) * 60e6;
      const id = `rsv_old${n}`;
      const talk = kind === 'conversation' ? [...platform.talks.talks.values()][2] : null;
      this.reservations.set(id, { id, tenant_id: 'tnt_main', agent_id: 'agt_01', kind, class: kind === 'call' ? 'call' : 'message', state, reason: '', queue_id: 'que_01', queue_name: 'Support', call_id: '', conversation_id: talk?.id ?? '', contact_id: '', caller: '+442079460018', caller_name: ['Maria Lopez', 'Ben Okafor', '', 'Jun Tanaka'][n], offered_us: at, waited_s: 14 + n * 9, connected_us: state === 'missed' ? 0 : at + 4e6, ended_us: state === 'done' ? at + 200e6 : 0, done_us: state === 'done' ? at + 230e6 : 0, wrap_until_us: 0, disposition, notes: '', awaits_us: true, version: 3 });
    }
  }

  get me() {
    return this.agents.get('agt_01');
  }
  note(type, thing) {
    thing.version = (thing.version ?? 0) + 1;
    this.platform.note(type, thing.id, structuredClone(thing));
  }
  /** To every session, with its next number. */
  tell(type, body) {
    for (const session of this.sessions.values()) {
      session.n += 1;
      const frame = { n: session.n, type, ...body };
      session.events = [...session.events, frame].slice(-256);
      session.say?.(frame);
    }
  }
  agentView() {
    const { me } = this;
    return { id: me.id, name: me.name, extension: me.extension, state: me.state, reason: me.reason, activity: me.activity, since: iso(me.since_us / 1000), queues: me.queues, skills: me.skills, capacity: me.capacity };
  }
  setState(state, reason = '') {
    Object.assign(this.me, { state, reason, since_us: US() });
    this.note('agent.state_changed', this.me);
    this.tell('agent', { agent: this.agentView() });
  }
  active(activity) {
    this.me.activity = activity;
    this.tell('agent', { agent: this.agentView() });
  }
  offerView(one) {
    return { id: one.id, kind: one.kind, queue: one.queue_id ? { id: one.queue_id, name: one.queue_name } : null, caller: one.caller, caller_name: one.caller_name, waited_s: one.waited_s, expires_at: iso(one.expires_us / 1000), call_id: one.call_id, conversation_id: one.conversation_id, contact_id: one.contact_id };
  }
  liveOf(queue) {
    const mine = [...this.agents.values()].filter((one) => one.queues.includes(queue.id));
    const count = (test) => mine.filter(test).length;
    const there = (one) => one.state !== 'offline';
    return {
      queue_id: queue.id, name: queue.name, open: queue.id !== 'que_03', staffed: mine.some(there), waiting: queue.waiting, longest_s: queue.longest,
      agents: { offline: count((one) => !there(one)), not_ready: count((one) => one.state === 'not_ready' && !one.activity), ready: count((one) => one.state === 'ready' && !one.activity), reserved: count((one) => there(one) && one.activity === 'reserved'), busy: count((one) => there(one) && one.activity === 'busy'), wrap_up: count((one) => there(one) && one.activity === 'wrap_up') }
    };
  }
  wrapView(one) {
    return { offer: one.id, until: iso(one.wrap_until_us / 1000), caller: one.caller, caller_name: one.caller_name, queue: { id: one.queue_id, name: one.queue_name }, call_id: one.call_id, conversation_id: one.conversation_id, contact_id: one.contact_id };
  }

  // ---------------------------------------------------------------- what happens on the platform

  /** Something is offered to the agent: probed first, as the platform does. */
  rings({ kind = 'call', caller = '+442079460018', caller_name = 'Maria Lopez', waited_s = 14, conversation_id = '', seconds = 20 } = {}) {
    const id = `rsv_${String(++this.made).padStart(4, '0')}`;
    const one = { id, tenant_id: 'tnt_main', agent_id: 'agt_01', kind, class: kind === 'call' ? 'call' : 'message', state: 'offered', reason: '', queue_id: 'que_01', queue_name: 'Support', call_id: kind === 'call' ? `call_in${this.made}` : '', conversation_id, contact_id: '', caller, caller_name, offered_us: US(), expires_us: US() + seconds * 1e6, waited_s, agent_leg: '', connected_us: 0, ended_us: 0, done_us: 0, wrap_until_us: 0, disposition: '', notes: '', awaits_us: true, version: 0 };
    this.reservations.set(id, one);
    this.offers.set(id, one);
    this.note('reservation.offered', one);
    this.tell('probe', { probe: `prb_${id}` });
    this.tell('offer', { offer: this.offerView(one) });
    this.active('reserved');
    return one;
  }
  offerEnds(id, reason) {
    const one = this.reservations.get(id);
    this.offers.delete(id);
    one.state = reason;
    this.note(`reservation.${reason}`, one);
    this.tell('offer_ended', { offer: id, reason });
    if (reason === 'missed') this.setState('not_ready', 'missed');
    this.active('');
  }
  showCall(call) {
    this.tell('call', { call: { ...call } });
  }
  begins(call) {
    this.calls.set(call.id, { direction: 'inbound', muted: false, recording: 'on', since: iso(Date.now()), conversation_id: '', contact_id: '', queue: null, transfer: null, ...call });
    this.showCall(this.calls.get(call.id));
    this.active('busy');
    return this.calls.get(call.id);
  }
  ends(id, cause = 'NORMAL_CLEARING') {
    const call = this.calls.get(id);
    if (!call) return;
    this.calls.delete(id);
    this.tell('call_ended', { call: id, cause });
    const one = [...this.reservations.values()].find((each) => each.call_id === id && each.state === 'connected');
    if (!one) return this.active('');
    Object.assign(one, { state: 'wrap_up', ended_us: US(), wrap_until_us: US() + 30e6 });
    this.note('reservation.wrap_up', one);
    this.tell('wrap_up', this.wrapView(one));
    this.active('wrap_up');
  }
  cut() {
    for (const session of this.sessions.values()) session.cut?.();
  }
  /** The controller is gone, and all that it knew of its pages. */
  kill() {
    const all = [...this.sessions.values()];
    this.sessions.clear();
    for (const session of all) session.cut?.();
  }

  // ---------------------------------------------------------------- what pages ask

  async asks(asked, session) {
    this.asked.push([asked.type, asked]);
    const call = asked.call ? this.calls.get(asked.call) : null;
    const refuse = (code, detail, retryable = false) => ({ ok: false, code, detail, retryable });
    const answer = (leg) => (this.answerer ? this.answerer(asked.sdp, leg) : deadEnd(asked.sdp));
    const change = (patch) => {
      if (!call) return refuse('no_such_call', 'you are in no live call of this id');
      Object.assign(call, patch);
      this.showCall(call);
      return { ok: true };
    };
    switch (asked.type) {
      case 'ping': return { ok: true, at: iso(Date.now()), n: session.n };
      case 'state': this.setState(asked.state, asked.reason); return { ok: true };
      case 'probed': this.probed.push(asked.probe); return { ok: true };
      case 'quality': this.quality.push(asked); return { ok: true };
      case 'accept': {
        const one = this.offers.get(asked.offer);
        if (!one) return refuse('offer_gone', 'the offer is withdrawn');
        this.offers.delete(one.id);
        if (one.kind === 'conversation') {
          one.state = 'connected';
          this.note('reservation.connected', one);
          this.tell('offer_ended', { offer: one.id, reason: 'accepted' });
          this.active('');
          return { ok: true };
        }
        const leg = randomUUID();
        const sdp = await answer(leg);
        Object.assign(one, { state: 'connected', connected_us: US(), agent_leg: leg });
        this.note('reservation.connected', one);
        this.begins({ id: one.call_id, leg, state: 'talking', other: one.caller, other_name: one.caller_name, queue: { id: one.queue_id, name: one.queue_name }, conversation_id: one.conversation_id });
        return { ok: true, call_id: one.call_id, leg, sdp };
      }
      case 'decline': this.offerEnds(asked.offer, 'declined'); return { ok: true };
      case 'dial': {
        const leg = randomUUID();
        const sdp = await answer(leg);
        const colleague = this.agents.get(asked.to);
        const made = this.begins({ id: `call_out${++this.made}`, leg, state: 'ringing', direction: 'outbound', other: colleague?.extension ?? asked.to, other_name: colleague?.name ?? '', recording: 'off' });
        return { ok: true, call_id: made.id, leg, sdp };
      }
      case 'renew': {
        const mine = [...this.calls.values()].some((one) => one.leg === asked.leg);
        return mine ? { ok: true, sdp: await answer(asked.leg) } : refuse('no_such_leg', 'you have no live leg of this id');
      }
      case 'hold': return change({ state: 'held' });
      case 'unhold': return change({ state: 'talking' });
      case 'mute': return change({ muted: true });
      case 'unmute': return change({ muted: false });
      case 'dtmf': return call ? { ok: true } : refuse('no_such_call', '');
      case 'record_pause': return change({ recording: 'paused' });
      case 'record_resume': return change({ recording: 'on' });
      case 'conference': return change({ state: 'talking', transfer: null });
      case 'hangup': {
        if (!call) return refuse('no_such_call', 'you are in no live call of this id');
        this.ends(call.id);
        return { ok: true };
      }
      case 'transfer':
        if (asked.kind === 'blind') {
          this.ends(asked.call, 'BLIND_TRANSFER');
          return { ok: true };
        }
        return change({ state: 'consulting', transfer: { to: this.agents.get(asked.to)?.extension ?? asked.to, to_name: this.agents.get(asked.to)?.name ?? '', state: 'talking' } });
      case 'transfer_complete': this.ends(asked.call, 'ATTENDED_TRANSFER'); return { ok: true };
      case 'transfer_cancel': return change({ state: 'talking', transfer: null });
      case 'wrap_up': {
        const one = this.reservations.get(asked.offer);
        if (!one || one.state !== 'wrap_up') return refuse('not_in_wrap_up', `it is ${one?.state}`);
        Object.assign(one, { state: 'done', done_us: US(), disposition: asked.disposition, notes: asked.notes });
        this.note('reservation.done', one);
        this.tell('offer_ended', { offer: one.id, reason: 'done' });
        this.active('');
        return { ok: true };
      }
      case 'wrap_extend': {
        const one = this.reservations.get(asked.offer);
        one.wrap_until_us += asked.seconds * 1e6;
        this.tell('wrap_up', this.wrapView(one));
        return { ok: true };
      }
      default: return { ok: true };
    }
  }

  hello(asked, say, cut) {
    if (this.mode.other && !asked.take_over) return { ok: false, code: 'other_device', detail: this.mode.other, retryable: false };
    this.mode.other = '';
    let session = asked.resume ? this.sessions.get(asked.resume.session) : undefined;
    const missed = session ? session.events.filter((one) => one.n > asked.resume.n) : [];
    const resumed = Boolean(session) && (session.n === asked.resume.n || missed[0]?.n === asked.resume.n + 1);
    if (!resumed) {
      // One phone for each agent: whoever was there before is told.
      for (const other of this.sessions.values()) {
        other.say?.({ n: other.n + 1, type: 'bye', code: 'replaced', reconnect: false });
        other.cut?.();
      }
      this.sessions.clear();
      session = { id: randomUUID(), n: 0, events: [] };
      this.sessions.set(session.id, session);
      if (this.me.state === 'offline') Object.assign(this.me, { state: 'not_ready', reason: 'signed_in', since_us: US() });
    }
    session.say = say;
    session.cut = cut;
    const answer = { ok: true, session: session.id, n: session.n, resumed, heartbeat_s: 20, agent: this.agentView(), calls: [...this.calls.values()], offers: [...this.offers.values()].map((one) => this.offerView(one)), wrap_ups: [...this.reservations.values()].filter((one) => one.state === 'wrap_up').map((one) => this.wrapView(one)) };
    return { answer, session, missed };
  }

  upgrade(req, socket, head) {
    if (this.mode.refuse) return void socket.destroy();
    this.server ??= new WebSocketServer({ noServer: true, handleProtocols: () => 'irisx.signaling.v1' });
    this.server.handleUpgrade(req, socket, head, (ws) => {
      const say = (frame) => void (ws.readyState === 1 && !this.mode.deaf && ws.send(JSON.stringify(frame)));
      let session = null;
      ws.on('message', (data) => {
        const asked = JSON.parse(String(data));
        if (asked.type === 'hello') {
          const found = this.hello(asked, say, () => ws.terminate());
          if (!found.answer) return say({ re: asked.id, ...found });
          session = found.session;
          say({ re: asked.id, ...found.answer });
          for (const one of found.missed) say(one);
          return;
        }
        if (session) void this.asks(asked, session).then((answer) => say({ re: asked.id, ...answer }));
      });
      ws.on('error', () => undefined);
      ws.on('close', () => {
        if (session?.say === say) session.say = session.cut = null;
      });
    });
  }

  routes({ page, filtered, need, Refusal }) {
    const { platform } = this;
    return [
      ['POST', '/v1/auth/tokens/signaling', (_, { req }) => {
        if (!this.me) throw new Refusal(409, 'no_agent', 'you are no agent');
        return { token: randomUUID(), expires_at: iso(Date.now() + 60_000), urls: [`ws://${req.headers.host}/v1/signaling`], ice_servers: [] };
      }],
      ['GET', '/v1/agents', (_, { query }) => page(filtered([...this.agents.values()], query), query)],
      ['GET', '/v1/queues', (_, { query }) => page([...this.queues.values()], query)],
      ['GET', '/v1/reservations', (_, { query }) => page(filtered([...this.reservations.values()], query).sort((a, b) => b.offered_us - a.offered_us), query)],
      ['GET', '/v1/analytics/live', () => ({ at_us: US(), queues: [...this.queues.values()].map((one) => this.liveOf(one)) })],
      ['GET', '/v1/analytics/queues', () => ({ from_us: 0, to_us: US(), within_s: 20, short_s: 5, variant: 'answered_and_lost', rows: [['que_01', 86, 100], ['que_02', 47, 50], ['que_03', 0, 0]].map(([queue_id, part, whole]) => ({ queue_id, work: 'call', service_level: { part, whole, share: whole ? part / whole : null } })) })],
      ['GET', '/v1/queue-settings', () => ({ version: 0, settings: { pause_reasons: ['break', 'lunch', 'meeting', 'training'], weights: { call: { attention: 1, audio: 1, slots: 1 }, chat: { attention: 0.34, audio: 0, slots: 1 }, idle_chat: { attention: 0.1, audio: 0, slots: 0.5 }, message: { attention: 0.2, audio: 0, slots: 0.5 }, idle_message: { attention: 0.1, audio: 0, slots: 0.5 }, mail: { attention: 0.25, audio: 0, slots: 1 }, idle_mail: { attention: 0.1, audio: 0, slots: 0.5 }, asleep_after_s: 600 } } })],
      ['GET', '/v1/dispositions', (_, { query }) => page(['Solved', 'We have to follow up', 'They want to be called back', 'Complaint', 'Wrong number'].map((name, n) => ({ id: `dsp_0${n}`, name, queue_ids: [], position: n, active: true, version: 1, created_us: US(), updated_us: US() })), query)],
      ['GET', '/v1/agents/:id/timeline', (_, { query }) => page([[4, 'not_ready', 'lunch'], [60, 'ready', ''], [61, 'not_ready', 'signed_in'], [62, 'offline', '']].map(([minutes, state, reason], n) => ({ id: `${n}`, at_us: US() - minutes * 60e6, state, reason, actor: '' })), query)],
      ['GET', '/v1/agents/:id', ([id]) => need(this.agents, id, 'agent')]
    ];
  }
}

/**
 * The far end of the calls, in a page of its own: answers offers with a tone of `pitch` Hz, and tells what it hears.
 * A second offer for the same leg with other keys is another connection, as after a reload.
 */
export async function farEnd(page, fake, pitch = 480) {
  const far = await page.browserContext().newPage();
  await far.goto(`${fake.url}/__far`);
  await far.evaluate(async (hertz) => {
    await navigator.mediaDevices.getUserMedia({ audio: true });
    const context = new AudioContext();
    const tone = context.createOscillator();
    tone.frequency.value = hertz;
    const out = context.createMediaStreamDestination();
    tone.connect(out);
    tone.start();
    const legs = new Map();
    globalThis.answers = async (sdp, leg) => {
      const keys = /a=fingerprint:(.*)/.exec(sdp)[1];
      let one = legs.get(leg);
      if (!one || one.keys !== keys) {
        one?.peer.close();
        const peer = new RTCPeerConnection({ iceServers: [] });
        peer.addTrack(out.stream.getAudioTracks()[0], out.stream);
        one = { peer, keys, made: (one?.made ?? 0) + 1, restarts: 0 };
        peer.ontrack = ({ streams }) => {
          const audio = new Audio();
          audio.srcObject = streams[0];
          void audio.play();
        };
        legs.set(leg, one);
      } else one.restarts += 1;
      await one.peer.setRemoteDescription({ type: 'offer', sdp });
      await one.peer.setLocalDescription(await one.peer.createAnswer());
      if (one.peer.iceGatheringState !== 'complete') await new Promise((done) => {
        one.peer.onicegatheringstatechange = () => one.peer.iceGatheringState === 'complete' && done();
        setTimeout(done, 2000);
      });
      return one.peer.localDescription.sdp;
    };
    globalThis.hears = async (leg) => {
      const one = legs.get(leg);
      for (const stat of (await one.peer.getStats()).values()) if (stat.type === 'inbound-rtp') return { received: stat.packetsReceived, energy: stat.totalAudioEnergy ?? 0, made: one.made, restarts: one.restarts };
      return { received: 0, energy: 0, made: one.made, restarts: one.restarts };
    };
  }, pitch);
  await page.bringToFront();
  fake.platform.phones.answerer = (sdp, leg) => far.evaluate((offer, name) => globalThis.answers(offer, name), sdp, leg);
  return { page: far, hears: (leg) => far.evaluate((name) => globalThis.hears(name), leg) };
}
