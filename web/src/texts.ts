// Every text that people read on the page, by key, so that another language is another table.

const english = {
  cameras: 'Cameras',
  'cameras.none': 'No camera is connected yet.',
  'camera.live': 'On air',
  'camera.away': 'No signal',
  'state.idle': 'Choose a camera',
  'state.connecting': 'Connecting…',
  'state.waiting': 'Waiting for the picture',
  'state.nosignal': 'No signal',
  'state.nosignal.detail': 'The camera sends no picture at the moment. It appears here as soon as it comes back.',
  'state.playing': 'Live',
  'state.reconnecting': 'Reconnecting…',
  'state.failed': 'This camera cannot be shown',
  'state.ended': 'Stopped',
  announce: '{camera}: {state}',
  picture: 'Live picture of {camera}',
  size: 'Picture size',
  'size.auto': 'Auto',
  'size.h': 'Large',
  'size.l': 'Small',
  delay: 'Delay',
  'delay.title': 'Measured from the camera’s time stamp to this screen, less the one-way time from the camera to the server',
  transit: 'Delay from server',
  'transit.title': 'Measured from the media server to this screen; the way from the camera to the server comes on top',
  'delay.value': '{ms} ms',
  resolution: 'Resolution',
  'resolution.value': '{width} × {height}',
  rate: 'Data rate',
  'rate.value': '{mbps} Mbit/s',
  unknown: '–',
  fullscreen: 'Full screen',
  'fault.title': 'The page cannot reach Sunroom',
  'fault.body': 'Is it still running? The page tries again by itself.',
  'refused.title': 'Watching is not open from here',
  'refused.body':
    'Until accounts are set up, Sunroom shows its cameras only on the machine that it runs on. Open this page there, at the address that it printed when it started.',
  retry: 'Try again',
} as const;

/** Names a text. */
export type Key = keyof typeof english;

/** The text of a key, with its `{parameters}` filled in. */
export function text(key: Key, parameters: Readonly<Record<string, string | number>> = {}): string {
  return english[key].replace(/\{(\w+)\}/g, (whole, name: string) => String(parameters[name] ?? whole));
}
