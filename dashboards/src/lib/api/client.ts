/**
 * The one way to the API: bearer token in memory, refreshed by the httpOnly cookie, problems as `Problem`.
 *
 * The token is never stored: a reload asks for a new one with the cookie. When several requests find the token
 * expired, one refresh serves them all, and each is repeated once. Tabs refresh one after the other (`one-at-a-time`).
 */
import { clock } from '../clock.svelte';
import { oneAtATime } from './one-at-a-time';
import { Problem, asProblem, problemOf } from './problem';

export type Query = Record<string, string | number | boolean | undefined | null | { readonly exactly: string }>;

export interface Request {
  body?: unknown;
  /** Empty values are left out, except those that ask for exactly nothing: `{ exactly: '' }`. */
  query?: Query;
  /** For actions: the same key makes a repeat harmless. Made up when not given and the method is POST. */
  idempotencyKey?: string;
  /** The version that was looked at; the server refuses when it changed (412). */
  ifMatch?: string;
  signal?: AbortSignal;
  /** No token, no refresh: login itself and public pages. */
  open?: boolean;
  timeoutMs?: number;
}

export interface Answer<T> {
  data: T;
  etag: string;
  requestId: string;
}

export interface Identity {
  access_token: string;
  /** Milliseconds of the epoch after which the token is refused. */
  expiresAt: number;
}

/** A little before it ends: a request on its way must still be valid when it arrives. */
const SKEW_MS = 3_000;
const EARLY_MS = 20_000;
const LONGEST_REFRESH_MS = 10_000;
/** A file on a slow line takes its time. */
const LONG_MS = 300_000;

let identity: Identity | null = null;
let tenant = '';
let refreshing: Promise<boolean> | null = null;
let onExpired: () => void = () => undefined;

export const signedIn = (): boolean => identity !== null;
export const setTenant = (id: string): void => void (tenant = id);
export const currentTenant = (): string => tenant;
export const whenExpired = (run: () => void): void => void (onExpired = run);

export function keepToken(answer: { access_token: string; expires_in?: number }): void {
  identity = { access_token: answer.access_token, expiresAt: Date.now() + (answer.expires_in ?? 600) * 1000 };
}
export const forgetToken = (): void => void (identity = null);

/** A new token by the cookie. False when there is no session (any more); raises when the server is not there. */
export function refresh(): Promise<boolean> {
  refreshing ??= oneAtATime(renew).finally(() => {
    refreshing = null;
  });
  return refreshing;
}

async function renew(): Promise<boolean> {
  const response = await fetch('/v1/auth/refresh', {
    method: 'POST',
    credentials: 'same-origin',
    headers: { 'content-type': 'application/json' },
    body: '{}',
    // The old cookie is used up: the new one has to be kept even when the page is left meanwhile.
    keepalive: true,
    signal: AbortSignal.timeout(LONGEST_REFRESH_MS)
  });
  if (response.status === 401 || response.status === 403 || response.status === 400) {
    identity = null;
    return false;
  }
  if (!response.ok) throw await problemOf(response);
  keepToken((await response.json()) as { access_token: string; expires_in?: number });
  return true;
}

export const newKey = (): string =>
  typeof crypto.randomUUID === 'function' ? crypto.randomUUID() : Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

export function address(path: string, query?: Request['query']): string {
  if (!query) return path;
  const out = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (typeof value === 'object' && value !== null) out.set(name, value.exactly);
    else if (value !== undefined && value !== null && value !== '') out.set(name, String(value));
  }
  const text = out.toString();
  return text ? `${path}?${text}` : path;
}

async function once(method: string, path: string, request: Request): Promise<Response> {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (!request.open && identity) headers['authorization'] = `Bearer ${identity.access_token}`;
  if (!request.open && tenant) headers['tenant'] = tenant;
  if (request.body !== undefined) headers['content-type'] = 'application/json';
  if (request.idempotencyKey) headers['idempotency-key'] = request.idempotencyKey;
  if (request.ifMatch) headers['if-match'] = request.ifMatch;
  const limit = AbortSignal.timeout(request.timeoutMs ?? 20_000);
  const signal = request.signal && 'any' in AbortSignal ? AbortSignal.any([request.signal, limit]) : (request.signal ?? limit);
  const response = await fetch(address(path, request.query), {
    method,
    headers,
    credentials: 'same-origin',
    ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
    signal
  });
  // The header has whole seconds: a small difference is none.
  const ahead = Date.parse(response.headers.get('date') ?? '') - Date.now();
  if (Number.isFinite(ahead)) clock.skew = Math.abs(ahead) > SKEW_MS ? ahead : 0;
  return response;
}

