//! The whole of the upstream request.

use serde_json::value::RawValue;

use super::super::dialect::ReasoningField;
use super::super::messages::{Media, Messages, Part, Turn};
use super::super::model::Target;
use super::super::note::Note;
use super::super::thinking::{self, Reasoning, Wish, level_of_budget};
use super::super::tools::{Choice, Tools};
use super::breakpoints::Breakpoints;
use super::call_ids::CallIds;
use super::conversation::Conversation;
use super::writer::Writer;
use super::{format, limits, offers, thoughts};
use crate::protocol::anthropic::request::{InvalidRequest, Raw, Request};
use crate::protocol::openrouter::catalogue::Level;

/// Where the upstream shortens prompts unasked.
const SHORT_CONTEXT: u64 = 8192;

/// What is said where both the client and the settings have a `provider`.
pub const CLIENTS_PROVIDER: &str =
    "`provider` of the settings was left out, because the client sent one of its own";

/// Where and for whom a request is made, besides what the client says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Routing<'a> {
    /// The conversation, so that its turns go where their prefix is cached; at most 256 bytes.
    pub session_id: Option<&'a str>,
    /// The end user, as an opaque name.
    pub user: Option<&'a str>,
    /// Models that the upstream falls back to by itself, as its ids.
    pub models: &'a [String],
    /// The upstream's `provider` object of the settings: order, price limits, data policy. The client's own goes before it.
    pub provider: Option<&'a RawValue>,
    /// What is demanded of the hosts.
    pub demand: Demand,
}

/// What is demanded of the hosts where the client wants an answer of a certain form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Demand {
    /// That they enforce it, where they can.
    #[default]
    Strict,
    /// That they know of it.
    Lenient,
}

/// An upstream request, ready to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Built {
    /// The JSON body.
    pub body: Vec<u8>,
    /// What was left out, moved or weakened on the way.
    pub notes: Vec<Note>,
    /// Whether thoughts were given back that the provider may refuse.
    pub has_thoughts: bool,
    /// How many tokens the answer may have, as it is sent.
    pub max_tokens: u64,
}

/// Writes the upstream request for one model.
///
/// # Errors
/// When the model cannot do what is compulsory, such as calling tools.
pub fn build_request(
    request: &Request<'_>,
    messages: &Messages<'_>,
    tools: &Tools<'_>,
    target: &Target,
    routing: &Routing<'_>,
) -> Result<Built, InvalidRequest> {
    offers::check(tools, target)?;
    let mut notes = messages.notes.clone();
    notes.extend_from_slice(&tools.notes);
    not_sent(request, target, routing, &mut notes);
    offers::note_left_out(tools, target, &mut notes);
    let mut out = Writer::with_capacity(request.body_len + 4096);
    let (mut has_thoughts, mut max_tokens) = (false, 0);
    out.object(|out| {
        let parts = Parts {
            request,
            messages,
            tools,
            target,
            ids: CallIds::new(target, routing),
            demand: routing.demand,
        };
        (has_thoughts, max_tokens) = parts.write(out, &mut notes);
        routed(out, request, target, routing);
    });
    Ok(Built {
        body: out.into_bytes(),
        notes,
        has_thoughts,
        max_tokens,
    })
}

struct Parts<'p> {
    request: &'p Request<'p>,
    messages: &'p Messages<'p>,
    tools: &'p Tools<'p>,
    target: &'p Target,
    ids: CallIds,
    demand: Demand,
}

