//! Tools: what the model may call, and how it must choose, for whatever model.
//!
//! Deferred tools that the client lists are offered: upstream there is no tool search, and calling one that was not
//! loaded works. Claude Code's placeholder for them must never be called and is never offered.
//! Tools that Anthropic runs become OpenRouter's where it has one, those that the client runs get their published schema.
//! This file must not know which model will read the tools; [`build`](super::build) cleans schemas for it.

use std::borrow::Cow;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::note::Note;
use super::published::published;
use super::schema;
use super::tool_names::ToolNames;
use crate::protocol::anthropic::request::{
    Block, CacheControl, ChoiceMode, CustomTool, InvalidRequest, RawStr, Request, ServerTool, Tool,
    ToolChange,
};

/// Stands in Claude Code's list for the tools that are not loaded.
const PLACEHOLDER: &str = "DeferredToolPlaceholder";

/// The tools of a request, converted.
#[derive(Clone, Debug, Default, yoke::Yokeable)]
pub struct Tools<'a> {
    /// What is offered.
    pub offers: Vec<Offer<'a>>,
    /// How the model must choose.
    pub choice: Option<Choice<'a>>,
    /// Whether it may call one tool at a time only.
    pub one_at_a_time: bool,
    /// The way back from names that were changed.
    pub names: ToolNames,
    /// What was left out.
    pub notes: Vec<Note>,
}

/// A tool that is offered.
#[derive(Clone, Debug, PartialEq)]
pub enum Offer<'a> {
    /// A function that the client runs.
    Function(Function<'a>),
    /// A tool that the upstream runs.
    Server(Box<Server<'a>>),
}

/// A function that the client runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Function<'a> {
    /// Its name, as it goes upstream.
    pub name: Cow<'a, str>,
    /// What it does, escaped.
    pub description: Option<Cow<'a, str>>,
    /// The JSON Schema of its input, with `type` and `properties`.
    pub schema: Cow<'a, str>,
    /// Whether calls must follow the schema exactly.
    pub strict: bool,
    /// A cache breakpoint.
    pub cache: Option<CacheControl>,
}

/// A tool that the upstream runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Server<'a> {
    /// The upstream's type.
    pub kind: &'static str,
    /// Its settings, as Anthropic names them.
    pub settings: ServerTool<'a>,
}

/// How the model must choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice<'a> {
    /// As it likes.
    Auto,
    /// Some tool.
    Required,
    /// No tool.
    None,
    /// This function.
    Function(Cow<'a, str>),
    /// This tool of the upstream's.
    Server(&'static str),
}

impl Choice<'_> {
    /// Says whether the model must call something.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        matches!(self, Self::Required | Self::Function(_) | Self::Server(_))
    }
}

/// Makes the tools of a request into those that are offered upstream.
///
/// # Errors
/// When a tool can be run by Anthropic's servers alone, or has a type that nobody knows.
pub fn convert_tools<'a>(request: &Request<'a>) -> Result<Tools<'a>, InvalidRequest> {
    let mut tools = Tools::default();
    for (index, tool) in request.tools.iter().enumerate() {
        let offer = offer(tool, &mut tools).map_err(|fault| fault.within(index).within("tools"))?;
        tools.offers.extend(offer);
    }
    changes(request, &mut tools)?;
    choose(request, &mut tools)?;
    Ok(tools)
}

/// Upstream there is one list of tools for the whole conversation: the one that holds at its end.
fn changes<'a>(request: &Request<'a>, tools: &mut Tools<'a>) -> Result<(), InvalidRequest> {
    let mut removed: Vec<Offer<'a>> = Vec::new();
    for (turn, message) in request.messages.iter().enumerate() {
        for (place, block) in message.content.iter().enumerate() {
            let Block::ToolChange(change) = block else {
                continue;
            };
            match change.as_ref() {
                ToolChange::Defined(tool) => {
                    let offer = offer(tool, tools).map_err(|fault| {
                        let fault = fault.within("definition").within("tool").within(place);
                        fault.within("content").within(turn).within("messages")
                    })?;
                    if let Some(name) = tool.name() {
                        take(&mut tools.offers, name);
                    }
                    tools.offers.extend(offer);
                }
                ToolChange::Added(name) => tools.offers.extend(take(&mut removed, name)),
                ToolChange::Removed(name) => removed.extend(take(&mut tools.offers, name)),
            }
        }
    }
    Ok(())
}

