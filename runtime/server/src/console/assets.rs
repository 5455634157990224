//! The page and its parts, as they were compiled into the program.

use std::hash::{DefaultHasher, Hasher};

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::routes::Problem;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// A file of the page.
struct Asset {
    name: &'static str,
    content_type: &'static str,
    body: &'static str,
}

/// One row: a file of the folder `page` under its own name.
macro_rules! asset {
    ($name:literal, $content_type:ident) => {
        Asset { name: $name, content_type: $content_type, body: include_str!(concat!("page/", $name)) }
    };
}

const PAGE: Asset = asset!("index.html", HTML);

/// What the page loads, by name below `/console/`.
const PARTS: [Asset; 15] = [
    asset!("console.css", STYLE),
    asset!("sections.css", STYLE),
    asset!("icon.svg", PICTURE),
    asset!("api.js", SCRIPT),
    asset!("chart.js", SCRIPT),
    asset!("charts.js", SCRIPT),
    asset!("console.js", SCRIPT),
    asset!("deployments.js", SCRIPT),
    asset!("dom.js", SCRIPT),
    asset!("figures.js", SCRIPT),
    asset!("format.js", SCRIPT),
    asset!("models.js", SCRIPT),
    asset!("overview.js", SCRIPT),
    asset!("playground.js", SCRIPT),
    asset!("theme.js", SCRIPT),
];

pub(super) async fn page(headers: HeaderMap) -> Response {
    PAGE.answer(&headers)
}

pub(super) async fn part(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match PARTS.iter().find(|part| part.name == name) {
        Some(part) => part.answer(&headers),
        None => (StatusCode::NOT_FOUND, Problem::new("the console has no such part")).into_response(),
    }
}

impl Asset {
    /// The file, or the word that the browser has it already. Asked for each time, so that no page outlives its program.
    fn answer(&self, headers: &HeaderMap) -> Response {
        let tag = self.tag();
        let known = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
        let is_known = known.is_some_and(|tags| tags.split(',').any(|known| known.trim() == tag));
        let about = [(header::ETAG, tag.as_str()), (header::CACHE_CONTROL, "no-cache")];
        match is_known {
            true => (StatusCode::NOT_MODIFIED, about).into_response(),
            false => (about, [(header::CONTENT_TYPE, self.content_type)], self.body).into_response(),
        }
    }

    /// Another content has another one.
    fn tag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        hasher.write(self.body.as_bytes());
        format!("\"{:016x}\"", hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words that only stand in a page which loads something from elsewhere, or would need a weaker policy.
    const FORBIDDEN: [&str; 6] = ["https://", "innerHTML", " onclick=", " style=", "<script>", "<style"];

    #[test]
    fn the_page_is_self_contained() {
        for asset in PARTS.iter().chain([&PAGE]) {
            let own = asset.body.replace("http://www.w3.org/2000/svg", "");
            for word in FORBIDDEN.into_iter().chain(["http://"]) {
                assert!(!own.contains(word), "{} has `{word}`", asset.name);
            }
        }
    }

    #[test]
    fn everything_that_the_page_loads_is_there() {
        for asset in PARTS.iter().chain([&PAGE]) {
            let named = asset.body.split(['"', '\'']).filter_map(|word| {
                let name = word.strip_prefix("/console/").or_else(|| word.strip_prefix("./"))?;
                Some(name).filter(|name| name.ends_with(".js") || name.ends_with(".css") || name.ends_with(".svg"))
            });
            for name in named {
                assert!(PARTS.iter().any(|part| part.name == name), "{} loads {name}", asset.name);
            }
        }
        assert_eq!(PARTS.iter().filter(|part| PAGE.body.contains(part.name)).count(), 5, "styles, icon, two scripts");
    }

    #[test]
    fn a_browser_that_has_a_part_is_told_so_and_gets_it_when_it_changed() {
        let first = PARTS[0].answer(&HeaderMap::new());
        let tag = first.headers().get(header::ETAG).expect("a tag").clone();
        let again = PARTS[0].answer(&HeaderMap::from_iter([(header::IF_NONE_MATCH, tag.clone())]));
        assert_eq!((first.status(), again.status()), (StatusCode::OK, StatusCode::NOT_MODIFIED));
        assert!(PARTS[1].tag() != PARTS[0].tag());
        let changed = PARTS[1].answer(&HeaderMap::from_iter([(header::IF_NONE_MATCH, tag)]));
        assert_eq!(changed.status(), StatusCode::OK);
    }
}
