//! What the real Claude Code CLI can do, it can do on every lane to the upstream.
//!
//! Each claim is proved once per lane; what it says of the upstream's request holds in both dialects.

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use dagway::simulator::{Answer, End, Script, Seen};
use serde_json::{Value, json};

use crate::support::{Claude, Lane, Page, Stage};

/// Makes a test for each lane of each claim.
macro_rules! on_every_lane {
    ($($claim:ident,)*) => {
        mod chat {
            use crate::support::{Lane, Stage};
            $(#[tokio::test]
            async fn $claim() {
                super::$claim(Stage::on(Lane::Chat).await).await;
            })*
        }
        mod native {
            use crate::support::{Lane, Stage};
            $(#[tokio::test]
            async fn $claim() {
                super::$claim(Stage::on(Lane::Native).await).await;
            })*
        }
    };
}

on_every_lane! {
    a_web_search_shows_the_pages_it_found,
    a_page_that_was_fetched_is_read_by_the_model,
    a_pdf_that_a_tool_reads_reaches_the_model,
    a_picture_that_a_tool_reads_reaches_the_model,
    plan_mode_waits_for_the_user_to_agree,
    plan_mode_without_a_user_changes_nothing,
    a_sub_agent_has_a_conversation_of_its_own,
    an_overflow_is_answered_by_compacting,
    an_overflow_by_output_is_answered_by_asking_for_less,
    a_conversation_goes_on_after_the_command_to_compact_it,
    every_effort_is_asked_for_and_its_thinking_comes_back,
    the_model_can_change_in_mid_session,
}

/// Left alone, Claude Code sends the thought back without its words and its signature, and shows no text.
#[tokio::test]
async fn what_a_native_server_says_with_the_beginning_of_a_block_is_not_lost() {
    let stage = Stage::on(Lane::Native).await;
    let start = json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
        "model": "m", "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}}});
    let block = |index: usize, block: &Value| {
        let begun = json!({"type": "content_block_start", "index": index, "content_block": block});
        [begun, json!({"type": "content_block_stop", "index": index})]
    };
    let answer = |blocks: &[Value], reason: &str| {
        let mut events = vec![start.clone()];
        events.extend(
            blocks
                .iter()
                .enumerate()
                .flat_map(|(index, said)| block(index, said)),
        );
        events.push(json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 9}}));
        events.push(json!({"type": "message_stop"}));
        let events: Vec<String> = events.iter().map(Value::to_string).collect();
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        Answer::data_lines(&events, End::Clean)
    };
    let thought = genuine_thought(&stage).await;
    let input = json!({"command": "echo seen", "description": "Look"});
    let call = json!({"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": input});
    let first = answer(&[thought.clone(), call], "tool_use");
    let then = answer(&[json!({"type": "text", "text": "At once."})], "end_turn");
    let asks = |seen: &Seen| body(seen).contains("All at once");
    let script = Script::new().when(asks, first).when(asks, then);
    stage.simulator.script(script);
    let claude = Claude::new(&stage);
    let told = claude.ask(&json!([text("All at once")])).await;
    assert_eq!(told.answer(), "At once.");
    let seen = stage.asked();
    let said = body(seen.last().expect("requests arrived"));
    assert!(said.contains(&thought.to_string()), "{said}");
    assert!(said.contains("seen"), "the command ran: {said}");
    stage.kept_to_its_lane();
    stage.close().await;
}

/// A thought with the signature that the simulator demands of it.
async fn genuine_thought(stage: &Stage) -> Value {
    let turns = json!({"turns": [{"think": "I look.", "text": "Seen."}]});
    let ask = json!({"model": "claude-opus-5-5", "max_tokens": 4_000, "thinking": {"type": "adaptive"},
        "messages": [{"role": "user", "content": format!("SIM[{turns}]")}]});
    let asked = stage.http.post(format!("{}/v1/messages", stage.url));
    let said = asked.body(ask.to_string()).send().await;
    let said = said.expect("dagway answers").text().await;
    let said: Value = serde_json::from_str(&said.expect("it ends")).expect("it is JSON");
    let thought = said["content"][0].clone();
    assert!(thought["signature"].is_string(), "{said}");
    thought
}

/// A PDF of one page that says hello.
const PDF: &str = "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n\
    2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n\
    3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>endobj\n\
    4 0 obj<</Length 38>>stream\nBT /F1 24 Tf 20 100 Td (Hello PDF) Tj ET\nendstream endobj\n\
    5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\n\
    trailer<</Size 6/Root 1 0 R>>\n%%EOF\n";

