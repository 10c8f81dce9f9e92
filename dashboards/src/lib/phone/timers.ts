/** `after` as everywhere, kept by a worker where there is one: a phone in a background tab must not fall asleep. */
export class Timers {
  #worker: Worker | null = null;
  #jobs = new Map<number, () => void>();
  #made = 0;

  constructor() {
    try {
      const worker = new Worker(new URL('./ticker.ts', import.meta.url), { type: 'module' });
      worker.onmessage = ({ data }: MessageEvent<number>) => {
        const run = this.#jobs.get(data);
        this.#jobs.delete(data);
        run?.();
      };
      worker.onerror = () => this.#without();
      this.#worker = worker;
    } catch {
      this.#worker = null; // no workers here: plain timers, which a hidden page slows down
    }
  }

  after = (ms: number, run: () => void): (() => void) => {
    const id = ++this.#made;
    if (!this.#worker) {
      const timer = setTimeout(run, ms);
      return () => clearTimeout(timer);
    }
    this.#jobs.set(id, run);
    this.#worker.postMessage({ id, ms });
    return () => {
      if (this.#jobs.delete(id)) this.#worker?.postMessage({ id });
    };
  };

  /** The worker failed: what waited for it goes on with plain timers, now rather than never. */
  #without(): void {
    this.#worker = null;
    const waiting = [...this.#jobs.values()];
    this.#jobs.clear();
    for (const run of waiting) setTimeout(run, 0);
  }

  close(): void {
    this.#worker?.terminate();
    this.#worker = null;
    this.#jobs.clear();
  }
}
