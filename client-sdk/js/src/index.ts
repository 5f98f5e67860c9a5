// The public surface of `@origo/client`: what is exported here is what applications may rely on.
export { connect } from './connect.js';
export type { ConnectOptions, ConnectedNode, Connection, Stage } from './connect.js';
export type { Candidate } from './candidate.js';
export { findNode } from './candidate.js';
export { route } from './route.js';
export type { ClientPlace, Route, RouteNode, RouteOptions } from './route.js';
export { race } from './race.js';
export type { Lap, RaceOptions, RaceResult } from './race.js';
export { path } from './path.js';
export type { Hop, Link, Path, PathOptions } from './path.js';
export { newestToken } from './token.js';
export { OrigoError } from './errors.js';
export type { OrigoErrorCode } from './errors.js';
