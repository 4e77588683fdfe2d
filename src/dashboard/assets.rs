//! Styles, scripts and the icon: compiled in, named by their content, cached for ever.
//!
//! It must not know which page uses which file.

use std::sync::LazyLock;

use actix_web::{HttpResponse, web};

/// One file under `/assets/`.
struct Asset {
    /// Its name in templates.
    name: &'static str,
    /// Its name in URLs, which changes with its content.
    hashed: String,
    content_type: &'static str,
    bytes: &'static [u8],
}

const STYLE: &str = concat!(
    include_str!("../../templates/assets/css/tokens.css"),
    include_str!("../../templates/assets/css/base.css"),
    include_str!("../../templates/assets/css/runs.css"),
    include_str!("../../templates/assets/css/session.css"),
    include_str!("../../templates/assets/css/usage.css"),
    include_str!("../../templates/assets/css/run.css"),
    include_str!("../../templates/assets/css/changes.css"),
    include_str!("../../templates/assets/css/graph.css"),
    include_str!("../../templates/assets/css/timeline.css"),
    include_str!("../../templates/assets/css/workflows.css"),
    // What overrules the rules of all others.
    include_str!("../../templates/assets/css/forced.css"),
    include_str!("../../templates/assets/css/print.css"),
);

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    let files: [(&str, &str, &[u8]); 6] = [
        ("app.css", "text/css; charset=utf-8", STYLE.as_bytes()),
        (
            "app.js",
            SCRIPT,
            include_bytes!("../../templates/assets/app.js"),
        ),
        (
            "theme.js",
            SCRIPT,
            include_bytes!("../../templates/assets/theme.js"),
        ),
        (
            "htmx.js",
            SCRIPT,
            include_bytes!("../../templates/assets/vendor/htmx-4.0.1.min.js"),
        ),
        (
            "hx-sse.js",
            SCRIPT,
            include_bytes!("../../templates/assets/vendor/hx-sse-4.0.1.min.js"),
        ),
        (
            "icon.svg",
            "image/svg+xml",
            include_bytes!("../../templates/assets/icon.svg"),
        ),
    ];
    files.map(named_by_content).into()
});

fn named_by_content(
    (name, content_type, bytes): (&'static str, &'static str, &'static [u8]),
) -> Asset {
    let hash = blake3::hash(bytes).to_hex();
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let digest: String = hash.chars().take(12).collect();
    Asset {
        name,
        hashed: format!("{stem}-{digest}.{extension}"),
        content_type,
        bytes,
    }
}

/// The URL of a file by its plain name.
pub(crate) fn url(name: &str) -> String {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    asset.map_or_else(
        || format!("/assets/{name}"),
        |asset| format!("/assets/{}", asset.hashed),
    )
}

/// `GET /assets/{file}`.
pub(super) async fn serve(file: web::Path<String>) -> HttpResponse {
    let Some(asset) = ASSETS.iter().find(|asset| asset.hashed == *file) else {
        return HttpResponse::NotFound()
            .content_type("text/plain; charset=utf-8")
            .insert_header(("x-content-type-options", "nosniff"))
            .body("no such file\n");
    };
    HttpResponse::Ok()
        .content_type(asset.content_type)
        .insert_header(("cache-control", "public, max-age=31536000, immutable"))
        .insert_header(("x-content-type-options", "nosniff"))
        .body(asset.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_carries_the_hash_of_the_content() {
        for asset in ASSETS.iter() {
            let url = url(asset.name);
            assert!(url.starts_with("/assets/"), "{url}");
            let digest: String = blake3::hash(asset.bytes)
                .to_hex()
                .chars()
                .take(12)
                .collect();
            assert!(url.contains(&digest), "{url}");
        }
    }

    #[test]
    fn every_file_a_template_names_exists() {
        let base = include_str!("../../templates/base.html");
        for piece in base.split("asset(\"").skip(1) {
            let name = piece.split('"').next().unwrap();
            assert!(
                ASSETS.iter().any(|asset| asset.name == name),
                "base.html names {name}"
            );
        }
    }
}