/// A picture of one pixel.
const PIXEL: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, b'I', b'H', b'D', b'R', 0, 0, 0,
    1, 0, 0, 0, 1, 8, 6, 0, 0, 0, 0x1f, 0x15, 0xc4, 0x89, 0, 0, 0, 0x0d, b'I', b'D', b'A', b'T',
    0x78, 0x9c, 0x63, 0xf8, 0xcf, 0xc0, 0xf0, 0x1f, 0, 5, 0, 1, 0xff, 0x89, 0x99, 0x3d, 0x1d, 0, 0,
    0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82,
];

fn read(claude: &Claude<'_>, file: &str) -> Value {
    json!({ "tool": "Read", "args": { "file_path": claude.file(file) } })
}

fn write(claude: &Claude<'_>, file: &str) -> Value {
    json!({ "tool": "Write", "args": { "file_path": claude.file(file), "content": "changed\n" } })
}

fn text(words: &str) -> Value {
    json!({ "text": words })
}

/// The conversation of a request, in whatever dialect.
fn body(seen: &Seen) -> String {
    seen.body["messages"].to_string()
}

/// Nothing was refused, every request took its lane, and every run completed.
async fn all_went_well(stage: Stage, requests: usize) {
    let seen = stage.asked();
    let refused: Vec<&String> = seen
        .iter()
        .filter_map(|seen| seen.refused.as_ref())
        .collect();
    assert_eq!(
        refused,
        Vec::<&String>::new(),
        "the simulator refused requests"
    );
    assert_eq!(
        seen.len(),
        requests,
        "so many requests reached the upstream"
    );
    stage.kept_to_its_lane();
    for run in stage.runs(requests).await {
        assert_eq!(run["state"], "Completed", "{run:#}");
    }
    stage.close().await;
}

