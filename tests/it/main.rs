//! Dagway whole, on real sockets, against the simulated OpenRouter. One binary, so that it links once.

mod bad_input;
mod faults;
mod house;
mod messages;
mod program;
mod runs;
mod support;
mod surface;
mod traces;
