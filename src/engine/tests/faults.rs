//! What is said about workflow files that cannot be proved: every sentence, in one snapshot.

use std::fmt::Write;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::events::PlanInfo;

/// Gives an owned value to whoever wants it.
#[derive(Deserialize)]
struct Lend {}
impl Task for Lend {
    const NAME: &'static str = "lend";
    const ABOUT: &'static str = "Gives a reply that is not there yet";
    type Input = ();
    type Output = Own<Reply>;

    async fn run(&self, (): (), _: &Cx) -> Result<Own<Reply>, TaskError> {
        Ok(Own(Reply(0)))
    }
}

/// Takes an owned value and gives it on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Improve {
    #[serde(default)]
    words: Vec<String>,
}
impl Task for Improve {
    const NAME: &'static str = "improve";
    const ABOUT: &'static str = "Improves a reply";
    type Input = Own<Reply>;
    type Output = Own<Reply>;

    async fn run(&self, Own(reply): Own<Reply>, _: &Cx) -> Result<Own<Reply>, TaskError> {
        let more = u32::try_from(self.words.len()).unwrap();
        Ok(Own(Reply(reply.0 + more)))
    }
}

/// Takes as shared what is given as owned only.
#[derive(Deserialize)]
struct Look;
impl Task for Look {
    const NAME: &'static str = "look";
    const ABOUT: &'static str = "Looks at a reply";
    type Input = (Arc<Sight>, Res<Vec<u8>>);
    type Output = ();

    async fn run(&self, _: Self::Input, _: &Cx) -> Result<(), TaskError> {
        Ok(())
    }
}

#[derive(Serialize)]
struct Sight;
impl Artifact for Sight {
    const NAME: &'static str = "Sight";
}
impl Owned for Sight {
    const NAME: &'static str = "Sight";
}

/// Gives as owned what another takes as shared.
#[derive(Deserialize)]
struct Show {}
impl Task for Show {
    const NAME: &'static str = "show";
    const ABOUT: &'static str = "Shows something once";
    type Input = Arc<Request>;
    type Output = Own<Sight>;

    async fn run(&self, _: Arc<Request>, _: &Cx) -> Result<Own<Sight>, TaskError> {
        Ok(Own(Sight))
    }
}

fn compile(text: &str) -> Result<Plan<Request, Reply>, crate::workflow::Faults> {
    let mut tasks = TASKS.to_vec();
    tasks.extend([
        TaskDef::of::<Lend>(),
        TaskDef::of::<Improve>(),
        TaskDef::of::<Look>(),
        TaskDef::of::<Show>(),
    ]);
    let mut resources = Resources::default();
    resources.insert(Arc::new(Probe::default()));
    Plan::compile("test.toml", text, &tasks, &resources)
}

const HEAD: &str = "name = \"test\"\nreply = \"answer\"\n[steps.answer]\n";