async fn a_web_search_shows_the_pages_it_found(stage: Stage) {
    let search = json!({ "tool": "WebSearch", "args": { "query": "rust dag engines" } });
    let told = Claude::new(&stage)
        .ask(&json!([search, text("Found.")]))
        .await;
    assert_eq!(told.answer(), "Found.");
    told.no_tool_failed();
    let results = told.tool_results();
    let shown = results[0]["content"].as_str().expect("the hits are text");
    assert!(
        shown.contains(r#""url":"https://example.com/simulated""#),
        "{shown}"
    );
    assert!(shown.contains(r#""title":"A simulated page""#), "{shown}");
    let used = &told.result()["modelUsage"];
    assert!(
        used.to_string().contains(r#""webSearchRequests":1"#),
        "{used:#}"
    );
    all_went_well(stage, 3).await;
}

async fn a_page_that_was_fetched_is_read_by_the_model(stage: Stage) {
    let page = Page::serve(
        &stage.folder("page"),
        "<html><body><h1>A loopback page</h1><p>The word is <b>xylophone</b>.</p></body></html>",
    );
    let certificate = page.certificate.display().to_string();
    let claude = Claude::new(&stage).knowing("NODE_EXTRA_CA_CERTS", &certificate);
    claude.settle(&json!({ "skipWebFetchPreflight": true }));
    let question = format!(
        "Which word? SIM[{}]",
        json!({ "turns": [text("It is xylophone.")] })
    );
    let fetch = json!({ "tool": "WebFetch", "args": { "url": page.url, "prompt": question } });
    let told = claude.ask(&json!([fetch, text("Fetched.")])).await;
    assert_eq!(told.answer(), "Fetched.");
    told.no_tool_failed();
    assert_eq!(told.tool_results()[0]["content"], "It is xylophone.");
    let reading = body(&stage.asked()[1]);
    assert!(
        reading.contains("A loopback page") && reading.contains("The word is **xylophone**"),
        "{reading}"
    );
    all_went_well(stage, 3).await;
}

async fn a_pdf_that_a_tool_reads_reaches_the_model(stage: Stage) {
    let claude = Claude::new(&stage);
    claude.write("page.pdf", PDF);
    let told = claude
        .ask(&json!([read(&claude, "page.pdf"), text("One page.")]))
        .await;
    assert_eq!(told.answer(), "One page.");
    told.no_tool_failed();
    let asked = body(&stage.asked()[1]);
    assert!(
        asked.contains(&BASE64_STANDARD.encode(PDF)),
        "the PDF is in the request"
    );
    assert!(
        asked.contains("application/pdf"),
        "the request says that it is a PDF"
    );
    all_went_well(stage, 2).await;
}

async fn a_picture_that_a_tool_reads_reaches_the_model(stage: Stage) {
    let claude = Claude::new(&stage);
    claude.write("pixel.png", PIXEL);
    let told = claude
        .ask(&json!([read(&claude, "pixel.png"), text("One pixel.")]))
        .await;
    assert_eq!(told.answer(), "One pixel.");
    told.no_tool_failed();
    let asked = body(&stage.asked()[1]);
    assert!(
        asked.contains("image/png") && asked.contains("iVBORw0KGgo"),
        "the picture is in the request"
    );
    all_went_well(stage, 2).await;
}

async fn plan_mode_waits_for_the_user_to_agree(stage: Stage) {
    let claude = Claude::new(&stage).planning();
    let plan = json!({ "text": "A plan.", "tools": [{ "name": "ExitPlanMode", "args": { "plan": "1. Write." } }] });
    let told = claude
        .ask_and_agree(&json!([
            plan,
            write(&claude, "after.txt"),
            text("As planned.")
        ]))
        .await;
    assert_eq!(told.answer(), "As planned.");
    told.no_tool_failed();
    let asked: Vec<&Value> = told
        .events
        .iter()
        .filter(|event| event["type"] == "control_request")
        .map(|event| &event["request"]["tool_name"])
        .collect();
    assert_eq!(asked, ["ExitPlanMode", "Write"], "the user was asked");
    assert_eq!(claude.read("after.txt"), "changed\n");
    all_went_well(stage, 3).await;
}

async fn plan_mode_without_a_user_changes_nothing(stage: Stage) {
    let claude = Claude::new(&stage).planning();
    let told = claude
        .ask(&json!([
            write(&claude, "never.txt"),
            text("It may not be.")
        ]))
        .await;
    assert_eq!(told.answer(), "It may not be.");
    assert!(told.reports("permission_denied"), "{:#?}", told.events);
    assert!(!Path::new(&claude.file("never.txt")).exists());
    let result = body(&stage.asked()[1]);
    assert!(
        result.contains("while in plan mode"),
        "the model is told: {result}"
    );
    all_went_well(stage, 2).await;
}

async fn a_sub_agent_has_a_conversation_of_its_own(stage: Stage) {
    let claude = Claude::new(&stage);
    let errand = json!({ "turns": [write(&claude, "agent.txt"), text("The agent reports.")] });
    let args = json!({
        "description": "An errand", "prompt": format!("Run an errand. SIM[{errand}]"),
        "subagent_type": "general-purpose", "run_in_background": false,
    });
    let told = claude
        .ask(&json!([{ "tool": "Agent", "args": args }, text("The agent is back.")]))
        .await;
    assert_eq!(told.answer(), "The agent is back.");
    assert_eq!(claude.read("agent.txt"), "changed\n");
    let runs = stage.runs(4).await;
    let agents = runs
        .iter()
        .filter(|run| run["facts"]["gen_ai.agent.id"].is_string());
    assert_eq!(agents.count(), 2, "two of the runs are the agent's");
    assert!(body(&stage.asked()[3]).contains("The agent reports."));
    all_went_well(stage, 4).await;
}

/// What the upstream says when a conversation does not fit, in the words of the lane.
fn overflow(lane: Lane, input: u32, output: u32) -> Answer {
    match lane {
        Lane::Chat => Answer::error(
            400,
            &format!(
                "This endpoint's maximum context length is 200000 tokens. However, you requested about {} tokens \
                 ({input} of text input, {output} in the output). Please reduce the length of either one, or use the \
                 context-compression plugin to compress your prompt automatically.",
                input + output
            ),
        ),
        Lane::Native if input > 200_000 => Answer::native_error(
            400,
            &format!("prompt is too long: {input} tokens > 200000 maximum"),
        ),
        Lane::Native => Answer::native_error(
            400,
            &format!(
                "input length and `max_tokens` exceed context limit: {input} + {output} > 200000, decrease input \
                 length or `max_tokens` and try again"
            ),
        ),
    }
}

/// Refuses the first request that holds these words.
fn refuse_once(stage: &Stage, words: &'static str, answer: Answer) {
    stage
        .simulator
        .script(Script::new().when(move |seen| body(seen).contains(words), answer));
}

async fn an_overflow_is_answered_by_compacting(stage: Stage) {
    let claude = Claude::new(&stage);
    let told = claude.ask(&json!([text("A long answer.")])).await;
    assert_eq!(told.answer(), "A long answer.");
    refuse_once(&stage, "It goes on.", overflow(stage.lane, 253_131, 1_000));
    let told = claude.ask_more(&json!([text("It goes on.")]), &[]).await;
    assert_eq!(told.answer(), "It goes on.");
    assert!(told.reports("compact_boundary"), "{:#?}", told.events);
    let seen = stage.asked();
    let statuses: Vec<Option<u16>> = seen.iter().map(|seen| seen.status).collect();
    assert_eq!(statuses, [Some(200), Some(400), Some(200), Some(200)]);
    let last = body(&seen[3]);
    assert!(
        last.contains("A simulated conversation took place."),
        "{last}"
    );
    assert_eq!(last.matches("Please help.").count(), 1, "{last}");
    let runs = stage.runs(4).await;
    let error = runs[1]["error"].as_str().unwrap_or_default();
    assert!(
        error.contains("prompt is too long: 253131 tokens > 200000 maximum"),
        "{error}"
    );
    stage.kept_to_its_lane();
    stage.close().await;
}

async fn an_overflow_by_output_is_answered_by_asking_for_less(stage: Stage) {
    refuse_once(
        &stage,
        "Enough room.",
        overflow(stage.lane, 190_131, 64_000),
    );
    let told = Claude::new(&stage)
        .ask(&json!([text("Enough room.")]))
        .await;
    assert_eq!(told.answer(), "Enough room.");
    let seen = stage.asked();
    assert_eq!(seen.len(), 2);
    let room = seen[1].body["max_tokens"].as_u64();
    assert!(
        room.is_some_and(|room| room <= 200_000 - 190_131),
        "{room:?}"
    );
    stage.kept_to_its_lane();
    stage.close().await;
}

async fn a_conversation_goes_on_after_the_command_to_compact_it(stage: Stage) {
    let claude = Claude::new(&stage);
    claude
        .ask(&json!([write(&claude, "one.txt"), text("A long answer.")]))
        .await;
    let told = claude.say_more("/compact", &[]).await;
    assert!(told.reports("compact_boundary"), "{:#?}", told.events);
    let told = claude.ask_more(&json!([text("It goes on.")]), &[]).await;
    assert_eq!(told.answer(), "It goes on.");
    let last = body(&stage.asked()[3]);
    assert!(
        last.contains("A simulated conversation took place."),
        "{last}"
    );
    assert_eq!(last.matches("Please help.").count(), 1, "{last}");
    all_went_well(stage, 4).await;
}

/// The effort of a request, in either dialect.
fn effort(seen: &Seen) -> &Value {
    let chat = &seen.body["reasoning"]["effort"];
    if chat.is_null() {
        &seen.body["output_config"]["effort"]
    } else {
        chat
    }
}

async fn every_effort_is_asked_for_and_its_thinking_comes_back(stage: Stage) {
    let claude = Claude::new(&stage);
    let efforts = ["low", "medium", "high", "xhigh", "max"];
    for asked in efforts {
        let first = json!({ "think": format!("With {asked} effort."), "text": "First.", "tools": [
            { "name": "Bash", "args": { "command": "true", "description": "Nothing" } }] });
        let told = claude
            .ask_more(&json!([first, text("Thought.")]), &["--effort", asked])
            .await;
        assert_eq!(told.answer(), "Thought.", "{asked}");
        let thought = told
            .events
            .iter()
            .any(|event| event["message"]["content"][0]["type"] == "thinking");
        assert!(thought, "{asked}: {:#?}", told.events);
    }
    let seen = stage.asked();
    let sent: Vec<&Value> = seen.iter().step_by(2).map(effort).collect();
    assert_eq!(sent, efforts);
    // The simulator refuses a thought that has been changed.
    let last = body(seen.last().expect("requests arrived"));
    assert_eq!(
        last.matches("\"signature\":").count(),
        efforts.len(),
        "{last}"
    );
    all_went_well(stage, 2 * efforts.len()).await;
}

async fn the_model_can_change_in_mid_session(stage: Stage) {
    let claude = Claude::new(&stage);
    let thinking = |words: &str, then: Value| {
        json!([{ "think": words, "tools": [
        { "name": "Bash", "args": { "command": "echo seen", "description": "Look" } }] }, then])
    };
    let models = [
        ("claude-opus-5-5", "anthropic/claude-opus-5.5"),
        ("openai/gpt-5", "openai/gpt-5"),
        ("google/gemini-3-pro", "google/gemini-3-pro"),
        ("claude-sonnet-4-5", "anthropic/claude-sonnet-4.5"),
        ("claude-opus-5-5", "anthropic/claude-opus-5.5"),
    ];
    for (asked, _) in models {
        let turns = thinking(&format!("As {asked}."), text(&format!("Said by {asked}.")));
        let told = claude.ask_more(&turns, &["--model", asked]).await;
        assert_eq!(told.answer(), format!("Said by {asked}."));
        told.no_tool_failed();
    }
    let seen = stage.asked();
    for ((asked, sent), pair) in models.iter().zip(seen.chunks(2)) {
        for seen in pair {
            let model = seen.body["model"].as_str().unwrap_or_default();
            assert!(model == *sent || model == *asked, "{model} for {asked}");
        }
    }
    let last = body(seen.last().expect("requests arrived"));
    for (asked, _) in models.iter().take(4) {
        assert!(
            last.contains(&format!("Said by {asked}.")),
            "what {asked} said is kept: {last}"
        );
    }
    all_went_well(stage, 2 * models.len()).await;
}
