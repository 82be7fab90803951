//! kill -9 at each step: whoever it is, what was ordered is done in the end, once, and everybody says the same.

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
    stage::{Stage, states},
};

/// How long a line is waited for before it is looked whether all is over.
const LOOK: Duration = Duration::from_millis(50);

/// Interface and function.
type Steps = BTreeSet<(String, String)>;

#[test]
fn the_sm_sr_may_be_killed_at_each_step() {
    let stage = Stage::new();
    let _networks = stage.networks(&[]);
    let _sm_dp = stage.sm_dp(&[]);
    let sm_sr = || stage.sm_sr(0, &["--json"]);
    let running = sm_sr();
    succeed(&mut stage.register(&stage.eid));
    let _device = stage.device(&[]);
    let steps = downloads_and_enables(&stage, Doubt::Possible, |order| killed(order, running, sm_sr));
    assert!(steps.len() >= 8, "{steps:#?}");
}

#[test]
fn the_sm_dp_may_be_killed_at_each_step() {
    let stage = Stage::new();
    let _networks = stage.networks(&[]);
    let _sm_sr = stage.sm_sr(0, &[]);
    succeed(&mut stage.register(&stage.eid));
    let _device = stage.device(&[]);
    let sm_dp = || stage.sm_dp(&["--json"]);
    let steps = downloads_and_enables(&stage, Doubt::Impossible, |order| killed(order, sm_dp(), sm_dp));
    assert!(steps.len() >= 5, "{steps:#?}");
}

#[test]
fn the_device_may_be_killed_at_each_step() {
    let stage = Stage::new();
    let _networks = stage.networks(&[]);
    let _sm_sr = stage.sm_sr(0, &[]);
    let _sm_dp = stage.sm_dp(&[]);
    succeed(&mut stage.register(&stage.eid));
    let device = || stage.device(&["--json"]);
    let steps = downloads_and_enables(&stage, Doubt::Possible, |order| killed(order, device(), device));
    assert!(steps.len() >= 8, "{steps:#?}");
}

#[test]
fn networks_and_service_centre_may_be_killed_at_each_step_of_the_sm_sr() {
    let stage = Stage::new();
    let networks = RefCell::new(stage.networks(&[]));
    let sm_sr = stage.sm_sr(0, &["--json"]);
    let _sm_dp = stage.sm_dp(&[]);
    succeed(&mut stage.register(&stage.eid));
    let _device = stage.device(&[]);
    let strike = || {
        networks.borrow_mut().kill();
        networks.replace(stage.networks(&[]));
    };
    let steps = downloads_and_enables(&stage, Doubt::Impossible, |order| {
        let (output, steps) = haunted(order, || sm_sr.err.next(LOOK), strike);
        (output, steps, ())
    });
    assert!(steps.len() >= 6, "{steps:#?}");
}

#[test]
fn the_sm_sr_that_has_a_card_may_be_killed_at_each_step_of_a_handover() {
    hands_over(0);
}

#[test]
fn the_sm_sr_that_gets_a_card_may_be_killed_at_each_step_of_a_handover() {
    hands_over(1);
}

/// The operator has a card handed over by the first SM-SR to the second, of which one is killed again and again.
fn hands_over(victim: usize) {
    let stage = Stage::new();
    let _networks = stage.networks(&[]);
    let _other = stage.sm_sr(1 - victim, &[]);
    let sm_sr = || stage.sm_sr(victim, &["--json"]);
    let running = sm_sr();
    succeed(&mut stage.register(&stage.eid));
    let _device = stage.device(&[]);
    let to = format!("{}@{}", stage.sm_srs[1].id, stage.sm_srs[1].at);
    let (output, steps, _last) = killed(stage.operator(&["smsr-change", "--to", &to]), running, sm_sr);
    assert_eq!(answer(&output, &steps)["status"], "EXECUTED_SUCCESS", "{steps:#?}");
    let audited = succeed(&mut stage.operator_at(1, &["audit", "--es4"]));
    let audited: Value = serde_json::from_str(&audited).unwrap();
    assert_eq!(states(&audited), [(stage.first.iccid.clone(), "Enabled".to_owned())]);
    assert_eq!(audited["eis"]["smsr_id"], stage.sm_srs[1].id.to_string());
    assert!(steps.len() >= 4, "{steps:#?}");
}

/// Whether a script can be lost between the SM-SR and the card so that nobody knows whether the card has run it.
#[derive(Clone, Copy, PartialEq)]
enum Doubt {
    /// One of the two is killed.
    Possible,
    Impossible,
}

/// The operator orders a profile and its enabling, and has it. What `order` gives besides lives until that was looked at.
fn downloads_and_enables<Alive>(
    stage: &Stage,
    doubt: Doubt,
    order: impl FnOnce(Command) -> (Output, Steps, Alive),
) -> Steps {
    let (first, local) = (stage.first.iccid.as_str(), stage.stock[0].iccid.as_str());
    let download = ["download", "--iccid", local, "--enable"];
    let (output, steps, _alive) = order(stage.operator(&download));
    let mut answer = answer(&output, &steps);
    // A script that cannot be run twice is not given again when nobody knows whether the card has it. That is told, the
    // download is undone, and may be ordered again.
    let status = answer["status"].as_str().unwrap();
    if doubt == Doubt::Possible && status.contains("whether the card has run it cannot be known") {
        answer = stage.ask(&download);
    }
    assert_eq!(answer["status"], "EXECUTED_SUCCESS", "{steps:#?}");
    let state = |iccid: &str, state: &str| (iccid.to_owned(), state.to_owned());
    // The card says so too, and the SM-DP.
    let expected = [state(first, "Disabled"), state(local, "Enabled")];
    assert_eq!(states(&stage.ask(&["audit", "--es4"])), expected, "{steps:#?}");
    let stock: Value = serde_json::from_str(&succeed(&mut stage.run(&["--json", "sm-dp", "list"]))).unwrap();
    let stock = stock.as_array().unwrap();
    let ours = stock.iter().find(|profile| profile["iccid"] == local).unwrap();
    assert_eq!(ours["state"], "Installed", "{ours}");
    steps
}

/// What the operator reads.
fn answer(output: &Output, steps: &Steps) -> Value {
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{errors}\n{steps:#?}"))
}

/// While the order is under way the party is killed whenever it has said something new, and started again. With the last one.
fn killed(order: Command, party: Running, start: impl Fn() -> Running) -> (Output, Steps, Running) {
    let party = RefCell::new(party);
    let heard = || party.borrow().err.next(LOOK);
    let (output, steps) = haunted(order, heard, || {
        party.borrow_mut().kill();
        party.replace(start());
    });
    (output, steps, party.into_inner())
}

/// While the order is under way somebody strikes whenever something new is heard: a function that was not heard of before.
fn haunted(mut order: Command, heard: impl Fn() -> Option<String>, strike: impl Fn()) -> (Output, Steps) {
    let mut known = Steps::new();
    let output = thread::scope(|scope| {
        let ordered = scope.spawn(|| order.output().unwrap());
        while !ordered.is_finished() {
            let Some(line) = heard() else { continue };
            // Shown if it fails.
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

/// What a line of the timeline tells of: interface and function.
fn step(line: &str) -> Option<(String, String)> {
    let event: Value = serde_json::from_str(line).ok()?;
    Some((event["interface"].as_str()?.to_owned(), event["function"].as_str()?.to_owned()))
}
