//! Small worlds in virtual time: some nodes' rooms, a mesh that relays at once, and clients that are lists of what they
//! were told.

mod admin;
mod backup;
mod carried;
mod data;
mod deaths;
mod full;
mod garbage;
mod going_on;
mod hostile;
mod joining;
mod leaving;
mod moving;
mod newcomers;
mod publishing;
mod reporting;
mod resuming;
mod streams;
mod watching;
mod world;