fn take<'a>(offers: &mut Vec<Offer<'a>>, name: &str) -> Option<Offer<'a>> {
    let mut names = ToolNames::default();
    let sent = names.outward(name);
    let is_named = |offer: &Offer<'_>| match offer {
        Offer::Function(function) => function.name == sent,
        Offer::Server(server) => server.settings.name.as_deref() == Some(name),
    };
    let place = offers.iter().position(is_named)?;
    Some(offers.remove(place))
}

fn offer<'a>(tool: &Tool<'a>, tools: &mut Tools<'a>) -> Result<Option<Offer<'a>>, InvalidRequest> {
    match tool {
        Tool::Custom(tool) if tool.name == PLACEHOLDER => Ok(None),
        Tool::Custom(tool) => {
            if tool.schema_is_combined {
                tools.notes.push(Note::new(format!(
                    "the schemas that `{}` combines at its top were merged, because no provider takes a choice there",
                    tool.name
                )));
            }
            Ok(Some(Offer::Function(function(tool, &mut tools.names))))
        }
        Tool::Server(tool) => anthropics(tool, tools),
    }
}

fn function<'a>(tool: &CustomTool<'a>, names: &mut ToolNames) -> Function<'a> {
    let changed = match names.outward(&tool.name) {
        Cow::Borrowed(_) => None,
        Cow::Owned(changed) => Some(changed),
    };
    Function {
        name: changed.map_or_else(|| tool.name.clone(), Cow::Owned),
        description: tool
            .description
            .filter(|description| !description.is_empty())
            .map(|description| Cow::Borrowed(RawStr::escaped(description))),
        schema: whole_schema(tool),
        strict: tool.strict,
        cache: tool.cache,
    }
}

/// Several providers refuse a schema without `type` or `properties`, which Anthropic does not ask for, and all a choice
/// between schemas at its top.
fn whole_schema<'a>(tool: &CustomTool<'a>) -> Cow<'a, str> {
    let schema = tool.schema.as_str();
    if tool.schema_is_combined {
        return Cow::Owned(schema::with_plain_top(schema));
    }
    let missing = match (tool.schema_has_type, tool.schema_has_properties) {
        (true, true) => return Cow::Borrowed(schema),
        (false, true) => r#""type":"object""#,
        (true, false) => r#""properties":{}"#,
        (false, false) => r#""type":"object","properties":{}"#,
    };
    let rest = schema.strip_prefix('{').unwrap_or_default();
    let comma = if rest.trim_start().starts_with('}') {
        ""
    } else {
        ","
    };
    Cow::Owned(format!("{{{missing}{comma}{rest}"))
}

fn anthropics<'a>(
    tool: &ServerTool<'a>,
    tools: &mut Tools<'a>,
) -> Result<Option<Offer<'a>>, InvalidRequest> {
    let kind = tool.kind.as_ref();
    if let Some(sent) = upstreams(kind) {
        return Ok(Some(Offer::Server(Box::new(Server {
            kind: sent,
            settings: tool.clone(),
        }))));
    }
    if let Some((description, schema)) = published(kind, tool.zoom) {
        return Ok(Some(Offer::Function(Function {
            name: tool
                .name
                .clone()
                .ok_or_else(|| InvalidRequest::missing("name"))?,
            description: Some(description_with_display(description, tool)),
            schema: Cow::Borrowed(schema),
            strict: false,
            cache: tool.cache,
        })));
    }
    if kind.starts_with("tool_search_tool_") {
        tools.notes.push(Note::new(
            "the tool search was left out, because all tools that the client lists are offered",
        ));
        return Ok(None);
    }
    if kind.starts_with("advisor_") {
        tools.notes.push(Note::new(
            "the advisor tool was left out, because only Anthropic's servers run it",
        ));
        return Ok(None);
    }
    Err(refused(kind))
}

