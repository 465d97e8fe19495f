// Hears the camera's beeps, one at each full second of the clock in its picture.

/** Listens to a stream's sound. */
export class Beeps {
  /** When each beep began to be heard, in milliseconds since the page began. */
  readonly heardMs: number[] = [];
  readonly #context = new AudioContext({ latencyHint: 'interactive' });
  readonly #element = document.createElement('audio');

  /** Listens from now on. */
  static async to(stream: MediaStream): Promise<Beeps> {
    const beeps = new Beeps(stream);
    const context = beeps.#context;
    await context.audioWorklet.addModule('/beeps.js');
    await context.resume();
    const node = new AudioWorkletNode(context, 'beeps', { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }: MessageEvent<number>) => beeps.#heard(data);
    context.createMediaStreamSource(stream).connect(node);
    return beeps;
  }

  private constructor(stream: MediaStream) {
    // Remote sound reaches Web Audio only while an element plays it.
    Object.assign(this.#element, { muted: true, autoplay: true, srcObject: stream });
    void this.#element.play();
  }

  /** Ends it. */
  close(): void {
    this.#element.srcObject = null;
    void this.#context.close();
  }

  /** A sample of the context's time `atS` is heard when the output says so. */
  #heard(atS: number): void {
    const { contextTime = 0, performanceTime = 0 } = this.#context.getOutputTimestamp();
    this.heardMs.push(performanceTime + (atS - contextTime) * 1000);
  }
}
