//! Whom to tell what happens in rooms: `[[webhooks]]` tables, and the two settings for one project alone.

use std::path::Path;

use origo_auth::Keys;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use toml::Value;

use super::check::Machine;
use super::reader::Reader;

/// Receivers in all: each may hold some connections.
const RECEIVERS_MAX: usize = 64;
const URLS: &str = "URLs that begin with http:// or https://, such as [\"https://app.example.com/livekit\"]";
const URL: &str = "a URL that begins with http:// or https://";

/// Whom to tell what happens in rooms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Webhooks {
    /// Never the same URL twice for one project.
    pub receivers: Vec<Receiver>,
    /// Authorities that are trusted besides the system's.
    pub authorities: Vec<CertificateDer<'static>>,
}

/// A server of an application, and whose rooms it hears of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Where it is.
    pub url: String,
    /// The API key that signs.
    pub api_key: String,
    /// Its project: rooms of this one are told of.
    pub project: String,
}

impl Webhooks {
    /// Those who hear of a project's rooms.
    pub fn of<'a>(&'a self, project: &'a str) -> impl Iterator<Item = &'a Receiver> {
        self.receivers.iter().filter(move |receiver| receiver.project == project)
    }
}

/// Reads all of it; none when nobody is to be told.
pub(super) fn read(reader: &mut Reader, keys: &Keys, machine: &Machine<'_>) -> Option<Webhooks> {
    let mut receivers = read_settings(reader, keys);
    for (index, table) in reader.raw().webhooks.clone().iter().enumerate() {
        match read_table(table, keys) {
            Ok(receiver) => receivers.push((format!("webhooks[{index}]"), receiver)),
            Err((part, accepted)) => reader.refuse_part(format!("webhooks[{index}]{part}"), table, accepted),
        }
    }
    let mut webhooks = Webhooks::default();
    for (name, receiver) in receivers {
        let is_twice = webhooks.of(&receiver.project).any(|known| known.url == receiver.url);
        if is_twice || webhooks.receivers.len() == RECEIVERS_MAX {
            let accepted = format!("each URL once for a project, and {RECEIVERS_MAX} receivers at most");
            reader.refuse_part(name, &Value::String(receiver.url), accepted);
            continue;
        }
        webhooks.receivers.push(receiver);
    }
    webhooks.authorities = read_authorities(reader, machine);
    (!webhooks.receivers.is_empty()).then_some(webhooks)
}

/// `webhook_urls` with `webhook_api_key`.
fn read_settings(reader: &mut Reader, keys: &Keys) -> Vec<(String, Receiver)> {
    let urls = reader.list("webhook_urls", URLS, |text| is_url(text).then(|| text.to_owned()));
    let Some(urls) = urls.filter(|urls| !urls.is_empty()) else { return Vec::new() };
    let named = reader.text("webhook_api_key").or_else(|| reader.text("api_key"));
    let Some(api_key) = named.or_else(|| only(keys)) else {
        reader.refuse("webhook_api_key", "required together with webhook_urls: which of the API keys signs");
        return Vec::new();
    };
    let Some(key) = keys.0.get(&api_key) else {
        reader.refuse("webhook_api_key", "the id of one of the API keys");
        return Vec::new();
    };
    let project = &key.project.0;
    let receiver = |url| Receiver { url, api_key: api_key.clone(), project: project.clone() };
    urls.into_iter().map(|url| ("webhook_urls".to_owned(), receiver(url))).collect()
}

fn read_table(table: &Value, keys: &Keys) -> Result<Receiver, (&'static str, String)> {
    let table = table.as_table().ok_or(("", "a table with url and api_key".to_owned()))?;
    if let Some(name) = table.keys().find(|name| !["url", "api_key"].contains(&name.as_str())) {
        return Err(("", format!("url and api_key alone; {name} is unknown")));
    }
    let url = table.get("url").and_then(Value::as_str).filter(|text| is_url(text));
    let url = url.ok_or((".url", URL.to_owned()))?.to_owned();
    let named = match table.get("api_key") {
        Some(value) => value.as_str().map(str::to_owned),
        None => only(keys),
    };
    let known = named.and_then(|id| Some((keys.0.get(&id)?.project.0.clone(), id)));
    let (project, api_key) =
        known.ok_or((".api_key", "the id of one of the API keys, whose rooms it hears of".to_owned()))?;
    Ok(Receiver { url, api_key, project })
}

fn read_authorities(reader: &mut Reader, machine: &Machine<'_>) -> Vec<CertificateDer<'static>> {
    let Some(path) = reader.text("webhook_ca_file") else { return Vec::new() };
    let text = match (machine.read_file)(Path::new(&path)) {
        Ok(text) => text,
        Err(error) => {
            reader.refuse("webhook_ca_file", format!("a file that can be read ({error})"));
            return Vec::new();
        }
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let authorities = found.unwrap_or_default();
    if authorities.is_empty() {
        reader.refuse("webhook_ca_file", "a file of certificates in PEM");
    }
    authorities
}

fn only(keys: &Keys) -> Option<String> {
    (keys.0.len() == 1).then(|| keys.0.keys().next().cloned())?
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty()) && text.parse::<axum::http::Uri>().is_ok()
}