/** One request. Raises `Problem`, and nothing else. */
export async function send<T>(method: string, path: string, request: Request = {}): Promise<Answer<T>> {
  const full = { ...request };
  if (method === 'POST' && !full.idempotencyKey) full.idempotencyKey = newKey();
  try {
    if (!full.open && identity && identity.expiresAt - EARLY_MS < Date.now()) await refresh();
    let response = await once(method, path, full);
    if (response.status === 401 && !full.open) {
      if (await refresh()) response = await once(method, path, full);
      if (response.status === 401) {
        onExpired();
        throw await problemOf(response);
      }
    }
    if (!response.ok) throw await problemOf(response);
    const text = response.status === 204 ? '' : await response.text();
    return {
      data: (text ? JSON.parse(text) : null) as T,
      etag: response.headers.get('etag') ?? '',
      requestId: response.headers.get('request-id') ?? ''
    };
  } catch (error) {
    if (error instanceof DOMException && error.name === 'TimeoutError') {
      throw new Problem(504, 'No answer in time', 'The server did not answer.', 'timeout', '', true, []);
    }
    throw asProblem(error);
  }
}

export const get = async <T>(path: string, request?: Request): Promise<T> => (await send<T>('GET', path, request)).data;
export const post = async <T>(path: string, body: unknown = {}, request?: Request): Promise<T> => (await send<T>('POST', path, { ...request, body })).data;
export const patch = async <T>(path: string, body: unknown, request?: Request): Promise<T> => (await send<T>('PATCH', path, { ...request, body })).data;
export const remove = async <T>(path: string, request?: Request): Promise<T> => (await send<T>('DELETE', path, request)).data;

/** The bytes of a file. Raises `Problem`. */
export async function bytesOf(path: string): Promise<Blob> {
  return (await raw('GET', path, {})).blob();
}

/** Sends a file as it is; the answer as JSON. Raises `Problem`. */
export async function upload<T>(path: string, file: Blob, query: Query): Promise<T> {
  return (await (await raw('POST', address(path, query), { body: file, headers: { 'content-type': file.type || 'application/octet-stream' } })).json()) as T;
}

/** A request whose body or answer is no JSON. */
async function raw(method: string, path: string, init: { body?: Blob; headers?: Record<string, string> }): Promise<Response> {
  const ask = (): Promise<Response> =>
    fetch(path, {
      method, credentials: 'same-origin', signal: AbortSignal.timeout(LONG_MS), ...(init.body ? { body: init.body } : {}),
      headers: { ...init.headers, ...(identity ? { authorization: `Bearer ${identity.access_token}` } : {}), ...(tenant ? { tenant } : {}) }
    });
  try {
    if (identity && identity.expiresAt - EARLY_MS < Date.now()) await refresh();
    let response = await ask();
    if (response.status === 401 && (await refresh())) response = await ask();
    if (!response.ok) throw await problemOf(response);
    return response;
  } catch (error) {
    throw asProblem(error);
  }
}

export interface ListPage<T> {
  data: T[];
  has_more: boolean;
  next_cursor: string | null;
}

/** The same request for a terminal. The token is named, not shown. */
export function asCurl(method: string, path: string, body?: unknown): string {
  const parts = [`curl -X ${method} '${location.origin}${path}'`, `-H "Authorization: Bearer $IRISX_TOKEN"`];
  if (tenant) parts.push(`-H 'Tenant: ${tenant}'`);
  if (method === 'POST') parts.push(`-H "Idempotency-Key: $(uuidgen)"`);
  if (body !== undefined) {
    parts.push(`-H 'Content-Type: application/json'`, `-d '${JSON.stringify(body).replaceAll("'", `'\\''`)}'`);
  }
  return parts.join(' \\\n  ');
}
