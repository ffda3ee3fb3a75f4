//! Small charts, drawn here as SVG: no script, nothing from elsewhere.

use std::fmt::Write as _;

use maud::{Markup, html};

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 56.0;

/// A line with the area below it, and a second line over the same scale.
pub(super) fn sparkline(label: &str, values: &[f64], second: &[f64]) -> Markup {
    let most = values.iter().chain(second).copied().fold(0.0_f64, f64::max);
    let line = path(values, most);
    html! {
        svg class="spark" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
            line class="base" x1="0" x2=(WIDTH) y1=(HEIGHT - 0.5) y2=(HEIGHT - 0.5) {}
            @if let Some(line) = &line {
                path class="area" d={ (line) "L" (WIDTH) " " (HEIGHT) "L0 " (HEIGHT) "Z" } {}
                path class="line" d=(line) {}
            }
            @if second.iter().any(|value| *value > 0.0) {
                @if let Some(line) = path(second, most) { path class="line bad" d=(line) {} }
            }
        }
    }
}

/// The way of a line over the whole width; nothing for less than two values, or where all are zero.
fn path(values: &[f64], most: f64) -> Option<String> {
    if values.len() < 2 || most <= 0.0 {
        return None;
    }
    let step = WIDTH / (values.len() - 1) as f64;
    let mut way = String::with_capacity(values.len() * 12);
    for (at, value) in values.iter().enumerate() {
        let (x, y) = (at as f64 * step, (HEIGHT - 2.0) - (HEIGHT - 6.0) * (value / most));
        let _ = write!(way, "{}{x:.1} {y:.1}", if at == 0 { "M" } else { "L" });
    }
    Some(way)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_to_its_box_and_nothing_is_drawn_of_nothing() {
        assert_eq!(path(&[1.0], 1.0), None);
        assert_eq!(path(&[0.0, 0.0], 0.0), None);
        let way = path(&[0.0, 5.0, 10.0], 10.0).unwrap_or_default();
        assert_eq!(way, "M0.0 54.0L150.0 29.0L300.0 4.0");
        assert!(!sparkline("x", &[0.0, 0.0], &[]).0.contains("class=\"line\""));
    }
}
