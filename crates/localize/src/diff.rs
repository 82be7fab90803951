//! Differences between two rule books.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    book::RuleBook,
    rules::{Rule, RuleId},
};

/// The differences between the present rules and other rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RulesDiff {
    /// Rules that only the other book has.
    pub added: Vec<Rule>,
    /// Rules that only the present book has.
    pub removed: Vec<RuleId>,
    /// Rules that differ.
    pub changed: Vec<ChangedRule>,
}

/// A rule that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangedRule {
    /// The rule.
    pub rule: RuleId,
    /// The fields that differ.
    pub fields: Vec<ChangedField>,
}

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangedField {
    /// The name of the field in the JSON form of the rule.
    pub field: String,
    /// The present value; null if absent.
    pub before: Value,
    /// The other value; null if absent.
    pub after: Value,
}

impl RulesDiff {
    /// Compares the rules by their ids. The order of the rules is not compared.
    pub fn between(before: &RuleBook, after: &RuleBook) -> Self {
        let mut diff = Self::default();
        for rule in after.rules() {
            match find(before, &rule.id) {
                None => diff.added.push(rule.clone()),
                Some(former) if former != rule => {
                    let fields = changed_fields(former, rule);
                    diff.changed.push(ChangedRule { rule: rule.id.clone(), fields });
                }
                Some(_) => {}
            }
        }
        let gone = before.rules().iter().filter(|rule| find(after, &rule.id).is_none());
        diff.removed = gone.map(|rule| rule.id.clone()).collect();
        diff
    }

    /// True if the rules are equal.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

fn find<'a>(book: &'a RuleBook, id: &RuleId) -> Option<&'a Rule> {
    book.rules().iter().find(|rule| rule.id == *id)
}

fn changed_fields(before: &Rule, after: &Rule) -> Vec<ChangedField> {
    let fields = |rule: &Rule| match serde_json::to_value(rule) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (mut before, after) = (fields(before), fields(after));
    let mut changed = Vec::new();
    for (field, after) in after {
        let before = before.remove(&field).unwrap_or(Value::Null);
        if before != after {
            changed.push(ChangedField { field, before, after });
        }
    }
    // The fields of a kind that the rule no longer has.
    let gone = before.into_iter().filter(|(_, before)| !before.is_null());
    changed.extend(gone.map(|(field, before)| ChangedField { field, before, after: Value::Null }));
    changed
}
