//! Pictures and files: shape, media type, and whether the bytes are what they claim to be.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::simulator::catalogue::Model;
use crate::simulator::refusal::Refusal;

pub(super) fn image(model: &Model, part: &Value, at: &str) -> Result<(), Refusal> {
    if !model.images {
        return Err(Refusal::platform(
            404,
            "No endpoints found that support image input",
        ));
    }
    let Some(url) = part.pointer("/image_url/url").and_then(Value::as_str) else {
        return Err(Refusal::platform(
            400,
            format!("{at}.image_url.url: Required"),
        ));
    };
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(());
    }
    let Some((kind, bytes)) = data_url(url) else {
        return Err(Refusal::platform_of_type(
            400,
            "invalid_image",
            format!("{at}: invalid image URL"),
        ));
    };
    let is_what_it_claims = match kind {
        "image/png" => bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
        "image/jpeg" => bytes.starts_with(b"\xff\xd8\xff"),
        "image/gif" => bytes.starts_with(b"GIF8"),
        "image/webp" => bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP"),
        _ => {
            let text = format!("{at}: unsupported image format {kind}");
            return Err(Refusal::platform_of_type(
                400,
                "unsupported_image_format",
                text,
            ));
        }
    };
    if is_what_it_claims {
        return Ok(());
    }
    let text = format!("{at}: Could not process image: the bytes are not {kind}");
    Err(Refusal::provider(model.family, text))
}

pub(super) fn file(part: &Value, at: &str) -> Result<(), Refusal> {
    let file = part.get("file");
    let named = |name: &str| file.and_then(|file| file.get(name)).and_then(Value::as_str);
    if named("file_id").is_some() {
        return Ok(());
    }
    if named("filename").is_none_or(str::is_empty) {
        return Err(Refusal::platform(
            400,
            format!("{at}.file.filename: Required"),
        ));
    }
    let is_readable = match named("file_data") {
        Some(url) if url.starts_with("https://") || url.starts_with("http://") => true,
        Some(url) => data_url(url)
            .is_some_and(|(kind, bytes)| kind != "application/pdf" || bytes.starts_with(b"%PDF")),
        None => false,
    };
    if is_readable {
        return Ok(());
    }
    Err(Refusal::platform(
        400,
        format!("{at}.file.file_data: expected a data URL or an https URL of a readable file"),
    ))
}

fn data_url(url: &str) -> Option<(&str, Vec<u8>)> {
    let (kind, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
    let bytes = STANDARD.decode(data).ok()?;
    (!bytes.is_empty()).then_some((kind, bytes))
}