impl Parts<'_> {
    /// Says whether thoughts were given back that the provider may refuse, and how many tokens the answer may have.
    fn write(&self, out: &mut Writer, notes: &mut Vec<Note>) -> (bool, u64) {
        let Self {
            request,
            messages,
            tools,
            target,
            ids,
            demand,
        } = *self;
        let mut breakpoints = Breakpoints::choose(messages, tools, request.cache, target);
        if breakpoints.unknown {
            notes.push(Note::new(
                "the cache breakpoints were left out, because nothing says that this upstream takes them \
                 (`quirks.cache_control` in the settings)",
            ));
        }
        if breakpoints.dropped > 0 {
            notes.push(Note::new(format!(
                "{} cache breakpoint(s) were left out, because a request can have four",
                breakpoints.dropped
            )));
        }
        let format = request.output_config.format;
        let way = format.map(|_| format::way(target, demand, notes));
        let appendix = match (format, way) {
            (Some(format), Some(format::Way::Json | format::Way::Words)) => {
                Some(format::appendix(&format))
            }
            _ => None,
        };
        out.key("model").string(&target.id);
        if offers::any(tools, target) {
            offers::write(out, tools, target, &mut breakpoints, notes);
        } else if messages.has_calls() && !target.lacks(|known| known.tools) {
            offers::write_history(out, messages);
        }
        let mut has_thoughts = false;
        out.key("messages").array(|out| {
            has_thoughts = Conversation::new(target, ids, &mut breakpoints, notes).write(
                out,
                messages,
                appendix.as_ref(),
            );
        });
        let max_tokens = limits::max_tokens(request, target, notes);
        out.key(target.dialect.limit.name()).integer(max_tokens);
        self.reasoning(out, max_tokens, notes);
        if let (Some(format), Some(way)) = (format, way) {
            format::write(out, &format, way, target, notes);
        }
        limits::sampling(out, request, target, notes);
        limits::stops(out, request, notes);
        if let Some(cache) = request.cache.filter(|_| target.takes_cache_control()) {
            out.key("cache_control").raw(breakpoints.form(cache));
        }
        self.plugins(out);
        (has_thoughts, max_tokens)
    }

    fn reasoning(&self, out: &mut Writer, max_tokens: u64, notes: &mut Vec<Note>) {
        let request = self.request;
        let wish = Wish {
            thinking: request.thinking,
            effort: self.messages.effort.or(request.output_config.effort),
            max_tokens,
            forced_tool: self.tools.choice.as_ref().is_some_and(Choice::is_forced),
            formatted: request.output_config.format.is_some(),
            verdict: is_verdict(request),
            strange_loop: thoughts::loop_began_without(self.messages, self.target),
        };
        let (reasoning, note) = thinking::reasoning(&wish, self.target);
        notes.extend(note);
        match self.target.dialect.reasoning {
            ReasoningField::Object => reasoning_object(out, reasoning),
            ReasoningField::Effort => reasoning_effort(out, reasoning),
            ReasoningField::None if matches!(reasoning, Reasoning::Unsaid) => {}
            ReasoningField::None => notes.push(Note::new(
                "the wish for reasoning was left out, because nothing says how this upstream is asked for it \
                 (`quirks.reasoning` in the settings)",
            )),
        }
    }

    fn plugins(&self, out: &mut Writer) {
        let files = self.messages.turns.iter().any(has_pdf);
        let short = self
            .target
            .context_length
            .is_some_and(|length| length <= SHORT_CONTEXT);
        if !self.target.dialect.extensions || (!files && !short) {
            return;
        }
        out.key("plugins").array(|out| {
            if files {
                // Without the engine named, the upstream may choose the one that costs.
                let reads_files = self.target.inputs.is_some_and(|inputs| inputs.file);
                out.raw(if reads_files {
                    r#"{"id":"file-parser","pdf":{"engine":"native"}}"#
                } else {
                    r#"{"id":"file-parser","pdf":{"engine":"cloudflare-ai"}}"#
                });
            }
            if short {
                // Cutting out the middle of a prompt unasked would leave an agent without what it just read.
                out.raw(r#"{"id":"context-compression","enabled":false}"#);
            }
        });
    }
}

