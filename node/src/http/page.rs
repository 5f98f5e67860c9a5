//! The web page, embedded in the binary.
//!
//! `GET /` answers 200 in any case: SDKs ask for it to learn whether the server is up, and look at the status alone.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS};
use axum::http::{Method, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::Problem;

/// The built page. Its files are known by their exact names, so no path can lead out of it.
#[derive(RustEmbed)]
#[folder = "../web/dist"]
#[allow_missing = true]
struct Dist;

/// Where the build puts files whose names carry a hash of their content.
const HASHED: &str = "assets/";
/// Said when the node was built without the page.
const ABSENT: &str = "<!doctype html><meta charset=utf-8><title>Origo</title><h1>Origo</h1>\
    <p>This node is up. It was built without its web page: run <code>make web</code> and build it again.</p>";

/// Everything that no endpoint takes.
pub(super) async fn page(request: Request) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Problem::not_found("there is nothing of that method here").into_response();
    }
    let path = request.uri().path().trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    match Dist::get(path) {
        Some(file) => serve(path, file, &request),
        None if path == "index.html" => ([(CACHE_CONTROL, "no-store")], Html(ABSENT)).into_response(),
        None => Problem::not_found("there is nothing of that name here").into_response(),
    }
}

fn serve(path: &str, file: EmbeddedFile, request: &Request) -> Response {
    let etag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    let caching = if path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| known.contains(&etag)) {
        return (StatusCode::NOT_MODIFIED, [(ETAG, etag.as_str()), (CACHE_CONTROL, caching)]).into_response();
    }
    let headers = [
        (CONTENT_TYPE, content_type(path)),
        (CACHE_CONTROL, caching),
        (ETAG, etag.as_str()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, Body::from(file.data)).into_response()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "mp3" => "audio/mpeg",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}
