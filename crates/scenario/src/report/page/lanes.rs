//! Two pictures: the timeline, with a lane for each party, and the stays of the devices, with a
//! lane for each device.

use std::collections::BTreeMap;

use super::super::{Device, Entry, Kind, Report, Stay};
use super::axis::{Axis, NARROW, Percent, Time};

const LANE: f64 = 24.0;
/// Maximum number of lanes for parties.
const LANES: usize = 14;
const DEVICES: usize = 24;
/// Marks that are closer than this are merged.
const NEAR: f64 = 6.0;
/// Maximum number of events in the tooltip of a mark.
const NAMED: usize = 12;
/// Width of a character of a label in CSS pixels, and the space before and after the label.
const CHARACTER: f64 = 6.5;
const MARGINS: f64 = 10.0;

/// A picture with a lane for each name.
pub(super) struct Lanes {
    pub(super) title: &'static str,
    pub(super) axis: Axis,
    pub(super) names: Vec<Lane>,
    pub(super) bars: Vec<Bar>,
    pub(super) marks: Vec<Mark>,
}

/// The name of a lane.
pub(super) struct Lane {
    pub(super) y: f64,
    pub(super) name: String,
}

/// The bar of a state or event that lasts for some time. `y` is the middle of the bar.
pub(super) struct Bar {
    pub(super) class: String,
    pub(super) x: Percent,
    pub(super) y: f64,
    pub(super) width: Percent,
    pub(super) height: f64,
    pub(super) title: String,
    pub(super) label: Option<Label>,
}

/// The text in a bar.
pub(super) struct Label {
    pub(super) text: String,
    pub(super) on_wide_screens_only: bool,
}

impl Label {
    /// The first of these texts that fits into a bar of `width` units.
    fn fitting(width: f64, texts: impl IntoIterator<Item = String>) -> Option<Self> {
        let pixels = |text: &String| text.chars().count() as f64 * CHARACTER + MARGINS;
        let text = texts.into_iter().find(|text| pixels(text) <= width)?;
        Some(Self { on_wide_screens_only: pixels(&text) > width * NARROW, text })
    }
}

/// The symbol of one or more events.
pub(super) struct Mark {
    pub(super) kind: &'static str,
    pub(super) x: Percent,
    pub(super) y: f64,
    pub(super) title: String,
}

impl Lanes {
    fn new(title: &'static str, names: Vec<String>, bars: Vec<Bar>, marks: Vec<Mark>, time: Time) -> Self {
        let axis = time.axis(0.0, names.len() as f64 * LANE);
        let lane = |(lane, name): (usize, String)| Lane { y: middle(lane), name };
        Self { title, axis, names: names.into_iter().enumerate().map(lane).collect(), bars, marks }
    }
}

/// The timeline of the parties.
pub(super) fn parties(report: &Report) -> Lanes {
    let time = Time::new(report.begins, report.ended);
    let entries = || report.timeline.entries().iter().filter(|entry| entry.kind != Kind::Expectation);
    let mut names: Vec<String> = Vec::new();
    for entry in entries() {
        if !names.contains(&entry.who) {
            names.push(entry.who.clone());
        }
    }
    let others = names.len().saturating_sub(LANES);
    names.truncate(LANES);
    // Events of the same lane and kind at nearly the same time share a mark.
    let mut shared: BTreeMap<(usize, u32, Kind), Vec<String>> = BTreeMap::new();
    let mut bars = Vec::new();
    for entry in entries() {
        let lane = names.iter().position(|name| *name == entry.who).unwrap_or(names.len());
        let what = format!("{}: {}", lasting(report, entry), report.named(&entry.what));
        shared.entry((lane, (time.of(entry.at) / NEAR) as u32, entry.kind)).or_default().push(what.clone());
        bars.extend(span(lane, entry, time, what));
    }
    let mut marks: Vec<Mark> = shared
        .iter()
        .map(|((lane, place, kind), lines)| mark(*lane, f64::from(*place) * NEAR, kind.name(), lines))
        .collect();
    if others > 0 {
        names.push(format!("{others} others"));
    }
    marks.extend(report.expectations().iter().map(|expectation| {
        let kind = if expectation.passed { "met" } else { "unmet" };
        let at = report.day_and_time(&expectation.at);
        let lines = format!("{at}: {}: {}", report.named(&expectation.text), report.named(&expectation.saw));
        mark(names.len(), time.of(expectation.at), kind, &[lines])
    }));
    if !report.expectations().is_empty() {
        names.push("expectations".to_owned());
    }
    let names = names.iter().map(|name| report.named(name)).collect();
    Lanes::new("Timeline of the parties", names, bars, marks, time)
}

/// The stays of the first devices.
pub(super) fn devices(report: &Report) -> Lanes {
    let time = Time::new(report.begins, report.ended);
    let shown = || report.devices.shown().iter().take(DEVICES);
    let names = shown().map(|device| device.name.clone()).collect();
    let bars = shown().enumerate().flat_map(|(lane, device)| stays(report, lane, device, time)).collect();
    Lanes::new("Stays of the devices", names, bars, Vec::new(), time)
}

fn stays(report: &Report, lane: usize, device: &Device, time: Time) -> Vec<Bar> {
    let stays = device.stays.shown();
    let ends = stays.iter().skip(1).map(|stay| stay.from).chain([report.ended]);
    let bar = |(stay, until): (&Stay, _)| {
        let (left, right) = (time.of(stay.from), time.of(until));
        let (class, on) = match &stay.network {
            None => ("nowhere", "not attached".to_owned()),
            Some(network) if stay.roams => ("roams", format!("roaming on {}", report.network(network))),
            Some(network) if stay.at_home => {
                ("local", format!("on its home network {}", report.network(network)))
            }
            Some(network) => ("local", format!("roaming in its home country on {}", report.network(network))),
        };
        let (from, to) = (report.day_and_time(&stay.from), report.day_and_time(&until));
        Bar {
            class: class.to_owned(),
            x: Percent(left),
            y: middle(lane),
            width: Percent((right - left).max(1.0)),
            height: 16.0,
            title: format!("{} {on}, from {from} to {to}", device.name),
            label: stay.network.and_then(|network| {
                Label::fitting(right - left, [report.network(&network), network.to_string()])
            }),
        }
    };
    stays.iter().zip(ends).map(bar).collect()
}

fn middle(lane: usize) -> f64 {
    (lane as f64 + 0.5) * LANE
}

/// The bar of a lasting event. `None` if the event has no duration, or is shorter than its mark.
fn span(lane: usize, entry: &Entry, time: Time, title: String) -> Option<Bar> {
    let (left, right) = (time.of(entry.at), time.of(entry.until?));
    (right - left >= NEAR).then(|| Bar {
        class: format!("span {}", entry.kind),
        x: Percent(left),
        y: middle(lane),
        width: Percent(right - left),
        height: 8.0,
        title,
        label: None,
    })
}

/// The time of an entry, with its end if it lasts.
fn lasting(report: &Report, entry: &Entry) -> String {
    let until = entry.until.map_or_else(String::new, |until| format!(" to {}", report.day_and_time(&until)));
    report.day_and_time(&entry.at) + &until
}

fn mark(lane: usize, x: f64, kind: &'static str, lines: &[String]) -> Mark {
    let mut title = lines.get(..NAMED).unwrap_or(lines).join("\n");
    if lines.len() > NAMED {
        title += &format!("\nand {} more", lines.len() - NAMED);
    }
    Mark { kind, x: Percent(x), y: middle(lane), title }
}
