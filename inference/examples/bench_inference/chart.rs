//! Lines over a number that doubles or more from point to point, as SVG.

use std::fmt::Write;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 300.0;
const MARGIN: f64 = 56.0;
const COLOURS: [&str; 4] = ["#1f5fbf", "#c2552d", "#3c8c4a", "#777"];

/// Curves in one pair of axes.
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    /// What is counted along the bottom.
    pub(crate) across: &'static str,
    /// Names and points.
    pub(crate) curves: Vec<(String, Vec<(f64, f64)>)>,
    /// A level that curves should not pass, and what it is called.
    pub(crate) level: Option<(f64, &'static str)>,
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
    let points = || panel.curves.iter().flat_map(|(_, points)| points);
    let level = panel.level.map_or(0.0, |level| level.0);
    let most = points().map(|point| point.1).fold(level, f64::max).max(1e-9) * 1.15;
    let bounds = |(low, high): (f64, f64), point: &(f64, f64)| {
        (low.min(point.0.log2()), high.max(point.0.log2()))
    };
    let (low, high) = points().fold((f64::MAX, f64::MIN), bounds);
    let x = |at: f64| MARGIN + (at.log2() - low) / (high - low).max(1.0) * (WIDTH - MARGIN - 32.0);
    let y = |value: f64| HEIGHT - 40.0 - value / most * (HEIGHT - 80.0);
    let mut text = |x: f64, y: f64, anchor: &str, colour: &str, text: &str| {
        writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{text}</text>"
        )
        .expect("a string");
    };
    text(WIDTH / 2.0, 18.0, "middle", "black", panel.title);
    text(WIDTH / 2.0, HEIGHT - 6.0, "middle", "black", panel.across);
    text(MARGIN - 6.0, y(0.0) + 4.0, "end", "black", "0");
    let mut marks: Vec<f64> = points().map(|point| point.0).collect();
    marks.sort_by(f64::total_cmp);
    marks.dedup();
    marks
        .iter()
        .for_each(|&mark| text(x(mark), HEIGHT - 24.0, "middle", "black", &mark.to_string()));
    if let Some((level, name)) = panel.level {
        text(WIDTH - 24.0, y(level) - 4.0, "end", "#777", name);
    }
    for (i, (name, points)) in panel.curves.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        text(WIDTH - 24.0, 34.0 + 13.0 * i as f64, "end", colour, name);
        for &(at, value) in points {
            text(x(at), y(value) - 6.0, "middle", colour, &amount(value));
        }
    }
    let mut line = |points: &str, style: &str| {
        writeln!(svg, "<polyline points=\"{points}\" fill=\"none\" {style}/>").expect("a string");
    };
    let across = |value: f64| format!("{MARGIN},{0:.1} {1},{0:.1}", y(value), WIDTH - 24.0);
    line(&across(0.0), "stroke=\"black\"");
    if let Some((level, _)) = panel.level {
        line(&across(level), "stroke=\"#999\" stroke-dasharray=\"4 3\"");
    }
    for (i, (_, points)) in panel.curves.iter().enumerate() {
        let curve: Vec<_> = points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
        let colour = COLOURS[i % COLOURS.len()];
        line(&curve.join(" "), &format!("stroke=\"{colour}\" stroke-width=\"2\""));
    }
}

fn amount(value: f64) -> String {
    if value < 100.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}
