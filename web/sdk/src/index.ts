// What the SDK offers: a Viewer, its states, events and statistics, and the problem that explains a failure.
export { Viewer } from './viewer';
export type { ConnectOptions, ViewerEvents, ViewerOptions } from './viewer';
export type { State } from './state';
export type { Stats } from './stats';
export type { Rid } from './whep';
export { ProblemError, problemOf, readProblem } from './problem';
export type { Problem } from './problem';
