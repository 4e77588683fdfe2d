//! Whether and how hard the model shall reason: `thinking` and `effort` into `reasoning`.
//!
//! Two things make this more than a table. Leaving `reasoning` out means the model's own default, which is often *on*;
//! so "off" must be said where it may be said. And models differ: some cannot stop, some take a budget, some levels only.
//! This file must not know how the request is written.

use super::model::{Family, Target};
use super::note::Note;
use crate::protocol::anthropic::request::{Effort, Thinking};
use crate::protocol::openrouter::catalogue::{Level, Levels, ReasoningAbility};

/// Below this many output tokens a model that reasons by default would answer nothing.
const SMALL_ANSWER: u64 = 2048;
/// Below this many, an answer that must fit a schema would be cut.
const SMALL_FORMATTED_ANSWER: u64 = 8192;
/// The smallest budget that providers take.
const SMALLEST_BUDGET: u64 = 1024;

/// What is asked for, as far as it bears on reasoning.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// `thinking`.
    pub thinking: Option<Thinking>,
    /// `output_config.effort`, of the request or of the last turn.
    pub effort: Option<Effort>,
    /// The limit on output tokens that will be sent.
    pub max_tokens: u64,
    /// The model must call a tool.
    pub forced_tool: bool,
    /// The answer must fit a schema.
    pub formatted: bool,
    /// The tool loop to go on with began without a thought that this model can read, and it is one that minds.
    pub strange_loop: bool,
    /// The answer is the verdict of Claude Code's safety check, a word.
    pub verdict: bool,
}

/// The field `reasoning` of the upstream request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reasoning {
    /// Left out: the model's own default.
    Unsaid,
    /// As much as the model finds right.
    Enabled,
    /// This hard.
    Effort(Level),
    /// With this many tokens.
    Budget(u64),
}

/// Decides what to say about reasoning, and what to note.
#[must_use]
pub fn reasoning(wish: &Wish, target: &Target) -> (Reasoning, Option<Note>) {
    let ability = Ability::of(target);
    let wanted = matches!(
        wish.thinking,
        Some(Thinking::Enabled { .. } | Thinking::Adaptive | Thinking::BetweenTools)
    );
    if ability == Ability::Missing {
        let note = wanted.then(|| {
            Note::new(format!(
                "{} does not reason, so it was not asked to",
                target.id
            ))
        });
        return (Reasoning::Unsaid, note);
    }
    if wish.forced_tool && target.family == Family::Claude && (wanted || wish.effort.is_some()) {
        let note = Note::new(
            "reasoning was turned off, because Claude cannot reason when it must call a tool",
        );
        return (ability.off(target).0, Some(note));
    }
    if wish.strange_loop && (wanted || wish.effort.is_some()) {
        let note = Note::new(
            "reasoning was turned off until the next message of the user, because the tool calls under way began without a thought that this Claude can read",
        );
        return (ability.off(target).0, Some(note));
    }
    match wish.thinking {
        Some(Thinking::Disabled) => ability.off(target),
        Some(Thinking::Enabled { budget_tokens }) => {
            (ability.budget(budget_tokens, wish, target), None)
        }
        Some(thinking @ (Thinking::Adaptive | Thinking::BetweenTools)) => (
            wish.effort
                .map_or(Reasoning::Enabled, |effort| ability.effort(level(effort))),
            (thinking == Thinking::BetweenTools).then(|| {
                Note::new("reasoning between tool calls alone cannot be asked for, so it is on throughout")
            }),
        ),
        None if wish.verdict || wish.is_small() => {
            let (off, note) = ability.off(target);
            (off, note.or_else(|| wish.effort.is_some().then(|| no_room(wish))))
        }
        None => (
            wish.effort
                .map_or(Reasoning::Unsaid, |effort| ability.effort(level(effort))),
            None,
        ),
    }
}

/// Why an effort that was asked for is not.
fn no_room(wish: &Wish) -> Note {
    Note::new(format!(
        "`effort` was not passed on and no reasoning asked for, because the {} tokens that the answer may have leave no room for thoughts",
        wish.max_tokens
    ))
}

impl Wish {
    /// Says whether a client that did not ask for thinking would get no answer if the model thought.
    fn is_small(&self) -> bool {
        let needed = if self.formatted && self.effort.is_none() {
            SMALL_FORMATTED_ANSWER
        } else {
            SMALL_ANSWER
        };
        self.max_tokens < needed
    }
}