fn upstreams(kind: &str) -> Option<&'static str> {
    if kind.starts_with("web_search_") {
        Some("openrouter:web_search")
    } else if kind.starts_with("web_fetch_") {
        Some("openrouter:web_fetch")
    } else {
        None
    }
}

fn refused(kind: &str) -> InvalidRequest {
    let begins = |names: &[&str]| names.iter().any(|name| kind.starts_with(name));
    let message = if begins(&["browser_toolset_", "computer_toolset_"]) {
        format!(
            "`{kind}` stands for tools that Anthropic's models know by heart and no other: name each tool with a schema of its own instead"
        )
    } else if begins(&["code_execution_", "mcp_toolset"]) {
        format!(
            "`{kind}` is run by Anthropic's servers only: give the model a tool of the client's instead"
        )
    } else {
        format!(
            "Input tag '{kind}' found using 'type' does not match any of the expected tags: 'custom', 'bash_*', \
             'text_editor_*', 'memory_*', 'computer_*', 'web_search_*', 'web_fetch_*'"
        )
    };
    InvalidRequest::at("type", message)
}

fn description_with_display<'a>(description: &'static str, tool: &ServerTool<'a>) -> Cow<'a, str> {
    match tool.display {
        Some((width, height)) => Cow::Owned(format!(
            "{description} The screen is {width} pixels wide and {height} pixels high."
        )),
        None => Cow::Borrowed(description),
    }
}

fn choose<'a>(request: &Request<'a>, tools: &mut Tools<'a>) -> Result<(), InvalidRequest> {
    let Some(choice) = &request.tool_choice else {
        return Ok(());
    };
    tools.one_at_a_time = choice.one_at_a_time;
    let chosen = match &choice.mode {
        ChoiceMode::Auto => Choice::Auto,
        ChoiceMode::None => Choice::None,
        ChoiceMode::Any => Choice::Required,
        ChoiceMode::Tool(name) => named(request, tools, name)?,
    };
    if tools.offers.is_empty() {
        if chosen.is_forced() {
            tools.notes.push(Note::new(
                "`tool_choice` was left out, because no tool is offered",
            ));
        }
        return Ok(());
    }
    tools.choice = Some(chosen);
    Ok(())
}

fn named<'a>(
    request: &Request<'a>,
    tools: &mut Tools<'a>,
    name: &Cow<'a, str>,
) -> Result<Choice<'a>, InvalidRequest> {
    let server = request.tools.iter().find_map(|tool| match tool {
        Tool::Server(tool) if tool.name.as_ref() == Some(name) => upstreams(&tool.kind),
        _ => None,
    });
    if let Some(kind) = server {
        return Ok(Choice::Server(kind));
    }
    let sent = match tools.names.outward(name) {
        Cow::Borrowed(_) => name.clone(),
        Cow::Owned(changed) => Cow::Owned(changed),
    };
    let offered = tools
        .offers
        .iter()
        .any(|offer| matches!(offer, Offer::Function(function) if function.name == sent));
    if offered {
        Ok(Choice::Function(sent))
    } else {
        Err(InvalidRequest::at(
            "tool_choice.name",
            format!("Tool '{name}' is not offered to the model"),
        ))
    }
}

/// The names and the choice, not the schemas.
impl Serialize for Tools<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let offered: Vec<&str> = self
            .offers
            .iter()
            .map(|offer| match offer {
                Offer::Function(function) => function.name.as_ref(),
                Offer::Server(server) => server.kind,
            })
            .collect();
        let choice = self.choice.as_ref().map(|choice| match choice {
            Choice::Auto => "auto",
            Choice::Required => "required",
            Choice::None => "none",
            Choice::Function(name) => name,
            Choice::Server(kind) => kind,
        });
        let mut shape = serializer.serialize_struct("Tools", 5)?;
        shape.serialize_field("offered", &offered)?;
        shape.serialize_field("choice", &choice)?;
        shape.serialize_field("one_at_a_time", &self.one_at_a_time)?;
        shape.serialize_field("renamed", &self.names)?;
        shape.serialize_field("notes", &self.notes)?;
        shape.end()
    }
}
