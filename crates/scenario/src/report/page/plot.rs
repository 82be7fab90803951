//! Plots of numbers per day: stacked areas or bars, with a legend.

use std::collections::{BTreeMap, BTreeSet};

use super::super::PerDay;
use super::axis::{Axis, Number, Time, step};
use super::{grouped, money};

const TOP: f64 = 10.0;
const HEIGHT: f64 = 150.0;
/// Maximum number of series that have their own area; the smallest are drawn as one. Most people
/// with colour blindness can distinguish seven colours.
const NAMED: usize = 7;
/// The colour of the series `none`, for example of the devices that are not attached.
const NONE: usize = 7;
/// The colour of the area for all other series together.
const REST: usize = 8;
/// Maximum number of bars.
const BARS: usize = 366;

/// The meaning of the numbers of a plot.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Shape {
    /// A state at the end of each day, drawn as areas.
    State,
    /// A number of events on each day, drawn as bars.
    Events,
    /// The amount spent on each day, in millionths of the currency unit. The running total is drawn
    /// as areas.
    Spent,
}

struct Line {
    name: String,
    values: Vec<f64>,
    /// The colour index. `None` means the colour of the rest.
    colour: Option<usize>,
}

impl Line {
    fn colour(&self) -> usize {
        self.colour.unwrap_or(REST)
    }
}

/// The colour of each name, which is the same in all plots that share the palette.
pub(super) struct Palette(BTreeMap<String, usize>);

impl Default for Palette {
    /// The name `none` is grey.
    fn default() -> Self {
        Self(BTreeMap::from([("none".to_owned(), NONE)]))
    }
}

impl Palette {
    /// Assigns a different colour to each line of a plot. A new name gets the colour that is used
    /// least in other plots.
    fn paint(&mut self, lines: &mut [Line]) {
        let mut free: BTreeSet<usize> = (0..NAMED).chain([NONE]).collect();
        for line in &mut *lines {
            line.colour = self.0.get(&line.name).copied().filter(|colour| free.remove(colour));
        }
        free.remove(&NONE);
        for line in lines.iter_mut().filter(|line| line.colour.is_none()) {
            let others = |colour: &usize| self.0.values().filter(|used| *used == colour).count();
            line.colour = free.iter().copied().min_by_key(others);
            if let Some(colour) = line.colour {
                free.remove(&colour);
                self.0.entry(line.name.clone()).or_insert(colour);
            }
        }
    }
}

/// A plot with its legend.
pub(super) struct Plot {
    pub(super) title: &'static str,
    pub(super) unit: String,
    /// The headings of the two columns of the legend.
    pub(super) columns: (&'static str, &'static str),
    /// Absent for a run of a single day.
    pub(super) picture: Option<Picture>,
    pub(super) legend: Vec<Row>,
}

/// The stacked areas or bars of a plot.
pub(super) struct Picture {
    pub(super) axis: Axis,
    pub(super) ticks: Vec<Tick>,
    pub(super) areas: Vec<Area>,
}

/// A horizontal grid line with its label.
pub(super) struct Tick {
    pub(super) y: Number,
    pub(super) label: String,
}

/// The area or the bars of a name.
pub(super) struct Area {
    pub(super) class: String,
    pub(super) path: String,
}

/// A row of the legend.
pub(super) struct Row {
    pub(super) colour: usize,
    pub(super) name: String,
    pub(super) maximum: String,
    /// The value at the end, or the total.
    pub(super) end: String,
}

impl Plot {
    /// A plot of numbers. `None` if nothing was counted.
    pub(super) fn new(
        title: &'static str,
        unit: String,
        shape: Shape,
        numbers: &PerDay,
        time: Time,
        palette: &mut Palette,
    ) -> Option<Self> {
        if numbers.is_empty() {
            return None;
        }
        let bin = time.days().div_ceil(BARS).max(1);
        let lines = lines(numbers, shape, (time.days(), bin), palette);
        let columns = match shape {
            Shape::State => ("maximum", "at the end"),
            Shape::Events | Shape::Spent => ("maximum per day", "total"),
        };
        let picture = (time.days() > 1).then(|| picture(shape, &lines, time, bin));
        Some(Self {
            title,
            unit,
            columns,
            picture,
            legend: lines.iter().rev().map(|line| row(line, shape)).collect(),
        })
    }
}

/// Returns a line for each name with large numbers, and one line for the sum of all others. Each
/// value of a line covers `bin` days.
fn lines(numbers: &PerDay, shape: Shape, (days, bin): (usize, usize), palette: &mut Palette) -> Vec<Line> {
    let line = |(name, values): (&str, &[u64])| {
        let (name, values) = (name.to_owned(), binned(values, shape, days, bin));
        Line { name, values, colour: None }
    };
    let mut lines: Vec<Line> = numbers.lines().map(line).collect();
    let weight = |line: &Line| line.values.iter().sum::<f64>();
    // The sort is stable, so that names with equal weight keep their order.
    lines.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    let rest = if lines.len() > NAMED + 1 { lines.split_off(NAMED) } else { Vec::new() };
    palette.paint(&mut lines);
    if !rest.is_empty() {
        let mut values = vec![0.0; days.div_ceil(bin)];
        for line in &rest {
            values.iter_mut().zip(&line.values).for_each(|(sum, value)| *sum += value);
        }
        lines.push(Line { name: format!("{} others", rest.len()), values, colour: None });
    }
    lines
}

