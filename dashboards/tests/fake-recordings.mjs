// Recordings, policies and prompts, as the stand-in platform has them: shapes and rules of the API, in memory.

const RATE = 8000;

/** Four seconds of two tones, one on each side. */
function wav(seconds) {
  const frames = RATE * seconds;
  const out = Buffer.alloc(44 + frames * 4);
  out.write('RIFF', 0);
  out.writeUInt32LE(36 + frames * 4, 4);
  out.write('WAVEfmt ', 8);
  out.writeUInt32LE(16, 16);
  out.writeUInt16LE(1, 20);
  out.writeUInt16LE(2, 22);
  out.writeUInt32LE(RATE, 24);
  out.writeUInt32LE(RATE * 4, 28);
  out.writeUInt16LE(4, 32);
  out.writeUInt16LE(16, 34);
  out.write('data', 36);
  out.writeUInt32LE(frames * 4, 40);
  for (let n = 0; n < frames; n++) {
    const loud = 3000 + 2500 * Math.sin(n / 4000);
    out.writeInt16LE(Math.round(loud * Math.sin((2 * Math.PI * 440 * n) / RATE)), 44 + n * 4);
    out.writeInt16LE(Math.round(loud * Math.sin((2 * Math.PI * 660 * n) / RATE)), 46 + n * 4);
  }
  return out;
}

