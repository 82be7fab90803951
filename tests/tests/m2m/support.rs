//! A prepared card, and runs that start from it.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use certs::{Pki, PkiOptions};
use rsp::{
    sgp02::{BaseResponse, Namespace},
    time::Timestamp,
};
use testbed::{
    m2m::{Bearer, M2m, Setup, Start, recording::Recording},
    time::run,
};
use tokio::time::sleep;

/// Validity period of all requests.
pub(crate) const VALIDITY: Duration = Duration::from_secs(3 * 3600);

const BEGIN: Timestamp = Timestamp(1_800_000_000_000);

static PKI: LazyLock<Arc<Pki>> =
    LazyLock::new(|| Arc::new(Pki::from_seed(b"docs/m2m.md", &PkiOptions::default()).unwrap()));

/// A card that its EUM has registered, whose device has attached, and a local profile in stock.
pub(crate) struct Prepared {
    pub(crate) setup: Setup,
    pub(crate) start: Start,
    /// The recording of all messages.
    pub(crate) recording: Recording,
}

impl Prepared {
    /// Prepares a card that the SM-SR reaches over this bearer.
    pub(crate) fn new(bearer: Bearer) -> Self {
        Self::in_namespace(bearer, Namespace::V3)
    }

    /// Prepares a card. All servers use this namespace.
    pub(crate) fn in_namespace(bearer: Bearer, namespace: Namespace) -> Self {
        let recording = Recording::default();
        let setup = Setup::new(Arc::clone(&PKI), bearer);
        let setup = Setup { namespace, recording: Some(recording.clone()), ..setup };
        let start = run("m2m", BEGIN, async |simulation| Start::prepare(&simulation, &setup).await);
        Self { start: start.unwrap().unwrap(), setup, recording }
    }

    /// Runs a test one hour after the preparation, in virtual time. The device has attached to the
    /// visited network.
    pub(crate) fn run<T>(&self, test: impl AsyncFnOnce(M2m) -> T) -> T {
        let begin = BEGIN.plus(Duration::from_secs(3600));
        let result = run("m2m", begin, async |simulation| {
            let run = M2m::begin(&simulation, &self.setup, &self.start).unwrap();
            run.until(Duration::from_secs(300), |state| state.is_registered).await.unwrap();
            settle().await;
            test(run).await
        });
        result.unwrap()
    }
}

/// Waits until the card's notification has been confirmed and the card is idle.
pub(crate) async fn settle() {
    sleep(Duration::from_secs(600)).await;
}

/// The execution status of a response, as text.
pub(crate) fn status(response: &BaseResponse) -> String {
    response.function_execution_status.to_string()
}
