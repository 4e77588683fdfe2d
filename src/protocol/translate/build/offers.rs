//! The tools of an upstream request, and how the model must choose.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::super::messages::{Messages, Turn};
use super::super::model::{Family, Target};
use super::super::note::Note;
use super::super::schema;
use super::super::tools::{Choice, Function, Offer, Server, Tools};
use super::breakpoints::{Breakpoints, Place};
use super::writer::Writer;
use crate::protocol::anthropic::request::InvalidRequest;

/// Refuses tools for a model that cannot call any: the upstream would say that no provider is left.
pub(super) fn check(tools: &Tools<'_>, target: &Target) -> Result<(), InvalidRequest> {
    let functions = tools
        .offers
        .iter()
        .any(|offer| matches!(offer, Offer::Function(_)));
    if functions && target.lacks(|known| known.tools) {
        return Err(InvalidRequest::at(
            "tools",
            format!(
                "{} cannot call tools: choose a model whose `supported_parameters` in the catalogue name `tools`, or send none",
                target.id
            ),
        ));
    }
    Ok(())
}

/// Says whether a tool is offered that the upstream knows. Server tools are OpenRouter's own.
pub(super) fn any(tools: &Tools<'_>, target: &Target) -> bool {
    let mut offers = tools.offers.iter();
    offers.any(|offer| target.dialect.extensions || matches!(offer, Offer::Function(_)))
}

/// Says which server tools an upstream without any is not sent.
pub(super) fn note_left_out(tools: &Tools<'_>, target: &Target, notes: &mut Vec<Note>) {
    if target.dialect.extensions {
        return;
    }
    for offer in &tools.offers {
        if let Offer::Server(tool) = offer {
            notes.push(Note::new(format!(
                "the server tool `{}` was left out, because the upstream of {} has none",
                tool.kind, target.id
            )));
        }
    }
    if let Some(Choice::Server(kind)) = &tools.choice {
        notes.push(Note::new(format!(
            "`tool_choice` was left out, because it names `{kind}`, which the upstream of {} has not",
            target.id
        )));
    }
}

/// Writes `tools`, `tool_choice` and `parallel_tool_calls`.
pub(super) fn write(
    out: &mut Writer,
    tools: &Tools<'_>,
    target: &Target,
    breakpoints: &mut Breakpoints,
    notes: &mut Vec<Note>,
) {
    out.key("tools").array(|out| {
        for offer in &tools.offers {
            match offer {
                Offer::Function(tool) => function(out, tool, target, breakpoints, notes),
                Offer::Server(tool) if target.dialect.extensions => server(out, tool),
                Offer::Server(_) => {}
            }
        }
    });
    if let Some(choice) = &tools.choice {
        choose(out, choice, target, notes);
    }
    if tools.one_at_a_time {
        out.key("parallel_tool_calls").boolean(false);
    }
}

fn function(
    out: &mut Writer,
    tool: &Function<'_>,
    target: &Target,
    breakpoints: &mut Breakpoints,
    notes: &mut Vec<Note>,
) {
    let schema = match target.family {
        Family::Gemini => {
            let schema = schema::for_google(&tool.schema);
            if schema.is_cut {
                notes.push(Note::new(format!(
                    "the schema of the tool `{}` was cut, because {} takes no references, and it is too deep without them",
                    tool.name, target.id
                )));
            }
            Cow::Owned(schema.text)
        }
        Family::Kimi => schema::for_moonshot(&tool.schema),
        _ => Cow::Borrowed(tool.schema.as_ref()),
    };
    let strict = tool.strict && is_strict(&schema, target);
    if tool.strict && !strict {
        notes.push(Note::new(format!(
            "`strict` of the tool `{}` was left out, because {} does not hold calls to such a schema",
            tool.name, target.id
        )));
    }
    out.object(|out| {
        out.key("type").string("function");
        out.key("function").object(|out| {
            out.key("name").string(&tool.name);
            if let Some(description) = &tool.description {
                out.key("description").escaped(&[description]);
            }
            out.key("parameters").raw(&schema);
            if strict {
                out.key("strict").boolean(true);
            }
        });
        breakpoints.write(out, tool.cache, Place::Tools);
    });
}

/// OpenAI refuses a schema that leaves anything open, where Anthropic closes it by itself.
fn is_strict(schema: &str, target: &Target) -> bool {
    match target.family {
        Family::Claude => true,
        Family::OpenAi => {
            serde_json::from_str(schema).is_ok_and(|schema| schema::is_strict(&schema))
        }
        _ => false,
    }
}

fn server(out: &mut Writer, tool: &Server<'_>) {
    let settings = &tool.settings;
    let search = tool.kind == "openrouter:web_search";
    let blocked = if search {
        "excluded_domains"
    } else {
        "blocked_domains"
    };
    out.object(|out| {
        out.key("type").string(tool.kind);
        out.key("parameters").object(|out| {
            if let Some(uses) = settings.max_uses {
                out.key("max_uses").integer(uses);
            }
            if let Some(domains) = settings.allowed_domains {
                out.key("allowed_domains").raw(domains.as_str());
            }
            if let Some(domains) = settings.blocked_domains {
                out.key(blocked).raw(domains.as_str());
            }
            if let Some(place) = settings.user_location.filter(|_| search) {
                out.key("user_location").raw(place.as_str());
            }
            if let Some(tokens) = settings.max_content_tokens.filter(|_| !search) {
                out.key("max_content_tokens").integer(tokens);
            }
        });
    });
}

fn choose(out: &mut Writer, choice: &Choice<'_>, target: &Target, notes: &mut Vec<Note>) {
    if target.lacks(|known| known.tool_choice) {
        if !matches!(choice, Choice::Auto) {
            notes.push(Note::new(format!(
                "`tool_choice` was left out, because {} chooses by itself only",
                target.id
            )));
        }
        return;
    }
    if matches!(choice, Choice::Server(_)) && !target.dialect.extensions {
        return;
    }
    out.key("tool_choice");
    match choice {
        Choice::Auto => out.string("auto"),
        Choice::Required => out.string("required"),
        Choice::None => out.string("none"),
        Choice::Server(kind) => out.object(|out| out.key("type").string(kind)),
        Choice::Function(name) => out.object(|out| {
            out.key("type").string("function");
            out.key("function")
                .object(|out| out.key("name").string(name));
        }),
    }
}

/// Some providers refuse calls in the history of tools that are not offered, so they are, but not to be called.
pub(super) fn write_history(out: &mut Writer, messages: &Messages<'_>) {
    let names: BTreeSet<&str> = messages
        .turns
        .iter()
        .filter_map(|turn| match turn {
            Turn::Assistant(turn) => Some(&turn.calls),
            _ => None,
        })
        .flatten()
        .map(|call| call.name.as_ref())
        .collect();
    out.key("tools").array(|out| {
        for name in names {
            out.object(|out| {
                out.key("type").string("function");
                out.key("function").object(|out| {
                    out.key("name").string(name);
                    out.key("parameters")
                        .raw(r#"{"type":"object","properties":{}}"#);
                });
            });
        }
    });
    out.key("tool_choice").string("none");
}
