//! `landfall localize`: the localization rules and decisions about a device.

pub(crate) mod update;

use std::path::{Path, PathBuf};

use clap::{Subcommand, builder::PossibleValuesParser};
use localize::{
    ALERT_DAYS, Alert, BUILT_IN_RULES, Country, Day, Decision, Device, Event, Offer, Policy, Rule, RuleBook,
    RuleKind, TEMPLATES,
};
use rsp::time::Timestamp;
use serde::Deserialize;
use world::{Clock, Fault};

use crate::json_schema::{CommandOutput, document};
use crate::output::{Table, print, print_document, print_json, remark};
use crate::settings::Settings;

/// Localization rules of countries and carriers, and decisions
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the rules, update them, list their next dates, or print a template
    #[command(args_conflicts_with_subcommands = true)]
    Rules {
        /// Country to list [default: all]
        #[arg(long)]
        country: Option<Country>,
        /// File of rules, in the format of crates/localize/data/countries.toml [default:
        /// localization-rules.toml in the data folder, or the built-in rules]
        #[arg(long, value_name = "FILE")]
        rules: Option<PathBuf>,
        /// Another command about the rules
        #[command(subcommand)]
        action: Option<RulesCommand>,
    },
    /// Decide whether a device has to move, with the reasons
    Decide {
        /// JSON file of the device: `device` (history, held), and optionally `offers` and
        /// `policy`
        file: PathBuf,
        /// Time of the decision, such as 2026-11-21T08:00:00Z [default: now]
        #[arg(long)]
        at: Option<Timestamp>,
        /// File of rules, in the format of crates/localize/data/countries.toml [default:
        /// localization-rules.toml in the data folder, or the built-in rules]
        #[arg(long, value_name = "FILE")]
        rules: Option<PathBuf>,
    },
}

/// Commands about the rules
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// Replace the rules of the data folder or of a running platform, after a check; print the
    /// differences and the effect on the fleet
    Update(update::Update),
    /// List the dates on which rules take effect or end
    Alerts {
        /// Maximum days until the date
        #[arg(long, value_name = "DAYS", default_value_t = ALERT_DAYS)]
        within: u32,
        /// Time of the query, such as 2026-11-21T08:00:00Z [default: now]
        #[arg(long)]
        at: Option<Timestamp>,
        /// File of rules, in the format of crates/localize/data/countries.toml [default:
        /// localization-rules.toml in the data folder, or the built-in rules]
        #[arg(long, value_name = "FILE")]
        rules: Option<PathBuf>,
    },
    /// Print a template of rules, to be filled in by the owner
    Template {
        /// Name of the template
        #[arg(value_parser = PossibleValuesParser::new(TEMPLATES.iter().map(|(name, _)| *name)))]
        name: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    device: Device,
    #[serde(default)]
    offers: Vec<Offer>,
    #[serde(default)]
    policy: Policy,
}

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] = &[
    document::<Vec<Rule>>("localize rules"),
    document::<fleet::answers::RulesUpdate>("localize rules update"),
    document::<Vec<Alert>>("localize rules alerts"),
    document::<&str>("localize rules template"),
    document::<Decision>("localize decide"),
];

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// A file cannot be read or has invalid contents.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        match self {
            Self::Rules { action: Some(RulesCommand::Update(update)), .. } => {
                update.run(settings, json).await?;
            }
            Self::Rules { action: Some(RulesCommand::Alerts { within, at, rules }), .. } => {
                let book = book(rules.as_deref(), settings)?;
                let alerts = book.alerts(Day::of(at.unwrap_or_else(|| net::OsClock.now())), within);
                if json {
                    print_json(&alerts)?;
                } else {
                    let lines: Vec<String> = alerts.iter().map(|alert| format!("{alert}\n")).collect();
                    print(&lines.concat())?;
                }
            }
            Self::Rules { action: Some(RulesCommand::Template { name }), .. } => {
                let template = TEMPLATES.iter().find(|(known, _)| *known == name);
                let text = template.map(|(_, text)| *text).unwrap_or_default();
                if json { print_json(&text)? } else { print_document(text)? }
            }
            Self::Rules { country, rules, action: None } => {
                let book = book(rules.as_deref(), settings)?;
                let shown: Vec<_> = match country {
                    Some(country) => book.rules_in(country).collect(),
                    None => book.rules().iter().collect(),
                };
                if let Some(country) = country.filter(|_| shown.is_empty()) {
                    remark(&format!("there is no rule for {country}: foreign subscriptions may stay"));
                }
                warn_of_dates(&book, net::OsClock.now());
                if json { print_json(&shown)? } else { print(&table(&shown))? }
            }
            Self::Decide { file, at, rules } => {
                let book = book(rules.as_deref(), settings)?;
                let question: Question = serde_json::from_slice(&crate::files::read(&file)?).map_err(|e| {
                    Fault::usage_caused_by(
                        e,
                        format!("{} does not describe a device", file.display()),
                        "correct it; the timeline of `landfall demo --json` contains examples, and the documentation of the crate `localize` describes the fields",
                    )
                })?;
                let now = at.unwrap_or_else(|| net::OsClock.now());
                let decision =
                    localize::decide(now, &question.device, &question.offers, &book, &question.policy);
                if json {
                    print_json(&decision)?;
                } else {
                    print(&format!("{}\n", decision.to_string().trim_end()))?;
                }
            }
        }
        Ok(())
    }
}

