/** The newest conformance check of each channel: read once, asked for, and followed while one is open. */
import { get, post } from '$lib/api/client';
import { asProblem, type Problem } from '$lib/api/problem';
import { notices } from '$lib/notices.svelte';
import { isOpen, newer, verdict, type Job } from './verdict';

const POLL_MS = 2_000;
const AT_ONCE = 3;

/** For one view: `close` when it goes, and nothing is asked any more. */
export class Checks {
  jobs = $state.raw<ReadonlyMap<string, Job>>(new Map());
  /** Channels whose newest check is known, be it that there is none. */
  known = $state.raw<ReadonlySet<string>>(new Set());
  /** Why the last reading did not succeed. */
  problem = $state.raw<Problem | null>(null);
  #asking = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #closed = false;

  open(type: string): boolean {
    return isOpen(this.jobs.get(type));
  }

  /** Reads what is known of these channels, a few at a time. */
  async read(types: readonly string[]): Promise<void> {
    const left = [...types];
    let problem: Problem | null = null;
    const next = async (): Promise<void> => {
      for (let type = left.shift(); type && !this.#closed; type = left.shift()) {
        try {
          this.#put(type, await get<Job>(path(type)));
        } catch (error) {
          const found = asProblem(error);
          if (found.code === 'never_checked') this.known = new Set([...this.known, type]);
          else problem = found;
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, next));
    this.problem = problem;
    this.#follow();
  }

  /** Starts one; a check that is open already is shown instead. */
  async start(type: string, title: string): Promise<void> {
    if (this.open(type) || this.#asking.has(type)) return;
    this.#asking.add(type);
    try {
      this.#put(type, await post<Job>(path(type)));
      this.#follow();
    } catch (error) {
      notices.problem(`${title} could not be checked`, asProblem(error));
    } finally {
      this.#asking.delete(type);
    }
  }

  close(): void {
    this.#closed = true;
    if (this.#timer) clearTimeout(this.#timer);
  }

  #put(type: string, read: Job): void {
    const before = this.jobs.get(type);
    const job = newer(before, read);
    this.jobs = new Map([...this.jobs, [type, job]]);
    this.known = new Set([...this.known, type]);
    // Who waited for it may look elsewhere, or not look at all.
    if (!this.#closed && isOpen(before) && !isOpen(job)) notices.announce(`${type}: ${verdict(job).word}`);
  }

  #follow(): void {
    if (this.#closed || this.#timer) return;
    const open = [...this.jobs].filter(([, job]) => isOpen(job)).map(([type]) => type);
    if (!open.length) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (document.hidden) this.#follow();
      else void this.read(open);
    }, POLL_MS);
  }
}

const path = (type: string): string => `/v1/channel-types/${type}/conformance`;
