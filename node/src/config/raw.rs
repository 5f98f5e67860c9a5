//! Settings as they were written, each with its origin: flag over environment over file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::fault::{Fault, Origin};
use super::key::{KEYS, find};

/// A setting that somebody wrote. It may be a secret, so it has no `Debug`.
#[derive(Clone)]
pub struct Setting {
    /// As the file's type, or text when it came from a flag or a variable.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
}

/// All settings before they are checked.
#[derive(Clone, Default)]
pub struct RawConfig {
    /// By name; every name is one of [`KEYS`].
    pub settings: BTreeMap<&'static str, Setting>,
    /// The file's `[keys]` table.
    pub keys: Table,
    /// The file's `[[webhooks]]` tables.
    pub webhooks: Vec<Value>,
    /// The file's `[prices]` table.
    pub prices: Table,
    /// The file's `[[residency]]` tables.
    pub residency: Vec<Value>,
    /// The file.
    pub file: Option<PathBuf>,
    /// What was wrong already: unknown keys, a file that is no TOML.
    pub faults: Vec<Fault>,
    /// `ORIGO_` variables that mean nothing. No fault: orchestrators set some of their own.
    pub unknown_variables: Vec<String>,
}

impl RawConfig {
    /// Takes the file first, then the environment, then the flags: the later wins.
    pub fn collect(
        file: Option<(&Path, &str)>,
        variables: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Self {
        let mut raw = Self::default();
        if let Some((path, text)) = file {
            raw.take_file(path, text);
        }
        raw.take_variables(variables.into_iter().collect());
        for (name, value) in flags {
            let flag = format!("--{}", name.replace('_', "-"));
            raw.settings.insert(name, Setting { value: Value::String(value), origin: Origin::Flag(flag) });
        }
        raw
    }

    fn take_file(&mut self, path: &Path, text: &str) {
        self.file = Some(path.to_owned());
        let table = match text.parse::<Table>() {
            Ok(table) => table,
            Err(error) => return self.fault("file", path.display(), path, one_line(error.message())),
        };
        for (name, value) in table {
            match (name.as_str(), find(&name), value) {
                ("keys", _, Value::Table(keys)) => self.keys = keys,
                ("keys", _, value) => self.fault("keys", value, path, "tables such as [keys.<id>] with a secret"),
                ("webhooks", _, Value::Array(tables)) => self.webhooks = tables,
                ("webhooks", _, value) => self.fault("webhooks", value, path, "tables such as [[webhooks]] with a url"),
                ("prices", _, Value::Table(prices)) => self.prices = prices,
                ("prices", _, value) => self.fault("prices", value, path, "a table [prices] with prices of links"),
                ("residency", _, Value::Array(tables)) => self.residency = tables,
                ("residency", _, value) => {
                    self.fault("residency", value, path, "tables such as [[residency]] with rooms and countries");
                }
                (_, Some(key), value) => {
                    self.settings.insert(key.name, Setting { value, origin: Origin::File(path.to_owned()) });
                }
                (_, None, value) => self.fault(&name, value, path, unknown_key()),
            }
        }
    }

    fn take_variables(&mut self, mut variables: BTreeMap<String, String>) {
        variables.retain(|name, _| name.starts_with("ORIGO_"));
        // Names the file itself, so it is no setting.
        variables.remove("ORIGO_CONFIG");
        for key in KEYS {
            let name = key.variable();
            if let Some(value) = variables.remove(&name) {
                let origin = Origin::Variable(name);
                self.settings.insert(key.name, Setting { value: Value::String(value), origin });
            }
        }
        self.unknown_variables.extend(variables.into_keys());
    }

    fn fault(&mut self, key: &str, value: impl ToString, path: &Path, accepted: impl Into<String>) {
        let (key, value, origin) = (key.to_owned(), value.to_string(), Origin::File(path.to_owned()));
        self.faults.push(Fault { key, value, origin, accepted: accepted.into() });
    }
}

fn one_line(text: &str) -> String {
    format!("it is not TOML: {}", text.lines().collect::<Vec<_>>().join(" "))
}

fn unknown_key() -> String {
    let names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    format!("unknown key; known are {}, [keys.<id>], [prices], [[residency]] and [[webhooks]]", names.join(", "))
}
