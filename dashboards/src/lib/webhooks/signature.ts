/**
 * A receiver's check, done by hand: does a secret fit what was sent? Standard Webhooks 1.0.0 (HMAC-SHA256 over
 * `id.timestamp.body`, base64, one signature for each secret in force). The secret stays in this page.
 */
export interface Sent {
  id: string;
  timestamp: number;
  signature: string;
  body: string;
}

export type Fit = 'fits' | 'does not fit' | 'no secret' | 'not here';

const PREFIX = 'whsec_';

export async function fit(secret: string, sent: Sent): Promise<Fit> {
  const words = secret.trim();
  if (!words.startsWith(PREFIX)) return 'no secret';
  // Browsers offer it on https and on this machine only.
  if (typeof crypto === 'undefined' || !crypto.subtle) return 'not here';
  let raw: string;
  try {
    raw = atob(words.slice(PREFIX.length));
  } catch {
    return 'no secret';
  }
  const bytes = Uint8Array.from(raw, (letter) => letter.charCodeAt(0));
  if (bytes.length === 0) return 'no secret';
  const key = await crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  const digest = await crypto.subtle.sign('HMAC', key, new TextEncoder().encode(`${sent.id}.${sent.timestamp}.${sent.body}`));
  const mine = `v1,${btoa(String.fromCharCode(...new Uint8Array(digest)))}`;
  return sent.signature.split(' ').includes(mine) ? 'fits' : 'does not fit';
}
