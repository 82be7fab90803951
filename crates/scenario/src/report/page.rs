//! The report as one self-contained HTML page, without scripts, fonts or network access.

mod axis;
mod lanes;
mod plot;

use std::collections::BTreeMap;

use rsp::time::Timestamp;

use super::escape::Escaped;
use super::{Campaign, Device, Report, Times, Verdict};
use plot::{Palette, Shape, plot};

/// Maximum number of timeline entries in the table. The JSON report has all entries.
const ENTRIES: usize = 600;
/// Maximum number of devices in the table.
const DEVICES: usize = 100;

impl Report {
    /// The report as an HTML page. Untrusted text is escaped, and the page forbids scripts and
    /// external resources.
    pub fn page(&self) -> String {
        let sections = [
            ("expectations", "Expectations", expectations(self)),
            ("timeline", "Timeline", timeline(self)),
            ("days", "Day by day", days(self)),
            (
                "campaigns",
                "Campaigns",
                self.campaigns.iter().map(|campaign| of_campaign(self, campaign)).collect(),
            ),
            ("faults", "Faults", faults(self)),
            ("refusals", "Refusals of SM-DP+s", refusals(self)),
            ("costs", "Costs", costs(self)),
            ("devices", "Devices", devices(self)),
        ];
        let sections = sections.iter().filter(|(_, _, body)| !body.is_empty());
        let links: String =
            sections.clone().map(|(id, title, _)| format!("<a href=\"#{id}\">{title}</a>\n")).collect();
        let bodies: String = sections
            .map(|(id, title, body)| format!("<section id=\"{id}\"><h2>{title}</h2>\n{body}</section>\n"))
            .collect();
        let (verdict, _, _) = verdict(self);
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{verdict}: {title}</title>\n\
             <style>\n{style}</style>\n</head>\n<body>\n{marks}{head}<nav>{links}</nav>\n{bodies}</body>\n</html>\n",
            title = Escaped(&self.scenario.title),
            style = include_str!("page/style.css"),
            marks = lanes::MARKS,
            head = head(self),
        )
    }
}

fn verdict(report: &Report) -> (&'static str, &'static str, &'static str) {
    match report.verdict() {
        Verdict::Passed => ("passed", "good", "\u{2713}"),
        Verdict::Failed => ("FAILED", "bad", "\u{2717}"),
    }
}

fn head(report: &Report) -> String {
    let (verdict, class, sign) = verdict(report);
    let met = report.expectations().iter().filter(|expectation| expectation.passed).count();
    let scenario = &report.scenario;
    format!(
        "<header><h1>{title}</h1>\n<p class=\"verdict {class}\">{sign} {verdict}: {met} of {all} expectations met</p>\n\
         <p class=\"about\">{about}</p>\n<dl><dt>time in the run</dt><dd>{begins} to {ended}, {long}{live}</dd>\
         <dt>devices</dt><dd>{devices}</dd><dt>command</dt><dd><code>{again}</code></dd></dl></header>\n",
        title = Escaped(&scenario.title),
        all = report.expectations().len(),
        about = Escaped(&scenario.about),
        begins = report.begins,
        ended = report.ended,
        long = long(report),
        live = Escaped(&report.live.as_ref().map_or_else(String::new, |live| format!(", {}", live.words()))),
        devices = grouped(report.devices.count() as f64),
        again = Escaped(&report.again()),
    )
}

fn long(report: &Report) -> String {
    let seconds = report.ended.since(report.begins).as_secs();
    match (seconds / 86_400, seconds % 86_400 / 3600) {
        (0, 0) => format!("{seconds} seconds"),
        (0, hours) => format!("{hours} hours"),
        (days, 0) => format!("{days} days"),
        (days, hours) => format!("{days} days and {hours} hours"),
    }
}

/// A time as day and time of day since the start of the run.
fn when(report: &Report, at: Timestamp) -> String {
    let seconds = at.since(report.begins).as_secs();
    let (hours, minutes, rest) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("day {}, {hours:02}:{minutes:02}:{rest:02}", seconds / 86_400)
}

fn time(report: &Report, at: Timestamp) -> String {
    format!("<time datetime=\"{at}\" title=\"{at}\">{}</time>", when(report, at))
}

/// A number with groups of three digits, and only as many decimals as needed.
fn grouped(value: f64) -> String {
    let text = match value {
        value if value >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        value if value >= 0.1 => format!("{value:.2}"),
        value => format!("{value:.4}"),
    };
    let (whole, rest) = text
        .split_once('.')
        .map_or((text.as_str(), String::new()), |(whole, rest)| (whole, format!(".{rest}")));
    let mut grouped = String::new();
    for (left, digit) in (1..=whole.len()).rev().zip(whole.chars()) {
        grouped.push(digit);
        if left > 1 && left % 3 == 1 {
            grouped.push('\u{202F}');
        }
    }
    grouped + &rest
}

