//! `landfall localize`: the localization rules and decisions about a device.

use std::path::PathBuf;

use clap::Subcommand;
use localize::{Country, Decision, Device, Offer, Policy, Rule, RuleBook, RuleKind};
use rsp::time::Timestamp;
use serde::Deserialize;
use world::{Clock, Fault};

use crate::json_schema::{CommandOutput, document};
use crate::output::{Table, print, print_json, remark};

/// Localization rules of countries and carriers, and decisions
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the rules
    Rules {
        /// Country to list [default: all]
        #[arg(long)]
        country: Option<Country>,
        /// File of your own rules, in the format of crates/localize/data/countries.toml
        #[arg(long, value_name = "FILE")]
        rules: Option<PathBuf>,
    },
    /// Decide whether a device has to move, with the reasons
    Decide {
        /// JSON file of the device: `device` (history, held), and optionally `offers` and
        /// `policy`
        file: PathBuf,
        /// Time of the decision, such as 2026-11-21T08:00:00Z [default: now]
        #[arg(long)]
        at: Option<Timestamp>,
        /// File of your own rules, in the format of crates/localize/data/countries.toml
        #[arg(long, value_name = "FILE")]
        rules: Option<PathBuf>,
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
pub(crate) const OUTPUTS: &[CommandOutput] =
    &[document::<Vec<Rule>>("localize rules"), document::<Decision>("localize decide")];

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// A file cannot be read or has invalid contents.
    pub fn run(self, json: bool) -> Result<(), Fault> {
        match self {
            Self::Rules { country, rules } => {
                let book = book(rules)?;
                let shown: Vec<_> = match country {
                    Some(country) => book.rules_in(country).collect(),
                    None => book.rules().iter().collect(),
                };
                if let Some(country) = country.filter(|_| shown.is_empty()) {
                    remark(&format!("there is no rule for {country}: foreign subscriptions may stay"));
                }
                if json {
                    print_json(&shown)?;
                } else {
                    let mut table =
                        Table::new(&["rule", "where", "kind", "limit", "window", "reviewed", "note"]);
                    for rule in shown {
                        let (kind, limit, window) = in_words(&rule.kind);
                        let countries = rule.countries.iter().map(ToString::to_string);
                        let places: Vec<String> =
                            countries.chain(rule.networks.iter().map(ToString::to_string)).collect();
                        table.row([
                            rule.id.to_string(),
                            places.join(" "),
                            kind.to_owned(),
                            limit.map(|days| days.to_string()).unwrap_or_default(),
                            window.map(|days| days.to_string()).unwrap_or_default(),
                            rule.reviewed.to_string(),
                            rule.note.clone().unwrap_or_default(),
                        ]);
                    }
                    print(&table.render())?;
                }
            }
            Self::Decide { file, at, rules } => {
                let book = book(rules)?;
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

/// Returns the kind of a rule in words, its limit and its window, both in the rule's own unit.
fn in_words(kind: &RuleKind) -> (&'static str, Option<u32>, Option<u32>) {
    match *kind {
        RuleKind::Banned => ("banned", None, None),
        RuleKind::ConsecutiveDays { limit_days } => ("days in a row", Some(limit_days), None),
        RuleKind::DaysInPeriod { limit_days, window_days } => {
            ("days in a period", Some(limit_days), Some(window_days))
        }
        RuleKind::RoamingMonthsInPeriod { limit_months, window_months } => {
            ("months in a period", Some(limit_months), Some(window_months))
        }
        RuleKind::ImeiRegistration { limit_days, window_days } => {
            ("IMEI registration", Some(limit_days), window_days)
        }
        RuleKind::LocalPresence { limit_days, window_days } => ("local presence", limit_days, window_days),
        RuleKind::ShareOfRoaming { max_percent, window_days } => {
            ("percent of devices", Some(max_percent), Some(window_days))
        }
        RuleKind::DeviceCount { max_devices, window_days } => {
            ("number of devices", Some(max_devices), Some(window_days))
        }
        RuleKind::CarrierTerms { limit_days, window_days } => ("carrier terms", limit_days, window_days),
        RuleKind::Permissive => ("permissive", None, None),
    }
}

/// Returns the rules of a file, or the built-in rules.
///
/// # Errors
/// The file cannot be read, or a rule in it is invalid.
pub(crate) fn book(file: Option<PathBuf>) -> Result<RuleBook, Fault> {
    let Some(file) = file else {
        return RuleBook::built_in()
            .map_err(|e| Fault::caused_by(e, "cannot use the built-in country rules", "report this"));
    };
    RuleBook::parse(&crate::files::read_text(&file)?).map_err(|e| {
        Fault::usage_caused_by(
            e,
            format!("cannot use the rules in {}", file.display()),
            "correct the rule that is named",
        )
    })
}
