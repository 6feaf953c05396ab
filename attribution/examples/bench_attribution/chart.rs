//! Two plots as SVG: bars with intervals, and lines over a number that doubles from point to point.

use std::fmt::Write;

const WIDTH: f64 = 460.0;
const LABELS: f64 = 210.0;
const LINE: f64 = 16.0;
const COLOURS: [&str; 5] = ["#1f5fbf", "#c2552d", "#3c8c4a", "#8a5fbf", "#777"];

/// One bar: its name, value, interval, and colour's number.
pub(crate) type Bar = (String, f64, Option<(f64, f64)>, usize);

/// Bars of one panel below each other.
pub(crate) struct Bars {
    pub(crate) title: String,
    pub(crate) bars: Vec<Bar>,
}

/// Curves in one pair of axes.
pub(crate) struct Lines {
    pub(crate) title: String,
    pub(crate) across: &'static str,
    pub(crate) curves: Vec<(String, Vec<(f64, f64)>)>,
}

/// Panels of bars beside each other.
pub(crate) fn bars(panels: &[Bars]) -> String {
    let longest = panels.iter().map(|panel| panel.bars.len()).max().unwrap_or(0);
    let height = 60.0 + LINE * longest as f64;
    page(panels.len(), height, |svg, at| draw_bars(svg, &panels[at], height))
}

/// Panels of lines beside each other.
pub(crate) fn lines(panels: &[Lines]) -> String {
    page(panels.len(), 300.0, |svg, at| draw_lines(svg, &panels[at], 300.0))
}

fn page(panels: usize, height: f64, mut draw: impl FnMut(&mut String, usize)) -> String {
    let width = WIDTH * panels.max(1) as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for at in 0..panels {
        writeln!(svg, "<g transform=\"translate({} 0)\">", at as f64 * WIDTH).expect("a string");
        draw(&mut svg, at);
        svg.push_str("</g>\n");
    }
    svg + "</svg>\n"
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, colour: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{text}</text>"
    )
    .expect("a string");
}

fn line(svg: &mut String, points: &str, style: &str) {
    writeln!(svg, "<polyline points=\"{points}\" fill=\"none\" {style}/>").expect("a string");
}

fn draw_bars(svg: &mut String, panel: &Bars, height: f64) {
    let ends = panel.bars.iter().flat_map(|(_, value, interval, _)| {
        [Some(*value), interval.map(|i| i.0), interval.map(|i| i.1)].into_iter().flatten()
    });
    let (low, high) =
        ends.fold((0.0f64, 1e-9f64), |(low, high), end| (low.min(end), high.max(end)));
    let x = |value: f64| LABELS + (value - low) / (high - low) * (WIDTH - LABELS - 60.0);
    text(svg, WIDTH / 2.0, 18.0, "middle", "black", &panel.title);
    for (number, (name, value, interval, colour)) in panel.bars.iter().enumerate() {
        let y = 40.0 + LINE * number as f64;
        let colour = COLOURS[colour % COLOURS.len()];
        let (left, right) = (x(value.min(0.0)), x(value.max(0.0)));
        text(svg, LABELS - 8.0, y + 4.0, "end", "black", name);
        writeln!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"9\" fill=\"{colour}\"/>",
            y - 4.5,
            (right - left).max(0.5)
        )
        .expect("a string");
        let (from, to) = interval.unwrap_or((*value, *value));
        line(svg, &format!("{:.1},{y} {:.1},{y}", x(from), x(to)), "stroke=\"black\"");
        text(svg, x(to.max(0.0)) + 5.0, y + 4.0, "start", "#333", &format!("{value:.3}"));
    }
    line(svg, &format!("{0:.1},30 {0:.1},{1:.1}", x(0.0), height - 14.0), "stroke=\"#999\"");
}

fn draw_lines(svg: &mut String, panel: &Lines, height: f64) {
    let points = || panel.curves.iter().flat_map(|(_, points)| points);
    let bounds = |pick: fn(&(f64, f64)) -> f64| {
        points().map(pick).fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(v), b.max(v)))
    };
    let (left, right) = bounds(|point| point.0.log2());
    let (low, high) = bounds(|point| point.1);
    let (low, high) = (low - 0.1 * (high - low) - 1e-3, high + 0.1 * (high - low) + 1e-3);
    let x = |at: f64| 50.0 + (at.log2() - left) / (right - left).max(1.0) * (WIDTH - 90.0);
    let y = |value: f64| height - 44.0 - (value - low) / (high - low) * (height - 100.0);
    text(svg, WIDTH / 2.0, 18.0, "middle", "black", &panel.title);
    text(svg, WIDTH / 2.0, height - 6.0, "middle", "black", panel.across);
    line(svg, &format!("50,{0:.1} {1},{0:.1}", height - 40.0, WIDTH - 30.0), "stroke=\"black\"");
    let mut marks: Vec<f64> = points().map(|point| point.0).collect();
    marks.sort_by(f64::total_cmp);
    marks.dedup();
    for mark in marks {
        text(svg, x(mark), height - 24.0, "middle", "black", &mark.to_string());
    }
    for (number, (name, points)) in panel.curves.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        text(svg, WIDTH - 30.0, 36.0 + 13.0 * number as f64, "end", colour, name);
        let curve: Vec<_> = points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
        line(svg, &curve.join(" "), &format!("stroke=\"{colour}\" stroke-width=\"2\""));
        for &(at, value) in points {
            text(svg, x(at), y(value) - 6.0, "middle", colour, &format!("{value:.3}"));
        }
    }
}
