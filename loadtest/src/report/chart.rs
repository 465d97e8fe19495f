//! One chart as SVG that takes its colours from the page it stands in, so that it suits light and dark.
//!
//! Invariants: a chart without a value is none; a line has at most [`MOST_POINTS`] points.

use super::axis::Axis;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Most points of a line.
pub(super) const MOST_POINTS: usize = 600;
/// Values above are not drawn: nothing measured is so large.
const LARGEST: f64 = 1e15;
/// Plotters places by whole pixels: a chart is drawn this much larger than it is meant to be seen.
const FINE: u32 = 4;
const WIDTH: u32 = 560 * FINE;
const HEIGHT: u32 = 240 * FINE;
const FONT: f64 = 12.0 * FINE as f64;
/// Plotters writes a font's size divided by this.
const FONT_FACTOR: f64 = 1.24;

/// Colours that no page shows: they are exchanged for the page's own.
const SERIES: [RGBColor; 4] =
    [RGBColor(1, 254, 253), RGBColor(2, 254, 253), RGBColor(3, 254, 253), RGBColor(4, 254, 253)];
const TEXT: RGBColor = RGBColor(16, 254, 253);
const GRID: RGBColor = RGBColor(32, 254, 253);
const PAPER: RGBColor = RGBColor(48, 254, 253);
const NAMES: [(&str, &str); 7] = [
    ("#01FEFD", "var(--series-1)"),
    ("#02FEFD", "var(--series-2)"),
    ("#03FEFD", "var(--series-3)"),
    ("#04FEFD", "var(--series-4)"),
    ("#10FEFD", "var(--quiet)"),
    ("#20FEFD", "var(--grid)"),
    ("#30FEFD", "var(--card)"),
];

type Drawn<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Axis, Axis>>;
type Failed = Box<dyn std::error::Error>;

/// One line of a chart; a point without a value is a gap.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) points: Vec<(f64, Option<f64>)>,
}

/// What a chart's horizontal axis counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Across {
    /// Seconds of the run, to this one.
    Run(f64),
    /// Logarithms of microseconds; the vertical axis is the share, in percent.
    Time,
    /// Viewers.
    Viewers,
}

/// A chart.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    pub(super) title: &'static str,
    /// What the vertical axis counts, with the unit.
    pub(super) unit: &'static str,
    pub(super) across: Across,
    pub(super) lines: Vec<Line>,
    /// Points that stand out, and whether each is a success.
    pub(super) marks: Vec<(f64, f64, bool)>,
}

impl Chart {
    /// Draws it; `None` where there is nothing to draw.
    pub(super) fn svg(&self) -> Option<String> {
        let mut lines: Vec<Line> = self.lines.iter().map(Line::thinned).collect();
        let points = || lines.iter().flat_map(|line| &line.points).filter_map(|(x, y)| Some((*x, (*y)?)));
        let least = |a: f64, b: f64| a.min(b);
        let (x_least, x_most) = (points().map(|p| p.0).reduce(least)?, points().map(|p| p.0).reduce(f64::max)?);
        let (y_least, y_most) = (points().map(|p| p.1).reduce(least)?, points().map(|p| p.1).reduce(f64::max)?);
        let x = match self.across {
            Across::Run(seconds) => Axis::run(seconds.max(x_most)),
            Across::Time => Axis::log_time(x_least, x_most),
            Across::Viewers => Axis::values(0.0, x_most, "viewers"),
        };
        let y = match self.across {
            Across::Time => Axis::shares(self.unit),
            _ => Axis::values(y_least, y_most, self.unit),
        };
        if self.across == Across::Time {
            lines.iter_mut().for_each(|line| line.reach(&x));
        }
        let mut svg = String::new();
        // Drawing into a text cannot fail but by an error of programming; then the chart is left out.
        self.draw(&mut svg, &lines, &x, &y).ok()?;
        let body = svg.split_once('>')?.1;
        let body = NAMES.iter().fold(body.to_owned(), |svg, (marker, colour)| svg.replace(marker, colour));
        let label = escape(&self.alternative());
        Some(format!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{label}\">{body}"
        ))
    }

    /// The chart in words.
    fn alternative(&self) -> String {
        let mut text = format!("{}, in {}.", self.title, self.unit);
        for line in &self.lines {
            let values = || line.points.iter().filter_map(|(_, y)| *y).filter(|y| y.is_finite());
            let bounds = (values().reduce(f64::min), values().reduce(f64::max), values().next_back());
            let (Some(least), Some(most), Some(last)) = bounds else { continue };
            let [least, most, last] = [least, most, last].map(crate::units::number);
            let said = match self.across {
                Across::Time => {
                    let half = line.points.iter().find(|(_, y)| y.is_some_and(|share| share >= 50.0));
                    let time = half.map_or_else(String::new, |(x, _)| crate::units::time(10_f64.powf(*x)));
                    format!(" {}: half of them within {time}.", line.name)
                }
                _ => format!(" {}: from {least} to {most}, at the end {last}.", line.name),
            };
            text.push_str(&said);
        }
        text
    }

    fn draw(&self, svg: &mut String, lines: &[Line], x: &Axis, y: &Axis) -> Result<(), Failed> {
        let root = SVGBackend::with_string(svg, (WIDTH, HEIGHT)).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin_top(32 * FINE)
            .margin_right(22 * FINE)
            .x_label_area_size(44 * FINE)
            .y_label_area_size(46 * FINE)
            .build_cartesian_2d(x.clone(), y.clone())?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(GRID.stroke_width(FINE))
            .axis_style(GRID.stroke_width(FINE))
            .label_style(font().color(&TEXT))
            .set_all_tick_mark_size(3 * FINE)
            .draw()?;
        let corner = font().color(&TEXT).pos(Pos::new(HPos::Left, VPos::Top));
        root.draw_text(&y.name, &corner, (2 * FINE as i32, 2 * FINE as i32))?;
        let corner = font().color(&TEXT).pos(Pos::new(HPos::Right, VPos::Bottom));
        root.draw_text(&x.name, &corner, ((WIDTH - 22 * FINE) as i32, (HEIGHT - FINE) as i32))?;
        for (line, colour) in lines.iter().zip(SERIES) {
            line.draw(&mut chart, colour, lines.len() == 1 && self.marks.is_empty())?;
        }
        self.draw_marks(&mut chart)?;
        drop(chart);
        root.present()?;
        drop(root);
        Ok(())
    }

    fn draw_marks(&self, chart: &mut Drawn<'_>) -> Result<(), Failed> {
        for (x, y, is_met) in &self.marks {
            let colour = if *is_met { SERIES[0] } else { SERIES[1] };
            let inner = if *is_met { colour } else { PAPER };
            chart.draw_series([
                Circle::new((*x, *y), 5 * FINE, colour.filled()),
                Circle::new((*x, *y), 3 * FINE, inner.filled()),
            ])?;
        }
        Ok(())
    }
}

