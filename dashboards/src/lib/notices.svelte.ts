/** What the page tells in passing: short notices, and words for screen readers, batched. */
import type { Problem } from './api/problem';

export interface Notice {
  id: number;
  tone: 'good' | 'bad' | 'info';
  words: string;
  detail: string;
  requestId: string;
  /** What takes it back, where it can be taken back. */
  undo?: () => void;
}

/** Screen readers hear at most one polite announcement in this time; what comes in between is joined. */
const QUIET_MS = 5_000;
const SHOWN_MS = 6_000;
const UNDO_MS = 12_000;

class Notices {
  list = $state<Notice[]>([]);
  polite = $state('');
  #next = 1;
  #waiting: string[] = [];
  #timer: ReturnType<typeof setTimeout> | null = null;
  #last = 0;

  say(words: string, tone: Notice['tone'] = 'good', detail = '', requestId = ''): void {
    const notice = { id: this.#next++, tone, words, detail, requestId };
    this.list = [...this.list.slice(-3), notice];
    this.announce(detail ? `${words}. ${detail}` : words);
    // Errors stay until they are dismissed: nobody should have to hurry to read one.
    if (tone !== 'bad') setTimeout(() => this.dismiss(notice.id), SHOWN_MS);
  }

  problem(words: string, problem: Problem): void {
    this.say(words, 'bad', [problem.detail || problem.title, problem.help].filter(Boolean).join(' '), problem.requestId);
  }

  /** Something was done that can be undone for as long as the notice is there. */
  done(words: string, undo: () => void): void {
    const notice: Notice = { id: this.#next++, tone: 'good', words, detail: '', requestId: '', undo };
    this.list = [...this.list.slice(-3), notice];
    this.announce(`${words}. Undo is offered`);
    setTimeout(() => this.dismiss(notice.id), UNDO_MS);
  }

  dismiss(id: number): void {
    this.list = this.list.filter((notice) => notice.id !== id);
  }

  announce(words: string): void {
    if (this.#waiting.at(-1) !== words) this.#waiting.push(words);
    if (this.#timer) return;
    const wait = Math.max(50, this.#last + QUIET_MS - Date.now());
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#last = Date.now();
      const said = this.#waiting.splice(0);
      this.polite = said.length > 3 ? `${said.slice(-3).join('. ')}. And ${said.length - 3} more` : said.join('. ');
    }, wait);
  }
}

export const notices = new Notices();
