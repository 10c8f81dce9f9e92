/** The microphone: asked for when it is needed, let go when nothing needs it, chosen and remembered. */
import { recall, remember } from '$lib/theme.svelte';

const CHOSEN = 'irisx.microphone';
const SPEAKER = 'irisx.speaker';

/** `unknown`: the browser does not tell before it is asked. */
export type Permission = 'unknown' | 'prompt' | 'granted' | 'denied' | 'none' | 'insecure';

export class NoMicrophone extends Error {
  constructor(
    readonly code: string,
    readonly detail: string
  ) {
    super(detail);
  }
}

const WHY: Readonly<Record<string, string>> = {
  NotAllowedError: 'This browser was told not to give the microphone to this page. Allow it in the address bar, then try again.',
  NotFoundError: 'There is no microphone. Plug in a headset, then try again.',
  NotReadableError: 'Another program has the microphone. Close it there, then try again.',
  OverconstrainedError: 'The chosen microphone is not there any more.'
};

class Microphone {
  permission = $state<Permission>('unknown');
  devices = $state.raw<readonly { id: string; words: string; kind: 'audioinput' | 'audiooutput' }[]>([]);
  chosen = $state(recall(CHOSEN) ?? '');
  speaker = $state(recall(SPEAKER) ?? '');
  /** What is used now, in the browser's words. */
  label = $state('');
  #stream: MediaStream | null = null;
  #asking: Promise<MediaStream> | null = null;
  /** Called when another one was chosen or the used one was unplugged. */
  changed: (stream: MediaStream) => void = () => undefined;

  constructor() {
    if (typeof navigator === 'undefined') return;
    if (!navigator.mediaDevices) this.permission = 'insecure';
    else {
      void this.look();
      navigator.mediaDevices.addEventListener?.('devicechange', () => void this.list());
    }
  }

  /** What the browser says of the right to it, without asking the person. */
  async look(): Promise<void> {
    try {
      const status = await navigator.permissions.query({ name: 'microphone' as PermissionName });
      const take = (): void => {
        if (this.permission !== 'none' || status.state === 'denied') this.permission = status.state;
      };
      status.onchange = take;
      take();
    } catch {
      return; // this browser does not tell; it is known once the microphone was asked for
    }
  }

  async list(): Promise<void> {
    const found = await navigator.mediaDevices.enumerateDevices();
    this.devices = found.filter((one) => one.kind !== 'videoinput' && one.deviceId && one.deviceId !== 'default' && one.deviceId !== 'communications').map((one) => ({ id: one.deviceId, words: one.label || 'Without a name', kind: one.kind as 'audioinput' | 'audiooutput' }));
    // Unplugged in a call: the next best one goes on.
    const [track] = this.#stream?.getAudioTracks() ?? [];
    if (this.#stream && track?.readyState === 'ended') {
      this.#stream = null;
      void this.open().then((stream) => this.changed(stream), () => undefined);
    }
  }

  /** The sound of the microphone. Raises `NoMicrophone` with words for the person. */
  async open(): Promise<MediaStream> {
    if (this.#stream?.getAudioTracks().some((track) => track.readyState === 'live')) return this.#stream;
    this.#asking ??= this.#ask().finally(() => (this.#asking = null));
    return this.#asking;
  }

  async #ask(): Promise<MediaStream> {
    if (!navigator.mediaDevices) throw new NoMicrophone('insecure', 'Browsers give the microphone only to pages over HTTPS (or on this computer itself).');
    const wanted = (id: string): MediaStreamConstraints => ({ audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, ...(id ? { deviceId: { exact: id } } : {}) } });
    try {
      const stream = await navigator.mediaDevices.getUserMedia(wanted(this.chosen)).catch((error: unknown) => {
        // The chosen headset is not plugged in today: any other is better than none.
        if (this.chosen && error instanceof DOMException && error.name !== 'NotAllowedError') return navigator.mediaDevices.getUserMedia(wanted(''));
        throw error;
      });
      this.#stream = stream;
      this.permission = 'granted';
      this.label = stream.getAudioTracks()[0]?.label ?? '';
      stream.getAudioTracks()[0]?.addEventListener('ended', () => void this.list());
      void this.list();
      return stream;
    } catch (error) {
      const name = error instanceof DOMException ? error.name : '';
      if (name === 'NotAllowedError') this.permission = 'denied';
      if (name === 'NotFoundError') this.permission = 'none';
      throw new NoMicrophone(name || 'microphone', WHY[name] ?? 'The microphone could not be opened.');
    }
  }

  /** Nothing needs it now: the browser's mark of recording goes out. */
  release(): void {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
    this.label = '';
  }

  async choose(id: string): Promise<void> {
    this.chosen = id;
    remember(CHOSEN, id || null);
    if (!this.#stream) return;
    const before = this.#stream;
    this.#stream = null;
    const stream = await this.open();
    this.changed(stream);
    for (const track of before.getTracks()) track.stop();
  }

  chooseSpeaker(id: string): void {
    this.speaker = id;
    remember(SPEAKER, id || null);
  }
}

export const microphone = new Microphone();
/** Choosing a speaker is not offered by every browser. */
export const speakersChosen = (): boolean => typeof HTMLMediaElement !== 'undefined' && 'setSinkId' in HTMLMediaElement.prototype;
