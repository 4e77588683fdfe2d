//! The tools that Anthropic's models know by heart and the client runs, with the schema that is published of each.
//!
//! A type's date says which actions the client knows: a model must not be offered one that came later, or went.
//! This file must not know how a tool is offered.

use crate::protocol::anthropic::request::ZOOMS;

/// Gives the description and the schema of such a tool; `None` for every other type. `zoom` is the client's wish to be
/// asked for parts of the screen.
pub(super) fn published(kind: &str, zoom: bool) -> Option<(&'static str, &'static str)> {
    let (name, date) = kind.rsplit_once('_')?;
    if date.len() != 8 {
        return None;
    }
    match name {
        "bash" => Some(BASH),
        "text_editor" => Some((TEXT_EDITOR, text_editor(date))),
        "memory" => Some(MEMORY),
        "computer" => Some((COMPUTER, computer(date, zoom && kind == ZOOMS))),
        _ => None,
    }
}

/// Dates compare as words.
fn text_editor(date: &str) -> &'static str {
    macro_rules! schema {
        ($more:literal) => {
            concat!(
                r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert""#,
            $more,
            r#"]},"path":{"type":"string","description":"The absolute path of the file or directory"},"file_text":{"type":"string","description":"For create: the content of the file"},"old_str":{"type":"string","description":"For str_replace: the text to replace, which must be in the file exactly once"},"new_str":{"type":"string","description":"For str_replace: the text to put there; for insert: the text to insert"},"insert_line":{"type":"integer","description":"For insert: the number of the line after which the text goes"},"insert_text":{"type":"string","description":"For insert: the text to insert"},"view_range":{"type":"array","items":{"type":"integer"},"description":"For view: the first and the last line; -1 is the end of the file"}},"required":["command","path"]}"#
            )
        };
    }
    // It went with the tool's new name.
    if date < "20250429" {
        schema!(r#","undo_edit""#)
    } else {
        schema!("")
    }
}

fn computer(date: &str, zoom: bool) -> &'static str {
    macro_rules! schema {
        ($actions:literal, $fields:literal) => {
            concat!(
                r#"{"type":"object","properties":{"action":{"type":"string","enum":["screenshot","key","type","mouse_move","left_click","right_click","middle_click","double_click","left_click_drag","cursor_position""#,
                $actions,
                r#"]},"coordinate":{"type":"array","items":{"type":"integer"},"description":"x and y in pixels from the left and the top"}"#,
                $fields,
                r#"},"required":["action"]}"#
            )
        };
    }
    if date < "20250124" {
        return schema!(
            "",
            r#","text":{"type":"string","description":"For type: the text; for key: the keys, such as ctrl+s"}"#
        );
    }
    if zoom {
        return schema!(
            r#","triple_click","left_mouse_down","left_mouse_up","scroll","hold_key","wait","zoom""#,
            r#","start_coordinate":{"type":"array","items":{"type":"integer"},"description":"For left_click_drag: where it begins"},"text":{"type":"string","description":"For type: the text; for key and hold_key: the keys, such as ctrl+s"},"scroll_direction":{"type":"string","enum":["up","down","left","right"]},"scroll_amount":{"type":"integer"},"duration":{"type":"number","description":"For hold_key and wait: seconds"},"region":{"type":"array","items":{"type":"integer"},"description":"For zoom: left, top, right, bottom"}"#
        );
    }
    schema!(
        r#","triple_click","left_mouse_down","left_mouse_up","scroll","hold_key","wait""#,
        r#","start_coordinate":{"type":"array","items":{"type":"integer"},"description":"For left_click_drag: where it begins"},"text":{"type":"string","description":"For type: the text; for key and hold_key: the keys, such as ctrl+s"},"scroll_direction":{"type":"string","enum":["up","down","left","right"]},"scroll_amount":{"type":"integer"},"duration":{"type":"number","description":"For hold_key and wait: seconds"}"#
    )
}