/// A name for the fault, and what stands in the file below `HEAD`.
const FAULTY: &[(&str, &str)] = &[
    ("syntax", "needs = [\"request\"\n[steps.x]\ntask = nothing"),
    ("a key twice", "optional = false\noptional = false"),
    (
        "unknown keys",
        "need = [\"request\"]\nfrequency = 3\nretry = { attempts = 2, backof = \"constant\" }",
    ),
    ("a step that is no table", "[steps]\nidle = 3"),
    (
        "wrong forms",
        "task = 3\nneeds = \"request\"\nafter = [1]\nwith = []\ntimeout = 60\nretry = true\nlimit = -1\noptional = \"yes\"",
    ),
    (
        "wrong times",
        "timeout = \"-5s\"\nretry = { attempts = 2, base = \"soon\", max = \"PT8S\" }",
    ),
    ("no time", "timeout = \"0s\""),
    ("no attempt at once", "limit = 0\ntimeout = \"1s\""),
    ("a limit without a time", "limit = 2"),
    ("no attempts", "retry = { attempts = 0 }"),
    ("attempts not given", "retry = {}"),
    (
        "an unknown backoff and a maximum below the base",
        "retry = { attempts = 2, backoff = \"linear\", base = \"2s\", max = \"1s\" }",
    ),
    ("a need twice", "needs = [\"request\", \"request\"]"),
    ("an unknown task, near one", "[steps.lisen]"),
    ("an unknown task, far from all", "[steps.frobnicate]"),
    ("an unknown setting", "with = { yield = 1 }"),
    (
        "a setting of the wrong type, with its path",
        "[steps.improve]\nwith = { words = [\"a\", 2] }\nneeds = [\"lend\"]\n[steps.lend]",
    ),
    (
        "settings for a task without any",
        "[steps.look]\nwith = { far = true }",
    ),
    (
        "unknown steps",
        "needs = [\"speek\"]\nafter = [\"idel\"]\n[steps.speak]\n[steps.idle]",
    ),
    (
        "an unknown need, without what it would give",
        "[steps.listen]\nneeds = [\"speek\"]\n[steps.speak]",
    ),
    (
        "a need whose task is unknown, without what it would give",
        "[steps.listen]\nneeds = [\"other\"]\n[steps.other]\ntask = \"frobnicate\"",
    ),
    (
        "an input that a step beside gives",
        "[steps.listen]\n[steps.speak]",
    ),
    ("an input that another task gives", "[steps.listen]"),
    (
        "an input that is given another way",
        "[steps.look]\nneeds = [\"show\"]\n[steps.show]\nneeds = [\"request\"]",
    ),
    ("an input that nothing gives", "[steps.look]"),
    (
        "an input that two needs give",
        "[steps.one]\ntask = \"speak\"\n[steps.two]\ntask = \"speak\"\n[steps.listen]\nneeds = [\"one\", \"two\"]",
    ),
    (
        "needs that nobody takes from",
        "[steps.idle]\nneeds = [\"request\", \"speak\"]\n[steps.speak]",
    ),
    (
        "an owned value taken twice",
        "[steps.one]\ntask = \"improve\"\nneeds = [\"lend\"]\n[steps.two]\ntask = \"improve\"\nneeds = [\"lend\"]\n[steps.lend]",
    ),
    (
        "an owned value taken beside the reply",
        "[steps.improve]\nneeds = [\"answer\"]",
    ),
    (
        "a retry of a step that takes an owned value",
        "[steps.improve]\nneeds = [\"lend\"]\nretry = { attempts = 2 }\n[steps.lend]",
    ),
    (
        "circles",
        "[steps.one]\ntask = \"idle\"\nafter = [\"three\"]\n[steps.two]\ntask = \"idle\"\nafter = [\"one\"]\n[steps.three]\ntask = \"idle\"\nafter = [\"two\"]\n[steps.self]\ntask = \"idle\"\nafter = [\"self\"]",
    ),
    (
        "a step named like the input",
        "[steps.request]\ntask = \"idle\"",
    ),
    (
        "a reply behind an optional step",
        "task = \"repeat\"\nneeds = [\"speak\"]\n[steps.speak]\noptional = true",
    ),
    (
        "a reply after what needs an optional step",
        "after = [\"listen\"]\n[steps.listen]\nneeds = [\"speak\"]\n[steps.speak]\noptional = true",
    ),
];

#[test]
fn every_fault_has_its_sentence() {
    let mut told = String::new();
    for (name, rest) in FAULTY {
        let faults = compile(&format!("{HEAD}{rest}")).err();
        let faults = faults.unwrap_or_else(|| panic!("{name} is not noticed"));
        write!(told, "# {name}\n{faults}\n\n").unwrap();
    }
    insta::assert_snapshot!("sentences", told);
}

#[test]
fn the_head_has_faults_of_its_own() {
    let mut told = String::new();
    for text in [
        "",
        "name = \"\"\nreply = 3\nroute = \"v1/messages\"\nsteps = []",
        "name = \"a\"\nreplay = \"answer\"\nabout = 1",
        "name = \"a\"\nreply = \"anser\"\n[steps.answer]",
        "name = \"a\"\nreply = \"idle\"\n[steps.idle]\n[steps.answer]",
        "name = \"a\"\nreply = \"idle\"\n[steps.idle]",
    ] {
        write!(told, "{}\n\n", compile(text).err().unwrap()).unwrap();
    }
    insta::assert_snapshot!("head", told);
}

