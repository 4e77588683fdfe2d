//! What a page shows of characters that would change how the text around them looks.
//!
//! Models, tools and clients write what stands on pages, and a person judges by it. A right-to-left override makes
//! `exe.png` of `gnp.exe`, and a control character is seen by nobody. They are shown by their names instead, in all of a
//! page, since no template of ours has any.

use std::fmt::Write;

/// The page with such characters written out.
pub(crate) fn disarmed(html: String) -> String {
    if !html.contains(is_harmful) {
        return html;
    }
    let mut shown = String::with_capacity(html.len() + 64);
    for character in html.chars() {
        match character {
            harmless if !is_harmful(harmless) => shown.push(harmless),
            // The pictures of the control characters stand in their order.
            '\0'..='\u{1f}' => shown.extend(char::from_u32(0x2400 + u32::from(character))),
            '\u{7f}' => shown.push('\u{2421}'),
            _ => {
                let _ = write!(shown, "⟨U+{:04X}⟩", u32::from(character));
            }
        }
    }
    shown
}

/// Controls but for blanks, and what sets the direction of writing (Unicode Standard Annex 9, 2).
fn is_harmful(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => false,
        '\u{61c}' | '\u{200e}' | '\u{200f}' => true,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        other => other.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_turn_a_text_around_is_named() {
        let shown = |text: &str| disarmed(text.to_owned());
        assert_eq!(shown("a\u{202e}gnp.exe"), "a⟨U+202E⟩gnp.exe");
        assert_eq!(
            shown("\u{2066}x\u{2069}\u{61c}"),
            "⟨U+2066⟩x⟨U+2069⟩⟨U+061C⟩"
        );
        assert_eq!(shown("\u{1b}[31m\u{7f}\0\u{9b}"), "␛[31m␡␀⟨U+009B⟩");
    }

    #[test]
    fn what_is_written_from_right_to_left_stays() {
        for text in ["שלום", "مرحبا\n\tx", "👩‍💻 – “ok” ∶ \u{a0}", "<b>a</b>"]
        {
            assert_eq!(disarmed(text.to_owned()), text);
        }
    }
}
