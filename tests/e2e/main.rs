//! End-to-end tests: the real `dagway` binary between the simulated OpenRouter and real counterparts.
//!
//! The counterparts are the Claude Code CLI, Anthropic's SDKs for Python and TypeScript, a real browser, a real Prometheus,
//! and what others have written: two servers of OpenAI's API, and a receiver of traces.
//! `tests/run` installs them; a missing one fails its tests with a sentence, because a skipped test proves nothing.
//! Each test has a Dagway, a simulator, and folders of its own, on ports that the system chooses.
//! The modules say `cfg(test)`, because that is how lints recognise what may panic and print.

#[cfg(test)]
mod browser;
#[cfg(test)]
mod claude_code;
#[cfg(test)]
mod claude_on_lanes;
#[cfg(test)]
mod prometheus;
#[cfg(test)]
mod sdks;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod support;
#[cfg(test)]
mod traces;
