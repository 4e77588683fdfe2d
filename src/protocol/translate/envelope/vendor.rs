//! Which models can read the reasoning of which: the vendors in the names of dialects and models.

pub(super) fn vendor_of_format(format: &str) -> Option<&'static str> {
    let vendor = match format {
        "anthropic-claude-v1" => "anthropic",
        "google-gemini-v1" => "google",
        "openai-responses-v1" | "azure-openai-responses-v1" | "bedrock-openai-responses-v1" => {
            "openai"
        }
        "xai-responses-v1" | "bedrock-xai-responses-v1" => "x-ai",
        "meta-responses-v1" => "meta",
        _ => return None,
    };
    Some(vendor)
}

pub(super) fn vendor_of_model(model: &str) -> &str {
    let vendor = model.split_once('/').map_or("", |(vendor, _)| vendor);
    match vendor.strip_prefix('~').unwrap_or(vendor) {
        "meta-llama" => "meta",
        vendor => vendor,
    }
}

/// `vendor/model` without `:free`, `:nitro` and the like and without a preset.
pub(super) fn without_variant(model: &str) -> &str {
    let end = model.find([':', '@']).unwrap_or(model.len());
    model.get(..end).unwrap_or(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_of_an_entry_names_its_vendor() {
        for (format, vendor) in [
            ("anthropic-claude-v1", Some("anthropic")),
            ("google-gemini-v1", Some("google")),
            ("openai-responses-v1", Some("openai")),
            ("azure-openai-responses-v1", Some("openai")),
            ("bedrock-openai-responses-v1", Some("openai")),
            ("xai-responses-v1", Some("x-ai")),
            ("bedrock-xai-responses-v1", Some("x-ai")),
            ("meta-responses-v1", Some("meta")),
            ("unknown", None),
        ] {
            assert_eq!(vendor_of_format(format), vendor, "{format}");
        }
    }
}
