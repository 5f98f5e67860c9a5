//! API keys in the file: `[keys.<id>]` with a `secret` and, if it is not `default`, a `project`.

use std::path::Path;

use origo_auth::Keys;
use toml::{Table, Value};

use super::fault::{Fault, Origin};

/// The project of keys that name none.
pub const PROJECT_DEFAULT: &str = "default";
/// Shortest secret on a node that others can reach, bytes: an HS256 secret can be guessed offline from one token.
pub const SECRET_BYTES_MIN: usize = 16;

/// Reads the `[keys]` table; every fault is added to `faults`. `guessable` allows short secrets.
pub fn read(table: &Table, file: &Path, guessable: bool, faults: &mut Vec<Fault>) -> Keys {
    let mut keys = Keys::default();
    for (id, value) in table {
        match read_one(value, guessable) {
            Ok((secret, project)) => keys.insert(id, secret, project),
            Err((part, accepted)) => faults.push(Fault {
                key: format!("keys.{id}{part}"),
                // The table holds a secret, so nothing of it is shown.
                value: "…".to_owned(),
                origin: Origin::File(file.to_owned()),
                accepted,
            }),
        }
    }
    keys
}

fn read_one(value: &Value, guessable: bool) -> Result<(String, String), (&'static str, String)> {
    let table = value.as_table().ok_or(("", "a table with secret and project".to_owned()))?;
    if let Some(name) = table.keys().find(|name| !["secret", "project"].contains(&name.as_str())) {
        return Err(("", format!("secret and project alone; {name} is unknown")));
    }
    let secret = table.get("secret").and_then(Value::as_str).unwrap_or_default();
    check_secret(secret, guessable).map_err(|accepted| (".secret", accepted))?;
    let project = table.get("project").map_or(Some(PROJECT_DEFAULT), Value::as_str).filter(|text| !text.is_empty());
    let project = project.ok_or((".project", "a text that is not empty".to_owned()))?;
    Ok((secret.to_owned(), project.to_owned()))
}

/// What is accepted instead, if the secret is none.
pub fn check_secret(secret: &str, guessable: bool) -> Result<(), String> {
    let least = if guessable { 1 } else { SECRET_BYTES_MIN };
    if secret.len() >= least { Ok(()) } else { Err(format!("a text of at least {least} bytes")) }
}