export class Recordings {
  constructor(platform) {
    this.platform = platform;
    this.kept = new Map();
    this.policies = new Map();
    this.plays = [];
    this.sound = wav(4);
    const now = Date.now() * 1000;
    const prefix = { action: 'record', state: 'on', directions: [], prefixes: [], queues: [], agents: [], share: 100, moment: 'answered', announcement: '', stereo: true, pause_allowed: true, retention_days: 90, hold: false, version: 1, created_us: now, updated_us: now };
    for (const members of [
      { name: 'Claims', position: 10, queues: ['que_claims'], moment: 'talking', retention_days: 365 },
      { name: 'Never abroad', position: 20, action: 'never', prefixes: ['1', '44'] },
      { name: 'One in five', position: 90, share: 20 }
    ]) {
      const id = platform.id('rpo');
      this.policies.set(id, { id, ...prefix, ...members });
    }
    const [policy] = this.policies.keys();
    const calls = [...platform.ended];
    for (let n = 0; n < 24; n++) {
      const state = n === 2 ? 'missing' : n === 3 ? 'stopped' : n === 0 ? 'recording' : n === 9 ? 'erased' : 'stored';
      const call = calls[n % calls.length];
      const began = now - n * 900e6 - 60e6;
      const stored = state === 'stored' || state === 'erased';
      const id = platform.id('rec');
      this.kept.set(id, {
        id, call_id: call.id, node: 'node_00', leg: 'leg-1', source: 'policy', policy_id: policy, state, reason: state === 'missing' ? 'not_on_disk' : '', direction: n % 3 ? 'inbound' : 'outbound',
        caller: call.caller, destination: call.destination, queue_id: 'que_claims', agent_id: '', stereo: true, pause_allowed: true, expected_us: began, started_us: began + 200_000, stopped_us: state === 'recording' ? 0 : began + 4_200_000,
        stored_us: stored ? began + 6e6 : 0, masked: n === 1 ? [[began + 1_200_000, began + 2_200_000]] : [], duration_ms: stored ? 4000 : 0, channels: stored ? 2 : 0, size: stored ? this.sound.length : 0,
        sha256: stored ? '9b1c'.repeat(16) : '', retention_days: 365, expires_us: stored ? began + 365 * 86_400e6 : 0, hold: n === 5, hold_reason: '', plays: 0, erased_us: state === 'erased' ? began + 60e6 : 0,
        erased: state === 'erased' ? { by: 'retention', reason: 'its retention is over', versions: 1, key: 'recordings/x.wav', size: this.sound.length, sha256: '9b1c'.repeat(16), checked_us: began + 60e6 } : null, version: 1
      });
    }
  }
  heard(one, actor, bytes) {
    const before = this.plays.find((play) => play.recording_id === one.id && play.actor === actor);
    if (before) return void Object.assign(before, { requests: before.requests + 1, bytes: before.bytes + bytes });
    one.plays += 1;
    this.plays.unshift({ id: this.platform.id('rpl'), recording_id: one.id, actor, way: 'address', remote: '127.0.0.1', requests: 1, bytes, at_us: Date.now() * 1000, last_us: Date.now() * 1000 });
  }
  routes({ page, filtered, need, Refusal }) {
    const stored = (id) => {
      const one = need(this.kept, id, 'recording');
      if (one.state !== 'stored') throw new Refusal(409, 'recording_not_stored', `the recording is ${one.state}`);
      return one;
    };
    const policy = (id) => need(this.policies, id, 'recording policy');
    return [
      ['GET', '/v1/recordings', (_, { query }) => page(filtered([...this.kept.values()], query), query)],
      ['GET', '/v1/recordings/summary', () => {
        const counts = Object.fromEntries(['expected', 'recording', 'stopped', 'uploading', 'stored', 'missing', 'erased'].map((state) => [state, 0]));
        for (const one of this.kept.values()) counts[one.state] += 1;
        return { since_us: 0, ...counts };
      }],
      ['GET', '/v1/recordings/:id', ([id]) => need(this.kept, id, 'recording')],
      ['DELETE', '/v1/recordings/:id', ([id]) => {
        const one = need(this.kept, id, 'recording');
        if (one.hold) throw new Refusal(409, 'on_hold', 'the recording is held: lift the hold first');
        const erased = { by: 'usr_01', reason: '', versions: 2, key: `recordings/${id}.wav`, size: one.size, sha256: one.sha256, checked_us: Date.now() * 1000 };
        return Object.assign(one, { state: 'erased', erased_us: Date.now() * 1000, erased, version: one.version + 1 });
      }],
      ['PUT', '/v1/recordings/:id/hold', ([id]) => Object.assign(need(this.kept, id, 'recording'), { hold: true })],
      ['DELETE', '/v1/recordings/:id/hold', ([id]) => Object.assign(need(this.kept, id, 'recording'), { hold: false })],
      ['GET', '/v1/recordings/:id/accesses', ([id], { query }) => page(this.plays.filter((play) => play.recording_id === id), query)],
      ['POST', '/v1/recordings/:id/verify', ([id]) => ({ good: true, size: stored(id).size, sha256: '9b1c'.repeat(16), checked_us: Date.now() * 1000 })],
      ['GET', '/v1/recordings/:id/waveform', ([id], { query }) => {
        const points = Number(query.get('points') ?? 400);
        const lane = (shift) => Array.from({ length: points }, (_, n) => Math.round(Math.abs(Math.sin(n / 9 + shift) * Math.sin(n / 41 + shift)) * 190));
        return { duration_ms: stored(id).duration_ms, channels: [lane(0), lane(1.4)] };
      }],
      ['POST', '/v1/recordings/:id/address', ([id]) => ({ address: `/v1/recordings/${stored(id).id}/public?by=usr_01&expires=9999999999&signature=abc`, expires_us: Date.now() * 1000 + 300e6 })],
      ['GET', '/v1/recordings/:id/public', ([id], { req, res }) => {
        const [, from, to] = /bytes=(\d+)-(\d*)/.exec(req.headers.range ?? '') ?? [];
        const first = Number(from ?? 0);
        const stop = to ? Number(to) + 1 : this.sound.length;
        this.heard(stored(id), 'usr_01', stop - first);
        res.writeHead(from === undefined ? 200 : 206, { 'content-type': 'audio/wav', 'accept-ranges': 'bytes', 'content-length': stop - first, ...(from === undefined ? {} : { 'content-range': `bytes ${first}-${stop - 1}/${this.sound.length}` }) });
        res.end(this.sound.subarray(first, stop));
      }, true],
      ['GET', '/v1/media', (_, { query }) => page([{ id: 'med_01', name: 'This call is recorded', language: 'en', size: 64044, sha256: '', duration_ms: 4000, channels: 1, rate: 8000, version: 1, created_us: 1, updated_us: 1 }], query)],
      ['GET', '/v1/recording-policies', (_, { query }) => page([...this.policies.values()], query)],
      ['POST', '/v1/recording-policies', (_, { body }) => {
        const id = this.platform.id('rpo');
        this.policies.set(id, { id, state: 'on', version: 1, created_us: Date.now() * 1000, updated_us: Date.now() * 1000, ...body });
        return this.policies.get(id);
      }],
      ['POST', '/v1/recording-policies/simulate', (_, { body }) => {
        const looked_at = [];
        for (const one of [...this.policies.values()].sort((a, b) => a.position - b.position)) {
          const number = (body.number ?? '').replace('+', '');
          const skipped = one.state === 'off' ? 'off' : one.prefixes.length && !one.prefixes.some((prefix) => number.startsWith(prefix)) ? 'number' : one.queues.length ? 'queue' : '';
          looked_at.push({ policy_id: one.id, skipped });
          if (!skipped) return { record: one.action === 'record', reason: one.action === 'record' ? 'policy' : 'never', policy_id: one.id, looked_at };
        }
        return { record: false, reason: 'no_policy', policy_id: '', looked_at };
      }],
      ['PATCH', '/v1/recording-policies/:id', ([id], { body }) => Object.assign(policy(id), body, { version: policy(id).version + 1 })],
      ['DELETE', '/v1/recording-policies/:id', ([id]) => void this.policies.delete(policy(id).id)]
    ];
  }
}
