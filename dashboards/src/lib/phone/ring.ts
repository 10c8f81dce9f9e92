/**
 * What is heard when work is offered, made by the browser itself: two tones as a telephone rings, a short knock while
 * one already talks, one chime for a message.
 */
export type Tone = 'ring' | 'knock' | 'chime' | '';

/** How often each begins again, in ms. */
const EVERY: Record<Exclude<Tone, ''>, number> = { ring: 3_000, knock: 4_000, chime: 0 };

export class Ringer {
  /** The browser lets no page sound before somebody pressed something on it. */
  locked = false;
  volume = 0.6;
  #context: AudioContext | null = null;
  #tone: Tone = '';
  #timer: ReturnType<typeof setInterval> | null = null;

  get tone(): Tone {
    return this.#tone;
  }

  /** Called with every press until it works. */
  unlock(): void {
    this.#context ??= typeof AudioContext === 'function' ? new AudioContext() : null;
    void this.#context?.resume().then(() => (this.locked = false), () => undefined);
  }

  play(tone: Tone): void {
    if (tone === this.#tone) return;
    this.stop();
    this.#tone = tone;
    if (!tone) return;
    this.#once(tone);
    if (EVERY[tone]) this.#timer = setInterval(() => this.#once(tone), EVERY[tone]);
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
    this.#tone = '';
  }

  #once(tone: Tone): void {
    this.#context ??= typeof AudioContext === 'function' ? new AudioContext() : null;
    const context = this.#context;
    if (!context) return;
    void context.resume().catch(() => undefined);
    this.locked = context.state === 'suspended';
    const at = context.currentTime + 0.02;
    const beep = (from: number, length: number, pitches: readonly number[], loud: number): void => {
      const gain = context.createGain();
      gain.gain.setValueAtTime(0, at + from);
      gain.gain.linearRampToValueAtTime(loud * this.volume, at + from + 0.02);
      gain.gain.setValueAtTime(loud * this.volume, at + from + length - 0.04);
      gain.gain.linearRampToValueAtTime(0, at + from + length);
      gain.connect(context.destination);
      for (const pitch of pitches) {
        const tone = context.createOscillator();
        tone.frequency.value = pitch;
        tone.connect(gain);
        tone.start(at + from);
        tone.stop(at + from + length);
      }
    };
    if (tone === 'ring') for (const from of [0, 0.6]) beep(from, 0.4, [400, 450], 0.25);
    else if (tone === 'knock') beep(0, 0.18, [520], 0.12);
    else beep(0, 0.25, [660, 880], 0.14);
  }
}
