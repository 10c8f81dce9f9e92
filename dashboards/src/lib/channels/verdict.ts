/** A conformance check in words: does a channel keep its promises, and which ones it does not. Pure. */
import type { Schemas } from '$lib/api/types';
import type { Tone } from '$lib/words/causes';
import { count, plural } from '$lib/words/time';

export type Job = Schemas['Job'];

/** One promise; `held` is null when it does not apply to the channel. */
export interface Check {
  name: string;
  held: boolean | null;
  why: string;
}

export interface Verdict {
  tone: Tone;
  word: string;
  /** Why there is no result, for a check that ended without one. */
  why: string;
  checks: readonly Check[];
}

/** It waits or runs: worth asking about again. */
export const isOpen = (job: Pick<Job, 'state'> | undefined): boolean => job?.state === 'queued' || job?.state === 'running';

/** When it was made, or asked for: what to say the age of. */
export const whenOf = (job: Pick<Job, 'created_at' | 'ended_at'>): number => Date.parse(job.ended_at ?? job.created_at);

/** Which of two readings of a channel's newest check is to be believed: they may arrive in the wrong order. */
export function newer(known: Job | undefined, read: Job): Job {
  if (!known) return read;
  if (known.id === read.id) return isOpen(read) && !isOpen(known) ? known : read;
  return Date.parse(read.created_at) >= Date.parse(known.created_at) ? read : known;
}

export function verdict(job: Job): Verdict {
  const found = job.result as { checks?: readonly Check[] } | null;
  const error = job.error as { detail?: string; code?: string } | null;
  const checks = found?.checks ?? [];
  const said = (tone: Tone, word: string, why = ''): Verdict => ({ tone, word, why, checks });
  if (job.state === 'queued') return said('plain', 'Waits for its turn');
  if (job.state === 'running') return said('info', 'Being checked…');
  if (job.state === 'cancelled') return said('plain', 'Cancelled');
  if (job.state === 'failed') return said('bad', 'Could not be checked', error?.detail || error?.code || 'No reason was told.');
  if (!checks.length) return said('attention', 'Nothing was checked', 'The check ended without a result.');
  const hold = checks.filter((one) => one.held === true).length;
  const not = checks.filter((one) => one.held === false).length;
  const rest = checks.length - hold - not;
  const parts = [not && `${count(not)} of ${plural(checks.length, 'promise')} ${not === 1 ? 'does' : 'do'} not hold`, !not && `${count(hold)} ${hold === 1 ? 'holds' : 'hold'}`, !not && rest && `${count(rest)} ${rest === 1 ? 'does' : 'do'} not apply`];
  return said(not ? 'bad' : 'good', parts.filter(Boolean).join(', '));
}