fn table(rules: &[&Rule]) -> String {
    let mut table = Table::new(&[
        "rule",
        "where",
        "kind",
        "limit",
        "window",
        "unless",
        "consequence",
        "in force",
        "confidence",
        "reviewed",
    ]);
    for rule in rules {
        let (kind, limit, window) = in_words(&rule.kind);
        let limits = rule.kind.limit().is_some();
        let countries = rule.countries.iter().map(ToString::to_string);
        let places: Vec<String> = countries.chain(rule.networks.iter().map(ToString::to_string)).collect();
        let requires: Vec<String> = rule.requires.iter().map(ToString::to_string).collect();
        table.row([
            rule.id.to_string(),
            places.join(" "),
            kind.to_owned(),
            limit.map(|days| days.to_string()).unwrap_or_default(),
            window.map(|days| days.to_string()).unwrap_or_default(),
            requires.join(" and "),
            Some(rule.consequence.to_string()).filter(|_| limits).unwrap_or_default(),
            rule.effective.map(|day| day.to_string()).unwrap_or_default(),
            rule.confidence.to_string(),
            rule.reviewed.to_string(),
        ]);
    }
    table.render()
}

/// Returns the kind of a rule in words, its limit and its window, both in the rule's own unit.
fn in_words(kind: &RuleKind) -> (&'static str, Option<u32>, Option<u32>) {
    let limit = kind.limit().map(|limit| limit.limit);
    let window = kind.limit().and_then(|limit| limit.window);
    let words = match *kind {
        RuleKind::Banned => return ("banned", None, None),
        RuleKind::ConsecutiveDays { .. } => "days in a row",
        RuleKind::DaysInPeriod { .. } => "days in a period",
        RuleKind::DaysSince { event: Event::Arrival, .. } => "days since arrival",
        RuleKind::DaysSince { event: Event::ChangeOfOwner, .. } => "days since change of owner",
        RuleKind::DaysSince { event: Event::SwapRequest, .. } => "days since request for a swap",
        RuleKind::RoamingMonthsInPeriod { .. } => "months in a period",
        RuleKind::ShareOfRoaming { .. } => "percent of devices",
        RuleKind::DeviceCount { .. } => "number of devices",
        RuleKind::CarrierTerms => "carrier terms",
        RuleKind::Permissive => "permissive",
    };
    (words, limit, window)
}

/// Prints a warning for each date of a rule within the next [`ALERT_DAYS`].
pub(crate) fn warn_of_dates(book: &RuleBook, now: Timestamp) {
    for alert in book.alerts(Day::of(now), ALERT_DAYS) {
        remark(&alert.to_string());
    }
}

/// Returns the path of the rules that replace the built-in ones.
pub(crate) fn installed(settings: &Settings) -> PathBuf {
    settings.data_dir.join("localization-rules.toml")
}

/// Returns the text of the rules: those of the given file, or else those of the data folder, or
/// else the built-in ones.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn rules_text(file: Option<&Path>, settings: &Settings) -> Result<String, Fault> {
    let installed = installed(settings);
    match file.or_else(|| Some(installed.as_path()).filter(|file| file.exists())) {
        Some(file) => crate::files::read_text(file),
        None => Ok(BUILT_IN_RULES.to_owned()),
    }
}

/// Returns the rules of the given file, or else those of the data folder, or else the built-in
/// ones.
///
/// # Errors
/// The file cannot be read, or a rule in it is invalid.
pub(crate) fn book(file: Option<&Path>, settings: &Settings) -> Result<RuleBook, Fault> {
    let installed = installed(settings);
    RuleBook::parse(&rules_text(file, settings)?).map_err(|error| {
        let file = file.unwrap_or(&installed);
        Fault::usage(format!("cannot use the rules in {}", file.display()), error.why(), error.next)
    })
}
