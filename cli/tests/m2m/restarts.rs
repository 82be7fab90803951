//! Parties are killed (kill -9) at each step. In the end every order is executed exactly once, and
//! all parties agree on it.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    process::{Command, Output},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    common::{Running, succeed},
    testbed::{Testbed, states},
};

/// Time to wait for a line before checking whether the order has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Interfaces and functions.
type Steps = BTreeSet<(String, String)>;

#[test]
fn a_download_survives_kills_of_the_sm_sr_at_each_step() {
    let testbed = Testbed::new();
    let _networks = testbed.networks(&[]);
    let _sm_dp = testbed.sm_dp(&[]);
    let sm_sr = || testbed.sm_sr(0, &["--json"]);
    let running = sm_sr();
    succeed(&mut testbed.register(&testbed.eid));
    let _device = testbed.device(&[]);
    let steps = download_survives(&testbed, Doubt::Possible, |order| with_kills(order, running, sm_sr));
    assert!(steps.len() >= 8, "{steps:#?}");
}

#[test]
fn a_download_survives_kills_of_the_sm_dp_at_each_step() {
    let testbed = Testbed::new();
    let _networks = testbed.networks(&[]);
    let _sm_sr = testbed.sm_sr(0, &[]);
    succeed(&mut testbed.register(&testbed.eid));
    let _device = testbed.device(&[]);
    let sm_dp = || testbed.sm_dp(&["--json"]);
    let steps = download_survives(&testbed, Doubt::Impossible, |order| with_kills(order, sm_dp(), sm_dp));
    assert!(steps.len() >= 5, "{steps:#?}");
}

#[test]
fn a_download_survives_kills_of_the_device_at_each_step() {
    let testbed = Testbed::new();
    let _networks = testbed.networks(&[]);
    let _sm_sr = testbed.sm_sr(0, &[]);
    let _sm_dp = testbed.sm_dp(&[]);
    succeed(&mut testbed.register(&testbed.eid));
    let device = || testbed.device(&["--json"]);
    let steps = download_survives(&testbed, Doubt::Possible, |order| with_kills(order, device(), device));
    assert!(steps.len() >= 8, "{steps:#?}");
}

#[test]
fn a_download_survives_kills_of_networks_and_smsc_at_each_step() {
    let testbed = Testbed::new();
    let networks = RefCell::new(testbed.networks(&[]));
    let sm_sr = testbed.sm_sr(0, &["--json"]);
    let _sm_dp = testbed.sm_dp(&[]);
    succeed(&mut testbed.register(&testbed.eid));
    let _device = testbed.device(&[]);
    let strike = || {
        networks.borrow_mut().kill();
        networks.replace(testbed.networks(&[]));
    };
    let steps = download_survives(&testbed, Doubt::Impossible, |order| {
        let (output, steps) = with_strikes(order, || sm_sr.err.next(POLL_INTERVAL), strike);
        (output, steps, ())
    });
    assert!(steps.len() >= 6, "{steps:#?}");
}

#[test]
fn a_handover_survives_kills_of_the_current_sm_sr_at_each_step() {
    handover_survives(0);
}

#[test]
fn a_handover_survives_kills_of_the_new_sm_sr_at_each_step() {
    handover_survives(1);
}

/// The operator has a card handed over from the first SM-SR to the second, while one of them is
/// killed repeatedly.
fn handover_survives(victim: usize) {
    let testbed = Testbed::new();
    let _networks = testbed.networks(&[]);
    let _other = testbed.sm_sr(1 - victim, &[]);
    let sm_sr = || testbed.sm_sr(victim, &["--json"]);
    let running = sm_sr();
    succeed(&mut testbed.register(&testbed.eid));
    let _device = testbed.device(&[]);
    let to = format!("{}@{}", testbed.sm_srs[1].id, testbed.sm_srs[1].at);
    let (output, steps, _last) = with_kills(testbed.operator(&["smsr-change", "--to", &to]), running, sm_sr);
    let answer = answer(&output, &steps);
    assert_eq!(answer["status"], "EXECUTED_SUCCESS", "{answer:#}\n{steps:#?}");
    let audited = succeed(&mut testbed.operator_at(1, &["audit", "--es4"]));
    let audited: Value = serde_json::from_str(&audited).unwrap();
    assert_eq!(states(&audited), [(testbed.first.iccid.clone(), "Enabled".to_owned())]);
    assert_eq!(audited["eis"]["smsr_id"], testbed.sm_srs[1].id.to_string());
    assert!(steps.len() >= 4, "{steps:#?}");
}

