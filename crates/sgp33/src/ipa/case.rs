//! The test cases of an IPA. [`table`](super::table) lists them.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use sgp23::{Stop, Subject, Variant, Verdict};
use world::{BoxFuture, SeededRandom};

use super::subject::IpaUnderTest;
use super::testbed::Testbed;

/// A test case of an IPA.
pub type Case = sgp23::Case<IpaUnderTest>;

/// The implementation of a case. It lets the IPA poll and stops at the first violation of the
/// standard.
pub type Run = Arc<dyn for<'a, 'b> Fn(&'a mut Testbed<'b>) -> BoxFuture<'a, Verdict> + Send + Sync>;

/// A requirement of a case besides a device that polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The IPA reports this bit of ipaFeatures.
    Feature(usize),
    /// The eIM of the tester can present another TLS key.
    AnotherKey,
    /// The IPA calls the eIM over HTTPS.
    Https,
    /// The IPA calls the eIM over CoAP.
    Coap,
    /// The tester has another eIM.
    AnotherEim,
    /// The tester can take the service away from the device.
    Service,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use rsp::sgp32::ipa_data::ipa_features::NAMES;
        match self {
            Self::Feature(bit) => {
                let name = NAMES.iter().find(|(_, known)| known == bit).map(|(name, _)| *name);
                write!(f, "{} in ipaFeatures", name.unwrap_or_default())
            }
            Self::AnotherKey => f.write_str("another TLS key"),
            Self::Https => f.write_str("an IPA that uses HTTPS"),
            Self::Coap => f.write_str("an IPA that uses CoAP"),
            Self::AnotherEim => f.write_str("another eIM"),
            Self::Service => f.write_str("a device that loses its service"),
        }
    }
}

impl Subject for IpaUnderTest {
    /// A case places its orders itself.
    type Order = Infallible;
    type Need = Need;
    type Run = Run;

    fn random(&self) -> SeededRandom {
        SeededRandom::new(self.world.random::<32>())
    }

    fn execute<'a>(&'a self, case: &'a Case, _: Variant<'a>) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            let mut testbed = Testbed::begin(self).await?;
            for need in &case.needs {
                let is_there = match need {
                    Need::Feature(feature) => testbed.features().await?.contains(feature),
                    Need::Https => !self.known().is_coap,
                    Need::Coap => self.known().is_coap,
                    Need::AnotherEim => self.other.is_some(),
                    // The case itself tries it.
                    Need::AnotherKey | Need::Service => true,
                };
                if !is_there {
                    return Err(Stop::needs(need));
                }
            }
            let verdict = (case.run)(&mut testbed).await;
            testbed.conclude().await?;
            verdict
        })
    }
}

/// Creates a [`Run`] from an async expression over the testbed.
macro_rules! run {
    (|$testbed:ident| $body:expr) => {{
        let run: $crate::ipa::case::Run =
            std::sync::Arc::new(move |$testbed: &mut $crate::ipa::testbed::Testbed<'_>| {
                Box::pin(async move { $body })
            });
        run
    }};
}

pub(crate) use run;
