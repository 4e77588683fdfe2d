//! What the dashboard shows of a request on an edge of the graph: its shape, not its texts.

use std::collections::BTreeMap;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::body::Request;
use super::options::Thinking;
use super::tool::{ChoiceMode, Tool};

impl Serialize for Request<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut shape = serializer.serialize_struct("Request", 12)?;
        shape.serialize_field("model", &self.model)?;
        shape.serialize_field("max_tokens", &self.max_tokens)?;
        shape.serialize_field("stream", &self.stream)?;
        shape.serialize_field("system_blocks", &self.system.len())?;
        shape.serialize_field("messages", &self.messages.len())?;
        shape.serialize_field("roles", &self.roles())?;
        shape.serialize_field("blocks", &self.blocks())?;
        shape.serialize_field("tools", &self.tool_names())?;
        shape.serialize_field("tool_choice", &self.choice())?;
        shape.serialize_field("thinking", &self.thinking_word())?;
        let effort = self
            .output_config
            .effort
            .map(super::options::Effort::as_str);
        shape.serialize_field("effort", &effort)?;
        shape.serialize_field("left_out", &self.left_out())?;
        shape.end()
    }
}

impl Request<'_> {
    /// The roles in order, a letter each: `usauau`.
    fn roles(&self) -> String {
        self.messages
            .iter()
            .filter_map(|message| message.role.as_str().chars().next())
            .collect()
    }

    fn blocks(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for block in self.messages.iter().flat_map(|message| &message.content) {
            *counts.entry(block.kind()).or_insert(0) += 1;
        }
        counts
    }

    fn tool_names(&self) -> Vec<&str> {
        self.tools
            .iter()
            .map(|tool| match tool {
                Tool::Custom(tool) => tool.name.as_ref(),
                Tool::Server(tool) => tool.kind.as_ref(),
            })
            .collect()
    }

    fn choice(&self) -> Option<&str> {
        let choice = self.tool_choice.as_ref()?;
        Some(match &choice.mode {
            ChoiceMode::Auto => "auto",
            ChoiceMode::Any => "any",
            ChoiceMode::None => "none",
            ChoiceMode::Tool(name) => name,
        })
    }

    fn thinking_word(&self) -> Option<&'static str> {
        self.thinking.map(|thinking| match thinking {
            Thinking::Enabled { .. } => "enabled",
            Thinking::Adaptive => "adaptive",
            Thinking::BetweenTools => "between_tools",
            Thinking::Disabled => "disabled",
        })
    }

    fn left_out(&self) -> Vec<&str> {
        let unknown = self.unknown.iter().map(String::as_str);
        let known = self.set_aside.iter().map(AsRef::as_ref);
        known.chain(unknown).collect()
    }
}
