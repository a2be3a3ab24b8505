//! What pages load: one style sheet, one script, one icon, all inside the program.
//! Their addresses hold their digest, so browsers may keep them for ever.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use callboard_domain::access::digest;

use super::visit::hex;

struct Asset {
    name: String,
    kind: &'static str,
    text: &'static str,
}

fn asset(stem: &str, end: &str, kind: &'static str, text: &'static str) -> Asset {
    Asset { name: format!("{stem}-{}.{end}", &hex(&digest(text))[..12]), kind, text }
}

static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    asset("callboard", "css", "text/css; charset=utf-8", include_str!("../../assets/callboard.css"))
});

static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    asset("callboard", "js", "text/javascript; charset=utf-8", include_str!("../../assets/callboard.js"))
});

static ICON: LazyLock<Asset> =
    LazyLock::new(|| asset("icon", "svg", "image/svg+xml", include_str!("../../assets/icon.svg")));

/// The name of the style sheet.
pub(crate) fn style() -> &'static str {
    &STYLE.name
}

/// The name of the script.
pub(super) fn script() -> &'static str {
    &SCRIPT.name
}

/// The name of the icon.
pub(crate) fn icon() -> &'static str {
    &ICON.name
}

/// Answers with one of them. They are the same for everybody, so nobody is asked who
/// they are.
pub(super) async fn serve(Path(name): Path<String>) -> Response {
    let Some(asset) = [&*STYLE, &*SCRIPT, &*ICON].into_iter().find(|asset| asset.name == name) else {
        return (StatusCode::NOT_FOUND, "there is nothing here").into_response();
    };
    let headers: [(HeaderName, &str); 3] = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, asset.text).into_response()
}
