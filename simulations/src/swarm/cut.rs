//! Cuts a scenario that breaks something down to what breaks it.

use toml::{Table, Value};

/// Runs at most: a drawn scenario has some fifty pieces, and each takes a run.
const ATTEMPTS_MAX: usize = 200;

/// A step from a table or list to what is in it.
#[derive(Clone, Debug)]
enum Step {
    Key(String),
    At(usize),
}

/// Leaves out lines, rooms, groups, changes and keys, one after the other, as long as `breaks` says that the rest still
/// breaks. Comments are lost.
pub fn cut_down(text: &str, mut breaks: impl FnMut(&str) -> bool) -> String {
    let Ok(Value::Table(mut table)) = toml::from_str(text).map(Value::Table) else { return text.to_owned() };
    let mut attempts = 0;
    loop {
        let pieces = pieces(&table);
        let mut cut = false;
        // From behind, so that the places of those before stay as they are.
        for piece in pieces.iter().rev() {
            let mut less = Value::Table(table.clone());
            if !remove(&mut less, piece) {
                continue;
            }
            attempts += 1;
            if attempts > ATTEMPTS_MAX {
                return table.to_string();
            }
            let Value::Table(less) = less else { continue };
            if breaks(&less.to_string()) {
                (table, cut) = (less, true);
            }
        }
        if !cut {
            return table.to_string();
        }
    }
}

/// Everything that can be left out: entries of lists, and keys, but not what every scenario needs.
fn pieces(table: &Table) -> Vec<Vec<Step>> {
    let mut found = Vec::new();
    walk(&Value::Table(table.clone()), &mut Vec::new(), &mut found);
    found.retain(|path| !matches!(&path[..], [Step::Key(name)] if ["run", "topology"].contains(&name.as_str())));
    found.retain(|path| !matches!(&path[..], [Step::Key(name), Step::Key(_)] if name == "run"));
    found
}

fn walk(value: &Value, path: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    let children: Vec<(Step, &Value)> = match value {
        Value::Table(table) => table.iter().map(|(key, value)| (Step::Key(key.clone()), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(at, value)| (Step::At(at), value)).collect(),
        _ => return,
    };
    for (step, child) in children {
        path.push(step);
        // What is within comes first: going from behind, whole parts are tried before their pieces.
        walk(child, path, found);
        found.push(path.clone());
        path.pop();
    }
}

fn remove(value: &mut Value, path: &[Step]) -> bool {
    match (path, value) {
        ([Step::Key(key)], Value::Table(table)) => table.remove(key).is_some(),
        ([Step::At(at)], Value::Array(items)) if *at < items.len() => {
            items.remove(*at);
            true
        }
        ([Step::Key(key), rest @ ..], Value::Table(table)) => {
            table.get_mut(key).is_some_and(|value| remove(value, rest))
        }
        ([Step::At(at), rest @ ..], Value::Array(items)) => items.get_mut(*at).is_some_and(|value| remove(value, rest)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_stays_and_everything_else_goes() {
        let text = super::super::draw(3);
        let breaks = |text: &str| text.contains("[[room]]") && text.contains("\"room 1\"") && text.contains("join");
        assert!(breaks(&text), "{text}");
        let less = cut_down(&text, breaks);
        assert!(breaks(&less), "{less}");
        assert!(less.contains("[run]") && less.len() < 400, "{less}");
        assert_eq!(cut_down("no TOML =", |_| true), "no TOML =");
    }
}
