//! A table of cases for one kind of party, for example an SM-DP+. The crate `sgp33` has the tables
//! of other parties.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crypto::Curve;
use rsp::finding::Finding;
use world::{BoxFuture, SeededRandom};

use crate::binding::Binding;
use crate::verdict::Verdict;

/// A party under test, with the interfaces that the tester has to it.
pub trait Subject: Sized + Sync {
    /// The order that must be placed before a case. It is formatted for the documentation.
    type Order: fmt::Display + Send + Sync;
    /// A requirement of a case besides access to the party. It is formatted for the documentation.
    type Need: fmt::Display + Send + Sync;
    /// The implementation of a case.
    type Run: Send + Sync;

    /// Returns the randomness of one run of the table.
    fn random(&self) -> SeededRandom;

    /// Meets the needs of a case, places its order, and executes the case.
    fn execute<'a>(&'a self, case: &'a Case<Self>, variant: Variant<'a>) -> BoxFuture<'a, Verdict>;
}

/// A variant in which a case is executed.
pub struct Variant<'a> {
    /// The binding of the HTTP interface.
    pub binding: Binding,
    /// The curve of the eUICC's certificate.
    pub curve: Curve,
    /// The randomness of this execution.
    pub random: SeededRandom,
    /// Deviations of the party that do not fail the case.
    pub findings: &'a Findings,
}

/// The deviations of a party that a case has found so far.
#[derive(Debug, Default)]
pub struct Findings(Mutex<BTreeSet<Finding>>);

impl Findings {
    /// Adds deviations.
    pub fn add(&self, found: impl IntoIterator<Item = Finding>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
    }

    /// Returns all deviations.
    pub fn into_set(self) -> BTreeSet<Finding> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bindings and curves that a case is run with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Both bindings and both curves.
    Full,
    /// Both bindings, on one curve.
    Bindings,
    /// The JSON binding, on one curve.
    Json,
    /// The ASN.1 binding, on one curve.
    Asn1,
    /// One run, because the case does not depend on the binding or the curve.
    Once,
}

/// A requirement of the standard and its test.
pub struct Case<S: Subject> {
    /// The section, name and test sequence in the test specification, if they are known.
    pub id: Option<String>,
    /// The clause with the requirement.
    pub clause: &'static str,
    /// The name of the function as the standard spells it.
    pub function: &'static str,
    /// The requirement in one sentence.
    pub title: String,
    /// The bindings and curves of the case.
    pub scope: Scope,
    /// The order that must be placed before the case.
    pub order: Option<S::Order>,
    /// The other needs of the case.
    pub needs: Vec<S::Need>,
    /// The implementation.
    pub run: S::Run,
}

impl<S: Subject> Case<S> {
    /// Creates a case without needs, for both bindings and both curves.
    pub fn new(function: &'static str, clause: &'static str, title: impl Into<String>, run: S::Run) -> Self {
        Self {
            id: None,
            clause,
            function,
            title: title.into(),
            scope: Scope::Full,
            order: None,
            needs: Vec::new(),
            run,
        }
    }

    /// Sets the identifier in the test specification: the section and name of a test, and the
    /// number of its sequence, if it is known.
    #[must_use]
    pub fn id<'a>(self, test: &str, sequence: impl Into<Option<&'a str>>) -> Self {
        Self { id: sequence.into().map(|sequence| format!("{test} #{sequence}")), ..self }
    }

    /// Sets the order that the case needs.
    #[must_use]
    pub fn order(self, order: S::Order) -> Self {
        Self { order: Some(order), ..self }
    }

    /// Sets the bindings and curves.
    #[must_use]
    pub fn scope(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// Adds a need.
    #[must_use]
    pub fn need(mut self, need: S::Need) -> Self {
        self.needs.push(need);
        self
    }

    /// True if the filter text occurs in the case's identifier, clause, function or title.
    pub fn matches(&self, filter: &str) -> bool {
        let filter = filter.to_lowercase();
        let texts = [self.id.as_deref().unwrap_or_default(), self.clause, self.function, &self.title];
        texts.iter().any(|text| text.to_lowercase().contains(&filter))
    }
}
