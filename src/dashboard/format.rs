//! How figures are written on pages: short, aligned, the same everywhere.
//!
//! Pure text; it must not know where a figure comes from or what HTML is.

use std::time::Duration;

use crate::events::Timestamp;

/// What stands where a figure is not known.
pub(crate) const UNKNOWN: &str = "–";

/// A duration with three significant digits and the unit that fits: `412 µs`, `3.42 s`, `1 m 12 s`.
pub(crate) fn duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    let seconds = duration.as_secs();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..60_000_000 => {
            let (value, unit) = if micros < 1_000_000 {
                (duration.as_secs_f64() * 1e3, "ms")
            } else {
                (duration.as_secs_f64(), "s")
            };
            let decimals = if value < 9.995 {
                2
            } else if value < 99.95 {
                1
            } else {
                0
            };
            format!("{value:.decimals$} {unit}")
        }
        60_000_000..3_600_000_000 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        3_600_000_000..86_400_000_000 => {
            format!("{} h {:02} m", seconds / 3_600, seconds / 60 % 60)
        }
        _ => format!("{} d {:02} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// A count of tokens: `812`, `12.4k`, `1.02M`.
pub(crate) fn tokens(count: i64) -> String {
    let magnitude = count.unsigned_abs();
    let sign = if count < 0 { "−" } else { "" };
    let whole = magnitude as f64;
    match magnitude {
        0..1_000 => format!("{sign}{magnitude}"),
        1_000..99_950 => format!("{sign}{:.1}k", whole / 1e3),
        99_950..999_500 => format!("{sign}{:.0}k", whole / 1e3),
        999_500..9_995_000 => format!("{sign}{:.2}M", whole / 1e6),
        _ => format!("{sign}{}M", thousands((whole / 1e6).round() as i64)),
    }
}

/// A number with its thousands set apart: `12 345`, by no-break spaces.
pub(crate) fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    if number < 0 {
        text.push('−');
    }
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// US dollars with as many decimals as the amount deserves: `$0.0042`, `$0.13`, `$12.34`.
pub(crate) fn money(usd: f64) -> String {
    if !usd.is_finite() {
        return UNKNOWN.to_owned();
    }
    let magnitude = usd.abs();
    match magnitude {
        0.0 => "$0".to_owned(),
        m if m < 0.000_05 => "<$0.0001".to_owned(),
        m if m < 0.1 => format!("${usd:.4}"),
        m if m < 1.0 => format!("${usd:.3}"),
        m if m < 1_000.0 => format!("${usd:.2}"),
        _ => format!("${}", thousands(usd.round() as i64)),
    }
}

/// Why a figure is [`about`] so much.
pub(crate) const WHY_ESTIMATED: &str =
    "estimated: the upstream did not tell, or its answer broke off";

/// A figure that is estimated: `≈ 632`.
pub(crate) fn about(figure: &str) -> String {
    format!("≈ {figure}")
}

/// A share of a whole in percent; nothing when there is no whole.
pub(crate) fn share(part: i64, whole: i64) -> Option<String> {
    if whole <= 0 || part < 0 {
        return None;
    }
    let percent = (part as f64 / whole as f64 * 100.0).min(100.0);
    Some(match percent {
        p if part > 0 && p < 1.0 => "<1 %".to_owned(),
        p if p > 99.0 && p < 100.0 => format!("{:.1} %", (p * 10.0).floor() / 10.0),
        p => format!("{p:.0} %"),
    })
}

/// A count of bytes: `812 B`, `12.4 KB`, `1.50 MB`.
pub(crate) fn bytes(count: u64) -> String {
    let whole = count as f64;
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} KB", whole / 1e3),
        _ => format!("{:.2} MB", whole / 1e6),
    }
}

/// How long ago a moment was, as far as anyone wants to know.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.since(at).as_secs();
    match seconds {
        0..5 => "just now".to_owned(),
        5..60 => format!("{seconds} s ago"),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..86_400 => format!("{} h ago", seconds / 3_600),
        86_400..2_592_000 => format!("{} d ago", seconds / 86_400),
        _ => moment(at, "%Y-%m-%d"),
    }
}

