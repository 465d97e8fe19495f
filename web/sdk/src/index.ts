// What the SDK offers: a Viewer, its slots, states, events and statistics, and the problem that explains a failure.
export { MOST_SLOTS, Viewer } from './viewer';
export type { ShowOptions, ViewerEvents, ViewerOptions } from './viewer';
export type { Slot } from './slot';
export type { Connection, Sound, State } from './state';
export type { Stats } from './stats';
export type { Rid } from './sessions';
export { audible } from './grant';
export { watchVisibility } from './visibility';
export { ProblemError, problemOf, readProblem } from './problem';
export type { Problem } from './problem';