#[test]
fn all_faults_are_told_at_once_in_the_order_of_the_file() {
    let text = format!(
        "{HEAD}retry = {{ attempts = 0 }}
        [steps.lisen]
        after = [\"answr\"]
        [steps.idle]
        timeout = 3
        [steps.listen]
        needs = [\"request\"]"
    );
    let faults = compile(&text).err().unwrap();
    insta::assert_snapshot!(faults.to_string(), @r#"
    test.toml:4: `retry` of step `answer` allows no attempt at all: give `attempts` at least 1, the first included.
    test.toml:5: step `lisen` names the task `lisen`, which is none: write `listen` if that is what was meant.
    test.toml:6: step `lisen` comes after `answr`, which is no step: write `answer` if that is what was meant.
    test.toml:8: step `idle` says `timeout` in a way that cannot be read: write timeout = "60s" or the like.
    test.toml:9: step `listen` takes the shared `Word`, which no need gives: add a step of the task `speak` and name it in `needs`.
    test.toml:10: step `listen` needs `request` but takes nothing that it gives: remove `request`.
    "#);
}

#[test]
fn a_plan_describes_itself() {
    let text = "# Says a word
#   and listens to it.

name = \"told\"
route = \"POST /v1/words\"
reply = \"answer\"

[steps.listen]
needs = [\"speak\"]
after = [\"answer\"]
optional = true
[steps.answer]
needs = [\"speak\", \"request\"]
[steps.speak]
with = { millis = 2, yields = 1 }
timeout = \"2m\"
retry = { attempts = 3 }
limit = 4
";
    let plan = compile(text).unwrap();
    let info = plan.info();
    assert_eq!(info.source, text);
    assert_eq!(info.hash.len(), 32);
    let mut shown = PlanInfo::clone(info);
    shown.source = "the text".to_owned();
    shown.hash = "its hash".to_owned();
    insta::assert_json_snapshot!("info", shown);
}

#[test]
fn a_plan_that_takes_something_else_is_another() {
    let mut resources = Resources::default();
    resources.insert(Arc::new(Probe::default()));
    let hash = |info: &PlanInfo| info.hash.clone();
    let of_request = Plan::<Request, Reply>::compile("a.toml", HEAD, &TASKS, &resources);
    let of_word = Plan::<Word, Reply>::compile("a.toml", HEAD, &TASKS, &resources);
    let again = Plan::<Request, Reply>::compile("b.toml", HEAD, &TASKS, &resources);
    let hashes = [of_request, again].map(|plan| hash(plan.unwrap().info()));
    assert_eq!(hashes[0], hashes[1]);
    assert_ne!(hashes[0], hash(of_word.unwrap().info()));
}

#[test]
fn times_are_written_as_in_the_settings() {
    for right in ["1d", "1m30s", "0.5s", "2min"] {
        let text = format!("{HEAD}timeout = \"{right}\"\n");
        assert!(compile(&text).is_ok(), "{right}");
    }
}

#[test]
fn plans_differ_by_content_alone() {
    let hash = |file: &str, text: &str| {
        let mut resources = Resources::default();
        resources.insert(Arc::new(Probe::default()));
        let plan = Plan::<Request, Reply>::compile(file, text, &TASKS, &resources);
        plan.unwrap().info().hash.clone()
    };
    assert_eq!(hash("a.toml", HEAD), hash("b.toml", HEAD));
    assert_ne!(hash("a.toml", HEAD), hash("a.toml", &format!("{HEAD}#")));
}

proptest! {
    #[test]
    fn no_text_makes_the_compiler_panic(text in ".{0,200}") {
        let _ = compile(&text);
        let _ = compile(&format!("{HEAD}{text}"));
    }

    #[test]
    fn no_mixture_of_lines_makes_the_compiler_panic(lines in prop::collection::vec(line(), 0..20)) {
        let _ = compile(&lines.join("\n"));
    }
}

/// A line as it may stand in a workflow file, right or wrong.
fn line() -> impl Strategy<Value = String> {
    let known: Vec<_> = FAULTY.iter().flat_map(|(_, rest)| rest.lines()).collect();
    let known: Vec<_> = known
        .into_iter()
        .chain(HEAD.lines())
        .map(str::to_owned)
        .collect();
    (prop::sample::select(known), 0..40_usize, any::<bool>()).prop_map(|(line, at, is_cut)| {
        let kept = line
            .chars()
            .enumerate()
            .filter(|(place, _)| !is_cut || *place != at);
        kept.map(|(_, c)| c).collect()
    })
}
