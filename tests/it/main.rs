//! Dagway whole, on real sockets, against the simulated OpenRouter. One binary, so that it links once.
//! The modules say `cfg(test)`, because that is how lints recognise what may panic and print.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod fallbacks;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod figures;
#[cfg(test)]
mod house;
#[cfg(test)]
mod http;
#[cfg(test)]
mod lanes;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod own_steps;
mod own_steps_odd;
#[cfg(test)]
mod patience;
#[cfg(test)]
mod program;
#[cfg(test)]
mod program_words;
#[cfg(test)]
mod proxies;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod replay_command;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod runs_command;
#[cfg(test)]
mod scarcity;
#[cfg(test)]
mod slow_steps;
#[cfg(test)]
mod stopping;
#[cfg(test)]
mod support;
#[cfg(test)]
mod surface;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod upstreams;
