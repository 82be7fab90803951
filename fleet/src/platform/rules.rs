//! Update of the rules while the platform runs.

use std::sync::Arc;

use rsp_server::api::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Platform;
use crate::{
    answers::{RulesUpdate, rules_update},
    store::load,
};

/// New rules for a platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRules {
    /// The text of all rules, in the form of `countries.toml`.
    pub rules: String,
    /// True if the update only reports the differences and the effect.
    #[serde(default)]
    pub dry_run: bool,
}

impl Platform {
    /// Replaces the rules. The next check-in uses the new rules, with counts of the fleet under
    /// them. A check-in under way ends with the former ones. The text is kept before the reply, so
    /// that the platform has the same rules after a restart.
    ///
    /// # Errors
    /// The rules are invalid, cannot be kept, or the records fail. The present rules then remain.
    pub async fn update_rules(&self, new: &NewRules) -> Result<RulesUpdate, Problem> {
        let book = self.networks().with_rules(&new.rules).map_err(|error| {
            Problem::bad_request("cannot use the rules; the present rules remain", error.why(), error.next)
        })?;
        let (present, fleet) = (self.book(), load(self.records()).await?);
        let mut update = rules_update(Some(&fleet), self.conditions(&present, self.now()), &book);
        if new.dry_run {
            return Ok(update);
        }
        let Some(keep) = self.0.keep_rules.get() else {
            return Err(Problem::conflict(
                "cannot replace the rules of this platform",
                "it was started with rules of another file, or without a folder for them",
                "restart it without --rules, or change that file and restart it",
            ));
        };
        let in_force = Arc::new(self.counted_under(book).await?);
        // Nothing else changes the rules between the two steps. A crash between them is no
        // different from one after them.
        let mut rules = self.rules();
        keep(&new.rules)?;
        rules.book = Arc::clone(&in_force.book);
        rules.surveyed = Some((self.now(), in_force));
        update.replaced = true;
        Ok(update)
    }
}
