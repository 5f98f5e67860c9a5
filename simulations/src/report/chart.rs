//! The frame that all plots share: scales, grid, lines.

use std::fmt::Write;

use super::figure::figure;

/// Size of a plot in SVG units; the page scales it to its card.
pub const WIDTH: f64 = 520.0;
/// Height of a plot.
pub const HEIGHT: f64 = 150.0;

const LEFT: f64 = 46.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 22.0;

/// A plot's two linear scales, both from `low` to `high`.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    x: [f64; 2],
    y: [f64; 2],
}

impl Frame {
    /// A frame for these values; the upper end of y is rounded up to a number that people like.
    pub fn new(x: [f64; 2], y_max: f64) -> Self {
        let x = if x[1] > x[0] { x } else { [x[0], x[0] + 1.0] };
        Self { x, y: [0.0, nice(y_max)] }
    }

    /// Where a value lies from left to right.
    pub fn x(&self, value: f64) -> f64 {
        let share = (value - self.x[0]) / (self.x[1] - self.x[0]);
        LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    /// Where a value lies from top to bottom.
    pub fn y(&self, value: f64) -> f64 {
        let share = (value - self.y[0]) / (self.y[1] - self.y[0]);
        HEIGHT - BOTTOM - share.clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM)
    }

    /// The opening tag, grid and labels; `unit_y` formats what is on the y axis.
    pub fn open(&self, label: &str, unit_x: &str, unit_y: impl Fn(f64) -> String) -> String {
        let mut out = format!("<svg class=plot viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-label=\"{label}\">");
        let (left, right) = (LEFT, WIDTH - RIGHT);
        for value in [self.y[0], (self.y[0] + self.y[1]) / 2.0, self.y[1]] {
            let y = self.y(value);
            let text = unit_y(value);
            let _ = write!(
                out,
                "<path class=grid d=\"M{left} {y:.1}H{right}\"/><text class=tick x={:.0} y={:.1} text-anchor=end>{text}</text>",
                left - 6.0,
                y + 3.5
            );
        }
        let ticks = ticks(self.x);
        let last = ticks.len().saturating_sub(1);
        for (at, value) in ticks.into_iter().enumerate() {
            let x = self.x(value);
            let unit = if at == last { unit_x } else { "" };
            let anchor = if x > right - 14.0 { "end" } else { "middle" };
            let (y, text) = (HEIGHT - 6.0, figure(value));
            let _ = write!(out, "<text class=tick x={x:.1} y={y:.0} text-anchor={anchor}>{text}{unit}</text>");
        }
        out
    }

    /// A line through points, as a path of this class.
    pub fn line(&self, points: &[(f64, f64)], class: &str) -> String {
        format!("<path class=\"line {class}\" d=\"{}\"/>", self.path(points))
    }

    /// The area below points, as a path of this class.
    pub fn area(&self, points: &[(f64, f64)], class: &str) -> String {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
        let (path, floor) = (self.path(points), self.y(self.y[0]));
        format!(
            "<path class=\"area {class}\" d=\"{path}L{:.1} {floor:.1}L{:.1} {floor:.1}Z\"/>",
            self.x(last.0),
            self.x(first.0)
        )
    }

    /// A column of the whole height around a value of x that tells `title` to whoever points at it.
    pub fn column(&self, from: f64, to: f64, title: &str) -> String {
        let (a, b) = (self.x(from), self.x(to));
        let (width, height) = (b - a, HEIGHT - TOP - BOTTOM);
        format!("<rect class=column x={a:.1} y={TOP} width={width:.1} height={height}><title>{title}</title></rect>")
    }

    /// An upright line at a value of x, named at its lower end, where a distribution leaves room.
    pub fn mark(&self, value: f64, name: &str, class: &str) -> String {
        let (x, floor) = (self.x(value), HEIGHT - BOTTOM);
        let (at, anchor) = if x > WIDTH * 0.75 { (x - 4.0, "end") } else { (x + 4.0, "start") };
        format!(
            "<path class=\"mark {class}\" d=\"M{x:.1} {TOP}V{floor}\"/>\
             <text class=\"tick {class}\" x={at:.1} y={:.0} text-anchor={anchor}>{name}</text>",
            floor - 6.0
        )
    }

    fn path(&self, points: &[(f64, f64)]) -> String {
        let mut out = String::new();
        for (at, (x, y)) in points.iter().enumerate() {
            let _ = write!(out, "{}{:.1} {:.1}", if at == 0 { 'M' } else { 'L' }, self.x(*x), self.y(*y));
        }
        out
    }
}

/// The next number of 1, 1.5, 2, 3, 4, 5, 6 and 8 times a power of ten; 1 for nothing.
pub fn nice(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    steps.iter().map(|step| step * power).find(|step| *step >= value * 0.999_999).unwrap_or(10.0 * power)
}

/// Five or so values between two ends that people like.
fn ticks([low, high]: [f64; 2]) -> Vec<f64> {
    let rough = (high - low) / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].iter().map(|step| step * power).find(|step| *step >= rough).unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last.min(first + 12)).map(|at| at as f64 * step).collect()
}