/// What a request did before its run's steps began, when that took long: it came slowly, or waited for room.
pub(crate) fn arrival(took: Option<Duration>, waited: Option<Duration>) -> Option<String> {
    let came = took?.saturating_sub(waited.unwrap_or_default());
    let came = (came >= Duration::from_millis(1)).then(|| format!("{} to arrive", duration(came)));
    let waited = waited.map(|waited| format!("{} for room", duration(waited)));
    let parts: Vec<String> = [came, waited].into_iter().flatten().collect();
    Some(format!("with {}", parts.join(", ")))
}

/// A moment to the millisecond, for titles: `2026-11-22 08:54:12.123 UTC`.
pub(crate) fn exact(at: Timestamp) -> String {
    moment(at, "%Y-%m-%d %H:%M:%S%.3f UTC")
}

/// A count of pieces of a stream.
pub(crate) fn chunks(count: u64) -> String {
    match count {
        1 => "1 chunk".to_owned(),
        count => format!(
            "{} chunks",
            thousands(i64::try_from(count).unwrap_or(i64::MAX))
        ),
    }
}

/// `1 retry`, `2 retries`.
pub(crate) fn retries(count: i64) -> String {
    match count {
        1 => "1 retry".to_owned(),
        count => format!("{} retries", thousands(count)),
    }
}

/// Text and code of a line in which backticks stand around code.
pub(crate) fn prose(line: &str) -> Vec<Span> {
    let pieces: Vec<&str> = line.split('`').collect();
    // A last backtick without its partner is one that is meant.
    if pieces.len().is_multiple_of(2) {
        return vec![Span {
            is_code: false,
            text: line.to_owned(),
        }];
    }
    let spans = pieces.iter().enumerate().map(|(place, text)| Span {
        is_code: !place.is_multiple_of(2),
        text: (*text).to_owned(),
    });
    spans.filter(|span| !span.text.is_empty()).collect()
}

/// A piece of a line.
#[derive(Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) is_code: bool,
    pub(crate) text: String,
}

/// The time of day to the second, with its zone.
pub(crate) fn clock(at: Timestamp) -> String {
    moment(at, "%H:%M:%S UTC")
}

/// A moment to the second, with its zone: `2026-11-22 08:54:12 UTC`.
pub(crate) fn date_and_clock(at: Timestamp) -> String {
    moment(at, "%Y-%m-%d %H:%M:%S UTC")
}

/// A moment to the minute, with its zone: `2026-11-22 08:54 UTC`.
pub(crate) fn date_and_minute(at: Timestamp) -> String {
    moment(at, "%Y-%m-%d %H:%M UTC")
}

/// The day of a moment: `2026-11-22`, in UTC.
pub(crate) fn date(at: Timestamp) -> String {
    moment(at, "%Y-%m-%d")
}

/// The time of day to the microsecond.
pub(crate) fn clock_micros(at: Timestamp) -> String {
    moment(at, "%H:%M:%S%.6f")
}

/// RFC 3339 in UTC to the microsecond, for machines.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    moment(at, "%Y-%m-%dT%H:%M:%S%.6fZ")
}

fn moment(at: Timestamp, pattern: &str) -> String {
    match jiff::Timestamp::from_microsecond(at.0) {
        Ok(moment) => moment.strftime(pattern).to_string(),
        Err(_) => UNKNOWN.to_owned(),
    }
}

/// A session as it stands in a table: of a UUID its beginning tells enough, another name stands as it is.
pub(crate) fn session(id: &str) -> String {
    let is_uuid = id.len() == 36 && uuid::Uuid::try_parse(id).is_ok();
    id.chars()
        .take(if is_uuid { 8 } else { usize::MAX })
        .collect()
}

/// At most `length` characters, with an ellipsis where the rest was.
pub(crate) fn ellipsis(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        None => text.to_owned(),
        Some(_) => {
            let mut cut: String = text.chars().take(length.saturating_sub(1)).collect();
            cut.push('…');
            cut
        }
    }
}

/// Whether a text may be longer than the box that it is shown in, which scrolls then.
pub(crate) fn is_long(text: &str) -> bool {
    text.len() > 200 || text.lines().count() > 4
}

