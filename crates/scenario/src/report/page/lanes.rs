//! The timeline as a picture, with a lane for each party, and the stays of the devices, with a lane
//! for each device.

use std::collections::BTreeMap;

use super::super::{Device, Entry, Kind, Report, escape::Escaped};
use super::axis::{ALL, LEFT, Time, number};
use super::{short, when};

const LANE: f64 = 24.0;
/// Maximum number of lanes for parties.
const LANES: usize = 14;
const DEVICES: usize = 24;
/// Marks that are closer than this are merged.
const NEAR: f64 = 6.0;
/// Maximum number of events in the tooltip of a mark.
const NAMED: usize = 12;
/// Maximum number of characters of a lane's name. The tooltip has the full name.
const LONGEST: usize = 22;

/// Draws the timeline of the parties.
pub(super) fn parties(report: &Report) -> String {
    let time = Time::new(report.begins, report.ended);
    let mut lanes: Vec<&str> = Vec::new();
    for entry in report.timeline.entries().iter().filter(|entry| entry.kind != Kind::Expectation) {
        if !lanes.contains(&entry.who.as_str()) {
            lanes.push(&entry.who);
        }
    }
    let others = lanes.len().saturating_sub(LANES);
    lanes.truncate(LANES);
    let lane_of = |who: &str| lanes.iter().position(|lane| *lane == who).unwrap_or(lanes.len());
    // Events of the same lane and kind at nearly the same time share a mark.
    let mut marks: BTreeMap<(usize, u32, Kind), Vec<String>> = BTreeMap::new();
    let mut drawn = String::new();
    for entry in report.timeline.entries().iter().filter(|entry| entry.kind != Kind::Expectation) {
        let place = (time.of(entry.at) / NEAR) as u32;
        let lane = lane_of(&entry.who);
        drawn += &span(report, lane, entry, time);
        let what = format!("{}: {}", lasting(report, entry), entry.what);
        marks.entry((lane, place, entry.kind)).or_default().push(what);
    }
    let mut names: Vec<String> = lanes.iter().map(|lane| (*lane).to_owned()).collect();
    if others > 0 {
        names.push(format!("{others} others"));
    }
    for ((lane, place, kind), told) in &marks {
        drawn += &mark(*lane, f64::from(*place) * NEAR, kind.name(), told);
    }
    for expectation in report.expectations() {
        let kind = if expectation.passed { "met" } else { "unmet" };
        let told = format!("{}: {}: {}", when(report, expectation.at), expectation.text, expectation.saw);
        drawn += &mark(names.len(), time.of(expectation.at), kind, &[told]);
    }
    if !report.expectations().is_empty() {
        names.push("expectations".to_owned());
    }
    picture("Timeline of the parties", &names, &drawn, time) + KEY
}

/// Draws the stays of the first devices.
pub(super) fn devices(report: &Report) -> String {
    let time = Time::new(report.begins, report.ended);
    let shown = report.devices.shown().get(..DEVICES).unwrap_or(report.devices.shown());
    if shown.is_empty() {
        return String::new();
    }
    let names: Vec<String> = shown.iter().map(|device| device.name.clone()).collect();
    let drawn: String =
        shown.iter().enumerate().map(|(lane, device)| bars(report, lane, device, time)).collect();
    picture("Stays of the devices", &names, &drawn, time) + STAYS
}

fn bars(report: &Report, lane: usize, device: &Device, time: Time) -> String {
    let stays = device.stays.shown();
    let ends = stays.iter().skip(1).map(|stay| stay.from).chain([report.ended]);
    let bar = |(stay, until): (&super::super::Stay, _)| {
        let (left, right) = (time.of(stay.from), time.of(until));
        let (class, on) = match &stay.network {
            None => ("nowhere", "not attached".to_owned()),
            Some(network) if stay.roams => ("roams", format!("roaming on {network}")),
            Some(network) if stay.at_home => ("local", format!("on its home network {network}")),
            Some(network) => ("local", format!("roaming in its home country on {network}")),
        };
        let label = match &stay.network {
            Some(network) if right - left > 60.0 => {
                let (x, y) = (number(left + 5.0), number(middle(lane) + 4.0));
                format!("<text x=\"{x}\" y=\"{y}\" class=\"on\">{network}</text>")
            }
            _ => String::new(),
        };
        format!(
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"16\"><title>{} {on}, from {} to {}</title></rect>{label}\n",
            number(left),
            number(middle(lane) - 8.0),
            number((right - left).max(1.0)),
            Escaped(&device.name),
            when(report, stay.from),
            when(report, until)
        )
    };
    stays.iter().zip(ends).map(bar).collect()
}

fn middle(lane: usize) -> f64 {
    (lane as f64 + 0.5) * LANE
}

