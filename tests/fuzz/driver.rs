//! The loop: corpus, mutation, judgement, and what becomes of a finding.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fastrand::Rng;

use crate::vocabulary::Vocabulary;

/// How long mutations are tried when nobody says otherwise.
const USUAL_SECONDS: u64 = 15;
/// What one input may take, debug build and busy machine included.
const SLOW: Duration = Duration::from_secs(5);
/// How long a finding is made smaller.
const SHRINKING: Duration = Duration::from_secs(10);
const MOST_IN_POOL: usize = 4_000;
/// Inputs longer than this stay out of the pool, so that it does not only grow.
const LONGEST_IN_POOL: usize = 64 << 10;

/// What is fuzzed.
pub(crate) struct Target {
    /// The folder of its corpus.
    pub(crate) name: &'static str,
    /// Tries an input: a text that is the same for inputs that were treated the same way, or what went wrong.
    pub(crate) judge: fn(&[u8]) -> Result<String, String>,
    /// Changes an input.
    pub(crate) mutate: fn(&mut Rng, &[u8], &Vocabulary) -> Vec<u8>,
}

/// Fuzzes a target for as long as the environment says.
pub(crate) fn fuzz(target: &Target) {
    let seed = number("DAGWAY_FUZZ_SEED").unwrap_or_else(from_the_clock);
    let time = Duration::from_secs(number("DAGWAY_FUZZ_SECONDS").unwrap_or(USUAL_SECONDS));
    println!(
        "fuzzing {} for {time:?}: DAGWAY_FUZZ_SEED={seed}",
        target.name
    );
    let mut pool = corpus(target.name);
    assert!(!pool.is_empty(), "the corpus of {} is empty", target.name);
    let kept = pool.len();
    let vocabulary = Vocabulary::of(&pool);
    let mut known = HashSet::new();
    for input in &pool {
        known.insert(hash(tried(target, input).as_bytes()));
    }
    let began = Instant::now();
    let mut rounds: u64 = 0;
    while began.elapsed() < time {
        let mut rng = Rng::with_seed(seed.wrapping_add(rounds));
        let input = mutated(target, &mut rng, &pool, &vocabulary);
        let is_new = known.insert(hash(tried(target, &input).as_bytes()));
        if is_new && pool.len() < MOST_IN_POOL && input.len() < LONGEST_IN_POOL {
            pool.push(input);
        }
        rounds += 1;
    }
    println!(
        "{}: {rounds} mutations of {kept} files of the corpus, {} of them answered in a new way",
        target.name,
        pool.len() - kept
    );
}

/// One to four changes to an input of the pool.
fn mutated(target: &Target, rng: &mut Rng, pool: &[Vec<u8>], words: &Vocabulary) -> Vec<u8> {
    let chosen = rng.usize(..pool.len());
    let mut input = pool.get(chosen).cloned().unwrap_or_default();
    for _ in 0..rng.usize(1..5) {
        input = (target.mutate)(rng, &input, words);
    }
    input
}

/// Judges an input; a finding ends the test, and its file stays.
fn tried(target: &Target, input: &[u8]) -> String {
    match judged(target, input) {
        Ok(treatment) => treatment,
        Err(fault) => {
            let small = shrunk(target, input);
            let fault = judged(target, &small).err().unwrap_or(fault);
            let path = folder(target.name).join(format!("found-{:016x}", hash(&small)));
            let written = std::fs::write(&path, &small);
            panic!(
                "{}: {fault}\nthe input is {} ({written:?}):\n{}",
                target.name,
                path.display(),
                String::from_utf8_lossy(small.get(..2000).unwrap_or(&small))
            );
        }
    }
}

fn judged(target: &Target, input: &[u8]) -> Result<String, String> {
    let began = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.judge)(input)));
    let took = began.elapsed();
    let treatment = outcome.map_err(|panic| format!("it panicked: {}", words_of(&*panic)))??;
    if took > SLOW {
        return Err(format!("it took {took:?}"));
    }
    Ok(treatment)
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without words")
}

/// The input without whatever the fault does not need.
fn shrunk(target: &Target, input: &[u8]) -> Vec<u8> {
    let until = Instant::now() + SHRINKING;
    let mut small = input.to_vec();
    let mut step = small.len() / 2;
    while step > 0 {
        let mut from = 0;
        while from < small.len() && Instant::now() < until {
            let mut shorter = small.clone();
            shorter.drain(from..(from + step).min(small.len()));
            if judged(target, &shorter).is_err() {
                small = shorter;
            } else {
                from += step;
            }
        }
        step /= 2;
    }
    small
}

/// The files of a corpus, in the order of their names.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let listed = std::fs::read_dir(folder(name)).expect("the corpus is a folder");
    let mut paths: Vec<PathBuf> = listed.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let files = paths.iter().map(std::fs::read);
    files
        .map(|read| read.expect("a file of the corpus can be read"))
        .collect()
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(name)
}

/// A number that is the same for the same bytes, today and tomorrow.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let whole = blake3::hash(bytes);
    let first = whole.as_bytes().first_chunk().expect("a hash has 32 bytes");
    u64::from_le_bytes(*first)
}

fn number(variable: &str) -> Option<u64> {
    let (_, value) = std::env::vars_os().find(|(name, _)| name == variable)?;
    let number = value.to_str().and_then(|text| text.parse().ok());
    Some(number.unwrap_or_else(|| panic!("{variable} is a number")))
}

fn from_the_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
