//! The tree of calls as SVG: callers below, what they call above, as wide as it took time.

use std::fmt::Write;

use super::stacks::{Frame, Kind, Stacks};

const WIDTH: f64 = 1_200.0;
const ROW: f64 = 16.0;
const TOP: f64 = 44.0;
/// What would be narrower is left out.
const NARROWEST: f64 = 1.0;
/// Width of a letter, about.
const LETTER: f64 = 6.2;

/// Draws it.
pub fn svg(stacks: &Stacks, title: &str) -> String {
    let per_look = WIDTH / stacks.looks().max(1) as f64;
    let rows = depth(&stacks.root, per_look);
    let height = TOP + rows as f64 * ROW + 4.0;
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"monospace\" \
         font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"4\" y=\"15\">{}</text>",
        escaped(title)
    );
    let mut x = 4.0;
    for (name, share) in stacks.by_kind() {
        let text = format!("{name} {:.0} %", share * 100.0);
        let color = [Kind::of("origo"), Kind::of("str0m"), Kind::of("aes_gcm_"), Kind::of("_[k]"), Kind::of("")]
            .into_iter()
            .find(|kind| kind.name == name)
            .map_or("#fff", |kind| kind.color);
        let _ = writeln!(
            out,
            "<rect x=\"{x:.0}\" y=\"23\" width=\"10\" height=\"10\" fill=\"{color}\"/><text x=\"{:.0}\" y=\"32\">{text}</text>",
            x + 14.0
        );
        x += 30.0 + text.len() as f64 * LETTER;
    }
    let mut at = 0.0;
    for (name, frame) in &stacks.root.calls {
        draw(&mut out, name, frame, (at, height - 4.0 - ROW), per_look, stacks.looks());
        at += frame.looks as f64 * per_look;
    }
    out.push_str("</svg>\n");
    out
}

fn depth(frame: &Frame, per_look: f64) -> usize {
    let calls = frame.calls.values().filter(|call| call.looks as f64 * per_look >= NARROWEST);
    calls.map(|call| 1 + depth(call, per_look)).max().unwrap_or(0)
}

fn draw(out: &mut String, name: &str, frame: &Frame, (x, y): (f64, f64), per_look: f64, all: u64) {
    let width = frame.looks as f64 * per_look;
    if width < NARROWEST {
        return;
    }
    let share = frame.looks as f64 * 100.0 / all.max(1) as f64;
    let shown = short(name.trim_end_matches("_[k]"));
    let letters = (width / LETTER) as usize;
    let text = match shown.chars().count() {
        count if count <= letters => shown.clone(),
        _ if letters > 5 => shown.chars().take(letters - 1).chain(['…']).collect(),
        _ => String::new(),
    };
    let _ = write!(
        out,
        "<g><title>{} ({share:.1} %)</title><rect x=\"{x:.1}\" y=\"{y:.0}\" width=\"{:.1}\" height=\"15\" fill=\"{}\"/>",
        escaped(&shown),
        (width - 0.3).max(0.5),
        Kind::of(name).color
    );
    if !text.is_empty() {
        let _ = write!(out, "<text x=\"{:.1}\" y=\"{:.0}\">{}</text>", x + 2.0, y + 11.0, escaped(&text));
    }
    out.push_str("</g>\n");
    let mut at = x;
    for (name, call) in &frame.calls {
        draw(out, name, call, (at, y - ROW), per_look, all);
        at += call.looks as f64 * per_look;
    }
}

/// A name without what its types are made of, and without all but the last two of its modules.
fn short(name: &str) -> String {
    let mut plain = String::new();
    let mut depth = 0_usize;
    for letter in name.chars() {
        match letter {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(letter),
            _ => {}
        }
    }
    let plain = if plain.trim_matches(':').is_empty() { name } else { plain.as_str() };
    let parts: Vec<&str> = plain.split("::").filter(|part| !part.is_empty()).collect();
    parts[parts.len().saturating_sub(3)..].join("::")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_has_a_box_for_each_call_that_can_be_seen() {
        let text = "t\n\t 2 b\n\t 1 a\n\nt\n\t 1 a\n\n";
        let drawn = svg(&Stacks::read(text, "t", "main"), "a < b");
        assert!(drawn.contains("<title>a (100.0 %)</title>") && drawn.contains("<title>b (50.0 %)</title>"), "{drawn}");
        assert!(drawn.contains("a &lt; b"));
    }

    #[test]
    fn names_are_cut_to_what_tells_them_apart() {
        assert_eq!(short("origo_node_core::media::worker::Worker::poll_output"), "worker::Worker::poll_output");
        assert_eq!(short("<origo::a::B as origo::c::D>::send"), "send");
        assert_eq!(short("core::ops::function::FnOnce<A<B>>::call_once"), "function::FnOnce::call_once");
    }
}
