//! Figures of benchmarks beside their goals: one table and one form in JSON for all of them.

use serde_json::{Map, Value, json};

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// So much or more.
    AtLeast(f64),
    /// So much or less.
    AtMost(f64),
}

impl Goal {
    fn bound(self) -> f64 {
        match self {
            Self::AtLeast(bound) | Self::AtMost(bound) => bound,
        }
    }

    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

/// A figure.
#[derive(Clone, Debug)]
pub struct Figure {
    /// As the table calls it.
    pub name: &'static str,
    /// As the file calls it.
    pub key: &'static str,
    /// The median; none when nothing counts.
    pub value: Option<f64>,
    /// Empty for a ratio.
    pub unit: &'static str,
    /// What it should be; none for what is told alone.
    pub goal: Option<Goal>,
    /// What it is set against, measured in the same run.
    pub baseline: Option<f64>,
    /// How many pairs, or sections, count, and of how many.
    pub pairs: (usize, usize),
}

impl Figure {
    /// A figure that nothing is set against.
    pub fn told(name: &'static str, key: &'static str, value: Option<f64>, unit: &'static str) -> Self {
        Self { name, key, value, unit, goal: None, baseline: None, pairs: (0, 0) }
    }

    /// With a goal.
    pub fn goal(self, goal: Goal) -> Self {
        Self { goal: Some(goal), ..self }
    }

    /// With what it is set against.
    pub fn baseline(self, baseline: Option<f64>) -> Self {
        Self { baseline, ..self }
    }

    /// With how many pairs count.
    pub fn pairs(self, pairs: (usize, usize)) -> Self {
        Self { pairs, ..self }
    }

    fn json(&self, value: f64) -> Value {
        let is_met = self.goal.map(|goal| goal.is_met(value));
        let (goal, at) = match self.goal {
            Some(goal) => (Some(goal.bound()), Some(if matches!(goal, Goal::AtLeast(_)) { "least" } else { "most" })),
            None => (None, None),
        };
        let unit = if self.unit.is_empty() { "ratio" } else { self.unit };
        json!({
            "value": rounded(value), "unit": unit, "goal": goal, "at": at, "met": is_met,
            "baseline": self.baseline.map(rounded), "pairs": self.pairs.0, "of": self.pairs.1,
        })
    }
}

/// Prints figures as a table.
pub fn print(figures: &[Figure]) {
    println!("| figure                                             |      value |    goal |   | baseline | pairs   |");
    println!("| -------------------------------------------------- | ---------: | ------: | - | -------: | ------: |");
    for figure in figures {
        let number = |value: f64| if value.abs() >= 1000.0 { format!("{value:.0}") } else { format!("{value:.2}") };
        let value = figure.value.map_or("-".into(), |value| format!("{} {}", number(value), figure.unit));
        let goal = match figure.goal {
            Some(Goal::AtLeast(bound)) => format!(">= {bound}"),
            Some(Goal::AtMost(bound)) => format!("<= {bound}"),
            None => String::new(),
        };
        let met = match figure.value.zip(figure.goal) {
            Some((value, goal)) if goal.is_met(value) => "✓",
            Some(_) => "✗",
            None => " ",
        };
        let baseline = figure.baseline.map_or(String::new(), number);
        let (pairs, of) = figure.pairs;
        let pairs = if of == 0 { String::new() } else { format!("{pairs} of {of}") };
        println!("| {:50} | {:>10} | {goal:>7} | {met} | {baseline:>8} | {pairs:>7} |", figure.name, value.trim());
    }
    println!();
}

/// Adds those that have a value to the figures of a file.
pub fn write(figures: &[Figure], file: &mut Map<String, Value>) {
    for figure in figures {
        if let Some(value) = figure.value {
            file.insert(figure.key.to_owned(), figure.json(value));
        }
    }
}

/// The middle one, or the mean of the middle two; none of none.
pub fn median(figures: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    (!figures.is_empty()).then(|| (figures[(figures.len() - 1) / 2] + figures[figures.len() / 2]) / 2.0)
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_tells_its_goal_and_whether_it_is_met() {
        let figure = Figure::told("a", "a", Some(1.2), "").goal(Goal::AtMost(1.25)).baseline(Some(7.0)).pairs((4, 5));
        let told = json!({"value": 1.2, "unit": "ratio", "goal": 1.25, "at": "most", "met": true, "baseline": 7.0,
                          "pairs": 4, "of": 5});
        assert_eq!(figure.json(1.2), told);
        assert!(!Goal::AtLeast(1.3).is_met(1.2));
        let mut file = Map::new();
        write(&[figure, Figure::told("b", "b", None, "ms")], &mut file);
        assert_eq!(file.len(), 1, "what has no value is left out");
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([]), None);
    }
}