/// Draws a lasting event. Empty if the event has no duration, or is shorter than its mark.
fn span(report: &Report, lane: usize, entry: &Entry, time: Time) -> String {
    let Some(until) = entry.until else { return String::new() };
    let (left, right) = (time.of(entry.at), time.of(until));
    if right - left < NEAR {
        return String::new();
    }
    let (x, y, width) = (number(left), number(middle(lane) - 4.0), number(right - left));
    format!(
        "<rect class=\"span {}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"8\"><title>{}: {}</title></rect>\n",
        entry.kind,
        lasting(report, entry),
        Escaped(&entry.what)
    )
}

/// The time of an entry, with its end if it lasts.
pub(super) fn lasting(report: &Report, entry: &Entry) -> String {
    let until = entry.until.map_or_else(String::new, |until| format!(" to {}", when(report, until)));
    when(report, entry.at) + &until
}

fn mark(lane: usize, x: f64, kind: &str, told: &[String]) -> String {
    let mut title = told.get(..NAMED).unwrap_or(told).join("\n");
    if told.len() > NAMED {
        title += &format!("\nand {} more", told.len() - NAMED);
    }
    let (x, y) = (number(x), number(middle(lane)));
    format!("<use href=\"#{kind}\" x=\"{x}\" y=\"{y}\"><title>{}</title></use>\n", Escaped(&title))
}

fn picture(title: &str, names: &[String], drawn: &str, time: Time) -> String {
    let bottom = names.len() as f64 * LANE;
    let (left, right) = (number(LEFT - 8.0), number(ALL - 30.0));
    let lanes: String = names
        .iter()
        .enumerate()
        .map(|(lane, name)| {
            let (y, under) = (number(middle(lane)), number(middle(lane) + 4.0));
            format!(
                "<path class=\"grid\" d=\"M{LEFT} {y}H{right}\"/><text x=\"{left}\" y=\"{under}\" class=\"name\">\
                 <title>{}</title>{}</text>",
                Escaped(name),
                Escaped(&short(name, LONGEST))
            )
        })
        .collect();
    let (all, high) = (number(ALL), number(bottom + 40.0));
    let axis = time.axis(0.0, bottom);
    format!(
        "<svg viewBox=\"0 0 {all} {high}\" role=\"img\" aria-label=\"{title}\">{axis}{lanes}\n{drawn}</svg>\n"
    )
}

/// The symbols of the marks, defined once for the whole page.
pub(super) const MARKS: &str = r##"<svg width="0" height="0" aria-hidden="true"><defs>
<path id="step" class="c0" d="M-5 -5H5V5H-5Z"/>
<path id="fault" class="x5" d="M-5 -5L5 5M-5 5L5 -5"/>
<path id="world" class="c2" d="M0 -6L6 5H-6Z"/>
<path id="campaign" class="c3" d="M0 -7L7 0L0 7L-7 0Z"/>
<circle id="moved" class="c4" r="5"/>
<circle id="failed" class="x5" r="5"/>
<circle id="device" class="c7" r="4"/>
<path id="server" class="c1" d="M-6 -6H6V-1H-6ZM-6 1H6V6H-6Z"/>
<path id="met" class="x2" d="M-6 0L-2 5L6 -5"/>
<path id="unmet" class="x5" d="M-6 -6L6 6M-6 6L6 -6M0 -8V8M-8 0H8"/>
<pattern id="stripes" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path class="c1" d="M0 0H6V6H0Z"/><path class="stripe" d="M0 0V6"/></pattern>
</defs></svg>
"##;

/// The legend of the marks.
const KEY: &str = r##"<p class="key">
<span><svg viewBox="-8 -8 16 16"><use href="#step"/></svg>step</span>
<span><svg viewBox="-8 -8 16 16"><use href="#fault"/></svg>fault</span>
<span><svg viewBox="-8 -8 16 16"><use href="#world"/></svg>world</span>
<span><svg viewBox="-8 -8 16 16"><use href="#campaign"/></svg>campaign</span>
<span><svg viewBox="-8 -8 16 16"><use href="#moved"/></svg>moved</span>
<span><svg viewBox="-8 -8 16 16"><use href="#failed"/></svg>returned or did not move</span>
<span><svg viewBox="-8 -8 16 16"><use href="#device"/></svg>device</span>
<span><svg viewBox="-8 -8 16 16"><use href="#server"/></svg>server</span>
<span><svg viewBox="-8 -8 16 16"><path class="span world" d="M-8 -4H8V4H-8Z"/></svg>duration</span>
<span><svg viewBox="-8 -8 16 16"><use href="#met"/></svg>as expected</span>
<span><svg viewBox="-8 -8 16 16"><use href="#unmet"/></svg>not as expected</span>
</p>
"##;

const STAYS: &str = r##"<p class="key">
<span><svg viewBox="0 0 16 16"><rect class="local" width="16" height="16"/></svg>in the home country of its profile</span>
<span><svg viewBox="0 0 16 16"><rect class="roams" width="16" height="16"/></svg>roaming</span>
<span><svg viewBox="0 0 16 16"><rect class="nowhere" y="6" width="16" height="4"/></svg>not attached</span>
</p>
"##;
