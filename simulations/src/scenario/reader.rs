//! Reads a scenario's keys as typed values, and collects every mistake and every list of values to sweep over on the way.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::mistake::Mistake;
use super::tree::{Item, Value};
use super::{Axis, unit};

/// Reads one file.
pub(super) struct Reader<'a> {
    pub(super) file: String,
    /// Where files that the scenario names are.
    folder: PathBuf,
    /// Which value of a list to take, by key; the first where nothing is said.
    pub(super) choices: &'a BTreeMap<String, usize>,
    mistakes: RefCell<Vec<Mistake>>,
    axes: RefCell<Vec<Axis>>,
}

/// One table of the file.
pub(super) struct Section<'a> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) path: String,
    pub(super) line: usize,
    entries: &'a BTreeMap<String, Item>,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: String, folder: PathBuf, choices: &'a BTreeMap<String, usize>) -> Self {
        Self { file, folder, choices, mistakes: RefCell::default(), axes: RefCell::default() }
    }

    pub(super) fn mistake(&self, line: usize, key: &str, found: impl Into<String>, accepted: impl Into<String>) {
        let (file, key) = (self.file.clone(), key.to_owned());
        self.mistakes.borrow_mut().push(Mistake { file, line, key, found: found.into(), accepted: accepted.into() });
    }

    /// The path of a file that the scenario names.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Everything that was wrong, and every list to sweep over.
    pub(super) fn into_parts(self) -> (Vec<Mistake>, Vec<Axis>) {
        let mut mistakes = self.mistakes.into_inner();
        mistakes.sort_by_key(|mistake| mistake.line);
        (mistakes, self.axes.into_inner())
    }

    /// The item as a table; anything else is a mistake.
    pub(super) fn section(&'a self, path: String, item: &'a Item) -> Option<Section<'a>> {
        let Value::Table(entries) = &item.value else {
            self.mistake(item.line, &path, item.value.shown(), "a table");
            return None;
        };
        Some(Section { reader: self, path, line: item.line, entries, known: RefCell::default() })
    }

    fn choose(&self, key: &str, items: &'a [Item]) -> Option<&'a Item> {
        let values = items.iter().map(|item| item.value.shown()).collect();
        self.axes.borrow_mut().push(Axis { key: key.to_owned(), values });
        items.get(self.choices.get(key).copied().unwrap_or(0))
    }
}

impl<'a> Section<'a> {
    pub(super) fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The item as it stands, if the key is there.
    pub(super) fn item(&self, key: &'static str) -> Option<&'a Item> {
        self.known.borrow_mut().push(key);
        self.entries.get(key)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The line of a key, else of the table.
    pub(super) fn line_of(&self, key: &str) -> usize {
        self.entries.get(key).map_or(self.line, |item| item.line)
    }

    pub(super) fn refuse(&self, key: &str, found: impl Into<String>, accepted: impl Into<String>) {
        self.reader.mistake(self.line_of(key), &self.key(key), found, accepted);
    }

    /// The value if the key is there and right; of a list one value, for a list is swept over.
    pub(super) fn get<T>(&self, key: &'static str, accepted: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let mut item = self.item(key)?;
        if let Value::List(items) = &item.value {
            if items.is_empty() {
                self.refuse(key, "[]", format!("{accepted}, or a list of such values to sweep over"));
                return None;
            }
            let wrong = items.iter().filter(|item| read(&item.value).is_none());
            wrong.for_each(|item| self.reader.mistake(item.line, &self.key(key), item.value.shown(), accepted));
            item = self.reader.choose(&self.key(key), items)?;
            return read(&item.value);
        }
        let value = read(&item.value);
        if value.is_none() {
            self.refuse(key, item.value.shown(), accepted);
        }
        value
    }

    pub(super) fn duration(&self, key: &'static str) -> Option<Duration> {
        self.get(key, unit::DURATION, |value| match value {
            Value::Text(text) => unit::duration(text),
            _ => None,
        })
    }

    pub(super) fn rate(&self, key: &'static str) -> Option<Option<u64>> {
        self.get(key, unit::RATE, |value| match value {
            Value::Text(text) if text == "unlimited" => Some(None),
            Value::Text(text) => unit::rate(text).map(Some),
            _ => None,
        })
    }

    pub(super) fn number(&self, key: &'static str, least: f64, most: f64) -> Option<f64> {
        self.get(key, &format!("a number from {least} to {most}"), |value| match value {
            Value::Number(number) => Some(*number).filter(|number| (least..=most).contains(number)),
            _ => None,
        })
    }

    pub(super) fn whole(&self, key: &'static str, least: u64, most: u64) -> Option<u64> {
        self.get(key, &format!("a whole number from {least} to {most}"), |value| match value {
            Value::Number(number) if number.fract() == 0.0 && *number >= 0.0 => {
                Some(*number as u64).filter(|number| (least..=most).contains(number))
            }
            _ => None,
        })
    }

    pub(super) fn switch(&self, key: &'static str) -> Option<bool> {
        self.get(key, "true or false", |value| match value {
            Value::Switch(switch) => Some(*switch),
            _ => None,
        })
    }

    pub(super) fn text(&self, key: &'static str, accepted: &str) -> Option<String> {
        self.get(key, accepted, |value| match value {
            Value::Text(text) if !text.is_empty() => Some(text.clone()),
            _ => None,
        })
    }

    pub(super) fn one_of<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
        self.get(key, &names.join(", "), |value| match value {
            Value::Text(text) => choices.iter().find(|(name, _)| name == text).map(|(_, choice)| *choice),
            _ => None,
        })
    }

    /// A list that is no sweep; a single value stands for a list of one.
    pub(super) fn list(&self, key: &'static str) -> Option<&'a [Item]> {
        let item = self.item(key)?;
        match &item.value {
            Value::List(items) => Some(items),
            _ => Some(std::slice::from_ref(item)),
        }
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &'static str, accepted: &str) -> Vec<String> {
        let texts = self.list(key).unwrap_or_default().iter().filter_map(|item| match &item.value {
            Value::Text(text) if !text.is_empty() => Some(text.clone()),
            other => {
                self.reader.mistake(item.line, &self.key(key), other.shown(), accepted);
                None
            }
        });
        texts.collect()
    }

    /// One table under a key.
    pub(super) fn table(&self, key: &'static str) -> Option<Section<'a>> {
        let item = self.item(key)?;
        self.reader.section(self.key(key), item)
    }

    /// All tables under a key: `[[key]]`, a list of tables, or one table.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Section<'a>> {
        let items = self.list(key).unwrap_or_default();
        let path = |number: usize| format!("{}[{}]", self.key(key), number + 1);
        items.iter().enumerate().filter_map(|(number, item)| self.reader.section(path(number), item)).collect()
    }

    /// Refuses keys that nobody has asked for.
    pub(super) fn finish(self) {
        let known = self.known.into_inner();
        for (key, item) in self.entries {
            if !known.contains(&key.as_str()) {
                let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
                self.reader.mistake(item.line, &path, "no such key", known.join(", "));
            }
        }
    }
}