/// What is known of a model's reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ability {
    Unknown,
    Missing,
    Known(ReasoningAbility),
}

impl Ability {
    fn of(target: &Target) -> Self {
        match (target.reasoning, target.parameters) {
            (Some(ability), _) => Self::Known(ability),
            (None, None) => Self::Unknown,
            (None, Some(parameters)) if parameters.reasoning => Self::Known(ReasoningAbility {
                supports_max_tokens: matches!(target.family, Family::Claude | Family::Gemini),
                ..ReasoningAbility::default()
            }),
            (None, Some(_)) => Self::Missing,
        }
    }

    fn off(self, target: &Target) -> (Reasoning, Option<Note>) {
        match self {
            Self::Missing => (Reasoning::Unsaid, None),
            Self::Unknown if target.family == Family::Claude => {
                (Reasoning::Effort(Level::None), None)
            }
            // It might be one that cannot stop, which would refuse the request.
            Self::Unknown => (Reasoning::Unsaid, None),
            Self::Known(ability) if !ability.mandatory => (Reasoning::Effort(Level::None), None),
            Self::Known(ability) => {
                let lowest = match ability.efforts {
                    None => Some(Level::Minimal),
                    Some(levels) => levels.iter().find(|level| *level != Level::None),
                };
                let note = Note::new(format!(
                    "{} cannot answer without reasoning, so it was asked for as little as it can",
                    target.id
                ));
                (
                    lowest.map_or(Reasoning::Unsaid, Reasoning::Effort),
                    Some(note),
                )
            }
        }
    }

    fn effort(self, wanted: Level) -> Reasoning {
        let levels = match self {
            Self::Known(ability) => ability.efforts.filter(|levels| !levels.is_empty()),
            Self::Unknown | Self::Missing => None,
        };
        Reasoning::Effort(levels.map_or(wanted, |levels| nearest(wanted, levels)))
    }

    fn budget(self, tokens: u64, wish: &Wish, target: &Target) -> Reasoning {
        let takes_budget = match self {
            Self::Known(ability) => ability.supports_max_tokens,
            Self::Unknown => target.family == Family::Claude,
            Self::Missing => false,
        };
        // From 4.7 on Claude ignores a budget.
        let adapts = target
            .claude_version()
            .is_some_and(|version| version >= (4, 7));
        // With interleaved thinking a budget may be larger than the answer; the upstream wants it to be smaller.
        let tokens_here = if tokens < wish.max_tokens {
            tokens
        } else {
            wish.max_tokens / 5 * 4
        };
        if takes_budget && !adapts && tokens_here >= SMALLEST_BUDGET {
            return Reasoning::Budget(tokens_here);
        }
        self.effort(wish.effort.map_or_else(|| level_of_budget(tokens), level))
    }
}

fn level(effort: Effort) -> Level {
    match effort {
        Effort::Low => Level::Low,
        Effort::Medium => Level::Medium,
        Effort::High => Level::High,
        Effort::Xhigh => Level::Xhigh,
        Effort::Max => Level::Max,
    }
}

/// The level that a budget comes nearest to.
pub(super) fn level_of_budget(tokens: u64) -> Level {
    match tokens {
        0..=4096 => Level::Low,
        4097..=8192 => Level::Medium,
        8193..=24_576 => Level::High,
        _ => Level::Xhigh,
    }
}