fn binned(values: &[u64], shape: Shape, days: usize, bin: usize) -> Vec<f64> {
    let day = |day: usize| values.get(day).copied().unwrap_or(0) as f64;
    (0..days.div_ceil(bin))
        .map(|number| {
            let of_bin = number * bin..((number + 1) * bin).min(days);
            match shape {
                Shape::State => day(of_bin.end.saturating_sub(1)),
                Shape::Events | Shape::Spent => of_bin.map(day).sum(),
            }
        })
        .collect()
}

fn picture(shape: Shape, lines: &[Line], time: Time, bin: usize) -> Picture {
    let bottom = TOP + HEIGHT;
    let count = lines.iter().map(|line| line.values.len()).max().unwrap_or(0);
    let mut floor = vec![0.0; count];
    // Each area starts at the upper edge of the area below it.
    let stacked: Vec<(Vec<f64>, Vec<f64>)> = lines
        .iter()
        .map(|line| {
            let below = floor.clone();
            let mut so_far = 0.0;
            for (place, value) in floor.iter_mut().zip(&line.values) {
                so_far = if shape == Shape::Spent { so_far + value / 1e6 } else { *value };
                *place += so_far;
            }
            (below, floor.clone())
        })
        .collect();
    let step = step(floor.iter().copied().fold(0.0, f64::max));
    let most = (floor.iter().copied().fold(0.0, f64::max) / step).ceil().max(1.0) * step;
    let y = |value: f64| bottom - HEIGHT * value / most;
    let x = |number: usize| time.of_day(number * bin);
    let tick = |tick| {
        let value = f64::from(tick) * step;
        Tick { y: Number(y(value)), label: grouped(value) }
    };
    let area = |((below, above), line): (&(Vec<f64>, Vec<f64>), &Line)| {
        let (edge, path) = match shape {
            Shape::Events => ("", bars(below, above, x, y)),
            Shape::State | Shape::Spent => (" edge", area(below, above, x, y)),
        };
        Area { class: format!("c{}{edge}", line.colour()), path }
    };
    Picture {
        axis: time.axis(TOP, bottom),
        ticks: (0..=(most / step).round() as u32).map(tick).collect(),
        areas: stacked.iter().zip(lines).map(area).collect(),
    }
}

/// The outline of an area: it follows the steps of the upper edge from left to right, and those of
/// the lower edge back.
fn area(below: &[f64], above: &[f64], x: impl Fn(usize) -> f64, y: impl Fn(f64) -> f64) -> String {
    let Some((first, last)) = above.first().zip(below.last()) else { return String::new() };
    let mut path = format!("M{} {}", Number(x(0)), Number(y(*first)));
    for (at, (before, after)) in above.iter().zip(above.iter().skip(1)).enumerate() {
        if before != after {
            path += &format!("H{}V{}", Number(x(at + 1)), Number(y(*after)));
        }
    }
    path += &format!("H{}V{}", Number(x(above.len())), Number(y(*last)));
    for (at, (before, after)) in below.iter().zip(below.iter().skip(1)).enumerate().rev() {
        if before != after {
            path += &format!("H{}V{}", Number(x(at + 1)), Number(y(*before)));
        }
    }
    path + &format!("H{}Z", Number(x(0)))
}

fn bars(below: &[f64], above: &[f64], x: impl Fn(usize) -> f64, y: impl Fn(f64) -> f64) -> String {
    let bar = |(at, (low, high)): (usize, (&f64, &f64))| {
        (high > low).then(|| {
            let (left, right) = (x(at), (x(at + 1) - 0.3).max(x(at) + 0.5));
            format!(
                "M{} {}H{}V{}H{}Z",
                Number(left),
                Number(y(*low)),
                Number(right),
                Number(y(*high)),
                Number(left)
            )
        })
    };
    below.iter().zip(above).enumerate().filter_map(bar).collect()
}

fn row(line: &Line, shape: Shape) -> Row {
    let most = line.values.iter().copied().fold(0.0, f64::max);
    let sum = line.values.iter().sum::<f64>();
    let (maximum, end) = match shape {
        Shape::State => (grouped(most), grouped(line.values.last().copied().unwrap_or(0.0))),
        Shape::Events => (grouped(most), grouped(sum)),
        Shape::Spent => (grouped(most / 1e6), money((sum / 1e6).into())),
    };
    Row { colour: line.colour(), name: line.name.clone(), maximum, end }
}
