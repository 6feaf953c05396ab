//! Time and gas against rows, as SVG.

use std::fmt::Write;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 300.0;
const MARGIN: f64 = 56.0;

/// One curve over rows, in a panel of its own.
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    /// Rows and value.
    pub(crate) points: Vec<(f64, f64)>,
    /// The most that it should be, at 65,536 rows for time and everywhere for gas.
    pub(crate) target: f64,
}

/// Panels beside each other.
pub(crate) fn svg(panels: &[Panel]) -> String {
    let width = WIDTH * panels.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{width}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    for (i, panel) in panels.iter().enumerate() {
        writeln!(svg, "<g transform=\"translate({} 0)\">", i as f64 * WIDTH).expect("a string");
        draw(&mut svg, panel);
        svg.push_str("</g>\n");
    }
    svg + "</svg>\n"
}

fn draw(svg: &mut String, panel: &Panel) {
    let most = panel.points.iter().map(|point| point.1).fold(panel.target, f64::max) * 1.1;
    let logs = panel.points.iter().map(|point| point.0.log2());
    let (low, high) = logs.fold((f64::MAX, f64::MIN), |(l, h), x| (l.min(x), h.max(x)));
    let x =
        |rows: f64| MARGIN + (rows.log2() - low) / (high - low).max(1.0) * (WIDTH - MARGIN - 24.0);
    let y = |value: f64| HEIGHT - 40.0 - value / most * (HEIGHT - 80.0);
    let mut text = |x: f64, y: f64, anchor: &str, text: &str| {
        writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>")
            .expect("a string");
    };
    text(WIDTH / 2.0, 20.0, "middle", &format!("{} ({})", panel.title, panel.unit));
    text(WIDTH / 2.0, HEIGHT - 6.0, "middle", "rows");
    for &(rows, value) in &panel.points {
        text(x(rows), HEIGHT - 24.0, "middle", &format!("{rows}"));
        text(x(rows), y(value) - 8.0, "middle", &amount(value));
    }
    text(MARGIN - 6.0, y(0.0) + 4.0, "end", "0");
    text(MARGIN - 6.0, y(panel.target) + 4.0, "end", &amount(panel.target));
    text(WIDTH - 24.0, y(panel.target) - 4.0, "end", "target");
    let line = |points: &str, style: &str| {
        format!("<polyline points=\"{points}\" fill=\"none\" {style}/>\n")
    };
    let level = |value: f64| format!("{MARGIN},{0:.1} {1},{0:.1}", y(value), WIDTH - 24.0);
    let curve: Vec<_> =
        panel.points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
    svg.push_str(&line(&level(0.0), "stroke=\"black\""));
    svg.push_str(&line(&level(panel.target), "stroke=\"#999\" stroke-dasharray=\"4 3\""));
    svg.push_str(&line(&curve.join(" "), "stroke=\"#1f5fbf\" stroke-width=\"2\""));
}

fn amount(value: f64) -> String {
    if value < 1000.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}
