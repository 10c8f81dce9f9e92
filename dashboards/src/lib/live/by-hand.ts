/** For tests: time that passes only when it is told to. */

/** Timers by hand: nothing waits, `run` lets the given milliseconds pass. */
export class Time {
  now = 1_000_000;
  #jobs: { at: number; run: () => void; n: number }[] = [];
  #n = 0;
  after = (ms: number, run: () => void): (() => void) => {
    const job = { at: this.now + ms, run, n: this.#n++ };
    this.#jobs.push(job);
    return () => {
      this.#jobs = this.#jobs.filter((other) => other !== job);
    };
  };
  async run(ms: number): Promise<void> {
    const end = this.now + ms;
    for (;;) {
      await settle();
      const next = this.#jobs.filter((job) => job.at <= end).sort((a, b) => a.at - b.at || a.n - b.n)[0];
      if (!next) break;
      this.now = next.at;
      this.#jobs = this.#jobs.filter((job) => job !== next);
      next.run();
    }
    this.now = end;
    await settle();
  }
}

export const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 8; turn++) await Promise.resolve();
};
