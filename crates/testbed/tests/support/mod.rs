//! Helpers for the tests in which a consumer device changes from its bootstrap profile to a local
//! profile.

use std::sync::{Arc, LazyLock};

use certs::{Pki, PkiOptions};
use device::Ending;
use device::lpa::DownloadOptions;
use faults::{FalseCardStatement, FalseStatement};
use rsp::time::Timestamp;
use sm_dp::ProfileState;
use testbed::consumer::{Consumer, Setup, Start};
use testbed::time::Simulation;

/// Start time of all runs.
pub(crate) const BEGIN: Timestamp = Timestamp(1_795_000_000_000);

/// A PKI with two cards, an SM-DP+ and its operator.
pub(crate) static SETUP: LazyLock<Setup> = LazyLock::new(|| {
    let pki = Pki::from_seed(b"scenario tests", &PkiOptions::default()).unwrap();
    Setup { pki: Arc::new(pki), carrier: None }
});

/// Starts a run and registers the device on the network where its bootstrap profile roams.
pub(crate) async fn abroad(simulation: &Simulation, start: &Start) -> Consumer {
    let mut run = Consumer::begin(simulation, &SETUP, start).unwrap();
    run.device.register().await.unwrap();
    run
}

/// Delivers the pending notifications of the card, as the device does periodically.
pub(crate) async fn deliver(run: &mut Consumer) -> Result<(), String> {
    for _ in 0..3 {
        let delivered = run.device.lpa.process_notifications().await.map_err(|why| why.to_string())?;
        if delivered.iter().all(|each| each.failure().is_none()) {
            return Ok(());
        }
    }
    Ok(())
}

/// Moves the device with the same order, or with a new one if the SM-DP+ has ended the first order.
pub(crate) async fn can_still_be_moved(
    run: &mut Consumer,
    start: &Start,
    state: ProfileState,
) -> Result<(), String> {
    let code = match state {
        ProfileState::Error => {
            run.cancel_order(start.local).await.map_err(|why| format!("cannot be ordered again: {why}"))?;
            run.order(start.local).await.map_err(|why| format!("cannot be ordered again: {why}"))?
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

/// Returns true if the server cannot detect the injected false statement, so that its record is
/// wrong. A comparison with the card finds the difference. The card's next notification about the
/// profile corrects the record.
pub(crate) fn needs_a_reconciler(act: FalseStatement) -> bool {
    act == FalseStatement::Card(FalseCardStatement::NotificationDeleted)
}
