//! What tests of the consumer swap have in common.

use std::sync::{Arc, LazyLock};

use certs::{Pki, PkiOptions};
use device::Ending;
use device::lpa::DownloadOptions;
use faults::{CardLie, LieAct};
use rsp::time::Timestamp;
use scenario::consumer::{Consumer, Setup, Start};
use scenario::time::Simulation;
use sm_dp::ProfileState;

/// When every run begins.
pub(crate) const BEGIN: Timestamp = Timestamp(1_795_000_000_000);

/// Two cards, an SM-DP+ and its operator.
pub(crate) static SETUP: LazyLock<Setup> = LazyLock::new(|| {
    let pki = Pki::from_seed(b"scenario tests", &PkiOptions::default()).unwrap();
    Setup { pki: Arc::new(pki), carrier: None }
});

/// A device that is registered where its first profile roams.
pub(crate) async fn abroad(simulation: &Simulation, start: &Start) -> Consumer {
    let mut run = Consumer::begin(simulation, &SETUP, start).unwrap();
    run.device.register().await.unwrap();
    run
}

/// Delivers what is on the card, as the device does from time to time.
pub(crate) async fn deliver(run: &mut Consumer) -> Result<(), String> {
    for _ in 0..3 {
        let delivered = run.device.lpa.process_notifications().await.map_err(|why| why.to_string())?;
        if delivered.iter().all(|each| each.failure().is_none()) {
            return Ok(());
        }
    }
    Ok(())
}

/// With the same order, or, when that has come to an end that the SM-DP+ knows of, with another.
pub(crate) async fn can_still_be_moved(
    run: &mut Consumer,
    start: &Start,
    state: ProfileState,
) -> Result<(), String> {
    let code = match state {
        ProfileState::Error => {
            run.cancel_order(start.local).await.map_err(|why| format!("cannot be ordered anew: {why}"))?;
            run.order(start.local).await.map_err(|why| format!("cannot be ordered anew: {why}"))?
        }
        _ => start.code.clone(),
    };
    match run.move_to_local(&code, DownloadOptions::default()).await {
        Some(Ending::Moved(_)) => {}
        ending => return Err(format!("cannot be moved any more (order {state}): {ending:?}")),
    }
    deliver(run).await?;
    let wrong = run.truth().await.map_err(|why| why.to_string())?.wrong(start.bootstrap, start.local);
    if wrong.is_empty() { Ok(()) } else { Err(format!("after another move: {}", wrong.join("; "))) }
}

/// Whether a lie is one that the server has no reason not to believe: a comparison with the card finds it, and the card's next
/// word about the profile puts it right.
pub(crate) fn needs_a_reconciler(act: LieAct) -> bool {
    act == LieAct::Card(CardLie::NotificationDeleted)
}
