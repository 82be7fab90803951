//! The test cases of an SM-DP+. [`table`](crate::table) lists them.

use std::fmt;
use std::sync::Arc;

use world::{BoxFuture, SeededRandom};

use crate::arrange::arrange;
use crate::order::Order;
use crate::server::Server;
use crate::subject::{self, Subject, Variant};
use crate::testbed::Testbed;
use crate::verdict::{Stop, Verdict};

/// A test case of an SM-DP+.
pub(crate) type Case = subject::Case<Server>;

/// The implementation of a case. It calls the server and stops at the first violation of the
/// standard.
pub type Run = Arc<dyn for<'a> Fn(&'a Testbed<'a>) -> BoxFuture<'a, Verdict> + Send + Sync>;

/// A requirement of a case besides access to ES9+.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// An operator with a client certificate.
    Operator,
    /// A second operator with another client certificate.
    SecondOperator,
    /// A client certificate of a CI that the server does not trust.
    UntrustedCertificate,
    /// The admin API.
    Admin,
    /// An endpoint at which the server can call the operator.
    Inbox,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Operator => "an operator",
            Self::SecondOperator => "a second operator",
            Self::UntrustedCertificate => "an untrusted client certificate",
            Self::Admin => "the admin API",
            Self::Inbox => "an endpoint for calls from the server",
        })
    }
}

impl Subject for Server {
    type Order = Order;
    type Need = Need;
    type Run = Run;

    fn random(&self) -> SeededRandom {
        SeededRandom::new(self.world.random::<32>())
    }

    fn execute<'a>(&'a self, case: &'a Case, variant: Variant<'a>) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            let findings = variant.findings;
            let verdict = self.meet_and_run(case, variant).await;
            for operator in [&self.operator, &self.second_operator].into_iter().flatten() {
                findings.add(operator.take_findings());
            }
            verdict
        })
    }
}

impl Server {
    async fn meet_and_run(&self, case: &Case, variant: Variant<'_>) -> Verdict {
        for need in &case.needs {
            self.meet(*need)?;
        }
        let mut testbed = Testbed::new(self, &variant)?;
        if let Some(order) = &case.order {
            testbed.placed_order = Some(arrange(&testbed, order).await?);
        }
        (case.run)(&testbed).await
    }

    fn meet(&self, need: Need) -> Verdict {
        let (is_there, what) = match need {
            Need::Operator => (self.operator.is_some(), "an operator with a client certificate"),
            Need::SecondOperator => {
                (self.second_operator.is_some(), "a second operator with a client certificate")
            }
            Need::UntrustedCertificate => {
                (self.stranger.is_some(), "a client certificate of a CI that the server does not trust")
            }
            Need::Admin => (self.admin.is_some(), "the admin API"),
            Need::Inbox => (self.inbox.is_some(), "an endpoint at which the server can call the operator"),
        };
        if is_there { Ok(()) } else { Err(Stop::needs(what)) }
    }
}

/// Creates a [`Run`] from an async expression over the testbed.
macro_rules! run {
    (|$testbed:ident| $body:expr) => {{
        let run: $crate::case::Run = std::sync::Arc::new(move |$testbed: &$crate::testbed::Testbed<'_>| {
            Box::pin(async move { $body })
        });
        run
    }};
}

pub(crate) use run;
