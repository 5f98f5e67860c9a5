//! A crate's `Cargo.toml`, as far as the architecture cares.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// One crate of the workspace.
#[derive(Debug)]
pub struct Manifest {
    /// The package's name.
    pub package: String,
    /// Real names of the packages that its normal and build dependencies bring, on any target.
    pub dependencies: Vec<String>,
    /// Its folder.
    pub folder: PathBuf,
}

impl Manifest {
    /// Reads a manifest; `workspace` is the root's `[workspace.dependencies]`, where a name may be given to another
    /// package.
    pub fn parse(text: &str, folder: &Path, workspace: &Table) -> Result<Self, String> {
        let root: Table = text.parse().map_err(|error| format!("{}: {error}", folder.display()))?;
        let package = root
            .get("package")
            .and_then(|package| package.get("name"))
            .and_then(Value::as_str)
            .ok_or_else(|| format!("{}: no package name", folder.display()))?;
        let mut dependencies = Vec::new();
        collect(&root, workspace, &mut dependencies);
        for target in tables(root.get("target")) {
            collect(target, workspace, &mut dependencies);
        }
        Ok(Self { package: package.to_owned(), dependencies, folder: folder.to_owned() })
    }
}

/// Every crate that the workspace's root names as a member.
pub fn read_workspace(root: &Path) -> Result<Vec<Manifest>, String> {
    let read = |path: PathBuf| std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()));
    let table: Table = read(root.join("Cargo.toml"))?.parse().map_err(|error| format!("Cargo.toml: {error}"))?;
    let workspace = table.get("workspace").and_then(Value::as_table).ok_or("no [workspace]")?;
    let empty = Table::new();
    let shared = workspace.get("dependencies").and_then(Value::as_table).unwrap_or(&empty);
    let members = workspace.get("members").and_then(Value::as_array).ok_or("no members")?;
    members
        .iter()
        .filter_map(Value::as_str)
        .map(|member| {
            let folder = root.join(member);
            Manifest::parse(&read(folder.join("Cargo.toml"))?, &folder, shared)
        })
        .collect()
}

fn tables(value: Option<&Value>) -> impl Iterator<Item = &Table> {
    value.and_then(Value::as_table).into_iter().flat_map(|table| table.values()).filter_map(Value::as_table)
}

fn collect(table: &Table, workspace: &Table, into: &mut Vec<String>) {
    for section in ["dependencies", "build-dependencies"] {
        for (name, value) in table.get(section).and_then(Value::as_table).into_iter().flatten() {
            let inherited = value.get("workspace").and_then(Value::as_bool).unwrap_or(false);
            let entry = if inherited { workspace.get(name).unwrap_or(value) } else { value };
            into.push(entry.get("package").and_then(Value::as_str).unwrap_or(name).to_owned());
        }
    }
}
