//! A TOML file as a tree of values that know their lines.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Line, from 1.
    pub(super) line: usize,
    pub(super) value: Value,
}

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Number(f64),
    Switch(bool),
    List(Vec<Item>),
    Table(BTreeMap<String, Item>),
}

impl Value {
    /// As it might stand in the file, for a mistake.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) => format!("{text:?}"),
            Self::Number(number) => number.to_string(),
            Self::Switch(switch) => switch.to_string(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().take(8).map(|item| item.value.shown()).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Table(_) => "{ … }".to_owned(),
        }
    }
}

/// Reads a whole file; else (line, what is wrong).
pub(super) fn read(text: &str) -> Result<Item, (usize, String)> {
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        (line, error.message().to_owned())
    })?;
    Ok(Item { line: 1, value: Value::Table(entries(text, table.get_ref())) })
}

fn entries(text: &str, table: &DeTable<'_>) -> BTreeMap<String, Item> {
    table
        .iter()
        .map(|(key, value)| {
            let mut item = item(text, value);
            // A table's own span may begin at its first entry: the key says better where it stands.
            if matches!(item.value, Value::Table(_)) {
                item.line = line_of(text, key.span().start);
            }
            (key.get_ref().to_string(), item)
        })
        .collect()
}

fn item(text: &str, spanned: &Spanned<DeValue<'_>>) -> Item {
    let value = match spanned.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => {
            Value::Number(i64::from_str_radix(number.as_str(), number.radix()).map_or(f64::NAN, |number| number as f64))
        }
        DeValue::Float(number) => Value::Number(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(switch) => Value::Switch(*switch),
        DeValue::Datetime(when) => Value::Text(when.to_string()),
        DeValue::Array(items) => Value::List(items.iter().map(|value| item(text, value)).collect()),
        DeValue::Table(table) => Value::Table(entries(text, table)),
    };
    Item { line: line_of(text, spanned.span().start), value }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