fn short(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest.saturating_sub(1)).chain(['\u{2026}']).collect()
}

fn table(heading: &str, rows: &str) -> String {
    format!(
        "<div class=\"wide\"><table><thead><tr>{heading}</tr></thead><tbody>\n{rows}</tbody></table></div>\n"
    )
}

fn expectations(report: &Report) -> String {
    let row = |expectation: &super::Expectation| {
        let (class, sign) =
            if expectation.passed { ("good", "\u{2713} met") } else { ("bad", "\u{2717} not met") };
        format!(
            "<tr><td class=\"t {class}\">{sign}</td><td>{}</td><td class=\"saw\">{}</td><td class=\"t\">{}</td><td class=\"n\">{}</td></tr>\n",
            Escaped(&expectation.text),
            Escaped(&expectation.saw),
            time(report, expectation.at),
            expectation.line.map(|line| line.to_string()).unwrap_or_default()
        )
    };
    let rows: String = report.expectations().iter().map(row).collect();
    if rows.is_empty() {
        return "<p>None. This run tests nothing.</p>\n".to_owned();
    }
    table("<th></th><th>expected</th><th>seen</th><th>when</th><th class=\"n\">line</th>", &rows)
}

fn timeline(report: &Report) -> String {
    let entries = report.timeline.entries();
    if entries.is_empty() {
        return String::new();
    }
    let row = |entry: &super::Entry| {
        let until = entry.until.map(|until| format!("<br>to {}", time(report, until))).unwrap_or_default();
        let (at, who, what) = (time(report, entry.at), Escaped(&entry.who), Escaped(&entry.what));
        format!(
            "<tr><td class=\"t\">{at}{until}</td><td>{}</td><td>{who}</td><td>{what}</td></tr>\n",
            entry.kind
        )
    };
    let rows: String = entries.iter().take(ENTRIES).map(row).collect();
    let mut left_out: Vec<String> = report
        .timeline
        .left_out()
        .map(|(kind, count)| format!("{} of kind {kind}", grouped(count as f64)))
        .collect();
    if entries.len() > ENTRIES {
        left_out.push(format!("{} that are only in the JSON report", entries.len() - ENTRIES));
    }
    let left_out = match left_out.is_empty() {
        true => String::new(),
        false => format!("<p class=\"quiet\">Omitted: {}.</p>\n", left_out.join(", ")),
    };
    let heading = "<th>when</th><th>kind</th><th>who</th><th>what</th>";
    format!(
        "{}<details><summary>As text</summary>\n{}</details>\n{left_out}",
        lanes::parties(report),
        table(heading, &rows)
    )
}

fn days(report: &Report) -> String {
    /// Number of plots, the first ones, that show networks and countries.
    const OF_PLACES: usize = 3;
    let (days, time) = (&report.days, (report.begins, report.ended));
    // A network or country has the same colour in these plots. The other plots have separate names.
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
    .map(|(number, (title, unit, shape, numbers))| {
        let mut own = Palette::default();
        let palette = if number < OF_PLACES { &mut places } else { &mut own };
        plot(title, unit, shape, numbers, time, palette)
    })
    .collect()
}

fn of_campaign(report: &Report, campaign: &Campaign) -> String {
    let Campaign { name, target, terms, state, why, began, ended, .. } = campaign;
    let Campaign { devices, results, canaries, failures, .. } = campaign;
    let at = |at: &Option<Timestamp>| at.map_or("never".to_owned(), |at| time(report, at));
    let why = why.as_ref().map(|why| format!(": {}", Escaped(why))).unwrap_or_default();
    let term = |(key, words): (&String, &String)| {
        format!("<dt>{}</dt><dd>{}</dd>", Escaped(&key.replace('_', " ")), Escaped(words))
    };
    let terms: String = terms.iter().map(term).collect();
    let results: Vec<String> = results
        .iter()
        .map(|(result, count)| format!("{} {}", grouped(*count as f64), Escaped(result)))
        .collect();
    let rows: String = failures
        .shown()
        .iter()
        .map(|failure| {
            let (device, result, why) =
                (Escaped(&failure.device), Escaped(&failure.result), Escaped(&failure.why));
            format!("<tr><td>{device}</td><td>{result}</td><td>{why}</td></tr>\n")
        })
        .collect();
    let first = match canaries.count() {
        0 => String::new(),
        _ => {
            let names: Vec<_> = canaries.shown().iter().map(|name| Escaped(name).to_string()).collect();
            format!("<dt>canary devices</dt><dd>{}{}</dd>", names.join(", "), more(canaries.left_out()))
        }
    };
    let failed = match failures.count() {
        0 => String::new(),
        count => format!(
            "<details><summary>{} did not move{}</summary>\n{}</details>\n",
            grouped(count as f64),
            more(failures.left_out()),
            table("<th>device</th><th>result</th><th>why</th>", &rows)
        ),
    };
    format!(
        "<h3>{}</h3>\n<dl><dt>target</dt><dd>{}</dd>{terms}<dt>state</dt><dd>{}{why}</dd><dt>began</dt><dd>{}</dd><dt>ended</dt><dd>{}</dd>\
         <dt>devices</dt><dd>{}: {}</dd>{first}</dl>\n{failed}",
        Escaped(name),
        Escaped(target),
        Escaped(state),
        at(began),
        at(ended),
        grouped(*devices as f64),
        results.join(", "),
    )
}

