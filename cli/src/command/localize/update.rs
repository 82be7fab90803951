//! `landfall localize rules update`: a new file of rules, its differences, and its effect on the
//! fleet.

use std::{
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::Args;
use fleet::{
    EvaluatedFleet, Fleet, Selection,
    answers::{WhatIf, what_if},
};
use localize::{Alert, Day, RuleBook, RulesDiff};
use schemars::JsonSchema;
use serde::Serialize;
use world::{Fault, FaultKind};

use super::{ALERT_DAYS, installed};
use crate::{
    command::fleet::{
        query::{self, QueryArguments},
        tables,
    },
    files,
    output::{print, print_json, remark},
    settings::Settings,
};

/// Replace the rules of the data folder, after a check; print the differences and the effect on
/// the fleet
#[derive(Args, Debug)]
pub struct Update {
    /// File of the new rules, in the format of crates/localize/data/countries.toml; they replace
    /// all present rules
    file: PathBuf,
    /// Print the differences and the effect without replacing anything
    #[arg(long)]
    dry_run: bool,
    /// Time, present rules and owner file of the comparison
    #[command(flatten)]
    query: QueryArguments,
}

/// The result of an update.
#[derive(JsonSchema, Serialize)]
pub(super) struct Updated {
    /// True if the rules were replaced.
    replaced: bool,
    /// The differences.
    diff: RulesDiff,
    /// The devices for which the new rules give another result; null without a fleet.
    effect: Option<WhatIf>,
    /// Dates of the new rules that are near.
    alerts: Vec<Alert>,
}

impl Update {
    /// Runs the command.
    ///
    /// # Errors
    /// The new file is invalid, or a file or the records cannot be read or written. The present
    /// rules then remain.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let text = files::read_text(&self.file)?;
        let book = RuleBook::parse(&text).map_err(|error| {
            let what = format!("cannot use the rules in {}; the present rules remain", self.file.display());
            Fault::usage(what, error.why(), error.next)
        })?;
        let query = self.query.read(settings)?;
        let diff = RulesDiff::between(&query.book, &book);
        let alerts = book.alerts(Day::of(query.now), ALERT_DAYS);
        let book = query.with_test_networks(book)?;
        let effect = match query::load(settings).await {
            Ok(fleet) => Some(effect(&fleet, &query, &book)),
            Err(fault) if fault.kind == FaultKind::NotFound => None,
            Err(fault) => return Err(fault),
        };
        if !self.dry_run {
            replace(&installed(settings), &text)?;
            remark("a platform that is running uses the new rules after its next start");
        }
        let updated = Updated { replaced: !self.dry_run, diff, effect, alerts };
        if json { print_json(&updated) } else { print(&updated.text()) }
    }
}

fn effect(fleet: &Fleet, query: &query::LoadedQuery, book: &RuleBook) -> WhatIf {
    let before = EvaluatedFleet::new(fleet, query.conditions());
    let after = EvaluatedFleet::new(fleet, query.conditions_with(book));
    what_if(&before, &after, &Selection::default())
}

/// Replaces the whole file: after a power cut, it has either the former or the new content.
fn replace(file: &Path, text: &str) -> Result<(), Fault> {
    let part = file.with_extension("toml.part");
    let written = || -> std::io::Result<()> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut new = std::fs::File::create(&part)?;
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        std::fs::rename(&part, file)?;
        // The rename itself is durable once the folder is written.
        file.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
    };
    written().map_err(|error| files::unwritable(file, error))
}

impl Updated {
    fn text(&self) -> String {
        let RulesDiff { added, removed, changed } = &self.diff;
        let mut text = String::new();
        // Writing to a String cannot fail.
        for rule in added {
            let _ = writeln!(text, "added    {}", rule.id);
        }
        for id in removed {
            let _ = writeln!(text, "removed  {id}");
        }
        for rule in changed {
            for field in &rule.fields {
                let _ = writeln!(
                    text,
                    "changed  {}: {} {} > {}",
                    rule.rule, field.field, field.before, field.after
                );
            }
        }
        let _ = writeln!(
            text,
            "{} rules added, {} removed, {} changed",
            added.len(),
            removed.len(),
            changed.len()
        );
        for alert in &self.alerts {
            let _ = writeln!(text, "{alert}");
        }
        if let Some(effect) = &self.effect {
            let _ = write!(text, "\n{}", tables::of_what_if(effect));
        }
        text.push_str(match self.replaced {
            true => "\nthe rules were replaced\n",
            false => "\nnothing was replaced\n",
        });
        text
    }
}