const TEXT_EDITOR: &str = "Views, creates and edits text files.";
const COMPUTER: &str =
    "Uses a screen, a keyboard and a mouse. Take a screenshot to see what an action did.";
const BASH: (&str, &str) = (
    "Runs a command in a bash shell that keeps its state from call to call. `restart` starts a new shell.",
    r#"{"type":"object","properties":{"command":{"type":"string","description":"The command to run; needed unless restart is true"},"restart":{"type":"boolean","description":"Start a new shell"}}}"#,
);
const MEMORY: (&str, &str) = (
    "Keeps notes from conversation to conversation as files under /memories. Look there before you begin.",
    r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert","delete","rename"]},"path":{"type":"string","description":"The path of the file or directory under /memories"},"file_text":{"type":"string","description":"For create: the content of the file"},"old_str":{"type":"string","description":"For str_replace: the text to replace"},"new_str":{"type":"string","description":"For str_replace: the text to put there"},"insert_line":{"type":"integer","description":"For insert: the number of the line after which the text goes"},"insert_text":{"type":"string","description":"For insert: the text to insert"},"view_range":{"type":"array","items":{"type":"integer"},"description":"For view: the first and the last line"},"old_path":{"type":"string","description":"For rename: the path now"},"new_path":{"type":"string","description":"For rename: the path then"}},"required":["command"]}"#,
);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// What may stand in the field that says what to do, and which fields there are.
    fn offered(kind: &str, zoom: bool) -> (BTreeSet<String>, BTreeSet<String>) {
        let (_, schema) = published(kind, zoom).unwrap();
        let schema: Value = serde_json::from_str(schema).unwrap();
        let fields = schema["properties"].as_object().unwrap();
        let verb = fields.get("command").or(fields.get("action")).unwrap();
        let verbs = verb["enum"].as_array().unwrap().iter();
        let verbs = verbs.map(|verb| verb.as_str().unwrap().to_owned());
        (verbs.collect(), fields.keys().cloned().collect())
    }

    #[test]
    fn an_editor_can_undo_until_it_got_another_name() {
        for (kind, undoes) in [
            ("text_editor_20241022", true),
            ("text_editor_20250124", true),
            ("text_editor_20250429", false),
            ("text_editor_20250728", false),
            ("text_editor_20990101", false),
        ] {
            let (commands, fields) = offered(kind, false);
            assert_eq!(commands.contains("undo_edit"), undoes, "{kind}");
            assert_eq!(commands.len(), if undoes { 5 } else { 4 });
            assert_eq!(fields.len(), 8);
        }
    }

    #[test]
    fn a_computer_does_what_its_date_says() {
        let first = "cursor_position double_click key left_click left_click_drag middle_click mouse_move right_click screenshot type";
        let later = "hold_key left_mouse_down left_mouse_up scroll triple_click wait";
        for (kind, zoom, more, fields) in [
            ("computer_20241022", false, "", 3),
            ("computer_20241022", true, "", 3),
            ("computer_20250124", true, later, 7),
            ("computer_20251124", false, later, 7),
            ("computer_20251124", true, &format!("{later} zoom"), 8),
            ("computer_20990101", true, later, 7),
        ] {
            let expected: BTreeSet<String> = first
                .split(' ')
                .chain(more.split_whitespace())
                .map(str::to_owned)
                .collect();
            let (actions, named) = offered(kind, zoom);
            assert_eq!(actions, expected, "{kind} {zoom}");
            assert_eq!(named.len(), fields, "{named:?}");
        }
    }

    #[test]
    fn what_is_not_published_is_not_known() {
        for kind in ["bash", "bash_1", "bash_20250124_x", "hologram_20250124", ""] {
            assert_eq!(published(kind, false), None, "{kind}");
        }
        for kind in ["bash_20241022", "memory_20250818"] {
            let (_, schema) = published(kind, false).unwrap();
            assert!(serde_json::from_str::<Value>(schema).unwrap().is_object());
        }
    }
}
