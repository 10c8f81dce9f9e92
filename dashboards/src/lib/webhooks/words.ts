/** What an endpoint and its deliveries are like, in words. */
import type { Schemas } from '$lib/api/types';
import type { Tone } from '$lib/words/causes';
import { count, spanWords } from '$lib/words/time';

export type Webhook = Schemas['WebhookInfo'];
export type Delivery = Schemas['Delivery'];
export type DeliveryDetail = Schemas['DeliveryDetail'];
export type Attempt = Schemas['DeliveryAttempt'];

export interface Said {
  tone: Tone;
  word: string;
  help: string;
}

export function hookState(one: Webhook, now: number): Said {
  if (one.state === 'disabled') return { tone: 'bad', word: 'Off', help: one.reason };
  if (one.failing_since_us) return { tone: 'attention', word: 'Fails', help: `Nothing was delivered for ${spanWords(now - one.failing_since_us / 1000)}. It is tried again for three days.` };
  if (one.last_delivered_us) return { tone: 'good', word: 'Works', help: 'The last delivery was taken.' };
  return { tone: 'plain', word: 'New', help: 'Nothing was delivered yet.' };
}

/** `99.2 % of 1,203`: a share with its count; a dash when nothing was tried. */
export function share(one: Webhook): string {
  const all = one.delivered_day + one.failed_day;
  if (!all) return '–';
  const percent = (100 * one.delivered_day) / all;
  const shown = percent === 100 || percent === 0 ? percent.toFixed(0) : Math.min(99.9, Math.max(0.1, percent)).toFixed(1);
  return `${shown} % of ${count(all)}`;
}

export function deliveryState(one: Delivery): Said {
  if (one.state === 'delivered') return { tone: 'good', word: 'Delivered', help: `Answered ${one.status}` };
  if (one.state === 'failed') return { tone: 'bad', word: 'Failed', help: one.reason };
  if (one.tries) return { tone: 'attention', word: 'Tried again', help: one.reason };
  return { tone: 'info', word: 'Waits', help: 'For its turn' };
}

const ERRORS: Record<string, string> = {
  timeout: 'No answer within 10 s',
  connection_failed: 'No connection',
  connection_lost: 'The connection ended before an answer',
  no_such_host: 'The host’s name is not known',
  private_address: 'The address is in a private network',
  tls_failed: 'No secure connection: look at the certificate',
  bad_answer: 'What it answered is not HTTP',
  gone: 'The entry is not in the log any more'
};

export function outcome(attempt: Attempt): Said {
  if (attempt.status >= 200 && attempt.status < 300) return { tone: 'good', word: `Answered ${attempt.status}`, help: 'Taken' };
  if (attempt.status) return { tone: 'bad', word: `Answered ${attempt.status}`, help: attempt.status >= 300 && attempt.status < 400 ? 'Redirects are not followed' : 'Not taken' };
  return { tone: 'bad', word: ERRORS[attempt.error] ?? attempt.error, help: attempt.error };
}

/** `Everything`, `call.*, message.received`. */
export const hears = (types: readonly string[]): string => (types.includes('*') ? 'Everything' : types.join(', '));