impl Line {
    /// The same line with few points: of each stretch its least and its greatest value.
    fn thinned(&self) -> Self {
        let sound = |(x, y): &(f64, Option<f64>)| (*x, y.filter(|y| y.is_finite() && y.abs() <= LARGEST));
        let all = self.points.iter().filter(|(x, _)| x.is_finite() && x.abs() <= LARGEST).map(sound);
        let all: Vec<(f64, Option<f64>)> = all.collect();
        if all.len() <= MOST_POINTS {
            return Self { name: self.name, points: all };
        }
        let stretch = all.len().div_ceil(MOST_POINTS / 2);
        let points = all.chunks(stretch).flat_map(ends).collect();
        Self { name: self.name, points }
    }

    /// A share of all is 0 up to the least value, and from the greatest on what it is there.
    fn reach(&mut self, axis: &Axis) {
        let Some((_, last)) = self.points.last().copied() else { return };
        self.points.insert(0, (axis.range.start, Some(0.0)));
        self.points.push((axis.range.end, last));
    }

    fn draw(&self, chart: &mut Drawn<'_>, colour: RGBColor, is_alone: bool) -> Result<(), Failed> {
        for part in self.points.split(|(_, y)| y.is_none()) {
            let part: Vec<(f64, f64)> = part.iter().filter_map(|(x, y)| Some((*x, (*y)?))).collect();
            match part[..] {
                [] => {}
                [alone] => {
                    chart.draw_series([Circle::new(alone, 2 * FINE, colour.filled())])?;
                }
                _ => {
                    if is_alone {
                        chart.draw_series(AreaSeries::new(part.clone(), 0.0, colour.mix(0.12)))?;
                    }
                    chart.draw_series(LineSeries::new(part, colour.stroke_width(2 * FINE)))?;
                }
            }
        }
        Ok(())
    }
}

/// The points with the least and the greatest value, in their order; a gap where there is no value.
fn ends(stretch: &[(f64, Option<f64>)]) -> Vec<(f64, Option<f64>)> {
    let values = || stretch.iter().filter_map(|(x, y)| Some((*x, (*y)?)));
    let least = values().min_by(|a, b| a.1.total_cmp(&b.1));
    let most = values().max_by(|a, b| a.1.total_cmp(&b.1));
    match (least, most) {
        (Some(least), Some(most)) => {
            let mut ends = [least, most];
            ends.sort_by(|a, b| a.0.total_cmp(&b.0));
            ends.map(|(x, y)| (x, Some(y))).to_vec()
        }
        _ => stretch.first().map(|(x, _)| (*x, None)).into_iter().collect(),
    }
}

fn font() -> TextStyle<'static> {
    ("sans-serif", FONT * FONT_FACTOR).into_font().into()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
