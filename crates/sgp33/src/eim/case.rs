//! The test cases of an eIM. [`table`](super::table) lists them.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use sgp23::{Stop, Subject, Variant, Verdict};
use world::{BoxFuture, SeededRandom};

use super::subject::EimUnderTest;
use super::testbed::Testbed;

/// A test case of an eIM.
pub type Case = sgp23::Case<EimUnderTest>;

/// The implementation of a case. It calls the eIM and stops at the first violation of the standard.
pub type Run = Arc<dyn for<'a, 'b> Fn(&'a mut Testbed<'b>) -> BoxFuture<'a, Verdict> + Send + Sync>;

/// A requirement of a case besides access to ESipa.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The operator of the eIM, who registers devices and places orders.
    Operator,
    /// An activation code at an SM-DP+ that the eIM can reach.
    ActivationCode,
    /// A link with TLS 1.2.
    Tls12,
    /// ESipa over CoAP.
    Coap,
    /// An SM-DS that the eIM and the tester can reach.
    SmDs,
    /// An SM-DP+ of the tester that the eIM can reach.
    Inbox,
    /// An eIM that sends packages to IPAs that listen.
    Transfer,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Operator => "orders at the eIM",
            Self::ActivationCode => "an activation code",
            Self::Tls12 => "TLS 1.2",
            Self::Coap => "CoAP",
            Self::SmDs => "an SM-DS",
            Self::Inbox => "an eIM that can reach the tester",
            Self::Transfer => "transfers by the eIM",
        })
    }
}

impl Subject for EimUnderTest {
    /// A case places its orders itself.
    type Order = Infallible;
    type Need = Need;
    type Run = Run;

    fn random(&self) -> SeededRandom {
        SeededRandom::new(self.world.random::<32>())
    }

    fn execute<'a>(&'a self, case: &'a Case, variant: Variant<'a>) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            for need in &case.needs {
                let is_there = match need {
                    Need::Operator => self.operator.is_some(),
                    Need::ActivationCode => !self.codes.is_empty(),
                    Need::Tls12 => self.esipa_tls12.is_some(),
                    Need::Coap => self.coap.is_some(),
                    Need::SmDs => self.sm_ds.is_some(),
                    Need::Inbox => self.inbox.is_some(),
                    Need::Transfer => self.transfer.is_some(),
                };
                if !is_there {
                    return Err(Stop::needs(need));
                }
            }
            let mut testbed = Testbed::new(self, &variant)?;
            (case.run)(&mut testbed).await
        })
    }
}

/// Creates a [`Run`] from an async expression over the testbed.
macro_rules! run {
    (|$testbed:ident| $body:expr) => {{
        let run: $crate::eim::case::Run =
            std::sync::Arc::new(move |$testbed: &mut $crate::eim::testbed::Testbed<'_>| {
                Box::pin(async move { $body })
            });
        run
    }};
}

pub(crate) use run;
