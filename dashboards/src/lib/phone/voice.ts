/**
 * The sound of one call: a peer connection whose offer is always ours and whole.
 *
 * The switch knows no candidates that come later, so an offer is given out when the browser has gathered them, or after
 * two seconds with what there is. An answer without bundle and mid is normal there.
 */
import type { IceServer } from './client';
import type { Sample } from './quality';

/** How long candidates are gathered at most. */
export const GATHER_MS = 2_000;
/** A short break is healed by the browser itself; after this it is made anew. */
export const BREAK_MS = 2_500;

export type Line = 'new' | 'connecting' | 'connected' | 'broken' | 'closed';

export interface Ears {
  line(line: Line): void;
  /** Sound may not be played before the person pressed something on this page. */
  silenced(): void;
}

export class Voice {
  line: Line = 'new';
  readonly audio: HTMLAudioElement;
  #peer: RTCPeerConnection;
  #track: MediaStreamTrack | null = null;
  #sender: RTCRtpSender | null = null;
  #broken: ReturnType<typeof setTimeout> | null = null;
  #ears: Ears;
  #muted = false;

  constructor(ice: readonly IceServer[], ears: Ears, speaker = '') {
    this.#ears = ears;
    this.#peer = new RTCPeerConnection({ iceServers: [...ice] });
    this.audio = new Audio();
    this.audio.autoplay = true;
    this.speak(speaker);
    this.#peer.ontrack = (event) => {
      this.audio.srcObject = event.streams[0] ?? new MediaStream([event.track]);
      this.play();
    };
    this.#peer.onconnectionstatechange = () => this.#changed();
    this.#peer.oniceconnectionstatechange = () => this.#changed();
  }

  /** A whole offer with this microphone's sound. */
  async offer(microphone: MediaStream): Promise<string> {
    this.microphone(microphone);
    if (!this.#sender && this.#track) this.#sender = this.#peer.addTrack(this.#track, microphone);
    return this.#offer({});
  }

  /** An offer for another way to the switch; the keys and the far side stay. */
  again(): Promise<string> {
    return this.#offer({ iceRestart: true });
  }

  async #offer(options: RTCOfferOptions): Promise<string> {
    const offer = await this.#peer.createOffer(options);
    await this.#peer.setLocalDescription(offer);
    await this.#gathered();
    return this.#peer.localDescription?.sdp ?? '';
  }

  #gathered(): Promise<void> {
    const peer = this.#peer;
    if (peer.iceGatheringState === 'complete') return Promise.resolve();
    return new Promise((done) => {
      const end = (): void => {
        clearTimeout(timer);
        peer.removeEventListener('icegatheringstatechange', look);
        done();
      };
      const look = (): void => {
        if (peer.iceGatheringState === 'complete') end();
      };
      const timer = setTimeout(end, GATHER_MS);
      peer.addEventListener('icegatheringstatechange', look);
    });
  }

  async answer(sdp: string): Promise<void> {
    if (this.#peer.signalingState === 'have-local-offer') await this.#peer.setRemoteDescription({ type: 'answer', sdp });
    this.#changed();
  }

  /** Another microphone, also in the middle of a call. Each voice has its own copy, so that one can be mute. */
  microphone(stream: MediaStream): void {
    const [track] = stream.getAudioTracks();
    if (!track) return;
    this.#track?.stop();
    this.#track = track.clone();
    this.#track.enabled = !this.#muted;
    void this.#sender?.replaceTrack(this.#track);
  }

  /** A mute track goes on to send silence: the switch must not take us for gone. */
  mute(on: boolean): void {
    this.#muted = on;
    if (this.#track) this.#track.enabled = !on;
  }
  get muted(): boolean {
    return this.#muted;
  }

  speak(speaker: string): void {
    const audio = this.audio as HTMLAudioElement & { setSinkId?: (id: string) => Promise<void> };
    if (speaker || audio.srcObject) void audio.setSinkId?.(speaker).catch(() => undefined); // unplugged: the usual one is used
  }
  play(): void {
    this.audio.play().catch((error: unknown) => {
      if (error instanceof DOMException && error.name === 'NotAllowedError') this.#ears.silenced();
    });
  }

  async sample(): Promise<Sample> {
    const out = { at: Date.now(), received: 0, lost: 0, sent: 0, rtt_ms: -1, jitter_ms: -1, concealed: 0, played: 0 };
    for (const one of (await this.#peer.getStats()).values() as Iterable<Record<string, unknown>>) {
      const n = (name: string): number => (typeof one[name] === 'number' ? (one[name] as number) : 0);
      if (one['type'] === 'inbound-rtp') {
        out.received += n('packetsReceived');
        out.lost += n('packetsLost');
        out.jitter_ms = n('jitter') * 1000;
        out.concealed += n('concealedSamples');
        out.played += n('totalSamplesReceived');
      } else if (one['type'] === 'outbound-rtp') out.sent += n('packetsSent');
      else if (one['type'] === 'candidate-pair' && one['nominated'] === true && typeof one['currentRoundTripTime'] === 'number') out.rtt_ms = n('currentRoundTripTime') * 1000;
      else if (one['type'] === 'remote-inbound-rtp' && out.rtt_ms < 0 && typeof one['roundTripTime'] === 'number') out.rtt_ms = n('roundTripTime') * 1000;
    }
    return out;
  }

  /** The network changed: what is connected may be so in name only. */
  doubt(): void {
    if (this.line === 'connected') this.#set('broken');
  }

  close(): void {
    if (this.#broken) clearTimeout(this.#broken);
    this.#peer.onconnectionstatechange = this.#peer.oniceconnectionstatechange = this.#peer.ontrack = null;
    this.#track?.stop();
    this.#peer.close();
    this.audio.srcObject = null;
    this.line = 'closed';
  }

  #changed(): void {
    const peer = this.#peer;
    const state = peer.connectionState ?? peer.iceConnectionState;
    if (state === 'connected' && peer.iceConnectionState !== 'disconnected') this.#set('connected');
    else if (state === 'failed' || peer.iceConnectionState === 'failed') this.#set('broken');
    else if (state === 'disconnected' || peer.iceConnectionState === 'disconnected') {
      this.#broken ??= setTimeout(() => {
        this.#broken = null;
        if (peer.iceConnectionState === 'disconnected' || peer.connectionState === 'disconnected') this.#set('broken');
      }, BREAK_MS);
    } else if (state === 'connecting' || peer.signalingState === 'have-local-offer') this.#set('connecting');
  }

  #set(line: Line): void {
    if (line !== 'broken' && this.#broken) {
      clearTimeout(this.#broken);
      this.#broken = null;
    }
    if (this.line === line || this.line === 'closed') return;
    this.line = line;
    this.#ears.line(line);
  }
}
