//! The report as one self-contained HTML page, without scripts, fonts or network access.
//!
//! The templates are in `templates/` of this crate. This module computes the values that they show.

mod axis;
mod lanes;
mod plot;

use askama::Template;
use fleet::costs::Money;
use rsp::ids::Plmn;
use rsp::time::Timestamp;

use super::{Report, Verdict, printable};
use axis::{Time, WIDTH};
use lanes::Lanes;
use plot::{Palette, Plot, Shape};

/// Maximum number of timeline entries in the table. The JSON report has all entries.
const ENTRIES: usize = 600;
/// Maximum number of devices in the table.
const DEVICES: usize = 100;

#[derive(Template)]
#[template(path = "report.html", whitespace = "minimize")]
struct Page<'a> {
    report: &'a Report,
    parties: Lanes,
    days: Vec<Plot>,
    stays: Lanes,
}

/// A section of the page.
#[derive(Clone, Copy)]
enum Section {
    Expectations,
    Timeline,
    Days,
    Campaigns,
    Faults,
    Refusals,
    Costs,
    Devices,
}

impl Report {
    /// The report as an HTML page. Untrusted text is escaped, and the page forbids scripts and
    /// external resources.
    pub fn page(&self) -> String {
        let page = Page {
            report: self,
            parties: lanes::parties(self),
            days: days(self),
            stays: lanes::devices(self),
        };
        printable(&page.to_string())
    }

    /// A time as the day of the run, the date and the time of day (UTC).
    fn day_and_time(&self, at: &Timestamp) -> String {
        let text = at.to_string();
        let (date, time) = text.split_once('T').unwrap_or((&text, ""));
        let time = time.split(['.', 'Z']).next().unwrap_or_default();
        format!("day {} \u{B7} {date} {time}", self.day(*at))
    }

    /// A network as its name and code, or only its code if it has no name.
    fn network(&self, plmn: &Plmn) -> String {
        self.named(&plmn.to_string())
    }

    /// A text in which the codes of networks are preceded by the names of the networks. A code that
    /// is part of another word, such as the place of a fault, is not changed.
    fn named(&self, text: &str) -> String {
        let begins_word = |before: &str| before.chars().last().is_none_or(|c| " (\"".contains(c));
        let ends_word = |after: &str| after.chars().next().is_none_or(|c| " ,.;:)\"".contains(c));
        let mut named = text.to_owned();
        for (code, name) in self.networks.iter().filter(|(_, name)| !text.contains(name.as_str())) {
            let mut rest = std::mem::take(&mut named);
            while let Some((before, after)) = rest.split_once(code.as_str()) {
                named.push_str(before);
                match begins_word(&named) && ends_word(after) {
                    true => named.push_str(&format!("{name} ({code})")),
                    false => named.push_str(code),
                }
                rest = after.to_owned();
            }
            named.push_str(&rest);
        }
        named
    }
}

impl Section {
    fn id(self) -> &'static str {
        self.names().0
    }

    fn title(self) -> &'static str {
        self.names().1
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Expectations => ("expectations", "Expectations"),
            Self::Timeline => ("timeline", "Timeline"),
            Self::Days => ("days", "Day by day"),
            Self::Campaigns => ("campaigns", "Campaigns"),
            Self::Faults => ("faults", "Faults"),
            Self::Refusals => ("refusals", "Refusals of SM-DP+s"),
            Self::Costs => ("costs", "Costs"),
            Self::Devices => ("devices", "Devices"),
        }
    }
}

