import { describe, expect, it } from 'vitest';
import { fit } from './signature';
import { deliveryState, hears, hookState, share, type Delivery, type Webhook } from './words';

const HOOK: Webhook = {
  id: 'whe_1', name: 'Ours', url: 'https://x.example/', types: ['*'], state: 'active', reason: '', at_once: 4, place: 0, head: 0, old_secret_until_us: 0,
  failing_since_us: 0, last_delivered_us: 1, waiting: 0, oldest_waiting_us: 0, delivered_day: 0, failed_day: 0, version: 1, created_us: 1, updated_us: 1
};

describe('an endpoint in words', () => {
  it('says a share with its count, and never rounds a failure away', () => {
    expect(share(HOOK)).toBe('–');
    expect(share({ ...HOOK, delivered_day: 12 })).toBe('100 % of 12');
    expect(share({ ...HOOK, delivered_day: 99_999, failed_day: 1 })).toMatch(/^99\.9 % of 100.000$/);
    expect(share({ ...HOOK, delivered_day: 1, failed_day: 99_999 })).toMatch(/^0\.1 %/);
  });
  it('says why it hears nothing', () => {
    expect(hookState({ ...HOOK, state: 'disabled', reason: 'it answered 410' }, 0)).toMatchObject({ tone: 'bad', help: 'it answered 410' });
    expect(hookState({ ...HOOK, failing_since_us: 1_000_000 }, 61_000).help).toContain('1 min');
    expect(hears(['call.*', '*'])).toBe('Everything');
  });
  it('tells a first turn from a repetition', () => {
    const one = { state: 'waiting', tries: 0, reason: '', status: 0 } as Delivery;
    expect(deliveryState(one).word).toBe('Waits');
    expect(deliveryState({ ...one, tries: 1, reason: 'it answered 503' })).toMatchObject({ word: 'Tried again', help: 'it answered 503' });
  });
});

describe('a signature tried by hand', () => {
  // The answer that the specification's own libraries are tested with.
  const sent = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestamp: 1_614_265_330, body: '{"test": 2432232314}', signature: 'v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=' };
  it('fits with the secret it was made with', async () => {
    expect(await fit('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', sent)).toBe('fits');
  });
  it('does not fit with another one, nor for another body', async () => {
    expect(await fit('whsec_AAAA9r8GKYqrTwjUPD8ILPZIo2LaLaSw', sent)).toBe('does not fit');
    expect(await fit('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', { ...sent, body: '{}' })).toBe('does not fit');
  });
  it('knows what is no secret', async () => {
    expect(await fit('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', sent)).toBe('no secret');
    expect(await fit('whsec_%%%', sent)).toBe('no secret');
  });
});
