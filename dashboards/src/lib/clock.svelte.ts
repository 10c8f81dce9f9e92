/** One clock for all running durations and relative times: they tick together, once a second. */
class Clock {
  now = $state(Date.now());
  /** The server's clock minus ours, where an answer told it; durations are counted by the server's. */
  skew = $state(0);
  constructor() {
    setInterval(() => (this.now = Date.now()), 1000);
  }
  get server(): number {
    return this.now + this.skew;
  }
}
export const clock = new Clock();
