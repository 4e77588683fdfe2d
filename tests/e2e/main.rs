//! End-to-end tests: the real `dagway` binary between the simulated OpenRouter and real counterparts.
//!
//! The counterparts are the Claude Code CLI, Anthropic's SDKs for Python and TypeScript, and a real browser.
//! `tests/run` installs them; a missing one fails its tests with a sentence, because a skipped test proves nothing.
//! Each test has a Dagway, a simulator, and folders of its own, on ports that the system chooses.

mod browser;
mod claude_code;
mod sdks;
mod support;
