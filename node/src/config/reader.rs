//! Reads settings as typed values and collects every fault on the way.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use toml::Value;

use super::fault::{Fault, Origin};
use super::key::find;
use super::raw::RawConfig;
use super::time;

/// Reads one configuration.
pub struct Reader {
    raw: RawConfig,
    /// What was wrong so far.
    pub faults: Vec<Fault>,
}

impl Reader {
    /// Begins with the faults that collecting found.
    pub fn new(mut raw: RawConfig) -> Self {
        let faults = std::mem::take(&mut raw.faults);
        Self { raw, faults }
    }

    /// Whether somebody set it.
    pub fn is_set(&self, name: &str) -> bool {
        self.raw.settings.contains_key(name)
    }

    /// The value if it is set and right. A wrong one becomes a fault.
    pub fn get<T>(&mut self, name: &str, accepted: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let value = read(&self.raw.settings.get(name)?.value);
        if value.is_none() {
            self.refuse(name, accepted);
        }
        value
    }

    /// Says that the setting, as it is, cannot stand.
    pub fn refuse(&mut self, name: &str, accepted: impl Display) {
        let (value, origin) = match self.raw.settings.get(name) {
            Some(_) if find(name).is_some_and(|key| key.secret) => ("…".to_owned(), self.origin(name)),
            Some(setting) => (setting.value.to_string(), setting.origin.clone()),
            None => ("nothing".to_owned(), Origin::Default),
        };
        self.faults.push(Fault { key: name.to_owned(), value, origin, accepted: accepted.to_string() });
    }

    /// Says that a part of one of the file's tables cannot stand.
    pub fn refuse_part(&mut self, key: String, value: &Value, accepted: impl Into<String>) {
        let origin = Origin::File(self.raw.file.clone().unwrap_or_default());
        self.faults.push(Fault { key, value: value.to_string(), origin, accepted: accepted.into() });
    }

    /// A text that is not empty.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.get(name, "a text that is not empty", |value| value.as_str().map(str::to_owned).filter(|t| !t.is_empty()))
    }

    /// A whole number in a range.
    pub fn whole(&mut self, name: &str, least: u16, most: u16) -> Option<u16> {
        let accepted = format!("a whole number from {least} to {most}");
        self.get(name, &accepted, |value| {
            let number: u16 = match value {
                Value::Integer(number) => u16::try_from(*number).ok()?,
                other => parsed(other)?,
            };
            (least..=most).contains(&number).then_some(number)
        })
    }

    /// Degrees up to `most` either way.
    pub fn degrees(&mut self, name: &str, most: f64) -> Option<f64> {
        let accepted = format!("degrees from -{most} to {most}");
        self.get(name, &accepted, |value| {
            let degrees: f64 = match value {
                Value::Float(degrees) => *degrees,
                Value::Integer(degrees) => *degrees as f64,
                other => parsed(other)?,
            };
            (degrees.abs() <= most).then_some(degrees)
        })
    }

    /// A time: whole seconds, or a number with s, m or h.
    pub fn time(&mut self, name: &str) -> Option<Duration> {
        self.get(name, time::ACCEPTED, |value| match value {
            Value::Integer(seconds) => time::of_seconds((*seconds).try_into().ok()?),
            Value::String(text) => time::parse(text),
            _ => None,
        })
    }

    /// Yes or no.
    pub fn switch(&mut self, name: &str) -> Option<bool> {
        self.get(name, "true or false", |value| value.as_bool().or_else(|| parsed(value)))
    }

    /// An IP address.
    pub fn ip(&mut self, name: &str) -> Option<IpAddr> {
        self.get(name, "an IP address such as 127.0.0.1 or ::1", parsed)
    }

    /// A list: an array of texts, or one text with commas. Each item must be right.
    pub fn list<T>(&mut self, name: &str, accepted: &str, item: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
        self.get(name, accepted, |value| match value {
            Value::Array(items) => items.iter().map(|value| item(value.as_str()?)).collect(),
            Value::String(text) => text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(&item).collect(),
            _ => None,
        })
    }

    /// The file's `[keys]` and its path.
    pub fn raw(&self) -> &RawConfig {
        &self.raw
    }

    fn origin(&self, name: &str) -> Origin {
        self.raw.settings.get(name).map_or(Origin::Default, |setting| setting.origin.clone())
    }
}

fn parsed<T: FromStr>(value: &Value) -> Option<T> {
    value.as_str()?.trim().parse().ok()
}
