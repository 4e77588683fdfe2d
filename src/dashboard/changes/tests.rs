//! The tab over a store.

use serde_json::{Value, json};

use super::*;
use crate::dashboard::fixture::{self, FakeStore};
use crate::events::FactValue;
use crate::store::PayloadInfo;

/// Runs of one session, a second apart, newest last.
struct Session {
    store: FakeStore,
    runs: Vec<RunSummary>,
}

impl Session {
    fn new(bodies: &[&Value]) -> Self {
        let mut store = FakeStore::new(Vec::new());
        store.payloads.clear();
        let mut session = Self {
            store,
            runs: Vec::new(),
        };
        for body in bodies {
            session.add("s", payload::UPSTREAM_REQUEST, body.to_string().as_bytes());
        }
        session
    }

    fn add(&mut self, session: &str, name: &str, body: &[u8]) -> usize {
        let number = self.runs.len();
        let mut run = fixture::completed_run();
        let seconds = i64::try_from(number).unwrap();
        run.summary.started = Timestamp(fixture::now().0 + seconds * 1_000_000);
        run.summary.ended = Some(Timestamp(run.summary.started.0 + 500_000));
        run.summary.id = fixture::id(run.summary.started, 0);
        let fact = FactValue::Text(session.into());
        run.summary.facts.insert(facts::SESSION.to_owned(), fact);
        run.payloads = vec![PayloadInfo {
            name: name.to_owned(),
            bytes: body.len() as u64,
            gone: false,
        }];
        let key = format!("{} {name}", run.summary.id);
        self.store.payloads.insert(key, body.to_vec());
        self.runs.push(run.summary.clone());
        // Newest first, as a store lists them.
        self.store.runs.lock().unwrap().insert(0, run);
        number
    }

    /// Adds a payload to a run.
    fn keep(&mut self, number: usize, name: &str, body: &[u8]) {
        let key = format!("{} {name}", self.runs[number].id);
        self.store.payloads.insert(key, body.to_vec());
        let info = PayloadInfo {
            name: name.to_owned(),
            bytes: body.len() as u64,
            gone: false,
        };
        let place = self.runs.len() - 1 - number;
        self.store.runs.lock().unwrap()[place].payloads.push(info);
    }

    async fn page(&self, number: usize, against: Option<usize>) -> String {
        let pairs = against.map(|other| ("against".to_owned(), self.runs[other].id.to_string()));
        let view = View::parse(&pairs.into_iter().collect::<Vec<_>>()).unwrap();
        of_run(&self.store, &self.runs[number], &view)
            .await
            .unwrap()
    }

    /// The number of the run that run `number` is compared with.
    async fn base_of(&self, number: usize) -> Option<usize> {
        let page = self.page(number, None).await;
        let id = page
            .split("<dd><a href=\"/runs/")
            .nth(1)?
            .split('"')
            .next()?;
        self.runs.iter().position(|run| run.id.to_string() == id)
    }
}

fn said(texts: &[&str]) -> Value {
    let messages = texts
        .iter()
        .map(|text| json!({"role": "user", "content": text}));
    json!({"system": texts[0], "messages": messages.collect::<Vec<_>>()})
}

#[tokio::test]
async fn a_turn_is_compared_with_the_one_it_goes_on_from() {
    let mut session = Session::new(&[
        &said(&["main", "a"]),
        &said(&["agent", "x"]),
        &said(&["main", "a", "b"]),
        &said(&["agent", "x", "y"]),
        &said(&["title"]),
        &said(&["main", "a", "b", "c"]),
    ]);
    let mut bases = Vec::new();
    for number in 0..session.runs.len() {
        bases.push(session.base_of(number).await);
    }
    assert_eq!(bases, [None, None, Some(0), Some(1), None, Some(2)]);
    // Another session's request may be the same and is another conversation all the same.
    let body = said(&["main", "a", "b", "c", "d"]).to_string();
    let other = session.add("t", payload::UPSTREAM_REQUEST, body.as_bytes());
    assert_eq!(session.base_of(other).await, None);
}

#[tokio::test]
async fn a_turn_whose_tools_changed_is_compared_with_the_turn_before_all_the_same() {
    let request = |tools: &[&str], texts: &[&str]| {
        let tools = tools.iter().map(|name| json!({"name": name}));
        let mut request = said(texts);
        request["tools"] = tools.collect();
        request
    };
    let session = Session::new(&[
        &request(&["Read", "Bash"], &["main", "a", "b"]),
        &request(&["Bash"], &["agent"]),
        &request(&["Bash", "Read"], &["main", "a", "b", "c"]),
    ]);
    assert_eq!(session.base_of(2).await, Some(0));
    let page = session.page(2, None).await;
    assert!(
        page.contains("the first difference is in the tools"),
        "{page}"
    );
}

#[tokio::test]
async fn a_run_can_be_compared_with_any_other() {
    let session = Session::new(&[
        &said(&["main", "a"]),
        &said(&["other"]),
        &said(&["main", "b"]),
    ]);
    let page = session.page(2, Some(1)).await;
    assert!(page.contains("It begins differently"), "{page}");
    assert_eq!(page.matches("aria-current=\"true\"").count(), 1, "{page}");
    let later = session.page(0, Some(2)).await;
    assert!(
        later.contains("The first difference is in the messages"),
        "{later}"
    );
    assert!(later.contains("2.00 s after this one"), "{later}");
    let nobody = View::parse(&[("against".to_owned(), RunId::now().to_string())]).unwrap();
    let page = of_run(&session.store, &session.runs[2], &nobody)
        .await
        .unwrap();
    assert!(page.contains("There is no such run"), "{page}");
}