fn reasoning_object(out: &mut Writer, reasoning: Reasoning) {
    let field = match reasoning {
        Reasoning::Unsaid => return,
        Reasoning::Enabled => r#"{"enabled":true}"#.to_owned(),
        Reasoning::Effort(level) => format!(r#"{{"effort":"{}"}}"#, level.as_str()),
        Reasoning::Budget(tokens) => format!(r#"{{"max_tokens":{tokens}}}"#),
    };
    out.key("reasoning").raw(&field);
}

/// OpenAI's field knows words alone, so a budget becomes the word that is nearest to it.
fn reasoning_effort(out: &mut Writer, reasoning: Reasoning) {
    let word = match reasoning {
        Reasoning::Unsaid | Reasoning::Enabled => return,
        Reasoning::Effort(level) => level.as_str(),
        // `high` is the strongest word that all servers know.
        Reasoning::Budget(tokens) => level_of_budget(tokens).min(Level::High).as_str(),
    };
    out.key("reasoning_effort").string(word);
}

fn routed(out: &mut Writer, request: &Request<'_>, target: &Target, routing: &Routing<'_>) {
    out.key("stream").boolean(request.stream);
    let dialect = target.dialect;
    if request.stream && dialect.usage_on_request {
        // OpenRouter always counts; other servers of this API do when asked.
        out.key("stream_options").raw(r#"{"include_usage":true}"#);
    }
    if dialect.extensions {
        extensions(out, request, target, routing);
    }
    if let Some(user) = routing.user.filter(|user| !user.is_empty()) {
        out.key("user").string(user);
    }
}

/// Fields that OpenRouter has added.
fn extensions(out: &mut Writer, request: &Request<'_>, target: &Target, routing: &Routing<'_>) {
    if request.standard_tier_only {
        out.key("service_tier").string("default");
    } else if request.fast {
        out.key("service_tier").string("priority");
    }
    if !routing.models.is_empty() {
        out.key("models").array(|out| {
            out.string(&target.id);
            for model in routing.models.iter().filter(|model| **model != target.id) {
                out.string(model);
            }
        });
    }
    let own = request.own_provider().map(Raw::as_str);
    let ours = routing.provider.map(RawValue::get);
    if let Some(provider) = own.or(ours) {
        out.key("provider").raw(provider);
    }
    if let Some(session) = routing.session_id.filter(|session| !session.is_empty()) {
        out.key("session_id").string(session);
    }
}

/// Claude Code's safety check asks for a word and ends it with a tag; reasoning would use up its few tokens.
fn is_verdict(request: &Request<'_>) -> bool {
    let tags = ["</block>", "</severity>"];
    request.tools.is_empty()
        && request
            .stop_sequences
            .iter()
            .any(|stop| tags.contains(&stop.as_ref()))
}

fn has_pdf(turn: &Turn<'_>) -> bool {
    let Turn::User(parts) = turn else {
        return false;
    };
    parts.iter().any(|part| {
        matches!(
            part,
            Part::File {
                media: Media::Data { .. } | Media::Url(_),
                ..
            }
        )
    })
}

/// What [`extensions`] would have said.
fn only_where_extended(request: &Request<'_>, routing: &Routing<'_>) -> Vec<&'static str> {
    let has_own_provider = request.own_provider().is_some();
    let fields = [
        ("speed", request.fast),
        ("service_tier", request.standard_tier_only),
        ("fallbacks", !routing.models.is_empty()),
        ("provider", has_own_provider || routing.provider.is_some()),
    ];
    let said = fields.into_iter().filter(|(_, is_said)| *is_said);
    said.map(|(name, _)| name).collect()
}

fn not_sent(request: &Request<'_>, target: &Target, routing: &Routing<'_>, notes: &mut Vec<Note>) {
    let names = only_where_extended(request, routing);
    if !target.dialect.extensions && !names.is_empty() {
        notes.push(Note::new(format!(
            "`{}` was left out, because plain chat completions have no such field (`quirks.extensions` in the settings)",
            names.join("`, `")
        )));
    }
    let unknown = request.unknown.iter().map(String::as_str);
    if target.dialect.extensions && request.standard_tier_only && request.fast {
        notes.push(Note::new(
            "`speed` was left out, because `service_tier` asks for the standard tier only",
        ));
    }
    let has_both = request.own_provider().is_some() && routing.provider.is_some();
    if target.dialect.extensions && has_both {
        notes.push(Note::new(CLIENTS_PROVIDER));
    }
    let known = request.set_aside.iter().map(AsRef::as_ref);
    let mut names: Vec<&str> = known.chain(unknown).collect();
    if request.output_config.task_budget {
        names.push("output_config.task_budget");
    }
    if !request.fallbacks.is_empty() && routing.models.is_empty() {
        names.push("fallbacks");
    }
    if !names.is_empty() {
        notes.push(Note::new(format!(
            "`{}` was left out, because chat completions have no such field",
            names.join("`, `")
        )));
    }
}