/// Possibility that a script gets lost between SM-SR and card, so that its execution is uncertain.
#[derive(Clone, Copy, PartialEq)]
enum Doubt {
    /// One of the two is killed.
    Possible,
    Impossible,
}

/// The operator downloads and enables a profile with `order`. The processes in its result live
/// until the result has been checked.
fn download_survives<Alive>(
    testbed: &Testbed,
    doubt: Doubt,
    order: impl FnOnce(Command) -> (Output, Steps, Alive),
) -> Steps {
    let (first, local) = (testbed.first.iccid.as_str(), testbed.stock[0].iccid.as_str());
    let download = ["download", local, "--enable"];
    let (output, steps, _alive) = order(testbed.operator(&download));
    let mut answer = answer(&output, &steps);
    // A script that must not run twice is not repeated if its execution is uncertain. The SM-SR
    // reports this. The download is undone, and can be ordered again.
    let why = answer["error"]["why"].as_str().unwrap_or_default();
    if doubt == Doubt::Possible && why.contains("it is unknown if the card has executed it") {
        answer = testbed.ask(&download);
    }
    assert_eq!(answer["status"], "EXECUTED_SUCCESS", "{answer:#}\n{steps:#?}");
    let state = |iccid: &str, state: &str| (iccid.to_owned(), state.to_owned());
    // The card and the SM-DP report the same state.
    let expected = [state(first, "Disabled"), state(local, "Enabled")];
    assert_eq!(states(&testbed.ask(&["audit", "--es4"])), expected, "{steps:#?}");
    let stock: Value =
        serde_json::from_str(&succeed(&mut testbed.run(&["--json", "sm-dp", "list"]))).unwrap();
    let stock = stock.as_array().unwrap();
    let ours = stock.iter().find(|profile| profile["iccid"] == local).unwrap();
    assert_eq!(ours["state"], "Installed", "{ours}");
    steps
}

/// Returns the operator's JSON output.
fn answer(output: &Output, steps: &Steps) -> Value {
    let (printed, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}{errors}\n{steps:#?}"))
}

/// Executes an order, and kills and restarts the party at each new step. Returns the last process
/// as well.
fn with_kills(order: Command, party: Running, start: impl Fn() -> Running) -> (Output, Steps, Running) {
    let party = RefCell::new(party);
    let next_line = || party.borrow().err.next(POLL_INTERVAL);
    let (output, steps) = with_strikes(order, next_line, || {
        party.borrow_mut().kill();
        party.replace(start());
    });
    (output, steps, party.into_inner())
}

/// Executes an order, and calls `strike` at each new step: an interface and function that was not
/// seen before.
fn with_strikes(
    mut order: Command,
    next_line: impl Fn() -> Option<String>,
    strike: impl Fn(),
) -> (Output, Steps) {
    let mut known = Steps::new();
    let output = thread::scope(|scope| {
        let ordered = scope.spawn(|| order.output().unwrap());
        while !ordered.is_finished() {
            let Some(line) = next_line() else { continue };
            // The output of a failed test is shown.
            println!("{line}");
            if let Some(step) = step(&line)
                && known.insert(step)
            {
                println!("kill -9");
                strike();
            }
        }
        ordered.join().unwrap()
    });
    (output, known)
}

/// Returns the interface and function in a line of the timeline.
fn step(line: &str) -> Option<(String, String)> {
    let event: Value = serde_json::from_str(line).ok()?;
    Some((event["interface"].as_str()?.to_owned(), event["function"].as_str()?.to_owned()))
}