#[tokio::test]
async fn what_was_sent_last_counts() {
    let mut session = Session::new(&[&said(&["main", "a"]), &json!({})]);
    let again = payload::UPSTREAM_REQUEST_AGAIN[0];
    session.keep(1, again, said(&["main", "a"]).to_string().as_bytes());
    assert_eq!(session.base_of(1).await, Some(0));
}

#[tokio::test]
async fn what_was_asked_is_never_compared_with_what_was_sent() {
    let asked = said(&["main", "a"]).to_string();
    let sent = json!({"messages": [{"role": "system", "content": "main"}, {"role": "user", "content": "x"}]});
    let sent = sent.to_string();
    let mut session = Session::new(&[]);
    let first = session.add("s", payload::CLIENT_REQUEST, asked.as_bytes());
    session.keep(first, payload::UPSTREAM_REQUEST, sent.as_bytes());
    let refused = session.add("s", payload::CLIENT_REQUEST, asked.as_bytes());
    let last = session.add("s", payload::CLIENT_REQUEST, asked.as_bytes());
    session.keep(last, payload::UPSTREAM_REQUEST, sent.as_bytes());
    // The second sent nothing, so what was asked is compared; and no cache holds what was not sent.
    let same = "The same was asked again.";
    let page = session.page(refused, None).await;
    assert!(page.contains(same), "{page}");
    assert_eq!(session.base_of(last).await, Some(first));
    let page = session.page(last, Some(refused)).await;
    assert!(
        page.contains(same) && page.contains("3 of 3 parts"),
        "{page}"
    );
    // What went through another workflow was translated in another way, or not at all.
    session.store.runs.lock().unwrap()[2].summary.workflow = "native".to_owned();
    session.keep(first, payload::UPSTREAM_REQUEST, b"{}");
    let page = session.page(last, Some(first)).await;
    assert!(
        page.contains(same) && page.contains("3 of 3 parts"),
        "{page}"
    );
}

#[tokio::test]
async fn many_turns_of_sub_agents_do_not_hide_the_turn_before() {
    let mut session = Session::new(&[&said(&["main", "a"])]);
    for number in 0..CANDIDATES + 2 {
        let body = said(&["main", &number.to_string()]).to_string();
        session.add("s", payload::UPSTREAM_REQUEST, body.as_bytes());
        let agent = FactValue::Text(format!("agent {number}").into());
        let mut runs = session.store.runs.lock().unwrap();
        runs[0].summary.facts.insert(facts::AGENT.to_owned(), agent);
    }
    let body = said(&["main", "a", "b"]).to_string();
    let last = session.add("s", payload::UPSTREAM_REQUEST, body.as_bytes());
    assert_eq!(session.base_of(last).await, Some(0));
}

#[tokio::test]
async fn a_run_that_a_fallback_replaced_is_no_turn_before() {
    let (first, second) = (said(&["main", "a"]), said(&["main", "a", "b"]));
    let mut session = Session::new(&[&first, &second, &second]);
    let after = said(&["main", "a", "b", "c"]).to_string();
    let last = session.add("s", payload::UPSTREAM_REQUEST, after.as_bytes());
    let by = FactValue::Text(session.runs[2].id.to_string().into());
    {
        let mut runs = session.store.runs.lock().unwrap();
        let failed = session.runs[1].id;
        let failed = runs.iter_mut().find(|run| run.summary.id == failed);
        let facts = &mut failed.unwrap().summary.facts;
        facts.insert(facts::FALLBACK_BY.to_owned(), by);
    }
    assert_eq!(session.base_of(2).await, Some(0), "the fallback's");
    assert_eq!(session.base_of(1).await, Some(0), "that of the failed one");
    assert_eq!(session.base_of(last).await, Some(2));
}

#[tokio::test]
async fn what_cannot_be_compared_says_why() {
    let mut session = Session::new(&[]);
    let alone = session.add("s", payload::UPSTREAM_REQUEST, b"{\"messages\":[{}]}");
    let broken = session.add("s", payload::UPSTREAM_REQUEST, b"\xff not JSON");
    let absent = session.add("s", payload::CLIENT_RESPONSE, b"{}");
    let after = session.add("s", payload::UPSTREAM_REQUEST, b"{\"messages\":[{}]}");
    for (number, why) in [
        (alone, "there is nothing to compare with"),
        (broken, "is no JSON object"),
        (absent, "is not kept"),
        (after, "The same was asked again."),
    ] {
        let page = session.page(number, None).await;
        assert!(page.contains(why), "{number}: {page}");
    }
}

#[tokio::test]
async fn hostile_requests_stay_text() {
    let bad = "<script>alert(1)</script>";
    let body = |text: &str| {
        json!({bad: text, "tools": [{"name": bad}], "system": bad, "messages": [
            {"role": bad, "content": text},
            {"role": "user", "content": [{"type": bad, bad: text}, {"type": "tool_use", "name": bad}]},
        ]})
    };
    let session = Session::new(&[&body("a"), &body(bad)]);
    let page = session.page(1, None).await;
    assert!(page.contains("&#60;script&#62;alert(1)"), "{page}");
    assert!(!page.contains("<script"), "{page}");
}

#[tokio::test]
async fn lines_that_differ_can_be_scrolled_by_keys() {
    let session = Session::new(&[&said(&["main", "a"]), &said(&["main", "b"])]);
    let page = session.page(1, None).await;
    assert!(
        page.contains("<ol class=\"lines\" tabindex=\"0\" aria-label=\"Lines that differ\">"),
        "{page}"
    );
}
