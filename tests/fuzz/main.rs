//! Fuzzing for a bounded time, on stable Rust: what strangers send may cost a refusal, never a panic, a wait or nonsense.
//!
//! Three targets, one corpus each: the bytes of a client's request, of an upstream's answer in chat completions, and of
//! one in Anthropic's events.
//! First every file of `corpus/` is tried as it is, then mutations of them until the time is over. What answers in a
//! new way joins the pool that is mutated. A finding is made smaller and written into the corpus, where it stays as
//! the proof of its repair.
//!
//! ```text
//! DAGWAY_FUZZ_SECONDS=600 cargo test --test fuzz            longer than the 15 seconds of the usual run
//! DAGWAY_FUZZ_SEED=123 cargo test --test fuzz request       the same mutations again
//! ```
//! The modules say `cfg(test)`, because that is how lints recognise what may panic and print.

#[cfg(test)]
mod answer;
#[cfg(test)]
mod driver;
#[cfg(test)]
#[path = "../../src/protocol/translate/reply/grammar.rs"]
mod grammar;
#[cfg(test)]
mod json;
#[cfg(test)]
mod passage;
#[cfg(test)]
mod request;
#[cfg(test)]
mod stream;
#[cfg(test)]
mod vocabulary;