/// A share of 100 with one decimal, as SVG attributes take it.
pub(crate) fn percent_attribute(fraction: f64) -> String {
    format!("{:.2}%", (fraction * 100.0).clamp(0.0, 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_long_by_its_length_or_its_lines() {
        let long = ["x".repeat(201), "x\n".repeat(5)];
        assert!(long.iter().all(|text| is_long(text)));
        let short = ["x".repeat(200), "x\n".repeat(4), String::new()];
        assert!(!short.iter().any(|text| is_long(text)));
    }

    #[test]
    fn a_duration_keeps_three_digits() {
        let cases = [
            (0, "0 µs"),
            (412, "412 µs"),
            (1_000, "1.00 ms"),
            (9_996, "10.0 ms"),
            (41_250, "41.2 ms"),
            (412_300, "412 ms"),
            (3_420_000, "3.42 s"),
            (59_990_000, "60.0 s"),
            (72_000_000, "1 m 12 s"),
            (7_500_000_000, "2 h 05 m"),
            (90_000_000_000, "1 d 01 h"),
        ];
        for (micros, text) in cases {
            assert_eq!(duration(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn tokens_are_short() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (12_400, "12.4k"),
            (99_960, "100k"),
            (999_499, "999k"),
            (999_500, "1.00M"),
            (12_345_678, "12M"),
            (-5, "−5"),
        ];
        for (count, text) in cases {
            assert_eq!(tokens(count), text);
        }
        assert_eq!(tokens(i64::MIN).chars().next(), Some('−'));
    }

    #[test]
    fn money_shows_small_amounts() {
        let cases = [
            (0.0, "$0"),
            (0.000_01, "<$0.0001"),
            (0.004_2, "$0.0042"),
            (0.128, "$0.128"),
            (12.345, "$12.35"),
            (12_345.6, "$12\u{202f}346"),
            (f64::NAN, UNKNOWN),
        ];
        for (usd, text) in cases {
            assert_eq!(money(usd), text);
        }
    }

    #[test]
    fn a_share_never_rounds_to_all_or_nothing() {
        assert_eq!(share(1, 1_000).as_deref(), Some("<1 %"));
        assert_eq!(share(999, 1_000).as_deref(), Some("99.9 %"));
        assert_eq!(share(1_000, 1_000).as_deref(), Some("100 %"));
        assert_eq!(share(0, 10).as_deref(), Some("0 %"));
        assert_eq!(share(1, 0), None);
    }

    #[test]
    fn an_arrival_says_who_was_slow() {
        let millis = |millis| Some(Duration::from_millis(millis));
        let said = |took, waited| arrival(took, waited).unwrap_or_default();
        assert_eq!(said(None, None), "");
        assert_eq!(said(millis(4_010), None), "with 4.01 s to arrive");
        assert_eq!(said(millis(50), millis(50)), "with 50.0 ms for room");
        assert_eq!(
            said(millis(60), millis(50)),
            "with 10.0 ms to arrive, 50.0 ms for room"
        );
    }

    #[test]
    fn moments_are_utc() {
        let at = Timestamp(1_795_337_652_123_456);
        assert_eq!(exact(at), "2026-11-22 08:54:12.123 UTC");
        assert_eq!(rfc3339(at), "2026-11-22T08:54:12.123456Z");
        assert_eq!(rfc3339(Timestamp(0)), "1970-01-01T00:00:00.000000Z");
        assert_eq!(exact(Timestamp(i64::MAX)), UNKNOWN);
    }

    #[test]
    fn backticks_stand_around_code() {
        let spans = |line: &str| -> Vec<(bool, String)> {
            let spans = prose(line).into_iter();
            spans.map(|span| (span.is_code, span.text)).collect()
        };
        let expected = [
            (false, "Takes "),
            (true, "a b"),
            (false, ", gives "),
            (true, "c"),
        ];
        let expected = expected.map(|(is_code, text)| (is_code, text.to_owned()));
        assert_eq!(spans("Takes `a b`, gives `c`"), expected);
        assert_eq!(spans("it`s"), [(false, "it`s".to_owned())]);
        assert_eq!(
            (chunks(1), chunks(1_200)),
            ("1 chunk".to_owned(), "1\u{202f}200 chunks".to_owned())
        );
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(ellipsis("żółw", 4), "żółw");
        assert_eq!(ellipsis("żółwie", 4), "żół…");
        assert_eq!(session("01a2069b-3e08-7347-9075-9da8b5b36d3e"), "01a2069b");
        assert_eq!(session("nightly-żółwie-2"), "nightly-żółwie-2");
    }
}
