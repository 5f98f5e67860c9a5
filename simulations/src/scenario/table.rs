//! CSV files: a head, and rows of as many cells.

/// A table with named columns.
pub(super) struct Table<'a> {
    head: Vec<&'a str>,
    rows: Vec<(usize, Vec<&'a str>)>,
}

/// A row.
pub(super) struct Row<'t, 'a> {
    table: &'t Table<'a>,
    line: usize,
    cells: &'t [&'a str],
}

impl<'a> Table<'a> {
    /// Reads a table that must have these columns.
    pub(super) fn parse(text: &'a str, needed: &[&str]) -> Result<Self, String> {
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        let (_, head) = lines.next().ok_or("empty")?;
        let head: Vec<&str> = head.split(',').map(str::trim).collect();
        if let Some(missing) = needed.iter().find(|name| !head.contains(name)) {
            return Err(format!("there is no column {missing}"));
        }
        let mut rows = Vec::new();
        for (number, line) in lines {
            let cells: Vec<&str> = line.split(',').map(str::trim).collect();
            if cells.len() != head.len() {
                return Err(format!("line {}: {} cells under {} columns", number + 1, cells.len(), head.len()));
            }
            rows.push((number + 1, cells));
        }
        Ok(Self { head, rows })
    }

    pub(super) fn head(&self) -> &[&'a str] {
        &self.head
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_, 'a>> {
        self.rows.iter().map(|(line, cells)| Row { table: self, line: *line, cells })
    }
}

impl<'a> Row<'_, 'a> {
    /// What is wrong with a cell.
    pub(super) fn mistake(&self, name: &str, what: &str) -> String {
        format!("line {}, {name}: {what}", self.line)
    }

    /// A cell; empty when there is no such column.
    pub(super) fn text(&self, name: &str) -> &'a str {
        let place = self.table.head.iter().position(|other| *other == name);
        place.and_then(|place| self.cells.get(place)).copied().unwrap_or_default()
    }

    /// A cell as a number within bounds; `None` when it is empty.
    pub(super) fn number(&self, name: &str, least: f64, most: f64) -> Result<Option<f64>, String> {
        let text = self.text(name);
        if text.is_empty() {
            return Ok(None);
        }
        let number: Option<f64> = text.parse().ok();
        match number.filter(|number| (least..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.mistake(name, &format!("{text} is not from {least} to {most}"))),
        }
    }
}
