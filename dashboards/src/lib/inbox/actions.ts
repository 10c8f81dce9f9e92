/** What people do with a conversation: one request each, its answer taken at once, a refusal in words. */
import { get, patch, post } from '$lib/api/client';
import { asProblem, type Problem } from '$lib/api/problem';
import type { Conversation } from '$lib/api/types';
import { threads } from '$lib/live/threads.svelte';
import { notices } from '$lib/notices.svelte';
import { people } from './people.svelte';

export type Order = 'assign' | 'resolve' | 'reopen' | 'snooze' | 'read';

async function run(talk: Conversation, words: string, ask: () => Promise<Conversation>): Promise<Conversation | null> {
  try {
    const after = await ask();
    threads.talks.reader.take([after]);
    return after;
  } catch (error) {
    const problem = asProblem(error);
    if (problem.status === 409) {
      // Who has it now is what one wants to know.
      const now = await get<Conversation>(`/v1/conversations/${talk.id}`).catch(() => null);
      if (now) threads.talks.reader.take([now]);
    } else threads.talks.reader.hear([[talk.id, 0]]);
    notices.problem(explained(talk, problem) || words, problem);
    return null;
  }
}

function explained(talk: Conversation, problem: Problem): string {
  const now = threads.talks.rows.get(talk.id);
  if (problem.code === 'already_assigned') return now?.assignee ? `${people.name(now.assignee)} was faster` : 'Somebody was faster';
  if (problem.code === 'wrong_state') return 'Somebody else changed it in the meantime';
  return '';
}

const order = (talk: Conversation, name: Order, body: unknown = {}): Promise<Conversation> => post<Conversation>(`/v1/conversations/${talk.id}/${name}`, body);

export async function assign(talk: Conversation, assignee: string, unlessAssigned = false): Promise<void> {
  const before = talk.assignee;
  const after = await run(talk, 'It could not be given to anybody', () => order(talk, 'assign', { assignee, ...(unlessAssigned ? { unless_assigned: true } : {}) }));
  if (!after) return;
  notices.done(assignee ? `${people.name(assignee)} has it now` : 'Nobody has it now', () => void run(after, 'It could not be undone', () => order(after, 'assign', { assignee: before })));
}

export async function resolve(talk: Conversation): Promise<void> {
  const after = await run(talk, 'It could not be resolved', () => order(talk, 'resolve'));
  if (after) notices.done('Resolved', () => void reopen(after));
}
export async function reopen(talk: Conversation): Promise<void> {
  const after = await run(talk, 'It could not be opened again', () => order(talk, 'reopen'));
  if (after) notices.announce('Open again');
}
export async function snooze(talk: Conversation, until: Date): Promise<void> {
  const after = await run(talk, 'It could not be put away', () => order(talk, 'snooze', { until_us: until.getTime() * 1000 }));
  if (after) notices.done(`Put away until ${until.toLocaleString(undefined, { weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' })}`, () => void run(after, 'It could not be undone', () => patch<Conversation>(`/v1/conversations/${after.id}`, { state: 'open' })));
}
export async function relabel(talk: Conversation, labels: readonly string[]): Promise<void> {
  await run(talk, 'The labels could not be changed', () => patch<Conversation>(`/v1/conversations/${talk.id}`, { labels }));
}
export async function markRead(talk: Conversation): Promise<void> {
  try {
    threads.talks.reader.take([await order(talk, 'read')]);
  } catch {
    threads.talks.reader.hear([[talk.id, 0]]); // nobody asked for it: it is tried again with the next look
  }
}
