// Tells the first sample of each beep: sound after a silence. Runs where the browser renders sound.
const LOUD = 0.05;
/** Silence before a beep, in seconds. */
const SILENCE_S = 0.4;

class Beeps extends AudioWorkletProcessor {
  loudAt = -Infinity;

  process([input]) {
    const samples = input?.[0] ?? [];
    for (let i = 0; i < samples.length; i++) {
      if (Math.abs(samples[i]) < LOUD) continue;
      const at = currentFrame + i;
      if (at - this.loudAt > SILENCE_S * sampleRate) this.port.postMessage(at / sampleRate);
      this.loudAt = at;
    }
    return true;
  }
}

registerProcessor('beeps', Beeps);