impl Page<'_> {
    /// The sections that are not empty.
    fn sections(&self) -> Vec<Section> {
        let report = self.report;
        let costs = &report.costs;
        [
            (Section::Expectations, true),
            (Section::Timeline, !report.timeline.entries().is_empty()),
            (Section::Days, !self.days.is_empty()),
            (Section::Campaigns, !report.campaigns.is_empty()),
            (Section::Faults, !report.faults.is_empty() || !report.never_struck.is_empty()),
            (Section::Refusals, !report.refused.is_empty()),
            (Section::Costs, !costs.by_bearer.is_empty() || costs.visits > 0),
            (Section::Devices, !report.devices.shown().is_empty()),
        ]
        .into_iter()
        .filter_map(|(section, shown)| shown.then_some(section))
        .collect()
    }

    fn passed(&self) -> bool {
        self.report.verdict == Verdict::Passed
    }

    fn verdict(&self) -> &'static str {
        if self.passed() { "passed" } else { "FAILED" }
    }

    /// Number of expectations that were met.
    fn met(&self) -> usize {
        self.report.expectations.iter().filter(|expectation| expectation.passed).count()
    }

    fn duration(&self) -> String {
        let seconds = self.report.ended.since(self.report.begins).as_secs();
        match (seconds / 86_400, seconds % 86_400 / 3600) {
            (0, 0) => format!("{seconds} seconds"),
            (0, hours) => format!("{hours} hours"),
            (days, 0) => format!("{days} days"),
            (days, hours) => format!("{days} days and {hours} hours"),
        }
    }

    /// Descriptions of the timeline entries that are not in the table.
    fn omitted(&self) -> Vec<String> {
        let timeline = &self.report.timeline;
        let of_kind = |(kind, count)| format!("{} of kind {kind}", grouped(count as f64));
        let others = timeline.entries().len().saturating_sub(ENTRIES);
        let others = (others > 0).then(|| format!("{others} that are only in the JSON report"));
        timeline.left_out().map(of_kind).chain(others).collect()
    }
}

fn days(report: &Report) -> Vec<Plot> {
    /// Number of plots that show networks and countries. They are the first plots.
    const OF_PLACES: usize = 3;
    let (days, time) = (&report.days, Time::new(report.begins, report.ended));
    // A network or country has the same colour in all of the first plots. The other plots have their
    // own colours.
    let mut places = Palette::default();
    let currency = match report.costs.currency.as_str() {
        "" => "money so far".to_owned(),
        currency => format!("{currency} so far"),
    };
    [
        ("Devices by network", "devices", Shape::State, &days.devices_by_network),
        ("Devices by operator of the subscription", "devices", Shape::State, &days.devices_by_subscription),
        ("Devices by country", "devices", Shape::State, &days.devices_by_country),
        ("Devices by state in the platform's records", "devices", Shape::State, &days.devices_by_state),
        ("Moves by result", "moves per day", Shape::Events, &days.moves),
        ("Faults that happened", "faults per day", Shape::Events, &days.faults),
        ("Costs by bearer", currency.as_str(), Shape::Spent, &days.spent),
    ]
    .into_iter()
    .enumerate()
    .filter_map(|(number, (title, unit, shape, numbers))| {
        let mut own = Palette::default();
        let palette = if number < OF_PLACES { &mut places } else { &mut own };
        let mut plot = Plot::new(title, unit.to_owned(), shape, numbers, time, palette)?;
        plot.legend.iter_mut().for_each(|row| row.name = report.named(&row.name));
        Some(plot)
    })
    .collect()
}

/// A number with groups of three digits, and only as many decimals as needed.
fn grouped(value: f64) -> String {
    let text = match value {
        value if value >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        value if value >= 0.1 => format!("{value:.2}"),
        value => format!("{value:.4}"),
    };
    group_digits(&text)
}

/// An amount with two decimals and groups of three digits.
fn money(amount: Money) -> String {
    group_digits(&amount.to_string())
}

fn group_digits(text: &str) -> String {
    let (whole, rest) =
        text.split_once('.').map_or((text, String::new()), |(whole, rest)| (whole, format!(".{rest}")));
    let mut grouped = String::new();
    for (left, digit) in (1..=whole.len()).rev().zip(whole.chars()) {
        grouped.push(digit);
        if left > 1 && left % 3 == 1 {
            grouped.push('\u{202F}');
        }
    }
    grouped + &rest
}

/// Filters of the templates.
#[expect(unreachable_pub, reason = "the macro makes the filters public")]
mod filters {
    use std::borrow::Borrow;

    use askama::{Result, Values, filter_fn};
    use fleet::costs::Money;

    use super::grouped;

    /// A count with groups of three digits.
    #[filter_fn]
    pub(super) fn count<T: Borrow<u64>>(value: T, _: &dyn Values) -> Result<String> {
        Ok(grouped(*value.borrow() as f64))
    }

    /// An amount of money with groups of three digits.
    #[filter_fn]
    pub(super) fn amount<T: Borrow<Money>>(value: T, _: &dyn Values) -> Result<String> {
        Ok(super::money(*value.borrow()))
    }
}