fn more(left_out: u64) -> String {
    if left_out == 0 { String::new() } else { format!(", {} of them not listed", grouped(left_out as f64)) }
}

fn faults(report: &Report) -> String {
    let never = |name: &String| format!("<p>Never happened: <code>{}</code></p>\n", Escaped(name));
    let never: String = report.never_struck.iter().map(never).collect();
    times(report, "<th>fault</th><th class=\"n\">times</th>", &report.faults) + &never
}

fn refusals(report: &Report) -> String {
    times(report, "<th>refused</th><th class=\"n\">times</th>", &report.refused)
}

/// A table of counted items, with their first and last time.
fn times(report: &Report, head: &str, all: &BTreeMap<String, Times>) -> String {
    let row = |(name, Times { times, first, last }): (&String, &Times)| {
        format!(
            "<tr><td><code>{}</code></td><td class=\"n\">{}</td><td class=\"t\">{}</td><td class=\"t\">{}</td></tr>\n",
            Escaped(name),
            grouped(*times as f64),
            time(report, *first),
            time(report, *last)
        )
    };
    let rows: String = all.iter().map(row).collect();
    if rows.is_empty() { rows } else { table(&format!("{head}<th>first</th><th>last</th>"), &rows) }
}

fn costs(report: &Report) -> String {
    let costs = &report.costs;
    if costs.by_bearer.is_empty() && costs.visits == 0 {
        return String::new();
    }
    let money = |money: fleet::costs::Money| grouped(money.0 as f64 / 1e6);
    let mut rows: String = costs
        .by_bearer
        .iter()
        .map(|(bearer, spent)| {
            let (octets, messages) = (grouped(spent.octets as f64), grouped(spent.messages as f64));
            let (bearer, money) = (Escaped(bearer), money(spent.money));
            format!("<tr><td>{bearer}</td><td class=\"n\">{octets}</td><td class=\"n\">{messages}</td><td class=\"n\">{money}</td></tr>\n")
        })
        .collect();
    let visits = grouped(costs.visits as f64);
    rows += &format!(
        "<tr><td>visits: {visits}</td><td></td><td></td><td class=\"n\">{}</td></tr>\n\
         <tr><td>total</td><td></td><td></td><td class=\"n\">{}</td></tr>\n",
        money(costs.visits_money),
        money(costs.total())
    );
    let heading = "<th>over</th><th class=\"n\">octets</th><th class=\"n\">short messages</th>";
    table(&format!("{heading}<th class=\"n\">{}</th>", Escaped(&costs.currency)), &rows)
}

fn devices(report: &Report) -> String {
    let row = |device: &Device| {
        let on = device.network.map_or("not attached".to_owned(), |network| network.to_string());
        let enabled = device.enabled.map_or("none".to_owned(), |iccid| iccid.to_string());
        format!(
            "<tr><td>{}</td><td>{on}</td><td>{enabled}</td><td class=\"n\">{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td><code>{}</code></td></tr>\n",
            Escaped(&device.name),
            device.profiles,
            Escaped(&device.state),
            device.moves,
            device.came_back,
            device.eid
        )
    };
    let shown = report.devices.shown().get(..DEVICES).unwrap_or(report.devices.shown());
    if shown.is_empty() {
        return String::new();
    }
    let rows: String = shown.iter().map(row).collect();
    let heading = "<th>device</th><th>on</th><th>enabled profile</th><th class=\"n\">profiles</th><th>state</th><th class=\"n\">moved</th>\
                   <th class=\"n\">came back</th><th>EID</th>";
    let left_out = match report.devices.count() - shown.len() as u64 {
        0 => String::new(),
        count => format!("<p class=\"quiet\">{} more devices.</p>\n", grouped(count as f64)),
    };
    format!("{}{}{left_out}", lanes::devices(report), table(heading, &rows))
}
