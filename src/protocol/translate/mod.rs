//! Anthropic Messages into OpenRouter chat completions, and back.
