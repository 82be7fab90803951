//! Plots of numbers per day: stacked areas or bars, with a legend.

use std::collections::{BTreeMap, BTreeSet};

use rsp::time::Timestamp;

use super::super::{PerDay, escape::Escaped};
use super::axis::{ALL, LEFT, Time, WIDTH, number, step};
use super::grouped;

const TOP: f64 = 10.0;
const HEIGHT: f64 = 150.0;
/// Maximum number of names with their own area. There are as many colours that most people with
/// colour blindness can distinguish.
const NAMED: usize = 7;
/// The colour of the name `none`.
const NONE: usize = 7;
/// The colour of all other names together.
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
    /// An amount spent on each day, in millionths. Drawn as areas of the running total.
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

/// A plot with its legend. Empty if nothing was counted.
pub(super) fn plot(
    title: &str,
    unit: &str,
    shape: Shape,
    numbers: &PerDay,
    (begins, ended): (Timestamp, Timestamp),
    palette: &mut Palette,
) -> String {
    if numbers.is_empty() {
        return String::new();
    }
    let time = Time::new(begins, ended);
    let bin = time.days().div_ceil(BARS).max(1);
    let lines = lines(numbers, shape, (time.days(), bin), palette);
    let picture =
        if time.days() > 1 { picture(title, unit, shape, &lines, time, bin) } else { String::new() };
    let rows: String = lines.iter().rev().map(|line| row(line, shape)).collect();
    let (first, second) = match shape {
        Shape::State => ("maximum", "at the end"),
        Shape::Events => ("maximum per day", "total"),
        Shape::Spent => ("maximum per day", "total"),
    };
    format!(
        "<figure><figcaption>{title}, <span class=\"unit\">{unit}</span></figcaption>\n{picture}<table class=\"legend\"><thead><tr><th></th>\
         <th></th><th class=\"n\">{first}</th><th class=\"n\">{second}</th></tr></thead><tbody>\n{rows}</tbody></table></figure>\n",
        unit = Escaped(unit),
    )
}

/// The names with the largest numbers as separate lines, and the others as one line, in steps of
/// `bin` days.
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

fn picture(title: &str, unit: &str, shape: Shape, lines: &[Line], time: Time, bin: usize) -> String {
    let bottom = TOP + HEIGHT;
    let count = lines.iter().map(|line| line.values.len()).max().unwrap_or(0);
    let mut floor = vec![0.0; count];
    // The areas are stacked.
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
    let ticks: String = (0..=(most / step).round() as u32)
        .map(|tick| {
            let value = f64::from(tick) * step;
            let (at, label) = (number(y(value)), grouped(value));
            let (right, left, under) = (number(LEFT + WIDTH), number(LEFT - 8.0), number(y(value) + 4.0));
            format!("<path class=\"grid\" d=\"M{LEFT} {at}H{right}\"/><text x=\"{left}\" y=\"{under}\" class=\"name\">{label}</text>")
        })
        .collect();
    let shapes: String = stacked
        .iter()
        .zip(lines)
        .map(|((below, above), line)| {
            let colour = line.colour();
            let (edge, path) = match shape {
                Shape::Events => ("", bars(below, above, x, y)),
                Shape::State | Shape::Spent => (" edge", area(below, above, x, y)),
            };
            format!("<path class=\"c{colour}{edge}\" d=\"{path}\"/>\n")
        })
        .collect();
    let middle = number(TOP + HEIGHT / 2.0);
    let (all, high) = (number(ALL), number(bottom + 40.0));
    format!(
        "<svg viewBox=\"0 0 {all} {high}\" role=\"img\" aria-label=\"{title}, {unit}\">{ticks}{axis}{shapes}\
         <text class=\"tick\" transform=\"translate(70 {middle}) rotate(-90)\">{unit}</text></svg>\n",
        axis = time.axis(TOP, bottom),
        unit = Escaped(unit),
    )
}

/// The outline of an area: steps along the top, and back along the bottom.
fn area(below: &[f64], above: &[f64], x: impl Fn(usize) -> f64, y: impl Fn(f64) -> f64) -> String {
    let Some((first, last)) = above.first().zip(below.last()) else { return String::new() };
    let mut path = format!("M{} {}", number(x(0)), number(y(*first)));
    for (at, (before, after)) in above.iter().zip(above.iter().skip(1)).enumerate() {
        if before != after {
            path += &format!("H{}V{}", number(x(at + 1)), number(y(*after)));
        }
    }
    path += &format!("H{}V{}", number(x(above.len())), number(y(*last)));
    for (at, (before, after)) in below.iter().zip(below.iter().skip(1)).enumerate().rev() {
        if before != after {
            path += &format!("H{}V{}", number(x(at + 1)), number(y(*before)));
        }
    }
    path + &format!("H{}Z", number(x(0)))
}

fn bars(below: &[f64], above: &[f64], x: impl Fn(usize) -> f64, y: impl Fn(f64) -> f64) -> String {
    let bar = |(at, (low, high)): (usize, (&f64, &f64))| {
        (high > low).then(|| {
            let (left, right) = (x(at), (x(at + 1) - 0.3).max(x(at) + 0.5));
            format!(
                "M{} {}H{}V{}H{}Z",
                number(left),
                number(y(*low)),
                number(right),
                number(y(*high)),
                number(left)
            )
        })
    };
    below.iter().zip(above).enumerate().filter_map(bar).collect()
}

fn row(line: &Line, shape: Shape) -> String {
    let colour = line.colour();
    let most = line.values.iter().copied().fold(0.0, f64::max);
    let (most, end) = match shape {
        Shape::State => (most, line.values.last().copied().unwrap_or(0.0)),
        Shape::Events => (most, line.values.iter().sum()),
        Shape::Spent => (most / 1e6, line.values.iter().sum::<f64>() / 1e6),
    };
    format!(
        "<tr><td><svg class=\"swatch\" viewBox=\"0 0 12 12\" aria-hidden=\"true\"><path class=\"c{colour}\" d=\"M0 0H12V12H0Z\"/></svg></td>\
         <td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
        Escaped(&line.name),
        grouped(most),
        grouped(end)
    )
}
