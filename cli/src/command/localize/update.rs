//! `landfall localize rules update`: a new file of rules, its differences, and its effect on the
//! fleet.

use std::{
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::Args;
use fleet::{
    NewRules,
    answers::{RulesUpdate, rules_update},
};
use http::Method;
use localize::{RuleBook, RulesDiff};
use world::{Fault, FaultKind};

use super::installed;
use crate::{
    advice::Server,
    api_client::ApiClient,
    command::fleet::{
        query::{self, QueryArguments},
        tables,
    },
    files,
    output::{print, print_json},
    settings::Settings,
};

/// Replace the rules of the data folder or of a running platform, after a check; print the
/// differences and the effect on the fleet
#[derive(Args, Debug)]
pub struct Update {
    /// File of the new rules, in the format of crates/localize/data/countries.toml; they replace
    /// all present rules
    file: PathBuf,
    /// Print the differences and the effect without replacing anything
    #[arg(long)]
    dry_run: bool,
    /// Owner's API of a running platform, which uses the new rules from the next check-in on
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["at", "rules", "strategy", "owner"])]
    platform: Option<String>,
    /// Time, present rules and owner file of the comparison
    #[command(flatten)]
    query: QueryArguments,
}

impl Update {
    /// Runs the command.
    ///
    /// # Errors
    /// The new file is invalid, or a file or the records cannot be read or written, or the platform
    /// refuses the rules. The present rules then remain.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let text = files::read_text(&self.file)?;
        let book = RuleBook::parse(&text).map_err(|error| {
            let what = format!("cannot use the rules in {}; the present rules remain", self.file.display());
            Fault::usage(what, error.why(), error.next)
        })?;
        let updated = match &self.platform {
            Some(platform) => {
                let address = platform.strip_prefix("http://").unwrap_or(platform).trim_end_matches('/');
                let new = NewRules { rules: text, dry_run: self.dry_run };
                ApiClient::at(address, Server::OwnersApi)?.write(Method::PUT, "/v1/rules", &new).await?
            }
            None => self.update_folder(&text, book, settings).await?,
        };
        if json { print_json(&updated) } else { print(&in_text(&updated)) }
    }

    /// Updates the rules of the data folder.
    async fn update_folder(
        self,
        text: &str,
        book: RuleBook,
        settings: &Settings,
    ) -> Result<RulesUpdate, Fault> {
        let query = self.query.read(settings)?;
        let book = query.with_test_networks(book)?;
        let fleet = match query::load(settings).await {
            Ok(fleet) => Some(fleet),
            Err(fault) if fault.kind == FaultKind::NotFound => None,
            Err(fault) => return Err(fault),
        };
        let mut updated = rules_update(fleet.as_ref(), query.conditions(), &book);
        if !self.dry_run {
            let _claim = net::Claim::take(&settings.data_dir, "fleet").map_err(|mut fault| {
                "cannot replace the rules of the data folder".clone_into(&mut fault.what);
                "if a platform runs on this data folder, give the address of its owner's API with --platform"
                    .clone_into(&mut fault.next);
                fault
            })?;
            replace(&installed(settings), text)?;
            updated.replaced = true;
        }
        Ok(updated)
    }
}

/// Replaces the whole file of the rules: after a power cut, it has either the former or the new content.
pub(crate) fn replace(file: &Path, text: &str) -> Result<(), Fault> {
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

fn in_text(update: &RulesUpdate) -> String {
    let RulesUpdate { replaced, diff: RulesDiff { added, removed, changed }, effect, alerts } = update;
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
            let _ =
                writeln!(text, "changed  {}: {} {} > {}", rule.rule, field.field, field.before, field.after);
        }
    }
    let noun = if added.len() == 1 { "rule" } else { "rules" };
    let _ =
        writeln!(text, "{} {noun} added, {} removed, {} changed", added.len(), removed.len(), changed.len());
    for alert in alerts {
        let _ = writeln!(text, "{alert}");
    }
    if let Some(effect) = effect {
        let _ = write!(text, "\n{}", tables::of_what_if(effect));
    }
    text.push_str(match replaced {
        true => "\nthe rules were replaced\n",
        false => "\nnothing was replaced\n",
    });
    text
}