/// The level of a set that is nearest to another; of two, the stronger. `none` is never as good as the weakest.
fn nearest(wanted: Level, levels: Levels) -> Level {
    let distance = |level: &Level| (*level as i8 - wanted as i8).abs();
    levels
        .iter()
        .filter(|level| *level != Level::None)
        .min_by_key(|level| (distance(level), std::cmp::Reverse(*level)))
        .unwrap_or(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::openrouter::catalogue::Parameters;

    const BUDGET: Thinking = Thinking::Enabled {
        budget_tokens: 31_999,
    };

    fn target(id: &str, reasoning: Option<ReasoningAbility>) -> Target {
        Target {
            reasoning,
            parameters: Some(Parameters::default()),
            known: true,
            ..Target::new(id, None)
        }
    }

    fn levels(levels: &[Level]) -> ReasoningAbility {
        ReasoningAbility {
            efforts: Some(levels.iter().copied().collect()),
            ..ReasoningAbility::default()
        }
    }

    fn wish(thinking: Option<Thinking>, effort: Option<Effort>) -> Wish {
        Wish {
            thinking,
            effort,
            max_tokens: 32_000,
            ..Wish::default()
        }
    }

    fn said(wish: &Wish, target: &Target) -> Reasoning {
        reasoning(wish, target).0
    }

    const ADAPTIVE: Option<Thinking> = Some(Thinking::Adaptive);

    #[test]
    fn an_adaptive_model_is_told_how_hard() {
        let claude = target(
            "anthropic/claude-opus-5.5",
            Some(ReasoningAbility::default()),
        );
        let effort = |level| Reasoning::Effort(level);
        for (thinking, wanted, expected) in [
            (ADAPTIVE, None, Reasoning::Enabled),
            (ADAPTIVE, Some(Effort::Max), effort(Level::Max)),
            (Some(Thinking::BetweenTools), None, Reasoning::Enabled),
            (Some(BUDGET), None, effort(Level::Xhigh)),
            (None, None, Reasoning::Unsaid),
            (None, Some(Effort::Low), effort(Level::Low)),
        ] {
            let wish = wish(thinking, wanted);
            assert_eq!(said(&wish, &claude), expected, "{wish:?}");
        }
    }

    #[test]
    fn a_model_with_levels_is_given_the_nearest() {
        let all = [Level::Minimal, Level::Low, Level::Medium, Level::High];
        let gpt = target("openai/gpt-5", Some(levels(&all)));
        let small = Thinking::Enabled {
            budget_tokens: 1024,
        };
        for (thinking, wanted, level) in [
            (ADAPTIVE, Some(Effort::Max), Level::High),
            (Some(BUDGET), Some(Effort::Medium), Level::Medium),
            (Some(BUDGET), None, Level::High),
            (Some(small), None, Level::Low),
        ] {
            let wish = wish(thinking, wanted);
            assert_eq!(said(&wish, &gpt), Reasoning::Effort(level), "{wish:?}");
        }
        let unknown = Target::new("openai/gpt-9", None);
        for (wish, level) in [
            (wish(Some(BUDGET), None), Level::Xhigh),
            (wish(ADAPTIVE, Some(Effort::High)), Level::High),
        ] {
            assert_eq!(said(&wish, &unknown), Reasoning::Effort(level), "{wish:?}");
        }
    }

    #[test]
    fn p37_a_model_with_budgets_is_given_the_budget() {
        let budgeted = target(
            "anthropic/claude-sonnet-4.5",
            Some(ReasoningAbility {
                supports_max_tokens: true,
                ..ReasoningAbility::default()
            }),
        );
        for effort in [None, Some(Effort::Low)] {
            assert_eq!(
                said(&wish(Some(BUDGET), effort), &budgeted),
                Reasoning::Budget(31_999)
            );
        }
    }

    #[test]
    fn p34_what_cannot_be_turned_off_is_turned_down() {
        let mandatory = |efforts: Option<&[Level]>| {
            let efforts = efforts.map(|levels| levels.iter().copied().collect());
            target(
                "x/y",
                Some(ReasoningAbility {
                    mandatory: true,
                    efforts,
                    ..ReasoningAbility::default()
                }),
            )
        };
        let off = wish(Some(Thinking::Disabled), None);
        for (target, expected) in [
            (
                mandatory(Some(&[Level::High, Level::Low])),
                Reasoning::Effort(Level::Low),
            ),
            (mandatory(Some(&[])), Reasoning::Unsaid),
            (mandatory(None), Reasoning::Effort(Level::Minimal)),
        ] {
            let (said, note) = reasoning(&off, &target);
            assert_eq!(said, expected);
            assert!(note.is_some());
        }
    }

    #[test]
    fn p35_off_is_said_where_it_may_be_said() {
        let off = wish(Some(Thinking::Disabled), None);
        let able = target(
            "x/y",
            Some(ReasoningAbility {
                default_enabled: true,
                ..ReasoningAbility::default()
            }),
        );
        assert_eq!(said(&off, &able), Reasoning::Effort(Level::None));
        assert_eq!(
            said(&off, &Target::new("anthropic/claude-x", None)),
            Reasoning::Effort(Level::None)
        );
        assert_eq!(
            said(&off, &Target::new("x/unknown", None)),
            Reasoning::Unsaid
        );
    }

    #[test]
    fn p36_a_model_that_does_not_reason_is_not_asked_to() {
        let plain = target("x/y", None);
        let (said, note) = reasoning(&wish(Some(Thinking::Adaptive), Some(Effort::High)), &plain);
        assert_eq!(said, Reasoning::Unsaid);
        assert!(note.is_some());
        assert_eq!(
            reasoning(&wish(Some(Thinking::Disabled), None), &plain),
            (Reasoning::Unsaid, None)
        );
    }

    #[test]
    fn p20_a_forced_tool_choice_turns_claudes_reasoning_off() {
        let forced = Wish {
            forced_tool: true,
            ..wish(Some(BUDGET), None)
        };
        let claude = target(
            "anthropic/claude-sonnet-4.5",
            Some(ReasoningAbility::default()),
        );
        let (said, note) = reasoning(&forced, &claude);
        assert_eq!(said, Reasoning::Effort(Level::None));
        assert!(note.is_some());
        let gpt = target("openai/gpt-5", Some(ReasoningAbility::default()));
        assert_eq!(reasoning(&forced, &gpt).0, Reasoning::Effort(Level::Xhigh));
    }

    #[test]
    fn p62_p77_a_small_answer_is_not_eaten_by_reasoning() {
        let able = target(
            "x/y",
            Some(ReasoningAbility {
                default_enabled: true,
                ..ReasoningAbility::default()
            }),
        );
        let off = Reasoning::Effort(Level::None);
        let verdict = Wish {
            verdict: true,
            ..wish(None, None)
        };
        assert_eq!(said(&verdict, &able), off);
        let small = Wish {
            max_tokens: 512,
            ..wish(None, None)
        };
        assert_eq!(reasoning(&small, &able), (off, None));
        let hard = Wish {
            effort: Some(Effort::High),
            ..small
        };
        let (said_of_hard, note) = reasoning(&hard, &able);
        assert_eq!(said_of_hard, off);
        assert!(note.is_some_and(|note| note.as_str().contains("512 tokens")));
        let formatted = Wish {
            formatted: true,
            max_tokens: 4096,
            ..wish(None, None)
        };
        assert_eq!(said(&formatted, &able), off);
        let title = Wish {
            formatted: true,
            ..wish(None, Some(Effort::Medium))
        };
        assert_eq!(said(&title, &able), Reasoning::Effort(Level::Medium));
    }

    #[test]
    fn a_small_answer_is_one_below_its_limit() {
        let able = target("x/y", Some(ReasoningAbility::default()));
        for (max_tokens, formatted, effort, is_off) in [
            (2047, false, None, true),
            (2048, false, None, false),
            (8191, true, None, true),
            (8192, true, None, false),
            (2047, true, Some(Effort::Low), true),
            (2048, true, Some(Effort::Low), false),
        ] {
            let wish = Wish {
                max_tokens,
                formatted,
                ..wish(None, effort)
            };
            let off = said(&wish, &able) == Reasoning::Effort(Level::None);
            assert_eq!(off, is_off, "{wish:?}");
        }
    }

    #[test]
    fn a_budget_is_a_level_where_none_is_taken() {
        let unknown = Target::new("openai/gpt-9", None);
        for (budget_tokens, level) in [
            (1024, Level::Low),
            (4096, Level::Low),
            (4097, Level::Medium),
            (8192, Level::Medium),
            (8193, Level::High),
            (24_576, Level::High),
            (24_577, Level::Xhigh),
        ] {
            let wish = wish(Some(Thinking::Enabled { budget_tokens }), None);
            assert_eq!(
                said(&wish, &unknown),
                Reasoning::Effort(level),
                "{budget_tokens}"
            );
        }
    }

    #[test]
    fn a_budget_goes_to_those_that_take_one_and_is_worth_a_thousand_tokens() {
        let parameters = |reasoning| {
            Some(Parameters {
                reasoning,
                ..Parameters::default()
            })
        };
        let takes = |id: &str, max_tokens: u64| {
            let target = Target {
                parameters: parameters(true),
                ..Target::new(id, None)
            };
            let wish = Wish {
                max_tokens,
                ..wish(Some(BUDGET), None)
            };
            said(&wish, &target)
        };
        let claude = "anthropic/claude-sonnet-4.5";
        assert_eq!(takes(claude, 1280), Reasoning::Budget(1024));
        assert_eq!(takes(claude, 1279), Reasoning::Effort(Level::Xhigh));
        assert_eq!(
            takes("anthropic/claude-opus-4.6", 64_000),
            Reasoning::Budget(31_999)
        );
        assert_eq!(
            takes("anthropic/claude-opus-4.7", 64_000),
            Reasoning::Effort(Level::Xhigh)
        );
        assert_eq!(
            takes("google/gemini-3-pro", 64_000),
            Reasoning::Budget(31_999)
        );
        assert_eq!(
            takes("openai/gpt-5", 64_000),
            Reasoning::Effort(Level::Xhigh)
        );
        let unknown = Target::new(claude, None);
        assert_eq!(
            said(&wish(Some(BUDGET), None), &unknown),
            Reasoning::Budget(31_999)
        );
        let missing = Target {
            parameters: parameters(false),
            ..Target::new(claude, None)
        };
        assert_eq!(said(&wish(Some(BUDGET), None), &missing), Reasoning::Unsaid);
    }

    #[test]
    fn what_forbids_reasoning_matters_only_where_reasoning_is_wanted() {
        let claude = target(
            "anthropic/claude-sonnet-4.5",
            Some(ReasoningAbility::default()),
        );
        let off = Reasoning::Effort(Level::None);
        let forced = |wish| Wish {
            forced_tool: true,
            ..wish
        };
        let strange = |wish| Wish {
            strange_loop: true,
            ..wish
        };
        for (wish, expected, is_noted) in [
            (forced(wish(None, None)), Reasoning::Unsaid, false),
            (forced(wish(None, Some(Effort::Low))), off, true),
            (forced(wish(ADAPTIVE, None)), off, true),
            (strange(wish(None, None)), Reasoning::Unsaid, false),
            (strange(wish(None, Some(Effort::Low))), off, true),
            (strange(wish(ADAPTIVE, None)), off, true),
            (wish(ADAPTIVE, None), Reasoning::Enabled, false),
            (
                wish(Some(Thinking::BetweenTools), None),
                Reasoning::Enabled,
                true,
            ),
            (wish(Some(Thinking::Disabled), None), off, false),
        ] {
            let (said, note) = reasoning(&wish, &claude);
            assert_eq!((said, note.is_some()), (expected, is_noted), "{wish:?}");
        }
    }

    #[test]
    fn of_two_levels_equally_near_the_stronger_is_taken_and_none_never() {
        let given = |has: &[Level], wanted: Effort| {
            let target = target("x/y", Some(levels(has)));
            said(&wish(ADAPTIVE, Some(wanted)), &target)
        };
        for (has, wanted, level) in [
            (&[Level::Low, Level::High][..], Effort::Medium, Level::High),
            (&[Level::None, Level::Max], Effort::Low, Level::Max),
            (&[Level::None], Effort::Low, Level::Low),
            (
                &[Level::Low, Level::Medium, Level::High],
                Effort::Xhigh,
                Level::High,
            ),
            (&[Level::Minimal, Level::High], Effort::Low, Level::Minimal),
            (&[], Effort::Xhigh, Level::Xhigh),
        ] {
            assert_eq!(
                given(has, wanted),
                Reasoning::Effort(level),
                "{has:?} {wanted:?}"
            );
        }
    }

    #[test]
    fn a_budget_stays_below_the_limit_on_the_answer() {
        let budgeted = target(
            "anthropic/claude-sonnet-4.5",
            Some(ReasoningAbility {
                supports_max_tokens: true,
                ..ReasoningAbility::default()
            }),
        );
        for (max_tokens, expected) in [
            (32_000, Reasoning::Budget(31_999)),
            (31_999, Reasoning::Budget(25_596)),
            (1000, Reasoning::Effort(Level::Xhigh)),
        ] {
            let wish = Wish {
                max_tokens,
                ..wish(Some(BUDGET), None)
            };
            assert_eq!(said(&wish, &budgeted), expected, "{max_tokens}");
        }
    }
}
